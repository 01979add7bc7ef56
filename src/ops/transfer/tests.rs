use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::*;
use crate::backup::SegmentProgress;
use crate::event::SilentReporter;
use crate::ops::sink::{ChunkWorker, WorkerSink};
use crate::ops::source::ScanSource;
use crate::ops::testing::{Answer, DEADLINE, Scripted, scans};
use crate::ops::transform_stage::TransformStage;
use crate::store::ScanRequest;
use crate::transform::Transform;

const PAGES_PER_SEGMENT: u32 = 12;

/// The table's response to a Scan.
type TableScript = fn(&ScanRequest) -> Answer;

/// The reaction of a sink under test to its first chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    TakesAll,
    FailsToTake,
    FailsLater,
}

/// A sink with room for one chunk, which a task of its own consumes.
struct CountingSink {
    script: Script,
    has_chunk: bool,
    has_ended: bool,
    items: u64,
    positions: Vec<(usize, Option<SegmentProgress>)>,
    is_stopped: bool,
    work: mpsc::UnboundedSender<Chunk<SegmentProgress>>,
    done: mpsc::UnboundedReceiver<Chunk<SegmentProgress>>,
}

impl CountingSink {
    fn new(script: Script) -> Self {
        let (work, mut chunks) = mpsc::unbounded_channel();
        let (consumed, done) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(chunk) = chunks.recv().await {
                tokio::task::yield_now().await;
                if consumed.send(chunk).is_err() {
                    return;
                }
            }
        });

        Self {
            script,
            has_chunk: false,
            has_ended: false,
            items: 0,
            positions: Vec::new(),
            is_stopped: false,
            work,
            done,
        }
    }
}

impl Sink<SegmentProgress> for CountingSink {
    fn has_room(&self) -> bool {
        !self.has_chunk
    }

    fn take(&mut self, chunk: Chunk<SegmentProgress>) -> Result<()> {
        assert!(self.has_room(), "a chunk without room for it");
        if self.script == Script::FailsToTake {
            return Err(Error::failed("the sink fails"));
        }

        self.has_chunk = true;
        self.work.send(chunk).expect("the consumer runs");

        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.has_ended = true;
        Ok(())
    }

    async fn progress(&mut self) -> Result<SinkProgress> {
        if !self.has_chunk {
            if self.has_ended {
                return Ok(SinkProgress::Finished);
            }

            return std::future::pending().await;
        }

        let chunk = self.done.recv().await.expect("the consumer runs");
        if self.script == Script::FailsLater {
            return Err(Error::failed("the sink fails"));
        }

        self.has_chunk = false;
        let items = chunk.output_count();
        self.items += items;
        self.positions.push((chunk.lane, chunk.position));

        Ok(SinkProgress::Settled { items, bytes: 1 })
    }

    async fn stop(&mut self) -> Result<()> {
        self.is_stopped = true;
        Ok(())
    }
}

/// Runs a transfer. Returns whether the limit ended it.
async fn run(
    script: TableScript,
    segments: u32,
    max_pages: usize,
    limit: Option<u64>,
    sink: &mut CountingSink,
    cancel: &CancellationToken,
) -> Result<bool> {
    let store = Scripted::new(PAGES_PER_SEGMENT, script);
    let chunks = ScanSource::new(store.clone(), scans(segments))
        .with_max_pages(max_pages)
        .start(cancel);

    let reporter: Arc<dyn Reporter> = Arc::new(SilentReporter);
    let mut chunks = TransformStage::new(Transform::new())
        .with_limit(limit)
        .connect(chunks, &reporter)
        .expect("a stage");
    let transfer = Transfer {
        reporter: &reporter,
        cancel,
        interrupted,
        journal: None,
    };

    let ended = timeout(DEADLINE, transfer.run(&mut chunks, sink))
        .await
        .unwrap_or_else(|_| panic!("hangs: {segments} segments, room for {max_pages}"));

    // Both sides have ended in each case: no page is in memory.
    tokio::task::spawn_blocking(move || store.all_rooms_return())
        .await
        .expect("all memory is free");

    ended.map(|()| chunks.is_limited())
}

