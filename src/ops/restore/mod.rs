//! `restore`: writes the items of a source into a table, which is created from the source's schema if it does not exist. The source is
//! a dump, or a live table: then, the restore is a [copy](super::copy).
//!
//! ```text
//! plan: open and check the source, describe the target   (changes nothing)
//! run:  create, replace or find the table ─► boost ─► settings before the items
//!       ─► transfer of the items into the table, with rejects and a journal ─► delete extra items ─► verify
//!       ─► later indexes ─► revert the boost ─► settings after the items
//! ```
//!
//! Writing requires a store that was opened with a `Confirmation`.

mod apply_boost;
mod apply_settings;
mod backup_origin;
mod boost;
mod copied_backup;
mod diff;
mod dry_run;
mod empty;
mod extra_items;
mod from_backup;
mod identity;
mod index_violations;
mod origin;
mod plan;
mod preview;
mod reconcile;
mod request;
mod resume;
mod run;
mod run_journal;
mod settings;
mod source_check;
mod source_facts;
mod summary;
mod table;
mod table_action;
mod table_items;
mod table_journal;
mod table_ttl;
mod target_state;
mod transfer;
mod transfer_totals;
mod unit_caps;
mod verification;
mod verify;

pub use crate::ops::sink::table::{OnConflict, WriteOptions};
pub use crate::ops::source::{BackupChoice, SettingsOrigin};
pub use crate::schema::When;
pub use boost::{BoostNotReverted, BoostOutcome, PlannedBoost};
pub use diff::{SchemaDifferences, diff};
pub use dry_run::dry_run;
pub(crate) use empty::{needs_item, nothing_to_write};
pub use extra_items::DeletedItems;
pub(crate) use plan::plan_from;
pub use plan::{RestorePlan, plan};
pub use preview::{RestorePreview, preview};
pub use request::{ExistingTable, RestoreRequest, RestoreSource, VerifyMode};
pub(crate) use resume::find_interrupted_from;
pub use resume::{ResumePoint, find_interrupted};
pub use run::run;
pub use settings::{PlannedSetting, SettingOutcome, SettingResult};
pub(crate) use source_check::DataCheck;
pub(crate) use source_facts::partial_reasons;
pub use source_facts::{Salvage, ScanFacts, SourceFacts};
pub use summary::{BackupOutcome, RestoreSummary, TableOutcome, Verified};
pub use table_action::{KeepReason, TableAction};
pub(crate) use table_ttl::TableTtl;
pub use verification::Verification;
