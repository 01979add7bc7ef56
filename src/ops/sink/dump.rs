//! The dump as a sink: it appends chunks to the data file, and lists rejected items.
//!
//! Chunks of many segments are interleaved. A page is settled only if its items, rejects included, are on disk.

use std::collections::HashSet;
use std::mem;
use std::sync::{Arc, mpsc};

use bytes::Bytes;

use super::worker::{ChunkWorker, SettledSender};
use crate::backup::{DataFileState, DumpWriter, ScanProgress, SegmentProgress, TransformCounts};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Reporter};
use crate::field::Field;
use crate::item::{IndexKeys, Items, KeySchema};
use crate::ops::chunk::Chunk;
use crate::ops::item_formatter::ItemFormatter;
use crate::ops::journal::{Settled, SettledDump, SinkState};
use crate::place::LazyLinesFile;
use crate::store::WireBytes;
use crate::transform::{Outcome, RejectReason};

/// The dump so far: what resuming needs, too.
pub(crate) struct DumpState {
    pub(crate) writer: DumpWriter,
    pub(crate) progress: ScanProgress,
    /// Bytes received in this run.
    pub(crate) wire: WireBytes,
}

impl DumpState {
    /// Ends the run without finishing the dump. Returns what the next run continues from.
    pub(crate) fn stop(mut self) -> Result<Option<Settled<SegmentProgress>>> {
        let (sender, settled) = mpsc::channel();
        self.send_when_synced(move |state| {
            // The receiver waits for it.
            let _ = sender.send(state);
        })?;
        self.writer.stop()?;

        Ok(settled.recv().ok())
    }

    /// Calls `send` with the progress when everything added so far is on disk.
    fn send_when_synced(
        &mut self,
        send: impl FnOnce(Settled<SegmentProgress>) + Send + 'static,
    ) -> Result<()> {
        let scan = self.progress.clone();
        self.writer.when_synced(move |counted, tail| {
            // Items are text: they were checked when they were read.
            if let Ok(tail) = String::from_utf8(tail) {
                send(settled_dump(scan, counted, tail));
            }
        })
    }
}

fn settled_dump(
    mut scan: ScanProgress,
    counted: DataFileState,
    tail: String,
) -> Settled<SegmentProgress> {
    Settled {
        positions: mem::take(&mut scan.segments),
        state: SinkState::Dump(Box::new(SettledDump {
            scan,
            counted,
            tail,
        })),
    }
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
    index_keys: Arc<IndexKeys>,
    /// Segments whose position is a key with masked values, which the journal would write to disk.
    masked_positions: HashSet<usize>,
    /// Whether the last chunk was the end of a page.
    is_page_end: bool,
    /// Waits for the end of the page.
    reply: Option<SettledSender<SegmentProgress>>,
}

impl DumpWorker {
    /// A worker that continues from `state`.
    pub(crate) fn new(
        state: DumpState,
        rejects: Option<DumpRejects>,
        reporter: Arc<dyn Reporter>,
        index_keys: Arc<IndexKeys>,
    ) -> Self {
        Self {
            state,
            rejects,
            reporter,
            index_keys,
            masked_positions: HashSet::new(),
            is_page_end: true,
            reply: None,
        }
    }

    /// Writes a chunk.
    fn write(&mut self, chunk: Chunk<SegmentProgress>) -> Result<()> {
        if chunk.outcomes.is_some() {
            let outputs = self.transformed_items(&chunk)?;
            self.count_violations(&outputs, None)?;
            self.state.writer.append(&outputs, chunk.lane)?;
        } else {
            self.count_violations(&chunk.items, chunk.index_key_violations.as_deref())?;
            self.state.writer.append(&chunk.items, chunk.lane)?;
        }

        self.state.wire += chunk.cost.wire;
        self.state.progress.consumed_read_units += chunk.cost.read_units;

        self.is_page_end = chunk.position.is_some();
        if let Some(position) = chunk.position {
            self.note_masked_position(chunk.lane, &position, &chunk.items);
            self.state.progress.segments[chunk.lane] = position;
        }

        Ok(())
    }

