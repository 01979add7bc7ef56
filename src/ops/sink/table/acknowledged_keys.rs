//! Keys of acknowledged items, to count items with the same key once: the table has only one of them.
//!
//! The keys are partitioned into a scratch file, so memory is bounded.

use crate::error::Result;
use crate::place::ScratchPartitions;

const PARTITIONS: usize = 1024;

/// Bytes of records in memory before they are written to disk.
const SCRATCH_MEMORY: usize = 1024 * 1024;

/// Bytes of a record: the hash of a key, and 1 if the table already had the item.
const RECORD: usize = 17;

/// Keys of all items that were acknowledged in this run.
pub(crate) struct AcknowledgedKeys(ScratchPartitions<RECORD>);

/// Counts of acknowledged items with the key of an earlier acknowledged item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RepeatedKeys {
    pub(crate) items: u64,
    /// Of those, items that the table already had.
    pub(crate) already_there: u64,
}

impl AcknowledgedKeys {
    /// # Errors
    /// The temporary file cannot be created.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(ScratchPartitions::new(PARTITIONS, SCRATCH_MEMORY)?))
    }

    /// Adds the hash of a key.
    ///
    /// # Errors
    /// The temporary file cannot be written.
    pub(crate) fn add(&mut self, key: u128, is_already_there: bool) -> Result<()> {
        let mut record = [0; RECORD];
        record[..16].copy_from_slice(&key.to_le_bytes());
        record[16] = u8::from(is_already_there);
        self.0.push(
            usize::try_from(key % PARTITIONS as u128).unwrap_or(0),
            &record,
        )
    }

    /// Counts the repeated keys.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub(crate) fn repeated(&self) -> Result<RepeatedKeys> {
        let mut repeated = RepeatedKeys::default();
        let mut records: Vec<(u128, bool)> = Vec::new();
        for partition in 0..PARTITIONS {
            records.clear();
            for record in self.0.partition(partition)? {
                let [key @ .., is_already_there] = record?;
                records.push((u128::from_le_bytes(key), is_already_there == 1));
            }

            // A stable sort: of equal keys, the one that was acknowledged first remains first.
            records.sort_by_key(|(key, _)| *key);
            for pair in records.windows(2) {
                if pair[0].0 == pair[1].0 {
                    repeated.items += 1;
                    repeated.already_there += u64::from(pair[1].1);
                }
            }
        }

        Ok(repeated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_items_of_a_key_but_the_first_are_repeated() {
        let mut keys = AcknowledgedKeys::new().unwrap();
        for key in (0..2000).chain(0..30).chain([7; 5]) {
            keys.add(key, key == 7).unwrap();
        }

        assert_eq!(
            keys.repeated().unwrap(),
            RepeatedKeys {
                items: 35,
                already_there: 6
            }
        );
    }
}
