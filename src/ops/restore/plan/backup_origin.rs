//! The plan of a restore that DynamoDB carries out: where the table comes from, and whether it can be restored here.

use chrono::SecondsFormat;

use super::origin::Origin;
use super::reconcile::Reconciliation;
use super::target_state::TargetState;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::ops::ContentScope;
use crate::ops::identity::table_id;
use crate::ops::managed_backups::backup_not_found;
use crate::ops::restore::{ExistingTable, RestoreRequest, TableAction};
use crate::ops::source::{ItemSource, refuse_other_place};
use crate::schema::{CreateTable, RestoreTable, TableBackup, TableOrigin, TableSchema};
use crate::store::Reader;

/// A table that DynamoDB restores.
#[derive(Debug)]
pub(crate) struct BackupRestore {
    pub(crate) origin: Origin,
    /// The backup, if the origin is one that exists and is still needed.
    pub(crate) backup: Option<TableBackup>,
    /// The table as it will be created; `None` if an interrupted run has made the request.
    pub(crate) create: Option<CreateTable>,
    /// The schema of the table in the backup.
    pub(crate) restored: TableSchema,
    /// The schema that the table will have.
    pub(crate) wanted: TableSchema,
    /// Whether the table takes the place of the one in the backup.
    pub(crate) same_table: bool,
    /// The ID of the table that is replaced.
    pub(crate) replaced_id: Option<String>,
}

/// What DynamoDB restores the table from, if the items are not read from the source. They are then no part of the request.
///
/// # Errors
/// [`Usage`](crate::error::ErrorKind::Usage): an option that DynamoDB's own restore does not support.
pub(crate) fn take_origin(
    request: &mut RestoreRequest,
    source: &ItemSource,
) -> Result<Option<Origin>> {
    let planned = source
        .planned_backup()
        .cloned()
        .map(Box::new)
        .map(Origin::Planned);
    let origin = planned.or_else(|| source.origin().map(Origin::Known));
    if origin.is_some() {
        check_request(request)?;
        request.content = ContentScope::SchemaOnly;
    }

    Ok(origin)
}

fn check_request(request: &RestoreRequest) -> Result<()> {
    let unsupported = [
        (Field::Filter, !request.transform.is_empty()),
        (Field::DataOnly, !request.content.includes_schema()),
        (Field::SchemaOnly, !request.content.includes_items()),
        (Field::NoCreate, !request.create),
        (Field::Salvage, request.salvage),
        (Field::Schema, request.schema.is_some()),
        (Field::KeySchema, request.overrides.key_schema.is_some()),
        (Field::DeleteExtra, request.delete_extra),
    ];
    let Some((field, _)) = unsupported.iter().find(|(_, is_given)| *is_given) else {
        return Ok(());
    };

    Err(Error::usage(format!(
        "{field} cannot be combined with a backup: DynamoDB restores the whole table as it was"
    ))
    .with_hint("omit it, or restore a dump that contains the items"))
}

/// The source with the settings that an interrupted restore of the same backup has recorded: it may have deleted the table that had
/// them.
///
/// # Errors
/// The journal cannot be read, or contains no schema.
fn with_recorded_settings(source: ItemSource, state: &TargetState) -> Result<ItemSource> {
    let (ItemSource::Backup(backup), Some(journal)) = (&source, &state.journal) else {
        return Ok(source);
    };

    // The journal may be about an earlier table of this name.
    if state.existing.is_some() && state.unfinished.is_none() {
        return Ok(source);
    }

    let job = journal.read()?;
    let job = job.filter(|job| job.backup_arn.as_deref() == Some(backup.origin.arn()));
    match job.and_then(|job| job.schema) {
        Some(schema) => Ok(ItemSource::Backup(backup.with_settings(&schema)?.into())),
        None => Ok(source),
    }
}

