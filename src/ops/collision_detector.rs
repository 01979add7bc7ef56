//! Detection of different items that have the same key after a transform.
//!
//! The hash of each new key goes to scratch space with the identity of its item. Items of different identity with the same new key
//! would overwrite each other; two versions of one item have the same identity and are not a collision. It takes 40 bytes of disk per
//! key and 4 MB of memory; in addition, about 1 MB for ten million keys and 170 MB for a billion, as in `backup/duplicate_keys.rs`.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::backup::KeyCollisions;
use crate::error::Result;
use crate::field::Field;
use crate::item::KeySchema;
use crate::ops::chunk::Chunk;
use crate::ops::transform_stage::Observer;
use crate::place::scratch::ScratchPartitions;
use crate::transform::Outcome;

/// Memory of records before they go to disk, in bytes.
const SCRATCH_MEMORY: usize = 4 * 1024 * 1024;

/// Number of collisions that are listed.
const MAX_LISTED: usize = 10;

/// Number of keys that [`FirstKeys`] holds. The set has 262,144 buckets of 17 bytes: 4.5 MB.
const MAX_FIRST_KEYS: usize = 200_000;

/// The first keys of a transfer, in bounded memory: a later key that equals one of them is noticed immediately.
struct FirstKeys(HashSet<u128>);

impl FirstKeys {
    fn new() -> Self {
        // Allocated once: while a set grows, the old and the new one are in memory.
        Self(HashSet::with_capacity(MAX_FIRST_KEYS))
    }

    /// Adds a key while there is room. Returns whether it equals one of those added before.
    fn is_repeated(&mut self, key: u128) -> bool {
        if self.0.len() < MAX_FIRST_KEYS {
            !self.0.insert(key)
        } else {
            self.0.contains(&key)
        }
    }
}

/// Finds different items that have the same key after a transform.
pub(crate) struct CollisionDetector {
    source_key: KeySchema,
    target_key: KeySchema,
    /// Whether each item that is read is an item of its own, as in a Scan. In other sources, items with the same key are versions of
    /// one item.
    is_scan: bool,
    /// For each new key, the identity of its item (16 bytes) and its number (8 bytes).
    keys: ScratchPartitions<24>,
    /// Set if a collision is to be noticed before the end.
    first_keys: Option<FirstKeys>,
    /// Whether an equal key was noticed among the items so far. [`find`](Self::find) then finds it, too.
    has_noticed_collision: bool,
    /// Number of items so far.
    number: u64,
    /// Number of items without a key.
    without_key: u64,
}

impl CollisionDetector {
    /// A detector that has seen no items.
    ///
    /// # Errors
    /// A temporary file cannot be created.
    pub(crate) fn new(source_key: KeySchema, target_key: KeySchema, is_scan: bool) -> Result<Self> {
        Ok(Self {
            source_key,
            target_key,
            is_scan,
            keys: ScratchPartitions::new(SCRATCH_MEMORY)?,
            first_keys: None,
            has_noticed_collision: false,
            number: 0,
            without_key: 0,
        })
    }

    /// Also notices collisions with the first items in passing, so that a transfer which they make useless can end early. It takes
    /// another 4.5 MB. In other sources than a Scan, an equal key may be that of another version, so only [`find`](Self::find) knows.
    pub(crate) fn noticing_early(self) -> Self {
        Self {
            first_keys: self.is_scan.then(FirstKeys::new),
            ..self
        }
    }

