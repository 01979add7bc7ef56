//! Carries a dump out: the items, what surrounds them, and the place of all.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::copy::{Copied, copy, every_second};
use super::plan::{DumpPlan, masks_key};
use super::size_probe::look;
use super::transformed::{forget_rejects, publish_rejects};
use super::unfinished::origin;
use super::{DumpSummary, DumpTransformSummary, interrupted};
use crate::backup::{
    DumpOptions, DumpTarget, DumpWriter, KeyCollisions, MetadataDraft, ScanProgress,
    SegmentProgress, TransformCounts,
};
use crate::error::{Error, Result};
use crate::event::{Event, Phase, Reporter};
use crate::ops::{recreated, run_blocking, until_cancelled};
use crate::place::Access;
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
    mut plan: DumpPlan,
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
    let (looked, wire) = look(store, &mut plan, &cancel).await?;
    let mut progress = progress(&plan, false);
    progress.consumed_read_units += looked;
    let writer = begin(&plan, &reporter, &cancel).await?;
    if !plan.resumes {
        forget_rejects(&plan)?;
    }

    let mut copied = Copied {
        writer,
        progress,
        wire,
        is_limited: false,
        collisions: KeyCollisions::default(),
    };

    let capturing = capture(store, &plan);
    if plan.request.content.includes_items() {
        let (items, bytes) = plan.expected();
        reporter.report(Event::Phase {
            phase: Phase::Dumping,
            items: Some(items),
            bytes: Some(bytes),
        });

        copied = copy(store, &plan, copied, &reporter, &cancel, every_second()).await?;
    }

    let Copied {
        mut writer,
        progress,
        wire,
        is_limited,
        collisions,
    } = copied;

    if collisions.count > 0 && masks_key(&plan.request, &plan.schema) {
        discard(writer, &plan).await?;
        return Err(met(&collisions, &plan));
    }

    plan.request
        .transform
        .warnings()
        .into_iter()
        .for_each(|warning| reporter.report(Event::Warning(warning)));

    let finished_at = Utc::now();
    let schema = until_cancelled(&cancel, interrupted, settled(store, &plan, capturing)).await;
    if schema.is_err() {
        writer.stop(&progress)?;
    }

    let schema = schema?;
    let draft = metadata(&plan, &schema, &progress, is_limited, finished_at);
    let schema = plan.request.content.includes_schema().then_some(schema);
    let finished = run_blocking("writing the dump", move || {
        writer.finish(schema.as_ref(), draft)
    })
    .await?;
    finished
        .warnings
        .into_iter()
        .for_each(|warning| reporter.report(Event::Warning(warning)));
    let rejects_file = publish_rejects(&plan)?;
    let transformed = changes(&plan, &progress, collisions, rejects_file);
    let file = finished
        .metadata
        .files
        .values()
        .max_by_key(|file| file.bytes);

    Ok(DumpSummary {
        target: plan.target,
        files: finished
            .paths
            .iter()
            .map(|path| path.display().to_string())
            .collect(),
        items: finished.metadata.items,
        data_bytes: finished.metadata.data_bytes,
        wire,
        file_bytes: file.map_or(0, |file| file.bytes),
        consumed_read_units: progress.consumed_read_units,
        segments: plan.segments,
        resumed: progress.resumed,
        items_before,
        data_bytes_before,
        complete: finished.metadata.complete,
        transformed,
        not_captured: finished.metadata.not_captured,
        started_at: progress.started_at,
        finished_at,
        seconds: started.elapsed().as_secs_f64(),
        source: plan.source,
    })
}

/// Removes what was written of a dump that cannot be resumed.
async fn discard(writer: DumpWriter, plan: &DumpPlan) -> Result<()> {
    run_blocking("discarding the dump", move || writer.discard()).await?;
    forget_rejects(plan)
}

/// Keys are masked, and items have the same key in the end. Masks are to blame only if one of their rules can make two keys equal.
fn met(collisions: &KeyCollisions, plan: &DumpPlan) -> Error {
    let transform = &plan.request.transform;
    let key = plan.schema.key_schema();
    let masks_may = transform
        .masks()
        .is_some_and(|masks| key.is_ok_and(|key| !masks.rules().hash_key(&key)));
    let (culprit, hint) = match (transform.has_filters_or_commands(), masks_may) {
        (true, true) => (
            "the transform and the masks give",
            "check the keys that the transform makes, and mask keys with hash, which keeps them different",
        ),
        (false, true) => (
            "the masks give",
            "mask keys with hash, which keeps them different",
        ),
        (_, false) => (
            "the transform gives",
            "let the transform give each item a key of its own",
        ),
    };

    let what = format!(
        "{culprit} {} items a key that another item has",
        collisions.count
    );
    let pairs = collisions
        .first
        .iter()
        .map(|(first, second)| format!("output items {first} and {second}"));

    Error::failed(what).with_details(pairs).with_hint(hint)
}

/// What a transform did.
fn changes(
    plan: &DumpPlan,
    progress: &ScanProgress,
    collisions: KeyCollisions,
    rejects_file: Option<PathBuf>,
) -> Option<DumpTransformSummary> {
    let changes = &progress.changes;
    (!plan.request.transform.is_empty()).then(|| DumpTransformSummary {
        items_read: changes.read,
        items_changed: changes.changed,
        items_left_out: changes.left_out,
        items_rejected: changes.rejected,
        rejects_file,
        collisions: collisions.count,
        collided: collisions.first,
        mask_rules_sha256: mask_rules(plan),
    })
}

