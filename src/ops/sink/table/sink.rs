//! A table as a sink: chunks become batches, a limited number of which are in flight; the store retries.
//!
//! Every item to write ends in exactly one of four counts: written, superseded, rejected or skipped (the last two together are
//! `unwritten`). If the run stops before that, the item is after the positions of the ledger. Items that a transform filters out are
//! counted separately.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::{JoinError, JoinSet};

use super::OnConflict;
use super::acknowledged_keys::AcknowledgedKeys;
use super::batch::{Batch, Batcher, OfferResult, PendingItem};
use super::counts::{RestoreCounts, WriteCosts};
use super::cursor::ChunkCursor;
use super::ledger::{ItemOutcome, Ledger, Ticket};
use super::refusals::ConsecutiveRefusals;
use super::rejects::{FlushedRejects, RejectFilePaths, RejectFiles};
use crate::error::{Error, ErrorKind, Result};
use crate::field::Field;
use crate::item::KeySchema;
use crate::limits;
use crate::ops::chunk::Chunk;
use crate::ops::journal::{Settled, SettledTable, Settling, SinkState};
use crate::ops::lane_permit::LanePermit;
use crate::ops::transfer::{Sink, SinkProgress};
use crate::store::{RejectedItem, WriteOutcome, Writer};
use crate::transform::Outcome;

/// Batches per allowed in-flight call; some of them wait for a permit or a retry. An interruption waits for all of them, so there are
/// few.
const BATCHES_PER_CALL: usize = 2;

/// Maximum bytes of item text in flight, so that memory is bounded for items of any size. One batch always fits. Tables that are
/// written in parallel share it.
const MAX_BYTES_IN_FLIGHT: usize = 6 * 1024 * 1024;

/// How long a stopping run waits for its calls: longer than one call takes, shorter than retries on a throttled table.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// How items are written, as requested.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// Items per `BatchWriteItem` call, 1 to 25.
    pub batch_size: usize,
    /// How to handle an item whose key exists in the table.
    pub on_conflict: OnConflict,
    /// Whether to stop at the first rejected item.
    pub strict: bool,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            batch_size: limits::BATCH_WRITE_ITEMS,
            on_conflict: OnConflict::default(),
            strict: false,
        }
    }
}

/// The table that items are written into.
pub(crate) struct WrittenTable {
    pub(crate) name: String,
    pub(crate) key: KeySchema,
    /// Approximate number of items to write, if it is known.
    pub(crate) expected_items: Option<u64>,
}

/// Where a transfer into a table starts: what earlier runs have settled.
pub(crate) struct TableStart<P> {
    pub(crate) positions: Vec<P>,
    pub(crate) counts: RestoreCounts,
    pub(crate) costs: WriteCosts,
}

/// The written items, when no request is in flight any more.
pub(crate) struct TableResult {
    pub(crate) counts: RestoreCounts,
    pub(crate) costs: WriteCosts,
    /// Whether a request was sent that may have written items.
    pub(crate) is_sent: bool,
    /// Items taken but not counted, because the transfer stopped.
    pub(crate) open_items: usize,
    pub(crate) files: RejectFilePaths,
    pub(crate) acknowledged: AcknowledgedKeys,
}

/// A batch and the result of its call.
struct FinishedCall {
    batch: Batch,
    result: Result<WriteOutcome>,
}

/// A table that is being written.
pub(crate) struct TableSink<P> {
    store: Writer,
    pub(super) table: Arc<WrittenTable>,
    pub(super) options: WriteOptions,
    pub(super) batcher: Batcher,
    /// The chunk of which some items are not in a batch yet.
    current: Option<ChunkCursor<P>>,
    /// The permit of its lane. Its batches contain items of this lane only.
    lane_permit: Option<Arc<LanePermit>>,
    /// Items to add before those of the chunk: one that found no room, and those whose later version was rejected.
    pub(super) waiting: VecDeque<PendingItem>,
    has_ended: bool,
    is_sent: bool,
    pub(super) acknowledged: AcknowledgedKeys,
    pub(super) refusals: ConsecutiveRefusals,
    calls: JoinSet<FinishedCall>,
    bytes_in_flight: usize,
    max_bytes_in_flight: usize,
    /// Items that the transform left out, which no call will report.
    unreported: u64,
    pub(super) ledger: Ledger<P>,
    pub(super) rejects: RejectFiles,
    costs: WriteCosts,
}

