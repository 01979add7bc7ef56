//! Batches: up to 25 items with different keys, small enough for one call.
//!
//! DynamoDB refuses a call that names one key twice, and two calls in flight that write one key may land in either order. So
//! of two versions of a key within a batch only the later is kept, and a key that is in flight is waited for.

use std::collections::HashSet;

use bytes::Bytes;

use crate::item::{Key, KeySchema};
use crate::limits;

/// Bytes of item text per call. DynamoDB takes 16 MB; smaller calls keep memory flat and retries cheap, and still hold 25
/// items of average size.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Items on their way into one call.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) items: Vec<Bytes>,
    /// 128-bit hashes of the items' keys, in the order of `items`.
    pub(super) keys: Vec<u128>,
    pub(super) bytes: usize,
}

/// What became of an item that was offered.
#[derive(Debug)]
pub(super) enum Offered {
    /// It is in the open batch.
    Taken,
    /// It is in the open batch instead of an earlier version of itself.
    Superseded,
    /// Its key is in flight: wait until that call has ended, then offer it again.
    InFlight(Bytes),
    /// The open batch is full: send it, then offer the item again.
    Full(Bytes),
    /// It cannot be written.
    Unfit {
        /// The item.
        item: Bytes,
        /// Why.
        reason: String,
    },
}

/// Fills batches and knows which keys are in flight.
#[derive(Debug)]
pub(super) struct Batcher {
    key: KeySchema,
    batch_size: usize,
    open: Batch,
    in_flight: HashSet<u128>,
}

impl Batcher {
    pub(super) fn new(key: KeySchema, batch_size: usize) -> Self {
        let batch_size = batch_size.clamp(1, limits::BATCH_WRITE_ITEMS);
        Self { key, batch_size, open: Batch::default(), in_flight: HashSet::new() }
    }

    /// Puts an item into the open batch, or says why not.
    pub(super) fn offer(&mut self, item: Bytes) -> Offered {
        let key = match self.key.extract(&item) {
            Ok(key) => Key::hash128(&key),
            Err(error) => return Offered::Unfit { item, reason: error.to_string() },
        };
        if let Some(at) = self.open.keys.iter().position(|other| *other == key) {
            self.open.bytes = self.open.bytes - self.open.items[at].len() + item.len();
            self.open.items[at] = item;
            return Offered::Superseded;
        }
        if self.in_flight.contains(&key) {
            return Offered::InFlight(item);
        }
        let full = self.open.items.len() == self.batch_size || self.open.bytes + item.len() > BATCH_BYTES;
        if full && !self.open.items.is_empty() {
            return Offered::Full(item);
        }
        self.open.bytes += item.len();
        self.open.items.push(item);
        self.open.keys.push(key);
        Offered::Taken
    }

    /// Takes the open batch to send it; its keys are in flight from now on.
    pub(super) fn take(&mut self) -> Option<Batch> {
        if self.open.items.is_empty() {
            return None;
        }
        let batch = std::mem::take(&mut self.open);
        self.in_flight.extend(&batch.keys);
        Some(batch)
    }

    /// The call with these keys has ended.
    pub(super) fn landed(&mut self, keys: &[u128]) {
        for key in keys {
            self.in_flight.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::{KeyAttribute, KeyType};

    fn batcher(batch_size: usize) -> Batcher {
        let partition = KeyAttribute { name: "id".into(), kind: KeyType::N };
        Batcher::new(KeySchema { partition, sort: None }, batch_size)
    }

    fn item(id: &str, text: &str) -> Bytes {
        Bytes::from(format!(r#"{{"id":{{"N":"{id}"}},"t":{{"S":"{text}"}}}}"#))
    }

    #[test]
    fn the_later_version_of_a_key_wins_however_its_number_is_written() {
        let mut batcher = batcher(25);
        assert!(matches!(batcher.offer(item("1", "old")), Offered::Taken));
        assert!(matches!(batcher.offer(item("2", "x")), Offered::Taken));
        assert!(matches!(batcher.offer(item("1.0", "new")), Offered::Superseded));
        let batch = batcher.take().unwrap();
        assert_eq!(batch.items, [item("1.0", "new"), item("2", "x")]);
        assert_eq!(batch.bytes, batch.items.iter().map(Bytes::len).sum::<usize>());
    }

    #[test]
    fn a_key_in_flight_is_waited_for() {
        let mut batcher = batcher(25);
        batcher.offer(item("1", "old"));
        let batch = batcher.take().unwrap();
        assert!(matches!(batcher.offer(item("1", "new")), Offered::InFlight(_)));
        batcher.landed(&batch.keys);
        assert!(matches!(batcher.offer(item("1", "new")), Offered::Taken));
    }

    #[test]
    fn a_batch_is_full_by_count_and_by_bytes() {
        let mut batcher = batcher(2);
        batcher.offer(item("1", ""));
        batcher.offer(item("2", ""));
        assert!(matches!(batcher.offer(item("3", "")), Offered::Full(_)));
        batcher.take();
        let large = "x".repeat(BATCH_BYTES);
        assert!(matches!(batcher.offer(item("4", &large)), Offered::Taken), "a large item travels alone");
        assert!(matches!(batcher.offer(item("5", "")), Offered::Full(_)));
    }

    #[test]
    fn an_item_without_its_key_is_unfit() {
        let Offered::Unfit { reason, .. } = batcher(25).offer(Bytes::from_static(br#"{"x":{"S":"1"}}"#)) else {
            panic!("it has no key")
        };
        assert!(reason.contains("id"), "{reason}");
    }
}
