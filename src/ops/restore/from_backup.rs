//! A restore that DynamoDB carries out: from an on-demand backup, or to a point in time. DynamoDB creates the table and its items; what
//! it does not restore (TTL, tags, stream, scaling, …) comes from the source's schema afterwards, as for an existing table.
//!
//! An interruption does not stop DynamoDB: a later run waits for the table and applies the settings.

use std::sync::Arc;
use std::time::Instant;

use chrono::SecondsFormat;
use tokio_util::sync::CancellationToken;

use super::apply_settings::SettingsApplier;
use super::backup_origin::BackupRestore;
use super::plan::RestorePlan;
use super::settings::Settings;
use super::table::{TargetTable, wait_interrupted};
use super::{RestoreRequest, RestoreSummary, SettingOutcome, TableOutcome, When};
use crate::error::{ErrorKind, Result};
use crate::event::Reporter;
use crate::field::Field;
use crate::ops::backup_wait::BackupWait;
use crate::ops::identity::table_id;
use crate::ops::journal::Journal;
use crate::ops::until_cancelled;
use crate::schema::{Section, TableOrigin, TableSchema};
use crate::store::Writer;

/// Executes the plan of a restore that DynamoDB carries out.
///
/// # Errors
/// The backup or the table cannot be used; DynamoDB refuses the request; interrupted.
pub(crate) async fn run(
    store: &Writer,
    plan: RestorePlan,
    restore: BackupRestore,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Result<RestoreSummary> {
    let hint = resume_hint(&restore.origin, &plan.target.table);
    let running = run_to_end(store, plan, restore, reporter, cancel);

    Box::pin(running).await.map_err(|error| {
        if error.kind() == ErrorKind::Interrupted {
            error.with_hint(hint)
        } else {
            error
        }
    })
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

async fn run_to_end(
    store: &Writer,
    mut plan: RestorePlan,
    restore: BackupRestore,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Result<RestoreSummary> {
    let started = Instant::now();
    let mut journal = plan.open_journal(&reporter)?;
    let table_name = plan.target.table.clone();
    let table = TargetTable {
        store,
        name: &table_name,
        reporter: reporter.as_ref(),
        cancel: &cancel,
    };

    // Before a table is deleted for it.
    if let Some(backup) = &restore.backup {
        let wait = BackupWait {
            store: store.reader(),
            reporter: reporter.as_ref(),
            cancel: &cancel,
        };
        wait.until_available(backup.clone()).await?;
    }

    let outcome = request_table(&table, &plan, &mut journal, &restore).await?;
    let active = table.wait_until_restored().await?;
    if plan.action.creates() {
        plan.lock_created(&active, &journal)?;
        let id = table_id(&active);
        journal.commit(|job| job.table_id = id).await?;
    }

    let settings = missing_settings(&table, &plan.prepared.request, &restore, &active).await?;
    let mut applier = SettingsApplier::new(&table);
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

    Ok(summary(plan, restore, outcome, outcomes, started))
}

/// Requests the table, unless an interrupted run has done so.
async fn request_table(
    table: &TargetTable<'_>,
    plan: &RestorePlan,
    journal: &mut Journal,
    restore: &BackupRestore,
) -> Result<TableOutcome> {
    let Some(request) = &restore.request else {
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
    restore: BackupRestore,
    outcome: TableOutcome,
    settings: Vec<SettingOutcome>,
    started: Instant,
) -> RestoreSummary {
    let not_restored = plan.not_restored.iter();
    let not_restored = not_restored
        .map(|setting| format!("{}: {}", setting.setting, setting.reason))
        .collect();

    RestoreSummary {
        source_noun: plan.source.noun(),
        restored_from: Some(restore.origin),
        settings,
        not_restored,
        seconds: started.elapsed().as_secs_f64(),
        ..RestoreSummary::of_table(plan.source.path, plan.target, outcome)
    }
}
