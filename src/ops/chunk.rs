//! Chunks: the unit in which items pass from a source to a sink.
//!
//! A chunk belongs to one lane, a part of the source that is read in order. Its position says where the lane continues. What a
//! position is depends on the source: the next key of a segment, or an offset in a file. Sinks only keep it.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::lane_permit::LanePermit;
use crate::backup::Unreadable;
use crate::item::Items;
use crate::store::{PageMemoryPermit, ScanPage, WireBytes};
use crate::transform::Outcome;

/// Maximum text of the items of a batch, unless it is one item.
const BATCH_TEXT_BYTES: usize = 128 * 1024;

/// The cost of reading a chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct ReadCost {
    pub(crate) read_units: f64,
    pub(crate) wire: WireBytes,
}

/// Items of one lane, in order.
#[derive(Debug)]
pub(crate) struct Chunk<P> {
    /// The items as the source read them.
    pub(crate) items: Items,
    /// The hash of each item's key, if the source computed it while it checked the items; otherwise empty. It does not apply to the
    /// output of a transform.
    pub(crate) key_hashes: Vec<Option<u128>>,
    /// For each index, the number of items that violate its key, if the source has counted them. It does not apply to the output of a
    /// transform.
    pub(crate) index_key_violations: Option<Vec<u64>>,
    /// The result of a transform for each item; `None` without a transform.
    pub(crate) outcomes: Option<Vec<Outcome>>,
    /// The unreadable part after the items, if the source is damaged there.
    pub(crate) unreadable: Option<Unreadable>,
    pub(crate) lane: usize,
    /// Where the lane continues after these items. `None` if a later chunk has to be settled, too: this one is a part of a page, or
    /// was cut by a limit.
    pub(crate) position: Option<P>,
    pub(crate) cost: ReadCost,
    /// Held until the last part of the page is dropped.
    pub(crate) memory_permit: Arc<PageMemoryPermit>,
    /// Held until the sink has taken the last part of the page, if its segment waits for that before it requests another one.
    pub(crate) segment_permit: Option<Arc<OwnedSemaphorePermit>>,
    /// Held until its items are settled, if the source waits for that.
    pub(crate) lane_permit: Option<Arc<LanePermit>>,
}

impl<P> Chunk<P> {
    /// A chunk that has cost nothing.
    pub(crate) fn new(lane: usize, items: Items, position: P) -> Self {
        Self {
            items,
            key_hashes: Vec::new(),
            index_key_violations: None,
            outcomes: None,
            unreadable: None,
            lane,
            position: Some(position),
            cost: ReadCost::default(),
            memory_permit: Arc::default(),
            segment_permit: None,
            lane_permit: None,
        }
    }

    /// The chunk of a page of a Scan.
    pub(crate) fn of_page(lane: usize, page: ScanPage, position: P) -> Self {
        Self {
            cost: ReadCost {
                read_units: page.read_units,
                wire: page.wire,
            },
            memory_permit: Arc::new(page.memory_permit),
            index_key_violations: Some(page.index_key_violations),
            ..Self::new(lane, page.items, position)
        }
    }

    /// The chunk with the permit of its lane.
    pub(crate) fn held_by(self, permit: Arc<LanePermit>) -> Self {
        Self {
            lane_permit: Some(permit),
            ..self
        }
    }

    /// The hash of the key of the item at `index`, if the source computed it.
    pub(crate) fn key_hash(&self, index: usize) -> Option<u128> {
        self.key_hashes.get(index).copied().flatten()
    }

    /// The outcome of the item at `index`.
    pub(crate) fn outcome(&self, index: usize) -> &Outcome {
        self.outcomes
            .as_ref()
            .and_then(|outcomes| outcomes.get(index))
            .unwrap_or(&Outcome::Unchanged)
    }

    /// Splits the chunk into parts of at most `most` items, so that several threads can work on them. The first part has the cost, the
    /// last one the position and what cannot be read.
    pub(crate) fn split(self, most: usize) -> Vec<Self> {
        if self.items.len() <= most {
            return vec![self];
        }

        let parts = (0..self.items.len())
            .step_by(most)
            .map(|start| self.part(start, start + most))
            .collect();

        self.hand_over_to(parts)
    }

