//! Writer of the items: batches in flight, limited in number and bytes; the store retries.
//!
//! Every item to write ends in exactly one of four counts: written, superseded, rejected or skipped (the last two together are
//! `unwritten`). If the run stops before that, the item is above the marks of the checkpoint. Items that a transform filters out are
//! counted separately.

mod settle;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::OnConflict;
use super::acknowledged_keys::AcknowledgedKeys;
use super::batch::{Batch, Batcher, OfferResult, PendingItem};
use super::checkpoint_writer::CheckpointWriter;
use super::counts::RestoreCounts;
use super::items::{ItemStream, ReadItem};
use super::lane_readers::ItemPosition;
use super::ledger::{ItemOutput, Ledger, Ticket};
use super::refusals::ConsecutiveRefusals;
use super::rejects::RejectFiles;
use super::transfer_totals::TransferTotals;
use crate::backup::KeyCollisions;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Reporter};
use crate::item::KeySchema;
use crate::store::{RejectedItem, WriteOutcome, Writer};

/// Batches per allowed in-flight call; some of them wait for a permit or a retry. An interruption waits for all of them, so there are
/// few.
const BATCHES_PER_CALL: usize = 2;

/// Maximum bytes of item text in flight, so that memory is bounded for items of any size. One batch always fits.
const MAX_BYTES_IN_FLIGHT: usize = 6 * 1024 * 1024;

/// How long a stopping run waits for its calls: longer than one call takes, shorter than retries on a throttled table.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// Options of the writer.
pub(crate) struct WriteOptions {
    pub(crate) table: String,
    pub(crate) key: KeySchema,
    pub(crate) batch_size: usize,
    pub(crate) on_conflict: OnConflict,
    /// Whether to stop at the first rejected item.
    pub(crate) strict: bool,
}

/// A batch and the result of its call.
struct FinishedCall {
    batch: Batch,
    result: Result<WriteOutcome>,
}

/// Writer of the items of one run.
pub(crate) struct ItemWriter {
    store: Writer,
    options: Arc<WriteOptions>,
    batcher: Batcher,
    /// The first item that can be written and the rest of its chunk; they wait until the table is ready.
    first_items: Vec<ReadItem>,
    /// Whether a request was sent.
    is_sent: bool,
    /// Items to add before any other: the later version of each was rejected.
    requeued: Vec<PendingItem>,
    acknowledged: AcknowledgedKeys,
    refusals: ConsecutiveRefusals,
    calls: JoinSet<FinishedCall>,
    cancel: CancellationToken,
    bytes_in_flight: usize,
    ledger: Ledger,
    rejects: RejectFiles,
    checkpoints: CheckpointWriter,
    reporter: Arc<dyn Reporter>,
}

impl ItemWriter {
    /// A writer that stops when `cancel` fires.
    pub(crate) fn new(
        store: Writer,
        options: WriteOptions,
        rejects: RejectFiles,
        checkpoints: CheckpointWriter,
        reporter: Arc<dyn Reporter>,
        cancel: CancellationToken,
    ) -> Result<Self> {
        // Conditional writes exist only for single items.
        let overwrites = options.on_conflict == OnConflict::Overwrite;
        let batch_size = if overwrites { options.batch_size } else { 1 };
        Ok(Self {
            store,
            batcher: Batcher::new(options.key.clone(), batch_size, overwrites),
            options: Arc::new(options),
            first_items: Vec::new(),
            is_sent: false,
            requeued: Vec::new(),
            acknowledged: AcknowledgedKeys::new()?,
            refusals: ConsecutiveRefusals::default(),
            calls: JoinSet::new(),
            cancel,
            bytes_in_flight: 0,
            ledger: Ledger::new(checkpoints.marks(), checkpoints.counts()),
            rejects,
            checkpoints,
            reporter,
        })
    }

    /// Reads up to the first item that can be written, which [`write_all`](Self::write_all) then writes; the items before it are
    /// rejected or filtered out. `misfit` returns the reason why the table cannot store an item. Sends no request. Returns whether there
    /// is such an item.
    pub(crate) async fn read_first_writable(
        &mut self,
        items: &mut ItemStream,
        misfit: impl Fn(&[u8]) -> Option<String>,
    ) -> Result<bool> {
        while let Some(chunk) = self.next_chunk(items).await? {
            let mut chunk = chunk.into_iter();
            while let Some(item) = chunk.next() {
                if item.texts.iter().any(|text| misfit(text).is_none()) {
                    self.first_items = std::iter::once(item).chain(chunk).collect();
                    return Ok(true);
                }

                self.reject_all(item, &misfit)?;
            }
        }

        Ok(false)
    }

