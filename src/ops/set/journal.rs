//! The journal of several tables that are restored or copied, in the state directory: which tables are finished. A later run that resumes
//! does not touch them again. Each table has a journal of its own while it is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::interrupted::InterruptedSet;
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
use crate::place::{
    JournalFile, JournalLines, JournalStamp, LockRefusal, LockedJournal, RecordedLines,
};
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

/// The first line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SetJob {
    /// The source and the environment, for people who read the file.
    source: String,
    environment: String,
    /// Start of the run that wrote the line: no two runs write the same.
    started_at: DateTime<Utc>,
    /// Identity of the options that decide what is restored.
    options: String,
}

/// A further line of the journal.
#[derive(Debug, Serialize, Deserialize)]
struct FinishedTarget {
    /// Name of the table that was written.
    target: String,
    #[serde(flatten)]
    table: FinishedTable,
}

/// The finished tables, by the name of the target.
type FinishedTables = BTreeMap<String, FinishedTable>;

/// The journal as a plan finds it.
#[derive(Debug)]
pub(super) struct SetJournal {
    state_dir: PathBuf,
    work: SetWork,
    key: StateKey,
    /// The journal when the run was planned; `None` if its name was not known yet.
    planned: Option<JournalStamp>,
    job: SetJob,
    /// The tables that the run that is resumed has finished; without one, none.
    resumed: FinishedTables,
    /// The tables that an interrupted run with the same options has finished.
    interrupted: Option<FinishedTables>,
    /// The warning that the finished tables of an earlier run are written again.
    discarded: Option<String>,
}

/// The journal of a run. It is locked until this is dropped.
pub(super) struct OpenSetJournal {
    locked: LockedJournal,
    lines: Arc<JournalLines>,
    appended: AtomicU64,
    /// The number of records that are on disk. Locked while others are brought there.
    synced: tokio::sync::Mutex<u64>,
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
        let job = SetJob {
            source: work.source.clone(),
            environment: environment.name().to_owned(),
            started_at: Utc::now(),
            options: options_identity(&work, request),
        };
        let mut interrupted = None;
        let (resumed, discarded) = match read(&file)? {
            Some((found, finished)) if found.options != job.options => {
                let discarded = discarded(work.kind, &finished, "it was run with other options");
                (FinishedTables::new(), discarded)
            }
            Some((_, finished)) => {
                interrupted = Some(finished.clone());
                if request.resume {
                    (finished, None)
                } else {
                    let reason = format!("{} would skip them", Field::Resume);
                    (
                        FinishedTables::new(),
                        discarded(work.kind, &finished, &reason),
                    )
                }
            }
            None => (FinishedTables::new(), None),
        };

        Ok(Some(Self {
            state_dir: state_dir.to_owned(),
            planned: (!key.is_provisional()).then(|| file.stamp()),
            key,
            work,
            job,
            resumed,
            interrupted,
            discarded,
        }))
    }

    /// How far an interrupted run with the same options is, if there is one.
    pub(super) fn interrupted(&self, tables: &[MappedTable]) -> Option<InterruptedSet> {
        let finished = self.interrupted.as_ref()?;
        let is_finished = |table: &&MappedTable| finished.contains_key(&table.target);

        Some(InterruptedSet {
            finished: tables.iter().filter(is_finished).count() as u64,
            tables: tables.len() as u64,
        })
    }

    /// Whether the run that is resumed has finished the table with this target.
    pub(super) fn has_finished(&self, table: &MappedTable) -> bool {
        self.resumed.contains_key(&table.target)
    }

    /// The record of a finished table, if it is still that table with the same source.
    pub(super) fn finished_table(
        &self,
        table: &MappedTable,
        source_id: Option<&str>,
        existing: Option<&TableSchema>,
    ) -> Option<&FinishedTable> {
        self.resumed
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

        // On disk before the first change: the tables that are written again must not be skipped by a later run. From here on, a later
        // run knows that this one was interrupted.
        let lines = locked.begin_lines(&RecordedLines {
            first: line(&self.job)?,
            records: self
                .resumed
                .iter()
                .map(|(target, table)| record(target, table))
                .collect::<Result<_>>()?,
        })?;

        Ok(Some(OpenSetJournal {
            locked,
            lines: Arc::new(lines),
            appended: AtomicU64::new(0),
            synced: tokio::sync::Mutex::new(0),
        }))
    }
}

