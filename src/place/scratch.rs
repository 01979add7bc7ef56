//! Scratch space for records of more keys than fit in memory: partitioned by the hash of the key, in an
//! anonymous temporary file.
//!
//! Records are read back one partition at a time, in the order in which they were added, so all
//! records of a key are in memory together. The operating system deletes the file when the process
//! ends. Memory is bounded by the given limit plus eight bytes per block on disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::{Error, Result};

/// Number of partitions, unless another one is given. With ten million records, each has about 10,000.
pub(crate) const PARTITIONS: usize = 1024;

/// Bytes of the hash of a key, at the start of each record.
const KEY_BYTES: usize = 16;

/// Records of keys, partitioned by key: the 128-bit hash of a key, and a value of `V` bytes.
pub(crate) struct ScratchPartitions<const V: usize> {
    /// `None` until the first block is written, if there may be none.
    file: Option<File>,
    /// Length of the file.
    end: u64,
    /// Size of a full block in bytes: a whole number of records.
    block_bytes: usize,
    /// Their number is a power of two.
    partitions: Vec<Partition>,
}

#[derive(Default)]
struct Partition {
    /// Offsets of its full blocks in the file.
    blocks: Vec<u64>,
    /// The block being filled.
    open: Vec<u8>,
}

impl<const V: usize> ScratchPartitions<V> {
    const RECORD_BYTES: usize = KEY_BYTES + V;

    /// Creates an empty store. The open blocks of all partitions together take at most
    /// `memory_bytes`, but at least one record each.
    ///
    /// # Errors
    /// The temporary file cannot be created.
    pub(crate) fn new(memory_bytes: usize) -> Result<Self> {
        Self::with_partitions(PARTITIONS, memory_bytes, None)
    }

    /// Creates an empty store with this number of partitions, rounded up to a power of two. The fewer there are, the larger are the blocks
    /// that are written, and the more records are in memory when they are searched. If `expected` records fit in one block, no file is
    /// created for them.
    ///
    /// # Errors
    /// The temporary file cannot be created.
    pub(crate) fn with_partitions(
        count: usize,
        memory_bytes: usize,
        expected: Option<u64>,
    ) -> Result<Self> {
        let count = count.next_power_of_two();
        let records = (memory_bytes / count / Self::RECORD_BYTES).max(1);
        let partitions = std::iter::repeat_with(Partition::default)
            .take(count)
            .collect();

        let is_small = expected.is_some_and(|expected| expected < records as u64);
        let file = if is_small { None } else { Some(create_file()?) };

        Ok(Self {
            file,
            end: 0,
            block_bytes: records * Self::RECORD_BYTES,
            partitions,
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// The temporary file cannot be created; the disk is full.
    pub(crate) fn push(&mut self, key: u128, value: &[u8; V]) -> Result<()> {
        // The remainder of the division by a power of two, which is smaller than that.
        let remainder = key & (self.partitions.len() as u128 - 1);
        let partition = usize::try_from(remainder).unwrap_or(0);
        let partition = &mut self.partitions[partition];

        partition.open.extend_from_slice(&key.to_le_bytes());
        partition.open.extend_from_slice(value);

        if partition.open.len() == self.block_bytes {
            let file = match &mut self.file {
                Some(file) => file,
                None => self.file.insert(create_file()?),
            };
            file.write_all_at(&partition.open, self.end)
                .map_err(|error| scratch_error("write", error))?;
            partition.blocks.push(self.end);
            self.end += self.block_bytes as u64;
            partition.open.clear();
        }

        Ok(())
    }

    /// Returns the records of a partition, keys and values. It can be read repeatedly, and records
    /// can be added afterwards.
    ///
    /// # Errors
    /// There is no such partition. The iterator ends with an error if the file cannot be read.
    pub(crate) fn partition(
        &self,
        partition: usize,
    ) -> Result<impl Iterator<Item = Result<(u128, [u8; V])>>> {
        let Partition { blocks, open } = self
            .partitions
            .get(partition)
            .ok_or_else(|| no_such_partition(partition))?;
        let on_disk = blocks.iter().map(|offset| {
            let mut block = Vec::new();
            self.read_block(*offset, &mut block).map(|()| block)
        });
        let blocks = on_disk.chain(std::iter::once_with(|| Ok(open.clone())));

        Ok(blocks.flat_map(|block| {
            let (block, failure) = match block {
                Ok(block) => (block, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            records(block).map(Ok).chain(failure)
        }))
    }

    /// Finds equal keys: calls `found` for each record whose key an earlier record has, with the
    /// value of the first record of that key and the value of this one. The order of the keys is
    /// unspecified. The records of a partition with equal keys are in memory; sorting them takes as much again.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn for_each_repeated(
        &self,
        mut found: impl FnMut(&[u8; V], &[u8; V]),
    ) -> Result<()> {
        let mut records = Vec::new();

        for partition in self.partitions_with_equal_halves()? {
            records.clear();
            for record in self.partition(partition)? {
                records.push(record?);
            }

            // A stable sort: the records of a key remain in the order in which they were added.
            records.sort_by_key(|(key, _)| *key);

            for same_key in records.chunk_by(|(left, _), (right, _)| left == right) {
                if let [(_, first), later @ ..] = same_key {
                    for (_, value) in later {
                        found(first, value);
                    }
                }
            }
        }

        Ok(())
    }

    /// Finds the partitions in which two keys have the same upper half: all that have equal keys, and hardly any other. Most have none, and
    /// halves show that five times as fast as whole records.
    fn partitions_with_equal_halves(&self) -> Result<Vec<usize>> {
        let next = AtomicUsize::new(0);
        let search = || {
            let (mut halves, mut block, mut found) = (Vec::new(), Vec::new(), Vec::new());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(partition) = self.partitions.get(number) else {
                    return Ok(found);
                };

                self.read_halves(partition, &mut halves, &mut block)?;
                halves.sort_unstable();
                if halves.windows(2).any(|pair| pair[0] == pair[1]) {
                    found.push(number);
                }
            }
        };

        if self.end == 0 {
            return search();
        }

        // Nothing else runs at the end of a restore.
        thread::scope(|scope| {
            let other = scope.spawn(search);
            let mut found = search()?;
            found.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic))?);

            Ok(found)
        })
    }