fn mask_rules(plan: &DumpPlan) -> Option<String> {
    plan.request
        .transform
        .masks()
        .map(|masks| masks.rules().sha256().to_owned())
}

/// How far reading has come before this run: not at all, or as far as the run that it goes on with.
pub(crate) fn progress(plan: &DumpPlan, begins: bool) -> ScanProgress {
    match plan.checkpoint.as_ref().filter(|_| plan.resumes && !begins) {
        Some(checkpoint) => ScanProgress {
            resumed: checkpoint.progress.resumed + 1,
            ..checkpoint.progress.clone()
        },
        None => ScanProgress {
            started_at: Utc::now(),
            resumed: 0,
            consumed_read_units: 0.0,
            segments: (0..plan.segments)
                .map(|_| SegmentProgress::NotBegun)
                .collect(),
            changes: TransformCounts::default(),
        },
    }
}

/// Prepares the target, or what lies there of an interrupted run.
async fn begin(
    plan: &DumpPlan,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<DumpWriter> {
    let (target, options) = (plan.request.target.clone(), options(plan));
    let Some(checkpoint) = plan.checkpoint.clone().filter(|_| plan.resumes) else {
        return run_blocking("preparing the target", move || {
            DumpWriter::begin(&target, &options)
        })
        .await;
    };

    reporter.report(Event::Phase {
        phase: Phase::Checking,
        items: None,
        bytes: Some(checkpoint.file_bytes()),
    });

    let (reporter, cancel) = (Arc::clone(reporter), cancel.clone());
    let mut watch = move |bytes| {
        reporter.report(Event::Progress { items: 0, bytes });
        if cancel.is_cancelled() {
            Err(interrupted())
        } else {
            Ok(())
        }
    };

    run_blocking("checking what is kept", move || {
        DumpWriter::resume(&target, &options, *checkpoint, &mut watch)
    })
    .await
}

/// Reads the settings that `DescribeTable` does not tell while the items are read, so that a dump takes no longer for them.
fn capture<S>(store: &S, plan: &DumpPlan) -> JoinSet<Vec<(Section, Captured)>>
where
    S: ReadStore + Clone + 'static,
{
    let mut capturing = JoinSet::new();
    let has_schema_file = matches!(plan.request.target, DumpTarget::Folder(_))
        && plan.request.content.includes_schema();
    if has_schema_file {
        let (store, schema) = (store.clone(), plan.schema.clone());
        capturing.spawn(async move { store.capture(&schema, &Section::ALL).await });
    }

    capturing
}

/// The schema with what was captured, if the table is still the one that was planned for.
async fn settled(
    store: &impl ReadStore,
    plan: &DumpPlan,
    capturing: JoinSet<Vec<(Section, Captured)>>,
) -> Result<TableSchema> {
    let schema = captured(plan, capturing).await?;
    recreated::check_not_recreated(store, &plan.source.table, &plan.schema).await?;
    Ok(schema)
}

/// The schema with what was captured.
async fn captured(
    plan: &DumpPlan,
    mut capturing: JoinSet<Vec<(Section, Captured)>>,
) -> Result<TableSchema> {
    let schema = plan.schema.clone();
    match capturing.join_next().await {
        None => Ok(schema),
        Some(Ok(sections)) => Ok(schema.with_sections(sections)),
        Some(Err(error)) => {
            Err(Error::failed("reading the table's settings was cut off").with_source(error))
        }
    }
}

fn options(plan: &DumpPlan) -> DumpOptions {
    DumpOptions {
        format: plan.request.format,
        compression: plan.request.compression,
        schema_only: !plan.request.content.includes_items(),
        access: if plan.source.local {
            Access::Shared
        } else {
            Access::Private
        },
        state_dir: plan.request.state_dir.clone(),
        origin: (!masks_key(&plan.request, &plan.schema))
            .then(|| origin(&plan.source, &plan.schema, &plan.request, plan.segments)),
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
    let transform = &plan.request.transform;
    for (option, text) in transform.selection_options() {
        // A condition may name what a mask hides.
        let told = if transform.masks().is_some() && option == "--where" {
            true.into()
        } else {
            text.into()
        };

        partial.insert(option.trim_start_matches('-').to_owned(), told);
    }

    let selection = [("filter", &plan.filter), ("projection", &plan.projection)];
    for (option, text) in selection {
        if let Some(text) = text {
            let told = if transform.masks().is_some() {
                true.into()
            } else {
                text.as_str().into()
            };

            partial.insert(option.to_owned(), told);
        }
    }

    // What a condition or a sample left out is told by these.
    let (left_out, rejected) = (progress.changes.left_out, progress.changes.rejected);
    for (reason, count) in [("left_out", left_out), ("rejected", rejected)] {
        if count > 0 {
            partial.insert(reason.to_owned(), count.into());
        }
    }

    if let Some(limit) = plan.limit.filter(|_| is_limited) {
        partial.insert("limit".to_owned(), limit.into());
    }

    if !plan.request.content.includes_items() {
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
        transformed: transform.changes_items(),
        mask_rules_sha256: mask_rules(plan),
        consistent_read: plan.consistent_read,
        segments: plan.segments,
        consumed_read_units: progress.consumed_read_units,
        set_digest: None,
        not_captured: schema
            .not_captured()
            .iter()
            .map(|(section, reason)| format!("{section}: {reason}"))
            .collect(),
    }
}
