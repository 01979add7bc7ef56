//! A restore that DynamoDB carries out: from an on-demand backup, or to a point in time. DynamoDB creates the table and its items; what
//! it does not restore (TTL, tags, stream, scaling, …) comes from the source's schema afterwards, as for an existing table.
//!
//! An interruption does not stop DynamoDB: a later run waits for the table and applies the settings.

use std::sync::Arc;
use std::time::Instant;

use chrono::SecondsFormat;
use tokio_util::sync::CancellationToken;

use super::apply_settings::SettingsApplier;
use super::copied_backup::CopiedBackup;
use super::table::{TargetTable, wait_interrupted};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Reporter;
use crate::field::Field;
use crate::ops::backup_wait::BackupWait;
use crate::ops::identity::table_id;
use crate::ops::journal::Journal;
use crate::ops::restore::plan::RestorePlan;
use crate::ops::restore::plan::backup_origin::BackupRestore;
use crate::ops::restore::plan::origin::Origin;
use crate::ops::restore::plan::settings::Settings;
use crate::ops::restore::{
    RestoreRequest, RestoreSummary, SettingOutcome, TableAction, TableOutcome, When,
};
use crate::ops::{recreated, until_cancelled};
use crate::schema::{RestoreTable, Section, TableBackup, TableOrigin, TableSchema};
use crate::store::Writer;

