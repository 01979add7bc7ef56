//! Keys that meet: items with the same key after a change of keys, exact, in bounded memory.
//!
//! As in `keys`, each key becomes a hash, partitioned into a scratch file; equal keys meet in one partition. The key that an item had
//! before stands beside it: two items that had different keys and now have the same would overwrite each other, while two
//! versions of one item are no collision.

use std::collections::{BTreeMap, HashMap};

use crate::error::Result;
use crate::place::ScratchPartitions;

const PARTITIONS: usize = 1024;

/// Memory of records before they go to disk, in bytes.
const SCRATCH_MEMORY: usize = 4 * 1024 * 1024;

/// Hash of the key, hash of the key before, number of the item.
const RECORD: usize = 40;

/// Collisions that are listed.
const LISTED: usize = 10;

/// The keys of items that are about to be written.
pub struct KeyCollisionFinder {
    records: ScratchPartitions<RECORD>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyCollisions {
    /// Items whose key another item before them has, though the two had different keys.
    pub count: u64,
    /// The first of them: the number of the item that had the key first, and of the item that meets it.
    pub first: Vec<(u64, u64)>,
}

impl KeyCollisionFinder {
    /// No key yet. Takes some 4 MB of memory, and 40 bytes of disk for each key.
    ///
    /// # Errors
    /// A temporary file cannot be made.
    pub fn new() -> Result<Self> {
        Ok(Self {
            records: ScratchPartitions::new(PARTITIONS, SCRATCH_MEMORY)?,
        })
    }

    /// Takes the hash of the key that an item will be written with, and of the one it had before. `number` names the item in what is
    /// found; numbers rise.
    ///
    /// # Errors
    /// The disk is full.
    pub fn take(&mut self, key: u128, before: u128, number: u64) -> Result<()> {
        let mut record = [0; RECORD];
        record[..16].copy_from_slice(&key.to_le_bytes());
        record[16..32].copy_from_slice(&before.to_le_bytes());
        record[32..].copy_from_slice(&number.to_le_bytes());
        let partition = usize::try_from(key % PARTITIONS as u128).unwrap_or(0);

        self.records.push(partition, &record)
    }

    /// Judges all keys taken so far.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub fn judge(&self) -> Result<KeyCollisions> {
        let (mut count, mut listed) = (0, BTreeMap::new());
        for partition in 0..PARTITIONS {
            let mut first: HashMap<u128, (u128, u64)> = HashMap::new();
            for record in self.records.partition(partition)? {
                let (key, before, number) = decode(&record?);
                let (owner, at) = *first.entry(key).or_insert((before, number));
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
            keys.take(key(5), key(1), number).unwrap();
        }

        assert_eq!(keys.judge().unwrap(), KeyCollisions::default());
        keys.take(key(5), key(2), 3).unwrap();
        assert_eq!(
            keys.judge().unwrap(),
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
                keys.take(key(*after), key(*before), number as u64).unwrap();
                let (owner, at) = *owners.entry(*after).or_insert((*before, number as u64));
                if owner != *before {
                    expected.push((at, number as u64));
                }
            }
            let found = keys.judge().unwrap();
            prop_assert_eq!(found.count, expected.len() as u64);
            expected.truncate(LISTED);
            prop_assert_eq!(found.first, expected);
        }
    }
}