impl<P: Clone + Send> TableSink<P> {
    /// A sink that has sent nothing yet.
    ///
    /// # Errors
    /// A temporary file cannot be created.
    pub(crate) fn new(
        store: Writer,
        table: WrittenTable,
        options: WriteOptions,
        rejects: RejectFiles,
        start: TableStart<P>,
    ) -> Result<Self> {
        // Conditional writes exist only for single items.
        let overwrites = options.on_conflict == OnConflict::Overwrite;
        let batch_size = if overwrites { options.batch_size } else { 1 };
        let memory = store.reader().memory_share();

        Ok(Self {
            store,
            max_bytes_in_flight: memory.of(MAX_BYTES_IN_FLIGHT),
            batcher: Batcher::new(table.key.clone(), batch_size, overwrites, memory),
            current: None,
            lane_permit: None,
            waiting: VecDeque::new(),
            has_ended: false,
            is_sent: false,
            acknowledged: AcknowledgedKeys::new(table.expected_items, memory)?,
            refusals: ConsecutiveRefusals::default(),
            calls: JoinSet::new(),
            bytes_in_flight: 0,
            unreported: 0,
            ledger: Ledger::new(start.positions, start.counts),
            rejects,
            costs: start.costs,
            table: Arc::new(table),
            options,
        })
    }

    /// Takes a chunk before the table is ready, without sending a request. Returns whether it has an item that can be written: it is
    /// kept then, and the items before it are rejected; otherwise, all are. `misfit` says why the table cannot store an item.
    ///
    /// # Errors
    /// An item is rejected in strict mode.
    pub(crate) fn take_first(
        &mut self,
        chunk: Chunk<P>,
        misfit: impl Fn(&[u8]) -> Option<String>,
    ) -> Result<bool> {
        let mut cursor = self.register(chunk)?;
        while let Some(outputs) = cursor.outputs() {
            if outputs.iter().any(|text| misfit(text).is_none()) {
                self.current = Some(cursor);
                return Ok(true);
            }

            let ticket = cursor.ticket();
            for text in outputs {
                let reason = misfit(&text).unwrap_or_default();
                self.reject(ticket, RejectedItem { item: text, reason })?;
            }

            cursor.skip_item();
        }

        Ok(false)
    }

    /// Starts to write what [`take_first`](Self::take_first) has kept.
    ///
    /// # Errors
    /// An item is rejected in strict mode.
    pub(crate) fn start(&mut self) -> Result<()> {
        self.advance()
    }

    /// Registers a chunk in the ledger.
    fn register(&mut self, chunk: Chunk<P>) -> Result<ChunkCursor<P>> {
        if self.options.strict {
            self.check_no_reject(&chunk)?;
        }

        for outcome in chunk.outcomes.iter().flatten() {
            self.unreported += u64::from(outcome.output_count() == 0);
        }

        self.costs.read_units += chunk.cost.read_units;
        let ticket = self.ledger.register(&chunk);
        self.lane_permit.clone_from(&chunk.lane_permit);
        self.append_rejects()?;

        Ok(ChunkCursor::new(chunk, ticket))
    }

    /// Fails if the transform rejected an item.
    fn check_no_reject(&self, chunk: &Chunk<P>) -> Result<()> {
        for (index, outcome) in chunk.outcomes.iter().flatten().enumerate() {
            if let Outcome::Rejected(reason) = outcome {
                return Err(self.strict_error(&RejectedItem {
                    item: chunk.items.get(index).unwrap_or_default(),
                    reason: reason.to_string(),
                }));
            }
        }

        Ok(())
    }