/// Executes the plan of a restore that DynamoDB carries out.
///
/// # Errors
/// The backup or the table cannot be used; DynamoDB refuses the request; interrupted.
pub(crate) async fn run(
    store: &Writer,
    mut plan: RestorePlan,
    restore: BackupRestore,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Result<RestoreSummary> {
    let started = Instant::now();
    let journal = plan.open_journal(&reporter)?;
    let table_name = plan.target.table.clone();
    let table = TargetTable {
        store,
        name: &table_name,
        reporter: reporter.as_ref(),
        cancel: &cancel,
    };

    let mut summary = match &restore.origin {
        Origin::Known(origin) => {
            let backup = restore.backup.clone();
            let restoring = restore_table(&table, plan, journal, &restore, backup);
            let restored = Box::pin(restoring).await;
            restored.map_err(|error| with_resume_hint(error, origin, &table_name))?
        }
        Origin::Planned(planned) => {
            let expects_items = plan.source.expected_items().is_some();
            let copied = CopiedBackup::obtain(&table, &plan.source, planned).await?;
            plan.restored_from = Some(copied.backup.origin());
            let backup = restore.create.as_ref().map(|_| copied.backup.clone());
            let restoring = restore_table(&table, plan, journal, &restore, backup);
            let restored = Box::pin(restoring).await;
            let summary = restored.map_err(|error| copied.with_resume_hint(error))?;
            let finishing = copied.finish(&table, &summary, expects_items);
            let backup = Box::pin(finishing).await?;

            RestoreSummary {
                backup: Some(backup),
                ..summary
            }
        }
    };
    summary.seconds = started.elapsed().as_secs_f64();

    Ok(summary)
}

/// Adds how to resume to the error of an interruption.
fn with_resume_hint(error: Error, origin: &TableOrigin, table: &str) -> Error {
    if error.kind() == ErrorKind::Interrupted {
        error.with_hint(resume_hint(origin, table))
    } else {
        error
    }
}

/// How to resume after an interruption, which does not stop DynamoDB.
fn resume_hint(origin: &TableOrigin, table: &str) -> String {
    let elsewhere = match origin {
        TableOrigin::Backup { arn } => format!("{} {arn}", Field::BackupArn),
        TableOrigin::PointInTime { at, .. } => {
            let at = at.map(|at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
            let source = origin.table_name().unwrap_or_default();
            format!(
                "{} {source} {} {}",
                Field::FromTables,
                Field::PointInTime,
                at.as_deref().unwrap_or("latest")
            )
        }
    };

    format!(
        "what DynamoDB has started continues without this command; to wait for it and to apply the settings, run the same command \
         again, or on any machine: restoredb {elsewhere} {} {table}",
        Field::Table
    )
}

/// Restores the table from its origin, which exists, once this backup is available.
async fn restore_table(
    table: &TargetTable<'_>,
    mut plan: RestorePlan,
    mut journal: Journal,
    restore: &BackupRestore,
    backup: Option<TableBackup>,
) -> Result<RestoreSummary> {
    // Before a table is deleted for it.
    if let Some(backup) = backup {
        let wait = BackupWait {
            store: table.store.reader(),
            reporter: table.reporter,
            cancel: table.cancel,
        };
        wait.until_available(backup).await?;
    }

    refuse_recreated(table, &plan, restore).await?;

    let origin = plan.restored_from.as_ref();
    let request = origin.and_then(|origin| restore.request(origin, table.name));
    let outcome = request_table(table, &plan, &mut journal, request.as_ref()).await?;
    let active = table.wait_until_restored().await?;
    if plan.action.creates() {
        plan.lock_created(&active, &journal)?;
        let id = table_id(&active);
        journal.commit(|job| job.table_id = id).await?;
    }

    let settings = missing_settings(table, &plan.prepared.request, restore, &active).await?;
    let mut applier = SettingsApplier::new(table);
    applier.active_table = Some(active);
    for (calls, when) in [
        (&settings.before, When::Before),
        (&settings.indexing, When::Indexing),
        (&settings.after, When::After),
    ] {
        applier.apply_all(calls, when).await?;
    }

    applier.confirm().await?;
    applier.check_not_recreated().await?;
    let mut outcomes = applier.outcomes;
    let choice = &plan.prepared.request.settings;
    let skipped = settings.skipped.into_iter();
    outcomes.extend(skipped.map(|skipped| SettingOutcome::skipped(skipped, choice)));
    plan.end_journal(&mut journal, outcome, false).await?;

    Ok(summary(plan, outcome, outcomes))
}

/// Refuses to replace another table than the planned one: the backup may have taken hours.
async fn refuse_recreated(
    table: &TargetTable<'_>,
    plan: &RestorePlan,
    restore: &BackupRestore,
) -> Result<()> {
    if !matches!(plan.action, TableAction::Replace { .. }) {
        return Ok(());
    }

    let describing = table.store.reader().describe(table.name);
    let found = until_cancelled(
        table.cancel,
        || wait_interrupted(table.name, "described"),
        describing,
    )
    .await?;
    let is_other = |found: &TableSchema| table_id(found) != restore.replaced_id;
    if found.as_ref().is_some_and(is_other) {
        return Err(recreated::recreated_error(table.name));
    }

    Ok(())
}

/// Requests the table, unless an interrupted run has done so.
async fn request_table(
    table: &TargetTable<'_>,
    plan: &RestorePlan,
    journal: &mut Journal,
    request: Option<&RestoreTable>,
) -> Result<TableOutcome> {
    let Some(request) = request else {
        return Ok(TableOutcome::AddedTo);
    };

    plan.commit_start(journal, None).await?;
    match table.restore(&plan.action, request).await {
        Ok(outcome) => Ok(outcome),
        Err(error) => Err(plan
            .creation_failed(table.store, journal, error, table.cancel)
            .await),
    }
}

/// The settings that the restored table lacks: DynamoDB restores few of them, and some engines ignore overrides.
async fn missing_settings(
    table: &TargetTable<'_>,
    request: &RestoreRequest,
    restore: &BackupRestore,
    active: &TableSchema,
) -> Result<Settings> {
    let reader = table.store.reader();
    let reading = async {
        let sections = reader.capture(active, &Section::all()).await;
        let restored = active.clone().with_sections(sections);
        let settings = Settings::plan(
            request,
            &restore.wanted.with_key_types_of(active)?,
            Some(&restored),
            table.name,
            restore.same_table,
        )?;

        Ok(settings
            .without_unsupported(reader, table.name, &request.settings)
            .await)
    };

    until_cancelled(
        table.cancel,
        || wait_interrupted(table.name, "described"),
        reading,
    )
    .await
}

fn summary(
    plan: RestorePlan,
    outcome: TableOutcome,
    settings: Vec<SettingOutcome>,
) -> RestoreSummary {
    let not_restored = plan.not_restored.iter();
    let not_restored = not_restored
        .map(|setting| format!("{}: {}", setting.setting, setting.reason))
        .collect();

    RestoreSummary {
        source_noun: plan.source.noun(),
        restored_from: plan.restored_from,
        settings,
        not_restored,
        ..RestoreSummary::of_table(plan.source.path, plan.target, outcome)
    }
}
