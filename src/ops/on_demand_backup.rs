//! The on-demand backup of a dump or a copy: which one is used, and the journal of its request.
//!
//! The backup belongs to DynamoDB from the moment of the request: an interruption does not end it. Its name is in the journal before
//! the request, and its ARN after it, so that a later run finds it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::journal::{BackupJob, Job};
use super::managed_backups::backup_not_found;
use super::planned_backup::PlannedBackup;
use super::route::BackupRoute;
use super::run_blocking;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::place::LockedJournal;
use crate::schema::{TableBackup, check_backup_name};
use crate::store::Reader;

/// The backup for `table`: the one that the route names, otherwise that of the `interrupted` job if it is resumed, otherwise a new
/// one.
///
/// # Errors
/// The name is not valid; the backup to use does not exist, or is of another table.
pub(crate) async fn choose_backup(
    store: &Reader,
    route: &BackupRoute,
    table: &str,
    interrupted: Option<BackupJob>,
    resumes: bool,
) -> Result<PlannedBackup> {
    if let Some(arn) = &route.arn {
        return use_existing(store, arn, table).await;
    }

    if resumes
        && let Some(job) = &interrupted
        && let Some(found) = find_requested(store, job).await?
    {
        return Ok(PlannedBackup::existing(found));
    }

    let name = backup_name(route, table, Utc::now());
    check_backup_name(&name)?;

    Ok(PlannedBackup {
        name,
        existing: None,
        storage_per_month: None,
        interrupted: interrupted.filter(|_| !resumes).map(|job| job.name),
        deleted_afterwards: false,
        journal: None,
    })
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

    Ok(PlannedBackup::existing(backup))
}

/// The backup that an interrupted run requested: by its ARN, or by its name if the response was lost.
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

/// The journal of the request for a backup.
pub(crate) struct BackupJournal {
    /// `None` without a place for a journal.
    file: Option<Arc<LockedJournal>>,
    job: BackupJob,
}

impl BackupJournal {
    pub(crate) fn new(file: Option<Arc<LockedJournal>>, table: &str, backup: &str) -> Self {
        Self {
            file,
            job: BackupJob {
                table: table.to_owned(),
                name: backup.to_owned(),
                requested_at: Utc::now(),
                arn: None,
            },
        }
    }

    /// The planned backup: requests it unless it exists. Its name is durable before the request, its ARN on return.
    pub(crate) async fn request(
        &mut self,
        store: &Reader,
        planned: &PlannedBackup,
    ) -> Result<TableBackup> {
        let backup = if let Some(existing) = &planned.existing {
            existing.clone()
        } else {
            self.write().await?;
            store.create_backup(&self.job.table, &self.job.name).await?
        };

        self.job.arn = Some(backup.arn.clone());
        self.write().await?;

        Ok(backup)
    }

    /// Removes the journal once the backup is not needed any more.
    pub(crate) async fn remove(&self) -> Result<()> {
        match self.file.clone() {
            Some(file) => run_blocking("removing the journal", move || file.remove()).await,
            None => Ok(()),
        }
    }

    async fn write(&self) -> Result<()> {
        let Some(file) = self.file.clone() else {
            return Ok(());
        };

        let content = Job::Backup(Box::new(self.job.clone())).to_content()?;
        run_blocking("writing the journal", move || file.write(&content)).await
    }
}
