//! Batches: up to 25 items with different keys, for one `BatchWriteItem` call.
//!
//! DynamoDB rejects a call that contains a key twice, and two in-flight calls with the same key may take effect in either order.
//! Therefore, only the last version of a key in a batch is sent, and an item whose key is in flight waits. The earlier version is
//! kept until the call has ended: if DynamoDB rejects the later one, the earlier one is written, as if they had been written one by
//! one.

use bytes::{Bytes, BytesMut};

use super::ledger::Ticket;
use crate::item::{KeyHashes, KeySchema};
use crate::limits::{self, MemoryShare};

/// Maximum bytes of item text per call. DynamoDB accepts 16 MB; smaller calls use less memory and are cheaper to retry, and still
/// hold 25 items of average size. Tables that are written in parallel share it.
const MAX_BATCH_BYTES: usize = 2 * 1024 * 1024;

/// Maximum number of earlier versions that one batch keeps.
const MAX_EARLIER_VERSIONS: usize = 100;

/// Items of up to this size are copied out of the block they were read from, which has 64 KiB or 256 KiB.
const MAX_COPIED_ITEM_BYTES: usize = 64 * 1024;

/// An item in a batch.
#[derive(Debug, Clone)]
pub(crate) struct BatchItem {
    /// Empty while the item is sent.
    pub(crate) text: Bytes,
    /// Length of its text.
    pub(crate) bytes: usize,
    /// 128-bit hash of its key.
    pub(crate) key: u128,
    pub(crate) ticket: Ticket,
}

/// The items of one call.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) items: Vec<BatchItem>,
    /// Earlier versions of some of the items, oldest first; written only if the later version is rejected.
    pub(crate) earlier: Vec<BatchItem>,
    /// Bytes of text of both.
    pub(crate) bytes: usize,
}

impl Batch {
    /// Takes the texts to send. They are moved because a clone of each would cost more than building the request.
    pub(crate) fn take_texts(&mut self) -> Vec<Bytes> {
        let texts = self.items.iter_mut();
        texts.map(|item| std::mem::take(&mut item.text)).collect()
    }

    /// Copies small items into memory of the batch: they may come from many blocks of the source, which a batch that is retried for a long
    /// time would keep in memory. Large items are not copied: they make up most of their blocks.
    pub(crate) fn detached(mut self) -> Self {
        let is_small = |item: &&mut BatchItem| item.text.len() <= MAX_COPIED_ITEM_BYTES;
        let bytes = self
            .items
            .iter_mut()
            .filter(is_small)
            .map(|item| item.text.len())
            .sum();

        let mut texts = BytesMut::with_capacity(bytes);
        for item in self
            .items
            .iter_mut()
            .chain(&mut self.earlier)
            .filter(is_small)
        {
            texts.extend_from_slice(&item.text);
            item.text = texts.split().freeze();
        }

        self
    }
}

/// Result of [`Batcher::offer`].
#[derive(Debug)]
pub(crate) enum OfferResult {
    /// The item is in the open batch. An earlier version of it is not sent.
    Added,
    /// An item with the same key is in flight: wait until that call has ended, then offer the item again.
    KeyInFlight(PendingItem),
    /// The open batch is full: send it, then offer the item again.
    BatchFull(PendingItem),
    /// The item does not have the key of the table.
    NoKey { entry: PendingItem, reason: String },
}

/// An item that is not in a batch yet.
#[derive(Debug)]
pub(crate) struct PendingItem {
    pub(crate) text: Bytes,
    pub(crate) ticket: Ticket,
    /// Hash of its key, if it is already known.
    pub(crate) key: Option<u128>,
}

/// Collects items into batches and tracks which keys are in flight.
#[derive(Debug)]
pub(crate) struct Batcher {
    key: KeySchema,
    batch_size: usize,
    max_bytes: usize,
    /// Whether the last version of an item replaces earlier ones; otherwise, the first one remains.
    last_wins: bool,
    open: Batch,
    /// Hashes of the keys in flight: a few hundred.
    in_flight: KeyHashes,
    /// Reused buffer for the key that is hashed.
    key_buffer: Vec<u8>,
}

