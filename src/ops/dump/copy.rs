//! Moves the items from the table into the writer: one scan for each segment, one thread that writes.
//!
//! Pages of many segments interleave. Each carries its segment and where the next one starts to the thread that writes, so that a
//! checkpoint made there counts a page exactly when its items are in front of it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::interrupted;
use super::plan::DumpPlan;
use super::transformed::Changing;
use crate::backup::{DumpWriter, KeyCollisions, ScanProgress, SegmentProgress};
use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::item::Items;
use crate::ops::run_blocking;
use crate::ops::scan_segments::{MAX_CONCURRENT_SEGMENTS, for_each_segment, spread_order};
use crate::store::{PageKey, PageMemoryPermit, ReadStore, ScanPage, ScanRequest, WireBytes};

/// Pages on their way, from the call that asks for one until the writer takes it. Those that have arrived are bounded by [`PageMemoryPermit`].
pub(crate) const PAGES: usize = MAX_CONCURRENT_SEGMENTS as usize;

/// How much reading an interruption may cost at most.
const BETWEEN_CHECKPOINTS: Duration = Duration::from_secs(1);

/// How long calls in flight may take to end when the run is to stop: far longer than a call takes, if it is not being repeated.
const GRACE: Duration = Duration::from_secs(5);

/// What was written so far.
pub(crate) struct Copied {
    pub(crate) writer: DumpWriter,
    pub(crate) progress: ScanProgress,
    /// What travelled in this run.
    pub(crate) wire: WireBytes,
    /// Whether the limit stopped the Scan before its end.
    pub(crate) is_limited: bool,
    /// Items of this run that came out with the same key, though they had different ones.
    pub(crate) collisions: KeyCollisions,
}

/// Says when a checkpoint is to be made, by the clock.
pub(crate) fn every_second() -> impl FnMut() -> bool + Send + 'static {
    every(BETWEEN_CHECKPOINTS, Instant::now)
}

