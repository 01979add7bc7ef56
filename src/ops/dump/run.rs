//! Carries a dump out: the items, what surrounds them, and the place of all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::copy::{Copied, copy, every_second};
use super::plan::DumpPlan;
use super::unfinished::origin;
use super::{DumpSummary, interrupted};
use crate::backup::{Access, DumpOptions, DumpTarget, DumpWriter, MetadataDraft, ScanProgress, SegmentProgress};
use crate::error::{Error, Result};
use crate::event::{Event, Phase, Reporter};
use crate::ops::blocking;
use crate::schema::{Captured, Section, TableSchema};
use crate::store::ReadStore;

/// Dumps as planned. When `cancel` fires it stops cleanly: what was read is kept, with a checkpoint from which a later run can go on.
/// The dump that stood before stays.
///
/// # Errors
/// The table cannot be read to its end; the target cannot be written; what is to be gone on with is damaged; interrupted. The target
/// is then as it was before.
pub async fn run<S>(
    store: &S,
    plan: DumpPlan,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Result<DumpSummary>
where
    S: ReadStore + Clone + 'static,
{
    let started = Instant::now();
    if let Some(units) = plan.max_read_units {
        store.cap_reads(units);
    }
    let (items_before, data_bytes_before) = plan.kept();
    let progress = progress(&plan);
    let mut copied = Copied { writer: begin(&plan, &reporter, &cancel).await?, progress, is_limited: false };
    let capturing = capture(store, &plan);
    if plan.request.content.data() {
        let (items, bytes) = plan.expected();
        reporter.report(Event::Phase { phase: Phase::Dumping, items: Some(items), bytes: Some(bytes) });
        copied = copy(store, &plan, copied, &reporter, &cancel, every_second()).await?;
    }
    let Copied { writer, progress, is_limited } = copied;
    let finished_at = Utc::now();
    let schema = captured(&plan, capturing).await?;
    let draft = metadata(&plan, &schema, &progress, is_limited, finished_at);
    let schema = plan.request.content.schema().then_some(schema);
    let finished = blocking("writing the dump", move || writer.finish(schema.as_ref(), draft)).await?;
    finished.warnings.into_iter().for_each(|warning| reporter.report(Event::Warning(warning)));
    let file = finished.metadata.files.values().max_by_key(|file| file.bytes);
    Ok(DumpSummary {
        target: plan.target,
        files: finished.paths.iter().map(|path| path.display().to_string()).collect(),
        items: finished.metadata.items,
        data_bytes: finished.metadata.data_bytes,
        file_bytes: file.map_or(0, |file| file.bytes),
        consumed_read_units: progress.consumed_read_units,
        segments: plan.segments,
        resumed: progress.resumed,
        items_before,
        data_bytes_before,
        complete: finished.metadata.complete,
        not_captured: finished.metadata.not_captured,
        started_at: progress.started_at,
        finished_at,
        seconds: started.elapsed().as_secs_f64(),
        source: plan.source,
    })
}

/// How far reading has come before this run: not at all, or as far as the run that it goes on with.
fn progress(plan: &DumpPlan) -> ScanProgress {
    match plan.checkpoint.as_ref().filter(|_| plan.resumes) {
        Some(checkpoint) => ScanProgress { resumed: checkpoint.progress.resumed + 1, ..checkpoint.progress.clone() },
        None => ScanProgress {
            started_at: Utc::now(),
            resumed: 0,
            consumed_read_units: 0.0,
            segments: (0..plan.segments).map(|_| SegmentProgress::NotBegun).collect(),
        },
    }
}

/// Prepares the target, or what lies there of an interrupted run.
async fn begin(plan: &DumpPlan, reporter: &Arc<dyn Reporter>, cancel: &CancellationToken) -> Result<DumpWriter> {
    let (target, options) = (plan.request.target.clone(), options(plan));
    let Some(checkpoint) = plan.checkpoint.clone().filter(|_| plan.resumes) else {
        return blocking("preparing the target", move || DumpWriter::begin(&target, &options)).await;
    };
    reporter.report(Event::Phase { phase: Phase::Checking, items: None, bytes: Some(checkpoint.file_bytes()) });
    let (reporter, cancel) = (Arc::clone(reporter), cancel.clone());
    let mut watch = move |bytes| {
        reporter.report(Event::Progress { items: 0, bytes });
        if cancel.is_cancelled() { Err(interrupted()) } else { Ok(()) }
    };
    blocking("checking what is kept", move || DumpWriter::resume(&target, &options, *checkpoint, &mut watch)).await
}

/// Reads the settings that `DescribeTable` does not tell while the items are read, so that a dump takes no longer for them.
fn capture<S>(store: &S, plan: &DumpPlan) -> JoinSet<Vec<(Section, Captured)>>
where
    S: ReadStore + Clone + 'static,
{
    let mut capturing = JoinSet::new();
    let has_schema_file = matches!(plan.request.target, DumpTarget::Folder(_)) && plan.request.content.schema();
    if has_schema_file {
        let (store, schema) = (store.clone(), plan.schema.clone());
        capturing.spawn(async move { store.capture(&schema, &Section::ALL).await });
    }
    capturing
}

/// The schema with what was captured.
async fn captured(plan: &DumpPlan, mut capturing: JoinSet<Vec<(Section, Captured)>>) -> Result<TableSchema> {
    let schema = plan.schema.clone();
    match capturing.join_next().await {
        None => Ok(schema),
        Some(Ok(sections)) => Ok(schema.with_sections(sections)),
        Some(Err(error)) => Err(Error::failed("reading the table's settings was cut off").with_source(error)),
    }
}

fn options(plan: &DumpPlan) -> DumpOptions {
    DumpOptions {
        format: plan.request.format,
        compression: plan.request.compression,
        schema_only: !plan.request.content.data(),
        access: if plan.source.local { Access::Shared } else { Access::Private },
        state_dir: plan.request.state_dir.clone(),
        origin: Some(origin(&plan.source, &plan.schema, &plan.request, plan.segments)),
    }
}

fn metadata(
    plan: &DumpPlan,
    schema: &TableSchema,
    progress: &ScanProgress,
    is_limited: bool,
    finished_at: DateTime<Utc>,
) -> MetadataDraft {
    let mut partial = BTreeMap::new();
    if let Some(limit) = plan.limit.filter(|_| is_limited) {
        partial.insert("limit".to_owned(), limit.into());
    }
    if !plan.request.content.data() {
        partial.insert("schema_only".to_owned(), true.into());
    }
    let description = schema.description();
    MetadataDraft {
        environment: plan.source.environment.clone(),
        table: plan.source.table.clone(),
        table_arn: description.table_arn.clone(),
        table_id: description.table_id.clone(),
        region: plan.source.region.clone(),
        endpoint: plan.source.endpoint.clone(),
        route: "scan".to_owned(),
        started_at: progress.started_at,
        finished_at,
        resumed: progress.resumed,
        partial,
        transformed: false,
        consistent_read: plan.consistent_read,
        segments: plan.segments,
        consumed_read_units: progress.consumed_read_units,
        set_digest: None,
        not_captured: schema.not_captured().iter().map(|(section, reason)| format!("{section}: {reason}")).collect(),
    }
}
