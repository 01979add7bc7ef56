//! The checkpoint of a restore: its progress, saved next to its marker so that a later run can resume it.
//!
//! It holds the mark of each lane, the counts of the items below the marks, and the sizes of the rejects files at that time. It is
//! replaced atomically, after those files were synced. It is valid for one dump (SHA-256 of its data), one table (its id, which a
//! recreated table does not have), and the options that decide which items are written.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::OnConflict;
use super::identity::{RestoreIdentity, table_id};
use crate::backup::{self, Source};
use crate::error::{Error, Result};
use crate::ops::sink::table::RestoreCounts;
use crate::ops::sink::table::{RejectFileSize, RejectPaths};
use crate::ops::source::lanes::LanePositions;
use crate::place;
use crate::schema::TableSchema;

/// Format version. Increase it when an older program would misread a checkpoint.
const VERSION: u32 = 4;

/// Progress of a restore.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RestoreCheckpoint {
    version: u32,
    /// The source as messages name it.
    source: String,
    /// SHA-256 of its data file.
    data_sha256: String,
    /// See [`table_id`]; `None` if the endpoint reports neither id nor creation time.
    table_id: Option<String>,
    on_conflict: OnConflict,
    salvage: bool,
    /// Identity of the transform; `None` without one.
    transform: Option<String>,
    pub(crate) lanes: LanePositions,
    pub(crate) counts: RestoreCounts,
    pub(crate) write_units: f64,
    pub(crate) throttled_calls: u64,
    pub(crate) rejects: Option<RejectFileSize>,
    pub(crate) conflicts: Option<RejectFileSize>,
    pub(crate) saved_at: DateTime<Utc>,
}

/// Result of reading a checkpoint from the state directory.
pub(crate) enum StoredCheckpoint {
    /// It does not exist.
    Missing,
    /// It was written in another format version.
    OtherVersion,
    Readable(Box<RestoreCheckpoint>),
}

impl RestoreCheckpoint {
    /// The checkpoint of a restore that has not written anything yet.
    pub(crate) fn new(identity: RestoreIdentity, lanes: LanePositions) -> Self {
        Self {
            version: VERSION,
            source: identity.source,
            data_sha256: identity.data_sha256,
            table_id: None,
            on_conflict: identity.on_conflict,
            salvage: identity.salvage,
            transform: identity.transform,
            lanes,
            counts: RestoreCounts::default(),
            write_units: 0.0,
            throttled_calls: 0,
            rejects: None,
            conflicts: None,
            saved_at: Utc::now(),
        }
    }

    /// A checkpoint without an identity, which is never saved: standard input cannot be read again.
    pub(crate) fn without_identity(lanes: LanePositions) -> Self {
        let identity = RestoreIdentity {
            source: String::new(),
            data_sha256: String::new(),
            on_conflict: OnConflict::default(),
            salvage: false,
            transform: None,
        };

        Self::new(identity, lanes)
    }

    /// Reads the checkpoint at `path`.
    ///
    /// # Errors
    /// It exists and cannot be read.
    pub(crate) fn read(path: &Path) -> Result<StoredCheckpoint> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }

        let unreadable = |cause: Box<dyn std::error::Error + Send + Sync>| {
            Error::failed(format!(
                "the checkpoint `{}` of an unfinished restore cannot be read",
                path.display()
            ))
            .with_hint("delete the file to write every item from the beginning")
            .with_source(cause)
        };

        if !path
            .try_exists()
            .map_err(|error| unreadable(error.into()))?
        {
            return Ok(StoredCheckpoint::Missing);
        }

        // The version comes first: the fields of another version may not parse.
        let text = backup::read_text(path).map_err(|error| unreadable(error.into()))?;
        let Versioned { version } =
            serde_json::from_str(&text).map_err(|error| unreadable(error.into()))?;
        if version != VERSION {
            return Ok(StoredCheckpoint::OtherVersion);
        }

        let read = serde_json::from_str(&text).map_err(|error| unreadable(error.into()))?;

        Ok(StoredCheckpoint::Readable(read))
    }

    /// The reason why a run with this identity cannot resume here; `None` if it can.
    pub(crate) fn mismatch(
        &self,
        identity: &RestoreIdentity,
        table: &TableSchema,
        paths: &RejectPaths,
    ) -> Option<String> {
        if let Some(difference) = self.identity().difference_from(identity) {
            return Some(difference);
        }

        // A recreated table lacks the items below the marks.
        if self.table_id != table_id(table) {
            return Some("the table was deleted and created again since".to_owned());
        }

        if self.on_conflict != identity.on_conflict {
            return Some(format!(
                "it was run with --on-conflict {}",
                self.on_conflict.word()
            ));
        }

        paths
            .check(self.rejects.as_ref(), self.conflicts.as_ref())
            .err()
            .map(|error| error.to_string())
    }

    /// The reason why `source` cannot be read from the marks although it holds the same items; `None` if it can.
    pub(crate) fn unsupported_lanes(&self, source: &Source) -> Option<String> {
        let has_lanes = match self.lanes {
            LanePositions::Whole { .. } => true,
            LanePositions::Stripes(_) => source.striped_text().is_some(),
        };
        (!has_lanes).then(|| "it read the folder of the dump, not the data file alone".to_owned())
    }

    fn identity(&self) -> RestoreIdentity {
        RestoreIdentity {
            source: self.source.clone(),
            data_sha256: self.data_sha256.clone(),
            on_conflict: self.on_conflict,
            salvage: self.salvage,
            transform: self.transform.clone(),
        }
    }

    /// Sets the table that the items are written into.
    pub(crate) fn set_table_id(&mut self, table_id: Option<String>) {
        self.table_id = table_id;
    }

    /// Replaces the file at `path` atomically and syncs it.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec(self).map_err(|error| {
            Error::failed("the checkpoint cannot be written").with_source(error)
        })?;
        place::write_marker(path, &text)
    }
}
