//! The items on their way into the table: batches in flight, bounded in number and in bytes; the store retries.
//!
//! Every item that is read, or each of those that a transform puts in its place, ends in exactly one of four counts: written,
//! superseded, rejected or skipped (the last two together are `unwritten`); or it was not reached because the run stopped, and lies
//! above the marks of the checkpoint. What a transform leaves out on purpose is counted as that.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::OnConflict;
use super::acknowledged::Acknowledged;
use super::batch::{Batch, Batcher, Bound, Entry, Offered};
use super::checkpoint_writer::Saver;
use super::items::{Items, Place, ReadItem};
use super::ledger::{Counts, Going, Ledger, Outcome, Ticket};
use super::refusals::Refusals;
use super::rejects::Rejects;
use crate::backup::KeyCollisions;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Reporter};
use crate::item::KeySchema;
use crate::store::{RejectedItem, WriteOutcome, WriteStore};

/// Batches under way for each call that may be in flight: some wait for their turn, or to be tried again. What is sent is not
/// taken back, so that more of them would only lengthen what an interruption waits for.
const BATCHES_PER_CALL: usize = 2;

/// Bytes of item text in flight at most, so that memory stays flat with items of any size. One batch always fits.
const BYTES: usize = 6 * 1024 * 1024;

/// How long a run that stops waits for its calls: longer than a call takes, shorter than a throttled table lets people wait.
const FAREWELL: Duration = Duration::from_secs(10);

/// How items are written.
pub(crate) struct How {
    pub(crate) table: String,
    pub(crate) key: KeySchema,
    pub(crate) batch_size: usize,
    pub(crate) on_conflict: OnConflict,
    /// Whether the first item that cannot be written ends the run.
    pub(crate) strict: bool,
}

/// What has been done so far, by this run and those before it.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    pub(crate) counts: Counts,
    /// Whether a call was made that may have written items.
    pub(crate) is_sent: bool,
    /// Items read and not counted, because the run stopped.
    pub(crate) open: usize,
    pub(crate) write_units: f64,
    pub(crate) throttled_calls: u64,
    pub(crate) rejects_file: Option<PathBuf>,
    pub(crate) conflicts_file: Option<PathBuf>,
    /// Items of this run that came out of the transform with one key.
    pub(crate) collisions: KeyCollisions,
}

/// A call that has ended.
struct Landed {
    batch: Batch,
    result: Result<WriteOutcome>,
}

/// Writes the items of one run.
pub(crate) struct Writing<S> {
    store: S,
    how: Arc<How>,
    batcher: Batcher,
    /// The first item that can be written, and those read after it; they wait until the table is ready.
    pending: Vec<ReadItem>,
    /// Whether a call was made.
    is_sent: bool,
    /// Items to be offered once more, before any other: the later version of each was refused.
    revived: Vec<Entry>,
    acknowledged: Acknowledged,
    refusals: Refusals,
    calls: JoinSet<Landed>,
    cancel: CancellationToken,
    bytes_in_flight: usize,
    ledger: Ledger,
    rejects: Rejects,
    saver: Saver,
    reporter: Arc<dyn Reporter>,
}

