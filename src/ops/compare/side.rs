//! A side of a comparison, and the records that are made of its items.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::CompareContext;
use super::partitions::{PARTITIONS, RECORD_BYTES, Record};
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::item::{KeySchema, Sample, item_digest};
use crate::place::ScratchPartitions;
use crate::store::{PageKey, WireBytes};

/// Memory for the records of one side before they are written to disk, in bytes.
pub(crate) const SCRATCH_MEMORY: usize = 4 * 1024 * 1024;

/// A set of items that can be read completely, and of which some can be read again.
pub(crate) trait Side: Send + Sync {
    /// Reads all items and makes records of them. Progress goes to `reporter`, if any.
    fn read_records(
        &self,
        context: &CompareContext,
        reporter: Option<&Arc<dyn Reporter>>,
    ) -> impl Future<Output = Result<SideRecords>> + Send;

    /// Reads items again. `wanted` maps the hash of an item's key to the index of its page in `pages`.
    fn reread_items(
        &self,
        wanted: &HashMap<u128, u32>,
        pages: &[PageLocation],
        context: &CompareContext,
    ) -> impl Future<Output = Result<RereadItems>> + Send;
}

/// Items that were read again, and the cost of reading them.
#[derive(Default)]
pub(crate) struct RereadItems {
    /// The items by the hash of their key.
    pub(crate) items: HashMap<u128, Bytes>,
    pub(crate) read_units: f64,
    pub(crate) wire: WireBytes,
}

/// Start and length of a page of a Scan.
pub(crate) struct PageLocation {
    pub(crate) segment: u32,
    /// `None` is the beginning of the segment.
    pub(crate) start: Option<PageKey>,
    /// Number of items.
    pub(crate) items: usize,
}

/// Options for making records.
#[derive(Clone)]
pub(crate) struct RecordOptions {
    keys_only: bool,
    sample: Option<Sample>,
    /// The key schema without the sort key. A sample consists of complete item collections, so that a dump of a sample can be
    /// compared with the same sample of a table.
    partition_key: KeySchema,
}

impl RecordOptions {
    pub(crate) fn new(context: &CompareContext) -> Self {
        let partition_key = KeySchema {
            partition: context.key.partition.clone(),
            sort: None,
        };

        Self {
            keys_only: context.keys_only,
            sample: context.sample,
            partition_key,
        }
    }
}

/// Records of all items of a side, and the cost of reading them.
pub(crate) struct SideRecords {
    pub(crate) records: ScratchPartitions<RECORD_BYTES>,
    /// Records of items that the other side is not expected to have.
    pub(crate) rejected: Option<ScratchPartitions<RECORD_BYTES>>,
    /// Items read.
    pub(crate) items: u64,
    /// Items with a record.
    pub(crate) compared: u64,
    /// Items without a usable key, which have no record.
    pub(crate) without_key: u64,
    /// The pages of a table. Empty for a dump, which is read again from its beginning.
    pub(crate) pages: Vec<PageLocation>,
    pub(crate) read_units: f64,
    pub(crate) wire: WireBytes,
}

impl SideRecords {
    pub(crate) fn new() -> Result<Self> {
        let records = ScratchPartitions::new(PARTITIONS, SCRATCH_MEMORY)?;

        Ok(Self {
            records,
            rejected: None,
            items: 0,
            compared: 0,
            without_key: 0,
            pages: Vec::new(),
            read_units: 0.0,
            wire: WireBytes::default(),
        })
    }

    /// Adds the record of an item, unless the item is not in the sample. `key` is the hash of the item's key.
    pub(crate) fn push(
        &mut self,
        key: u128,
        item: &[u8],
        page: u32,
        options: &RecordOptions,
    ) -> Result<()> {
        // Checked first, because the digest is expensive and items outside the sample need none.
        if let Some(sample) = options.sample
            && options
                .partition_key
                .hash128(item)
                .is_ok_and(|partition| !sample.contains(partition))
        {
            return Ok(());
        }

        // Equal digests make items with the same key equal, whatever else they contain.
        let digest = if options.keys_only {
            Ok(0)
        } else {
            item_digest(item)
        };

        let digest =
            digest.map_err(|error| Error::damaged("an item cannot be read").with_source(error))?;
        let record = Record { key, digest, page };
        self.compared += 1;

        self.records.push(record.partition(), &record.to_bytes())
    }
}
