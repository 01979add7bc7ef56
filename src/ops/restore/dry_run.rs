//! Dry run of a restore: every item is read and transformed, and nothing is written.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::checkpoint::{Lanes, is_scan};
use super::items::Readers;
use super::plan::{RestorePlan, TableAction};
use crate::error::Result;
use crate::event::{Event, Phase, Reporter};
use crate::ops::collision_detector::CollisionDetector;
use crate::ops::dry_run::{DryRun, DryRunReport, InvalidItems, PreviewOptions};
use crate::ops::run_blocking;

/// Reads the items of the dump and transforms them as planned; `None` if no item would be written.
///
/// # Errors
/// The dump cannot be read; it has no item that can be written into a table that would be created; a program fails;
/// interrupted.
pub async fn trial(
    plan: &RestorePlan,
    show: PreviewOptions,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<Option<DryRunReport>> {
    let request = &plan.parts.request;
    let transform = request.transform.clone();
    let is_written = plan.action != TableAction::Keep && request.content.includes_items();
    let Some(key) = plan.parts.bound.key.clone().filter(|_| is_written) else {
        return Ok(None);
    };

    reporter.report(Event::Phase {
        phase: Phase::DryRun,
        items: plan.source.items,
        bytes: plan.source.bytes,
    });

    let from = plan
        .parts
        .bound
        .source_key
        .clone()
        .unwrap_or_else(|| key.clone());

    let meetings = CollisionDetector::new(from, key.clone(), is_scan(&plan.parts.source))?;
    let trying = DryRun::new(
        key,
        plan.parts.bound.tariff.clone(),
        &transform,
        Some(meetings),
        InvalidItems::Reject,
        show,
    );

    let readers = Readers::open(&plan.parts.source, &Lanes::Whole { mark: 0 }, None)?;
    let (heard, cancelled) = (Arc::clone(reporter), cancel.clone());
    let work = move || trying.run(readers.chunks(), &heard, &cancelled);
    let trial = run_blocking("the dry run", work).await?;

    let source = plan.parts.source.as_ref();
    if let Some(warning) = source
        .accept_incomplete(request.accept_incomplete)?
        .filter(|_| source.is_stream())
    {
        reporter.report(Event::Warning(warning));
    }

    plan.refuse_nothing_to_write(&trial)?;

    Ok(Some(trial))
}
