//! A dump's dry run with a transform: every item is read and changed, and nothing is written.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::copy::{PAGES, read, unread, until_both_end};
use super::plan::DumpPlan;
use super::run::progress;
use super::size_probe::look;
use super::transformed::chunks;
use crate::error::Result;
use crate::event::{Event, Phase, Reporter};
use crate::ops::collision_detector::CollisionDetector;
use crate::ops::cost::WriteCostModel;
use crate::ops::dry_run::{DryRun, DryRunReport, InvalidItems, PreviewOptions, interrupted};
use crate::ops::run_blocking;
use crate::store::ReadStore;

/// Reads the table and puts its items through the transform of `plan`; `None` where there is none. The segments of `plan` are chosen
/// again where the table's size is not known.
///
/// # Errors
/// The table cannot be read to its end; a program fails; interrupted.
pub async fn trial<S>(
    store: &S,
    plan: &mut DumpPlan,
    show: PreviewOptions,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<Option<DryRunReport>>
where
    S: ReadStore + Clone + 'static,
{
    let transform = plan.request.transform.clone();
    if transform.is_empty() || !plan.request.content.includes_items() {
        return Ok(None);
    }

    if let Some(units) = plan.max_read_units {
        store.cap_reads(units);
    }

    reporter.report(Event::Phase {
        phase: Phase::DryRun,
        items: Some(plan.items),
        bytes: Some(plan.bytes),
    });

    look(store, plan, cancel).await?;
    let key = plan.schema.key_schema()?;
    let meetings = if transform.changes_items() {
        Some(CollisionDetector::new(key.clone(), key.clone(), true)?)
    } else {
        None
    };

    let trying = DryRun::new(
        key,
        WriteCostModel::without_capacity(&plan.schema),
        &transform,
        meetings,
        InvalidItems::Count,
        show,
    )
    .with_limit(plan.limit);

    let (pages, waiting) = mpsc::channel(PAGES);
    let reading = read(
        store.clone(),
        unread(plan, &progress(plan, true))?,
        None,
        pages,
        cancel.clone(),
    );

    let (heard, cancelled) = (Arc::clone(reporter), cancel.clone());
    let work = move || trying.run(chunks(waiting), &heard, &cancelled);
    let (read, trial) = until_both_end(reading, run_blocking("the dry run", work)).await;
    let trial = trial?;
    if cancel.is_cancelled() {
        return Err(interrupted());
    }

    read?;

    Ok(Some(trial))
}
