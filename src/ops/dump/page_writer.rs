//! Writer thread of a dump: appends pages to the data file, and writes checkpoints.
//!
//! Pages of many segments are interleaved. Each contains its segment and its next key, so that a checkpoint counts a page only if its
//! items precede it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::page::{Page, PageCost, PageEnd};
use crate::backup::{DumpWriter, KeyCollisions, ScanProgress, SegmentProgress};
use crate::error::Result;
use crate::event::{Event, Reporter};
use crate::store::WireBytes;

/// Time between checkpoints: an interruption loses at most this much reading.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// State of the copy: the writer, and what it has written so far.
pub(crate) struct CopyState {
    pub(crate) writer: DumpWriter,
    pub(crate) progress: ScanProgress,
    /// Bytes received in this run.
    pub(crate) wire: WireBytes,
    /// Whether the limit stopped the scan before the end of the table.
    pub(crate) is_limited: bool,
    /// Different items of this run that have the same key after the transform.
    pub(crate) collisions: KeyCollisions,
}

impl CopyState {
    /// Adds the cost of a page.
    pub(crate) fn add_cost(&mut self, cost: &PageCost) {
        self.wire += cost.wire;
        self.progress.consumed_read_units += cost.read_units;
    }

    /// Records that all items of a page are in the writer.
    pub(crate) fn set_position(&mut self, end: PageEnd) {
        self.progress.segments[end.segment] = end.position;
    }
}

/// Writes pages to the dump, on a thread of its own.
pub(crate) struct PageWriter {
    pub(crate) state: CopyState,
    /// Number of items until the limit, if there is one.
    pub(crate) remaining: Option<u64>,
    pub(crate) reporter: Arc<dyn Reporter>,
    /// Segments whose position is a key with masked values, which a checkpoint would write to disk.
    pub(crate) masked_positions: HashSet<usize>,
    /// Whether the user knows that checkpoints cannot be saved.
    has_warned: bool,
}

impl PageWriter {
    /// A writer that continues from `state`.
    pub(crate) fn new(
        state: CopyState,
        remaining: Option<u64>,
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        Self {
            state,
            remaining,
            reporter,
            masked_positions: HashSet::new(),
            has_warned: false,
        }
    }

    /// Writes pages until the channel is closed. `None` if that happens before the end of the table.
    pub(crate) fn run(
        mut self,
        mut pages: mpsc::Receiver<Page>,
        mut is_checkpoint_due: impl FnMut() -> bool,
    ) -> Result<Option<CopyState>> {
        while let Some(page) = pages.blocking_recv() {
            self.write(page)?;
            if is_checkpoint_due() {
                self.checkpoint()?;
            }
        }

        self.finish()
    }

    /// Writes a checkpoint, unless it would contain masked values.
    pub(crate) fn checkpoint(&mut self) -> Result<()> {
        if !self.masked_positions.is_empty() {
            return Ok(());
        }

        self.state.writer.checkpoint(&self.state.progress)?;
        self.warn_if_checkpoint_failed();

        Ok(())
    }

    /// The final state if the dump has everything that was requested. Otherwise, `None` after a last checkpoint.
    pub(crate) fn finish(mut self) -> Result<Option<CopyState>> {
        let segments = &self.state.progress.segments;
        let is_whole = segments
            .iter()
            .all(|segment| *segment == SegmentProgress::Done);
        if is_whole || self.remaining == Some(0) {
            self.state.is_limited = !is_whole;
            return Ok(Some(self.state));
        }

        if !self.masked_positions.is_empty() {
            let warning = "no checkpoint was written at the end: the position in the table contains masked values";
            self.reporter.report(Event::Warning(warning.to_owned()));
        } else if segments
            .iter()
            .any(|segment| *segment != SegmentProgress::NotBegun)
        {
            self.state.writer.stop(&self.state.progress)?;
            self.warn_if_checkpoint_failed();
        }

        Ok(None)
    }

    fn write(&mut self, page: Page) -> Result<()> {
        self.state.writer.append(&page.items)?;
        self.state.add_cost(&page.cost);

        // A checkpoint counts a page only if its items precede it, so the position comes after them.
        if let Some(end) = page.end {
            self.state.set_position(end);
        }

        let items = page.items.len() as u64;
        if let Some(remaining) = &mut self.remaining {
            *remaining -= items;
        }

        self.reporter.report(Event::Progress {
            items,
            bytes: page.items.text_bytes(),
        });

        Ok(())
    }

    /// Warns if checkpoints cannot be saved, but only once: they are due every second.
    fn warn_if_checkpoint_failed(&mut self) {
        if let Some(error) = self.state.writer.take_checkpoint_error()
            && !self.has_warned
        {
            self.has_warned = true;
            let warning = format!(
                "no checkpoint could be left, and an interruption would cost what was read since: {error}"
            );
            self.reporter.report(Event::Warning(warning));
        }
    }
}

/// Returns true, when called, if a checkpoint is due.
pub(crate) fn checkpoint_timer() -> impl FnMut() -> bool + Send + 'static {
    interval_timer(CHECKPOINT_INTERVAL, Instant::now)
}

/// Returns true, when called, if `interval` has passed since it last did.
fn interval_timer(interval: Duration, now: impl Fn() -> Instant) -> impl FnMut() -> bool {
    let mut last = now();
    move || {
        let now = now();
        let is_due = now.duration_since(last) >= interval;
        if is_due {
            last = now;
        }

        is_due
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_checkpoint_is_due_once_per_interval() {
        let clock = Cell::new(Instant::now());
        let mut is_due = interval_timer(Duration::from_secs(1), || clock.get());
        let mut after = |millis| {
            clock.set(clock.get() + Duration::from_millis(millis));
            is_due()
        };
        assert_eq!(
            [0, 999, 1, 999, 5000, 0].map(&mut after),
            [false, false, true, false, true, false]
        );
    }
}