impl Batcher {
    pub(crate) fn new(
        key: KeySchema,
        batch_size: usize,
        last_wins: bool,
        memory: MemoryShare,
    ) -> Self {
        let batch_size = batch_size.clamp(1, limits::BATCH_WRITE_ITEMS);
        Self {
            key,
            batch_size,
            max_bytes: memory.of(MAX_BATCH_BYTES),
            last_wins,
            open: Batch::default(),
            in_flight: KeyHashes::default(),
            key_buffer: Vec::new(),
        }
    }

    /// Adds an item to the open batch if possible.
    pub(crate) fn offer(&mut self, entry: PendingItem) -> OfferResult {
        let hash = entry.key.map_or_else(
            || self.key.hash128_with(&mut self.key_buffer, &entry.text),
            Ok,
        );

        let key = match hash {
            Ok(key) => key,
            Err(error) => {
                return OfferResult::NoKey {
                    entry,
                    reason: error.to_string(),
                };
            }
        };

        if self.in_flight.contains(&key) {
            return OfferResult::KeyInFlight(entry);
        }

        let bytes = entry.text.len();
        let same_key = self.open.items.iter().position(|other| other.key == key);
        let is_full = match same_key {
            Some(_) => !self.last_wins || self.open.earlier.len() == MAX_EARLIER_VERSIONS,
            None => self.open.items.len() == self.batch_size,
        };
        // An item larger than the limit is sent alone.
        if is_full || (self.open.bytes + bytes > self.max_bytes && !self.open.items.is_empty()) {
            return OfferResult::BatchFull(entry);
        }

        let item = BatchItem {
            text: entry.text,
            bytes,
            key,
            ticket: entry.ticket,
        };

        self.open.bytes += bytes;

        match same_key {
            Some(at) => {
                let earlier = std::mem::replace(&mut self.open.items[at], item);
                self.open.earlier.push(earlier);
            }
            None => self.open.items.push(item),
        }

        OfferResult::Added
    }

    /// Bytes of text of the open batch.
    pub(crate) fn open_bytes(&self) -> usize {
        self.open.bytes
    }

    /// The hash of an item's key, if it has one.
    pub(crate) fn key_of(&self, item: &[u8]) -> Option<u128> {
        self.key.hash128(item).ok()
    }

