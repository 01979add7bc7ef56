//! The source side of a comparison: a dump, or a live table whose items were transformed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::side::{RereadItems, Side, SideRecords};
use super::{COMPARISON, CompareContext, digest};
use crate::backup::{SegmentProgress, Source};
use crate::error::Result;
use crate::event::{Reporter, SilentReporter};
use crate::item::{KeySchema, item_digest};
use crate::ops::chunk::Chunk;
use crate::ops::invalid_item::InvalidOutputs;
use crate::ops::journal::Position;
use crate::ops::run_blocking;
use crate::ops::sink::{
    ChunkLocation, ChunkWorker, Record, ScratchRecords, SourceRecords, WorkerSink, scratch_records,
};
use crate::ops::source::{ChunkStream, ScannedTable, StoredSource};
use crate::ops::transfer::{Transfer, interrupted};
use crate::ops::transform_stage::TransformStage;
use crate::place::read_rejects;
use crate::transform::Transform;

/// Pages of a live source in memory. Few, because the allocator has not returned all memory of the copy.
const MAX_PAGES: usize = 6;

/// A source whose items can be read from the beginning more than once.
pub(crate) trait ReadItems: Send + Sync {
    /// Where the parts of the source start.
    type Position: Position + Clone + Sync;

    /// Whether there are items to read.
    fn has_items(&self) -> bool;

    /// Starts to read all items.
    ///
    /// # Errors
    /// The source cannot be opened.
    fn read_all(&self) -> Result<ChunkStream<Self::Position>>;
}

impl ReadItems for Arc<Source> {
    type Position = u64;

    /// A dump of the schema alone has no data file to open.
    fn has_items(&self) -> bool {
        Source::has_items(self)
    }

    fn read_all(&self) -> Result<ChunkStream<u64>> {
        Ok(StoredSource::open_whole(self)?.start(&CancellationToken::new()))
    }
}

impl ReadItems for Arc<ScannedTable> {
    type Position = SegmentProgress;

    fn has_items(&self) -> bool {
        true
    }

    fn read_all(&self) -> Result<ChunkStream<SegmentProgress>> {
        let scan = self
            .source(&self.first_positions())?
            .with_max_pages(MAX_PAGES);
        Ok(scan.start(&CancellationToken::new()))
    }
}

/// The items of a source, after a transform if there is one.
pub(crate) struct SourceSide<S> {
    pub(crate) source: S,
    pub(crate) transform: Transform,
    /// Maximum number of items after the transform.
    pub(crate) limit: Option<u64>,
    /// Files of the items that a restore rejected or skipped, which the table does not have.
    pub(crate) rejected: Vec<PathBuf>,
}

impl<S: ReadItems> SourceSide<S> {
    /// All items, after a transform.
    pub(crate) fn new(source: S, transform: Transform) -> Self {
        Self {
            source,
            transform,
            limit: None,
            rejected: Vec::new(),
        }
    }

    /// The items that a table with this key is expected to have. With a transform, these are the valid outputs.
    fn expected_items(&self, context: &CompareContext) -> Result<ChunkStream<S::Position>> {
        let items = self.source.read_all()?;
        let mut stage = TransformStage::new(self.transform.clone()).with_limit(self.limit);
        if !self.transform.is_empty() {
            stage = stage.observed_by(InvalidOutputs::new(context.key.clone()));
        }

        stage.connect(items, &context.reporter)
    }
}

impl<S: ReadItems> Side for SourceSide<S> {
    type Position = S::Position;

    async fn read_records(
        &self,
        context: &CompareContext,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<SideRecords<S::Position>> {
        if !self.source.has_items() {
            return Ok(SideRecords {
                source: SourceRecords::new()?,
                rejected: None,
            });
        }

        let files = self.rejected.clone();
        let is_transformed = !self.transform.is_empty();
        let key = context.key.clone();
        let rejected = run_blocking(COMPARISON, move || {
            read_rejected_records(&files, is_transformed, &key)
        })
        .await?;

        let items = self.expected_items(context)?;
        let source = digest(items, context.digest_options(None), reporter).await?;

        Ok(SideRecords { source, rejected })
    }

    async fn reread_items(
        &self,
        wanted: &HashMap<u128, u32>,
        _chunks: &[ChunkLocation<S::Position>],
        context: &CompareContext,
    ) -> Result<RereadItems> {
        // Without differences, do not read everything a second time.
        if wanted.is_empty() {
            return Ok(RereadItems::default());
        }

        let mut items = self.expected_items(context)?;
        let search = ItemSearch {
            wanted: wanted.clone(),
            key: context.key.clone(),
            found: HashMap::new(),
            read_units: 0.0,
        };

        let mut sink = WorkerSink::start(COMPARISON, search);
        let silent: Arc<dyn Reporter> = Arc::new(SilentReporter);
        let transfer = Transfer {
            reporter: &silent,
            cancel: &CancellationToken::new(),
            interrupted,
            journal: None,
        };
        transfer.run(&mut items, &mut sink).await?;
        let (items, read_units) = sink.into_output()?;

        Ok(RereadItems {
            items,
            read_units,
            ..RereadItems::default()
        })
    }
}

/// Finds items by the hash of their key.
struct ItemSearch {
    wanted: HashMap<u128, u32>,
    key: KeySchema,
    found: HashMap<u128, Bytes>,
    read_units: f64,
}

impl<P: Send + 'static> ChunkWorker<P> for ItemSearch {
    type Output = (HashMap<u128, Bytes>, f64);

    fn add(&mut self, chunk: Chunk<P>) -> Result<()> {
        self.read_units += chunk.cost.read_units;
        for (item, outcome) in chunk.entries() {
            for output in outcome.items(&item) {
                let Ok(key) = self.key.hash128(output) else {
                    continue;
                };

                // A later item with the same key replaces an earlier one, as it does in a restore. Copied, because a slice would keep
                // the memory of the whole chunk.
                if self.wanted.contains_key(&key) {
                    self.found.insert(key, Bytes::copy_from_slice(output));
                }
            }
        }

        Ok(())
    }

    fn finish(self) -> Result<(HashMap<u128, Bytes>, f64)> {
        Ok((self.found, self.read_units))
    }
}

/// Records of the items in files of rejected items; `None` if there are no files. Items without a usable key are left out, because
/// they have no record in the source either.
fn read_rejected_records(
    files: &[PathBuf],
    is_transformed: bool,
    key: &KeySchema,
) -> Result<Option<ScratchRecords>> {
    if files.is_empty() {
        return Ok(None);
    }

    let mut rejected = scratch_records()?;
    let mut push_record = |item: &[u8]| {
        let Some((key, digest)) = key.hash128(item).ok().zip(item_digest(item).ok()) else {
            return Ok(());
        };

        // The chunk is never used: rejected items are not examples.
        let record = Record {
            key,
            digest,
            chunk: 0,
        };

        record.add_to(&mut rejected)
    };

    files
        .iter()
        .try_for_each(|file| read_rejects(file, is_transformed, &mut push_record))?;

    Ok(Some(rejected))
}
