//! Dry run of a dump with a transform: all items are read and transformed, and nothing is written.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::copy::collision_detector;
use super::plan::DumpPlan;
use super::run::new_progress;
use super::segments::remaining_scans;
use super::size_probe::probe_size;
use crate::error::Result;
use crate::event::{Event, Phase, Reporter};
use crate::ops;
use crate::ops::cost::WriteCostModel;
use crate::ops::dry_run::{DryRun, DryRunReport, InvalidItems, PreviewOptions};
use crate::ops::source::ScanSource;
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

    plan.cap_reads(store);
    reporter.report(Event::Phase {
        phase: Phase::DryRun,
        items: Some(plan.items),
        bytes: None,
    });

    probe_size(store, plan, cancel).await?;
    let key = plan.schema.key_schema()?;
    let dry_run = DryRun::new(
        key,
        WriteCostModel::without_capacity(&plan.schema),
        &transform,
        collision_detector(plan)?,
        InvalidItems::Count,
        preview,
    );

    let requests = remaining_scans(plan, &new_progress(plan))?;
    let source = ScanSource::new(store.clone(), requests).start(cancel);
    let report = ops::dry_run::dry_run(source, plan.limit, dry_run, reporter, cancel).await?;

    Ok(Some(report))
}