fn every(interval: Duration, now: impl Fn() -> Instant) -> impl FnMut() -> bool {
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

/// One page on its way.
pub(crate) struct Page {
    pub(crate) items: Items,
    pub(crate) cost: PageCost,
    /// `None` if the limit dropped items of the page: no position may then count them as read.
    pub(crate) end: Option<PageEnd>,
    _memory_permit: PageMemoryPermit,
}

/// What it took to read a page.
pub(crate) struct PageCost {
    read_units: f64,
    wire: WireBytes,
}

/// The position of a segment after a page.
pub(crate) struct PageEnd {
    pub(crate) segment: usize,
    pub(crate) position: SegmentProgress,
}

impl Copied {
    /// Adds what a page took.
    pub(crate) fn pay(&mut self, cost: &PageCost) {
        self.wire += cost.wire;
        self.progress.consumed_read_units += cost.read_units;
    }

    /// All items of a page are in the writer.
    pub(crate) fn pass(&mut self, end: PageEnd) {
        self.progress.segments[end.segment] = end.position;
    }
}

/// Moves what is not in the writer yet. After each page `is_due` says whether a checkpoint is to be made.
///
/// # Errors
/// The table cannot be read to its end, the target cannot be written, interrupted. A checkpoint is left as far as that is possible.
pub(crate) async fn copy<S>(
    store: &S,
    plan: &DumpPlan,
    copied: Copied,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
    is_due: impl FnMut() -> bool + Send + 'static,
) -> Result<Copied>
where
    S: ReadStore + Clone + 'static,
{
    let (before, _) = plan.kept();
    let left = plan.limit.map(|limit| limit.saturating_sub(before));
    let changing = Changing::of(plan, &copied.progress.changes)?;

    // Of items that are changed on the way nobody knows how many come out.
    let wanted = left.filter(|_| changing.is_none());
    let (pages, waiting) = mpsc::channel(PAGES);
    let reading = read(
        store.clone(),
        unread(plan, &copied.progress)?,
        wanted,
        pages,
        cancel.clone(),
    );

    let output = Output {
        copied,
        left,
        reporter: Arc::clone(reporter),
        hidden: HashSet::new(),
        is_troubled: false,
    };

    let write = move || match changing {
        Some(changing) => output.run_changed(waiting, is_due, changing),
        None => output.run(waiting, is_due),
    };
    let (read, copied) = until_both_end(reading, run_blocking("writing the dump", write)).await;

    // If the writer failed, the scans were stopped for that reason: its error is the cause.
    let copied = copied?;

    // A call may fail while the run is being stopped; that is not why it ends.
    if copied.is_none() && cancel.is_cancelled() {
        return Err(interrupted());
    }

    read?;

    copied.ok_or_else(|| Error::failed("the scans ended before the table did"))
}

/// Runs the scans and the consumer of their pages until both have ended. If the consumer ends first, because it failed or needs no more
/// pages, the scans are dropped: pages that are still in the channel hold memory ([`PageMemoryPermit`]) that other scans wait for.
pub(crate) async fn until_both_end<T>(
    reading: impl Future<Output = Result<()>>,
    consuming: impl Future<Output = Result<T>>,
) -> (Result<()>, Result<T>) {
    let (mut reading, mut consuming) = (Box::pin(reading), Box::pin(consuming));

    let read = tokio::select! {
        consumed = &mut consuming => return (Ok(()), consumed),
        read = &mut reading => read,
    };

    // The senders are dropped with the scans, which ends the consumer.
    drop(reading);

    (read, consuming.await)
}

/// Carries out Scans, each from its start to the end of its segment, for `left` items where that is known.
///
/// # Errors
/// Those of the scans.
pub(crate) async fn read<S>(
    store: S,
    scans: Vec<ScanRequest>,
    left: Option<u64>,
    pages: mpsc::Sender<Page>,
    cancel: CancellationToken,
) -> Result<()>
where
    S: ReadStore + Clone + 'static,
{
    // It owns the sender: when all is read, no more pages come.
    let scan = move |request| {
        Scan {
            request,
            left,
            pages: pages.clone(),
            cancel: cancel.clone(),
        }
        .run(store.clone())
    };

    for_each_segment(scans, scan).await
}

/// The Scans of all segments that are not read to their end, each from where to go on.
///
/// # Errors
/// The checkpoint holds a key that is none; the schema has no usable key.
pub(crate) fn unread(plan: &DumpPlan, progress: &ScanProgress) -> Result<Vec<ScanRequest>> {
    let mut requests = Vec::new();
    let key = Arc::new(plan.schema.key_schema()?);
    for segment in spread_order(plan.segments) {
        let start = match progress.segments.get(segment as usize) {
            Some(SegmentProgress::Done) => continue,
            Some(SegmentProgress::Next(key)) => {
                let key = PageKey::from_json(key);
                Some(key.ok_or_else(|| Error::damaged("the checkpoint holds a key that is none"))?)
            }
            Some(SegmentProgress::NotBegun) | None => None,
        };

        requests.push(ScanRequest {
            table: plan.source.table.clone(),
            segment,
            total_segments: plan.segments,
            consistent_read: plan.consistent_read,
            limit: None,
            start,
            selection: Arc::clone(&plan.selection),
            key: Arc::clone(&key),
            previous_keys: Arc::default(),
        });
    }

    Ok(requests)
}

/// One segment.
struct Scan {
    request: ScanRequest,
    /// Items still wanted, where there is a limit.
    left: Option<u64>,
    pages: mpsc::Sender<Page>,
    cancel: CancellationToken,
}

impl Scan {
    async fn run<S: ReadStore>(mut self, store: S) -> Result<()> {
        while self.left != Some(0) {
            // The writer has failed when it does not listen any more; it says why.
            let Ok(place) = self.pages.reserve().await else {
                return Ok(());
            };

            if self.cancel.is_cancelled() {
                return Ok(());
            }

            // With a filter pages hold fewer items than are looked at.
            let left = self
                .left
                .filter(|_| self.request.selection.filter().is_none());
            self.request.limit = left.map(|left| u32::try_from(left).unwrap_or(u32::MAX));
            let Some(page) = self.call(&store).await else {
                return Ok(());
            };

            let ScanPage {
                mut items,
                keys,
                next,
                read_units,
                scanned: _,
                wire,
                memory_permit,
            } = page?;

            let before = items.len();
            if let Some(left) = &mut self.left {
                items.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= items.len() as u64;
            }

            let is_whole = items.len() == before;
            let position = next.as_ref().map_or(SegmentProgress::Done, |key| {
                SegmentProgress::Next(key.as_json().to_owned())
            });
            let end = is_whole.then_some(PageEnd {
                segment: self.request.segment as usize,
                position,
            });
            place.send(Page {
                items,
                cost: PageCost { read_units, wire },
                end,
                _memory_permit: memory_permit,
            });

            if next.is_none() {
                return Ok(());
            }

            self.request.start = next;
            self.request.previous_keys = keys;
        }

        Ok(())
    }

    /// The next page; `None` when the run is to stop and the call is not at its end soon.
    async fn call<S: ReadStore>(&self, store: &S) -> Option<Result<ScanPage>> {
        let mut call = Box::pin(store.scan(&self.request));
        tokio::select! {
            page = &mut call => return Some(page),
            () = self.cancel.cancelled() => {}
        }
        tokio::time::timeout(GRACE, call).await.ok()
    }
}

/// What the thread that writes works with.
pub(crate) struct Output {
    pub(crate) copied: Copied,
    /// Items still wanted, where there is a limit.
    pub(crate) left: Option<u64>,
    pub(crate) reporter: Arc<dyn Reporter>,
    /// Segments whose position is a key that contains masked values: a checkpoint would write it to disk.
    pub(crate) hidden: HashSet<usize>,
    is_troubled: bool,
}

impl Output {
    /// Writes pages until no more come. `None` when they end before the table does.
    fn run(
        mut self,
        mut waiting: mpsc::Receiver<Page>,
        mut is_due: impl FnMut() -> bool,
    ) -> Result<Option<Copied>> {
        while let Some(page) = waiting.blocking_recv() {
            self.take(page)?;
            if is_due() {
                self.checkpoint()?;
            }
        }

        self.end()
    }

    pub(crate) fn checkpoint(&mut self) -> Result<()> {
        if !self.hidden.is_empty() {
            return Ok(());
        }

        self.copied.writer.checkpoint(&self.copied.progress)?;
        self.tell_trouble();

        Ok(())
    }

    /// What was written, if it is all that was asked for; else a last checkpoint is left.
    pub(crate) fn end(mut self) -> Result<Option<Copied>> {
        let segments = &self.copied.progress.segments;
        let is_whole = segments
            .iter()
            .all(|segment| *segment == SegmentProgress::Done);
        if is_whole || self.left == Some(0) {
            self.copied.is_limited = !is_whole;
            return Ok(Some(self.copied));
        }

        if !self.hidden.is_empty() {
            let warning = "no checkpoint was written at the end: the position in the table contains masked values";
            self.reporter.report(Event::Warning(warning.to_owned()));
        } else if segments
            .iter()
            .any(|segment| *segment != SegmentProgress::NotBegun)
        {
            self.copied.writer.stop(&self.copied.progress)?;
            self.tell_trouble();
        }

        Ok(None)
    }

    fn take(&mut self, page: Page) -> Result<()> {
        self.copied.writer.append(&page.items)?;
        self.copied.pay(&page.cost);
        if let Some(end) = page.end {
            self.copied.pass(end);
        }

        let items = page.items.len() as u64;
        if let Some(left) = &mut self.left {
            *left -= items;
        }

        self.reporter.report(Event::Progress {
            items,
            bytes: page.items.text_bytes(),
        });

        Ok(())
    }

    /// Says once that checkpoints fail: each second would be too often.
    fn tell_trouble(&mut self) {
        if let Some(error) = self
            .copied
            .writer
            .take_checkpoint_error()
            .filter(|_| !self.is_troubled)
        {
            self.is_troubled = true;
            let warning = format!(
                "no checkpoint could be left, and an interruption would cost what was read since: {error}"
            );
            self.reporter.report(Event::Warning(warning));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::ops::testing::{Answer, DEADLINE, ROOMS, Scripted, scans, until};

    /// Pages of each segment.
    const LENGTH: u32 = 12;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Consumer {
        TakesAll,
        HasEnough,
        Fails,
        Panics,
    }

    /// Lets the scans run until they can do no more, then does what `how` says; the pages that were taken.
    fn consume(
        how: Consumer,
        store: &Scripted,
        segments: u32,
        mut waiting: mpsc::Receiver<Page>,
    ) -> Result<u32> {
        let capacity = u32::try_from(waiting.max_capacity()).unwrap();
        let fits = capacity.min(segments * LENGTH);
        let stuck = capacity.saturating_sub(ROOMS).min(segments);
        until("the scans are stuck", || {
            store.answered() >= fits.min(ROOMS) && store.waiting() >= stuck
        });

        match how {
            Consumer::TakesAll => {
                let mut pages = 0;
                while waiting.blocking_recv().is_some() {
                    pages += 1;
                }

                Ok(pages)
            }
            Consumer::HasEnough => Ok(waiting.blocking_recv().map_or(0, |_| 1)),
            Consumer::Fails => Err(Error::failed("the consumer fails")),
            Consumer::Panics => panic!("provoked"),
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_consumer_that_ends_first_ends_the_scans() {
        for (segments, capacity) in [1, 8, 9, 32]
            .into_iter()
            .flat_map(|segments| [(segments, 1), (segments, PAGES)])
        {
            for how in [
                Consumer::TakesAll,
                Consumer::HasEnough,
                Consumer::Fails,
                Consumer::Panics,
            ] {
                let store = Scripted::new(LENGTH, |_| Answer::Page);
                let (pages, waiting) = mpsc::channel(capacity);
                let reading = read(
                    store.clone(),
                    scans(segments),
                    None,
                    pages,
                    CancellationToken::new(),
                );

                let seen = store.clone();
                let consuming =
                    run_blocking("consuming", move || consume(how, &seen, segments, waiting));
                let ended = timeout(DEADLINE, until_both_end(reading, consuming)).await;
                let case = format!("{segments} segments, room for {capacity}, {how:?}");
                let (read, consumed) = ended.unwrap_or_else(|_| panic!("hangs: {case}"));
                let expected = match how {
                    Consumer::TakesAll => Ok(segments * LENGTH),
                    Consumer::HasEnough => Ok(1),
                    Consumer::Fails => Err("the consumer fails".to_owned()),
                    Consumer::Panics => Err("consuming was cut off".to_owned()),
                };

                assert_eq!(
                    consumed.map_err(|error| error.to_string()),
                    expected,
                    "{case}"
                );

                assert!(read.is_ok(), "{case}");
                store.all_rooms_return();
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_scan_that_ends_first_ends_the_consumer() {
        let scripts: [fn(&ScanRequest) -> Answer; 2] = [
            |request| {
                if request.segment == 0 && request.start.is_some() {
                    Answer::Fails
                } else {
                    Answer::Page
                }
            },
            |request| {
                if request.segment == 0 && request.start.is_some() {
                    Answer::Panics
                } else {
                    Answer::Page
                }
            },
        ];

        for (segments, capacity) in [1, 8, 9, 32]
            .into_iter()
            .flat_map(|segments| [(segments, 1), (segments, PAGES)])
        {
            for (script, words) in scripts
                .into_iter()
                .zip(["the scan fails", "a scan was cut off"])
            {
                let store = Scripted::new(LENGTH, script);
                let (pages, mut waiting) = mpsc::channel(capacity);
                let reading = read(
                    store.clone(),
                    scans(segments),
                    None,
                    pages,
                    CancellationToken::new(),
                );

                let seen = store.clone();
                let slowly = move || {
                    until("pages were read", || seen.answered() >= 1);
                    let mut pages = 0;
                    while waiting.blocking_recv().is_some() {
                        pages += 1;
                    }

                    Ok(pages)
                };

                let ended = timeout(
                    DEADLINE,
                    until_both_end(reading, run_blocking("consuming", slowly)),
                )
                .await;

                let (read, consumed) =
                    ended.unwrap_or_else(|_| panic!("hangs: {segments} segments, {words}"));
                assert_eq!(read.unwrap_err().to_string(), words);
                assert!((1..segments * LENGTH).contains(&consumed.unwrap()));
                store.all_rooms_return();
            }
        }
    }

    #[test]
    fn a_checkpoint_is_due_once_in_an_interval_of_the_clock() {
        let clock = Cell::new(Instant::now());
        let mut is_due = every(Duration::from_secs(1), || clock.get());
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
