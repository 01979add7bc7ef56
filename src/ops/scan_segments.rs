//! How a live table is read: in how many segments, how many of them at a time, and how gently.
//!
//! Segments are many and taken in turns, so that one that is large or slow is a small part of the whole and leaves nobody idle at
//! the end. Which one is next is spread over the table: neighbours lie in the same partition, which serves 3,000 units a second.

use std::future::Future;

use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::ops::cap::{Cap, Direction};
use crate::ops::table_location::Place;
use crate::schema::{Billing, TableSchema};

/// Up to this size one segment is used: an unchanged small table then gives the same bytes again, so that a dump kept in git shows
/// a true diff.
const SMALL: u64 = 64 * 1024 * 1024;

/// Bytes of a larger table per segment: some pages, a second or two of reading.
const BYTES_PER_SEGMENT: u64 = 8 * 1024 * 1024;

/// Segments chosen without being asked for. Of 10 TB a segment is half a minute of the eight hours; all that are read at a time are a
/// quarter of an hour.
const MOST_SEGMENTS: u64 = 1024;

/// Segments that are read at the same time, if the table allows as many calls. 40,000 read units per second are 312 pages of 1 MB,
/// eventually consistent, of up to 100 ms each.
pub(crate) const SEGMENTS_AT_A_TIME: u32 = 32;

/// Segments of a Scan of a table with so many bytes.
pub(crate) fn segments_for(bytes: u64) -> u32 {
    if bytes <= SMALL {
        return 1;
    }

    u32::try_from(bytes.div_ceil(BYTES_PER_SEGMENT).min(MOST_SEGMENTS)).unwrap_or(1)
}

/// The segments in an order that is spread over the table from its beginning: by their bits, read backwards.
pub(crate) fn spread(segments: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..segments).collect();
    order.sort_unstable_by_key(|segment| segment.reverse_bits());
    order
}

/// Reads segments in this order, [`SEGMENTS_AT_A_TIME`]. The first failure stops the others.
///
/// # Errors
/// Those of `scan`.
pub(crate) async fn each_segment<T, F>(segments: Vec<T>, scan: impl Fn(T) -> F) -> Result<()>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let mut waiting = segments.into_iter();
    let mut scans: JoinSet<_> = waiting
        .by_ref()
        .take(SEGMENTS_AT_A_TIME as usize)
        .map(&scan)
        .collect();

    while let Some(joined) = scans.join_next().await {
        joined.map_err(|error| Error::failed("a scan was cut off").with_source(error))??;
        if let Some(next) = waiting.next() {
            scans.spawn(scan(next));
        }
    }

    Ok(())
}

/// Read units per second at most: what was asked for, else what a protected table's users do not notice.
pub(crate) fn read_cap(
    asked: Option<Cap>,
    place: &Place,
    schema: &TableSchema,
) -> Result<Option<u32>> {
    match asked {
        Some(cap) => cap.units(Some(schema), Direction::Read).map(Some),
        None => Ok(gentle_cap(place, schema)),
    }
}

/// A protected provisioned table is read at half its capacity at most.
fn gentle_cap(place: &Place, schema: &TableSchema) -> Option<u32> {
    match schema.description().billing() {
        Billing::Provisioned(capacity) if place.protected => {
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
        fn each_segment_comes_once_and_the_first_ones_are_far_apart(segments in 1_u32..3000) {
            let order = spread(segments);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..segments).collect::<Vec<_>>());
            let mut first: Vec<_> = order.iter().copied().take(SEGMENTS_AT_A_TIME as usize).collect();
            first.sort_unstable();
            let apart = first.windows(2).map(|pair| pair[1] - pair[0]).min().unwrap_or(segments);
            prop_assert!(apart >= segments.next_power_of_two() / 64, "{:?}", first);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_ten_times_as_long_keeps_nobody_waiting() {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let started = Instant::now();
        let read = each_segment(spread(280), |segment| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(
                    running.fetch_add(1, Ordering::Relaxed) + 1,
                    Ordering::Relaxed,
                );
                sleep(Duration::from_secs(if segment == 0 { 10 } else { 1 })).await;
                running.fetch_sub(1, Ordering::Relaxed);
                Ok(())
            }
        });

        read.await.unwrap();

        // Thirty-one others read the other 279 in nine seconds.
        assert_eq!(
            (started.elapsed().as_secs(), most.load(Ordering::Relaxed)),
            (10, SEGMENTS_AT_A_TIME as usize)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_failure_ends_it() {
        let started = Instant::now();
        let read = each_segment(spread(1_000), |segment| async move {
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
