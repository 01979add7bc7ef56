//! The dump as a sink: it appends chunks to the data file, lists rejected items, and writes checkpoints.
//!
//! Chunks of many segments are interleaved. A checkpoint counts a page only if its items, rejects included, precede it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::worker::ChunkWorker;
use crate::backup::{DumpWriter, ScanProgress, SegmentProgress, TransformCounts};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Reporter};
use crate::item::{Items, KeySchema};
use crate::ops::chunk::Chunk;
use crate::ops::item_formatter::ItemFormatter;
use crate::place::LazyLinesFile;
use crate::store::WireBytes;
use crate::transform::{Outcome, RejectReason};

/// Time between checkpoints: an interruption loses at most this much reading.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// The dump so far: what resuming needs, too.
pub(crate) struct DumpState {
    pub(crate) writer: DumpWriter,
    pub(crate) progress: ScanProgress,
    /// Bytes received in this run.
    pub(crate) wire: WireBytes,
}

/// The rejects of a dump with a transform.
pub(crate) struct DumpRejects {
    pub(crate) file: LazyLinesFile,
    pub(crate) formatter: ItemFormatter,
    pub(crate) key: KeySchema,
    /// Whether the first rejected item is an error.
    pub(crate) strict: bool,
}

/// Writes a dump.
pub(crate) struct DumpWorker {
    state: DumpState,
    rejects: Option<DumpRejects>,
    reporter: Arc<dyn Reporter>,
    /// Segments whose position is a key with masked values, which a checkpoint would write to disk.
    masked_positions: HashSet<usize>,
    /// Whether the user knows that checkpoints cannot be saved.
    has_warned: bool,
    last_checkpoint: Instant,
}

impl DumpWorker {
    /// A worker that continues from `state`.
    pub(crate) fn new(
        state: DumpState,
        rejects: Option<DumpRejects>,
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        Self {
            state,
            rejects,
            reporter,
            masked_positions: HashSet::new(),
            has_warned: false,
            last_checkpoint: Instant::now(),
        }
    }

    /// Writes a chunk. Returns whether it ends a page.
    fn write(&mut self, chunk: Chunk<SegmentProgress>) -> Result<bool> {
        if chunk.outcomes.is_some() {
            let outputs = self.transformed_items(&chunk)?;
            self.state.writer.append(&outputs, chunk.lane)?;
        } else {
            self.state.writer.append(&chunk.items, chunk.lane)?;
        }

        self.state.wire += chunk.cost.wire;
        self.state.progress.consumed_read_units += chunk.cost.read_units;

        let Some(position) = chunk.position else {
            return Ok(false);
        };

        // A checkpoint counts a page only if its items precede it, so the position comes after them.
        self.note_masked_position(chunk.lane, &position, &chunk.items);
        self.state.progress.segments[chunk.lane] = position;

        Ok(true)
    }

    /// Counts the outcomes of a chunk and lists its rejects. Returns the items to write.
    fn transformed_items(&mut self, chunk: &Chunk<SegmentProgress>) -> Result<Items> {
        let mut outputs = Vec::with_capacity(chunk.items.len());
        for (item, outcome) in chunk.entries() {
            count_outcome(&mut self.state.progress.changes, outcome);
            if let (Outcome::Rejected(reason), Some(rejects)) = (outcome, &mut self.rejects) {
                rejects.add(&item, reason)?;
            }

            outputs.extend_from_slice(outcome.items(&item));
        }

        Items::concat(&outputs).map_err(|error| {
            Error::failed("what the transform made cannot be written").with_source(error)
        })
    }

    /// Notes whether the position of a segment may be written to disk: it is the key of the last item of the page.
    fn note_masked_position(&mut self, segment: usize, position: &SegmentProgress, items: &Items) {
        let Some(rejects) = &self.rejects else {
            return;
        };

        let has_key = matches!(position, SegmentProgress::Next(_));
        let last = items.len().checked_sub(1).and_then(|last| items.get(last));
        let is_masked = has_key && last.is_some_and(|item| rejects.formatter.is_key_masked(&item));
        if is_masked {
            self.masked_positions.insert(segment);
        } else {
            self.masked_positions.remove(&segment);
        }
    }

    /// Writes a checkpoint, unless it would contain masked values.
    fn checkpoint(&mut self) -> Result<()> {
        if !self.masked_positions.is_empty() {
            return Ok(());
        }

        // The checkpoint contains the size of the rejects, so they must be on disk before it.
        self.sync_rejects()?;
        self.state.writer.checkpoint(&self.state.progress)?;
        self.warn_if_checkpoint_failed();

        Ok(())
    }

    /// Syncs the rejects to disk, and records their size.
    fn sync_rejects(&mut self) -> Result<()> {
        match &mut self.rejects {
            Some(rejects) => rejects.sync(&mut self.state.progress.changes),
            None => Ok(()),
        }
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

impl ChunkWorker<SegmentProgress> for DumpWorker {
    type Output = DumpState;

    fn add(&mut self, chunk: Chunk<SegmentProgress>) -> Result<()> {
        let is_page_end = self.write(chunk)?;

        // A checkpoint in the middle of a page would count items that the next run reads again.
        if is_page_end && self.last_checkpoint.elapsed() >= CHECKPOINT_INTERVAL {
            self.last_checkpoint = Instant::now();
            self.checkpoint()?;
        }

        Ok(())
    }

    fn finish(mut self) -> Result<DumpState> {
        self.sync_rejects()?;
        Ok(self.state)
    }

    /// Writes the last checkpoint.
    fn stop(mut self) -> Result<()> {
        self.sync_rejects()?;
        if !self.masked_positions.is_empty() {
            let warning = "no checkpoint was written at the end: the position in the table contains masked values";
            self.reporter.report(Event::Warning(warning.to_owned()));
            return Ok(());
        }

        let segments = &self.state.progress.segments;
        let has_begun = segments
            .iter()
            .any(|segment| *segment != SegmentProgress::NotBegun);
        if !has_begun {
            return Ok(());
        }

        self.state.writer.stop(&self.state.progress)?;
        self.warn_if_checkpoint_failed();

        Ok(())
    }
}

fn count_outcome(changes: &mut TransformCounts, outcome: &Outcome) {
    changes.read += 1;
    match outcome {
        Outcome::Unchanged => {}
        Outcome::Changed(_) | Outcome::Several(_) => changes.changed += 1,
        Outcome::Skipped => changes.left_out += 1,
        Outcome::Rejected(_) => changes.rejected += 1,
    }
}

impl DumpRejects {
    /// Lists a rejected item, or fails in strict mode. If values are masked, the file contains only the keys of items, provided that
    /// they may be shown.
    fn add(&mut self, item: &Bytes, reason: &RejectReason) -> Result<()> {
        if self.strict {
            let label = self.formatter.label(item, &self.key);
            let message = format!("stopped at the first rejected item, {label}: {reason}");
            return Err(Error::new(ErrorKind::Rejected, message).with_hint(
                "fix the transform or the item, or omit --strict: rejected items are then listed in a file",
            ));
        }

        self.formatter
            .append_rejected(&mut self.file, &reason.to_string(), item, &[])
    }

    /// Syncs the file to disk, and records its size in `changes`.
    fn sync(&mut self, changes: &mut TransformCounts) -> Result<()> {
        let Some(file) = self
            .file
            .file_mut()
            .filter(|file| file.bytes() > changes.rejects_bytes)
        else {
            return Ok(());
        };

        file.flush_to_sync()?()?;
        changes.rejects_bytes = file.bytes();

        Ok(())
    }
}
