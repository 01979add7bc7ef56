//! The journal of several tables that are restored or copied, in the state directory: which tables are finished. A later run that resumes
//! does not touch them again. Each table has a journal of its own while it is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::mapping::MappedTable;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::field::Field;
use crate::layout::counted;
use crate::ops::identity::{StateKey, table_id};
use crate::ops::restore::{RestoreRequest, RestoreSummary, TableOutcome};
use crate::ops::run_blocking;
use crate::ops::table_location::TableLocation;
use crate::place::{JournalFile, JournalStamp, LockRefusal, LockedJournal};
use crate::schema::TableSchema;

/// Several tables that are written together.
#[derive(Debug)]
pub(super) struct SetWork {
    pub(super) kind: SetKind,
    /// Its source, for people who read the journal.
    pub(super) source: String,
    /// Identity of its source and of the selection of tables.
    pub(super) identity: String,
    /// Identity of the options of the source that decide which items are written.
    pub(super) options: String,
}

/// A restore or a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetKind {
    Restore,
    Copy,
}

impl SetKind {
    fn noun(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Copy => "copy",
        }
    }

    fn participle(self) -> &'static str {
        match self {
            Self::Restore => "restored",
            Self::Copy => "copied",
        }
    }
}

/// A table that an interrupted run has finished, as the journal records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedTable {
    /// Name of its source: the table that was dumped or copied.
    pub source: String,
    /// Digest of the dump's metadata, or ID of the table that was copied.
    source_id: String,
    /// ID of the table that was written.
    table_id: Option<String>,
    /// Number of items that were written.
    pub items_written: u64,
    /// Whether every item was written and every setting was applied.
    pub is_whole: bool,
}

/// The content of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SetJob {
    /// The source and the environment, for people who read the file.
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
    work: SetWork,
    key: StateKey,
    /// The journal when the run was planned; `None` if its name was not known yet.
    planned: Option<JournalStamp>,
    job: SetJob,
    /// The warning that the finished tables of an earlier run are written again.
    discarded: Option<String>,
}

/// The journal of a run. It is locked until this is dropped.
pub(super) struct OpenSetJournal {
    locked: Arc<LockedJournal>,
    saved: Mutex<SavedJob>,
    writing: tokio::sync::Mutex<()>,
}

/// The content, and whether it was written.
struct SavedJob {
    job: SetJob,
    is_saved: bool,
}

impl SetJournal {
    /// The journal for writing these tables into this environment; `None` without a state directory.
    ///
    /// # Errors
    /// It exists and cannot be read.
    pub(super) async fn find(
        environment: &Environment,
        place: &TableLocation,
        work: SetWork,
        request: &RestoreRequest,
    ) -> Result<Option<Self>> {
        let Some(state_dir) = request.state_dir.as_deref() else {
            return Ok(None);
        };

        let key = StateKey::new(environment, place).await;
        let file = journal_file(state_dir, &work, &key);
        let new = SetJob {
            source: work.source.clone(),
            environment: environment.name().to_owned(),
            options: options_identity(&work, request),
            finished: BTreeMap::new(),
        };
        let (job, discarded) = match read(&file)? {
            Some(saved) if saved.options != new.options => {
                let discarded = saved.discarded(work.kind, "it was run with other options");
                (new, discarded)
            }
            Some(saved) if !request.resume => {
                let discarded =
                    saved.discarded(work.kind, &format!("{} would skip them", Field::Resume));
                (new, discarded)
            }
            Some(saved) => (saved, None),
            None => (new, None),
        };

        Ok(Some(Self {
            state_dir: state_dir.to_owned(),
            planned: (!key.is_provisional()).then(|| file.stamp()),
            key,
            work,
            job,
            discarded,
        }))
    }

    /// Whether the run that is resumed has finished the table with this target.
    pub(super) fn has_finished(&self, table: &MappedTable) -> bool {
        self.job.finished.contains_key(&table.target)
    }

    /// The record of a finished table, if it is still that table with the same source.
    pub(super) fn finished_table(
        &self,
        table: &MappedTable,
        source_id: Option<&str>,
        existing: Option<&TableSchema>,
    ) -> Option<&FinishedTable> {
        self.job
            .finished
            .get(&table.target)
            .filter(|finished| finished.source == table.source)
            .filter(|finished| source_id == Some(&finished.source_id))
            .filter(|finished| existing.is_some_and(|table| table_id(table) == finished.table_id))
    }

    /// The warning that the tables of an interrupted run are written again.
    pub(super) fn discarded(&self) -> Option<&str> {
        self.discarded.as_deref()
    }

