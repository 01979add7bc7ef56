//! Writes the journal of the job that is running.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::job::Job;
use super::restore_job::{RestoreJob, RestoreProgress};
use super::settled::{Position, Settling};
use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::field::Field;
use crate::ops::run_blocking;
use crate::place::LockedJournal;

/// Time before the first save: short transfers save nothing, because a later run repeats them in less time.
const FIRST_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum time between two saves, unless one takes longer: how much work an interruption may repeat.
const MAX_INTERVAL: Duration = Duration::from_secs(2);

/// The interval is this many times as long as a save takes.
const INTERVAL_FACTOR: u32 = 10;

/// The journal of the job that is running, and the background task that saves its progress.
pub(crate) struct Journal {
    /// As it was last written.
    job: Job,
    /// `None` without a place for a journal.
    file: Option<Arc<LockedJournal>>,
    /// Whether this run has committed something.
    is_committed: bool,
    task: Option<JoinHandle<Result<Option<SavedJob>>>>,
    /// Whether the progress is saved at the end of the transfer, however short it was.
    saves_at_end: bool,
    /// Start of the transfer until then.
    last_saved: Instant,
    interval: Duration,
    min_interval: Duration,
    /// Whether the user knows that the progress cannot be saved.
    has_warned: bool,
    reporter: Arc<dyn Reporter>,
}

/// A job that the background task has written.
struct SavedJob {
    job: Job,
    took: Duration,
}

impl Journal {
    /// A journal of which nothing has been written yet. Its progress is saved at intervals of at least `min_interval`.
    pub(crate) fn new(
        job: Job,
        file: Option<Arc<LockedJournal>>,
        min_interval: Duration,
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        Self {
            job,
            file,
            is_committed: false,
            task: None,
            saves_at_end: false,
            last_saved: Instant::now(),
            interval: FIRST_INTERVAL,
            min_interval,
            has_warned: false,
            reporter,
        }
    }

    /// Whether this run has committed something.
    pub(crate) fn is_committed(&self) -> bool {
        self.is_committed
    }

    /// Whether there is a place for the journal.
    pub(crate) fn has_file(&self) -> bool {
        self.file.is_some()
    }

    /// The progress of a restore.
    pub(crate) fn restore_progress(&self) -> Option<&RestoreProgress> {
        match &self.job {
            Job::Restore(job) => job.progress.as_ref(),
            Job::Dump(_) | Job::Backup(_) => None,
        }
    }

    /// Changes the record of a restore. The change is on disk when this returns.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub(crate) async fn commit(&mut self, change: impl FnOnce(&mut RestoreJob)) -> Result<()> {
        self.edit(change).await;
        let Some(file) = self.file.clone() else {
            return Ok(());
        };

        let content = self.job.to_content()?;
        run_blocking("writing the journal", move || file.write(&content)).await?;
        self.is_committed = true;

