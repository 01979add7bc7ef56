//! The journal of a table that a restore writes, in the state directory: a lock and a journal by the location of the table, and a lock by
//! its ID. Environments with another name, or another spelling of the endpoint, use the same files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Reporter};
use crate::ops::identity::{StateKey, table_id};
use crate::ops::journal::{Job, RestoreJob};
use crate::ops::table_location::TableLocation;
use crate::place::{JournalFile, JournalStamp, LockRefusal, LockedJournal};
use crate::schema::TableSchema;

/// Hint if the state directory cannot be written, as in a container with a read-only file system.
const UNWRITABLE_STATE: &str = "name a folder that can be written by XDG_STATE_HOME";

/// The journal of one table.
#[derive(Debug)]
pub(crate) struct TableJournal {
    state_dir: PathBuf,
    key: StateKey,
    file: JournalFile,
    /// The lock of the existing table by its ID.
    id_lock: Option<JournalFile>,
    /// The table as messages name it.
    table: String,
    /// The journal when the restore was planned; `None` if its name was not known yet.
    planned: Option<JournalStamp>,
}

/// The locks of a table that is restored, until they are dropped.
#[derive(Debug, Default)]
pub(crate) struct TableLocks {
    /// `None` if there is no folder for a journal.
    pub(crate) journal: Option<Arc<LockedJournal>>,
    /// `None` until the table exists, and if it has no ID.
    pub(crate) id: Option<LockedJournal>,
}

impl TableJournal {
    /// The journal of a table at `location`, which is `existing` if it exists.
    pub(crate) async fn find(
        state_dir: &Path,
        environment: &Environment,
        location: &TableLocation,
        existing: Option<&TableSchema>,
    ) -> Self {
        let table = format!(
            "table {} of environment {}",
            location.table,
            environment.name()
        );
        let journal = |key: StateKey| {
            let file = journal_file(state_dir, &key);
            Self {
                state_dir: state_dir.to_owned(),
                planned: (!key.is_provisional()).then(|| file.stamp()),
                id_lock: existing.and_then(|existing| id_lock_file(state_dir, &key, existing)),
                table: table.clone(),
                key,
                file,
            }
        };

        let key = StateKey::new(environment, location).await;
        // The account is unknown until the table exists if neither the credentials nor STS name it.
        let earlier = journal(key.clone().without_account());
        let journal_of_account = journal(key);
        if journal_of_account.file.existing_path().is_none()
            && existing.is_some_and(|existing| earlier.is_of(existing))
        {
            earlier
        } else {
            journal_of_account
        }
    }

    /// Whether there is a journal with the ID of this table.
    fn is_of(&self, table: &TableSchema) -> bool {
        let job = self.read().ok().flatten();
        job.is_some_and(|job| job.table_id.is_some() && job.table_id == table_id(table))
    }

    /// Checks that no other restore holds a lock of the table.
    ///
    /// # Errors
    /// Another restore of this user on this machine is writing the table.
    pub(crate) fn check_unlocked(&self) -> Result<()> {
        let mut files = std::iter::once(&self.file).chain(&self.id_lock);
        match files.find_map(JournalFile::holder) {
            Some((lock, holder)) => Err(self.locked_error(lock, &holder)),
            None => Ok(()),
        }
    }

    /// Locks the table against other restores. Reports if there is no folder for a journal.
    ///
    /// # Errors
    /// Another restore is writing the table, or has written it since this one was planned; there are a journal or a lock file, which
    /// cannot be locked.
    pub(crate) fn lock(&self, reporter: &dyn Reporter) -> Result<TableLocks> {
        // The file of an embedded database may have been created since.
        let file = journal_file(&self.state_dir, &self.key);
        let locked = match file.clone().lock() {
            Ok(locked) => locked,
            Err(LockRefusal::NoPlace(error)) if file.existing_path().is_none() => {
                reporter.report(Event::Warning(format!(
                    "There is no place for a journal: {error}. An interrupted restore cannot be resumed, and a boost stays if this \
                     run is killed. To keep a journal, {UNWRITABLE_STATE}."
                )));
                return Ok(TableLocks::default());
            }
            Err(refusal) => return Err(self.refused(refusal)),
        };

        // The plan was made without the lock. If another restore ran since then, the plan is outdated.
        if self
            .planned
            .as_ref()
            .is_none_or(|planned| file.stamp() == *planned)
        {
            return Ok(TableLocks {
                journal: Some(Arc::new(locked)),
                id: self.lock_file(self.id_lock.as_ref())?,
            });
        }

        Err(Error::failed(format!(
            "another restore was writing {} while this one was planned",
            self.table
        ))
        .with_hint("run the same command again: it plans with the current state"))
    }

