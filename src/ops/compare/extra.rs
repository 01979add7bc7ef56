//! Items that only the target has: their keys are found as differences are, and then their pages are read again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::partitions::extra_records;
use super::side::{RereadItems, Side, SideRecords};
use super::table_side::TableSide;
use super::{COMPARISON, CompareContext};
use crate::backup::SegmentProgress;
use crate::error::Result;
use crate::event::{Reporter, SilentReporter};
use crate::ops::run_blocking;
use crate::ops::sink::ScratchRecords;
use crate::place::scratch::PARTITIONS;
use crate::store::Reader;

/// Maximum number of keys in memory. If there are more, the pages are read once for each of such groups.
const MAX_KEYS: usize = 200_000;

/// The items of a table that a source does not have.
pub(crate) struct ExtraItems {
    target: TableSide<Reader>,
    context: CompareContext,
    source_records: Arc<ScratchRecords>,
    target_records: Arc<SideRecords<SegmentProgress>>,
    /// The next partition to search.
    partition: usize,
    /// The keys of the current group, by the index of their chunk.
    chunks: BTreeMap<u32, HashMap<u128, u32>>,
    /// Number of items that the source has.
    pub(crate) source_items: u64,
    /// Read units consumed so far.
    pub(crate) read_units: f64,
}

impl ExtraItems {
    /// Reads the keys of both sides.
    ///
    /// # Errors
    /// A side cannot be read completely; the scratch files cannot be written.
    pub(crate) async fn find(
        source: impl Side,
        target: TableSide<Reader>,
        context: CompareContext,
    ) -> Result<Self> {
        let silent: Arc<dyn Reporter> = Arc::new(SilentReporter);
        let (source_records, target_records) = tokio::try_join!(
            source.read_records(&context, &silent),
            target.read_records(&context, &context.reporter)
        )?;

        Ok(Self {
            target,
            context,
            source_items: source_records.source.items,
            read_units: source_records.source.read_units + target_records.source.read_units,
            source_records: Arc::new(source_records.source.records),
            target_records: Arc::new(target_records),
            partition: 0,
            chunks: BTreeMap::new(),
        })
    }

    /// The items of the next page that has any; `None` at the end.
    ///
    /// # Errors
    /// The scratch files or the table cannot be read.
    pub(crate) async fn next_items(&mut self) -> Result<Option<Vec<Bytes>>> {
        loop {
            if self.chunks.is_empty() && !self.find_group().await? {
                return Ok(None);
            }

            let Some((chunk, wanted)) = self.chunks.pop_first() else {
                continue;
            };

            let chunks = &self.target_records.source.chunks;
            let Some(location) = usize::try_from(chunk).ok().and_then(|at| chunks.get(at)) else {
                continue;
            };

            let mut reread = RereadItems::default();
            let key = Arc::new(self.context.key.clone());
            self.target
                .reread_chunk(location, &wanted, &self.context, &key, &mut reread)
                .await?;
            self.read_units += reread.read_units;
            if !reread.items.is_empty() {
                return Ok(Some(reread.items.into_values().collect()));
            }
        }
    }

    /// Finds the next group of keys. Returns whether there is any.
    async fn find_group(&mut self) -> Result<bool> {
        let mut found = 0;
        while found < MAX_KEYS && self.partition < PARTITIONS {
            let (source, target) = (
                Arc::clone(&self.source_records),
                Arc::clone(&self.target_records),
            );
            let partition = self.partition;
            let records = run_blocking(COMPARISON, move || {
                extra_records(&source, &target.source.records, partition)
            })
            .await?;

            found += records.len();
            for record in records {
                let wanted = self.chunks.entry(record.chunk).or_default();
                wanted.insert(record.key, record.chunk);
            }

            self.partition += 1;
        }

        Ok(found > 0)
    }
}
