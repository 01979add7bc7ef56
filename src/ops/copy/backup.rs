//! The on-demand backup of a copy: DynamoDB makes it, and restores the target from it.
//!
//! It has a journal of its own in the state directory, by source and target, until the target is complete: a resumed copy finds the
//! backup there. What happens to the target is in the target's journal, as for any restore.

use std::path::Path;

use super::SourceStore;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::ops::account_region::{AccountRegion, restored_elsewhere};
use crate::ops::identity::{StateKey, is_same_server};
use crate::ops::journal::{BackupJob, Job};
use crate::ops::on_demand_backup::choose_backup;
use crate::ops::planned_backup::PlannedBackup;
use crate::ops::prices::Prices;
use crate::ops::restore::RestoreRequest;
use crate::ops::source::ScannedTable;
use crate::ops::table_location::TableLocation;
use crate::place::JournalFile;
use crate::schema::TableBackup;
use crate::store::Reader;

/// Plans the backup of a copy, if that is its route.
///
/// # Errors
/// The target is in another account or region, or the endpoint has no backups; the journal cannot be read; those of
/// [`choose_backup`].
pub(crate) async fn plan_backup(
    source: SourceStore<'_>,
    table: &ScannedTable,
    (store, environment): (&Reader, &Environment),
    request: &RestoreRequest,
) -> Result<Option<PlannedBackup>> {
    let Some(route) = request.route.backup() else {
        return Ok(None);
    };

    let name = &table.location.table;
    let target = request.table.as_deref().unwrap_or(name);
    let target = TableLocation::find(store, environment, target, None).await;
    check_place(source, &table.location, environment, &target).await?;
    if !source.store.has_backups(name).await {
        return Err(without_backups(&table.location));
    }

    let journal = match request.state_dir.as_deref() {
        Some(dir) => {
            let source_key = StateKey::new(source.environment, &table.location).await;
            let target_key = StateKey::new(environment, &target).await;
            Some(journal_file(dir, &source_key, &target_key))
        }
        None => None,
    };
    let interrupted = match &journal {
        Some(journal) => interrupted_backup(journal)?,
        None => None,
    };
    let resumes = request.resume || request.existing.implies_resume();
    let planned = match (&route.arn, &interrupted) {
        (None, Some(job)) if resumes && job.arn.is_some() => requested(source.store, job).await?,
        _ => choose_backup(source.store, route, name, interrupted, resumes).await?,
    };

    let bytes = table.schema.description().table_size_bytes.unwrap_or(0);
    Ok(Some(PlannedBackup {
        storage_per_month: Prices::of(&table.location, &table.schema).backup_storage(bytes),
        deleted_afterwards: route.delete_afterwards,
        journal,
        ..planned
    }))
}

/// The backup of a copy that is resumed. If it was deleted, the copy was complete, or cannot be resumed: the plan finds out.
async fn requested(store: &Reader, job: &BackupJob) -> Result<PlannedBackup> {
    let arn = job.arn.clone().unwrap_or_default();
    let found = store.describe_backup(&arn).await?;

    Ok(PlannedBackup::existing(found.unwrap_or(TableBackup {
        arn,
        name: job.name.clone(),
        table: Some(job.table.clone()),
        status: None,
        created_at: None,
        bytes: None,
    })))
}

/// Refuses a target to which DynamoDB does not restore backups of the source.
async fn check_place(
    source: SourceStore<'_>,
    from: &TableLocation,
    environment: &Environment,
    to: &TableLocation,
) -> Result<()> {
    let differs = AccountRegion::of(from).differs_from(AccountRegion::of(to));
    let is_same = is_same_server(source.environment.endpoint(), environment.endpoint()).await;
    if is_same && !differs {
        return Ok(());
    }

    let error = restored_elsewhere("the source", &from.location(), &to.location());
    Err(error.with_hint(format!(
        "omit {}, or read the items with {} scan",
        Field::TargetEnvironment,
        Field::Route
    )))
}

fn without_backups(location: &TableLocation) -> Error {
    Error::usage(format!(
        "the endpoint of {} has no on-demand backups: {}",
        location.environment,
        location.location()
    ))
    .with_hint(format!("read the items with {} scan", Field::Route))
}

fn journal_file(state_dir: &Path, source: &StateKey, target: &StateKey) -> JournalFile {
    let hash = xxhash_rust::xxh3::xxh3_128(format!("{source}\n{target}").as_bytes());
    JournalFile::in_state_dir(state_dir, &format!("backup-{hash:032x}"))
}

/// The record of an interrupted copy between the same tables.
fn interrupted_backup(journal: &JournalFile) -> Result<Option<BackupJob>> {
    if journal.holder().is_some() {
        return Ok(None);
    }

    let unreadable = || {
        let path = journal.existing_path().unwrap_or(Path::new("?"));
        Error::failed(format!(
            "the journal `{}` of an interrupted copy cannot be read",
            path.display()
        ))
        .with_hint(
            "delete it to start over; `aws dynamodb list-backups` lists the backups that exist",
        )
    };
    let content = journal.read();
    let Some(content) = content.map_err(|error| unreadable().with_source(error))? else {
        return Ok(None);
    };

    match Job::parse(&content).map_err(|error| unreadable().with_source(error))? {
        Job::Backup(job) => Ok(Some(*job)),
        Job::Dump(_) | Job::Restore(_) => Err(unreadable()),
    }
}
