//! The digest as a sink: each item becomes a record of its key, its contents and its place, in scratch files.
//!
//! The records of two sources can be compared partition by partition, so memory does not depend on the number of items.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::item::{KeySchema, Sample, item_digest};
use crate::ops::chunk::Chunk;
use crate::place::scratch::ScratchPartitions;
use crate::store::WireBytes;
use crate::transform::Outcome;

use super::worker::ChunkWorker;

/// Memory for the records of one source before they are written to disk, in bytes.
const SCRATCH_MEMORY: usize = 2 * 1024 * 1024;

/// Size of an encoded record without its key: digest and chunk number.
const VALUE_BYTES: usize = 20;

/// Records of one source.
pub(crate) type ScratchRecords = ScratchPartitions<VALUE_BYTES>;

/// An item, reduced to what a comparison needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    /// Hash of the key.
    pub(crate) key: u128,
    /// Digest of the contents.
    pub(crate) digest: u128,
    /// Index of the chunk that holds the item, if the source can read chunks again.
    pub(crate) chunk: u32,
}

impl Record {
    /// Adds it to the records of a source.
    ///
    /// # Errors
    /// The disk is full.
    pub(crate) fn add_to(self, records: &mut ScratchRecords) -> Result<()> {
        let mut value = [0; VALUE_BYTES];
        value[..16].copy_from_slice(&self.digest.to_le_bytes());
        value[16..].copy_from_slice(&self.chunk.to_le_bytes());

        records.push(self.key, &value)
    }

    /// The record with this key and encoded value.
    pub(crate) fn decode((key, value): (u128, [u8; VALUE_BYTES])) -> Self {
        let [digest @ .., a, b, c, d] = value;

        Self {
            key,
            digest: u128::from_le_bytes(digest),
            chunk: u32::from_le_bytes([a, b, c, d]),
        }
    }
}

/// Creates scratch files for records.
///
/// # Errors
/// A file cannot be created.
pub(crate) fn scratch_records() -> Result<ScratchRecords> {
    ScratchPartitions::new(SCRATCH_MEMORY)
}

/// The input of a digest.
#[derive(Debug, Clone)]
pub(crate) struct DigestOptions {
    pub(crate) key: KeySchema,
    /// Digest keys only: items with the same key are equal.
    pub(crate) keys_only: bool,
    /// Digest only the keys in this sample; all if `None`. A sample consists of complete item collections, so that a dump of a sample
    /// can be compared with the same sample of a table.
    pub(crate) sample: Option<Sample>,
    /// The live table that is read, if it is one: its items have a key, and its chunks can be read again.
    pub(crate) table: Option<String>,
}

/// Where a chunk of a source starts, and how many items it has.
#[derive(Debug, Clone)]
pub(crate) struct ChunkLocation<P> {
    pub(crate) lane: usize,
    /// `None` is the beginning of the lane.
    pub(crate) start: Option<P>,
    /// Number of items.
    pub(crate) items: usize,
}

/// Records of all items of a source, and the cost of reading them.
pub(crate) struct SourceRecords<P> {
    pub(crate) records: ScratchRecords,
    /// Items after the transform.
    pub(crate) items: u64,
    /// Items with a record.
    pub(crate) compared: u64,
    /// Items without a usable key, which have no record.
    pub(crate) without_key: u64,
    /// Items that the transform filtered out.
    pub(crate) left_out: u64,
    /// Items that the transform rejected.
    pub(crate) rejected: u64,
    /// The chunks of a table, by the number in their records. Empty for other sources.
    pub(crate) chunks: Vec<ChunkLocation<P>>,
    pub(crate) read_units: f64,
    pub(crate) wire: WireBytes,
}

impl<P> SourceRecords<P> {
    /// No records.
    ///
    /// # Errors
    /// A scratch file cannot be created.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self {
            records: scratch_records()?,
            items: 0,
            compared: 0,
            without_key: 0,
            left_out: 0,
            rejected: 0,
            chunks: Vec::new(),
            read_units: 0.0,
            wire: WireBytes::default(),
        })
    }
}

