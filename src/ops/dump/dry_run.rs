//! Dry run of a dump with a transform: all items are read and transformed, and nothing is written.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::copy::until_both_end;
use super::plan::DumpPlan;
use super::run::new_progress;
use super::scan::{MAX_PAGES, remaining_scans, scan_segments};
use super::size_probe::probe_size;
use super::transformed::page_chunks;
use crate::error::Result;
use crate::event::{Event, Phase, Reporter};
use crate::ops::collision_detector::CollisionDetector;
use crate::ops::cost::WriteCostModel;
use crate::ops::dry_run::{DryRun, DryRunReport, InvalidItems, PreviewOptions, interrupted};
use crate::ops::run_blocking;
use crate::store::Reader;

/// Reads the table and applies the transform of `plan`; `None` if it has none. Sets the number of segments of `plan` if the size of the
/// table is not known.
///
/// # Errors
/// The table cannot be read to its end; a program fails; interrupted.
pub async fn dry_run(
    store: &Reader,
    plan: &mut DumpPlan,
    preview: PreviewOptions,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<Option<DryRunReport>> {
    let transform = plan.request.transform.clone();
    if transform.is_empty() || !plan.request.content.includes_items() {
        return Ok(None);
    }

    if let Some(units) = plan.max_read_units {
        store.cap_reads(&plan.source.table, units);
    }

    reporter.report(Event::Phase {
        phase: Phase::DryRun,
        items: Some(plan.items),
        bytes: Some(plan.bytes),
    });

    probe_size(store, plan, cancel).await?;
    let key = plan.schema.key_schema()?;
    // A filter cannot change keys, so no two items can collide.
    let collisions = if transform.changes_items() {
        Some(CollisionDetector::new(key.clone(), key.clone(), true)?)
    } else {
        None
    };

    let dry_run = DryRun::new(
        key,
        WriteCostModel::without_capacity(&plan.schema),
        &transform,
        collisions,
        InvalidItems::Count,
        preview,
    )
    .with_limit(plan.limit);

    let (sender, pages) = mpsc::channel(MAX_PAGES);
    let reading = scan_segments(
        store.clone(),
        remaining_scans(plan, &new_progress(plan))?,
        None,
        sender,
        cancel.clone(),
    );

    let (reporter, cancelled) = (Arc::clone(reporter), cancel.clone());
    let work = move || dry_run.run(page_chunks(pages), &reporter, &cancelled);
    let (read, report) = until_both_end(reading, run_blocking("the dry run", work)).await;
    let report = report?;
    if cancel.is_cancelled() {
        return Err(interrupted());
    }

    read?;

    Ok(Some(report))
}
