//! Transfer of the items from the source to the table: reading starts before the table is changed, writing when it is ready.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::transfer_totals::TransferTotals;
use crate::backup::{KeyCollisions, SegmentProgress, Source};
use crate::error::Result;
use crate::event::{Event, Phase, Reporter};
use crate::item::KeySchema;
use crate::limits::MemoryShare;
use crate::ops::collision_detector::{CollisionDetector, CollisionObserver, CollisionReport};
use crate::ops::invalid_item::{InvalidItem, InvalidOutputs};
use crate::ops::item_formatter::ItemFormatter;
use crate::ops::journal::{Journal, Position, RestoreProgress};
use crate::ops::restore::empty_source::nothing_to_write;
use crate::ops::restore::plan::RestorePlan;
use crate::ops::sink::table::{
    RejectFiles, RejectPaths, RestoreCounts, TableSink, TableStart, WrittenTable,
};
use crate::ops::source::lanes::LanePositions;
use crate::ops::source::{ChunkStream, ItemSource, LaneQueues, StoredSource};
use crate::ops::transfer::{Transfer, interrupted};
use crate::ops::transform_stage::TransformStage;
use crate::ops::{run_blocking, until_cancelled};
use crate::store::Writer;

/// Warning for empty standard input: if the command that writes to the pipe fails, it looks the same.
const EMPTY_STREAM: &str = "standard input held no items: where another command was to write them, see whether it failed \
                            (`set -o pipefail` stops a script then)";

/// A transfer whose source is being read.
pub(crate) enum ItemTransfer {
    /// From stored items.
    Stored(Box<SourceTransfer<u64>>),
    /// From the Scan of a live table.
    Scanned(Box<SourceTransfer<SegmentProgress>>),
}

/// A transfer from a source with these positions.
pub(crate) struct SourceTransfer<P> {
    chunks: ChunkStream<P>,
    sink: TableSink<P>,
    /// The progress at the start.
    progress: RestoreProgress,
    key: KeySchema,
    /// Items with the same key after the transform, if there can be any; set when all items were read.
    collisions: Arc<OnceLock<CollisionReport>>,
}

/// Result of a transfer.
pub(crate) struct TransferOutcome {
    pub(crate) totals: TransferTotals,
    pub(crate) result: Result<()>,
}

impl ItemTransfer {
    /// Starts to read the source, and waits for the first item that can be written. `None` if the restore writes no items.
    ///
    /// # Errors
    /// The source cannot be read; there is no such item, and the table would be created or replaced; an item was rejected in strict
    /// mode; interrupted.
    pub(crate) async fn start(
        store: &Writer,
        plan: &mut RestorePlan,
        reporter: &Arc<dyn Reporter>,
        cancel: &CancellationToken,
    ) -> Result<Option<Self>> {
        if plan.action.keeps() || !plan.prepared.request.content.includes_items() {
            return Ok(None);
        }

        let Some(key) = plan.prepared.destination.key.clone() else {
            return Ok(None);
        };

        let memory = store.reader().memory_share();
        let progress = start_progress(plan, &key, memory)?;
        // Without an identity, as for standard input, a later run cannot continue.
        let is_resumable = plan.prepared.identity.is_some();
        plan.prepared.run_state.start_progress = is_resumable.then(|| progress.clone());
        let transfer = match plan.prepared.source.clone() {
            ItemSource::Dump(dump) => {
                let source = stored_source(&dump, plan, &key, &progress, memory)?.start(cancel);
                let positions = progress.lanes.marks();
                let start = (progress, positions);
                let transfer = SourceTransfer::new(store, plan, source, start, key, reporter)?;
                Self::Stored(Box::new(transfer.wait_for_first_item(plan, cancel).await?))
            }
            ItemSource::Table(table) => {
                let positions = progress.lanes.segments().to_vec();
                let limit = remaining_limit(plan, &progress);
                let is_transformed = !plan.prepared.request.transform.is_empty();
                let keeps_keys = !is_transformed && !ItemKeys::new(plan, &key).change();
                let batch_size = plan.prepared.request.write.batch_size;
                let queues = LaneQueues::new(positions.len(), batch_size, keeps_keys, memory);
                let source = table
                    .source(&positions)?
                    .with_limit_hint(limit.filter(|_| !is_transformed))
                    .start(cancel)
                    // To read the pages in memory again costs less than to wait until they are written.
                    .worth_waiting(Duration::ZERO);
                let start = (progress, positions);
                let mut transfer = SourceTransfer::new(store, plan, source, start, key, reporter)?;
                transfer.chunks = transfer.chunks.by_lane(queues);
                Self::Scanned(Box::new(transfer.wait_for_first_item(plan, cancel).await?))
            }
            ItemSource::Backup(_) => return Err(ItemSource::unreadable_items()),
        };

        Ok(Some(transfer))
    }

