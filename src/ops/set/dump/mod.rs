//! Dumps several tables into a set.
//!
//! Each table is planned and dumped like a single one, into a folder of its own. A table that cannot be planned or dumped is a result
//! like any other: the others are dumped nevertheless.

mod dry_run;
mod interrupted;
mod plan;
mod run;

use std::num::NonZeroUsize;

use serde::Serialize;

pub use dry_run::dry_run;
pub use interrupted::find_interrupted;
pub use plan::{PlannedTable, SetDumpPlan, TableState, plan};
pub use run::run;

use super::runner::TableResult;
use crate::backup::MemberDump;
use crate::ops::dump::{DumpRequest, DumpSummary};

/// Inputs of a dump of several tables.
#[derive(Debug, Clone)]
pub struct SetDumpRequest {
    /// The tables.
    pub tables: Vec<String>,
    /// The options for each table; its target is the folder of the set.
    pub options: DumpRequest,
    /// Maximum number of tables in parallel; `None` chooses it.
    pub parallel_tables: Option<NonZeroUsize>,
    /// Stop all tables when one has failed.
    pub fail_fast: bool,
}

/// Result of a dump of several tables.
#[derive(Debug)]
pub struct SetDumpSummary {
    /// The folder of the set.
    pub target: String,
    /// The results of the tables, sorted by name.
    pub tables: Vec<TableResult<DumpedMember>>,
    /// Whether the set is in place. Otherwise it was to replace a dump of one table, but lacks a table.
    pub is_published: bool,
    /// Whether the user stopped the run.
    pub is_interrupted: bool,
    /// Problems after the set was in place.
    pub warnings: Vec<String>,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// A table that was dumped.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum DumpedMember {
    /// By this run.
    Now(Box<DumpSummary>),
    /// By the run that this one resumes. The table was not read again.
    Before(MemberDump),
}

impl DumpedMember {
    /// Number of items in the dump.
    #[must_use]
    pub fn items(&self) -> u64 {
        match self {
            Self::Now(summary) => summary.items,
            Self::Before(dump) => dump.items,
        }
    }

    /// Size of the item text in bytes.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        match self {
            Self::Now(summary) => summary.data_bytes,
            Self::Before(dump) => dump.data_bytes,
        }
    }

    /// Whether no item was rejected. `false` means exit code 3.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        match self {
            Self::Now(summary) => summary.is_whole(),
            Self::Before(_) => true,
        }
    }
}
