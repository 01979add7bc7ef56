//! The journal of a set that is restored, in the state directory: which tables are finished. A later run that resumes does not touch them
//! again. Each table has a journal of its own while it is restored.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::member::FinishedTable;
use crate::backup::{DumpSet, SetMember};
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::field::Field;
use crate::layout::counted;
use crate::ops::identity::StateKey;
use crate::ops::restore::{RestoreRequest, RestoreSummary, TableOutcome};
use crate::ops::run_blocking;
use crate::ops::set::mapping::MappedTable;
use crate::ops::table_location::TableLocation;
use crate::place::{JournalFile, JournalStamp, LockRefusal, LockedJournal};

/// The content of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SetRestoreJob {
    /// The set and the environment, for people who read the file.
    source: String,
    environment: String,
    /// Identity of the options that decide what is restored.
    options: String,
    /// The finished tables, by the name of the target.
    finished: BTreeMap<String, FinishedTable>,
}

/// The journal as a plan finds it.
#[derive(Debug)]
pub(super) struct SetJournal {
    state_dir: PathBuf,
    set: PathBuf,
    key: StateKey,
    /// The journal when the restore was planned; `None` if its name was not known yet.
    planned: Option<JournalStamp>,
    job: SetRestoreJob,
    /// The warning that the finished tables of an earlier run are restored again.
    discarded: Option<String>,
}

/// The journal of a running restore. It is locked until this is dropped.
pub(super) struct OpenSetJournal {
    locked: Arc<LockedJournal>,
    saved: Mutex<SavedJob>,
    writing: tokio::sync::Mutex<()>,
}

/// The content, and whether it was written.
struct SavedJob {
    job: SetRestoreJob,
    is_saved: bool,
}

impl SetJournal {
    /// The journal for restoring `set` into this environment; `None` without a state directory.
    ///
    /// # Errors
    /// It exists and cannot be read.
    pub(super) async fn find(
        environment: &Environment,
        place: &TableLocation,
        set: &DumpSet,
        request: &RestoreRequest,
    ) -> Result<Option<Self>> {
        let Some(state_dir) = request.state_dir.as_deref() else {
            return Ok(None);
        };

        let key = StateKey::new(environment, place).await;
        let file = journal_file(state_dir, set.path(), &key);
        let new = SetRestoreJob {
            source: set.path().display().to_string(),
            environment: environment.name().to_owned(),
            options: options_identity(request),
            finished: BTreeMap::new(),
        };
        let (job, discarded) = match read(&file)? {
            Some(saved) if saved.options != new.options => {
                let discarded = saved.discarded("it was run with other options");
                (new, discarded)
            }
            Some(saved) if !request.resume => {
                let discarded = saved.discarded(&format!("{} would skip them", Field::Resume));
                (new, discarded)
            }
            Some(saved) => (saved, None),
            None => (new, None),
        };

        Ok(Some(Self {
            state_dir: state_dir.to_owned(),
            set: set.path().to_owned(),
            planned: (!key.is_provisional()).then(|| file.stamp()),
            key,
            job,
            discarded,
        }))
    }

    /// The finished tables of the run that is resumed, by the name of the target.
    pub(super) fn finished(&self) -> &BTreeMap<String, FinishedTable> {
        &self.job.finished
    }

    /// The warning that the tables of an interrupted run are restored again.
    pub(super) fn discarded(&self) -> Option<&str> {
        self.discarded.as_deref()
    }

    /// Locks the journal for a run. `None` if there is no place for it, which is reported.
    ///
    /// # Errors
    /// Another run restores the set; the journal was changed since the plan; it cannot be locked.
    pub(super) fn open(self, reporter: &dyn Reporter) -> Result<Option<OpenSetJournal>> {
        // The file of an embedded database may have been created since.
        let file = journal_file(&self.state_dir, &self.set, &self.key);
        let locked = match file.lock() {
            Ok(locked) => locked,
            Err(LockRefusal::NoPlace(error)) => {
                reporter.report(Event::Warning(format!(
                    "There is no place for a journal: {error}. An interrupted restore will start over."
                )));
                return Ok(None);
            }
            Err(LockRefusal::Failed(error)) => return Err(error),
            Err(LockRefusal::Held { lock, holder }) => {
                return Err(Error::failed(format!(
                    "the set is being restored to environment {} by {holder} (lock `{}`)",
                    self.job.environment,
                    lock.display()
                ))
                .with_hint("wait until it has finished"));
            }
        };
        let is_current = |planned: JournalStamp| locked.file().stamp() == planned;
        if !self.planned.is_none_or(is_current) {
            return Err(Error::failed(
                "another run was restoring the set while this one was planned",
            )
            .with_hint("run the same command again: it plans with the current state"));
        }

        // The tables of the earlier run are restored again: a later run must not skip them.
        if self.job.finished.is_empty() {
            locked.remove()?;
        }

        Ok(Some(OpenSetJournal {
            locked: Arc::new(locked),
            saved: Mutex::new(SavedJob {
                job: self.job,
                is_saved: true,
            }),
            writing: tokio::sync::Mutex::new(()),
        }))
    }
}

