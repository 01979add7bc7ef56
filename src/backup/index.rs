//! The indexes of a data file: lists of consecutive ranges whose length is bounded.

use serde::{Deserialize, Serialize};

/// Maximum number of entries of an index. Two of them, 4 MB of text each, fit into the metadata ([`crate::limits::DOCUMENT_BYTES`]).
pub(crate) const INDEX_LIMIT: usize = 131_072;

/// One or more consecutive frames of a compressed data file: an array of three numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 3]", into = "[u64; 3]")]
pub struct Frame {
    /// Bytes before compression.
    pub bytes: u64,
    /// Bytes on disk.
    pub compressed: u64,
    /// Items that begin and end in it.
    pub items: u64,
}

impl From<[u64; 3]> for Frame {
    fn from([bytes, compressed, items]: [u64; 3]) -> Self {
        Self {
            bytes,
            compressed,
            items,
        }
    }
}

impl From<Frame> for [u64; 3] {
    fn from(frame: Frame) -> Self {
        [frame.bytes, frame.compressed, frame.items]
    }
}

/// A range of whole lines with items of one segment: an array of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[u64; 2]", into = "[u64; 2]")]
pub struct Extent {
    /// The segment of most of its items.
    pub segment: u64,
    /// Bytes before compression.
    pub bytes: u64,
}

impl From<[u64; 2]> for Extent {
    fn from([segment, bytes]: [u64; 2]) -> Self {
        Self { segment, bytes }
    }
}

impl From<Extent> for [u64; 2] {
    fn from(extent: Extent) -> Self {
        [extent.segment, extent.bytes]
    }
}

/// An entry of an index.
pub(crate) trait IndexEntry {
    /// Its length in bytes of text.
    fn bytes(&self) -> u64;

    /// Whether `next` continues this entry.
    fn is_continued_by(&self, next: &Self) -> bool;

    /// Extends this entry by the range of `next`.
    fn extend(&mut self, next: &Self);
}

impl IndexEntry for Frame {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_continued_by(&self, _next: &Self) -> bool {
        false
    }

    fn extend(&mut self, next: &Self) {
        self.bytes += next.bytes;
        self.compressed += next.compressed;
        self.items += next.items;
    }
}

impl IndexEntry for Extent {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn is_continued_by(&self, next: &Self) -> bool {
        self.segment == next.segment
    }

    fn extend(&mut self, next: &Self) {
        self.bytes += next.bytes;
    }
}

/// An index that is still being written. When it gets too long, neighbouring entries are joined.
#[derive(Debug)]
pub(crate) struct BoundedIndex<T> {
    entries: Vec<T>,
    /// Entries of fewer bytes are extended by the next one.
    min_bytes: u64,
    limit: usize,
}

impl<T: IndexEntry> BoundedIndex<T> {
    /// Continues an index.
    pub(crate) fn new(entries: Vec<T>) -> Self {
        Self {
            entries,
            min_bytes: 0,
            limit: INDEX_LIMIT,
        }
    }

    /// Adds the range after the last entry.
    pub(crate) fn push(&mut self, entry: T) {
        self.join_or_push(entry);

        while self.entries.len() > self.limit {
            // At least twice the average, so that half of the entries remain.
            let bytes: u64 = self.entries.iter().map(IndexEntry::bytes).sum();
            let doubled = bytes / self.entries.len() as u64 * 2;
            self.min_bytes = doubled.max(self.min_bytes * 2).max(1);

            for entry in std::mem::take(&mut self.entries) {
                self.join_or_push(entry);
            }
        }
    }

    fn join_or_push(&mut self, entry: T) {
        match self.entries.last_mut() {
            Some(last) if last.bytes() < self.min_bytes || last.is_continued_by(&entry) => {
                last.extend(&entry);
            }
            _ => self.entries.push(entry),
        }
    }

    pub(crate) fn entries(&self) -> &[T] {
        &self.entries
    }

    /// Removes and returns the last entry.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.entries.pop()
    }

    pub(crate) fn into_entries(self) -> Vec<T> {
        self.entries
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_index_stays_within_its_limit_and_covers_the_same_bytes(
            ranges in proptest::collection::vec((0_u64..3, 0_u64..5), 0..200),
            limit in 1_usize..20,
        ) {
            let mut extents = BoundedIndex { limit, ..BoundedIndex::new(Vec::new()) };
            let mut frames = BoundedIndex { limit, ..BoundedIndex::new(Vec::new()) };
            for (segment, bytes) in &ranges {
                extents.push(Extent { segment: *segment, bytes: *bytes });
                frames.push(Frame { bytes: *bytes, compressed: bytes / 2, items: 1 });
            }

            prop_assert!(extents.entries().len() <= limit && frames.entries().len() <= limit);
            let bytes: u64 = ranges.iter().map(|(_, bytes)| bytes).sum();
            prop_assert_eq!(extents.entries().iter().map(|extent| extent.bytes).sum::<u64>(), bytes);
            prop_assert_eq!(frames.entries().iter().map(|frame| frame.bytes).sum::<u64>(), bytes);
            prop_assert_eq!(frames.entries().iter().map(|frame| frame.items).sum::<u64>(), ranges.len() as u64);
        }
    }

    #[test]
    fn joined_entries_have_about_the_same_size() {
        let mut frames = BoundedIndex {
            limit: 8,
            ..BoundedIndex::new(Vec::new())
        };
        for _ in 0..100 {
            frames.push(Frame {
                bytes: 10,
                compressed: 1,
                items: 1,
            });
        }

        let sizes: Vec<_> = frames.entries().iter().map(|frame| frame.bytes).collect();
        let (last, others) = sizes.split_last().unwrap();
        assert!(others.len() >= 3, "{sizes:?}");
        assert!(others.iter().all(|size| *size == others[0]), "{sizes:?}");
        assert!(*last <= others[0], "{sizes:?}");
    }

    #[test]
    fn neighbouring_extents_of_a_segment_are_one() {
        let mut extents = BoundedIndex::new(Vec::new());
        for (segment, bytes) in [(1, 10), (1, 20), (0, 5), (1, 1)] {
            extents.push(Extent { segment, bytes });
        }

        let found: Vec<[u64; 2]> = extents.into_entries().into_iter().map(Into::into).collect();
        assert_eq!(found, [[1, 30], [0, 5], [1, 1]]);
    }
}
