//! The summary of a finished restore.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::plan::boost::BoostOutcome;
use super::plan::settings::{SettingOutcome, SettingResult};
use super::plan::source_facts::Salvage;
use super::plan::table_action::KeepReason;
use super::resume::ResumePoint;
use super::run::extra_items::DeletedItems;
use crate::ops::table_location::TableLocation;
use crate::schema::TableOrigin;
use crate::store::WireBytes;

/// Result of the verification.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "mode")]
pub enum Verified {
    /// Nothing was verified: not requested, or no item was written.
    None,
    /// DynamoDB acknowledged every item; nothing was read back.
    Acknowledged,
    /// All items of the dump were read back from the table, except for those that were rejected or skipped.
    Full {
        /// Items that are equal on both sides.
        equal: u64,
        /// Items that are missing in the table.
        missing: u64,
        /// Items that differ in the table.
        different: u64,
        /// Items only in the table; expected if it held items before.
        extra: u64,
        /// Read units that DynamoDB reports as consumed.
        consumed_read_units: f64,
        /// Bytes of the pages as transferred.
        #[serde(flatten)]
        wire: WireBytes,
        /// Keys of the first items that are missing or differ, in DynamoDB JSON.
        examples: Vec<String>,
    },
}

impl Verified {
    /// Number of items of the dump that are missing or different in the table.
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

/// Result of a finished restore.
#[derive(Debug, Clone, Serialize)]
pub struct RestoreSummary {
    /// The dump.
    pub source: String,
    /// The source in sentences: `dump`, or `source table`.
    #[serde(skip)]
    pub source_noun: &'static str,
    /// Read units consumed by the Scan of a live source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_read_units: Option<f64>,
    /// The target table.
    pub target: TableLocation,
    /// What DynamoDB restored the table from, together with its items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_from: Option<TableOrigin>,
    /// The backup of a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupOutcome>,
    /// The action on the table: `created`, `added-to`, `replaced`, `kept`.
    pub table: TableOutcome,
    /// Why the table was kept.
    pub kept_because: Option<KeepReason>,
    /// Items read from the dump.
    pub items_read: u64,
    /// Items to write: those of the dump, or what the transform made of them.
    pub items_out: u64,
    /// Items of the dump that the transform changed.
    pub items_changed: u64,
    /// Items of the dump that the transform filtered out.
    pub items_left_out: u64,
    /// Items with the same key as an earlier, different item of the dump. A resumed restore counts only its own items.
    pub collisions: u64,
    /// The first collisions, by the numbers of both items among those to write, counted from 1.
    pub collided: Vec<(u64, u64)>,
    /// Items in the table: acknowledged by DynamoDB, or already there. Items with the same key count once.
    pub items_written: u64,
    /// Of those, items that were already there; only determined with `--on-conflict skip` and `fail`.
    pub items_already_there: u64,
    /// Earlier versions of an item that a later version in the dump replaced.
    pub items_superseded: u64,
    /// Items that a different item of the dump with the same key overwrote.
    pub items_overwritten: u64,
    /// Items of the dump that DynamoDB or the transform rejected, fully or partly; they are in the rejects file.
    pub items_rejected: u64,
    /// The rejects file: rejected items with their reasons.
    pub rejects_file: Option<PathBuf>,
    /// The three most frequent reasons in the rejects file, each with its number of items.
    pub reject_reasons: Vec<(String, u64)>,
    /// Rejected items by the index that refused them, because they violate its key. A resumed restore counts only its own items.
    pub rejected_by_index: BTreeMap<String, u64>,
    /// Items of the dump that were skipped, fully or partly, because of their keys (`--on-conflict skip`).
    pub items_skipped: u64,
    /// The file of the skipped items.
    pub conflicts_file: Option<PathBuf>,
    /// Where an interrupted restore was resumed. The counts above include its items.
    pub resumed: Option<ResumePoint>,
    /// Whether the source says that it holds the whole table.
    pub source_complete: bool,
    /// The readable part of a damaged dump.
    pub salvaged: Option<Salvage>,
    /// The items of the table that were deleted because the source does not have them, if that was requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<DeletedItems>,
    /// Bytes of item text written.
    pub data_bytes: u64,
    /// Write units that DynamoDB reports as consumed.
    pub consumed_write_units: f64,
    /// Calls that were throttled or returned unprocessed items.
    pub throttled_calls: u64,
    /// Acknowledged items that the verification found missing or different.
    pub items_lost: u64,
    /// Result of the verification.
    pub verified: Verified,
    /// Result of the boost, if there was one.
    pub boost: Option<BoostOutcome>,
    /// Result of each setting except keys, indexes and capacity.
    pub settings: Vec<SettingOutcome>,
    /// Everything else in the dump's schema that the table lacks, with the reason.
    pub not_restored: Vec<String>,
    /// Elapsed seconds.
    pub seconds: f64,
    /// ID of the table, if the endpoint reports one.
    #[serde(skip)]
    pub(crate) table_id: Option<String>,
}

/// The on-demand backup of a copy, after it.
#[derive(Debug, Clone, Serialize)]
pub struct BackupOutcome {
    /// Its name.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Why it was not deleted, if that was requested.
    pub not_deleted: Option<String>,
}

/// The action that was taken on the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableOutcome {
    /// It did not exist and was created.
    Created,
    /// It existed, and items were written into it.
    AddedTo,
    /// It was deleted and created from the schema.
    Replaced,
    /// It existed and was not touched.
    Kept,
}

impl RestoreSummary {
    /// A restore that wrote no items itself.
    pub(crate) fn of_table(source: String, target: TableLocation, table: TableOutcome) -> Self {
        Self {
            source,
            target,
            restored_from: None,
            backup: None,
            table_id: None,
            source_noun: "dump",
            source_read_units: None,
            table,
            kept_because: None,
            items_read: 0,
            items_out: 0,
            items_changed: 0,
            items_left_out: 0,
            collisions: 0,
            collided: Vec::new(),
            items_written: 0,
            items_already_there: 0,
            items_superseded: 0,
            items_overwritten: 0,
            items_rejected: 0,
            rejects_file: None,
            reject_reasons: Vec::new(),
            rejected_by_index: BTreeMap::new(),
            items_skipped: 0,
            conflicts_file: None,
            resumed: None,
            source_complete: true,
            salvaged: None,
            data_bytes: 0,
            consumed_write_units: 0.0,
            throttled_calls: 0,
            items_lost: 0,
            deleted: None,
            verified: Verified::None,
            boost: None,
            settings: Vec::new(),
            not_restored: Vec::new(),
            seconds: 0.0,
        }
    }

    /// Whether every item is in the table, every planned setting was applied and no boost remains. `false` means exit code 3.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.salvaged.is_none()
            && self.items_lost == 0
            && self
                .backup
                .as_ref()
                .is_none_or(|backup| backup.not_deleted.is_none())
            && self
                .boost
                .as_ref()
                .is_none_or(|boost| boost.not_reverted.is_none())
            && self.failed_settings().next().is_none()
            && self.items_rejected == 0
            && self
                .deleted
                .as_ref()
                .is_none_or(|deleted| deleted.prevented.is_none())
            && self.collisions + self.items_overwritten == 0
    }

    /// The planned settings that could not be applied.
    pub fn failed_settings(&self) -> impl Iterator<Item = &SettingOutcome> {
        self.settings
            .iter()
            .filter(|setting| setting.result == SettingResult::Failed)
    }
}
