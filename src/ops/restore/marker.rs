//! The marker of an unfinished restore: while it exists, the table may hold only part of the dump. It is a file in the state
//! directory, one per table and environment.
//!
//! A lock file next to it ensures that only one restore at a time uses marker and checkpoint.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::boost::BoostRecord;
use super::identity::{RestoreIdentity, table_id};
use crate::backup;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::ops::identity::state_key;
use crate::ops::table_location::TableLocation;
use crate::place::{self, FileLock};
use crate::schema::TableSchema;

/// Hint if the state directory cannot be written, as in a container with a read-only file system.
const UNWRITABLE_STATE: &str = "how far a restore came is kept in the state directory; name one that can be written by XDG_STATE_HOME";

/// The marker file of one table.
#[derive(Debug)]
pub(crate) struct MarkerFile {
    path: PathBuf,
    /// The table as messages name it.
    table: String,
    /// State of the marker and checkpoint files when the restore was planned.
    stamps: [Option<FileStamp>; 2],
}

/// Distinguishes a file from one that replaced it.
#[derive(Debug, PartialEq, Eq)]
struct FileStamp {
    inode: u64,
    modified: SystemTime,
}

/// The contents of a marker that are read. [`MarkerFile::write`] adds details for people.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct MarkerContents {
    /// The source as messages name it.
    #[serde(default)]
    pub(crate) source: String,
    /// Whether the restore created the table: the next restore then also applies the settings.
    pub(crate) created: bool,
    /// The items that the restore may have written.
    #[serde(default)]
    pub(crate) wrote: WrittenItems,
    /// Id of the table once it exists. The marker does not apply to another table with the same name.
    pub(crate) table_id: Option<String>,
    /// The boost that must be reverted.
    pub(crate) boost: Option<BoostRecord>,
}

/// The items that an unfinished restore may have written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WrittenItems {
    /// None: only the schema was restored.
    Nothing,
    /// The items of one source.
    ItemsOf(Box<RestoreIdentity>),
    /// Items of a source that cannot be identified, such as standard input, or of several sources.
    #[default]
    Unknown,
}

impl WrittenItems {
    /// The reason why these may be other items than those of `other`; `None` if they are the same, or none were written.
    pub(crate) fn difference_from(
        &self,
        other: Option<&RestoreIdentity>,
        source: &str,
    ) -> Option<String> {
        let other_dump = || format!("it was of another dump, or of other contents: {source}");
        match (self, other) {
            (Self::Nothing, _) => None,
            (Self::ItemsOf(one), Some(other)) => one.difference_from(other),
            (Self::ItemsOf(_), None) => Some(other_dump()),
            (Self::Unknown, _) => Some(format!("which items it wrote is not known: {source}")),
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

impl MarkerContents {
    /// Whether the marker may be about this table: it records no table id, or this one.
    pub(crate) fn applies_to(&self, table: &TableSchema) -> bool {
        self.table_id.is_none() || self.table_id == table_id(table)
    }
}

impl MarkerFile {
    pub(crate) fn for_table(state_dir: &Path, environment: &Environment, table: &str) -> Self {
        let hash = xxhash_rust::xxh3::xxh3_128(state_key(environment, table).as_bytes());
        let path = state_dir.join(format!("unfinished-restore-{hash:032x}.json"));
        Self {
            table: format!("table {table} of environment {}", environment.name()),
            stamps: stamps(&path),
            path,
        }
    }

    /// Checks that no other restore holds the lock.
    ///
    /// # Errors
    /// Another restore of this user on this machine is writing the table.
    pub(crate) fn check_unlocked(&self) -> Result<()> {
        FileLock::holder(&self.lock_path()).map_or(Ok(()), |holder| Err(self.locked_error(&holder)))
    }

    /// Locks the table against other restores until the lock is dropped.
    ///
    /// # Errors
    /// Another restore is writing the table, or has written it since this one was planned.
    pub(crate) fn lock(&self) -> Result<FileLock> {
        let mut is_held = false;
        let lock = FileLock::acquire(&self.lock_path(), |holder| {
            is_held = true;
            self.locked_error(holder)
        });
        let lock = lock.map_err(|error| {
            if is_held {
                error
            } else {
                error.with_hint(UNWRITABLE_STATE)
            }
        })?;

        // The plan was made without the lock. If another restore ran since then, the plan is based on outdated files.
        if stamps(&self.path) == self.stamps {
            return Ok(lock);
        }

        Err(Error::failed(format!(
            "another restore was writing {} while this one was planned",
            self.table
        ))
        .with_hint("run the same command again: it looks anew at what is there"))
    }

    fn lock_path(&self) -> PathBuf {
        self.path.with_extension("lock")
    }

    fn locked_error(&self, holder: &str) -> Error {
        let lock = self.lock_path();
        Error::failed(format!(
            "{} is being restored by {holder} (lock `{}`)",
            self.table,
            lock.display()
        ))
        .with_hint("wait until that run has ended, or restore into another table with --table")
    }

    /// Reads the marker; `None` if it does not exist.
    ///
    /// # Errors
    /// It exists and cannot be read.
    pub(crate) fn read(&self) -> Result<Option<MarkerContents>> {
        if !self
            .path
            .try_exists()
            .map_err(|error| self.read_error().with_source(error))?
        {
            return Ok(None);
        }

        let text =
            backup::read_text(&self.path).map_err(|error| self.read_error().with_source(error))?;
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| self.read_error().with_source(error))
    }

    /// The error for an unreadable marker. It is an error because the marker may be the only record of a boost, which costs money.
    pub(crate) fn read_error(&self) -> Error {
        let path = self.path.display();
        Error::failed(format!("the record `{path}` of an unfinished restore into {} cannot be read", self.table))
            .with_hint(
                "it may say that the table has a temporary capacity: check billing and capacity of the table, then delete the file",
            )
    }

    /// Creates the marker, or replaces it atomically.
    pub(crate) fn write(&self, target: &TableLocation, contents: &MarkerContents) -> Result<()> {
        let text = serde_json::json!({
            "source": contents.source,
            "table": target.table,
            "environment": target.environment,
            "endpoint": target.endpoint,
            "since": chrono::Utc::now(),
            "created": contents.created,
            "wrote": contents.wrote,
            "table_id": contents.table_id,
            "boost": contents.boost,
        });

        place::write_marker(&self.path, text.to_string().as_bytes())
    }

    /// Path of the checkpoint.
    pub(crate) fn checkpoint_path(&self) -> PathBuf {
        checkpoint_path(&self.path)
    }

    pub(crate) fn has_checkpoint(&self) -> bool {
        self.checkpoint_path().exists()
    }

    /// Removes the checkpoint, so that the next run starts at the first item.
    pub(crate) fn remove_checkpoint(&self) -> Result<()> {
        place::remove_marker(&self.checkpoint_path())
    }

    /// Removes checkpoint and marker, in this order: a checkpoint without a marker must never exist.
    pub(crate) fn remove(&self) -> Result<()> {
        self.remove_checkpoint()?;
        place::remove_marker(&self.path)
    }
}

fn checkpoint_path(marker: &Path) -> PathBuf {
    marker.with_extension("checkpoint.json")
}

fn stamps(marker: &Path) -> [Option<FileStamp>; 2] {
    [marker.to_owned(), checkpoint_path(marker)].map(|path| {
        let found = std::fs::metadata(path).ok()?;
        Some(FileStamp {
            inode: found.ino(),
            modified: found.modified().ok()?,
        })
    })
}
