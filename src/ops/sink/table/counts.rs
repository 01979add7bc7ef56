//! Counts of the items that are written to a table.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use super::acknowledged_keys::RepeatedKeys;

/// Counts of the items below the marks of all lanes, by outcome. Part of the journal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RestoreCounts {
    /// Items read.
    pub(crate) read: u64,
    /// Items that DynamoDB acknowledged, or that were already in the table.
    pub(crate) written: u64,
    /// Of those, items that were already in the table.
    pub(crate) already_there: u64,
    /// Items that a later item with the same key replaced.
    pub(crate) superseded: u64,
    /// Items of the dump that were rejected, fully or partly.
    pub(crate) rejected: u64,
    /// Of those, pieces of a damaged dump that cannot be read.
    #[serde(default)]
    pub(crate) unreadable: u64,
    /// Items of the dump that were skipped, fully or partly, because the table has other items with their keys.
    pub(crate) skipped: u64,
    /// Items to write: those of the dump, or what the transform made of them.
    pub(crate) out: u64,
    /// Items of the dump that the transform changed.
    pub(crate) changed: u64,
    /// Items of the dump that the transform filtered out.
    pub(crate) filtered: u64,
    /// Of the items to write, those that were rejected or skipped.
    pub(crate) unwritten: u64,
    /// Bytes of text of the items written.
    pub(crate) bytes: u64,
}

/// The cost of the calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct WriteCosts {
    pub(crate) write_units: f64,
    /// Read units of the pages that were taken, if the source is a live table.
    #[serde(default)]
    pub(crate) read_units: f64,
    pub(crate) throttled_calls: u64,
}

impl RestoreCounts {
    /// Number of items to write whose outcome is known: all of them at the end.
    pub(crate) fn accounted(&self) -> u64 {
        self.written + self.superseded + self.unwritten
    }

    /// Counts items with the same key as one written item; the others are superseded.
    pub(crate) fn without_repeated(self, repeated: RepeatedKeys) -> Self {
        Self {
            written: self.written - repeated.items,
            already_there: self.already_there - repeated.already_there,
            superseded: self.superseded + repeated.items,
            ..self
        }
    }
}

impl AddAssign for RestoreCounts {
    fn add_assign(&mut self, other: Self) {
        self.read += other.read;
        self.written += other.written;
        self.already_there += other.already_there;
        self.superseded += other.superseded;
        self.rejected += other.rejected;
        self.unreadable += other.unreadable;
        self.skipped += other.skipped;
        self.out += other.out;
        self.changed += other.changed;
        self.filtered += other.filtered;
        self.unwritten += other.unwritten;
        self.bytes += other.bytes;
    }
}