    /// Takes the open batch to send it, and marks its keys as in flight.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        if self.open.items.is_empty() {
            return None;
        }

        let next = Batch {
            items: Vec::with_capacity(self.batch_size),
            ..Batch::default()
        };
        let batch = std::mem::replace(&mut self.open, next);
        self.in_flight
            .extend(batch.items.iter().map(|item| item.key));

        Some(batch)
    }

    /// Marks the keys of a batch as no longer in flight: its call has ended.
    pub(crate) fn complete(&mut self, batch: &Batch) {
        for item in &batch.items {
            self.in_flight.remove(&item.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::counts::RestoreCounts;
    use super::super::ledger::Ledger;
    use super::*;
    use crate::item::Items;
    use crate::item::{KeyAttribute, KeyType};
    use crate::ops::chunk::Chunk;

    fn batcher(batch_size: usize, last_wins: bool) -> Batcher {
        let partition = KeyAttribute {
            name: "id".into(),
            kind: KeyType::N,
        };
        Batcher::new(
            KeySchema {
                partition,
                sort: None,
            },
            batch_size,
            last_wins,
            MemoryShare::WHOLE,
        )
    }

    fn text(id: &str, text: &str) -> Bytes {
        Bytes::from(format!(r#"{{"id":{{"N":"{id}"}},"t":{{"S":"{text}"}}}}"#))
    }

    fn entry(text: Bytes) -> PendingItem {
        let chunk = Chunk::new(0, Items::default(), 1_u64);
        let mut ledger = Ledger::new(vec![0], RestoreCounts::default());
        PendingItem {
            text,
            ticket: Ticket {
                chunk: ledger.register(&chunk),
                item: 0,
            },
            key: None,
        }
    }

    fn item(id: &str, of: &str) -> PendingItem {
        entry(text(id, of))
    }

    fn texts(items: &[BatchItem]) -> Vec<Bytes> {
        items.iter().map(|item| item.text.clone()).collect()
    }

    #[test]
    fn the_later_version_of_a_key_wins_however_its_number_is_written_and_the_earlier_is_held() {
        let mut batcher = batcher(25, true);
        for (id, of) in [("1", "old"), ("2", "x"), ("1.0", "newer"), ("1e0", "new")] {
            assert!(matches!(batcher.offer(item(id, of)), OfferResult::Added));
        }

        let batch = batcher.take().unwrap();
        assert_eq!(texts(&batch.items), [text("1e0", "new"), text("2", "x")]);
        assert_eq!(
            texts(&batch.earlier),
            [text("1", "old"), text("1.0", "newer")]
        );
        let all = batch.items.iter().chain(&batch.earlier);
        assert_eq!(batch.bytes, all.map(|item| item.text.len()).sum::<usize>());
    }

    #[test]
    fn if_the_first_version_wins_the_later_one_waits() {
        let mut batcher = batcher(25, false);
        batcher.offer(item("1", "old"));
        assert!(matches!(
            batcher.offer(item("1", "new")),
            OfferResult::BatchFull(_)
        ));
    }

    #[test]
    fn the_number_of_earlier_versions_in_a_batch_is_limited() {
        let mut batcher = batcher(25, true);
        for _ in 0..=MAX_EARLIER_VERSIONS {
            assert!(matches!(
                batcher.offer(item("1", "old")),
                OfferResult::Added
            ));
        }

        assert!(matches!(
            batcher.offer(item("1", "new")),
            OfferResult::BatchFull(_)
        ));
    }

    #[test]
    fn an_item_whose_key_is_in_flight_waits() {
        let mut batcher = batcher(25, true);
        batcher.offer(item("1", "old"));
        let batch = batcher.take().unwrap();
        assert!(matches!(
            batcher.offer(item("1", "new")),
            OfferResult::KeyInFlight(_)
        ));
        batcher.complete(&batch);
        assert!(matches!(
            batcher.offer(item("1", "new")),
            OfferResult::Added
        ));
    }

    #[test]
    fn a_batch_is_full_by_count_and_by_bytes() {
        let mut batcher = batcher(2, true);
        batcher.offer(item("1", ""));
        batcher.offer(item("2", ""));
        assert!(matches!(
            batcher.offer(item("3", "")),
            OfferResult::BatchFull(_)
        ));
        batcher.take();
        let large = "x".repeat(MAX_BATCH_BYTES);
        assert!(
            matches!(batcher.offer(item("4", &large)), OfferResult::Added),
            "a large item is sent alone"
        );
        assert!(matches!(
            batcher.offer(item("5", "")),
            OfferResult::BatchFull(_)
        ));
        assert!(
            matches!(batcher.offer(item("4", "")), OfferResult::BatchFull(_)),
            "its versions count"
        );
    }

    #[test]
    fn a_detached_batch_does_not_keep_the_blocks_of_its_items() {
        let mut batcher = batcher(25, true);
        let blocks: Vec<Bytes> = ["1", "2", "1"].map(|id| text(id, &"x".repeat(500))).into();
        for block in &blocks {
            assert!(matches!(
                batcher.offer(entry(block.slice(..))),
                OfferResult::Added
            ));
        }

        let batch = batcher.take().unwrap().detached();
        assert!(blocks.iter().all(Bytes::is_unique));
        assert_eq!(
            (texts(&batch.items), texts(&batch.earlier)),
            (
                blocks[1..].iter().rev().cloned().collect(),
                blocks[..1].to_vec()
            )
        );
    }

    #[test]
    fn an_item_without_the_key_is_not_added() {
        let offered = batcher(25, true).offer(entry(Bytes::from_static(br#"{"x":{"S":"1"}}"#)));
        let OfferResult::NoKey { reason, .. } = offered else {
            panic!("it has no key")
        };

        assert!(reason.contains("id"), "{reason}");
    }
}
