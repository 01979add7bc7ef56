//! Parallel Scan of a table: number of segments and their order.
//!
//! There are more segments than workers, so that a large or slow segment leaves no worker idle at the end. A partition serves 3,000
//! read units per second and stores a range of hashes, as a segment does. Each worker therefore scans adjacent segments from a place of
//! its own, so that the workers are spread over the partitions as long as possible.

use std::collections::VecDeque;
use std::future::Future;

use tokio::task::JoinSet;

use crate::backup::SegmentProgress;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::store::{PageKey, Reader, ScanPage, ScanRequest};

/// Tables up to this size are scanned in one segment: an unchanged table then produces identical bytes, so that a dump in git shows a
/// true diff.
const SMALL_TABLE_BYTES: u64 = 64 * 1024 * 1024;

/// Size of a segment of a larger table: a few pages, which take a second or two.
const BYTES_PER_SEGMENT: u64 = 8 * 1024 * 1024;

/// Maximum number of segments that is chosen automatically. With 10 TB, which take eight hours, each segment takes half a minute at full
/// rate.
const MAX_SEGMENTS: u64 = 1024;

/// Maximum number of segments that are scanned concurrently. Half of them would be enough to keep the maximum number of requests in
/// flight, but not to be in each of 40 partitions that throttle: those that wait for their partition request nothing.
pub(crate) const MAX_CONCURRENT_SEGMENTS: u32 = 64;

/// The source of a parallel Scan: a table, or a script of a test.
pub(crate) trait ScanPages: Clone + Send + Sync + 'static {
    /// Reads one page.
    ///
    /// # Errors
    /// See [`Reader::scan`].
    fn scan(&self, request: &ScanRequest) -> impl Future<Output = Result<ScanPage>> + Send;
}

impl ScanPages for Reader {
    async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        Self::scan(self, request).await
    }
}

/// Number of segments for a table of this size.
pub(crate) fn segments_for(bytes: u64) -> u32 {
    if bytes <= SMALL_TABLE_BYTES {
        return 1;
    }

    u32::try_from(bytes.div_ceil(BYTES_PER_SEGMENT).min(MAX_SEGMENTS)).unwrap_or(1)
}

/// The Scans of all unfinished segments, each from its position. There is a position for each segment; `whole` has everything else.
///
/// # Errors
/// A position of a journal contains an invalid key.
pub(crate) fn remaining_scans(
    whole: &ScanRequest,
    positions: &[SegmentProgress],
) -> Result<Vec<ScanRequest>> {
    let total_segments = u32::try_from(positions.len()).unwrap_or(u32::MAX);
    let mut requests = Vec::new();
    for (segment, position) in (0..total_segments).zip(positions) {
        let start = match position {
            SegmentProgress::Done => continue,
            SegmentProgress::NotBegun => None,
            SegmentProgress::Next(key) => {
                let key = PageKey::from_json(key);
                Some(key.ok_or_else(|| Error::damaged("the journal contains an invalid key"))?)
            }
        };

        requests.push(ScanRequest {
            segment,
            total_segments,
            start,
            ..whole.clone()
        });
    }

    Ok(requests)
}

/// Refuses a limit that several segments would have to count.
pub(crate) fn check_limit(limit: Option<u64>, segments: Option<u32>) -> Result<()> {
    if limit.is_some() && segments.is_some_and(|segments| segments > 1) {
        return Err(
            Error::usage("a limit is exact only when one segment counts it").with_hint(format!(
                "leave out {segments}, or leave out {limit}",
                segments = Field::Segments,
                limit = Field::Limit
            )),
        );
    }

    Ok(())
}

/// The segments that are not scanned yet: a queue of adjacent ones for each worker.
struct SegmentQueues<T>(Vec<VecDeque<T>>);

impl<T> SegmentQueues<T> {
    /// Divides the segments, which are in the order of the table, among at most this number of workers.
    fn divide(segments: Vec<T>, max_workers: usize) -> Self {
        let count = segments.len();
        let workers = max_workers.min(count);
        let mut queues: Vec<VecDeque<T>> = (0..workers).map(|_| VecDeque::new()).collect();
        for (index, segment) in segments.into_iter().enumerate() {
            queues[index * workers / count].push_back(segment);
        }

        Self(queues)
    }

    /// The workers in bit-reversed order, which spreads those that start first over the whole table.
    fn workers(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        order.sort_unstable_by_key(|worker| worker.reverse_bits());
        order
    }

    /// The next segment of a worker. One that has finished its own takes the second half of the longest queue.
    fn next(&mut self, worker: usize) -> Option<T> {
        if self.0[worker].is_empty() {
            let longest = self.0.iter_mut().max_by_key(|queue| queue.len())?;
            let half = longest.len() / 2;
            self.0[worker] = longest.split_off(half);
        }

        self.0[worker].pop_front()
    }
}

