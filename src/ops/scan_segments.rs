//! Parallel Scan of a table: number of segments, their order, and the read cap.
//!
//! There are more segments than workers, so that a large or slow segment leaves no worker idle at the end. The order spreads
//! concurrent segments over the table: adjacent ones are in the same partition, which serves 3,000 read units per second.

use std::future::Future;

use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::ops::cap::{Cap, Direction};
use crate::ops::table_location::TableLocation;
use crate::schema::{Billing, TableSchema};
use crate::store::{Reader, ScanPage, ScanRequest};

/// Tables up to this size are scanned in one segment: an unchanged table then produces identical bytes, so that a dump in git shows a
/// true diff.
const SMALL_TABLE_BYTES: u64 = 64 * 1024 * 1024;

/// Size of a segment of a larger table: a few pages, which take a second or two.
const BYTES_PER_SEGMENT: u64 = 8 * 1024 * 1024;

/// Maximum number of segments that is chosen automatically. With 10 TB, which take eight hours, each segment takes half a minute at full
/// rate.
const MAX_SEGMENTS: u64 = 1024;

/// Number of segments that are scanned concurrently, if the limiter permits as many requests. 40,000 read units per second are 312
/// eventually consistent pages of 1 MB per second, each of which takes up to 100 ms.
pub(crate) const MAX_CONCURRENT_SEGMENTS: u32 = 32;

/// What a parallel Scan reads from: a table, or what a test has scripted.
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

/// The segments in bit-reversed order, which spreads every prefix of the order over the whole table.
pub(crate) fn spread_order(segments: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..segments).collect();
    order.sort_unstable_by_key(|segment| segment.reverse_bits());
    order
}

/// Scans the segments in this order, [`MAX_CONCURRENT_SEGMENTS`] at a time. The first failure stops the others.
///
/// # Errors
/// Those of `scan`.
pub(crate) async fn for_each_segment<T, F>(segments: Vec<T>, scan: impl Fn(T) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut pending = segments.into_iter();
    let mut scans: JoinSet<_> = pending
        .by_ref()
        .take(MAX_CONCURRENT_SEGMENTS as usize)
        .map(&scan)
        .collect();

    // Dropping the set on an error aborts the remaining scans.
    while let Some(joined) = scans.join_next().await {
        joined.map_err(|error| Error::failed("a scan was cut off").with_source(error))??;
        if let Some(next) = pending.next() {
            scans.spawn(scan(next));
        }
    }

    Ok(())
}

/// The cap on read units per second: the requested one, otherwise the default for a protected table.
pub(crate) fn read_cap(
    requested: Option<Cap>,
    location: &TableLocation,
    schema: &TableSchema,
) -> Result<Option<u32>> {
    match requested {
        Some(cap) => cap
            .units_per_second(Some(schema), Direction::Read)
            .map(Some),
        None => Ok(protected_table_cap(location, schema)),
    }
}

/// The default cap for a protected table: half of its provisioned capacity, which leaves the rest to its users.
fn protected_table_cap(location: &TableLocation, schema: &TableSchema) -> Option<u32> {
    match schema.description().billing() {
        Billing::Provisioned(capacity) if location.protected => {
            Some(u32::try_from(capacity.read / 2).unwrap_or(u32::MAX).max(1))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use proptest::prelude::*;
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
            let order = spread_order(segments);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..segments).collect::<Vec<_>>());
            let mut first: Vec<_> = order.iter().copied().take(MAX_CONCURRENT_SEGMENTS as usize).collect();
            first.sort_unstable();
            let apart = first.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(segments);
            prop_assert!(apart >= segments.next_power_of_two() / 64, "{:?}", first);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_segment_does_not_delay_the_others() {
        let (running, maximum) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let started = Instant::now();
        let read = for_each_segment(spread_order(280), |segment| {
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

        // Meanwhile, the 31 other workers scan the other 279 segments in nine seconds.
        assert_eq!(
            (started.elapsed().as_secs(), maximum.load(Ordering::Relaxed)),
            (10, MAX_CONCURRENT_SEGMENTS as usize)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_failure_stops_all_scans() {
        let started = Instant::now();
        let read = for_each_segment(spread_order(1_000), |segment| async move {
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