    /// Adds the output of the transform for one item. An output without a key collides with no other.
    ///
    /// # Errors
    /// The disk is full.
    pub(crate) fn add(&mut self, item: &Bytes, outcome: &Outcome) -> Result<()> {
        let source_hash = self.source_key.hash128(item);
        let mut siblings = HashSet::new();

        for output in outcome.items(item) {
            self.number += 1;
            let Ok(target_hash) = self.target_key.hash128(output) else {
                self.without_key += 1;
                continue;
            };

            if let Some(first_keys) = &mut self.first_keys {
                self.has_noticed_collision |= first_keys.is_repeated(target_hash);
            }

            let source_hash = *source_hash.as_ref().unwrap_or(&target_hash);

            // Two outputs of one item are not versions of it: if they share a key, the second counts as another item.
            let identity = if self.is_scan {
                u128::from(self.number)
            } else if siblings.insert(target_hash) {
                source_hash
            } else {
                source_hash ^ u128::from(self.number)
            };

            self.keys
                .push(target_hash, &encode(identity, self.number))?;
        }

        Ok(())
    }

    /// A warning about outputs without a usable key, if there are any.
    pub(crate) fn warning(&self) -> Option<String> {
        if self.without_key == 0 {
            return None;
        }

        let key = self.target_key.names().collect::<Vec<_>>().join(", ");
        let (noun, verb) = if self.without_key == 1 {
            ("item", "has")
        } else {
            ("items", "have")
        };

        Some(format!(
            "{} {noun} that came out {verb} not the table's key ({key}): to restore this dump name the new one with {key_schema}",
            self.without_key,
            key_schema = Field::KeySchema
        ))
    }

    /// Finds the collisions among all items added so far.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub(crate) fn find(&self) -> Result<KeyCollisions> {
        let mut collisions = KeyCollisions::default();
        self.keys.for_each_repeated(|first, later| {
            let ((owner, first), (identity, number)) = (decode(first), decode(later));

            // Equal identities are versions of one item.
            if owner != identity {
                collisions.add(first, number, MAX_LISTED);
            }
        })?;

        Ok(collisions)
    }
}

fn encode(identity: u128, number: u64) -> [u8; 24] {
    let mut value = [0; 24];
    value[..16].copy_from_slice(&identity.to_le_bytes());
    value[16..].copy_from_slice(&number.to_le_bytes());

    value
}

fn decode(value: &[u8; 24]) -> (u128, u64) {
    let (mut identity, mut number) = ([0; 16], [0; 8]);
    identity.copy_from_slice(&value[..16]);
    number.copy_from_slice(&value[16..]);

    (u128::from_le_bytes(identity), u64::from_le_bytes(number))
}

/// The result of a [`CollisionObserver`].
#[derive(Debug, Clone, Default)]
pub(crate) struct CollisionReport {
    pub(crate) collisions: KeyCollisions,
    /// Number of items after which the transfer ended early, because a collision was noticed.
    pub(crate) stopped_after: Option<u64>,
    /// A warning about items without a usable key.
    pub(crate) warning: Option<String>,
}

/// Looks for collisions among the items of a transfer.
pub(crate) struct CollisionObserver {
    detector: CollisionDetector,
    /// Set at the end of the transfer.
    found: Arc<OnceLock<CollisionReport>>,
}

impl CollisionObserver {
    /// An observer that leaves what it has found in `found`.
    pub(crate) fn new(detector: CollisionDetector, found: Arc<OnceLock<CollisionReport>>) -> Self {
        Self { detector, found }
    }
}

impl<P> Observer<P> for CollisionObserver {
    fn observe(&mut self, chunk: &mut Chunk<P>) -> Result<()> {
        for (item, outcome) in chunk.entries() {
            self.detector.add(&item, outcome)?;
        }

        Ok(())
    }

    fn has_seen_enough(&self) -> bool {
        self.detector.has_noticed_collision
    }

