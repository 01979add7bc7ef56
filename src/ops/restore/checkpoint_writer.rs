//! Writer of checkpoints: saves them in the background, as often as it costs little time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::task::JoinHandle;

use super::checkpoint::RestoreCheckpoint;
use super::counts::RestoreCounts;
use super::ledger::Ledger;
use super::rejects::{FlushedRejects, RejectFiles};
use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::store::WriteOutcome;

/// Minimum time between two checkpoints.
const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum time between two checkpoints: how much work an interruption may repeat.
const MAX_INTERVAL: Duration = Duration::from_secs(2);

/// The interval is this many times as long as a checkpoint takes.
const INTERVAL_FACTOR: u32 = 10;

/// The current checkpoint, and the background task that saves it.
pub(crate) struct CheckpointWriter {
    checkpoint: RestoreCheckpoint,
    /// The first checkpoint that was saved, at the start of this run.
    first: Option<RestoreCheckpoint>,
    /// Path of the file; `None` to save nothing.
    path: Option<PathBuf>,
    /// The running background task; returns how long it took.
    task: Option<JoinHandle<Result<Duration>>>,
    last_saved: Instant,
    interval: Duration,
}

impl CheckpointWriter {
    /// Starts with `checkpoint`. Saves nothing before [`save_at`](Self::save_at).
    pub(crate) fn new(checkpoint: RestoreCheckpoint) -> Self {
        Self {
            checkpoint,
            first: None,
            path: None,
            task: None,
            last_saved: Instant::now(),
            interval: MIN_INTERVAL,
        }
    }

    /// Saves checkpoints at `path` from now on, for the table with this id.
    pub(crate) fn save_at(&mut self, path: Option<PathBuf>, table_id: Option<String>) {
        self.checkpoint.set_table_id(table_id);
        self.path = path;
    }

    /// The marks of the lanes.
    pub(crate) fn marks(&self) -> Vec<u64> {
        self.checkpoint.lanes.marks()
    }

    /// Counts of the items below the marks.
    pub(crate) fn counts(&self) -> RestoreCounts {
        self.checkpoint.counts
    }

    /// Adds the cost of a call.
    pub(crate) fn add_cost(&mut self, written: &WriteOutcome) {
        self.checkpoint.write_units += written.write_units;
        self.checkpoint.throttled_calls += written.throttled_calls;
    }

    /// Write units and throttled calls so far.
    pub(crate) fn totals(&self) -> (f64, u64) {
        (self.checkpoint.write_units, self.checkpoint.throttled_calls)
    }

    /// Whether the next checkpoint is due.
    pub(crate) fn is_due(&self) -> bool {
        self.path.is_some()
            && self.last_saved.elapsed() >= self.interval
            && self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Starts to save a checkpoint of the ledger, after a sync of the rejects files that it counts. If it cannot be saved, the run
    /// continues with a warning, and the previous checkpoint remains valid.
    ///
    /// # Errors
    /// The rejects files cannot be written.
    pub(crate) async fn save(
        &mut self,
        ledger: &Ledger,
        rejects: &mut RejectFiles,
        reporter: &dyn Reporter,
    ) -> Result<()> {
        self.wait_for_task(reporter).await;
        let Some(path) = self.path.clone() else {
            return Ok(());
        };

        let FlushedRejects {
            rejects,
            conflicts,
            syncs,
        } = rejects.flush_to_sync()?;

        self.checkpoint.lanes.set_marks(ledger.marks());
        self.checkpoint.counts = ledger.counts();
        (self.checkpoint.rejects, self.checkpoint.conflicts) = (rejects, conflicts);
        self.checkpoint.saved_at = Utc::now();
        let checkpoint = self.checkpoint.clone();
        self.first.get_or_insert_with(|| checkpoint.clone());
        self.last_saved = Instant::now();
        self.start(move || {
            // The checkpoint must not count lines that are not on disk.
            syncs.into_iter().try_for_each(|sync| sync())?;
            checkpoint.save(&path)
        });

        Ok(())
    }

    /// Starts the background task, and measures its time.
    fn start(&mut self, write: impl FnOnce() -> Result<()> + Send + 'static) {
        self.task = Some(tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            write()?;
            Ok(started.elapsed())
        }));
    }

    /// Saves the first checkpoint of this run again, so that the next run repeats all of this one.
    pub(crate) async fn restore_first(&mut self, reporter: &dyn Reporter) {
        self.wait_for_task(reporter).await;
        let Some((path, checkpoint)) = self.path.clone().zip(self.first.clone()) else {
            return;
        };

        self.start(move || checkpoint.save(&path));
        self.wait_for_task(reporter).await;
    }

    /// Waits until the background task has ended.
    pub(crate) async fn wait_for_task(&mut self, reporter: &dyn Reporter) {
        let Some(task) = self.task.take() else {
            return;
        };

        let saved = task
            .await
            .unwrap_or_else(|error| Err(Error::failed("it was cut off").with_source(error)));
        match saved {
            Ok(took) => self.interval = (took * INTERVAL_FACTOR).clamp(MIN_INTERVAL, MAX_INTERVAL),
            Err(error) => {
                let message = format!(
                    "there is no checkpoint from now on, so --resume goes back further: {error}"
                );
                reporter.report(Event::Warning(message));
                self.path = None;
            }
        }
    }
}
