//! The plan of a restore that DynamoDB carries out: where the table comes from, and whether it can be restored here.

use super::reconcile::Reconciliation;
use super::target_state::TargetState;
use super::{RestoreRequest, TableAction};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::ops::ContentScope;
use crate::ops::backup_wait::backup_not_found;
use crate::ops::identity::AccountRegion;
use crate::ops::source::ItemSource;
use crate::schema::{RestoreTable, TableBackup, TableOrigin, TableSchema};
use crate::store::Reader;

/// A table that DynamoDB restores.
#[derive(Debug)]
pub(crate) struct BackupRestore {
    pub(crate) origin: TableOrigin,
    /// The backup, if the origin is one.
    pub(crate) backup: Option<TableBackup>,
    /// `None` if an interrupted run has made the request.
    pub(crate) request: Option<RestoreTable>,
    /// The schema that the table will have.
    pub(crate) wanted: TableSchema,
    /// Whether the table takes the place of the one in the backup.
    pub(crate) same_table: bool,
}

/// What DynamoDB restores the table from, if the source has no items of its own. They are then no part of the request.
///
/// # Errors
/// [`Usage`](crate::error::ErrorKind::Usage): an option that DynamoDB's own restore does not support.
pub(crate) fn take_origin(
    request: &mut RestoreRequest,
    source: &ItemSource,
) -> Result<Option<TableOrigin>> {
    let Some(backup) = source.backup() else {
        return Ok(None);
    };

    check_request(request)?;
    request.content = ContentScope::SchemaOnly;

    Ok(Some(TableOrigin::Backup {
        arn: backup.arn.clone(),
    }))
}

fn check_request(request: &RestoreRequest) -> Result<()> {
    let unsupported = [
        (Field::Filter, !request.transform.is_empty()),
        (Field::DataOnly, !request.content.includes_schema()),
        (Field::SchemaOnly, !request.content.includes_items()),
        (Field::NoCreate, !request.create),
        (Field::Salvage, request.salvage),
    ];
    let Some((field, _)) = unsupported.iter().find(|(_, is_given)| *is_given) else {
        return Ok(());
    };

    Err(Error::usage(format!(
        "{field} cannot be combined with a backup: DynamoDB restores the whole table as it was"
    ))
    .with_hint("omit it, or restore a dump that contains the items"))
}

/// Refuses a target that DynamoDB cannot restore into.
///
/// # Errors
/// [`Usage`](crate::error::ErrorKind::Usage): the table exists and stays, or is in another account or region than the backup.
pub(crate) fn check_target(origin: Option<&TableOrigin>, state: &mut TargetState) -> Result<()> {
    let Some(origin) = origin else {
        return Ok(());
    };

    let from = AccountRegion {
        account: origin.account(),
        region: origin.region(),
    };
    let to = AccountRegion {
        account: state.place.account.as_deref(),
        region: state.place.region.as_deref(),
    };
    if !state.place.local && from.differs_from(to) {
        return Err(Error::usage(format!(
            "the backup is in {from}, the target in {to}: DynamoDB restores a backup only where it is"
        ))
        .with_hint("restore it there, dump the restored table, and restore that dump"));
    }

    // The request of an interrupted run, perhaps on another machine.
    let is_being_restored = state.existing.as_ref().is_some_and(|existing| {
        existing.is_restored_from(origin.arn()) && existing.is_being_restored()
    });
    if is_being_restored && !state.action.creates() {
        state.is_own = true;
        state.action = TableAction::Add { items: 0 };
    }

    if matches!(state.action, TableAction::Add { .. }) && !state.is_own {
        return Err(Error::usage(format!(
            "table {} exists, and DynamoDB restores a backup only into a new table",
            state.place.table
        ))
        .with_hint(format!(
            "pass another name as {}, or {} to delete the table first",
            Field::Table,
            Field::ReplaceExisting
        )));
    }

    Ok(())
}

impl BackupRestore {
    /// Plans the restore of `origin`.
    ///
    /// # Errors
    /// The backup does not exist.
    pub(crate) async fn plan(
        store: &Reader,
        origin: Option<TableOrigin>,
        source: &ItemSource,
        reconciliation: &Reconciliation,
        target: &TargetState,
    ) -> Result<Option<Self>> {
        let Some(origin) = origin.filter(|_| !target.action.keeps()) else {
            return Ok(None);
        };
        let (Some(schema), Some(wanted)) = (source.schema(), &reconciliation.wanted) else {
            return Err(Error::damaged("the dump of a backup has no schema")
                .with_hint("restore the backup with another copy of the dump"));
        };

        let backup = match &origin {
            TableOrigin::Backup { arn } => {
                let found = store.describe_backup(arn).await?;
                Some(found.ok_or_else(|| backup_not_found(arn))?)
            }
            TableOrigin::PointInTime { .. } => None,
        };
        let create = reconciliation.settings.create.as_ref();

        Ok(Some(Self {
            request: create.map(|create| origin.restore(&target.place.table, create, schema)),
            origin,
            backup,
            wanted: wanted.schema.clone(),
            same_table: reconciliation.same_table,
        }))
    }
}