    fn end(&mut self) -> Result<()> {
        let detector = &self.detector;
        let report = CollisionReport {
            collisions: detector.find()?,
            stopped_after: detector.has_noticed_collision.then_some(detector.number),
            warning: detector.warning(),
        };

        // A transfer ends once, so nothing is set yet.
        let _ = self.found.set(report);

        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::item::{KeyAttribute, KeyType};

    fn detector(is_scan: bool) -> CollisionDetector {
        let key = KeySchema {
            partition: KeyAttribute {
                name: "id".to_owned(),
                kind: KeyType::N,
            },
            sort: None,
        };

        CollisionDetector::new(key.clone(), key, is_scan)
            .expect("a temporary file")
            .noticing_early()
    }

    fn item(id: usize) -> Bytes {
        Bytes::from(format!(r#"{{"id":{{"N":"{id}"}}}}"#))
    }

    #[test]
    fn the_first_equal_key_is_noticed_and_found() {
        let mut detector = detector(true);
        for id in 0..3 {
            detector.add(&item(id), &Outcome::Unchanged).expect("room");
        }

        assert!(!detector.has_noticed_collision);
        let outcome = Outcome::Changed(item(1));
        detector.add(&item(3), &outcome).expect("room");
        assert!(detector.has_noticed_collision);
        assert_eq!(detector.find().expect("a result").first, [(2, 4)]);
    }

    #[test]
    fn two_outputs_of_one_item_are_noticed_and_found() {
        let mut detector = detector(true);
        let outcome = Outcome::Several(vec![item(7), item(7)]);
        detector.add(&item(1), &outcome).expect("room");
        assert!(detector.has_noticed_collision);
        assert_eq!(detector.find().expect("a result").first, [(1, 2)]);
    }

    proptest! {
        #[test]
        fn every_collision_is_counted(items in prop::collection::vec((0..30_usize, 0..5_usize), 0..200)) {
            let mut detector = detector(false);
            let (mut owners, mut expected) = (HashMap::new(), Vec::new());
            for ((after, before), number) in items.into_iter().zip(1_u64..) {
                detector.add(&item(before), &Outcome::Changed(item(after))).expect("room");
                let (owner, first) = *owners.entry(after).or_insert((before, number));
                if owner != before {
                    expected.push((first, number));
                }
            }
            let found = detector.find().expect("a result");
            prop_assert_eq!(found.count, expected.len() as u64);
            expected.truncate(MAX_LISTED);
            prop_assert_eq!(found.first, expected);
        }
    }

    #[test]
    fn versions_of_one_item_do_not_collide() {
        let mut detector = detector(false);
        let outcome = Outcome::Changed(item(5));
        for _ in 0..3 {
            detector.add(&item(1), &outcome).expect("room");
        }

        assert_eq!(detector.find().expect("a result"), KeyCollisions::default());
        detector.add(&item(2), &outcome).expect("room");
        assert_eq!(detector.find().expect("a result").first, [(1, 4)]);
    }

    #[test]
    fn versions_of_one_item_are_not_noticed() {
        let mut detector = detector(false);
        for _ in 0..2 {
            detector.add(&item(1), &Outcome::Unchanged).expect("room");
        }

        assert!(!detector.has_noticed_collision);
        assert_eq!(detector.find().expect("a result").count, 0);
    }

    #[test]
    fn the_memory_of_the_first_keys_is_bounded() {
        let key = |number: usize| u128::from(number as u64) << 64;
        let mut keys = FirstKeys::new();
        let capacity = keys.0.capacity();
        for number in 0..3 * MAX_FIRST_KEYS {
            assert!(!keys.is_repeated(key(number)));
        }

        assert_eq!(
            (keys.0.len(), keys.0.capacity()),
            (MAX_FIRST_KEYS, capacity)
        );

        // A bucket has the key and a byte of state, and one in eight is free.
        let bytes = capacity * 8 / 7 * (size_of::<u128>() + 1);
        assert!(bytes < 5_000_000, "{bytes} bytes");

        // What was not added is not repeated, and the first keys still are.
        assert!(!keys.is_repeated(key(MAX_FIRST_KEYS)));
        assert!(keys.is_repeated(key(0)) && keys.is_repeated(key(MAX_FIRST_KEYS - 1)));
    }
}
