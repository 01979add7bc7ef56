//! Batches: up to 25 items with different keys, small enough for one call.
//!
//! DynamoDB refuses a call that names one key twice, and two calls in flight that write one key may land in either order. So
//! of two versions of a key within a batch only the later is sent, and a key that is in flight is waited for. The earlier
//! version is held until the call has ended: where DynamoDB refuses the later one, it is written after all, as it would have
//! been one by one.

use bytes::{Bytes, BytesMut};

use super::ledger::Ticket;
use crate::item::{KeyHashes, KeySchema};
use crate::limits;

/// Bytes of item text per call. DynamoDB takes 16 MB; smaller calls keep memory flat and retries cheap, and still hold 25
/// items of average size.
const BATCH_BYTES: usize = 2 * 1024 * 1024;

/// Earlier versions of its items that one batch holds on to.
const EARLIER: usize = 100;

/// Bytes of an item up to which it is copied out of its block, which has 64 KiB, or 256.
const SMALL: usize = 64 * 1024;

/// An item that is to be written.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) text: Bytes,
    /// 128-bit hash of its key.
    pub(crate) key: u128,
    pub(crate) ticket: Ticket,
}

/// Items on their way into one call.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) items: Vec<Bound>,
    /// Earlier versions of some of the items, oldest first: written after all where the later one is refused.
    pub(crate) earlier: Vec<Bound>,
    /// Bytes of text of both.
    pub(crate) bytes: usize,
}

impl Batch {
    /// The same in memory of its own. Large items stay where they are: little else lies in their blocks.
    fn detached(mut self) -> Self {
        let is_small = |item: &&mut Bound| item.text.len() <= SMALL;
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

/// What became of an item that was offered.
#[derive(Debug)]
pub(crate) enum Offered {
    /// It is in the open batch, instead of an earlier version of itself if there was one.
    Taken,
    /// Its key is in flight: wait until that call has ended, then offer it again.
    InFlight(Entry),
    /// The open batch is full: send it, then offer the item again.
    Full(Entry),
    /// It cannot be written.
    Unfit {
        /// The item.
        entry: Entry,
        /// Why.
        reason: String,
    },
}

/// An item that is offered.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) text: Bytes,
    pub(crate) ticket: Ticket,
    /// Hash of its key, if that is known already.
    pub(crate) key: Option<u128>,
}

/// Fills batches and knows which keys are in flight.
#[derive(Debug)]
pub(crate) struct Batcher {
    key: KeySchema,
    batch_size: usize,
    /// Whether the last version of an item counts, or else the first.
    last_wins: bool,
    open: Batch,
    /// Some hundreds of keys.
    in_flight: KeyHashes,
    /// Memory for the key under consideration.
    identity: Vec<u8>,
}

impl Batcher {
    pub(crate) fn new(key: KeySchema, batch_size: usize, last_wins: bool) -> Self {
        let batch_size = batch_size.clamp(1, limits::BATCH_WRITE_ITEMS);
        Self {
            key,
            batch_size,
            last_wins,
            open: Batch::default(),
            in_flight: KeyHashes::default(),
            identity: Vec::new(),
        }
    }

    /// Puts an item into the open batch, or says why not.
    pub(crate) fn offer(&mut self, entry: Entry) -> Offered {
        let hash = entry.key.map_or_else(
            || self.key.hash128_with(&mut self.identity, &entry.text),
            Ok,
        );

        let key = match hash {
            Ok(key) => key,
            Err(error) => {
                return Offered::Unfit {
                    entry,
                    reason: error.to_string(),
                };
            }
        };

        let (bytes, known) = (
            entry.text.len(),
            self.open.items.iter().position(|other| other.key == key),
        );
        if self.in_flight.contains(&key) {
            return Offered::InFlight(entry);
        }

        let full = match known {
            Some(_) => !self.last_wins || self.open.earlier.len() == EARLIER,
            None => self.open.items.len() == self.batch_size,
        };
        if full || (self.open.bytes + bytes > BATCH_BYTES && !self.open.items.is_empty()) {
            return Offered::Full(entry);
        }

        let bound = Bound {
            text: entry.text,
            key,
            ticket: entry.ticket,
        };

        self.open.bytes += bytes;

        match known {
            Some(at) => {
                let earlier = std::mem::replace(&mut self.open.items[at], bound);
                self.open.earlier.push(earlier);
            }
            None => self.open.items.push(bound),
        }

        Offered::Taken
    }

