//! Writes the journal of the job that is running.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::job::Job;
use super::restore_job::{RestoreJob, RestoreProgress};
use super::settled::{Position, Settling};
use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::ops::run_blocking;
use crate::place::LockedJournal;

/// Time before the first save: short jobs save nothing.
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

    /// The progress of a restore.
    pub(crate) fn restore_progress(&self) -> Option<&RestoreProgress> {
        match &self.job {
            Job::Restore(job) => job.progress.as_ref(),
            Job::Dump(_) => None,
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

        let cut_off = |error| Err(Error::failed("saving was cut off").with_source(error));
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
                "Progress cannot be saved: {error}. After an interruption, --resume repeats what was done since the last save."
            );
            self.reporter.report(Event::Warning(message));
        }
    }
}
