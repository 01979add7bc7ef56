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

mod diff;
mod dry_run;
mod empty_source;
mod plan;
mod preview;
mod request;
mod resume;
mod run;
mod summary;
mod table_items;

pub use crate::ops::sink::table::{OnConflict, WriteOptions};
pub use crate::ops::source::{BackupChoice, SettingsOrigin};
pub use crate::schema::When;
pub use diff::{SchemaDifferences, diff};
pub use dry_run::dry_run;
pub(crate) use empty_source::{needs_item, nothing_to_write};
pub use plan::boost::{BoostNotReverted, BoostOutcome, PlannedBoost};
pub(crate) use plan::plan_from;
pub use plan::settings::{PlannedSetting, SettingOutcome, SettingResult};
pub(crate) use plan::source_check::DataCheck;
pub(crate) use plan::source_facts::partial_reasons;
pub use plan::source_facts::{Salvage, ScanFacts, SourceFacts};
pub use plan::table_action::{KeepReason, TableAction};
pub(crate) use plan::table_ttl::TableTtl;
pub use plan::verification::Verification;
pub use plan::{RestorePlan, plan};
pub use preview::{RestorePreview, preview};
pub use request::{ExistingTable, RestoreRequest, RestoreSource, VerifyMode};
pub(crate) use resume::find_interrupted_from;
pub use resume::{ResumePoint, find_interrupted};
pub use run::extra_items::DeletedItems;
pub use run::run;
pub use summary::{BackupOutcome, RestoreSummary, TableOutcome, Verified};
