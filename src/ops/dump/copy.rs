//! Copies the items of the table into the dump.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use super::interrupted;
use super::plan::DumpPlan;
use super::rejects::open_rejects;
use super::segments::remaining_scans;
use crate::backup::{SegmentProgress, TransformCounts};
use crate::error::Result;
use crate::event::{Event, Reporter};
use crate::ops::collision_detector::{CollisionDetector, CollisionObserver, CollisionReport};
use crate::ops::item_formatter::ItemFormatter;
use crate::ops::journal::Journal;
use crate::ops::sink::{DumpRejects, DumpState, DumpWorker, WorkerSink};
use crate::ops::source::ScanSource;
use crate::ops::transfer::Transfer;
use crate::ops::transform_stage::TransformStage;
use crate::store::Reader;

/// The dump with all of its items.
pub(crate) struct CopiedItems {
    pub(crate) state: DumpState,
    /// Whether the limit stopped the scan before the end of the table.
    pub(crate) is_limited: bool,
    /// Different items of this run that have the same key after the transform. If there are any and keys are masked, the copy may
    /// have ended early.
    pub(crate) found: CollisionReport,
}

/// Copies the remaining items of the table into the dump.
///
/// # Errors
/// The table cannot be read to its end, the target cannot be written, interrupted. The progress is saved if possible.
pub(crate) async fn copy(
    store: &Reader,
    plan: &DumpPlan,
    state: DumpState,
    journal: Option<&mut Journal>,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<CopiedItems> {
    let resumed_items = plan.resumed_size().items;
    let remaining = plan.limit.map(|limit| limit.saturating_sub(resumed_items));
    let transform = plan.request.transform.clone();

    // The limit counts items after the transform, whose number the scan does not know.
    let limit_hint = remaining.filter(|_| transform.is_empty());
    let requests = remaining_scans(plan, &state.progress)?;
    let source = ScanSource::new(store.clone(), requests).with_limit_hint(limit_hint);
    let rejects = dump_rejects(plan, &state.progress.changes)?;
    let mut steps = TransformStage::new(transform).with_limit(remaining);
    let found = Arc::<OnceLock<CollisionReport>>::default();
    if let Some(detector) = collision_detector(plan)? {
        // With masked keys, a collision makes the dump useless, so the rest need not be read.
        let detector = if plan.request.masks_key(&plan.schema) {
            detector.noticing_early()
        } else {
            detector
        };

        steps = steps.observed_by(CollisionObserver::new(detector, Arc::clone(&found)));
    }

    let mut chunks = steps.connect(source.start(cancel), reporter)?;
    let index_keys = Arc::new(plan.schema.index_key_schemas());
    let worker = DumpWorker::new(state, rejects, Arc::clone(reporter), index_keys);
    let mut sink = WorkerSink::start("writing the dump", worker);
    let transfer = Transfer {
        reporter,
        cancel,
        interrupted,
        journal,
    };
    transfer.run(&mut chunks, &mut sink).await?;

    let state = sink.into_output()?;
    let found = found.get().cloned().unwrap_or_default();
    if let Some(warning) = &found.warning {
        reporter.report(Event::Warning(warning.clone()));
    }

    Ok(CopiedItems {
        is_limited: chunks.is_limited() && !is_whole(&state.progress.segments),
        state,
        found,
    })
}

fn is_whole(segments: &[SegmentProgress]) -> bool {
    segments
        .iter()
        .all(|segment| *segment == SegmentProgress::Done)
}

/// The rejects of the transform, if there is one. The file continues after those that `changes` counts.
fn dump_rejects(plan: &DumpPlan, changes: &TransformCounts) -> Result<Option<DumpRejects>> {
    let transform = &plan.request.transform;
    if transform.is_empty() {
        return Ok(None);
    }

    let key = plan.schema.key_schema()?;

    Ok(Some(DumpRejects {
        file: open_rejects(plan, changes)?,
        formatter: ItemFormatter::new(transform.clone(), key.clone()),
        key,
        strict: plan.request.strict,
    }))
}

/// A detector of collisions, if the transform can cause any: a filter cannot change keys.
pub(crate) fn collision_detector(plan: &DumpPlan) -> Result<Option<CollisionDetector>> {
    if !plan.request.transform.changes_items() {
        return Ok(None);
    }

    let key = plan.schema.key_schema()?;

    CollisionDetector::new(key.clone(), key, true).map(Some)
}