    /// Puts items into batches and sends full ones, until a call has to end first or another chunk is needed.
    fn advance(&mut self) -> Result<()> {
        while let Some(entry) = self.next_item() {
            match self.batcher.offer(entry) {
                OfferResult::Added => {}
                OfferResult::NoKey { entry, reason } => {
                    let item = entry.text;
                    self.reject(entry.ticket, RejectedItem { item, reason })?;
                }
                OfferResult::KeyInFlight(entry) => {
                    self.waiting.push_front(entry);
                    return Ok(());
                }
                OfferResult::BatchFull(entry) => {
                    self.waiting.push_front(entry);
                    if !self.can_send() {
                        return Ok(());
                    }

                    self.send_batch();
                }
            }
        }

        // Without a call in flight, nothing else would empty the ledger.
        let is_stuck = self.ledger.is_full() && self.calls.is_empty();
        let is_lane_chunk = self.lane_permit.is_some();
        if (self.has_ended || is_stuck || is_lane_chunk) && self.can_send() {
            self.send_batch();
            self.lane_permit = None;
        }

        Ok(())
    }

    /// The next item to put into a batch.
    fn next_item(&mut self) -> Option<PendingItem> {
        if let Some(waiting) = self.waiting.pop_front() {
            return Some(waiting);
        }

        let item = self.current.as_mut()?.next();
        if item.is_none() {
            self.current = None;
        }

        item
    }

    /// Whether the limits of in-flight batches allow to send the open one.
    fn can_send(&self) -> bool {
        let max_calls = BATCHES_PER_CALL * self.store.max_in_flight(&self.table.name);
        let is_within_limits = self.calls.len() < max_calls
            && self.bytes_in_flight + self.batcher.open_bytes() <= self.max_bytes_in_flight;

        self.calls.is_empty() || is_within_limits
    }

    fn send_batch(&mut self) {
        let Some(batch) = self.batcher.take() else {
            return;
        };

        // The text of a lane's chunk is already a copy of its items.
        let permit = self.lane_permit.clone();
        let mut batch = match permit {
            Some(_) => batch,
            None => batch.detached(),
        };

        self.bytes_in_flight += batch.bytes;
        self.is_sent = true;
        let key_range = permit.as_ref().and_then(|permit| permit.key_range());
        let store = self.store.clone().in_key_range(key_range);
        let table = Arc::clone(&self.table);
        let on_conflict = self.options.on_conflict;
        self.calls.spawn(async move {
            let texts = batch.take_texts();
            let result = write_batch(&store, &table, on_conflict, texts).await;
            drop(permit);
            FinishedCall { batch, result }
        });
    }

    /// Settles the items of a call that has ended.
    fn finish_call(&mut self, joined: Result<FinishedCall, JoinError>) -> Result<SinkProgress> {
        let FinishedCall { batch, result } = joined
            .map_err(|error| Error::failed("a write stopped unexpectedly").with_source(error))?;
        self.bytes_in_flight -= batch.bytes;
        self.batcher.complete(&batch);
        let written = result?;
        self.costs.write_units += written.write_units;
        self.costs.throttled_calls += written.throttled_calls;
        let progress = SinkProgress::Settled {
            items: written.items,
            bytes: written.bytes,
        };
        self.settle_batch(batch, written)?;

        Ok(progress)
    }

    /// Appends the items that the positions have passed to the rejects files.
    pub(super) fn append_rejects(&mut self) -> Result<()> {
        while let Some(entry) = self.ledger.next_entry() {
            self.rejects.append(&entry)?;
        }

        Ok(())
    }

    /// Waits for all in-flight calls; returns the first failure.
    async fn drain(&mut self) -> Result<()> {
        let mut result = Ok(());
        while let Some(joined) = self.calls.join_next().await {
            result = result.and(self.finish_call(joined).map(|_| ()));
        }

        result
    }

    /// Whether no item was accepted, for a cause that can be fixed.
    pub(crate) fn is_refused_entirely(&self) -> bool {
        self.refusals.applies_to_all()
    }

    /// Counts of the items before the positions.
    pub(crate) fn counts(&self) -> RestoreCounts {
        self.ledger.counts()
    }

