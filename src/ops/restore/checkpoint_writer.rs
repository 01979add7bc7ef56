//! Writer of checkpoints: saves them in the background, as often as it costs little time.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::task::JoinHandle;

use super::checkpoint::RestoreCheckpoint;
use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::ops::sink::table::{FlushedRejects, TableSink, TableStart, WriteCosts};
use crate::ops::transfer::Checkpoints;

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
    reporter: Arc<dyn Reporter>,
}

impl CheckpointWriter {
    /// Starts with `checkpoint`. Saves nothing before [`save_at`](Self::save_at).
    pub(crate) fn new(checkpoint: RestoreCheckpoint, reporter: Arc<dyn Reporter>) -> Self {
        Self {
            checkpoint,
            first: None,
            path: None,
            task: None,
            last_saved: Instant::now(),
            interval: MIN_INTERVAL,
            reporter,
        }
    }

    /// Saves checkpoints at `path` from now on, for the table with this id.
    pub(crate) fn save_at(&mut self, path: Option<PathBuf>, table_id: Option<String>) {
        self.checkpoint.set_table_id(table_id);
        self.path = path;
    }

    /// Where the transfer starts.
    pub(crate) fn start_of_transfer(&self) -> TableStart<u64> {
        TableStart {
            positions: self.checkpoint.lanes.marks(),
            counts: self.checkpoint.counts,
            costs: WriteCosts {
                write_units: self.checkpoint.write_units,
                throttled_calls: self.checkpoint.throttled_calls,
            },
        }
    }

    /// Saves a checkpoint, and waits until it is on disk.
    ///
    /// # Errors
    /// The rejects files cannot be written.
    pub(crate) async fn save_now(&mut self, sink: &mut TableSink<u64>) -> Result<()> {
        self.save(sink).await?;
        self.wait_for_task().await;

        Ok(())
    }

    /// Starts the background task, and measures its time.
    fn start_task(&mut self, write: impl FnOnce() -> Result<()> + Send + 'static) {
        self.task = Some(tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            write()?;
            Ok(started.elapsed())
        }));
    }

    /// Saves the first checkpoint of this run again, so that the next run repeats all of this one.
    pub(crate) async fn restore_first(&mut self) {
        self.wait_for_task().await;
        let Some((path, checkpoint)) = self.path.clone().zip(self.first.clone()) else {
            return;
        };

        self.start_task(move || checkpoint.save(&path));
        self.wait_for_task().await;
    }

    /// Waits until the background task has ended.
    async fn wait_for_task(&mut self) {
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
                self.reporter.report(Event::Warning(message));
                self.path = None;
            }
        }
    }
}

impl Checkpoints<TableSink<u64>> for CheckpointWriter {
    fn is_due(&self) -> bool {
        self.path.is_some()
            && self.last_saved.elapsed() >= self.interval
            && self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Starts to save a checkpoint, after a sync of the rejects files that it counts. If it cannot be saved, the run continues with a
    /// warning, and the previous checkpoint remains valid.
    async fn save(&mut self, sink: &mut TableSink<u64>) -> Result<()> {
        self.wait_for_task().await;
        let Some(path) = self.path.clone() else {
            return Ok(());
        };

        let FlushedRejects {
            rejects,
            conflicts,
            syncs,
        } = sink.flush_rejects()?;

        let WriteCosts {
            write_units,
            throttled_calls,
        } = sink.costs();
        self.checkpoint.lanes.set_marks(sink.positions());
        self.checkpoint.counts = sink.counts();
        self.checkpoint.write_units = write_units;
        self.checkpoint.throttled_calls = throttled_calls;
        (self.checkpoint.rejects, self.checkpoint.conflicts) = (rejects, conflicts);
        self.checkpoint.saved_at = Utc::now();
        let checkpoint = self.checkpoint.clone();
        self.first.get_or_insert_with(|| checkpoint.clone());
        self.last_saved = Instant::now();
        self.start_task(move || {
            // The checkpoint must not count lines that are not on disk.
            syncs.into_iter().try_for_each(|sync| sync())?;
            checkpoint.save(&path)
        });

        Ok(())
    }
}