impl SetRestoreJob {
    fn discarded(&self, reason: &str) -> Option<String> {
        (!self.finished.is_empty()).then(|| {
            format!(
                "An earlier restore of this set was interrupted. The {} that it finished will be restored again ({reason}).",
                counted(self.finished.len() as u64, "table")
            )
        })
    }
}

impl OpenSetJournal {
    /// Records a finished table. The journal is on disk when this returns.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) async fn finish(&self, target: String, table: FinishedTable) -> Result<()> {
        {
            let mut saved = self.saved();
            saved.job.finished.insert(target, table);
            saved.is_saved = false;
        }

        // While one write is running, others wait for it, and the next one is for all of them.
        let _writing = self.writing.lock().await;
        let content = {
            let mut saved = self.saved();
            if saved.is_saved {
                return Ok(());
            }

            saved.is_saved = true;
            to_content(&saved.job)?
        };
        let locked = Arc::clone(&self.locked);

        run_blocking("the journal", move || locked.write(&content)).await
    }

    /// Removes the journal: all tables are finished.
    ///
    /// # Errors
    /// It cannot be removed.
    pub(super) fn remove(&self) -> Result<()> {
        self.locked.remove()
    }

    fn saved(&self) -> MutexGuard<'_, SavedJob> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FinishedTable {
    /// The entry of a table after its restore. `None` if it must be restored again: it lacks items, or was not touched, or its dump
    /// cannot be identified.
    pub(super) fn new(
        table: &MappedTable,
        member: Option<&SetMember>,
        summary: &RestoreSummary,
    ) -> Option<Self> {
        let is_finished = summary.items_lost == 0 && summary.table != TableOutcome::Kept;
        let metadata_sha256 = metadata_sha256(member).filter(|_| is_finished)?;

        Some(Self {
            source: table.source.clone(),
            metadata_sha256: metadata_sha256.to_owned(),
            table_id: summary.table_id.clone(),
            items_written: summary.items_written,
            is_whole: summary.is_whole(),
        })
    }

    /// Whether this dump was restored.
    pub(super) fn is_of(&self, table: &MappedTable, member: Option<&SetMember>) -> bool {
        self.source == table.source && metadata_sha256(member) == Some(&self.metadata_sha256)
    }
}

fn metadata_sha256(member: Option<&SetMember>) -> Option<&str> {
    let dump = member?.dump.as_ref()?;
    Some(&dump.metadata_sha256)
}

/// The options that decide which items are written.
fn options_identity(request: &RestoreRequest) -> String {
    format!(
        "{:?} {} {}",
        request.content,
        request.on_conflict.word(),
        request.transform.identity().unwrap_or_default()
    )
}

fn journal_file(state_dir: &Path, set: &Path, key: &StateKey) -> JournalFile {
    let set = fs::canonicalize(set).unwrap_or_else(|_| set.to_owned());
    let key = format!("{}\n{key}", set.display());
    let hash = xxhash_rust::xxh3::xxh3_128(key.as_bytes());
    JournalFile::in_state_dir(state_dir, &format!("restore-set-{hash:032x}"))
}

fn read(file: &JournalFile) -> Result<Option<SetRestoreJob>> {
    let Some(content) = file.read()? else {
        return Ok(None);
    };

    let job = serde_json::from_slice(&content);
    job.map(Some)
        .map_err(|error| Error::damaged("the journal is not valid").with_source(error))
}

fn to_content(job: &SetRestoreJob) -> Result<Vec<u8>> {
    let mut content = serde_json::to_vec(job).map_err(|error| {
        Error::failed("the journal cannot be written as JSON").with_source(error)
    })?;
    content.push(b'\n');

    Ok(content)
}