    /// Syncs the rejects files. Returns what was written.
    ///
    /// # Errors
    /// The files cannot be written.
    pub(crate) fn into_result(self) -> Result<TableResult> {
        Ok(TableResult {
            counts: self.ledger.counts(),
            costs: self.costs,
            is_sent: self.is_sent,
            open_items: self.ledger.open_items(),
            files: self.rejects.finish()?,
            acknowledged: self.acknowledged,
        })
    }

    /// The error for a rejected item in strict mode.
    pub(super) fn strict_error(&self, refused: &RejectedItem) -> Error {
        let item = self.rejects.name(&refused.item, &self.table.key);
        let message = format!(
            "stopped at the first rejected item, {item}: {}",
            refused.reason
        );
        Error::new(ErrorKind::Rejected, message).with_hint(format!(
            "fix or remove the item, or omit {strict}: rejected items are then listed in a file",
            strict = Field::Strict
        ))
    }

    /// Rejects an item. With `strict`, it remains unsettled, so that the next run tries it again.
    pub(super) fn reject(&mut self, ticket: Ticket, refused: RejectedItem) -> Result<()> {
        if self.options.strict {
            return Err(self.strict_error(&refused));
        }

        self.settle(ticket, ItemOutcome::Rejected(refused))
    }
}

impl<P: Clone + Send + 'static> Sink<P> for TableSink<P> {
    fn has_room(&self) -> bool {
        self.current.is_none()
            && self.waiting.is_empty()
            && self.lane_permit.is_none()
            && !self.ledger.is_full()
    }

    fn take(&mut self, chunk: Chunk<P>) -> Result<()> {
        self.current = Some(self.register(chunk)?);
        self.advance()
    }

    fn end(&mut self) -> Result<()> {
        self.has_ended = true;
        self.advance()
    }

    async fn progress(&mut self) -> Result<SinkProgress> {
        if self.unreported > 0 {
            let items = std::mem::take(&mut self.unreported);
            return Ok(SinkProgress::Settled { items, bytes: 0 });
        }

        let Some(joined) = self.calls.join_next().await else {
            if self.has_ended && self.waiting.is_empty() {
                return Ok(SinkProgress::Finished);
            }

            return std::future::pending().await;
        };

        // Nothing below waits, so nothing is lost if this future is dropped.
        let progress = self.finish_call(joined)?;
        self.advance()?;

        Ok(progress)
    }

    /// Syncs the rejects files, which the state counts.
    fn settle(&mut self) -> Result<Option<Settling<P>>> {
        // The next run must try all items again.
        if self.is_refused_entirely() {
            return Ok(None);
        }

        let FlushedRejects {
            rejects,
            conflicts,
            syncs,
        } = self.rejects.flush_to_sync()?;
        let settled = Settled {
            positions: self.ledger.positions().collect(),
            state: SinkState::Table(Box::new(SettledTable {
                counts: self.ledger.counts(),
                costs: self.costs,
                rejects,
                conflicts,
            })),
        };

        Ok(Some(Box::new(move || {
            syncs.into_iter().try_for_each(|sync| sync())?;
            Ok(Some(settled))
        })))
    }

    /// Waits for in-flight calls, but not for those that are retried for a long time. The next run writes their items again.
    async fn stop(&mut self) -> Result<()> {
        if let Ok(drained) = tokio::time::timeout(SHUTDOWN_TIMEOUT, self.drain()).await {
            return drained;
        }

        self.calls.shutdown().await;

        Ok(())
    }
}

async fn write_batch(
    store: &Writer,
    table: &WrittenTable,
    on_conflict: OnConflict,
    mut items: Vec<Bytes>,
) -> Result<WriteOutcome> {
    let WrittenTable { name, key, .. } = table;
    match (on_conflict, items.as_mut_slice()) {
        (OnConflict::Skip | OnConflict::Fail, [item]) => {
            let item = std::mem::take(item);
            store.put_if_absent(name, key, item).await
        }
        _ => store.write(name, key, items).await,
    }
}