impl<S: WriteStore + Clone + 'static> Writing<S> {
    /// A run that stops when `cancel` fires.
    pub(crate) fn new(
        store: S,
        how: How,
        rejects: Rejects,
        saver: Saver,
        reporter: Arc<dyn Reporter>,
        cancel: CancellationToken,
    ) -> Result<Self> {
        let overwrites = how.on_conflict == OnConflict::Overwrite;
        let batch_size = if overwrites { how.batch_size } else { 1 };
        Ok(Self {
            store,
            batcher: Batcher::new(how.key.clone(), batch_size, overwrites),
            how: Arc::new(how),
            pending: Vec::new(),
            is_sent: false,
            revived: Vec::new(),
            acknowledged: Acknowledged::new()?,
            refusals: Refusals::default(),
            calls: JoinSet::new(),
            cancel,
            bytes_in_flight: 0,
            ledger: Ledger::new(saver.marks(), saver.counts()),
            rejects,
            saver,
            reporter,
        })
    }

    /// Reads up to the first item that can be written, and keeps it for [`all`](Self::all); items before it are rejected or left
    /// out. `misfit` is the reason why the table cannot take an item. Makes no call. Returns whether there is such an item.
    pub(crate) async fn first(
        &mut self,
        items: &mut Items,
        misfit: impl Fn(&[u8]) -> Option<String>,
    ) -> Result<bool> {
        while let Some(chunk) = self.next_chunk(items).await? {
            let mut chunk = chunk.into_iter();
            while let Some(item) = chunk.next() {
                if item.texts.iter().any(|text| misfit(text).is_none()) {
                    self.pending = std::iter::once(item).chain(chunk).collect();
                    return Ok(true);
                }

                self.refuse(item, &misfit)?;
            }
        }

        Ok(false)
    }

    /// Rejects an item of which nothing can be written.
    fn refuse(&mut self, item: ReadItem, misfit: &impl Fn(&[u8]) -> Option<String>) -> Result<()> {
        let ReadItem {
            going,
            texts,
            place,
        } = item;

        let ticket = self.read(place, going)?;
        for text in texts {
            let reason = misfit(&text).unwrap_or_default();
            self.reject(ticket, RejectedItem { item: text, reason })?;
        }

        Ok(())
    }

    async fn next_chunk(&mut self, items: &mut Items) -> Result<Option<Vec<ReadItem>>> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(interrupted()),
            chunk = items.next() => chunk.transpose(),
        }
    }

    /// Saves checkpoints at `path` from now on; the items go into the table that is known by `table_id`.
    pub(crate) fn keep_at(&mut self, path: Option<PathBuf>, table_id: Option<String>) {
        self.saver.keep_at(path, table_id);
    }

    /// Writes all items. On failure or cancellation the calls in flight may end first, and the checkpoint is written.
    pub(crate) async fn all(&mut self, mut items: Items) -> Result<()> {
        let result = self.until_end(&mut items).await;
        drop(items);
        let drained = if result.is_ok() {
            Ok(())
        } else {
            self.leave().await
        };

        let saved = if self.refusals.applies_to_all() {
            // The next run tries all items again.
            self.saver.rewind(self.reporter.as_ref()).await;
            Ok(())
        } else {
            self.save_now().await
        };

        result.and(drained).and(saved)
    }

    async fn until_end(&mut self, items: &mut Items) -> Result<()> {
        self.save_now().await?;
        let mut chunk = std::mem::take(&mut self.pending);
        loop {
            for item in chunk {
                self.make_room().await?;
                self.take(item).await?;
            }

            match self.next_chunk(items).await? {
                Some(next) => chunk = next,
                None => return self.finish().await,
            }
        }
    }

    /// Finds a place for what goes on of an item.
    async fn take(&mut self, item: ReadItem) -> Result<()> {
        let ReadItem {
            going,
            texts,
            place,
        } = item;

        if texts.is_empty() {
            self.reporter.report(Event::Progress { items: 1, bytes: 0 });
        }

        // The hash is the key's as read: it holds for the item itself, not for what a transform returned.
        let key = place.key_hash.filter(|_| matches!(going, Going::Itself));

        let ticket = self.read(place, going)?;
        for text in texts {
            self.place(Entry { text, ticket, key }).await?;
        }

        Ok(())
    }

    /// Enters an item into the ledger.
    fn read(&mut self, place: Place, going: Going) -> Result<Ticket> {
        if let Going::Nothing(refused) = &going
            && self.how.strict
        {
            return Err(self.stop_at(refused));
        }

        let ticket = self.ledger.read(place.lane, place.end, going);
        self.list()?;

        Ok(ticket)
    }

    /// Waits until items that were read long ago are settled.
    async fn make_room(&mut self) -> Result<()> {
        while self.ledger.is_full() {
            if self.calls.is_empty() {
                self.send().await?;
            }

            self.land().await?;
            self.place_revived().await?;
        }

        Ok(())
    }

    /// Sees that everything is settled, the items that come back from the last calls too.
    async fn finish(&mut self) -> Result<()> {
        loop {
            self.place_revived().await?;
            self.send().await?;
            if self.calls.is_empty() {
                return Ok(());
            }

            self.land().await?;
        }
    }

    /// Finds a place for one item, behind those that come back.
    async fn place(&mut self, mut entry: Entry) -> Result<()> {
        loop {
            self.place_revived().await?;
            match self.try_place(entry).await? {
                None => return Ok(()),
                Some(again) => entry = again,
            }
        }
    }

    async fn place_revived(&mut self) -> Result<()> {
        while !self.revived.is_empty() {
            let mut entry = Some(self.revived.remove(0));
            while let Some(next) = entry {
                entry = self.try_place(next).await?;
            }
        }

        Ok(())
    }

    /// Offers one item; gives it back where it has to be offered again.
    async fn try_place(&mut self, entry: Entry) -> Result<Option<Entry>> {
        match self.batcher.offer(entry) {
            Offered::Taken => Ok(None),
            Offered::Unfit { entry, reason } => {
                self.reject(
                    entry.ticket,
                    RejectedItem {
                        item: entry.text,
                        reason,
                    },
                )?;

                Ok(None)
            }
            Offered::InFlight(entry) => {
                self.land().await?;
                Ok(Some(entry))
            }
            Offered::Full(entry) => {
                self.send().await?;
                Ok(Some(entry))
            }
        }
    }

    /// Sends the open batch, once there is room in flight.
    async fn send(&mut self) -> Result<()> {
        let Some(batch) = self.batcher.take() else {
            return Ok(());
        };

        let most = BATCHES_PER_CALL * self.store.max_in_flight(&self.how.table);
        while !self.calls.is_empty()
            && (self.calls.len() >= most || self.bytes_in_flight + batch.bytes > BYTES)
        {
            self.land().await?;
        }

        self.bytes_in_flight += batch.bytes;
        self.is_sent = true;
        let (store, how) = (self.store.clone(), Arc::clone(&self.how));
        self.calls.spawn(async move {
            let result = write(&store, &how, &batch).await;
            Landed { batch, result }
        });

        Ok(())
    }

    /// Waits for one call to end, and settles its items. The wait ends when the run is to stop: a call may hang.
    async fn land(&mut self) -> Result<()> {
        let joined = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(interrupted()),
            joined = self.calls.join_next() => joined,
        };

        self.landed(joined).await
    }

    async fn landed(&mut self, joined: Option<Result<Landed, JoinError>>) -> Result<()> {
        let Some(joined) = joined else { return Ok(()) };
        let Landed { batch, result } =
            joined.map_err(|error| Error::failed("a write was cut off").with_source(error))?;
        self.bytes_in_flight -= batch.bytes;
        self.batcher.landed(&batch);
        let written = result?;
        self.reporter.report(Event::Progress {
            items: written.items,
            bytes: written.bytes,
        });
        self.saver.add(&written);
        self.settle(batch, written)?;

        self.save_if_due().await
    }

    fn settle(&mut self, batch: Batch, written: WriteOutcome) -> Result<()> {
        let outcomes = [written.rejected.len(), written.conflicts.len()]
            .iter()
            .sum::<usize>() as u64;
        if written.items + outcomes != batch.items.len() as u64 {
            let what = format!(
                "the answer to a call with {} items accounts for others",
                batch.items.len()
            );
            return Err(Error::failed(what)
                .with_hint("run the same command again; if it stays so, report it"));
        }

        let Batch {
            items, mut earlier, ..
        } = batch;
        let mut refused = self.by_key(written.rejected);
        let mut conflicts = self.by_key(written.conflicts);
        for Bound { text, key, ticket } in items {
            let of_key = earlier
                .extract_if(.., |other| other.key == key)
                .collect::<Vec<_>>();
            let found = |list: &mut Vec<(Option<u128>, String)>| {
                let at = list.iter().position(|(other, _)| *other == Some(key))?;
                Some(list.swap_remove(at).1)
            };
            if let Some(reason) = found(&mut refused) {
                let counted = self.refusals.refused(&reason);
                self.reject(ticket, RejectedItem { item: text, reason })?;
                counted?;
                self.revived
                    .extend(of_key.into_iter().map(|Bound { text, ticket, key }| Entry {
                        text,
                        ticket,
                        key: Some(key),
                    }));

                continue;
            }

            self.refusals.accepted();
            let bytes = u32::try_from(text.len()).unwrap_or(u32::MAX);
            match found(&mut conflicts) {
                Some(reason) if self.how.on_conflict == OnConflict::Fail => {
                    self.reject(ticket, RejectedItem { item: text, reason })?;
                }
                Some(reason) => self.note(
                    ticket,
                    Outcome::Skipped(Box::new(RejectedItem { item: text, reason })),
                )?,
                None => {
                    let is_already_there = written.already_present > 0;
                    self.acknowledged.take(key, is_already_there)?;
                    let written = Outcome::Written { bytes };
                    self.note(
                        ticket,
                        if is_already_there {
                            Outcome::AlreadyThere { bytes }
                        } else {
                            written
                        },
                    )?;
                }
            }

            for superseded in of_key {
                self.note(superseded.ticket, Outcome::Superseded)?;
            }
        }

        Ok(())
    }

    /// Reasons by key: an engine may have spelt an item anew on the way back.
    fn by_key(&self, refused: Vec<RejectedItem>) -> Vec<(Option<u128>, String)> {
        refused
            .into_iter()
            .map(|one| (self.batcher.key_of(&one.item), one.reason))
            .collect()
    }

    /// An item that cannot be written. With `strict` it stays open, so that the next run meets it again.
    fn reject(&mut self, ticket: Ticket, refused: RejectedItem) -> Result<()> {
        if self.how.strict {
            return Err(self.stop_at(&refused));
        }

        self.note(ticket, Outcome::Rejected(Box::new(refused)))
    }

    fn stop_at(&self, refused: &RejectedItem) -> Error {
        let item = self.rejects.name(&refused.item, &self.how.key);
        let what = format!(
            "stopped at the first rejected item, {item}: {}",
            refused.reason
        );
        Error::new(ErrorKind::Rejected, what).with_hint(
            "fix or remove the item, or omit --strict: rejected items are then listed in a file",
        )
    }

    fn note(&mut self, ticket: Ticket, outcome: Outcome) -> Result<()> {
        self.ledger.settle(ticket, outcome);
        self.list()
    }

    /// Puts into files what the marks have passed.
    fn list(&mut self) -> Result<()> {
        while let Some(listed) = self.ledger.next_listed() {
            self.rejects.keep(&listed)?;
        }

        Ok(())
    }

    async fn save_if_due(&mut self) -> Result<()> {
        if self.saver.is_due() {
            self.save().await
        } else {
            Ok(())
        }
    }

    async fn save(&mut self) -> Result<()> {
        self.saver
            .save(&self.ledger, &mut self.rejects, self.reporter.as_ref())
            .await
    }

    async fn save_now(&mut self) -> Result<()> {
        self.save().await?;
        self.saver.wait(self.reporter.as_ref()).await;
        Ok(())
    }

    /// Waits for every call in flight and keeps the first failure.
    async fn drain(&mut self) -> Result<()> {
        let mut result = Ok(());
        while let Some(joined) = self.calls.join_next().await {
            result = result.and(self.landed(Some(joined)).await);
        }

        result
    }

    /// Waits for the calls in flight, but not for those that are tried again and again. What they had is written by the next run.
    async fn leave(&mut self) -> Result<()> {
        let Ok(drained) = tokio::time::timeout(FAREWELL, self.drain()).await else {
            self.calls.shutdown().await;
            return Ok(());
        };

        drained
    }

    /// Counts of what is settled so far.
    pub(crate) fn counts(&self) -> Counts {
        self.ledger.counts()
    }

    /// What was done, with the files on disk; the keys of the items that were acknowledged.
    pub(crate) fn end(self) -> Result<(Moved, Acknowledged)> {
        let (counts, open) = (self.ledger.counts(), self.ledger.open());
        let (write_units, throttled_calls) = self.saver.totals();
        let (rejects_file, conflicts_file) = self.rejects.finish()?;
        let moved = Moved {
            counts,
            is_sent: self.is_sent,
            open,
            write_units,
            throttled_calls,
            rejects_file,
            conflicts_file,
            collisions: KeyCollisions::default(),
        };

        Ok((moved, self.acknowledged))
    }
}

fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted")
}

async fn write(store: &impl WriteStore, how: &How, batch: &Batch) -> Result<WriteOutcome> {
    let mut items = batch.items.iter().map(|item| item.text.clone());
    match (how.on_conflict, batch.items.len()) {
        (OnConflict::Skip | OnConflict::Fail, 1) => {
            let item = items.next().unwrap_or_default();
            store.put_if_absent(&how.table, &how.key, item).await
        }
        _ => store.write(&how.table, &how.key, items.collect()).await,
    }
}
