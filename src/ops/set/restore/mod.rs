//! Restores a set: many dumps into many tables of one environment.
//!
//! ```text
//! plan: read the manifest, preview the restore of each table      (no data is read, no lock is held)
//! run:  for each table, a few at a time: plan again ─► does the confirmation cover it? ─► restore ─► journal
//! ```
//!
//! A table that cannot be planned or restored does not stop the others.

mod dry_run;
mod member;
mod plan;
mod run;

pub use super::journal::FinishedTable;
pub use dry_run::dry_run;
pub use member::{MemberPlan, PlannedMember, RestoredMember, RestoredTable};
pub use plan::{RestoreSetPlan, RestoreSetRequest, SetFacts, find_interrupted, plan};
pub use run::run;