    /// Locks the journal for a run. `None` if there is no place for it, which is reported.
    ///
    /// # Errors
    /// Another run writes these tables; the journal was changed since the plan; it cannot be locked.
    pub(super) fn open(&self, reporter: &dyn Reporter) -> Result<Option<OpenSetJournal>> {
        // The file of an embedded database may have been created since.
        let file = journal_file(&self.state_dir, &self.work, &self.key);
        let (noun, participle) = (self.work.kind.noun(), self.work.kind.participle());
        let locked = match file.lock() {
            Ok(locked) => locked,
            Err(LockRefusal::NoPlace(error)) => {
                reporter.report(Event::Warning(format!(
                    "There is no place for a journal: {error}. An interrupted {noun} will start over."
                )));
                return Ok(None);
            }
            Err(LockRefusal::Failed(error)) => return Err(error),
            Err(LockRefusal::Held { lock, holder }) => {
                return Err(Error::failed(format!(
                    "the tables of {} are being {participle} to environment {} by {holder} (lock `{}`)",
                    self.work.source,
                    self.job.environment,
                    lock.display()
                ))
                .with_hint("wait until it has finished"));
            }
        };
        let is_current = |planned: JournalStamp| locked.file().stamp() == planned;
        if !self.planned.clone().is_none_or(is_current) {
            return Err(Error::failed(format!(
                "another run has {participle} the tables since this one was planned"
            ))
            .with_hint("run the same command again: it plans with the current state"));
        }

        // The tables of the earlier run are written again: a later run must not skip them.
        if self.job.finished.is_empty() {
            locked.remove()?;
        }

        Ok(Some(OpenSetJournal {
            locked: Arc::new(locked),
            saved: Mutex::new(SavedJob {
                job: self.job.clone(),
                is_saved: true,
            }),
            writing: tokio::sync::Mutex::new(()),
        }))
    }
}

/// The restore or copy of several tables in the content of a journal, in words; `None` if it is the journal of something else.
pub(crate) fn in_words(content: &[u8]) -> Option<String> {
    let job: SetJob = serde_json::from_slice(content).ok()?;
    let finished = counted(job.finished.len() as u64, "table");

    Some(format!(
        "several tables of {} into environment {}, {finished} finished",
        job.source, job.environment
    ))
}

impl SetJob {
    fn discarded(&self, kind: SetKind, reason: &str) -> Option<String> {
        (!self.finished.is_empty()).then(|| {
            format!(
                "An earlier {} of these tables was interrupted. The {} that it finished will be {} again ({reason}).",
                kind.noun(),
                counted(self.finished.len() as u64, "table"),
                kind.participle()
            )
        })
    }
}

impl OpenSetJournal {
    /// Records a table after its run, unless it must be written again. The journal is on disk when this returns. Without the record, a
    /// resumed run writes the table again.
    pub(super) async fn record(
        &self,
        table: &MappedTable,
        source_id: Option<&str>,
        summary: &RestoreSummary,
        reporter: &dyn Reporter,
    ) {
        let Some(finished) = FinishedTable::new(table, source_id, summary) else {
            return;
        };

        if let Err(error) = self.finish(table.target.clone(), finished).await {
            reporter.report(Event::Warning(format!(
                "A resumed run would not skip this table: {error}"
            )));
        }
    }

    async fn finish(&self, target: String, table: FinishedTable) -> Result<()> {
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
    pub(super) fn remove(&self, reporter: &dyn Reporter) {
        if let Err(error) = self.locked.remove() {
            reporter.report(Event::Warning(error.to_string()));
        }
    }

    fn saved(&self) -> MutexGuard<'_, SavedJob> {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FinishedTable {
    /// The entry of a table after its run. `None` if it must be written again: it lacks items, or was not touched, or its source cannot
    /// be identified.
    fn new(table: &MappedTable, source_id: Option<&str>, summary: &RestoreSummary) -> Option<Self> {
        let is_finished = summary.items_lost == 0 && summary.table != TableOutcome::Kept;
        let source_id = source_id.filter(|_| is_finished)?;

        Some(Self {
            source: table.source.clone(),
            source_id: source_id.to_owned(),
            table_id: summary.table_id.clone(),
            items_written: summary.items_written,
            is_whole: summary.is_whole(),
        })
    }
}

/// The options that decide which items are written.
fn options_identity(work: &SetWork, request: &RestoreRequest) -> String {
    format!(
        "{}{:?} {} {}",
        work.options,
        request.content,
        request.on_conflict.word(),
        request.transform.identity().unwrap_or_default()
    )
}

fn journal_file(state_dir: &Path, work: &SetWork, key: &StateKey) -> JournalFile {
    let key = format!("{}\n{key}", work.identity);
    let hash = xxhash_rust::xxh3::xxh3_128(key.as_bytes());
    let noun = work.kind.noun();

    JournalFile::in_state_dir(state_dir, &format!("{noun}-set-{hash:032x}"))
}

fn read(file: &JournalFile) -> Result<Option<SetJob>> {
    let Some(content) = file.read()? else {
        return Ok(None);
    };

    let job = serde_json::from_slice(&content);
    job.map(Some)
        .map_err(|error| Error::damaged("the journal is not valid").with_source(error))
}

fn to_content(job: &SetJob) -> Result<Vec<u8>> {
    let mut content = serde_json::to_vec(job).map_err(|error| {
        Error::failed("the journal cannot be written as JSON").with_source(error)
    })?;
    content.push(b'\n');

    Ok(content)
}