    /// Locks a table that was created, by its ID.
    ///
    /// # Errors
    /// Another restore is writing the table.
    pub(crate) fn lock_created(&self, created: &TableSchema) -> Result<Option<LockedJournal>> {
        let file = id_lock_file(&self.state_dir, &self.key, created);
        self.lock_file(file.as_ref())
    }

    fn lock_file(&self, file: Option<&JournalFile>) -> Result<Option<LockedJournal>> {
        let lock = |file: &JournalFile| file.clone().lock();
        let locked = file.map(lock).transpose();
        locked.map_err(|refusal| self.refused(refusal))
    }

    fn refused(&self, refusal: LockRefusal) -> Error {
        match refusal {
            LockRefusal::Held { lock, holder } => self.locked_error(&lock, &holder),
            LockRefusal::NoPlace(error) | LockRefusal::Failed(error) => {
                error.with_hint(UNWRITABLE_STATE)
            }
        }
    }

    fn locked_error(&self, lock: &Path, holder: &str) -> Error {
        Error::failed(format!(
            "{} is being restored by {holder} (lock `{}`)",
            self.table,
            lock.display()
        ))
        .with_hint("wait until it has finished, or choose another target table")
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
            Some(Job::Dump(_) | Job::Backup(_)) => Err(self.read_error()),
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

fn journal_file(state_dir: &Path, key: &StateKey) -> JournalFile {
    state_file(state_dir, "restore", &key.to_string())
}

fn id_lock_file(state_dir: &Path, key: &StateKey, table: &TableSchema) -> Option<JournalFile> {
    let id = key.of_id(table)?;
    Some(state_file(state_dir, "table", &id))
}

fn state_file(state_dir: &Path, kind: &str, key: &str) -> JournalFile {
    let hash = xxhash_rust::xxh3::xxh3_128(key.as_bytes());
    JournalFile::in_state_dir(state_dir, &format!("{kind}-{hash:032x}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::{EnvironmentRequest, ProcessEnvironment};
    use crate::event::SilentReporter;
    use crate::ops::journal::WrittenItems;

    const ACCOUNT: &str = "123456789012";

    fn table(id: &str) -> TableSchema {
        let document = format!(
            r#"{{"TableName":"films","TableId":"{id}","KeySchema":[],"AttributeDefinitions":[]}}"#
        );
        TableSchema::parse(document.as_bytes()).unwrap()
    }

    fn job(id: &str) -> RestoreJob {
        RestoreJob {
            table: "films".to_owned(),
            environment: "dev".to_owned(),
            endpoint: None,
            since: chrono::Utc::now(),
            source: "out".to_owned(),
            created: true,
            backup_arn: None,
            schema: None,
            was_empty: false,
            wrote: WrittenItems::Unknown,
            table_id: Some(id.to_owned()),
            boost: None,
            progress: None,
        }
    }

    #[tokio::test]
    async fn a_journal_from_before_the_account_was_known_is_found_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let request = EnvironmentRequest {
            no_env: true,
            region: Some("eu-west-1".to_owned()),
            working_dir: folder.path().to_owned(),
            ..EnvironmentRequest::default()
        };
        let environment = Environment::resolve(&request, &ProcessEnvironment::default()).unwrap();
        let unknown = TableLocation::new(&environment, "films", "");
        let known = TableLocation {
            account: Some(ACCOUNT.to_owned()),
            ..unknown.clone()
        };

        let first = TableJournal::find(folder.path(), &environment, &unknown, None).await;
        let locks = first.lock(&SilentReporter).unwrap();
        let content = Job::Restore(Box::new(job("a"))).to_content().unwrap();
        locks.journal.unwrap().write(&content).unwrap();

        let found = |id| {
            let (folder, environment, known) = (folder.path(), &environment, &known);
            async move {
                let existing = table(id);
                let journal = TableJournal::find(folder, environment, known, Some(&existing)).await;
                journal.read().unwrap()
            }
        };
        assert!(found("a").await.is_some());
        assert!(found("b").await.is_none());
    }
}