/// The restore or copy of several tables that a journal describes, in words; `None` if it is the journal of something else, or cannot be
/// read.
pub(crate) fn in_words(file: &JournalFile) -> Option<String> {
    let (job, finished) = read(file).ok()??;

    Some(format!(
        "several tables of {} into environment {}, {} finished",
        job.source,
        job.environment,
        counted(finished.len() as u64, "table")
    ))
}

fn discarded(kind: SetKind, finished: &FinishedTables, reason: &str) -> Option<String> {
    (!finished.is_empty()).then(|| {
        format!(
            "An earlier {} of these tables was interrupted. The {} that it finished will be {} again ({reason}).",
            kind.noun(),
            counted(finished.len() as u64, "table"),
            kind.participle()
        )
    })
}

impl OpenSetJournal {
    /// Records a table after its run, unless it must be written again. The record is on disk when this returns. Without it, a resumed
    /// run writes the table again.
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

        if let Err(error) = self.finish(&table.target, &finished).await {
            reporter.report(Event::Warning(format!(
                "A resumed run would not skip this table: {error}"
            )));
        }
    }

    async fn finish(&self, target: &str, table: &FinishedTable) -> Result<()> {
        self.lines.append(&record(target, table)?)?;
        let position = self.appended.fetch_add(1, Ordering::Relaxed) + 1;

        // While one sync is running, others wait for it, and the next one is for all of them.
        let mut synced = self.synced.lock().await;
        if *synced >= position {
            return Ok(());
        }

        let appended = self.appended.load(Ordering::Relaxed);
        let lines = Arc::clone(&self.lines);
        run_blocking("the journal", move || lines.sync()).await?;
        *synced = appended;

        Ok(())
    }

    /// Ends the run: removes the journal if all tables are finished, and makes durable that those of the tables were removed.
    pub(super) fn end(&self, is_done: bool, reporter: &dyn Reporter) {
        let ended = if is_done {
            self.locked.remove()
        } else {
            self.locked.sync_removals()
        };

        if let Err(error) = ended {
            reporter.report(Event::Warning(error.to_string()));
        }
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
        request.write.on_conflict.word(),
        request.transform.identity().unwrap_or_default()
    )
}

fn journal_file(state_dir: &Path, work: &SetWork, key: &StateKey) -> JournalFile {
    let key = format!("{}\n{key}", work.identity);
    let hash = xxhash_rust::xxh3::xxh3_128(key.as_bytes());
    let noun = work.kind.noun();

    JournalFile::in_state_dir(state_dir, &format!("{noun}-set-{hash:032x}"))
}

fn read(file: &JournalFile) -> Result<Option<(SetJob, FinishedTables)>> {
    let Some(RecordedLines { first, records }) = file.read_lines()? else {
        return Ok(None);
    };

    let job = parse(&first)?;
    let finished: Result<Vec<FinishedTarget>> = records.iter().map(|line| parse(line)).collect();
    let finished = finished?
        .into_iter()
        .map(|FinishedTarget { target, table }| (target, table));

    Ok(Some((job, finished.collect())))
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T> {
    serde_json::from_slice(line)
        .map_err(|error| Error::damaged("the journal is not valid").with_source(error))
}

/// A record of the journal.
fn record(target: &str, table: &FinishedTable) -> Result<Vec<u8>> {
    to_json(&FinishedTarget {
        target: target.to_owned(),
        table: table.clone(),
    })
}

/// The first line of the journal.
fn line(job: &SetJob) -> Result<Vec<u8>> {
    let mut line = to_json(job)?;
    line.push(b'\n');

    Ok(line)
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|error| Error::failed("the journal cannot be written as JSON").with_source(error))
}
