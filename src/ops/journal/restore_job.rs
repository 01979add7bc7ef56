//! The journal of a restore. While it exists, the table may hold only part of the dump.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::field::Field;
use crate::ops::sink::table::{OnConflict, RejectFileSize, RestoreCounts, WriteCosts};
use crate::ops::source::lanes::LanePositions;

/// A restore that is writing a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RestoreJob {
    /// The table, its environment and endpoint, for people who read the file.
    pub(crate) table: String,
    pub(crate) environment: String,
    pub(crate) endpoint: Option<String>,
    pub(crate) since: DateTime<Utc>,
    /// The source as messages name it.
    pub(crate) source: String,
    /// Whether the restore created the table: the next restore then also applies the settings.
    pub(crate) created: bool,
    /// ARN of the backup from which DynamoDB restores the table and its items.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) backup_arn: Option<String>,
    /// The schema of the table, if DynamoDB restores it and no dump has the schema: the table that had it may be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema: Option<String>,
    /// Whether the table existed and held no items before the restore.
    #[serde(default)]
    pub(crate) was_empty: bool,
    /// The items that the restore may have written.
    pub(crate) wrote: WrittenItems,
    /// ID of the table once it exists. The journal does not apply to another table with the same name.
    pub(crate) table_id: Option<String>,
    /// The boost that must be reverted.
    pub(crate) boost: Option<BoostRecord>,
    /// `None` until the first item is written, and if the restore cannot be resumed.
    pub(crate) progress: Option<RestoreProgress>,
}

/// The items that an unfinished restore may have written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WrittenItems {
    /// None: only the schema was restored.
    Nothing,
    /// The items of one source.
    ItemsOf(Box<RestoreIdentity>),
    /// Items of a source that cannot be identified, such as standard input, or of several sources.
    Unknown,
}

/// The source of a restore and the options that decide which items it writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RestoreIdentity {
    /// The source as messages name it.
    pub(crate) source: String,
    /// SHA-256 of its data file.
    pub(crate) data_sha256: String,
    pub(crate) on_conflict: OnConflict,
    pub(crate) salvage: bool,
    /// Identity of the transform; `None` without one.
    pub(crate) transform: Option<String>,
}

/// A temporary boost: two `CreateTable` requests, with the billing during and after it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BoostRecord {
    pub(crate) boosted: Value,
    pub(crate) after: Value,
}

/// How far a restore is: the position of each lane, the counts of the items before the positions, and the sizes of the rejects files at
/// that time. It is valid for one source, one table and the options that decide which items are written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RestoreProgress {
    /// `None` for a source that cannot be identified, which is never resumed.
    pub(crate) identity: Option<RestoreIdentity>,
    pub(crate) lanes: LanePositions,
    pub(crate) counts: RestoreCounts,
    pub(crate) costs: WriteCosts,
    pub(crate) rejects: Option<RejectFileSize>,
    pub(crate) conflicts: Option<RejectFileSize>,
    pub(crate) saved_at: DateTime<Utc>,
}

impl RestoreProgress {
    /// The progress of a restore that has not written anything yet.
    pub(crate) fn new(identity: Option<RestoreIdentity>, lanes: LanePositions) -> Self {
        Self {
            identity,
            lanes,
            counts: RestoreCounts::default(),
            costs: WriteCosts::default(),
            rejects: None,
            conflicts: None,
            saved_at: Utc::now(),
        }
    }
}

impl RestoreIdentity {
    /// The reason why `self` writes other items than `other`; `None` if both write the same items.
    pub(crate) fn difference_from(&self, other: &Self) -> Option<String> {
        if self.data_sha256 != other.data_sha256 {
            return Some(other_source(&self.source));
        }

        if self.salvage != other.salvage {
            return Some(format!(
                "it was run {} {salvage}",
                if self.salvage { "with" } else { "without" },
                salvage = Field::Salvage
            ));
        }

        (self.transform != other.transform).then(|| "it was run with another transform".to_owned())
    }
}

impl WrittenItems {
    /// The reason why these may be other items than those of `other`; `None` if they are the same, or none were written.
    pub(crate) fn difference_from(
        &self,
        other: Option<&RestoreIdentity>,
        source: &str,
    ) -> Option<String> {
        match (self, other) {
            (Self::Nothing, _) => None,
            (Self::ItemsOf(one), Some(other)) => one.difference_from(other),
            (Self::ItemsOf(_), None) => Some(other_source(source)),
            (Self::Unknown, _) => Some(format!("the items that it wrote are not known: {source}")),
        }
    }

    /// The items after those of `other` were also written.
    pub(crate) fn merged_with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, wrote) | (wrote, Self::Nothing) => wrote,
            (Self::ItemsOf(one), Self::ItemsOf(other)) if one.difference_from(&other).is_none() => {
                Self::ItemsOf(other)
            }
            _ => Self::Unknown,
        }
    }
}

fn other_source(source: &str) -> String {
    format!("it was of another source, or of other contents: {source}")
}
