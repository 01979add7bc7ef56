//! Carries a restore out: table, items, check, settings.
//!
//! One thread reads the dump; one task fills batches and keeps them in flight, bounded in number and in bytes; the store
//! retries. Every item that is read ends in exactly one of four counts: written, superseded, rejected, or not reached
//! because the run stopped.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::apply::Applying;
use super::batch::{Batch, Batcher, Offered};
use super::boost::Boosting;
use super::marker::Mark;
use super::plan::{RestorePlan, TableAction};
use super::rejects::Rejects;
use super::settings::Settings;
use super::{BoostOutcome, RestoreSummary, SettingOutcome, TableOutcome, Verified, VerifyMode, When, table, verify};
use crate::backup::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::item::KeySchema;
use crate::schema::Setting;
use crate::store::{Refused, WriteStore, Written};

/// Calls in flight at most. The store's own gate is what adapts; this bounds the tasks that wait at it.
const CALLS: usize = 32;

/// Bytes of item text in flight at most, so that memory stays flat with items of any size. One batch always fits.
const BYTES: usize = 8 * 1024 * 1024;

/// Items handed from the reading thread at a time.
const CHUNK_ITEMS: usize = 256;
const CHUNK_BYTES: usize = 256 * 1024;

/// Restores as planned. Stops cleanly when `cancel` fires.
///
/// # Errors
/// The table cannot be created or does not become `ACTIVE`; writes make no progress for too long; the dump cannot be read to
/// its end; interrupted. What was written until then stays; a later run writes it again, to the same effect.
pub async fn run<S>(
    store: &S,
    mut plan: RestorePlan,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Result<RestoreSummary>
where
    S: WriteStore + Clone + 'static,
{
    let started = Instant::now();
    let mut boost = plan.parts.boost.take();
    plan.leave_marker(boost.as_ref())?;
    let (outcome, refused) = table::ensure(store, &plan, reporter.as_ref(), &cancel).await?;
    let settings = std::mem::take(&mut plan.parts.settings);
    let table = plan.target.table.clone();
    let mut applying =
        Applying { store, table: &table, reporter: reporter.as_ref(), cancel: &cancel, outcomes: Vec::new() };
    let data = async {
        prepare(&mut applying, &settings, refused, outcome, boost.as_mut()).await?;
        data(store, &mut plan, outcome, &reporter, &cancel).await
    }
    .await;
    let boost = end(boost, &applying, &plan, data.is_err()).await;
    let data = data?;
    let is_lacking = data.verified.lacking() > data.moved.rejected;
    // The check comes first: TTL may delete items while they are compared. And what is not all there is written again by the next
    // run, which a stream's consumers need not see.
    if is_lacking {
        applying.leave(&settings.after, "the table lacks items; the next run applies it");
    } else {
        applying.make(&settings.after, When::After).await?;
    }
    let mut outcomes = applying.outcomes;
    outcomes.extend(settings.skipped.into_iter().map(SettingOutcome::skipped));
    if let Some(marker) = plan.parts.marker.as_ref().filter(|_| outcome != TableOutcome::Kept && !is_lacking) {
        marker.remove()?;
    }
    Ok(RestoreSummary { boost, ..data.summary(plan, outcome, outcomes, started) })
}

/// Makes the table ready for the items.
async fn prepare<S: WriteStore>(
    applying: &mut Applying<'_, S>,
    settings: &Settings,
    refused: Vec<(Setting, String)>,
    outcome: TableOutcome,
    boost: Option<&mut Boosting>,
) -> Result<()> {
    if outcome != TableOutcome::Kept {
        table::until_active(applying.store, applying.table, applying.cancel).await?;
    }
    applying.note_creation(settings, refused).await?;
    if let Some(boost) = boost {
        boost.raise(applying).await?;
    }
    applying.make(&settings.before, When::Before).await
}

/// Ends the boost, whatever became of the items. A restore that is to be run again need not take it back once more.
async fn end<S: WriteStore>(
    boost: Option<Boosting>,
    applying: &Applying<'_, S>,
    plan: &RestorePlan,
    is_failed: bool,
) -> Option<BoostOutcome> {
    let outcome = boost?.end(applying, &plan.target, is_failed).await;
    if outcome.not_taken_back.is_none()
        && let Err(error) = plan.leave_marker(None)
    {
        applying.reporter.report(Event::Warning(error.to_string()));
    }
    Some(outcome)
}

impl RestorePlan {
    /// Leaves the marker of a restore that has not ended, with the boost that is to be taken back.
    fn leave_marker(&self, boost: Option<&Boosting>) -> Result<()> {
        let marker = self.parts.marker.as_ref().filter(|_| self.action != TableAction::Keep);
        let Some(marker) = marker else { return Ok(()) };
        let boost = boost.map(|boost| boost.marked(&self.target.table)).transpose()?;
        marker.leave(&self.source.path, &self.target, &Mark { created: self.parts.creates, boost })
    }
}

/// What the data phase did.
#[derive(Debug)]
struct Data {
    moved: Moved,
    rejects_file: Option<PathBuf>,
    verified: Verified,
}

/// Writes the items and checks them.
async fn data<S>(
    store: &S,
    plan: &mut RestorePlan,
    outcome: TableOutcome,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<Data>
where
    S: WriteStore + Clone + 'static,
{
    let is_wanted = outcome != TableOutcome::Kept && plan.parts.request.content.data();
    let Some(key) = plan.parts.key.take().filter(|_| is_wanted) else {
        return Ok(Data { moved: Moved::default(), rejects_file: None, verified: Verified::None });
    };
    let items = Items::start(&plan.parts.source, cancel)?;
    reporter.report(Event::Phase { phase: Phase::Writing, items: plan.source.items, bytes: plan.source.bytes });
    let mut writing = Writing::new(store.clone(), plan, key.clone(), Arc::clone(reporter));
    let done = writing.all(items, cancel).await;
    let (moved, rejects_file) = writing.finish()?;
    done.map_err(|error| moved.stopped(error))?;
    moved.check(plan.source.items)?;
    let verified = match plan.verify {
        VerifyMode::Full => verify::full(store, plan, &key, reporter, cancel).await?,
        VerifyMode::Count => Verified::Count,
        VerifyMode::Auto | VerifyMode::None => Verified::None,
    };
    Ok(Data { moved, rejects_file, verified })
}

impl Data {
    fn summary(
        self,
        plan: RestorePlan,
        table: TableOutcome,
        settings: Vec<SettingOutcome>,
        started: Instant,
    ) -> RestoreSummary {
        let moved = self.moved;
        let not_restored = plan.not_restored.iter().map(|setting| format!("{}: {}", setting.setting, setting.reason));
        RestoreSummary {
            not_restored: not_restored.collect(),
            source: plan.source.path,
            target: plan.target,
            table,
            items_read: moved.read,
            items_written: moved.written.items,
            items_superseded: moved.superseded,
            items_rejected: moved.rejected,
            rejects_file: self.rejects_file,
            data_bytes: moved.written.bytes,
            consumed_write_units: moved.written.write_units,
            throttled_calls: moved.written.throttled_calls,
            verified: self.verified,
            boost: None,
            settings,
            seconds: started.elapsed().as_secs_f64(),
        }
    }
}

/// What has been done so far.
#[derive(Debug, Default)]
struct Moved {
    read: u64,
    superseded: u64,
    rejected: u64,
    written: Written,
}

impl Moved {
    /// What was read must be what the check had counted.
    fn check(&self, expected: Option<u64>) -> Result<()> {
        match expected {
            Some(expected) if expected != self.read => {
                let what = format!("the dump changed: {expected} items were checked, {} were read", self.read);
                Err(Error::damaged(what).with_hint("run the same command again"))
            }
            _ => Ok(()),
        }
    }

    /// A failure, with what was done before it.
    fn stopped(&self, error: Error) -> Error {
        let done = format!("{} of {} items read were written before", self.written.items, self.read);
        if error.kind() == ErrorKind::Interrupted {
            return Error::new(ErrorKind::Interrupted, format!("interrupted: {done}"))
                .with_hint("run the same command again: items already written are written again, to the same effect");
        }
        let stopped = Error::new(error.kind(), format!("the restore stopped: {done}"));
        let hint = error.hint().unwrap_or("when the cause is gone, run the same command again").to_owned();
        stopped.with_hint(hint).with_source(error)
    }
}

/// Items read by a thread of their own.
struct Items(mpsc::Receiver<Result<Vec<Bytes>>>);

impl Items {
    fn start(source: &Source, cancel: &CancellationToken) -> Result<Self> {
        let mut reader = source.items()?;
        let (send, receive) = mpsc::channel(4);
        let cancel = cancel.clone();
        tokio::task::spawn_blocking(move || {
            loop {
                let mut chunk = Vec::new();
                let mut bytes = 0;
                let end = loop {
                    match reader.next_item() {
                        Ok(Some(item)) => {
                            bytes += item.text.len();
                            chunk.push(item.text);
                            if chunk.len() == CHUNK_ITEMS || bytes >= CHUNK_BYTES {
                                break None;
                            }
                        }
                        Ok(None) => break Some(Ok(())),
                        Err(error) => break Some(Err(error)),
                    }
                };
                if send.blocking_send(Ok(chunk)).is_err() || cancel.is_cancelled() {
                    return;
                }
                match end {
                    None => {}
                    Some(Ok(())) => return,
                    Some(Err(error)) => return drop(send.blocking_send(Err(error))),
                }
            }
        });
        Ok(Self(receive))
    }
}

/// A call that has ended.
struct Landed {
    keys: Vec<u128>,
    bytes: usize,
    result: Result<Written>,
}

/// The items on their way into the table.
struct Writing<S> {
    store: S,
    table: String,
    batcher: Batcher,
    calls: JoinSet<Landed>,
    bytes_in_flight: usize,
    rejects: Rejects,
    moved: Moved,
    reporter: Arc<dyn Reporter>,
}

impl<S: WriteStore + Clone + 'static> Writing<S> {
    fn new(store: S, plan: &RestorePlan, key: KeySchema, reporter: Arc<dyn Reporter>) -> Self {
        let request = &plan.parts.request;
        let table = plan.target.table.clone();
        let places = Rejects::places(plan.parts.source.path(), request.state_dir.as_deref(), &table);
        Self {
            store,
            batcher: Batcher::new(key, request.batch_size),
            table,
            calls: JoinSet::new(),
            bytes_in_flight: 0,
            rejects: Rejects::new(places),
            moved: Moved::default(),
            reporter,
        }
    }

    /// Writes all items. On failure or cancellation the calls in flight end first.
    async fn all(&mut self, mut items: Items, cancel: &CancellationToken) -> Result<()> {
        let result = self.until_end(&mut items, cancel).await;
        drop(items);
        let rest = self.drain().await;
        result.and(rest)
    }

    async fn until_end(&mut self, items: &mut Items, cancel: &CancellationToken) -> Result<()> {
        loop {
            let chunk = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(Error::new(ErrorKind::Interrupted, "interrupted")),
                chunk = items.0.recv() => chunk,
            };
            let Some(chunk) = chunk else { break };
            for item in chunk? {
                self.moved.read += 1;
                self.place(item).await?;
            }
        }
        self.send().await
    }

    /// Finds a place for one item.
    async fn place(&mut self, mut item: Bytes) -> Result<()> {
        loop {
            item = match self.batcher.offer(item) {
                Offered::Taken => return Ok(()),
                Offered::Superseded => {
                    self.moved.superseded += 1;
                    return Ok(());
                }
                Offered::Unfit { item, reason } => return self.reject(&Refused { item, reason }),
                Offered::InFlight(item) => {
                    self.land().await?;
                    item
                }
                Offered::Full(item) => {
                    self.send().await?;
                    item
                }
            };
        }
    }

    /// Sends the open batch, once there is room in flight.
    async fn send(&mut self) -> Result<()> {
        let Some(Batch { items, keys, bytes }) = self.batcher.take() else { return Ok(()) };
        while !self.calls.is_empty() && (self.calls.len() >= CALLS || self.bytes_in_flight + bytes > BYTES) {
            self.land().await?;
        }
        self.bytes_in_flight += bytes;
        let (store, table) = (self.store.clone(), self.table.clone());
        self.calls.spawn(async move { Landed { keys, bytes, result: store.write(&table, items).await } });
        Ok(())
    }

    /// Waits for one call to end.
    async fn land(&mut self) -> Result<()> {
        let Some(joined) = self.calls.join_next().await else { return Ok(()) };
        let landed = joined.map_err(|error| Error::failed("a write was cut off").with_source(error))?;
        self.bytes_in_flight -= landed.bytes;
        self.batcher.landed(&landed.keys);
        let written = landed.result?;
        self.reporter.report(Event::Progress { items: written.items, bytes: written.bytes });
        for refused in &written.refused {
            self.reject(refused)?;
        }
        let total = &mut self.moved.written;
        total.items += written.items;
        total.bytes += written.bytes;
        total.write_units += written.write_units;
        total.throttled_calls += written.throttled_calls;
        Ok(())
    }

    fn reject(&mut self, refused: &Refused) -> Result<()> {
        self.rejects.keep(refused)?;
        self.moved.rejected = self.rejects.count();
        Ok(())
    }

    /// Waits for every call in flight and keeps the first failure.
    async fn drain(&mut self) -> Result<()> {
        let mut result = Ok(());
        while !self.calls.is_empty() {
            result = result.and(self.land().await);
        }
        result
    }

    fn finish(self) -> Result<(Moved, Option<PathBuf>)> {
        let file = self.rejects.finish()?;
        Ok((self.moved, file))
    }
}
