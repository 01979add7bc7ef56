//! A table as a sink.
//!
//! `sink` coordinates batches, calls in flight and the ledger, which says what is settled.

mod acknowledged_keys;
mod batch;
mod counts;
mod cursor;
mod ledger;
mod refusals;
mod rejects;
mod settle;
mod sink;

use serde::{Deserialize, Serialize};

pub(crate) use acknowledged_keys::AcknowledgedKeys;
pub(crate) use counts::{RestoreCounts, WriteCosts};
pub(crate) use rejects::{RejectFileSize, RejectFiles, RejectPaths};
pub use sink::WriteOptions;
pub(crate) use sink::{TableSink, TableStart, WrittenTable};

/// How to handle an item whose key exists in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum OnConflict {
    /// Overwrite the item in the table
    #[default]
    Overwrite,
    /// Keep the item in the table and list the other as skipped; one call per item
    Skip,
    /// Keep the item in the table and reject the other; one call per item
    Fail,
}

impl OnConflict {
    /// Its value on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Overwrite => "overwrite",
            Self::Skip => "skip",
            Self::Fail => "fail",
        }
    }
}