    /// Moves the cost of this chunk to the first of its parts, and its position and what cannot be read to the last one.
    fn hand_over_to(self, mut parts: Vec<Self>) -> Vec<Self> {
        if let Some(first) = parts.first_mut() {
            first.cost = self.cost;
        }

        if let Some(last) = parts.last_mut() {
            last.position = self.position;
            last.unreadable = self.unreadable;
        }

        parts
    }

    /// The items from `start` to `end` only.
    fn part(&self, start: usize, end: usize) -> Self {
        let end = end.min(self.items.len());
        let key_hashes = self.key_hashes.get(start..end).unwrap_or_default();

        Self {
            items: self.items.slice(start..end),
            key_hashes: key_hashes.to_vec(),
            index_key_violations: None,
            outcomes: None,
            unreadable: None,
            lane: self.lane,
            position: None,
            cost: ReadCost::default(),
            memory_permit: Arc::clone(&self.memory_permit),
            segment_permit: self.segment_permit.clone(),
            lane_permit: self.lane_permit.clone(),
        }
    }

    /// Splits the chunk into parts that become batches of about `most` items to write, each with a copy of its items: the memory of the
    /// page is free when the parts are returned. The first part has the cost, the last one the position.
    pub(crate) fn into_batches(self, most: u64) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut start = 0;
        loop {
            let end = self.batch_end(start, most);
            let outcomes = self.outcomes.as_ref();
            parts.push(Self {
                items: self.items.copied(start..end),
                outcomes: outcomes.map(|outcomes| outcomes[start..end].to_vec()),
                memory_permit: Arc::default(),
                ..self.part(start, end)
            });

            if end == self.items.len() {
                break;
            }

            start = end;
        }

