//! The journal of a table that a restore writes: two files in the state directory, one pair per table and environment.

use std::path::Path;
use std::sync::Arc;

use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Reporter};
use crate::ops::identity::state_key;
use crate::ops::journal::{Job, RestoreJob};
use crate::place::{JournalFile, JournalStamp, LockRefusal, LockedJournal};

/// Hint if the state directory cannot be written, as in a container with a read-only file system.
const UNWRITABLE_STATE: &str = "name a folder that can be written by XDG_STATE_HOME";

/// The journal of one table.
#[derive(Debug)]
pub(crate) struct TableJournal {
    file: JournalFile,
    /// The table as messages name it.
    table: String,
    /// The journal when the restore was planned.
    planned: JournalStamp,
}

impl TableJournal {
    pub(crate) fn for_table(state_dir: &Path, environment: &Environment, table: &str) -> Self {
        let hash = xxhash_rust::xxh3::xxh3_128(state_key(environment, table).as_bytes());
        let file = JournalFile::in_state_dir(state_dir, &format!("restore-{hash:032x}"));
        Self {
            table: format!("table {table} of environment {}", environment.name()),
            planned: file.stamp(),
            file,
        }
    }

    /// Checks that no other restore holds the lock.
    ///
    /// # Errors
    /// Another restore of this user on this machine is writing the table.
    pub(crate) fn check_unlocked(&self) -> Result<()> {
        match self.file.holder() {
            Some((lock, holder)) => Err(self.locked_error(lock, &holder)),
            None => Ok(()),
        }
    }

    /// Locks the table against other restores. `None` if there is no folder for a journal, which is reported.
    ///
    /// # Errors
    /// Another restore is writing the table, or has written it since this one was planned; there are a journal or a lock file, which
    /// cannot be locked.
    pub(crate) fn lock(&self, reporter: &dyn Reporter) -> Result<Option<Arc<LockedJournal>>> {
        let locked = match self.file.clone().lock() {
            Ok(locked) => locked,
            Err(LockRefusal::Held { lock, holder }) => {
                return Err(self.locked_error(&lock, &holder));
            }
            Err(LockRefusal::NoPlace(error)) if self.file.existing_path().is_none() => {
                reporter.report(Event::Warning(format!(
                    "There is no place for a journal: {error}. An interrupted restore cannot be resumed, and a boost stays if this \
                     run is killed. To keep a journal, {UNWRITABLE_STATE}."
                )));
                return Ok(None);
            }
            Err(LockRefusal::NoPlace(error) | LockRefusal::Failed(error)) => {
                return Err(error.with_hint(UNWRITABLE_STATE));
            }
        };

        // The plan was made without the lock. If another restore ran since then, the plan is outdated.
        if self.file.stamp() == self.planned {
            return Ok(Some(Arc::new(locked)));
        }

        Err(Error::failed(format!(
            "another restore was writing {} while this one was planned",
            self.table
        ))
        .with_hint("run the same command again: it plans with the current state"))
    }

    fn locked_error(&self, lock: &Path, holder: &str) -> Error {
        Error::failed(format!(
            "{} is being restored by {holder} (lock `{}`)",
            self.table,
            lock.display()
        ))
        .with_hint("wait until it has finished, or restore into another table with --table")
    }

    /// Reads the journal; `None` if it does not exist.
    ///
    /// # Errors
    /// It exists and cannot be read.
    pub(crate) fn read(&self) -> Result<Option<RestoreJob>> {
        let job = self
            .file
            .read()
            .and_then(|content| content.as_deref().map(Job::parse).transpose())
            .map_err(|error| self.read_error().with_source(error))?;

        match job {
            None => Ok(None),
            Some(Job::Restore(job)) => Ok(Some(*job)),
            Some(Job::Dump(_)) => Err(self.read_error()),
        }
    }

    /// The error for an unreadable journal. It is an error because the journal may be the only record of a boost, which costs money.
    pub(crate) fn read_error(&self) -> Error {
        let path = self.file.existing_path().unwrap_or(Path::new("?"));
        Error::new(
            ErrorKind::Failed,
            format!(
                "the journal `{}` of an unfinished restore into {} cannot be read",
                path.display(),
                self.table
            ),
        )
        .with_hint(
            "it may record a temporary capacity of the table: check the table's billing and capacity, then delete the file",
        )
    }
}