/// Makes records of items.
pub(crate) struct DigestWorker<P> {
    options: DigestOptions,
    /// The key schema without the sort key.
    partition_key: KeySchema,
    records: SourceRecords<P>,
    /// Where the next chunk of each lane starts.
    next_starts: HashMap<usize, P>,
}

impl<P> DigestWorker<P> {
    /// A worker without records.
    ///
    /// # Errors
    /// A scratch file cannot be created.
    pub(crate) fn new(options: DigestOptions) -> Result<Self> {
        let partition_key = KeySchema {
            partition: options.key.partition.clone(),
            sort: None,
        };

        Ok(Self {
            options,
            partition_key,
            records: SourceRecords::new()?,
            next_starts: HashMap::new(),
        })
    }

    /// Adds the record of an item, unless the item is not in the sample.
    fn add_item(&mut self, item: &[u8], chunk: u32) -> Result<()> {
        self.records.items += 1;
        let key = match (self.options.key.hash128(item), &self.options.table) {
            (Ok(key), _) => key,
            (Err(_), None) => {
                self.records.without_key += 1;
                return Ok(());
            }
            (Err(error), Some(table)) => {
                return Err(Error::failed(format!(
                    "table {table} returned an item without its key"
                ))
                .with_source(error));
            }
        };

        // Checked first, because the digest is expensive and items outside the sample need none.
        if let Some(sample) = self.options.sample
            && self
                .partition_key
                .hash128(item)
                .is_ok_and(|partition| !sample.contains(partition))
        {
            return Ok(());
        }

        // Items with equal digests have equal keys.
        let digest = if self.options.keys_only {
            Ok(0)
        } else {
            item_digest(item)
        };

        let digest =
            digest.map_err(|error| Error::damaged("an item cannot be read").with_source(error))?;
        let record = Record { key, digest, chunk };
        self.records.compared += 1;

        record.add_to(&mut self.records.records)
    }

    /// The number of a chunk that can be read again; 0 if it cannot.
    fn number_of(&mut self, chunk: &mut Chunk<P>) -> Result<u32>
    where
        P: Clone,
    {
        if self.options.table.is_none() {
            return Ok(0);
        }

        let number = u32::try_from(self.records.chunks.len()).map_err(|error| {
            Error::failed("the table has more pages than can be counted").with_source(error)
        })?;

        let start = match chunk.position.take() {
            Some(position) => self.next_starts.insert(chunk.lane, position),
            None => self.next_starts.get(&chunk.lane).cloned(),
        };

        self.records.chunks.push(ChunkLocation {
            lane: chunk.lane,
            start,
            items: chunk.items.len(),
        });

        Ok(number)
    }
}

impl<P: Clone + Send + 'static> ChunkWorker<P> for DigestWorker<P> {
    type Output = SourceRecords<P>;

    fn add(&mut self, mut chunk: Chunk<P>) -> Result<()> {
        let number = self.number_of(&mut chunk)?;
        self.records.read_units += chunk.cost.read_units;
        self.records.wire += chunk.cost.wire;

        // Without a transform, the items need not be cut out of their page.
        if chunk.outcomes.is_none() {
            return chunk
                .items
                .iter()
                .try_for_each(|item| self.add_item(item, number));
        }

        for (item, outcome) in chunk.entries() {
            match outcome {
                Outcome::Skipped => self.records.left_out += 1,
                Outcome::Rejected(_) => self.records.rejected += 1,
                Outcome::Unchanged | Outcome::Changed(_) | Outcome::Several(_) => {}
            }

            for output in outcome.items(&item) {
                self.add_item(output, number)?;
            }
        }

        Ok(())
    }

    fn finish(self) -> Result<SourceRecords<P>> {
        Ok(self.records)
    }
}