        self.hand_over_to(parts)
    }

    /// The end of the batch that starts with the item at `start`.
    fn batch_end(&self, start: usize, most: u64) -> usize {
        let mut outputs = 0;
        let mut bytes = 0;
        for (index, item) in self.items.iter().enumerate().skip(start) {
            let count = self.outcome(index).output_count();
            outputs += count;
            bytes += item.len();
            let is_too_large = outputs > most || bytes > BATCH_TEXT_BYTES;
            if index > start && count > 0 && is_too_large {
                return index;
            }
        }

        self.items.len()
    }

    /// Number of items after the transform.
    pub(crate) fn output_count(&self) -> u64 {
        let Some(outcomes) = &self.outcomes else {
            return self.items.len() as u64;
        };

        outcomes.iter().map(Outcome::output_count).sum()
    }

    /// Drops what exceeds `most` items after the transform. A chunk that was cut has no position: it would skip the rest.
    pub(crate) fn truncate_outputs(&mut self, most: u64) {
        let mut remaining = most;
        let mut kept = 0;
        let mut is_cut = false;

        match &mut self.outcomes {
            None => kept = usize::try_from(most).unwrap_or(usize::MAX),
            Some(outcomes) => {
                for outcome in outcomes.iter_mut() {
                    if remaining == 0 {
                        break;
                    }

                    is_cut |= outcome.truncate(remaining);
                    remaining -= outcome.output_count();
                    kept += 1;
                }

                outcomes.truncate(kept);
            }
        }

        if is_cut || kept < self.items.len() {
            self.items.truncate(kept);
            self.key_hashes.truncate(kept);
            self.index_key_violations = None;
            self.unreadable = None;
            self.position = None;
        }
    }

    /// The items of the source with their outcomes.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Bytes, &Outcome)> {
        (0..self.items.len()).filter_map(|index| {
            let item = self.items.get(index)?;
            Some((item, self.outcome(index)))
        })
    }

    /// The original items, as slices of their buffer.
    pub(crate) fn original_items(&self) -> Vec<Bytes> {
        (0..self.items.len())
            .filter_map(|index| self.items.get(index))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::RejectReason;

    fn texts(count: usize) -> Vec<Bytes> {
        (0..count)
            .map(|number| Bytes::from(format!(r#"{{"id":{{"N":"{number}"}}}}"#)))
            .collect()
    }

    fn chunk(count: usize) -> Chunk<u64> {
        let items = Items::concat(&texts(count)).expect("items");
        Chunk {
            cost: ReadCost {
                read_units: 2.0,
                ..ReadCost::default()
            },
            ..Chunk::new(3, items, 9)
        }
    }

    #[test]
    fn only_the_last_part_of_a_page_has_its_position() {
        let parts = chunk(7).split(3);
        let sizes: Vec<_> = parts.iter().map(|part| part.items.len()).collect();
        let positions: Vec<_> = parts.iter().map(|part| part.position).collect();
        let costs: Vec<_> = parts.iter().map(|part| part.cost.read_units).collect();
        assert_eq!(sizes, [3, 3, 1]);
        assert_eq!(positions, [None, None, Some(9)]);
        assert_eq!(costs, [2.0, 0.0, 0.0]);

        let items: Vec<_> = parts.iter().flat_map(Chunk::original_items).collect();
        assert_eq!(items, texts(7));
    }

    #[test]
    fn batches_are_cut_by_the_items_that_are_written_and_do_not_keep_the_page() {
        let page = chunk(7);
        let text = page.items.get(0).unwrap();
        let parts = page.into_batches(3);
        drop(parts.iter().map(Chunk::original_items).collect::<Vec<_>>());
        assert!(text.is_unique(), "no part shares the text of the page");
        let sizes: Vec<_> = parts.iter().map(|part| part.items.len()).collect();
        let positions: Vec<_> = parts.iter().map(|part| part.position).collect();
        let costs: Vec<_> = parts.iter().map(|part| part.cost.read_units).collect();
        assert_eq!(sizes, [3, 3, 1]);
        assert_eq!(positions, [None, None, Some(9)]);
        assert_eq!(costs, [2.0, 0.0, 0.0]);
        let items: Vec<_> = parts.iter().flat_map(Chunk::original_items).collect();
        assert_eq!(items, texts(7));

        let empty = chunk(0).into_batches(3);
        assert_eq!((empty.len(), empty[0].position), (1, Some(9)));

        let outcomes = Some(vec![
            Outcome::Skipped,
            Outcome::Unchanged,
            Outcome::Skipped,
            Outcome::Several(texts(4)),
            Outcome::Unchanged,
            Outcome::Skipped,
        ]);
        let transformed = Chunk {
            outcomes,
            ..chunk(6)
        };
        let parts = transformed.into_batches(3);
        let outputs: Vec<_> = parts.iter().map(Chunk::output_count).collect();
        let sizes: Vec<_> = parts.iter().map(|part| part.items.len()).collect();
        assert_eq!((outputs, sizes), (vec![1, 4, 1], vec![3, 1, 2]));
    }

    #[test]
    fn an_empty_page_keeps_its_position_and_cost() {
        let parts = chunk(0).split(3);
        assert_eq!(parts.len(), 1);
        assert_eq!(
            (parts[0].position, parts[0].cost.read_units),
            (Some(9), 2.0)
        );
    }

    #[test]
    fn a_chunk_that_a_limit_cuts_has_no_position() {
        let mut whole = chunk(3);
        whole.truncate_outputs(3);
        assert_eq!((whole.output_count(), whole.position), (3, Some(9)));

        let mut cut = chunk(3);
        cut.truncate_outputs(2);
        assert_eq!((cut.output_count(), cut.position), (2, None));
    }

    #[test]
    fn a_limit_counts_what_a_transform_made() {
        let transformed = || {
            let several = Outcome::Several(texts(3));
            let rejected = Outcome::Rejected(RejectReason::internal("no"));
            Chunk {
                outcomes: Some(vec![
                    Outcome::Skipped,
                    several,
                    rejected,
                    Outcome::Unchanged,
                ]),
                ..chunk(4)
            }
        };

        let mut cut_inside = transformed();
        assert_eq!(cut_inside.output_count(), 4);
        cut_inside.truncate_outputs(2);
        assert_eq!(cut_inside.outcomes.as_ref().map(Vec::len), Some(2));
        assert_eq!((cut_inside.output_count(), cut_inside.position), (2, None));

        let mut cut_after = transformed();
        cut_after.truncate_outputs(3);
        assert_eq!((cut_after.items.len(), cut_after.position), (2, None));

        let mut whole = transformed();
        whole.truncate_outputs(4);
        assert_eq!((whole.items.len(), whole.position), (4, Some(9)));
    }
}