    /// The key of the target table.
    pub(crate) fn key(&self) -> &KeySchema {
        match self {
            Self::Stored(transfer) => &transfer.key,
            Self::Scanned(transfer) => &transfer.key,
        }
    }

    /// Writes all items.
    ///
    /// # Errors
    /// The rejects files cannot be written; the keys cannot be counted.
    pub(crate) async fn write_all(
        self,
        plan: &RestorePlan,
        journal: &mut Journal,
        reporter: &Arc<dyn Reporter>,
        cancel: &CancellationToken,
    ) -> Result<TransferOutcome> {
        match self {
            Self::Stored(transfer) => transfer.write_all(plan, journal, reporter, cancel).await,
            Self::Scanned(transfer) => transfer.write_all(plan, journal, reporter, cancel).await,
        }
    }
}

/// The stored items from their positions.
fn stored_source(
    dump: &Source,
    plan: &RestorePlan,
    key: &KeySchema,
    progress: &RestoreProgress,
    memory: MemoryShare,
) -> Result<StoredSource> {
    // If the key changes, its hash in the source is useless for the table.
    let hashed_key = (!ItemKeys::new(plan, key).change()).then_some(key);
    let source = StoredSource::open(dump, &progress.lanes, hashed_key, memory)?;

    Ok(if plan.prepared.request.transform.is_empty() {
        source.in_batches_of(plan.prepared.request.write.batch_size)
    } else {
        source.in_large_chunks()
    })
}

/// The number of items until the limit on a Scan, if there is one.
fn remaining_limit(plan: &RestorePlan, progress: &RestoreProgress) -> Option<u64> {
    let limit = plan.prepared.request.scan()?.options.limit?;
    Some(limit.saturating_sub(progress.counts.out))
}

