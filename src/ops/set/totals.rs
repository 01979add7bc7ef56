//! Sums over the tables of a run: what was read, what was written, and what was not.

use std::iter::Sum;
use std::ops::Add;

use serde::Serialize;

use super::dump::DumpedMember;
use super::restore::{RestoredMember, RestoredTable};
use super::runner::{TableOutcome, TableResult};
use crate::ops::restore::RestoreSummary;

/// Items of a restore or a copy. They count as in the summary of one table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RestoredItems {
    /// Items read from the sources.
    pub items_read: u64,
    /// Of those, items that the transform changed.
    pub items_changed: u64,
    /// Of those, items that the transform filtered out.
    pub items_left_out: u64,
    /// Items to write.
    pub items_out: u64,
    /// Items in the tables.
    pub items_written: u64,
    /// Items that were skipped because of their keys.
    pub items_skipped: u64,
    /// Items that DynamoDB or the transform rejected.
    pub items_rejected: u64,
    /// Earlier versions of items that later versions in the source replaced.
    pub items_superseded: u64,
    /// Items that different items of the source with the same key overwrote.
    pub items_overwritten: u64,
    /// Items that were deleted because the source does not have them.
    pub items_deleted: u64,
}

impl RestoredItems {
    /// The items of all tables that were restored or copied by this run.
    #[must_use]
    pub fn of_tables(members: &[RestoredMember]) -> Self {
        let of_member = |member: &RestoredMember| match &member.result {
            RestoredTable::Restored(summary) => Some(Self::from(&**summary)),
            RestoredTable::Finished(_) | RestoredTable::Failed(_) | RestoredTable::NotStarted => {
                None
            }
        };

        members.iter().filter_map(of_member).sum()
    }
}

impl From<&RestoreSummary> for RestoredItems {
    fn from(summary: &RestoreSummary) -> Self {
        Self {
            items_read: summary.items_read,
            items_changed: summary.items_changed,
            items_left_out: summary.items_left_out,
            items_out: summary.items_out,
            items_written: summary.items_written,
            items_skipped: summary.items_skipped,
            items_rejected: summary.items_rejected,
            items_superseded: summary.items_superseded,
            items_overwritten: summary.items_overwritten,
            items_deleted: summary.deleted.as_ref().map_or(0, |deleted| deleted.items),
        }
    }
}

impl Add for RestoredItems {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            items_read: self.items_read + other.items_read,
            items_changed: self.items_changed + other.items_changed,
            items_left_out: self.items_left_out + other.items_left_out,
            items_out: self.items_out + other.items_out,
            items_written: self.items_written + other.items_written,
            items_skipped: self.items_skipped + other.items_skipped,
            items_rejected: self.items_rejected + other.items_rejected,
            items_superseded: self.items_superseded + other.items_superseded,
            items_overwritten: self.items_overwritten + other.items_overwritten,
            items_deleted: self.items_deleted + other.items_deleted,
        }
    }
}

impl Sum for RestoredItems {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::default(), Add::add)
    }
}

/// Items of a dump.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DumpedItems {
    /// Items read from the tables.
    pub items_read: u64,
    /// Of those, items that the transform changed.
    pub items_changed: u64,
    /// Of those, items that the transform filtered out.
    pub items_left_out: u64,
    /// Of those, items that the transform rejected.
    pub items_rejected: u64,
    /// Items in the dumps.
    pub items: u64,
}

impl DumpedItems {
    /// The items of all tables that were dumped by this run.
    #[must_use]
    pub fn of_tables(tables: &[TableResult<DumpedMember>]) -> Self {
        let of_table = |result: &TableResult<DumpedMember>| match &result.outcome {
            TableOutcome::Finished(member) => Self::of_member(member),
            TableOutcome::Failed(_) | TableOutcome::NotStarted => None,
        };

        tables.iter().filter_map(of_table).sum()
    }

    /// The items of a table; `None` if the run that this one resumes has dumped it.
    #[must_use]
    pub fn of_member(member: &DumpedMember) -> Option<Self> {
        let DumpedMember::Now(summary) = member else {
            return None;
        };
        let all = Self {
            items_read: summary.items,
            items: summary.items,
            ..Self::default()
        };

        Some(summary.transformed.as_ref().map_or(all, |changes| Self {
            items_read: changes.items_read,
            items_changed: changes.items_changed,
            items_left_out: changes.items_left_out,
            items_rejected: changes.items_rejected,
            ..all
        }))
    }
}

impl Add for DumpedItems {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            items_read: self.items_read + other.items_read,
            items_changed: self.items_changed + other.items_changed,
            items_left_out: self.items_left_out + other.items_left_out,
            items_rejected: self.items_rejected + other.items_rejected,
            items: self.items + other.items,
        }
    }
}

impl Sum for DumpedItems {
    fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
        items.fold(Self::default(), Add::add)
    }
}