    /// Adds the items that violate the keys of indexes to the progress; `counted` if the source has counted them.
    fn count_violations(&mut self, items: &Items, counted: Option<&[u64]>) -> Result<()> {
        let Some(violations) = &mut self.state.progress.index_key_violations else {
            return Ok(());
        };

        let mut counts = self.index_keys.zeros();
        if let Some(counted) = counted.filter(|counted| counted.len() == counts.len()) {
            counts.copy_from_slice(counted);
        } else {
            for item in items.iter() {
                self.index_keys.count(item, &mut counts).map_err(|error| {
                    Error::failed("an item that was read is not JSON").with_source(error)
                })?;
            }
        }

        for (name, count) in self.index_keys.names().zip(counts) {
            *violations.entry(name.to_owned()).or_default() += count;
        }

        Ok(())
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
            Error::failed("the output of the transform cannot be written").with_source(error)
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

    /// Sends the progress to whoever waits for it, unless it contains masked values.
    fn send_progress(&mut self) -> Result<()> {
        // In the middle of a page, it would count items that the next run reads again.
        let Some(reply) = self.reply.take_if(|_| self.is_page_end) else {
            return Ok(());
        };

        if !self.masked_positions.is_empty() {
            return Ok(());
        }

        // The progress contains the size of the rejects, so they must be on disk before it.
        self.sync_rejects()?;
        self.state.send_when_synced(|settled| {
            // Nobody waits for it if the transfer was dropped.
            let _ = reply.send(settled);
        })
    }

    /// Syncs the rejects to disk, and records their size.
    fn sync_rejects(&mut self) -> Result<()> {
        match &mut self.rejects {
            Some(rejects) => rejects.sync(&mut self.state.progress.changes),
            None => Ok(()),
        }
    }
}

impl ChunkWorker<SegmentProgress> for DumpWorker {
    type Output = DumpState;

    fn add(&mut self, chunk: Chunk<SegmentProgress>) -> Result<()> {
        self.write(chunk)?;
        self.send_progress()
    }

    fn finish(mut self) -> Result<DumpState> {
        self.sync_rejects()?;
        Ok(self.state)
    }

    fn settle(&mut self, reply: SettledSender<SegmentProgress>) -> Result<()> {
        self.reply = Some(reply);
        self.send_progress()
    }

    fn stop(mut self) -> Result<Option<Settled<SegmentProgress>>> {
        self.sync_rejects()?;
        if !self.masked_positions.is_empty() {
            let warning = "The progress was not saved at the end: the position in the table contains masked values.";
            self.reporter.report(Event::Warning(warning.to_owned()));
            return Ok(None);
        }

        let segments = &self.state.progress.segments;
        let has_begun = segments
            .iter()
            .any(|segment| *segment != SegmentProgress::NotBegun);

        // In the middle of a page, the last save remains valid.
        if has_begun && self.is_page_end {
            self.state.stop()
        } else {
            Ok(None)
        }
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
                format!("fix the transform or the item, or omit {strict}: rejected items are then listed in a file", strict = Field::Strict),
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

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use tokio::sync::oneshot;

    use super::*;
    use crate::backup::{DumpOptions, DumpTarget};
    use crate::event::SilentReporter;
    use crate::item::split_items;

    fn worker(folder: &std::path::Path) -> DumpWorker {
        let target = DumpTarget::folder(folder.join("dump"));
        let state = DumpState {
            writer: DumpWriter::begin(&target, &DumpOptions::default()).unwrap(),
            progress: ScanProgress {
                started_at: DateTime::UNIX_EPOCH,
                resumed: 0,
                consumed_read_units: 0.0,
                segments: vec![SegmentProgress::NotBegun],
                changes: TransformCounts::default(),
                index_key_violations: None,
            },
            wire: WireBytes::default(),
        };

        DumpWorker::new(state, None, Arc::new(SilentReporter), Arc::default())
    }

    /// A part of a page with one item. The last part has the position.
    fn part(number: u32, is_last: bool) -> Chunk<SegmentProgress> {
        let body = format!(r#"{{"Items":[{{"id":{{"S":"{number}"}}}}]}}"#);
        let items = split_items(Bytes::from(body), &["Items"]).unwrap().items;
        let mut chunk = Chunk::new(0, items, SegmentProgress::Next(number.to_string()));
        chunk.position = chunk.position.filter(|_| is_last);

        chunk
    }

    fn counted(settled: Settled<SegmentProgress>) -> (SegmentProgress, u64) {
        let SinkState::Dump(state) = settled.state else {
            panic!("the state of a dump");
        };

        (settled.positions[0].clone(), state.counted.items())
    }

    #[test]
    fn a_dump_that_stops_in_the_middle_of_a_page_saves_nothing() {
        for is_last in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let mut worker = worker(dir.path());
            worker.add(part(1, true)).unwrap();
            worker.add(part(2, is_last)).unwrap();
            let settled = worker.stop().unwrap().map(counted);
            let expected = (SegmentProgress::Next("2".to_owned()), 2);
            assert_eq!(settled, is_last.then_some(expected));
        }
    }

    #[test]
    fn progress_that_is_requested_in_the_middle_of_a_page_is_sent_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut worker = worker(dir.path());
        let (reply, mut settled) = oneshot::channel();
        worker.add(part(1, false)).unwrap();
        worker.settle(reply).unwrap();
        assert!(settled.try_recv().is_err(), "the page has not ended");

        worker.add(part(2, true)).unwrap();
        let settled = settled.blocking_recv().unwrap();
        assert_eq!(counted(settled), (SegmentProgress::Next("2".to_owned()), 2));
    }
}