/// Scans the segments, which are in the order of the table, [`MAX_CONCURRENT_SEGMENTS`] at a time. The first failure stops the others.
///
/// # Errors
/// Those of `scan`.
pub(crate) async fn for_each_segment<T, F>(segments: Vec<T>, scan: impl Fn(T) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut queues = SegmentQueues::divide(segments, MAX_CONCURRENT_SEGMENTS as usize);
    let mut scans = JoinSet::new();
    let start_next = |worker: usize, queues: &mut SegmentQueues<T>, scans: &mut JoinSet<_>| {
        if let Some(segment) = queues.next(worker) {
            let scan = scan(segment);
            scans.spawn(async move { (worker, scan.await) });
        }
    };

    for worker in queues.workers() {
        start_next(worker, &mut queues, &mut scans);
    }

    // Dropping the set on an error aborts the remaining scans.
    while let Some(joined) = scans.join_next().await {
        let (worker, result) = joined
            .map_err(|error| Error::failed("a scan stopped unexpectedly").with_source(error))?;
        result?;
        start_next(worker, &mut queues, &mut scans);
    }

    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::sync::Mutex;
    use tokio::time::{Instant, sleep};

    use super::*;

    const MIB: u64 = 1024 * 1024;

    #[test]
    fn a_small_table_is_one_segment_and_a_large_one_is_many() {
        let segments = [0, 1, 64 * MIB, 64 * MIB + 1, 280 * MIB, u64::MAX].map(segments_for);
        assert_eq!(segments, [1, 1, 1, 9, 35, 1024]);
    }

    proptest! {
        #[test]
        fn each_segment_occurs_once_and_the_first_ones_are_far_apart(segments in 1_u32..3000) {
            let mut queues = SegmentQueues::divide((0..segments).collect(), MAX_CONCURRENT_SEGMENTS as usize);
            let workers = queues.workers();
            let first: Vec<u32> = workers.iter().filter_map(|worker| queues.next(*worker)).collect();
            let mut found = first.clone();
            while let Some(segment) = queues.next(0) {
                found.push(segment);
            }

            found.sort_unstable();
            prop_assert_eq!(found, (0..segments).collect::<Vec<_>>());

            for started in [8, 16, 32, 64] {
                let mut first: Vec<_> = first.iter().copied().take(started).collect();
                first.sort_unstable();
                let apart = first.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(segments);
                prop_assert!(apart as usize >= segments as usize / started / 2, "{:?}", first);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_segment_does_not_delay_the_others() {
        let (running, maximum) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let started = Instant::now();
        let read = for_each_segment((0..567).collect(), |segment| {
            let (running, maximum) = (Arc::clone(&running), Arc::clone(&maximum));
            async move {
                maximum.fetch_max(
                    running.fetch_add(1, Ordering::Relaxed) + 1,
                    Ordering::Relaxed,
                );
                sleep(Duration::from_secs(if segment == 0 { 10 } else { 1 })).await;
                running.fetch_sub(1, Ordering::Relaxed);
                Ok(())
            }
        });

        read.await.unwrap();

        // Meanwhile, the 63 other workers scan the other 566 segments in nine seconds.
        assert_eq!(
            (started.elapsed().as_secs(), maximum.load(Ordering::Relaxed)),
            (10, MAX_CONCURRENT_SEGMENTS as usize)
        );
    }

    const PARTITIONS: u32 = 40;
    const SEGMENTS_PER_PARTITION: u32 = 9;
    const PAGES_PER_SEGMENT: u32 = 8;

    /// Scans a table with partitions that serve one page at a time, for as long as `page_time` returns. Returns the seconds after
    /// which all partitions with the normal time have been read.
    async fn seconds_to_scan(page_time: fn(u32) -> Duration) -> f64 {
        let partitions: Arc<Vec<Mutex<()>>> =
            Arc::new((0..PARTITIONS).map(|_| Mutex::default()).collect());
        let (began, last) = (Instant::now(), Arc::new(std::sync::Mutex::new(0.0)));
        let segments = (0..PARTITIONS * SEGMENTS_PER_PARTITION).collect();
        let read = for_each_segment(segments, |segment| {
            let (partitions, last) = (Arc::clone(&partitions), Arc::clone(&last));
            async move {
                let partition = segment / SEGMENTS_PER_PARTITION;
                for _ in 0..PAGES_PER_SEGMENT {
                    let _turn = partitions[partition as usize].lock().await;
                    sleep(page_time(partition)).await;
                }

                if page_time(partition) == PAGE_TIME {
                    *last.lock().unwrap() = began.elapsed().as_secs_f64();
                }

                Ok(())
            }
        });

        read.await.unwrap();
        let last = last.lock().unwrap();

        *last
    }

    const PAGE_TIME: Duration = Duration::from_millis(100);

    #[tokio::test(start_paused = true)]
    async fn the_workers_use_most_of_the_capacity_of_the_partitions() {
        let at_least = PAGE_TIME * PAGES_PER_SEGMENT * SEGMENTS_PER_PARTITION;
        let took = seconds_to_scan(|_| PAGE_TIME).await;
        assert!(took < at_least.as_secs_f64() / 0.8, "{took} s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_partition_does_not_delay_the_others() {
        let at_least = PAGE_TIME * PAGES_PER_SEGMENT * SEGMENTS_PER_PARTITION;
        let took = seconds_to_scan(|partition| PAGE_TIME * if partition == 20 { 10 } else { 1 });
        let took = took.await;
        assert!(took < at_least.as_secs_f64() / 0.8, "{took} s");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_failure_stops_all_scans() {
        let started = Instant::now();
        let read = for_each_segment((0..1_000).collect(), |segment: u32| async move {
            sleep(Duration::from_secs(u64::from(segment) + 1)).await;
            if segment == 0 {
                Err(Error::failed("provoked"))
            } else {
                Ok(())
            }
        });

        assert_eq!(read.await.unwrap_err().to_string(), "provoked");
        assert_eq!(started.elapsed().as_secs(), 1);
    }
}
