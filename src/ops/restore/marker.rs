//! The marker of a restore that has not ended yet: while it stands, the table may hold half a dump. Kept in the state directory,
//! one per table and environment.
//!
//! Beside it stands a lock: marker and checkpoint are of one restore at a time.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::boost::Marked;
use super::checkpoint::Identity;
use crate::backup;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::ops::identity::state_key;
use crate::ops::table_location::TableLocation;
use crate::place::{self, FileLock};
use crate::schema::TableSchema;

/// What to do where the state directory cannot be written, as in a container whose file system is read-only.
const UNWRITABLE_STATE: &str = "how far a restore came is kept in the state directory; name one that can be written by XDG_STATE_HOME";

/// The marker of one table.
#[derive(Debug)]
pub(crate) struct Marker {
    path: PathBuf,
    /// The table, in people's words.
    table: String,
    /// Marker and checkpoint as they stood when this was made.
    seen: [Option<Stamp>; 2],
}

/// What tells a file from one that took its place.
type Stamp = (u64, SystemTime);

/// The contents of a marker. Details that only help people are written and never read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The source as messages name it.
    #[serde(default)]
    pub(crate) source: String,
    /// Whether the restore created the table: it is then to be finished, its settings included.
    pub(crate) created: bool,
    /// The items that the restore may have written.
    #[serde(default)]
    pub(crate) wrote: Wrote,
    /// What the table is known by, once it is there; another one of its name is not what this is about.
    pub(crate) table_id: Option<String>,
    /// What the table was raised to while items were written, and what it is to have again.
    pub(crate) boost: Option<Marked>,
}

/// The items that an unfinished restore may have written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wrote {
    /// None: only the schema was to be restored.
    Nothing,
    /// Items of this source.
    ItemsOf(Box<Identity>),
    /// Items of a source that cannot be identified, such as standard input, or of several.
    #[default]
    Unknown,
}

impl Wrote {
    /// Why these are not the items of `other`, or may not be; `None` if they are, or if there are none.
    pub(crate) fn differs_from(&self, other: Option<&Identity>, source: &str) -> Option<String> {
        let of_another = || format!("it was of another dump, or of other contents: {source}");
        match (self, other) {
            (Self::Nothing, _) => None,
            (Self::ItemsOf(one), Some(other)) => one.differs_from(other),
            (Self::ItemsOf(_), None) => Some(of_another()),
            (Self::Unknown, _) => Some(format!("which items it wrote is not known: {source}")),
        }
    }

    /// The same after items of `other` were added.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nothing, wrote) | (wrote, Self::Nothing) => wrote,
            (Self::ItemsOf(one), Self::ItemsOf(other)) if one.differs_from(&other).is_none() => {
                Self::ItemsOf(other)
            }
            _ => Self::Unknown,
        }
    }
}

impl Mark {
    /// Whether it is about `table`, as far as that is known.
    pub(crate) fn is_of(&self, table: &TableSchema) -> bool {
        self.table_id.is_none() || self.table_id == table_id(table)
    }
}

/// What a table is known by: another one of the same name has another id, or was created at another time.
pub(crate) fn table_id(table: &TableSchema) -> Option<String> {
    let description = table.description();
    description.table_id.clone().or_else(|| {
        description
            .creation_date_time
            .as_ref()
            .map(ToString::to_string)
    })
}

impl Marker {
    pub(crate) fn of(state_dir: &Path, environment: &Environment, table: &str) -> Self {
        let hash = xxhash_rust::xxh3::xxh3_128(state_key(environment, table).as_bytes());
        let path = state_dir.join(format!("unfinished-restore-{hash:032x}.json"));
        Self {
            table: format!("table {table} of environment {}", environment.name()),
            seen: stamps(&path),
            path,
        }
    }

    /// Sees that no other restore is writing the table.
    ///
    /// # Errors
    /// One is, on this machine and by this user.
    pub(crate) fn refuse_if_held(&self) -> Result<()> {
        FileLock::holder(&self.lock_path()).map_or(Ok(()), |holder| Err(self.held(&holder)))
    }

    /// Keeps other restores from the table for as long as the lock is held.
    ///
    /// # Errors
    /// Another restore is writing it, or was when this one was planned.
    pub(crate) fn lock(&self) -> Result<FileLock> {
        let mut is_held = false;
        let lock = FileLock::acquire(&self.lock_path(), |holder| {
            is_held = true;
            self.held(holder)
        });
        let lock = lock.map_err(|error| {
            if is_held {
                error
            } else {
                error.with_hint(UNWRITABLE_STATE)
            }
        })?;

        if stamps(&self.path) == self.seen {
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

    fn held(&self, holder: &str) -> Error {
        let lock = self.lock_path();
        Error::failed(format!(
            "{} is being restored by {holder} (lock `{}`)",
            self.table,
            lock.display()
        ))
        .with_hint("wait until that run has ended, or restore into another table with --table")
    }

    /// Its contents, if it exists.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn read(&self) -> Result<Option<Mark>> {
        if !self
            .path
            .try_exists()
            .map_err(|error| self.unreadable().with_source(error))?
        {
            return Ok(None);
        }

        let text =
            backup::read_text(&self.path).map_err(|error| self.unreadable().with_source(error))?;
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| self.unreadable().with_source(error))
    }

    /// The failure to read it. It may be all that records a temporary capacity, which costs money.
    pub(crate) fn unreadable(&self) -> Error {
        let path = self.path.display();
        Error::failed(format!("the record `{path}` of an unfinished restore into {} cannot be read", self.table))
            .with_hint(
                "it may say that the table has a temporary capacity: check billing and capacity of the table, then delete the file",
            )
    }

    /// Writes it, in place of a former one.
    pub(crate) fn leave(&self, target: &TableLocation, mark: &Mark) -> Result<()> {
        let text = serde_json::json!({
            "source": mark.source,
            "table": target.table,
            "environment": target.environment,
            "endpoint": target.endpoint,
            "since": chrono::Utc::now(),
            "created": mark.created,
            "wrote": mark.wrote,
            "table_id": mark.table_id,
            "boost": mark.boost,
        });

        place::write_marker(&self.path, text.to_string().as_bytes())
    }

    /// Where the checkpoint of the restore is kept.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        checkpoint_path(&self.path)
    }

    pub(crate) fn has_checkpoint(&self) -> bool {
        self.checkpoint().exists()
    }

    /// Sees that the next run begins anew.
    pub(crate) fn remove_checkpoint(&self) -> Result<()> {
        place::remove_marker(&self.checkpoint())
    }

    /// Removes it and the checkpoint, that one first: without a marker a checkpoint means nothing.
    pub(crate) fn remove(&self) -> Result<()> {
        self.remove_checkpoint()?;
        place::remove_marker(&self.path)
    }
}

fn checkpoint_path(marker: &Path) -> PathBuf {
    marker.with_extension("checkpoint.json")
}

fn stamps(marker: &Path) -> [Option<Stamp>; 2] {
    [marker.to_owned(), checkpoint_path(marker)].map(|path| {
        let found = std::fs::metadata(path).ok()?;
        Some((found.ino(), found.modified().ok()?))
    })
}
