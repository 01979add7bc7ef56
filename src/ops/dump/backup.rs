//! A dump whose data is an on-demand backup: DynamoDB keeps the data, the dump has everything else.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::DumpSummary;
use super::captured_schema::{final_schema, in_words, spawn_capture, without_restoring_tag};
use super::output::{begin_writer, display_paths, report_warnings};
use super::plan::DumpPlan;
use crate::backup::Metadata;
use crate::error::Result;
use crate::event::Reporter;
use crate::ops::backup_wait::{BackupWait, interrupted};
use crate::ops::on_demand_backup::BackupJournal;
use crate::ops::planned_backup::PlannedBackup;
use crate::ops::{run_blocking, until_cancelled};
use crate::schema::{TableBackup, TableSchema};
use crate::store::{Reader, WireBytes};

/// Executes the plan of a dump by backup. When `cancel` fires, the backup continues in DynamoDB, and a later run can resume.
///
/// # Errors
/// The backup is refused or fails; the schema cannot be read; the target cannot be written; interrupted.
pub(crate) async fn run(
    store: &Reader,
    plan: DumpPlan,
    planned: PlannedBackup,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Result<DumpSummary> {
    let started = Instant::now();
    let started_at = Utc::now();
    let writer = begin_writer(store, &plan).await?;
    let file = writer.journal().map(Arc::clone);
    let mut journal = BackupJournal::new(file, &plan.source.table, &planned.name);
    let backup = journal.request(store, &planned).await?;

    let settings = spawn_capture(store, &plan);
    let backup = BackupWait {
        store,
        reporter: reporter.as_ref(),
        cancel: &cancel,
    }
    .until_available(backup)
    .await?;
    let finished_at = Utc::now();

    let interrupted = || interrupted(&backup);
    let captured = final_schema(store, &plan, settings);
    let (schema, not_captured) = until_cancelled(&cancel, interrupted, captured).await?;
    let schema = without_restoring_tag(schema, &plan, reporter.as_ref());
    let metadata = Metadata {
        not_captured: in_words(&not_captured),
        ..metadata(&plan, &schema, &backup, started_at, finished_at)
    };
    let finished = run_blocking("writing the dump", move || {
        writer.finish(Some(&schema), metadata)
    })
    .await?;
    report_warnings(finished.warnings, reporter.as_ref());

    let metadata = finished.metadata;
    Ok(DumpSummary {
        files: display_paths(&finished.paths),
        not_captured,
        started_at,
        finished_at,
        seconds: started.elapsed().as_secs_f64(),
        ..summary(plan, &metadata, backup)
    })
}

fn summary(plan: DumpPlan, metadata: &Metadata, backup: TableBackup) -> DumpSummary {
    DumpSummary {
        source: plan.source,
        target: plan.target,
        backup: Some(backup),
        complete: metadata.complete,
        reported_items: metadata.reported_items,
        started_at: metadata.started_at,
        finished_at: metadata.finished_at,
        files: Vec::new(),
        items: 0,
        data_bytes: 0,
        file_bytes: 0,
        wire: WireBytes::default(),
        consumed_read_units: 0.0,
        segments: 0,
        resumed: 0,
        items_before: 0,
        data_bytes_before: 0,
        transformed: None,
        not_captured: Vec::new(),
        seconds: 0.0,
    }
}

fn metadata(
    plan: &DumpPlan,
    schema: &TableSchema,
    backup: &TableBackup,
    started_at: DateTime<Utc>,
    finished_at: DateTime<Utc>,
) -> Metadata {
    let description = schema.description();
    Metadata {
        table_arn: description.table_arn.clone(),
        table_id: description.table_id.clone(),
        region: plan.source.region.clone(),
        endpoint: plan.source.endpoint.clone(),
        route: "backup".to_owned(),
        backup: Some(TableBackup {
            status: None,
            ..backup.clone()
        }),
        started_at: backup.created_at.unwrap_or(started_at),
        finished_at,
        reported_items: plan.schema.description().item_count,
        ..Metadata::new(&plan.source.environment, &plan.source.table)
    }
}
