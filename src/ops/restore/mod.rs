//! `restore`: a dump becomes a live table, created from the dump's schema when it is missing.
//!
//! ```text
//! plan: open and check the dump, describe the target   (nothing is changed)
//! run:  ensure the table ─► read items, in stripes ─► batches ─► writers in flight ─► ledger ─► rejects, checkpoint
//!       ─► verify ─► settings
//! ```
//!
//! The operation can write only through a store that was opened with a `Confirmation`.

mod acknowledged;
mod apply;
mod batch;
mod boost;
mod caps;
mod checkpoint;
mod checkpoint_writer;
mod diff;
mod dry_run;
mod empty;
mod items;
mod ledger;
mod marker;
mod moving;
mod plan;
mod reconcile;
mod refusals;
mod rejects;
mod resume;
mod run;
mod settings;
mod source_facts;
mod standing;
mod table;
mod verify;
mod warnings_and_questions;
mod writing;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use boost::{BoostOutcome, NotTakenBack, PlannedBoost};
pub use diff::{NotCompared, SchemaDifferences, diff};
pub use dry_run::trial;
pub use plan::{RestorePlan, TableAction, plan};
pub use resume::{Interrupted, interrupted};
pub use run::run;
pub use settings::{PlannedSetting, SettingOutcome, SettingResult, When};
pub use source_facts::{Salvage, SourceFacts};

use crate::backup::SourceSpec;
use crate::limits;
use crate::ops::table_location::TableLocation;
use crate::ops::{Cap, ContentScope};
use crate::schema::{Boost, Overrides, SettingChoice};
use crate::store::WireBytes;
use crate::transform::Transform;

/// What to restore, and how.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct RestoreRequest {
    /// The dump.
    pub source: SourceSpec,
    /// The target table: `--table`, else the environment's; else the dump's own name is taken.
    pub table: Option<String>,
    /// What to do when the target table exists.
    pub existing: ExistingTable,
    /// Whether a missing table may be created.
    pub create: bool,
    /// Create the table from this schema file and not from the dump's.
    pub schema: Option<PathBuf>,
    /// Changes to that schema before a table is created from it or settings are applied from it.
    pub overrides: Overrides,
    /// Which settings are brought back, beyond the rules.
    pub settings: SettingChoice,
    /// Whether settings are applied to a table that exists.
    pub apply_settings: bool,
    /// What a provisioned table is raised to while the items are written.
    pub boost: Option<Boost>,
    /// Schema, items, or both.
    pub content: ContentScope,
    /// Items per `BatchWriteItem` call, 1 to 25.
    pub batch_size: usize,
    /// What becomes of an item whose key the table has already.
    pub on_conflict: OnConflict,
    /// Whether the first item that cannot be written ends the run.
    pub strict: bool,
    /// Whether what is readable of a damaged dump is restored.
    pub salvage: bool,
    /// Whether a table is created or replaced although the source has no item that can be written.
    pub allow_empty: bool,
    /// Whether items are restored that are not all of the table, by what is written around them.
    pub accept_incomplete: bool,
    /// Whether an interrupted restore of the same dump into the same table is taken up where it stopped.
    pub resume: bool,
    /// Upper bound of consumed write units per second.
    pub max_write_units: Option<Cap>,
    /// Upper bound of consumed read units per second, where every item is read back.
    pub max_read_units: Option<Cap>,
    /// How the result is checked.
    pub verify: VerifyMode,
    /// What happens to items on the way.
    pub transform: Transform,
    /// Folder for what must outlive the run but belongs to no dump: markers of unfinished restores, rejects of a stream.
    pub state_dir: Option<PathBuf>,
}

impl RestoreRequest {
    /// The whole of `source`, into a table of its own name that is created when it is missing.
    #[must_use]
    pub fn new(source: SourceSpec) -> Self {
        Self {
            source,
            table: None,
            existing: ExistingTable::default(),
            create: true,
            schema: None,
            overrides: Overrides::default(),
            settings: SettingChoice::default(),
            apply_settings: false,
            boost: None,
            content: ContentScope::default(),
            batch_size: limits::BATCH_WRITE_ITEMS,
            on_conflict: OnConflict::default(),
            strict: false,
            salvage: false,
            allow_empty: false,
            accept_incomplete: false,
            resume: false,
            max_write_units: None,
            max_read_units: None,
            verify: VerifyMode::default(),
            transform: Transform::new(),
            state_dir: None,
        }
    }
}

/// What to do when the target table exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExistingTable {
    /// Add the dump's items to it; items with the same key are overwritten.
    #[default]
    Add,
    /// Leave it as it is and finish successfully.
    Keep,
    /// Delete it and create it anew.
    Replace,
}

/// What becomes of an item whose key the table has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// It is written in place of the other.
    #[default]
    Overwrite,
    /// The other stays; the item is listed. An item that is equal is no conflict.
    Skip,
    /// The other stays; the item is rejected. An item that is equal is no conflict.
    Fail,
}

impl OnConflict {
    /// The word for it on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Overwrite => "overwrite",
            Self::Skip => "skip",
            Self::Fail => "fail",
        }
    }
}