impl<P: Position + Clone> SourceTransfer<P> {
    /// A transfer from `source` that has written nothing yet.
    fn new(
        store: &Writer,
        plan: &RestorePlan,
        source: ChunkStream<P>,
        (progress, positions): (RestoreProgress, Vec<P>),
        key: KeySchema,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<Self> {
        let rejects = open_rejects(plan, &key, &progress)?;
        let keys = ItemKeys::new(plan, &key);
        let collisions = Arc::<OnceLock<CollisionReport>>::default();
        let stage = transform_stage(plan, &keys, &collisions)?;
        let chunks = stage
            .with_limit(remaining_limit(plan, &progress))
            .connect(source, reporter)?;

        let request = &plan.prepared.request;
        let table = WrittenTable {
            name: plan.target.table.clone(),
            key: key.clone(),
            expected_items: plan.source.expected_items(),
        };

        let start = TableStart {
            positions,
            counts: progress.counts,
            costs: progress.costs,
        };
        let sink = TableSink::new(store.clone(), table, request.write.clone(), rejects, start)?;

        Ok(Self {
            chunks,
            sink,
            progress,
            key,
            collisions,
        })
    }

    /// Waits for the first item that can be written.
    async fn wait_for_first_item(
        mut self,
        plan: &RestorePlan,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        match self.find_first_item(plan.action.creates(), cancel).await {
            Ok(true) => Ok(self),
            Ok(false) => {
                let RestoreCounts { read, filtered, .. } = self.sink.counts();
                if plan.allows_no_items(read, filtered) {
                    return Ok(self);
                }

                let (totals, _) = TransferTotals::of_sink(self.sink)?;
                Err(nothing_to_write(
                    &plan.source,
                    &plan.target.table,
                    Some(&totals),
                ))
            }
            Err(error) => {
                let (totals, _) = TransferTotals::of_sink(self.sink)?;
                Err(totals.describe_stop(&plan.prepared.request, &plan.source, error))
            }
        }
    }

    /// Takes chunks until one has an item that can be written. Returns whether there is one.
    async fn find_first_item(
        &mut self,
        checks_size: bool,
        cancel: &CancellationToken,
    ) -> Result<bool> {
        // DynamoDB itself checks the size. Before a table is created or replaced, it must be certain that an item fits.
        let key = self.key.clone();
        let misfit = |item: &[u8]| match InvalidItem::check(item, &key)? {
            InvalidItem::TooLarge(_) if !checks_size => None,
            misfit => Some(misfit.message()),
        };

        loop {
            let next = async { self.chunks.next().await.transpose() };
            let Some(chunk) = until_cancelled(cancel, interrupted, next).await? else {
                return Ok(false);
            };

            if self.sink.take_first(chunk, misfit)? {
                return Ok(true);
            }
        }
    }

    /// Writes all items.
    async fn write_all(
        mut self,
        plan: &RestorePlan,
        journal: &mut Journal,
        reporter: &Arc<dyn Reporter>,
        cancel: &CancellationToken,
    ) -> Result<TransferOutcome> {
        // Items that the transform left out before the first one to write are still to be reported.
        let counts = self.progress.counts;
        reporter.report(Event::Phase {
            phase: Phase::Writing,
            items: plan
                .source
                .expected_items()
                .map(|items| items.saturating_sub(counts.read - counts.unreadable)),
            bytes: plan
                .source
                .bytes
                .map(|all| all.saturating_sub(counts.bytes)),
        });

        // Without an identity, as for standard input, a later run cannot continue.
        let journal = plan.prepared.identity.is_some().then_some(journal);
        let result = self.run(journal, reporter, cancel).await;
        let (totals, acknowledged) = TransferTotals::of_sink(self.sink)?;
        let repeated = run_blocking("counting the items", move || acknowledged.repeated()).await?;
        let mut totals = TransferTotals {
            counts: totals.counts.without_repeated(repeated),
            ..totals
        };

        if result.is_ok() {
            totals.collisions = match self.collisions.get() {
                Some(report) => report.collisions.clone(),
                None => find_collisions(plan, &self.key, totals.counts, reporter).await?,
            };

            warn_at_end(plan, &totals, reporter.as_ref());
        }

        Ok(TransferOutcome { totals, result })
    }

    /// Runs the transfer. If no item was accepted, for a cause that can be fixed, the next run tries all of them again.
    async fn run(
        &mut self,
        journal: Option<&mut Journal>,
        reporter: &Arc<dyn Reporter>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let Some(journal) = journal else {
            return self.transfer(None, reporter, cancel).await;
        };

        let first = journal.restore_progress().cloned();
        let result = self.transfer(Some(journal), reporter, cancel).await;
        if self.sink.is_refused_entirely()
            && let Err(error) = journal.commit(|job| job.progress = first).await
        {
            reporter.report(Event::Warning(error.to_string()));
        }

        result
    }

    async fn transfer(
        &mut self,
        journal: Option<&mut Journal>,
        reporter: &Arc<dyn Reporter>,
        cancel: &CancellationToken,
    ) -> Result<()> {
        self.sink.start()?;
        let transfer = Transfer {
            reporter,
            cancel,
            interrupted,
            journal,
        };

        transfer.run(&mut self.chunks, &mut self.sink).await
    }
}

/// The keys of the items in the source and in the table.
struct ItemKeys {
    source: KeySchema,
    target: KeySchema,
    /// Whether the source is an unmodified Scan, whose items have different keys.
    is_scan: bool,
}

impl ItemKeys {
    fn new(plan: &RestorePlan, target: &KeySchema) -> Self {
        let source = plan.prepared.destination.source_key.as_ref();

        Self {
            source: source.unwrap_or(target).clone(),
            target: target.clone(),
            is_scan: plan.prepared.source.is_unmodified_scan(),
        }
    }

    /// Whether an item has another key in the table than in the source.
    fn change(&self) -> bool {
        self.source != self.target
    }

