//! Executes a dump: copies the items, writes schema and metadata, publishes the result.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::captured_schema::{
    CapturedSchema, final_schema, in_words, spawn_capture, without_restoring_tag,
};
use super::copy::{CopiedItems, copy};
use super::interrupted::dump_origin;
use super::output::{begin_writer, display_paths, dump_options, report_warnings};
use super::plan::DumpPlan;
use super::rejects::{discard_rejects, publish_rejects};
use super::size_probe::probe_size;
use super::{DumpSummary, DumpTransformSummary, NotCaptured, backup, interrupted};
use crate::backup::{
    DumpWriter, KeyCollisions, Metadata, ScanProgress, SegmentProgress, TransformCounts,
    few_items_warning,
};
use crate::error::{Error, Result};
use crate::event::{Event, Phase, Reporter};
use crate::field::Field;
use crate::ops::collision_detector::CollisionReport;
use crate::ops::journal::{DumpJob, Job, Journal};
use crate::ops::sink::DumpState;
use crate::ops::{run_blocking, until_cancelled};
use crate::place::frequent_reasons;
use crate::schema::TableSchema;
use crate::store::Reader;

/// Minimum time between two saves of the progress: each of them syncs the data file.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);

/// Executes the plan of a dump. When `cancel` fires, it stops cleanly: a later run can resume it. An existing dump is
/// kept until the new one is complete.
///
/// # Errors
/// The table cannot be read to its end; the target cannot be written; the dump to resume is damaged; interrupted.
pub async fn run(
    store: &Reader,
    plan: DumpPlan,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Result<DumpSummary> {
    match plan.backup.clone() {
        Some(planned) => Box::pin(backup::run(store, plan, planned, reporter, cancel)).await,
        None => Box::pin(run_scan(store, plan, reporter, cancel)).await,
    }
}

/// Reads the items with Scan.
async fn run_scan(
    store: &Reader,
    mut plan: DumpPlan,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Result<DumpSummary> {
    let started = Instant::now();
    plan.cap_reads(store);
    let resumed = plan.resumed_size();
    let state = prepare(store, &mut plan, &reporter, &cancel).await?;
    let mut journal = open_journal(&plan, &state.writer, &reporter);
    let settings = spawn_capture(store, &plan);
    let CopiedItems {
        state,
        is_limited,
        found,
    } = copy_items(store, &plan, state, journal.as_mut(), &reporter, &cancel).await?;

    if found.collisions.count > 0 && plan.request.masks_key(&plan.schema) {
        discard(state.writer, &plan).await?;
        return Err(collision_error(&found, &plan));
    }

    report_warnings(plan.request.transform.warnings(), reporter.as_ref());

    // The time is taken before the settings are read again: it is the end of the scan.
    let finished_at = Utc::now();
    let schema = until_cancelled(&cancel, interrupted, final_schema(store, &plan, settings)).await;
    let (state, (schema, not_captured)) = save_on_error(state, schema, journal).await?;
    let schema = without_restoring_tag(schema, &plan, reporter.as_ref());
    let DumpState {
        writer,
        progress,
        wire,
    } = state;
    let captured = (&schema, &not_captured[..]);
    let metadata = metadata(&plan, captured, &progress, is_limited, finished_at);
    let schema = plan.request.content.includes_schema().then_some(schema);
    let finished = run_blocking("writing the dump", move || {
        writer.finish(schema.as_ref(), metadata)
    })
    .await?;
    report_warnings(finished.warnings, reporter.as_ref());

    // The rejects follow the dump: published before it, they would belong to the old one after a crash.
    let rejects_file = publish_rejects(&plan)?;
    let metadata = finished.metadata;
    report_warnings(few_items_warning(&metadata), reporter.as_ref());

    Ok(DumpSummary {
        transformed: transform_summary(&plan, &progress, found.collisions, rejects_file),
        target: plan.target,
        backup: None,
        files: display_paths(&finished.paths),
        items: metadata.items,
        data_bytes: metadata.data_bytes,
        wire,
        file_bytes: largest_file(&metadata),
        consumed_read_units: progress.consumed_read_units,
        segments: plan.segments,
        resumed: progress.resumed,
        items_before: resumed.items,
        data_bytes_before: resumed.bytes,
        complete: metadata.complete,
        reported_items: metadata.reported_items,
        not_captured,
        started_at: progress.started_at,
        finished_at,
        seconds: started.elapsed().as_secs_f64(),
        source: plan.source,
    })
}

/// Opens the target, and determines the number of segments.
async fn prepare(
    store: &Reader,
    plan: &mut DumpPlan,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<DumpState> {
    let probe = probe_size(store, plan, cancel).await?;
    let mut progress = initial_progress(plan);
    progress.consumed_read_units += probe.read_units;

    // The rejects of a discarded dump are deleted only when its data is.
    let writer = open_writer(store, plan, reporter, cancel).await?;
    if !plan.resumes {
        discard_rejects(plan)?;
    }

    Ok(DumpState {
        writer,
        progress,
        wire: probe.wire,
    })
}

async fn copy_items(
    store: &Reader,
    plan: &DumpPlan,
    state: DumpState,
    journal: Option<&mut Journal>,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<CopiedItems> {
    if !plan.request.content.includes_items() {
        return Ok(CopiedItems {
            state,
            is_limited: false,
            found: CollisionReport::default(),
        });
    }

    let remaining = plan.remaining_size();
    reporter.report(Event::Phase {
        phase: Phase::Dumping,
        items: Some(remaining.items),
        bytes: Some(remaining.bytes),
    });

    copy(store, plan, state, journal, reporter, cancel).await
}

/// The journal of a dump that can be resumed: it has items, and masks do not change keys, which the journal would contain.
fn open_journal(
    plan: &DumpPlan,
    writer: &DumpWriter,
    reporter: &Arc<dyn Reporter>,
) -> Option<Journal> {
    if !plan.request.content.includes_items() || plan.request.masks_key(&plan.schema) {
        return None;
    }

    let file = writer.journal().map(Arc::clone)?;
    let origin = dump_origin(&plan.source, &plan.schema, &plan.request, plan.segments);
    let job = Job::Dump(Box::new(DumpJob {
        origin,
        progress: None,
    }));

    Some(Journal::new(
        job,
        Some(file),
        SAVE_INTERVAL,
        Arc::clone(reporter),
    ))
}

/// If the schema cannot be read, saves that all items were copied.
async fn save_on_error(
    state: DumpState,
    schema: Result<CapturedSchema>,
    journal: Option<Journal>,
) -> Result<(DumpState, CapturedSchema)> {
    let error = match schema {
        Ok(schema) => return Ok((state, schema)),
        Err(error) => error,
    };

    let settled = run_blocking("writing the dump", move || state.stop()).await?;
    if let Some(mut journal) = journal {
        journal.save_now(Box::new(|| Ok(settled))).await;
    }

    Err(error)
}

/// Deletes a dump that cannot be resumed.
async fn discard(writer: DumpWriter, plan: &DumpPlan) -> Result<()> {
    run_blocking("discarding the dump", move || writer.discard()).await?;
    discard_rejects(plan)
}

/// The error for key collisions with masked keys. The masks are the cause only if one of their rules can make two keys equal.
fn collision_error(found: &CollisionReport, plan: &DumpPlan) -> Error {
    let collisions = &found.collisions;
    let transform = &plan.request.transform;
    let key = plan.schema.key_schema();
    let masks_can_collide = transform
        .masks()
        .is_some_and(|masks| key.is_ok_and(|key| !masks.rules().hash_key(&key)));
    let (cause, hint) = match (transform.has_filters_or_commands(), masks_can_collide) {
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

    let noun = if collisions.count == 1 {
        "item"
    } else {
        "items"
    };
    let message = format!(
        "{cause} {} {noun} a key that another item has",
        collisions.count
    );
    let pairs = collisions
        .first
        .iter()
        .map(|(first, second)| format!("output items {first} and {second}"));
    let stopped = found
        .stopped_after
        .map(|items| format!("the dump stopped after {items} output items"));

    Error::failed(message)
        .with_details(pairs.chain(stopped))
        .with_hint(hint)
}

/// Summary of the transform, if there is one.
fn transform_summary(
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
        // The lines are on disk: if they cannot be read now, the file is named without its reasons.
        reject_reasons: rejects_file
            .as_deref()
            .map(frequent_reasons)
            .transpose()
            .unwrap_or_default()
            .unwrap_or_default(),
        rejects_file,
        collisions: collisions.count,
        first_collisions: collisions.first,
        mask_rules_sha256: mask_rules_sha256(plan),
    })
}

/// Size of the data file in bytes.
fn largest_file(metadata: &Metadata) -> u64 {
    let sizes = metadata.files.values().map(|file| file.bytes);
    sizes.max().unwrap_or(0)
}

fn mask_rules_sha256(plan: &DumpPlan) -> Option<String> {
    plan.request
        .transform
        .masks()
        .map(|masks| masks.rules().sha256().to_owned())
}

/// Progress at the start of this run: that of the interrupted dump if it is resumed.
fn initial_progress(plan: &DumpPlan) -> ScanProgress {
    match plan.resumed_dump() {
        Some(saved) => ScanProgress {
            resumed: saved.progress.scan.resumed + 1,
            ..saved.progress.scan.clone()
        },
        None => new_progress(plan),
    }
}

/// Progress of a scan that has not started.
pub(crate) fn new_progress(plan: &DumpPlan) -> ScanProgress {
    ScanProgress {
        started_at: Utc::now(),
        resumed: 0,
        consumed_read_units: 0.0,
        segments: vec![SegmentProgress::NotBegun; plan.segments as usize],
        changes: TransformCounts::default(),
        index_key_violations: plan
            .request
            .content
            .includes_items()
            .then(|| no_violations(&plan.schema)),
    }
}

/// A zero for each index.
fn no_violations(schema: &TableSchema) -> BTreeMap<String, u64> {
    let keys = schema.index_key_schemas();
    keys.names().map(|name| (name.to_owned(), 0)).collect()
}

/// The items that violate the keys of the indexes in `schema`; `None` if an index was added meanwhile, or they were not counted.
fn index_key_violations(
    progress: &ScanProgress,
    schema: &TableSchema,
) -> Option<BTreeMap<String, u64>> {
    let indexes = no_violations(schema);
    let counted = progress.index_key_violations.clone();
    counted.filter(|counted| counted.keys().eq(indexes.keys()))
}

/// Opens the target for a new dump, or the interrupted one to resume it.
async fn open_writer(
    store: &Reader,
    plan: &DumpPlan,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<DumpWriter> {
    let Some(saved) = plan.resumed_dump().cloned() else {
        return begin_writer(store, plan).await;
    };
    let (target, options) = (plan.request.target.clone(), dump_options(store, plan));

    // The existing data is read again, to continue its digest and to find damage.
    reporter.report(Event::Phase {
        phase: Phase::Checking,
        items: None,
        bytes: Some(saved.progress.file_bytes()),
    });

    let (reporter, cancel) = (Arc::clone(reporter), cancel.clone());
    let mut on_progress = move |bytes| {
        reporter.report(Event::Progress { items: 0, bytes });
        if cancel.is_cancelled() {
            Err(interrupted())
        } else {
            Ok(())
        }
    };

    run_blocking("checking the interrupted dump", move || {
        DumpWriter::resume(
            &target,
            &options,
            saved.progress,
            &saved.stamp,
            &mut on_progress,
        )
    })
    .await
}

/// Why the dump does not contain the whole table, in metadata.
fn partial(plan: &DumpPlan, progress: &ScanProgress, is_limited: bool) -> BTreeMap<String, Value> {
    let mut partial = BTreeMap::new();
    let transform = &plan.request.transform;
    for (field, text) in transform.selections() {
        // A condition may contain a value that is masked.
        let value = if transform.masks().is_some() && field == Field::Where {
            true.into()
        } else {
            text.into()
        };

        partial.insert(field.name().to_owned(), value);
    }

    let selection = [("filter", &plan.filter), ("projection", &plan.projection)];
    for (option, text) in selection {
        if let Some(text) = text {
            let value = if transform.masks().is_some() {
                true.into()
            } else {
                text.as_str().into()
            };

            partial.insert(option.to_owned(), value);
        }
    }

    // The counts of items that a condition or sample removed.
    let (left_out, rejected) = (progress.changes.left_out, progress.changes.rejected);
    for (reason, count) in [("left_out", left_out), ("rejected", rejected)] {
        if count > 0 {
            partial.insert(reason.to_owned(), count.into());
        }
    }

    if is_limited && let Some(limit) = plan.limit {
        partial.insert("limit".to_owned(), limit.into());
    }

    if !plan.request.content.includes_items() {
        partial.insert("schema_only".to_owned(), true.into());
    }

    partial
}

fn metadata(
    plan: &DumpPlan,
    (schema, not_captured): (&TableSchema, &[NotCaptured]),
    progress: &ScanProgress,
    is_limited: bool,
    finished_at: DateTime<Utc>,
) -> Metadata {
    let description = schema.description();
    Metadata {
        table_arn: description.table_arn.clone(),
        table_id: description.table_id.clone(),
        region: plan.source.region.clone(),
        endpoint: plan.source.endpoint.clone(),
        started_at: progress.started_at,
        finished_at,
        resumed: progress.resumed,
        partial: partial(plan, progress, is_limited),
        transformed: plan.request.transform.changes_items(),
        mask_rules_sha256: mask_rules_sha256(plan),
        consistent_read: plan.consistent_read,
        segments: plan.segments,
        consumed_read_units: progress.consumed_read_units,
        reported_items: plan.schema.description().item_count,
        index_key_violations: index_key_violations(progress, schema),
        not_captured: in_words(not_captured),
        ..Metadata::new(&plan.source.environment, &plan.source.table)
    }
}
