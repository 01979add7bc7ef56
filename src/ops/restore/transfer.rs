//! Transfer of the items from the source to the table: reading starts before the table is changed, writing when it is ready.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use super::checkpoint::RestoreCheckpoint;
use super::checkpoint_writer::CheckpointWriter;
use super::counts::RestoreCounts;
use super::empty::nothing_to_write;
use super::items::{ItemPipeline, ItemStream};
use super::marker::MarkerFile;
use super::plan::RestorePlan;
use super::rejects::{RejectFiles, RejectPaths};
use super::table_action::TableAction;
use super::transfer_totals::TransferTotals;
use super::writer::{ItemWriter, WriteOptions};
use crate::backup::{KeyCollisions, Source};
use crate::error::Result;
use crate::event::{Event, Phase, Reporter};
use crate::item::KeySchema;
use crate::ops::invalid_item::InvalidItem;
use crate::ops::item_formatter::ItemFormatter;
use crate::ops::run_blocking;
use crate::ops::source::lanes::{LanePositions, is_unmodified_scan};
use crate::store::Writer;

/// Warning for empty standard input: if the command that writes to the pipe fails, it looks the same.
const EMPTY_STREAM: &str = "standard input held no items: where another command was to write them, see whether it failed \
                            (`set -o pipefail` stops a script then)";

/// A transfer whose source is being read.
pub(crate) struct ItemTransfer {
    writer: ItemWriter,
    items: ItemStream,
    pub(crate) key: KeySchema,
    pipeline: ItemPipeline,
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
        if plan.action == TableAction::Keep || !plan.prepared.request.content.includes_items() {
            return Ok(None);
        }

        let Some(key) = plan.prepared.destination.key.clone() else {
            return Ok(None);
        };

        let mut checkpoint = take_start_checkpoint(plan, &key)?;
        let rejects = open_rejects(plan, &key, &mut checkpoint).await?;
        let pipeline = new_pipeline(plan, &key, reporter);
        let items = ItemStream::start(
            &plan.prepared.source,
            &checkpoint.lanes,
            pipeline.clone(),
            cancel,
        )?;

        let request = &plan.prepared.request;
        let options = WriteOptions {
            table: plan.target.table.clone(),
            key: key.clone(),
            batch_size: request.batch_size,
            on_conflict: request.on_conflict,
            strict: request.strict,
        };

        let writer = ItemWriter::new(
            store.clone(),
            options,
            rejects,
            CheckpointWriter::new(checkpoint),
            Arc::clone(reporter),
            cancel.clone(),
        )?;

        Self {
            writer,
            items,
            key,
            pipeline,
        }
        .wait_for_first_item(plan)
        .await
        .map(Some)
    }

    /// Waits for the first item that can be written.
    async fn wait_for_first_item(mut self, plan: &RestorePlan) -> Result<Self> {
        // DynamoDB itself checks the size. Before a table is created or replaced, it must be certain that an item fits.
        let (key, checks_size) = (&self.key, plan.action.creates());
        let misfit = |item: &[u8]| match InvalidItem::check(item, key)? {
            InvalidItem::TooLarge(_) if !checks_size => None,
            misfit => Some(misfit.message()),
        };
        let found = self
            .writer
            .read_first_writable(&mut self.items, misfit)
            .await;
        match found {
            Ok(true) => Ok(self),
            Ok(false) if !plan.needs_item() => Ok(self),
            Ok(false) => {
                let (totals, _) = self.writer.finish()?;
                Err(nothing_to_write(
                    &plan.prepared.source,
                    &plan.target.table,
                    Some(&totals),
                ))
            }
            Err(error) => {
                let (totals, _) = self.writer.finish()?;
                Err(totals.describe_stop(error))
            }
        }
    }

    /// Writes all items. Returns the totals even if that failed, with the result.
    pub(crate) async fn write_all(
        self,
        plan: &RestorePlan,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<(TransferTotals, Result<()>)> {
        let Self {
            mut writer,
            items,
            pipeline,
            ..
        } = self;

        // Without an identity, as for standard input, no later run could resume.
        let marker = plan
            .prepared
            .marker
            .as_ref()
            .filter(|_| plan.prepared.identity.is_some());

        writer.save_checkpoints_at(
            marker.map(MarkerFile::checkpoint_path),
            plan.prepared.marker_state.table_id.clone(),
        );
        let counts = writer.counts();
        reporter.report(Event::Phase {
            phase: Phase::Writing,
            items: plan
                .source
                .items
                .map(|items| (items + plan.unreadable()).saturating_sub(counts.read)),
            bytes: plan
                .source
                .bytes
                .map(|all| all.saturating_sub(counts.bytes)),
        });

        let result = writer.write_all(items).await;
        let (totals, acknowledged) = writer.finish()?;
        let repeated = run_blocking("counting the items", move || acknowledged.repeated()).await?;
        let counts = totals.counts.without_repeated(repeated);
        let collisions = if result.is_ok() {
            find_collisions(&plan.prepared.source, pipeline, counts).await?
        } else {
            KeyCollisions::default()
        };

        let totals = TransferTotals {
            counts,
            collisions,
            ..totals
        };

        if result.is_ok() {
            if totals.counts.read == 0 && plan.prepared.source.is_stream() {
                reporter.report(Event::Warning(EMPTY_STREAM.to_owned()));
            }

            for warning in plan.prepared.request.transform.warnings() {
                reporter.report(Event::Warning(warning));
            }
        }

        Ok((totals, result))
    }
}

