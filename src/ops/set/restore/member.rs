//! One table of a set: its plan and its result.

use crate::error::Error;
use crate::ops::restore::{RestorePreview, RestoreSummary};
use crate::ops::set::journal::FinishedTable;

/// A table of the set with its plan.
#[derive(Debug)]
pub struct PlannedMember {
    /// Name of the dumped table.
    pub source: String,
    /// Name of the target table.
    pub target: String,
    /// Its plan.
    pub plan: MemberPlan,
}

impl PlannedMember {
    /// The preview of the restore, if the table will be restored.
    #[must_use]
    pub fn preview(&self) -> Option<&RestorePreview> {
        match &self.plan {
            MemberPlan::Restore(preview) => Some(preview),
            MemberPlan::Finished(_) | MemberPlan::Refused(_) => None,
        }
    }
}

/// The plan for one table of a set.
#[derive(Debug)]
pub enum MemberPlan {
    /// It will be restored.
    Restore(Box<RestorePreview>),
    /// The interrupted run that is resumed has restored it.
    Finished(FinishedTable),
    /// It cannot be restored.
    Refused(Error),
}

/// A table of the set with its result.
#[derive(Debug)]
pub struct RestoredMember {
    /// Name of the dumped table.
    pub source: String,
    /// Name of the target table.
    pub target: String,
    /// Its result.
    pub result: RestoredTable,
}

/// The result of one table of a set.
#[derive(Debug)]
pub enum RestoredTable {
    /// It was restored.
    Restored(Box<RestoreSummary>),
    /// The interrupted run before this one has restored it.
    Finished(FinishedTable),
    /// It could not be planned, or its restore failed.
    Failed(Error),
    /// Its restore was not started, because the user or the failure of another table has stopped the run.
    NotStarted,
}

impl RestoredTable {
    /// Whether nothing is left to resume.
    pub(in crate::ops::set) fn is_done(&self) -> bool {
        match self {
            Self::Restored(summary) => summary.items_lost == 0,
            Self::Finished(_) => true,
            Self::Failed(_) | Self::NotStarted => false,
        }
    }
}
