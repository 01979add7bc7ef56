//! Scratch space for more fixed-size records than fit in memory: partitioned, in an anonymous
//! temporary file.
//!
//! Records are read back one partition at a time, in the order in which they were added. The
//! operating system deletes the file when the process ends. Memory is bounded by the given limit
//! plus eight bytes per block on disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::error::{Error, Result};

/// Partitioned records of `N` bytes.
pub struct ScratchPartitions<const N: usize> {
    file: File,
    /// Length of the file.
    end: u64,
    /// Size of a full block in bytes: a whole number of records.
    block_bytes: usize,
    partitions: Vec<Partition>,
}

#[derive(Default)]
struct Partition {
    /// Offsets of its full blocks in the file.
    blocks: Vec<u64>,
    /// The block being filled.
    open: Vec<u8>,
}

impl<const N: usize> ScratchPartitions<N> {
    /// Creates an empty store. The open blocks of all partitions together take at most
    /// `memory_bytes`, but at least one record each.
    ///
    /// # Errors
    /// The temporary file cannot be created.
    pub fn new(partitions: usize, memory_bytes: usize) -> Result<Self> {
        const { assert!(N > 0, "a record has at least one byte") };
        let file = tempfile::tempfile().map_err(|error| scratch_error("create", error))?;
        let records = (memory_bytes / partitions.max(1) / N).max(1);
        let partitions = std::iter::repeat_with(Partition::default)
            .take(partitions)
            .collect();
        Ok(Self {
            file,
            end: 0,
            block_bytes: records * N,
            partitions,
        })
    }

    /// The number of partitions.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partitions.len()
    }

    /// Adds a record to a partition.
    ///
    /// # Errors
    /// There is no such partition; the disk is full.
    pub fn push(&mut self, partition: usize, record: &[u8; N]) -> Result<()> {
        let Some(partition) = self.partitions.get_mut(partition) else {
            return Err(no_such_partition(partition));
        };

        partition.open.extend_from_slice(record);
        if partition.open.len() == self.block_bytes {
            self.file
                .write_all_at(&partition.open, self.end)
                .map_err(|error| scratch_error("write", error))?;
            partition.blocks.push(self.end);
            self.end += self.block_bytes as u64;
            partition.open.clear();
        }

        Ok(())
    }

    /// Returns the records of a partition. It can be read repeatedly, and records can be added
    /// afterwards.
    ///
    /// # Errors
    /// There is no such partition. The iterator ends with an error if the file cannot be read.
    pub fn partition(&self, partition: usize) -> Result<impl Iterator<Item = Result<[u8; N]>>> {
        let Partition { blocks, open } = self
            .partitions
            .get(partition)
            .ok_or_else(|| no_such_partition(partition))?;
        let on_disk = blocks.iter().map(|offset| self.read_block(*offset));
        let blocks = on_disk.chain(std::iter::once_with(|| Ok(open.clone())));
        Ok(blocks.flat_map(|block| {
            let (block, failure) = match block {
                Ok(block) => (block, None),
                Err(error) => (Vec::new(), Some(Err(error))),
            };
            records(block).map(Ok).chain(failure)
        }))
    }

    fn read_block(&self, offset: u64) -> Result<Vec<u8>> {
        let mut block = vec![0; self.block_bytes];
        self.file
            .read_exact_at(&mut block, offset)
            .map_err(|error| scratch_error("read", error))?;
        Ok(block)
    }
}

fn records<const N: usize>(block: Vec<u8>) -> impl Iterator<Item = [u8; N]> {
    let count = block.len() / N;
    (0..count).map(move |index| {
        let mut record = [0; N];
        record.copy_from_slice(&block[index * N..][..N]);
        record
    })
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
        "there is no partition {partition} of temporary records"
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_record_comes_back_in_its_partition_and_order(
            records in prop::collection::vec((0..5_usize, any::<[u8; 3]>()), 0..200),
            memory in 0..100_usize,
        ) {
            let mut spill = ScratchPartitions::<3>::new(5, memory).unwrap();
            for (partition, record) in &records {
                spill.push(*partition, record).unwrap();
            }
            for partition in 0..5 {
                let expected = records.iter().filter(|(of, _)| *of == partition).map(|(_, record)| *record);
                let found: Vec<_> = spill.partition(partition).unwrap().map(Result::unwrap).collect();
                prop_assert_eq!(found, expected.collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn memory_stays_within_its_bound() {
        let mut spill = ScratchPartitions::<16>::new(8, 4096).unwrap();
        for number in 0..10_000_usize {
            spill.push(number % 8, &[0; 16]).unwrap();
            let open: usize = spill
                .partitions
                .iter()
                .map(|partition| partition.open.len())
                .sum();

            assert!(open <= 4096);
        }
    }

    #[test]
    fn an_unknown_partition_is_an_error() {
        let mut spill = ScratchPartitions::<1>::new(2, 0).unwrap();
        assert!(spill.push(2, &[0]).is_err());
        assert!(spill.partition(2).is_err());
    }
}