    /// Rejects all items to write of one item of the dump.
    fn reject_all(
        &mut self,
        item: ReadItem,
        misfit: &impl Fn(&[u8]) -> Option<String>,
    ) -> Result<()> {
        let ReadItem {
            output,
            texts,
            position,
        } = item;

        let ticket = self.register(position, output)?;
        for text in texts {
            let reason = misfit(&text).unwrap_or_default();
            self.reject(ticket, RejectedItem { item: text, reason })?;
        }

        Ok(())
    }

    async fn next_chunk(&mut self, items: &mut ItemStream) -> Result<Option<Vec<ReadItem>>> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(interrupted()),
            chunk = items.next() => chunk.transpose(),
        }
    }

    /// Saves checkpoints at `path` from now on, for the table with this id.
    pub(crate) fn save_checkpoints_at(&mut self, path: Option<PathBuf>, table_id: Option<String>) {
        self.checkpoints.save_at(path, table_id);
    }

    /// Writes all items. After a failure or an interruption, waits a limited time for in-flight requests, and saves the checkpoint.
    pub(crate) async fn write_all(&mut self, mut items: ItemStream) -> Result<()> {
        let result = self.write_until_end(&mut items).await;
        drop(items);
        let drained = if result.is_ok() {
            Ok(())
        } else {
            self.drain_with_timeout().await
        };

        let saved = if self.refusals.applies_to_all() {
            // No item was accepted, for a cause that can be fixed: the next run must try all of them again.
            self.checkpoints.restore_first(self.reporter.as_ref()).await;
            Ok(())
        } else {
            self.save_now().await
        };

        result.and(drained).and(saved)
    }

    async fn write_until_end(&mut self, items: &mut ItemStream) -> Result<()> {
        self.save_now().await?;
        let mut chunk = std::mem::take(&mut self.first_items);
        loop {
            for item in chunk {
                self.make_room().await?;
                self.add_item(item).await?;
            }

            match self.next_chunk(items).await? {
                Some(next) => chunk = next,
                None => return self.finish_calls().await,
            }
        }
    }

    /// Adds all items to write of one item of the dump.
    async fn add_item(&mut self, item: ReadItem) -> Result<()> {
        let ReadItem {
            output,
            texts,
            position,
        } = item;

        if texts.is_empty() {
            self.reporter.report(Event::Progress { items: 1, bytes: 0 });
        }

        // The hash applies to the item as it was read, not to the output of a transform.
        let key = position
            .key_hash
            .filter(|_| matches!(output, ItemOutput::Unchanged));
        let ticket = self.register(position, output)?;
        for text in texts {
            self.enqueue(PendingItem { text, ticket, key }).await?;
        }

        Ok(())
    }

    /// Registers an item of the dump in the ledger.
    fn register(&mut self, position: ItemPosition, output: ItemOutput) -> Result<Ticket> {
        if let ItemOutput::Rejected(refused) = &output
            && self.options.strict
        {
            return Err(self.strict_error(refused));
        }

        let ticket = self.ledger.register(position.lane, position.end, output);
        self.append_rejects()?;

        Ok(ticket)
    }

    /// Waits until the ledger has room for another item.
    async fn make_room(&mut self) -> Result<()> {
        while self.ledger.is_full() {
            if self.calls.is_empty() {
                self.send_batch().await?;
            }

            self.await_call().await?;
            self.enqueue_requeued().await?;
        }

        Ok(())
    }

    /// Sends the rest and waits until everything is settled, including items that the last calls requeue.
    async fn finish_calls(&mut self) -> Result<()> {
        loop {
            self.enqueue_requeued().await?;
            self.send_batch().await?;
            if self.calls.is_empty() {
                return Ok(());
            }

            self.await_call().await?;
        }
    }

    /// Adds one item to a batch, after the requeued ones.
    async fn enqueue(&mut self, mut entry: PendingItem) -> Result<()> {
        loop {
            self.enqueue_requeued().await?;
            match self.try_enqueue(entry).await? {
                None => return Ok(()),
                Some(again) => entry = again,
            }
        }
    }

    async fn enqueue_requeued(&mut self) -> Result<()> {
        while !self.requeued.is_empty() {
            let mut entry = Some(self.requeued.remove(0));
            while let Some(next) = entry {
                entry = self.try_enqueue(next).await?;
            }
        }

        Ok(())
    }

    /// Offers one item to the batcher, and makes room if necessary. Returns the item if it must be offered again.
    async fn try_enqueue(&mut self, entry: PendingItem) -> Result<Option<PendingItem>> {
        match self.batcher.offer(entry) {
            OfferResult::Added => Ok(None),
            OfferResult::NoKey { entry, reason } => {
                self.reject(
                    entry.ticket,
                    RejectedItem {
                        item: entry.text,
                        reason,
                    },
                )?;

                Ok(None)
            }
            OfferResult::KeyInFlight(entry) => {
                self.await_call().await?;
                Ok(Some(entry))
            }
            OfferResult::BatchFull(entry) => {
                self.send_batch().await?;
                Ok(Some(entry))
            }
        }
    }

    /// Sends the open batch as soon as the limits of in-flight batches allow.
    async fn send_batch(&mut self) -> Result<()> {
        let Some(batch) = self.batcher.take() else {
            return Ok(());
        };

        let max_calls = BATCHES_PER_CALL * self.store.max_in_flight(&self.options.table);
        while !self.calls.is_empty()
            && (self.calls.len() >= max_calls
                || self.bytes_in_flight + batch.bytes > MAX_BYTES_IN_FLIGHT)
        {
            self.await_call().await?;
        }

        self.bytes_in_flight += batch.bytes;
        self.is_sent = true;
        let (store, options) = (self.store.clone(), Arc::clone(&self.options));
        self.calls.spawn(async move {
            let result = write_batch(&store, &options, &batch).await;
            FinishedCall { batch, result }
        });

        Ok(())
    }

    /// Waits for one call to end, and settles its items. An interruption ends the wait, because a call may hang.
    async fn await_call(&mut self) -> Result<()> {
        let joined = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(interrupted()),
            joined = self.calls.join_next() => joined,
        };

        self.finish_call(joined).await
    }

    async fn finish_call(&mut self, joined: Option<Result<FinishedCall, JoinError>>) -> Result<()> {
        let Some(joined) = joined else { return Ok(()) };
        let FinishedCall { batch, result } =
            joined.map_err(|error| Error::failed("a write was cut off").with_source(error))?;
        self.bytes_in_flight -= batch.bytes;
        self.batcher.complete(&batch);
        let written = result?;
        self.reporter.report(Event::Progress {
            items: written.items,
            bytes: written.bytes,
        });
        self.checkpoints.add_cost(&written);
        self.settle_batch(batch, written)?;

        self.save_if_due().await
    }

    /// Appends the items that the marks have passed to the rejects files.
    fn append_rejects(&mut self) -> Result<()> {
        while let Some(entry) = self.ledger.next_entry() {
            self.rejects.append(&entry)?;
        }

        Ok(())
    }

    async fn save_if_due(&mut self) -> Result<()> {
        if self.checkpoints.is_due() {
            self.save().await
        } else {
            Ok(())
        }
    }

    async fn save(&mut self) -> Result<()> {
        self.checkpoints
            .save(&self.ledger, &mut self.rejects, self.reporter.as_ref())
            .await
    }

    async fn save_now(&mut self) -> Result<()> {
        self.save().await?;
        self.checkpoints.wait_for_task(self.reporter.as_ref()).await;
        Ok(())
    }

    /// Waits for all in-flight calls; returns the first failure.
    async fn drain(&mut self) -> Result<()> {
        let mut result = Ok(());
        while let Some(joined) = self.calls.join_next().await {
            result = result.and(self.finish_call(Some(joined)).await);
        }

        result
    }

    /// Waits for in-flight calls, but not for those that are retried for a long time. The next run writes their items again.
    async fn drain_with_timeout(&mut self) -> Result<()> {
        let Ok(drained) = tokio::time::timeout(SHUTDOWN_TIMEOUT, self.drain()).await else {
            self.calls.shutdown().await;
            return Ok(());
        };

        drained
    }

    /// Counts of the items below the marks.
    pub(crate) fn counts(&self) -> RestoreCounts {
        self.ledger.counts()
    }

    /// Syncs the rejects files. Returns the totals and the keys of the acknowledged items.
    pub(crate) fn finish(self) -> Result<(TransferTotals, AcknowledgedKeys)> {
        let (counts, open) = (self.ledger.counts(), self.ledger.open());
        let (write_units, throttled_calls) = self.checkpoints.totals();
        let files = self.rejects.finish()?;
        let totals = TransferTotals {
            counts,
            is_sent: self.is_sent,
            open,
            write_units,
            throttled_calls,
            rejects_file: files.rejects,
            conflicts_file: files.conflicts,
            collisions: KeyCollisions::default(),
        };

        Ok((totals, self.acknowledged))
    }
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted")
}

async fn write_batch(
    store: &Writer,
    options: &WriteOptions,
    batch: &Batch,
) -> Result<WriteOutcome> {
    let mut items = batch.items.iter().map(|item| item.text.clone());
    match (options.on_conflict, batch.items.len()) {
        (OnConflict::Skip | OnConflict::Fail, 1) => {
            let item = items.next().unwrap_or_default();
            store
                .put_if_absent(&options.table, &options.key, item)
                .await
        }
        _ => {
            store
                .write(&options.table, &options.key, items.collect())
                .await
        }
    }
}