    /// Reads the upper halves of the keys of a partition. `block` is reused memory.
    fn read_halves(
        &self,
        partition: &Partition,
        halves: &mut Vec<u64>,
        block: &mut Vec<u8>,
    ) -> Result<()> {
        halves.clear();
        let mut add = |block: &[u8]| {
            let records = block.chunks_exact(Self::RECORD_BYTES);
            halves.extend(records.map(|record| upper_half(key_of(record))));
        };

        add(&partition.open);
        for offset in &partition.blocks {
            self.read_block(*offset, block)?;
            add(block);
        }

        Ok(())
    }

    fn read_block(&self, offset: u64, block: &mut Vec<u8>) -> Result<()> {
        block.resize(self.block_bytes, 0);
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound);
        file.map_err(Into::into)
            .and_then(|file| file.read_exact_at(block, offset))
            .map_err(|error| scratch_error("read", error))
    }
}

fn create_file() -> Result<File> {
    tempfile::tempfile().map_err(|error| scratch_error("create", error))
}

fn upper_half(key: u128) -> u64 {
    u64::try_from(key >> 64).unwrap_or(0)
}

fn records<const V: usize>(block: Vec<u8>) -> impl Iterator<Item = (u128, [u8; V])> {
    let record_bytes = KEY_BYTES + V;

    (0..block.len() / record_bytes).map(move |index| {
        let record = &block[index * record_bytes..][..record_bytes];
        let mut value = [0; V];
        value.copy_from_slice(&record[KEY_BYTES..]);

        (key_of(record), value)
    })
}

/// The key at the start of a record.
fn key_of(record: &[u8]) -> u128 {
    u128::from_le_bytes(*record.first_chunk().unwrap_or(&[0; KEY_BYTES]))
}

fn scratch_error(action: &str, error: io::Error) -> Error {
    let folder = std::env::temp_dir();
    Error::failed(format!(
        "cannot {action} a temporary file in `{}`: {error}",
        folder.display()
    ))
    .with_hint("free some space there, or set TMPDIR to another folder")
    .with_source(error)
}

fn no_such_partition(partition: usize) -> Error {
    Error::failed(format!(
        "partition {partition} of the temporary records does not exist"
    ))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_record_comes_back_in_its_partition_and_order(
            records in prop::collection::vec((0..3000_u128, any::<[u8; 3]>()), 0..200),
            memory in 0..300_000_usize,
        ) {
            let mut scratch = ScratchPartitions::<3>::new(memory).unwrap();
            for (key, value) in &records {
                scratch.push(*key, value).unwrap();
            }
            for partition in 0..PARTITIONS {
                let expected = records.iter().copied().filter(|(key, _)| *key % 1024 == partition as u128);
                let found: Vec<_> = scratch.partition(partition).unwrap().map(Result::unwrap).collect();
                prop_assert_eq!(found, expected.collect::<Vec<_>>());
            }
        }

        #[test]
        fn every_repeated_key_is_found_with_its_first_record(
            keys in prop::collection::vec((0..30_u128, 0..3_usize), 0..200),
            memory in 0..300_000_usize,
            partitions in 1..40_usize,
            expected_records in prop::option::of(0..200_u64),
        ) {
            let mut scratch =
                ScratchPartitions::<8>::with_partitions(partitions, memory, expected_records).unwrap();
            let (mut first, mut expected) = (HashMap::new(), Vec::new());
            for (number, (low, variant)) in keys.into_iter().enumerate() {
                // Keys that share a partition, or the upper half of their hashes, are different keys.
                let key = low + [0, 1024, 1 << 64][variant];
                scratch.push(key, &number.to_le_bytes()).unwrap();
                let first = *first.entry(key).or_insert(number);
                if first != number {
                    expected.push((first, number));
                }
            }
            let mut found = Vec::new();
            scratch.for_each_repeated(|first, later| {
                found.push((usize::from_le_bytes(*first), usize::from_le_bytes(*later)));
            }).unwrap();
            found.sort_unstable_by_key(|(_, later)| *later);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn memory_stays_within_its_bound() {
        let bound = 4 * 32 * PARTITIONS;
        let mut scratch = ScratchPartitions::<16>::new(bound).unwrap();
        for number in 0..10_000_u128 {
            scratch.push(number, &[0; 16]).unwrap();
            let open: usize = scratch
                .partitions
                .iter()
                .map(|partition| partition.open.len())
                .sum();

            assert!(open <= bound);
        }
    }

    #[test]
    fn an_unknown_partition_is_an_error() {
        let scratch = ScratchPartitions::<1>::new(0).unwrap();
        assert!(scratch.partition(PARTITIONS).is_err());
    }
}
