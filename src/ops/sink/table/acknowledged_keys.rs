//! Keys of acknowledged items, to count items with the same key once: the table has only one of them.
//!
//! The keys are partitioned into a scratch file, so memory is bounded.

use crate::error::Result;
use crate::limits::MemoryShare;
use crate::place::scratch::{PARTITIONS, ScratchPartitions};

/// Keys per partition if the number of items is known, and the minimum number of partitions. With fewer partitions, larger blocks are
/// written.
const PARTITION_KEYS: u64 = 32 * 1024;
const MIN_PARTITIONS: usize = 16;

/// Bytes of records in memory before they are written to disk. Tables that are written in parallel share it.
const SCRATCH_MEMORY: usize = 1024 * 1024;

/// Keys of all items that were acknowledged in this run, each with 1 if the table already had the item.
pub(crate) struct AcknowledgedKeys(ScratchPartitions<1>);

/// Counts of acknowledged items with the key of an earlier acknowledged item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct RepeatedKeys {
    pub(crate) items: u64,
    /// Of those, items that the table already had.
    pub(crate) already_there: u64,
}

impl AcknowledgedKeys {
    /// Prepares for this number of items, if it is known.
    ///
    /// # Errors
    /// The temporary file cannot be created.
    pub(crate) fn new(items: Option<u64>, memory: MemoryShare) -> Result<Self> {
        let count = items.map_or(PARTITIONS, |items| {
            usize::try_from(items / PARTITION_KEYS).unwrap_or(usize::MAX)
        });
        let count = count.clamp(MIN_PARTITIONS, PARTITIONS);
        let scratch = ScratchPartitions::with_partitions(count, memory.of(SCRATCH_MEMORY), items)?;

        Ok(Self(scratch))
    }

    /// Adds the hash of a key.
    ///
    /// # Errors
    /// The temporary file cannot be written.
    pub(crate) fn add(&mut self, key: u128, is_already_there: bool) -> Result<()> {
        self.0.push(key, &[u8::from(is_already_there)])
    }

    /// Counts the repeated keys.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub(crate) fn repeated(&self) -> Result<RepeatedKeys> {
        let mut repeated = RepeatedKeys::default();
        self.0.for_each_repeated(|_, [is_already_there]| {
            repeated.items += 1;
            repeated.already_there += u64::from(*is_already_there);
        })?;

        Ok(repeated)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_items_of_a_key_but_the_first_are_repeated() {
        for expected in [None, Some(0), Some(2000), Some(3_000_000), Some(u64::MAX)] {
            let mut keys = AcknowledgedKeys::new(expected, MemoryShare::WHOLE).unwrap();
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
}