        Ok(())
    }

    /// Changes the record of a restore without writing it: the next write includes the change.
    pub(crate) async fn edit(&mut self, change: impl FnOnce(&mut RestoreJob)) {
        self.wait().await;
        if let Job::Restore(job) = &mut self.job {
            change(job);
        }
    }

    /// Removes the journal of a job that has ended. The removal is durable when this returns.
    ///
    /// # Errors
    /// An I/O error.
    pub(crate) async fn remove(&mut self) -> Result<()> {
        self.wait().await;
        match self.file.clone() {
            Some(file) => run_blocking("removing the journal", move || file.remove()).await,
            None => Ok(()),
        }
    }

    /// The same, but the caller makes the removal durable before it reports that the job has ended.
    ///
    /// # Errors
    /// An I/O error.
    pub(crate) async fn remove_unsynced(&mut self) -> Result<()> {
        self.wait().await;
        self.file
            .as_ref()
            .map_or(Ok(()), |file| file.remove_unsynced())
    }

    /// Saves the progress at the end of a transfer, however short it was: the job continues with what must not be followed by a
    /// repetition of the transfer.
    pub(crate) fn save_short_transfers(&mut self) {
        self.saves_at_end = true;
    }

    /// Notes that the transfer starts. Until now, the job may have waited for its table.
    pub(crate) fn begin_transfer(&mut self) {
        self.last_saved = Instant::now();
    }

    /// Whether the progress of a transfer that has ended is worth saving, for what the job does afterwards.
    pub(crate) fn is_worth_saving(&self) -> bool {
        self.saves_at_end || self.last_saved.elapsed() >= FIRST_INTERVAL
    }

    /// Whether it is time to save the progress.
    pub(crate) fn is_due(&self) -> bool {
        self.file.is_some()
            && self.last_saved.elapsed() >= self.interval
            && self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Starts to save what a sink has settled. If that fails, the job continues with a warning, and the previous progress remains
    /// valid.
    pub(crate) async fn save<P: Position>(&mut self, settling: Settling<P>) {
        self.wait().await;
        let Some(file) = self.file.clone() else {
            return;
        };

        let mut job = self.job.clone();
        self.saves_at_end = true;
        self.last_saved = Instant::now();
        self.task = Some(tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            let Some(settled) = settling()? else {
                return Ok(None);
            };

            P::record(settled, &mut job);
            file.write(&job.to_content()?)?;
            let took = started.elapsed();

            Ok(Some(SavedJob { job, took }))
        }));
    }

    /// Saves what a sink has settled, and waits until it is on disk.
    pub(crate) async fn save_now<P: Position>(&mut self, settling: Settling<P>) {
        self.save(settling).await;
        self.wait().await;
    }

    /// Waits until the background task has ended.
    pub(crate) async fn wait(&mut self) {
        let Some(task) = self.task.take() else {
            return;
        };

        let cut_off = |error| Err(Error::failed("saving stopped unexpectedly").with_source(error));
        match task.await.unwrap_or_else(cut_off) {
            Ok(Some(SavedJob { job, took })) => {
                self.interval = (took * INTERVAL_FACTOR).clamp(self.min_interval, MAX_INTERVAL);
                self.job = job;

                // Nobody needs it before the next save, and it may contain megabytes.
                if let Job::Dump(job) = &mut self.job {
                    job.progress = None;
                }
            }
            Ok(None) => {}
            Err(error) => self.warn(&error),
        }
    }

    /// Warns that the progress cannot be saved, but only once.
    fn warn(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.has_warned, true) {
            let message = format!(
                "Progress cannot be saved: {error}. After an interruption, {resume} repeats what was done since the last save.",
                resume = Field::Resume
            );
            self.reporter.report(Event::Warning(message));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use chrono::Utc;

    use super::*;
    use crate::ops::journal::{Settled, SettledTable, SinkState, WrittenItems};
    use crate::ops::sink::table::{RestoreCounts, WriteCosts};
    use crate::ops::source::lanes::LanePositions;
    use crate::place::JournalFile;

    /// Collects warnings.
    #[derive(Default)]
    struct Warnings(Mutex<Vec<String>>);

    impl Reporter for Warnings {
        fn report(&self, event: Event) {
            if let Event::Warning(text) = event {
                self.0.lock().unwrap().push(text);
            }
        }
    }

    fn journal(folder: &Path, warnings: &Arc<Warnings>) -> Journal {
        let file = JournalFile::in_state_dir(folder, "one").lock().unwrap();
        let job = RestoreJob {
            table: "films".to_owned(),
            environment: "dev".to_owned(),
            endpoint: None,
            since: Utc::now(),
            source: "out".to_owned(),
            created: true,
            backup_arn: None,
            schema: None,
            was_empty: false,
            wrote: WrittenItems::Nothing,
            table_id: None,
            boost: None,
            progress: Some(RestoreProgress::new(None, LanePositions::Whole { mark: 0 })),
        };

        Journal::new(
            Job::Restore(Box::new(job)),
            Some(Arc::new(file)),
            Duration::ZERO,
            Arc::clone(warnings) as Arc<dyn Reporter>,
        )
    }

    /// Everything before `position` is settled.
    fn settling(position: u64) -> Settling<u64> {
        Box::new(move || {
            Ok(Some(Settled {
                positions: vec![position],
                state: SinkState::Table(Box::new(SettledTable {
                    counts: RestoreCounts::default(),
                    costs: WriteCosts::default(),
                    rejects: None,
                    conflicts: None,
                })),
            }))
        })
    }

    /// The table ID and the position in the file.
    fn stored(folder: &Path) -> (Option<String>, Vec<u64>) {
        let file = JournalFile::in_state_dir(folder, "one");
        let content = file.read().unwrap().expect("there is a journal");
        let Job::Restore(job) = Job::parse(&content).unwrap() else {
            panic!("a restore");
        };

        (job.table_id, job.progress.expect("progress").lanes.marks())
    }

    #[tokio::test]
    async fn commits_and_saves_do_not_undo_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = journal(dir.path(), &Arc::default());
        assert!(!journal.is_committed());
        journal.save(settling(1)).await;
        journal
            .commit(|job| job.table_id = Some("id".to_owned()))
            .await
            .unwrap();
        assert_eq!(stored(dir.path()), (Some("id".to_owned()), vec![1]));
        assert!(journal.is_committed());

        journal.save_now(settling(2)).await;
        assert_eq!(stored(dir.path()), (Some("id".to_owned()), vec![2]));

        journal.save(settling(3)).await;
        journal.remove().await.unwrap();
        drop(journal);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn progress_that_cannot_be_saved_is_a_warning_once_and_a_commit_is_an_error() {
        let (dir, warnings) = (tempfile::tempdir().unwrap(), Arc::default());
        let mut journal = journal(dir.path(), &warnings);
        journal.save_now(settling(1)).await;

        // A folder cannot be replaced by a file.
        let path = dir.path().join("one.journal");
        let kept = dir.path().join("kept");
        std::fs::rename(&path, &kept).unwrap();
        std::fs::create_dir(&path).unwrap();
        journal.save_now(settling(2)).await;
        journal.save_now(settling(3)).await;
        assert!(journal.commit(|job| job.created = false).await.is_err());
        assert!(!journal.is_committed());
        {
            let warnings = warnings.0.lock().unwrap();
            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].contains("one.journal"), "{warnings:?}");
        }

        // Once it can be written, it is.
        std::fs::remove_dir(&path).unwrap();
        std::fs::rename(&kept, &path).unwrap();
        assert_eq!(stored(dir.path()), (None, vec![1]));
        journal.save_now(settling(4)).await;
        assert_eq!(stored(dir.path()), (None, vec![4]));
    }

    #[tokio::test]
    async fn what_cannot_be_settled_is_not_saved() {
        let (dir, warnings) = (tempfile::tempdir().unwrap(), Arc::default());
        let mut journal = journal(dir.path(), &warnings);
        journal.save_now(settling(1)).await;
        journal
            .save_now::<u64>(Box::new(|| Err(Error::failed("the disk is full"))))
            .await;
        journal.save_now::<u64>(Box::new(|| Ok(None))).await;
        assert_eq!(stored(dir.path()), (None, vec![1]));
        assert_eq!(warnings.0.lock().unwrap().len(), 1);
    }
}