/// Refuses a target that DynamoDB cannot restore into. Returns the source with the settings that an interrupted restore has recorded.
///
/// # Errors
/// The target is in another account or region than the backup; the table exists and stays; it is being restored from something else;
/// it is the table whose earlier state is restored; the journal cannot be read.
pub(crate) fn check_target(
    origin: Option<&Origin>,
    request: &RestoreRequest,
    state: &TargetState,
    source: ItemSource,
) -> Result<ItemSource> {
    let Some(origin) = origin else {
        return Ok(source);
    };

    let known = origin.known();
    if let Some(known) = &known {
        refuse_other_place(known, &state.place)?;
    }

    check_existing(known.as_ref(), request, state)?;

    with_recorded_settings(source, state)
}

fn check_existing(
    known: Option<&TableOrigin>,
    request: &RestoreRequest,
    state: &TargetState,
) -> Result<()> {
    let Some(existing) = &state.existing else {
        return Ok(());
    };

    let is_own_past = known.is_some_and(|origin| {
        matches!(origin, TableOrigin::PointInTime { .. })
            && origin.table_name() == Some(&*state.place.table)
    });
    let is_of_other = known.is_some_and(|origin| existing.is_restored_from_other(origin));
    match state.action {
        TableAction::Replace { .. } if is_own_past => Err(own_past_would_be_deleted(state)),
        TableAction::Add { .. } if is_of_other && state.is_own => {
            Err(unfinished_from_other(existing, state))
        }
        TableAction::Add { .. } if !state.is_own => {
            Err(table_exists(&state.place.table, is_own_past, request))
        }
        _ => Ok(()),
    }
}

/// The earlier states of a table are lost with it: DynamoDB keeps only the last one, as a system backup.
fn own_past_would_be_deleted(state: &TargetState) -> Error {
    Error::usage(format!(
        "{} would delete table {}, and with it the earlier states from which it is restored",
        Field::ReplaceExisting,
        state.place.table
    ))
    .with_hint(format!(
        "restore it under another name with {}, check it, and replace the old table afterwards",
        Field::Table
    ))
}

fn unfinished_from_other(existing: &TableSchema, state: &TargetState) -> Error {
    let at = existing.restored_to().map(|at| {
        let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        format!(" ({} {at})", Field::PointInTime)
    });

    Error::failed(format!(
        "DynamoDB restores table {} from another backup, or to another time, for an earlier command",
        state.place.table
    ))
    .with_hint(format!(
        "name that backup or time again{} to resume, pass another name as {}, or {} to delete the table first",
        at.unwrap_or_default(),
        Field::Table,
        Field::ReplaceExisting
    ))
}

fn table_exists(table: &str, is_own_past: bool, request: &RestoreRequest) -> Error {
    let field = if request.is_copy() {
        Field::TargetTable
    } else {
        Field::Table
    };
    let error = Error::schema_mismatch(format!(
        "table {table} exists, and DynamoDB restores a backup only into a new table"
    ));
    let name = if request.existing == ExistingTable::Fill {
        format!("delete the empty table, or pass another name as {field}")
    } else {
        format!("pass another name as {field}")
    };

    if is_own_past {
        error.with_hint(name)
    } else {
        error.with_hint(format!(
            "{name}, or {} to delete the table first",
            Field::ReplaceExisting
        ))
    }
}

impl BackupRestore {
    /// Plans the restore of `origin`.
    ///
    /// # Errors
    /// The backup does not exist.
    pub(crate) async fn plan(
        store: &Reader,
        origin: Option<Origin>,
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

        let backup = match (source, origin.known()) {
            (ItemSource::Backup(backup), _) => backup.backup.clone(),
            // A table that is being restored does not need it any more.
            (_, Some(TableOrigin::Backup { arn })) if target.action.creates() => {
                match store.describe_backup(&arn).await? {
                    Some(found) => Some(found),
                    None => return Err(backup_not_found(store, &arn).await),
                }
            }
            _ => None,
        };

        Ok(Some(Self {
            create: reconciliation.settings.create.clone(),
            origin,
            backup,
            restored: schema.clone(),
            wanted: wanted.schema.clone(),
            same_table: reconciliation.same_table,
            replaced_id: target.existing.as_ref().and_then(table_id),
        }))
    }

    /// The request for the table; `None` if an interrupted run has made it.
    pub(crate) fn request(&self, origin: &TableOrigin, table: &str) -> Option<RestoreTable> {
        let create = self.create.as_ref()?;
        Some(origin.restore(table, create, &self.restored))
    }
}
