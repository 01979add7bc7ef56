//! Chunks of many segments, of which a few items are passed on in turn.
//!
//! A Scan returns items in the order of their partitions, and each page is of one partition. If whole pages were written one by one,
//! the requests in flight would load a few partitions of the target while the others are idle. Pages are therefore divided into
//! batches, and the batches of all segments take turns. A segment whose partition is slow is passed over until its batches are written.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::limits::{self, MemoryShare};
use crate::ops::chunk::Chunk;
use crate::ops::lane_permit::{LanePermit, LanePermits};
use crate::ops::scan_segments::MAX_CONCURRENT_SEGMENTS;
use crate::store::KeyRange;

/// Batches of all segments together that may be in flight, and bounds of those of each segment.
const BATCHES: usize = 128;
const MIN_SEGMENT_BATCHES: usize = 2;
const MAX_SEGMENT_BATCHES: usize = 16;

/// Maximum number and text of the items that were returned of pages whose rest is waiting. The position of a segment does not move
/// before a page is complete, and the ledger of the sink keeps these items until then: these are three quarters of its limits. Tables that
/// are copied in parallel share them.
const MAX_PARTIAL_ITEMS: usize = 48 * 1024;
const MAX_PARTIAL_BYTES: usize = 12 * 1024 * 1024;

/// Maximum text of the chunks that wait. It is not reached by pages that wait for permits of their segments; programs may answer faster than
/// the target accepts items. Tables that are copied in parallel share it.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;

/// The chunks of all segments.
pub(crate) struct LaneQueues<P> {
    lanes: Vec<LaneQueue<P>>,
    /// The lanes with chunks. The next one is the first.
    order: VecDeque<usize>,
    /// Maximum number of items to write of a chunk.
    batch_items: u64,
    permits: LanePermits,
    /// Whether each lane is a range of the keys of the target.
    are_key_ranges: bool,
    /// Text of the chunks.
    waiting_bytes: u64,
    max_waiting_bytes: u64,
    partial: PageParts,
    max_partial: PageParts,
}

/// The chunks of one segment.
struct LaneQueue<P> {
    chunks: VecDeque<Chunk<P>>,
    partial: PageParts,
}

/// The returned part of pages.
#[derive(Debug, Clone, Copy, Default)]
struct PageParts {
    items: u64,
    bytes: u64,
}

impl<P> LaneQueues<P> {
    /// Queues for this number of segments. `are_key_ranges`: the items keep their partition keys.
    pub(crate) fn new(
        lanes: usize,
        batch_size: usize,
        are_key_ranges: bool,
        memory: MemoryShare,
    ) -> Self {
        let concurrent = lanes.clamp(1, MAX_CONCURRENT_SEGMENTS as usize);
        let for_each =
            (memory.of(BATCHES) / concurrent).clamp(MIN_SEGMENT_BATCHES, MAX_SEGMENT_BATCHES);
        let most = limits::BATCH_WRITE_ITEMS;
        let batch_items = most - most % batch_size.clamp(1, most);

        Self {
            lanes: (0..lanes).map(|_| LaneQueue::new()).collect(),
            order: VecDeque::new(),
            batch_items: batch_items as u64,
            permits: LanePermits::new(lanes, for_each),
            are_key_ranges,
            waiting_bytes: 0,
            max_waiting_bytes: memory.of(MAX_WAITING_BYTES) as u64,
            partial: PageParts::default(),
            max_partial: PageParts {
                items: memory.of(MAX_PARTIAL_ITEMS) as u64,
                bytes: memory.of(MAX_PARTIAL_BYTES) as u64,
            },
        }
    }

