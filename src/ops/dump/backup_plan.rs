//! The plan of a dump whose data is an on-demand backup.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::DumpRequest;
use crate::backup::{DumpTarget, restart_hint};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::ops::Price;
use crate::ops::journal::{BackupJob, Job};
use crate::ops::managed_backups::backup_not_found;
use crate::ops::route::BackupRoute;
use crate::schema::{TableBackup, check_backup_name};
use crate::store::Reader;

/// The backup of a planned dump.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedBackup {
    /// Its name.
    pub name: String,
    /// The backup, if it exists already.
    pub existing: Option<TableBackup>,
    /// Price of its storage for a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_per_month: Option<Price>,
    /// A backup that an interrupted dump into the same target requested, and that this dump does not use.
    pub interrupted: Option<String>,
}

/// Plans the backup of a dump.
///
/// # Errors
/// The name is not valid; the backup to use does not exist, or is of another table.
pub(crate) async fn plan_backup(
    store: &Reader,
    request: &DumpRequest,
    table: &str,
    now: DateTime<Utc>,
) -> Result<Option<PlannedBackup>> {
    let Some(route) = request.route.backup() else {
        return Ok(None);
    };

    let interrupted = interrupted_backup(&request.target, request.state_dir.as_deref(), table)?;
    if let Some(arn) = &route.arn {
        return use_existing(store, arn, table).await.map(Some);
    }

    if request.resume
        && let Some(job) = &interrupted
        && let Some(found) = find_requested(store, job).await?
    {
        return Ok(Some(PlannedBackup {
            name: found.name.clone(),
            existing: Some(found),
            interrupted: None,
            storage_per_month: None,
        }));
    }

    let name = backup_name(route, table, now);
    check_backup_name(&name)?;

    Ok(Some(PlannedBackup {
        name,
        existing: None,
        interrupted: interrupted.map(|job| job.name),
        storage_per_month: None,
    }))
}

/// The requested name, or one with the table's name and the time.
fn backup_name(route: &BackupRoute, table: &str, now: DateTime<Utc>) -> String {
    const MAX_TABLE_CHARS: usize = 230;

    route.name.clone().unwrap_or_else(|| {
        let table: String = table.chars().take(MAX_TABLE_CHARS).collect();
        format!("{table}-{}", now.format("%Y%m%dT%H%M%SZ"))
    })
}

async fn use_existing(store: &Reader, arn: &str, table: &str) -> Result<PlannedBackup> {
    let Some(backup) = store.describe_backup(arn).await? else {
        return Err(backup_not_found(store, arn).await);
    };
    if backup.table.as_deref().is_some_and(|other| other != table) {
        return Err(Error::usage(format!(
            "backup {arn} is of table {}, not of {table}",
            backup.table.as_deref().unwrap_or_default()
        ))
        .with_hint(format!("pass the backup's table as {}", Field::Table)));
    }

    Ok(PlannedBackup {
        name: backup.name.clone(),
        existing: Some(backup),
        interrupted: None,
        storage_per_month: None,
    })
}

/// The record of an interrupted dump by backup of `table` into the same target.
fn interrupted_backup(
    target: &DumpTarget,
    state_dir: Option<&Path>,
    table: &str,
) -> Result<Option<BackupJob>> {
    let Some(journal) = target.journal(state_dir)? else {
        return Ok(None);
    };

    if journal.holder().is_some() {
        return Ok(None);
    }

    let restart = |error: Error| error.with_hint(restart_hint());
    let Some(content) = journal.read().map_err(restart)? else {
        return Ok(None);
    };

    match Job::parse(&content).map_err(restart)? {
        Job::Backup(job) if job.table == table => Ok(Some(*job)),
        _ => Ok(None),
    }
}

/// The backup that an interrupted dump requested: by its ARN, or by its name if the response was lost.
async fn find_requested(store: &Reader, job: &BackupJob) -> Result<Option<TableBackup>> {
    if let Some(arn) = &job.arn {
        return store.describe_backup(arn).await;
    }

    let backups = store.list_backups(Some(&job.table)).await?;
    let mut named = backups.into_iter().filter(|backup| {
        let is_newer = |created: DateTime<Utc>| created >= job.requested_at;
        backup.name == job.name && backup.created_at.is_none_or(is_newer)
    });

    Ok(named.next())
}