/// How a restore is checked when the items are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerifyMode {
    /// Read every item back on a local endpoint, where reading is free; elsewhere, rely on the acknowledgements.
    #[default]
    Auto,
    /// No check.
    None,
    /// Read every item back and compare it.
    Full,
}

/// How a planned restore will be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verification {
    /// Not at all.
    None,
    /// DynamoDB must acknowledge every item; nothing is read back.
    Acknowledged,
    /// Every item is read back and compared.
    Full,
}

/// What the check of a restore found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "mode")]
pub enum Verified {
    /// Nothing was checked: not requested, or no item was written.
    None,
    /// Every item was acknowledged; nothing was read back.
    Acknowledged,
    /// Every item of the dump was read back from the table, except for those that were rejected or skipped.
    Full {
        /// Items that are equal on both sides.
        equal: u64,
        /// Items that are missing in the table.
        missing: u64,
        /// Items the table has with other contents.
        different: u64,
        /// Items only the table has; expected where it held items before.
        extra: u64,
        /// Read units that DynamoDB reports as consumed by it.
        consumed_read_units: f64,
        /// Bytes of the pages that were read, as they travelled.
        #[serde(flatten)]
        wire: WireBytes,
        /// Keys of the first items that are missing or differ, in DynamoDB JSON.
        examples: Vec<String>,
    },
}

impl Verified {
    /// Items of the dump that the table lacks or holds with other contents.
    #[must_use]
    pub fn lacking(&self) -> u64 {
        match self {
            Self::Full {
                missing, different, ..
            } => missing + different,
            Self::None | Self::Acknowledged => 0,
        }
    }
}

/// What a finished restore did.
#[derive(Debug, Clone, Serialize)]
pub struct RestoreSummary {
    /// The dump.
    pub source: String,
    /// The table that was written.
    pub target: TableLocation,
    /// What was done with the table: `created`, `added-to`, `replaced`, `kept`.
    pub table: TableOutcome,
    /// Items read from the dump.
    pub items_read: u64,
    /// Items that went on to the table: those of the dump, or what the transform put in their place.
    pub items_out: u64,
    /// Items of the dump in whose place the transform put others.
    pub items_changed: u64,
    /// Items of the dump that the transform left out on purpose.
    pub items_left_out: u64,
    /// Items that have the same key as an earlier, different item of the dump. After `--resume`, of this run alone.
    pub collisions: u64,
    /// The first of them, by their place among what came out in this run, counted from 1.
    pub collided: Vec<(u64, u64)>,
    /// Items that are in the table: acknowledged by DynamoDB, or found there already. Items with the same key count once.
    pub items_written: u64,
    /// Of those, items that were found there already; only `--on-conflict skip` and `fail` look.
    pub items_already_there: u64,
    /// Earlier versions of an item that a later version in the dump replaced.
    pub items_superseded: u64,
    /// Items that a different item of the dump with the same key overwrote.
    pub items_overwritten: u64,
    /// Items of the dump that DynamoDB or the transform refused, whole or in part; they are in the rejects file.
    pub items_rejected: u64,
    /// Where the rejected items are, with the reason for each.
    pub rejects_file: Option<PathBuf>,
    /// Items of the dump that were skipped, whole or in part, because the table has others with their keys (`--on-conflict skip`).
    pub items_skipped: u64,
    /// Where the skipped items are.
    pub conflicts_file: Option<PathBuf>,
    /// Where an interrupted restore was taken up: these items are counted above, and were not handled by this run.
    pub resumed: Option<Interrupted>,
    /// Whether the source holds the whole table, as far as it says.
    pub source_complete: bool,
    /// What was to be had of a damaged dump.
    pub salvaged: Option<Salvage>,
    /// Bytes of item text written.
    pub data_bytes: u64,
    /// Write units DynamoDB reports as consumed.
    pub consumed_write_units: f64,
    /// Calls that were throttled or answered with unprocessed items.
    pub throttled_calls: u64,
    /// Acknowledged items that the check found missing or different.
    pub items_lost: u64,
    /// What the check found.
    pub verified: Verified,
    /// What became of the boost, if there was one.
    pub boost: Option<BoostOutcome>,
    /// What became of each setting beside keys, indexes and capacity.
    pub settings: Vec<SettingOutcome>,
    /// Anything else of the dump's schema that the table does not have now, with the reason.
    pub not_restored: Vec<String>,
    /// Wall time in seconds.
    pub seconds: f64,
}

/// What became of the table itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableOutcome {
    /// It was missing and is now there.
    Created,
    /// It was there and received the items.
    AddedTo,
    /// It was deleted and created anew.
    Replaced,
    /// It was there and was left alone.
    Kept,
}

impl RestoreSummary {
    /// Whether every item is in the table, every promised setting applied and no boost left on it. `false` means exit code 3.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.salvaged.is_none()
            && self.items_lost == 0
            && self
                .boost
                .as_ref()
                .is_none_or(|boost| boost.not_taken_back.is_none())
            && self.failed_settings().next().is_none()
            && self.items_rejected == 0
            && self.collisions + self.items_overwritten == 0
    }

    /// The settings that were promised and could not be applied.
    pub fn failed_settings(&self) -> impl Iterator<Item = &SettingOutcome> {
        self.settings
            .iter()
            .filter(|setting| setting.result == SettingResult::Failed)
    }
}