    /// Adds a page, or a part of one.
    pub(crate) fn add(&mut self, chunk: Chunk<P>) {
        let lane = chunk.lane;
        self.waiting_bytes += chunk.items.text_bytes();
        if self.lanes[lane].chunks.is_empty() {
            self.order.push_back(lane);
        }

        self.lanes[lane]
            .chunks
            .extend(chunk.into_batches(self.batch_items));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Whether more chunks may be added.
    pub(crate) fn has_room(&self) -> bool {
        self.waiting_bytes < self.max_waiting_bytes
    }

    /// The next chunk of a lane that has a permit.
    pub(crate) fn next(&mut self) -> Option<Chunk<P>> {
        let permit = self.take_permit()?;
        let lane = permit.lane();
        let at = self.order.iter().position(|other| *other == lane)?;
        self.order.remove(at);

        let queue = &mut self.lanes[lane];
        let mut chunk = queue.chunks.pop_front()?.held_by(permit);
        if !queue.chunks.is_empty() {
            self.order.push_back(lane);
        }

        self.waiting_bytes -= chunk.items.text_bytes();
        self.partial.remove(queue.partial);
        queue.partial.add(&chunk);
        if chunk.position.is_some() {
            queue.partial = PageParts::default();
        }

        self.partial.items += queue.partial.items;
        self.partial.bytes += queue.partial.bytes;

        // When this was the last chunk of a page, its segment requests the next one.
        chunk.segment_permit = None;

        Some(chunk)
    }

    /// A permit of the first lane that has one. If too many pages are partly returned, only of the one of which most was returned.
    fn take_permit(&self) -> Option<Arc<LanePermit>> {
        let count = self.lanes.len();
        let with_range = |lane: &usize| {
            let index = *lane;
            let range = KeyRange { index, count };
            (index, self.are_key_ranges.then_some(range))
        };

        if !self.partial.reaches(self.max_partial) {
            return self.permits.take(self.order.iter().map(with_range));
        }

        let returned = |lane: &&usize| self.lanes[**lane].partial.items;
        let most = self.order.iter().max_by_key(returned);

        self.permits.take(most.into_iter().map(with_range))
    }
}

impl<P> LaneQueue<P> {
    fn new() -> Self {
        Self {
            chunks: VecDeque::new(),
            partial: PageParts::default(),
        }
    }
}

impl PageParts {
    fn add<P>(&mut self, chunk: &Chunk<P>) {
        self.items += chunk.items.len() as u64;
        self.bytes += chunk.items.text_bytes();
    }

    fn remove(&mut self, other: Self) {
        self.items -= other.items;
        self.bytes -= other.bytes;
    }

    fn reaches(self, most: Self) -> bool {
        self.items >= most.items || self.bytes >= most.bytes
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::item::Items;

    fn page(lane: usize, items: usize, bytes: usize) -> Chunk<u64> {
        let padding = "x".repeat(bytes);
        let texts: Vec<Bytes> = (0..items)
            .map(|number| format!(r#"{{"id":{{"S":"{lane}-{number}{padding}"}}}}"#).into())
            .collect();

        Chunk::new(lane, Items::concat(&texts).unwrap(), 1)
    }

    #[test]
    fn batches_of_all_lanes_take_turns_and_a_slow_one_is_passed_over() {
        const LANES: usize = 64;

        let mut queues = LaneQueues::new(LANES, 25, true, MemoryShare::WHOLE);
        for lane in 0..LANES {
            queues.add(page(lane, 100, 10));
        }

        // Nothing of lane 0 is written.
        let mut slow = Vec::new();
        for turn in 0..4 {
            let mut lanes = Vec::new();
            while lanes.len() < if turn < 2 { LANES } else { LANES - 1 } {
                let chunk = queues.next().expect("a lane has a permit");
                assert_eq!(chunk.items.len(), 25);
                assert_eq!(chunk.position.is_some(), turn == 3);
                let range = chunk
                    .lane_permit
                    .as_ref()
                    .and_then(|permit| permit.key_range());
                let count = LANES;
                assert_eq!(
                    range,
                    Some(KeyRange {
                        index: chunk.lane,
                        count
                    })
                );
                lanes.push(chunk.lane);
                slow.extend((chunk.lane == 0).then_some(chunk));
            }

            lanes.sort_unstable();
            assert_eq!(lanes, (LANES - lanes.len()..LANES).collect::<Vec<_>>());
        }

        assert!(queues.next().is_none() && !queues.is_empty());
        slow.clear();
        assert_eq!(queues.next().map(|chunk| chunk.lane), Some(0));
    }

    #[test]
    fn pages_are_completed_before_too_many_are_begun() {
        // Nine large pages of nine lanes, of which nothing is written: only complete pages leave the ledger.
        const PAGE_BYTES: usize = 4 * 1024 * 1024;

        let mut queues = LaneQueues::new(9, 1, false, MemoryShare::WHOLE);
        for lane in 0..9 {
            queues.add(page(lane, 64, PAGE_BYTES / 64));
        }

        let mut open = [0; 9];
        while let Some(chunk) = queues.next() {
            open[chunk.lane] += chunk.items.text_bytes();
            if chunk.position.is_some() {
                open[chunk.lane] = 0;
            }

            let all = open.iter().sum::<u64>();
            assert!(all < (MAX_PARTIAL_BYTES + PAGE_BYTES) as u64, "{all} bytes");
        }

        assert!(queues.is_empty());
    }
}
