//! Finds different items that end up with the same key after a transform, exactly.
//!
//! The hashes of the new and the old key are partitioned by the new key into scratch space. Items
//! with different old keys and the same new key would overwrite each other; two versions of one
//! item have the same old key and are not a collision. Memory grows slowly with the number of keys,
//! as in `duplicate_keys.rs`.

use std::collections::{BTreeMap, HashMap};

use crate::error::Result;
use crate::place::ScratchPartitions;

const PARTITIONS: usize = 1024;

/// Memory of records before they go to disk, in bytes.
const SCRATCH_MEMORY: usize = 4 * 1024 * 1024;

/// Hash of the new key, hash of the old key, number of the item.
const RECORD: usize = 40;

/// Collisions that are listed.
const LISTED: usize = 10;

/// Collects the keys of items that are about to be written.
pub struct KeyCollisionFinder {
    records: ScratchPartitions<RECORD>,
}

/// Collisions between the keys of different items.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyCollisions {
    /// Items whose new key an earlier item with a different old key has.
    pub count: u64,
    /// The first of them: number of the earlier item, number of the colliding item.
    pub first: Vec<(u64, u64)>,
}

impl KeyCollisionFinder {
    /// Creates an empty finder. It takes 40 bytes of disk per key and 4 MB of memory; in addition,
    /// about 2 MB for ten million keys and 230 MB for a billion.
    ///
    /// # Errors
    /// A temporary file cannot be created.
    pub fn new() -> Result<Self> {
        Ok(Self {
            records: ScratchPartitions::new(PARTITIONS, SCRATCH_MEMORY)?,
        })
    }

    /// Adds the hashes of an item's new key and old key. `number` identifies the item in the
    /// result; numbers ascend.
    ///
    /// # Errors
    /// The disk is full.
    pub fn add(&mut self, key: u128, before: u128, number: u64) -> Result<()> {
        let mut record = [0; RECORD];
        record[..16].copy_from_slice(&key.to_le_bytes());
        record[16..32].copy_from_slice(&before.to_le_bytes());
        record[32..].copy_from_slice(&number.to_le_bytes());
        let partition = usize::try_from(key % PARTITIONS as u128).unwrap_or(0);

        self.records.push(partition, &record)
    }

    /// Counts the collisions of all keys added so far.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub fn finish(&self) -> Result<KeyCollisions> {
        let (mut count, mut listed) = (0, BTreeMap::new());
        for partition in 0..PARTITIONS {
            let mut first: HashMap<u128, (u128, u64)> = HashMap::new();
            for record in self.records.partition(partition)? {
                let (key, before, number) = decode(&record?);
                let (owner, at) = *first.entry(key).or_insert((before, number));
                // Another version of the same item.
                if owner == before {
                    continue;
                }

                count += 1;
                listed.insert(number, at);

                if listed.len() > LISTED {
                    listed.pop_last();
                }
            }
        }

        Ok(KeyCollisions {
            count,
            first: listed
                .into_iter()
                .map(|(number, at)| (at, number))
                .collect(),
        })
    }
}

fn decode(record: &[u8; RECORD]) -> (u128, u128, u64) {
    let (mut key, mut before, mut number) = ([0; 16], [0; 16], [0; 8]);
    key.copy_from_slice(&record[..16]);
    before.copy_from_slice(&record[16..32]);
    number.copy_from_slice(&record[32..]);
    (
        u128::from_le_bytes(key),
        u128::from_le_bytes(before),
        u64::from_le_bytes(number),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::item::{KeyAttribute, KeySchema, KeyType};

    fn key(value: u16) -> u128 {
        let schema = KeySchema {
            partition: KeyAttribute {
                name: "k".to_owned(),
                kind: KeyType::N,
            },
            sort: None,
        };

        schema
            .hash128(format!(r#"{{"k":{{"N":"{value}"}}}}"#).as_bytes())
            .unwrap()
    }

    #[test]
    fn versions_of_one_item_do_not_collide() {
        let mut keys = KeyCollisionFinder::new().unwrap();
        for number in 0..3 {
            keys.add(key(5), key(1), number).unwrap();
        }

        assert_eq!(keys.finish().unwrap(), KeyCollisions::default());
        keys.add(key(5), key(2), 3).unwrap();
        assert_eq!(
            keys.finish().unwrap(),
            KeyCollisions {
                count: 1,
                first: vec![(0, 3)]
            }
        );
    }

    proptest! {
        #[test]
        fn every_collision_is_counted(items in prop::collection::vec((0..30u16, 0..5u16), 0..200)) {
            let mut keys = KeyCollisionFinder::new().unwrap();
            let mut owners: HashMap<u16, (u16, u64)> = HashMap::new();
            let mut expected = Vec::new();
            for (number, (after, before)) in items.iter().enumerate() {
                keys.add(key(*after), key(*before), number as u64).unwrap();
                let (owner, at) = *owners.entry(*after).or_insert((*before, number as u64));
                if owner != *before {
                    expected.push((at, number as u64));
                }
            }
            let found = keys.finish().unwrap();
            prop_assert_eq!(found.count, expected.len() as u64);
            expected.truncate(LISTED);
            prop_assert_eq!(found.first, expected);
        }
    }
}
