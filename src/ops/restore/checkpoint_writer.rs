//! Keeps the checkpoint of a running restore up to date, in the background, and as often as costs next to nothing.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::Utc;
use tokio::task::JoinHandle;

use super::checkpoint::Checkpoint;
use super::ledger::{Counts, Ledger};
use super::rejects::{Flushed, Rejects};
use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::store::WriteOutcome;

/// The shortest and the longest time between two checkpoints.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(2);

/// Checkpoints, which are written in the background, may take one part in so many of the time.
const SHARE: u32 = 10;

/// Writes the checkpoint.
pub(crate) struct Saver {
    checkpoint: Checkpoint,
    /// The first checkpoint that was saved: where this run began.
    begun: Option<Checkpoint>,
    /// Where; `None` where nothing can be kept.
    path: Option<PathBuf>,
    /// The write that is under way, with the time it took.
    saving: Option<JoinHandle<Result<Duration>>>,
    saved: Instant,
    pause: Duration,
}

impl Saver {
    /// Continues from `checkpoint`. Nothing is saved before [`keep_at`](Self::keep_at).
    pub(crate) fn new(checkpoint: Checkpoint) -> Self {
        Self {
            checkpoint,
            begun: None,
            path: None,
            saving: None,
            saved: Instant::now(),
            pause: SHORTEST,
        }
    }

    /// Saves checkpoints at `path` from now on; the items go into the table that is known by `table_id`.
    pub(crate) fn keep_at(&mut self, path: Option<PathBuf>, table_id: Option<String>) {
        self.checkpoint.set_table(table_id);
        self.path = path;
    }

    /// Where the lanes begin.
    pub(crate) fn marks(&self) -> Vec<u64> {
        self.checkpoint.lanes.marks()
    }

    /// What lies below the marks.
    pub(crate) fn counts(&self) -> Counts {
        self.checkpoint.counts
    }

    /// What a call has cost.
    pub(crate) fn add(&mut self, written: &WriteOutcome) {
        self.checkpoint.write_units += written.write_units;
        self.checkpoint.throttled_calls += written.throttled_calls;
    }

    /// Write units and throttled calls so far.
    pub(crate) fn totals(&self) -> (f64, u64) {
        (self.checkpoint.write_units, self.checkpoint.throttled_calls)
    }

    /// Whether it is time for another checkpoint.
    pub(crate) fn is_due(&self) -> bool {
        self.path.is_some()
            && self.saved.elapsed() >= self.pause
            && self.saving.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Starts to write a checkpoint of what the ledger says; first the files it counts the lines of. One that cannot be written
    /// is worth a warning: the run goes on, and the former one still holds.
    ///
    /// # Errors
    /// The files of rejects and conflicts cannot be written.
    pub(crate) async fn save(
        &mut self,
        ledger: &Ledger,
        rejects: &mut Rejects,
        reporter: &dyn Reporter,
    ) -> Result<()> {
        self.wait(reporter).await;
        let Some(path) = self.path.clone() else {
            return Ok(());
        };

        let Flushed {
            rejects,
            conflicts,
            syncs,
        } = rejects.flush_to_sync()?;

        self.checkpoint.set_marks(ledger.marks());
        self.checkpoint.counts = ledger.counts();
        (self.checkpoint.rejects, self.checkpoint.conflicts) = (rejects, conflicts);
        self.checkpoint.saved_at = Utc::now();
        let checkpoint = self.checkpoint.clone();
        self.begun.get_or_insert_with(|| checkpoint.clone());
        self.saved = Instant::now();
        self.start(move || {
            syncs.into_iter().try_for_each(|sync| sync())?;
            checkpoint.save(&path)
        });

        Ok(())
    }

    /// Starts a write in the background, and measures it.
    fn start(&mut self, write: impl FnOnce() -> Result<()> + Send + 'static) {
        self.saving = Some(tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            write()?;
            Ok(began.elapsed())
        }));
    }

    /// Saves the checkpoint that this run began with again.
    pub(crate) async fn rewind(&mut self, reporter: &dyn Reporter) {
        self.wait(reporter).await;
        let Some((path, checkpoint)) = self.path.clone().zip(self.begun.clone()) else {
            return;
        };

        self.start(move || checkpoint.save(&path));
        self.wait(reporter).await;
    }

    /// Waits until the checkpoint that is under way is on disk.
    pub(crate) async fn wait(&mut self, reporter: &dyn Reporter) {
        let Some(saving) = self.saving.take() else {
            return;
        };

        let saved = saving
            .await
            .unwrap_or_else(|error| Err(Error::failed("it was cut off").with_source(error)));
        match saved {
            Ok(took) => self.pause = (took * SHARE).clamp(SHORTEST, LONGEST),
            Err(error) => {
                let words = format!(
                    "there is no checkpoint from now on, so --resume goes back further: {error}"
                );
                reporter.report(Event::Warning(words));
                self.path = None;
            }
        }
    }
}