    /// The hash of an item's key, if it has one.
    pub(crate) fn key_of(&self, item: &[u8]) -> Option<u128> {
        self.key.hash128(item).ok()
    }

    /// Takes the open batch to send it; its keys are in flight from now on. Its texts are its own: the items of one batch come from
    /// as many blocks of the dump, which one that is tried again and again would keep in memory.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        if self.open.items.is_empty() {
            return None;
        }

        let next = Batch {
            items: Vec::with_capacity(self.batch_size),
            ..Batch::default()
        };
        let batch = std::mem::replace(&mut self.open, next).detached();
        self.in_flight
            .extend(batch.items.iter().map(|item| item.key));

        Some(batch)
    }

    /// The call with this batch has ended.
    pub(crate) fn landed(&mut self, batch: &Batch) {
        for item in &batch.items {
            self.in_flight.remove(&item.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::{Counts, Going, Ledger};
    use super::*;
    use crate::item::{KeyAttribute, KeyType};

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
        )
    }

    fn text(id: &str, text: &str) -> Bytes {
        Bytes::from(format!(r#"{{"id":{{"N":"{id}"}},"t":{{"S":"{text}"}}}}"#))
    }

    fn entry(text: Bytes) -> Entry {
        Entry {
            text,
            ticket: Ledger::new([0], Counts::default()).read(0, 1, Going::Itself),
            key: None,
        }
    }

    fn item(id: &str, of: &str) -> Entry {
        entry(text(id, of))
    }

    fn texts(items: &[Bound]) -> Vec<Bytes> {
        items.iter().map(|item| item.text.clone()).collect()
    }

    #[test]
    fn the_later_version_of_a_key_wins_however_its_number_is_written_and_the_earlier_is_held() {
        let mut batcher = batcher(25, true);
        for (id, of) in [("1", "old"), ("2", "x"), ("1.0", "newer"), ("1e0", "new")] {
            assert!(matches!(batcher.offer(item(id, of)), Offered::Taken));
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
    fn where_the_first_version_wins_the_later_waits_for_it() {
        let mut batcher = batcher(25, false);
        batcher.offer(item("1", "old"));
        assert!(matches!(batcher.offer(item("1", "new")), Offered::Full(_)));
    }

    #[test]
    fn a_batch_does_not_hold_versions_without_end() {
        let mut batcher = batcher(25, true);
        for _ in 0..=EARLIER {
            assert!(matches!(batcher.offer(item("1", "old")), Offered::Taken));
        }

        assert!(matches!(batcher.offer(item("1", "new")), Offered::Full(_)));
    }

    #[test]
    fn a_key_in_flight_is_waited_for() {
        let mut batcher = batcher(25, true);
        batcher.offer(item("1", "old"));
        let batch = batcher.take().unwrap();
        assert!(matches!(
            batcher.offer(item("1", "new")),
            Offered::InFlight(_)
        ));
        batcher.landed(&batch);
        assert!(matches!(batcher.offer(item("1", "new")), Offered::Taken));
    }

    #[test]
    fn a_batch_is_full_by_count_and_by_bytes() {
        let mut batcher = batcher(2, true);
        batcher.offer(item("1", ""));
        batcher.offer(item("2", ""));
        assert!(matches!(batcher.offer(item("3", "")), Offered::Full(_)));
        batcher.take();
        let large = "x".repeat(BATCH_BYTES);
        assert!(
            matches!(batcher.offer(item("4", &large)), Offered::Taken),
            "a large item travels alone"
        );
        assert!(matches!(batcher.offer(item("5", "")), Offered::Full(_)));
        assert!(
            matches!(batcher.offer(item("4", "")), Offered::Full(_)),
            "its versions count"
        );
    }

    #[test]
    fn a_batch_in_flight_does_not_hold_the_blocks_that_its_items_were_read_from() {
        let mut batcher = batcher(25, true);
        let blocks: Vec<Bytes> = ["1", "2", "1"].map(|id| text(id, &"x".repeat(500))).into();
        for block in &blocks {
            assert!(matches!(
                batcher.offer(entry(block.slice(..))),
                Offered::Taken
            ));
        }

        let batch = batcher.take().unwrap();
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
    fn an_item_without_its_key_is_unfit() {
        let offered = batcher(25, true).offer(entry(Bytes::from_static(br#"{"x":{"S":"1"}}"#)));
        let Offered::Unfit { reason, .. } = offered else {
            panic!("it has no key")
        };

        assert!(reason.contains("id"), "{reason}");
    }
}
