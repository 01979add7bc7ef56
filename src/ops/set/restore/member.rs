//! One table of a set: its plan and its result.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::ops::restore::{RestorePreview, RestoreSummary};

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

/// A table that an interrupted run has restored, as the journal records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedTable {
    /// Name of the dumped table.
    pub source: String,
    /// Digest of the dump's metadata.
    pub(super) metadata_sha256: String,
    /// ID of the restored table.
    pub(super) table_id: Option<String>,
    /// Number of items that were written.
    pub items_written: u64,
    /// Whether every item was written and every setting was applied.
    pub is_whole: bool,
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