/// Opens the rejects files, at their sizes in the checkpoint. Unless the restore is resumed, lists the unreadable pieces of a damaged
/// dump.
async fn open_rejects(
    plan: &RestorePlan,
    key: &KeySchema,
    checkpoint: &mut RestoreCheckpoint,
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
    let rejects = RejectFiles::open(
        RejectPaths::new(source.path(), state_dir, &plan.target),
        checkpoint.rejects.as_ref(),
        checkpoint.conflicts.as_ref(),
        formatter,
    )?;

    if plan.resumes.is_some() {
        return Ok(rejects);
    }

    let (rejects, pieces) = list_unreadable(Arc::clone(source), rejects).await?;
    checkpoint.counts.add_unreadable(pieces);

    Ok(rejects)
}

fn new_pipeline(plan: &RestorePlan, key: &KeySchema, reporter: &Arc<dyn Reporter>) -> ItemPipeline {
    ItemPipeline {
        transform: plan.prepared.request.transform.clone(),
        source_key: plan
            .prepared
            .destination
            .source_key
            .clone()
            .unwrap_or_else(|| key.clone()),
        target_key: key.clone(),
        is_scan: is_unmodified_scan(&plan.prepared.source),
        reporter: Arc::clone(reporter),
        collisions: Arc::<OnceLock<KeyCollisions>>::default(),
    }
}

/// Different items with the same key. An unmodified Scan has none, unless somebody edited the dump. Only if items were superseded, it
/// is read again to find them.
async fn find_collisions(
    source: &Arc<Source>,
    pipeline: ItemPipeline,
    counts: RestoreCounts,
) -> Result<KeyCollisions> {
    if pipeline.is_scan && !pipeline.may_collide() && counts.superseded > 0 {
        let source = Arc::clone(source);
        return run_blocking("reading the dump", move || {
            pipeline.find_collisions(&source)
        })
        .await;
    }

    Ok(pipeline.collisions.get().cloned().unwrap_or_default())
}

/// Appends the unreadable pieces of a damaged dump to the rejects. Returns their number.
async fn list_unreadable(
    source: Arc<Source>,
    mut rejects: RejectFiles,
) -> Result<(RejectFiles, u64)> {
    run_blocking("reading the dump", move || {
        let mut pieces = 0;
        source.unreadable(|piece| {
            pieces += 1;
            rejects.append_unreadable(&piece)
        })?;
        Ok((rejects, pieces))
    })
    .await
}

/// Takes the checkpoint to start at: that of the interrupted run, or a new one.
fn take_start_checkpoint(plan: &mut RestorePlan, key: &KeySchema) -> Result<RestoreCheckpoint> {
    if let Some(checkpoint) = plan.prepared.checkpoint.take() {
        return Ok(checkpoint);
    }

    let lanes = LanePositions::at_start(
        &plan.prepared.source,
        key,
        plan.prepared.request.transform.changes_items(),
    )?;

    Ok(match plan.prepared.identity.clone() {
        Some(identity) => RestoreCheckpoint::new(identity, lanes),
        None => RestoreCheckpoint::without_identity(lanes),
    })
}
