//! Text of plans, summaries and verdicts.

mod backup;
pub(crate) mod backup_list;
pub(crate) mod compare_set;
pub(crate) mod copy_set;
pub(crate) mod cost;
pub(crate) mod doctor;
pub(crate) mod dry_run;
mod failures;
pub(crate) mod format;
pub(crate) mod plan;
pub(crate) mod restore_set;
mod scan;
pub(crate) mod set;
pub(crate) mod set_trial;
pub(crate) mod summary;
pub(crate) mod table_list;
mod table_rows;
pub(crate) mod verdict;