fn sizes() -> impl Iterator<Item = (u32, usize)> {
    [1, 8, 9, 32]
        .into_iter()
        .flat_map(|segments| [(segments, 1), (segments, 32)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_of_every_segment_reaches_the_sink() {
    for (segments, max_pages) in sizes() {
        let mut sink = CountingSink::new(Script::TakesAll);
        let cancel = CancellationToken::new();
        let end = run(
            |_| Answer::Page,
            segments,
            max_pages,
            None,
            &mut sink,
            &cancel,
        )
        .await;

        assert!(!end.expect("it ends"), "without a limit");
        assert_eq!(sink.items, u64::from(segments * PAGES_PER_SEGMENT));
        assert!(!sink.is_stopped);

        for segment in 0..segments as usize {
            let last = sink.positions.iter().rfind(|(lane, _)| *lane == segment);
            assert_eq!(last, Some(&(segment, Some(SegmentProgress::Done))));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_fails_ends_the_source() {
    for (segments, max_pages) in sizes() {
        for script in [Script::FailsToTake, Script::FailsLater] {
            let mut sink = CountingSink::new(script);
            let cancel = CancellationToken::new();
            let end = run(
                |_| Answer::Page,
                segments,
                max_pages,
                None,
                &mut sink,
                &cancel,
            )
            .await;

            let error = end.expect_err("the sink failed").to_string();
            assert_eq!(error, "the sink fails", "{segments} segments, {script:?}");
            assert!(sink.is_stopped);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_fails_stops_the_sink() {
    let scripts: [(TableScript, &str); 2] = [
        (
            |request| match (request.segment, &request.start) {
                (0, Some(_)) => Answer::Fails,
                _ => Answer::Page,
            },
            "the scan fails",
        ),
        (
            |request| match (request.segment, &request.start) {
                (0, Some(_)) => Answer::Panics,
                _ => Answer::Page,
            },
            "a scan stopped unexpectedly",
        ),
    ];

    for (segments, max_pages) in sizes() {
        for (script, message) in scripts {
            let mut sink = CountingSink::new(Script::TakesAll);
            let cancel = CancellationToken::new();
            let end = run(script, segments, max_pages, None, &mut sink, &cancel).await;

            assert_eq!(end.expect_err("the source failed").to_string(), message);
            assert!(sink.is_stopped);
            assert!(sink.items < u64::from(segments * PAGES_PER_SEGMENT));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_ends_the_source_and_cuts_no_position_short() {
    for (segments, max_pages) in sizes() {
        for limit in [0, 1, 7] {
            let mut sink = CountingSink::new(Script::TakesAll);
            let cancel = CancellationToken::new();
            let end = run(
                |_| Answer::Page,
                segments,
                max_pages,
                Some(limit),
                &mut sink,
                &cancel,
            )
            .await;

            assert!(end.expect("it ends"), "at the limit");
            assert_eq!(sink.items, limit);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interruption_ends_every_wait() {
    static CANCELLED_AT: Mutex<Option<CancellationToken>> = Mutex::new(None);

    for (segments, max_pages) in sizes() {
        let cancel = CancellationToken::new();
        *CANCELLED_AT.lock().expect("not poisoned") = Some(cancel.clone());
        let script: TableScript = |request| {
            if request.start.is_none() {
                return Answer::Page;
            }

            let cancel = CANCELLED_AT.lock().expect("not poisoned").clone();
            cancel.expect("set before the scan").cancel();

            Answer::Page
        };

        let mut sink = CountingSink::new(Script::TakesAll);
        let end = run(script, segments, max_pages, None, &mut sink, &cancel).await;

        assert_eq!(end.expect_err("interrupted").kind(), ErrorKind::Interrupted);
        assert!(sink.is_stopped);
        assert!(sink.items > 0, "pages that were paid for are kept");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interruption_does_not_wait_for_a_request_that_hangs() {
    let cancel = CancellationToken::new();
    let script: TableScript = |request| match request.start {
        None => Answer::Page,
        Some(_) => Answer::Never,
    };

    let stop = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        stop.cancel();
    });

    let mut sink = CountingSink::new(Script::TakesAll);
    let started = Instant::now();
    let end = run(script, 1, 1, None, &mut sink, &cancel).await;

    assert_eq!(end.expect_err("interrupted").kind(), ErrorKind::Interrupted);
    assert!(sink.is_stopped && started.elapsed().as_secs() < 10);
}

/// A sink of its own: counts the items of each lane.
#[derive(Default)]
struct ItemsPerLane(BTreeMap<usize, u64>);

impl<P> ChunkWorker<P> for ItemsPerLane {
    type Output = BTreeMap<usize, u64>;

    fn add(&mut self, chunk: Chunk<P>) -> Result<()> {
        *self.0.entry(chunk.lane).or_default() += chunk.output_count();
        Ok(())
    }

    fn finish(self) -> Result<Self::Output> {
        Ok(self.0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_sink_needs_no_change_to_anything_else() {
    let store = Scripted::new(PAGES_PER_SEGMENT, |_| Answer::Page);
    let cancel = CancellationToken::new();
    let reporter: Arc<dyn Reporter> = Arc::new(SilentReporter);
    let mut chunks = ScanSource::new(store, scans(3)).start(&cancel);
    let mut sink = WorkerSink::start("counting", ItemsPerLane::default());
    let transfer = Transfer {
        reporter: &reporter,
        cancel: &cancel,
        interrupted,
        journal: None,
    };

    transfer.run(&mut chunks, &mut sink).await.expect("it ends");

    let counted = sink.into_output().expect("the counts");
    let expected = (0..3).map(|lane| (lane, u64::from(PAGES_PER_SEGMENT)));
    assert_eq!(counted, expected.collect());
}
