//! The on-demand backups of an environment: listed, and found by name.

use serde::Serialize;

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::schema::{TableBackup, table_of_backup};
use crate::similar::did_you_mean;
use crate::store::Reader;

/// On-demand backups of an environment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BackupList {
    /// Name of the environment.
    pub environment: String,
    /// The backups by table, the latest first.
    pub backups: Vec<TableBackup>,
}

/// Lists the on-demand backups of `tables`; without any, of all tables. The tables need not exist.
///
/// # Errors
/// The endpoint cannot be reached, rejects the request, or has no backups.
pub async fn list(
    store: &Reader,
    environment: &Environment,
    tables: &[String],
) -> Result<BackupList> {
    let mut backups = Vec::new();
    for table in tables {
        backups.extend(store.list_backups(Some(table)).await?);
    }

    if tables.is_empty() {
        backups = store.list_backups(None).await?;
    }

    backups.sort_by(|a, b| {
        let by_table = a.table.cmp(&b.table);
        by_table.then_with(|| b.created_at.cmp(&a.created_at))
    });

    Ok(BackupList {
        environment: environment.name().to_owned(),
        backups,
    })
}

/// Finds a backup of a table: the latest with this name, or of all. One that is available comes before one that is not.
///
/// # Errors
/// There is none.
pub(crate) async fn find_backup(
    store: &Reader,
    environment: &Environment,
    table: &str,
    name: Option<&str>,
) -> Result<TableBackup> {
    let backups = store.list_backups(Some(table)).await?;
    let matching = backups.iter().filter(|backup| {
        let is_usable = backup.is_available() || backup.is_being_created();
        is_usable && name.is_none_or(|name| backup.name == name)
    });
    let found = matching.max_by_key(|backup| (backup.is_available(), backup.created_at));

    match (found, name) {
        (Some(found), _) => Ok(found.clone()),
        (None, Some(name)) if !backups.is_empty() => {
            let error = Error::not_found(format!("table {table} has no backup named {name}"));
            let names = backups.iter().map(|backup| &*backup.name);
            Err(error.with_hint(did_you_mean(name, names).unwrap_or_else(|| list_hint(table))))
        }
        (None, _) => Err(Error::not_found(format!(
            "table {table} of environment {} has no on-demand backup",
            environment.name()
        ))
        .with_hint(format!(
            "`restoredb {}` lists all backups; {} restores the table to a time if point-in-time recovery is on",
            Field::ListBackups,
            Field::PointInTime
        ))),
    }
}

/// The error for an ARN of a backup that does not exist. Its hint names the backups of the same table.
pub(crate) async fn backup_not_found(store: &Reader, arn: &str) -> Error {
    let error = Error::not_found(format!("backup {arn} does not exist"));
    let Some(table) = table_of_backup(arn) else {
        return error.with_hint(format!(
            "`restoredb {}` lists the backups of this account and region",
            Field::ListBackups
        ));
    };

    // Listing may be forbidden, which must not hide the actual error.
    let others = store.list_backups(Some(table)).await.unwrap_or_default();
    let similar = did_you_mean(arn, others.iter().map(|backup| &*backup.arn));
    error.with_hint(similar.unwrap_or_else(|| list_hint(table)))
}

fn list_hint(table: &str) -> String {
    format!(
        "`restoredb {} {} {table}` lists the backups of the table",
        Field::ListBackups,
        Field::FromTables
    )
}
