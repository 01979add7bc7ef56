//! Dry run of a restore: all items are read and transformed, and nothing is written.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::empty_source::nothing_to_write;
use super::plan::RestorePlan;
use crate::error::Result;
use crate::event::{Event, Phase, Reporter};
use crate::item::KeySchema;
use crate::ops;
use crate::ops::collision_detector::CollisionDetector;
use crate::ops::dry_run::{DryRun, DryRunReport, InvalidItems, PreviewOptions};
use crate::ops::source::{ItemSource, StoredSource};

/// Reads the items of the dump and transforms them as planned; `None` if no item would be written.
///
/// # Errors
/// The dump cannot be read; it has no item that can be written into a table that would be created; a program fails;
/// interrupted.
pub async fn dry_run(
    plan: &RestorePlan,
    show: PreviewOptions,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<Option<DryRunReport>> {
    let request = &plan.prepared.request;
    let transform = request.transform.clone();
    // Reading a table costs read units, which only a transform is worth.
    let is_worth_reading = !request.is_copy() || !transform.is_empty();
    let is_written = !plan.action.keeps() && request.content.includes_items() && is_worth_reading;
    let Some(key) = plan.prepared.destination.key.clone().filter(|_| is_written) else {
        return Ok(None);
    };

    reporter.report(Event::Phase {
        phase: Phase::DryRun,
        items: plan.source.expected_items(),
        bytes: plan.source.bytes,
    });

    let trying = DryRun::new(
        key.clone(),
        plan.prepared.destination.cost_model.clone(),
        &transform,
        Some(collision_detector(plan, key)?),
        InvalidItems::Reject,
        show,
    );
    let trial = try_items(plan, trying, reporter, cancel).await?;

    let source = &plan.prepared.source;
    let warning = source.accept_incomplete(request.accept_incomplete)?;
    // For other sources, the plan contains the warning.
    if let Some(warning) = warning
        && source.is_stream()
    {
        reporter.report(Event::Warning(warning));
    }

    // The restore itself would refuse this before its first change.
    if trial.items_out == 0 && !plan.allows_no_items(trial.items_in, trial.left_out) {
        return Err(nothing_to_write(&plan.source, &plan.target.table, None));
    }

    Ok(Some(trial))
}

/// Finds items that would have the same key in the table.
fn collision_detector(plan: &RestorePlan, key: KeySchema) -> Result<CollisionDetector> {
    let source_key = plan.prepared.destination.source_key.clone();
    let is_scan = plan.prepared.source.is_unmodified_scan();

    CollisionDetector::new(source_key.unwrap_or_else(|| key.clone()), key, is_scan)
}

/// Reads all items of the source and transforms them.
async fn try_items(
    plan: &RestorePlan,
    trying: DryRun,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<DryRunReport> {
    match &plan.prepared.source {
        ItemSource::Dump(dump) => {
            let items = StoredSource::open_whole(dump)?.start(cancel);
            ops::dry_run::dry_run(items, None, trying, reporter, cancel).await
        }
        ItemSource::Table(table) => {
            let items = table.source(&table.first_positions())?.start(cancel);
            let limit = table.scan.options.limit;
            ops::dry_run::dry_run(items, limit, trying, reporter, cancel).await
        }
        ItemSource::Backup(_) => Err(ItemSource::unreadable_items()),
    }
}