    fn collision_detector(&self) -> Result<CollisionDetector> {
        CollisionDetector::new(self.source.clone(), self.target.clone(), self.is_scan)
    }
}

/// The transform, and what looks at its results: items that the table cannot store, and items with the same key.
fn transform_stage<P: Send + 'static>(
    plan: &RestorePlan,
    keys: &ItemKeys,
    collisions: &Arc<OnceLock<CollisionReport>>,
) -> Result<TransformStage<P>> {
    let transform = plan.prepared.request.transform.clone();
    let may_collide = transform.changes_items() || keys.change();
    let is_transformed = !transform.is_empty();
    let mut stage = TransformStage::new(transform);
    if is_transformed {
        stage = stage.observed_by(InvalidOutputs::new(keys.target.clone()));
    }

    if may_collide {
        let detector = keys.collision_detector()?;
        stage = stage.observed_by(CollisionObserver::new(detector, Arc::clone(collisions)));
    }

    Ok(stage)
}

/// Reports what is known only at the end.
fn warn_at_end(plan: &RestorePlan, totals: &TransferTotals, reporter: &dyn Reporter) {
    if totals.counts.read == 0 && plan.prepared.source.is_stream() {
        reporter.report(Event::Warning(EMPTY_STREAM.to_owned()));
    }

    for warning in plan.prepared.request.transform.warnings() {
        reporter.report(Event::Warning(warning));
    }
}

/// Opens the rejects files, at their sizes in the journal.
fn open_rejects(
    plan: &RestorePlan,
    key: &KeySchema,
    progress: &RestoreProgress,
) -> Result<RejectFiles> {
    let source = &plan.prepared.source;
    let formatter = ItemFormatter::new(
        plan.prepared.request.transform.clone(),
        plan.prepared
            .destination
            .source_key
            .as_ref()
            .unwrap_or(key)
            .clone(),
    );
    let state_dir = plan.prepared.request.state_dir.as_deref();

    RejectFiles::open(
        RejectPaths::new(source.path(), state_dir, &plan.target),
        progress.rejects.as_ref(),
        progress.conflicts.as_ref(),
        formatter,
    )
}

/// Finds different items with the same key in a source whose items were not expected to have any. An unmodified Scan has none, unless
/// somebody edited the dump. Only if items were superseded, it is read again to find them.
async fn find_collisions(
    plan: &RestorePlan,
    key: &KeySchema,
    counts: RestoreCounts,
    reporter: &Arc<dyn Reporter>,
) -> Result<KeyCollisions> {
    let keys = ItemKeys::new(plan, key);
    let (true, true, ItemSource::Dump(dump)) =
        (keys.is_scan, counts.superseded > 0, &plan.prepared.source)
    else {
        return Ok(KeyCollisions::default());
    };

    let found = Arc::<OnceLock<CollisionReport>>::default();
    let observer = CollisionObserver::new(keys.collision_detector()?, Arc::clone(&found));

    // Every item is written: an interruption would only hide what is wrong with the dump.
    let source = StoredSource::open_whole(dump)?.start(&CancellationToken::new());
    let mut chunks = TransformStage::new(plan.prepared.request.transform.clone())
        .observed_by(observer)
        .connect(source, reporter)?;

    while let Some(chunk) = chunks.next().await {
        chunk?;
    }

    Ok(found.get().cloned().unwrap_or_default().collisions)
}

/// The progress to start at: that of the interrupted run, or none.
fn start_progress(
    plan: &RestorePlan,
    key: &KeySchema,
    memory: MemoryShare,
) -> Result<RestoreProgress> {
    if let Some(progress) = plan.prepared.progress.clone() {
        return Ok(progress);
    }

    let lanes = match &plan.prepared.source {
        ItemSource::Dump(dump) => {
            let is_changed = plan.prepared.request.transform.changes_items();
            LanePositions::at_start(dump, key, is_changed, memory)?
        }
        ItemSource::Table(table) => LanePositions::Segments(table.first_positions()),
        ItemSource::Backup(_) => return Err(ItemSource::unreadable_items()),
    };

    Ok(RestoreProgress::new(plan.prepared.identity.clone(), lanes))
}
