//! What is found at the target: the table, what an earlier restore has left, and what follows from both for the table.

use std::sync::Arc;

use super::boost::Left;
use super::marker::{Mark, Marker, Wrote};
use super::plan::TableAction;
use super::resume::{self, Taken};
use super::{ExistingTable, RestoreRequest};
use crate::backup::Source;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::ops::table_location::TableLocation;
use crate::schema::TableSchema;
use crate::store::{ReadStore, ScanRequest};

/// What stands already, what an earlier run has left, and what follows from that for the table.
pub(crate) struct Standing {
    /// The table, without the boost of an earlier run.
    pub(crate) existing: Option<TableSchema>,
    pub(crate) left: Option<Left>,
    pub(crate) marker: Option<Marker>,
    pub(crate) mark: Option<Mark>,
    pub(crate) taken: Taken,
    pub(crate) action: TableAction,
    /// Whether the table is this restore's own; see `Own::created`.
    pub(crate) is_own: bool,
}

impl Standing {
    pub(crate) async fn look(
        store: &impl ReadStore,
        environment: &Environment,
        request: &RestoreRequest,
        source: Source,
        table: &str,
    ) -> Result<(Source, Self)> {
        let (existing, deleting) = match store.describe(table).await? {
            Some(found) if found.is_being_deleted() => (None, true),
            found => (found, false),
        };
        let marker = request
            .state_dir
            .as_deref()
            .map(|dir| Marker::of(dir, environment, table));
        marker.as_ref().map_or(Ok(()), Marker::refuse_if_held)?;
        let read = marker
            .as_ref()
            .filter(|_| existing.is_some())
            .map_or(Ok(None), Marker::read)?;
        let unfinished = marker.as_ref().filter(|_| read.is_some());
        let mark = of_this_table(store, existing.as_ref(), table, read).await?;
        let target = TableLocation::new(environment, table, store.credentials());
        let (source, found) = resume::look(
            unfinished,
            mark.as_ref(),
            source,
            request,
            &target,
            existing.as_ref(),
        )
        .await?;

        let taken = Taken::of(request, found)?;
        let (existing, left) = without_boost(existing, marker.as_ref(), mark.as_ref())?;
        let created = mark.as_ref().filter(|mark| mark.created);
        let action = match action(
            request,
            existing.as_ref(),
            created.is_some(),
            taken.checkpoint.is_some(),
        )? {
            TableAction::Create if deleting => TableAction::CreateWhenDeleted,
            action => action,
        };

        if let (TableAction::Add { .. }, Some(stuck)) =
            (&action, existing.as_ref().filter(|table| table.is_stuck()))
        {
            return Err(super::table::stuck(table, stuck));
        }

        if action != TableAction::Keep && request.content.includes_items() {
            source.check_has_items()?;
        }

        if let Some(mark) =
            created.filter(|_| request.existing == ExistingTable::Keep && taken.is_other)
        {
            return Err(another_dump(table, mark, taken.why_not.as_deref()));
        }

        let is_own = action.creates() || created.is_some();
        Ok((
            source,
            Self {
                existing,
                left,
                marker,
                mark,
                taken,
                action,
                is_own,
            },
        ))
    }
}

/// The marker's contents, if they are about this very table. A restore records the id of a table that it created before it writes
/// the first item: a table with items that is not recorded was created by somebody else.
async fn of_this_table(
    store: &impl ReadStore,
    existing: Option<&TableSchema>,
    table: &str,
    read: Option<Mark>,
) -> Result<Option<Mark>> {
    let (Some(existing), Some(mark)) = (existing, read) else {
        return Ok(None);
    };

    let is_of_this = mark.is_of(existing)
        && (!mark.created
            || mark.table_id.is_some()
            || has_no_item(store, existing, table).await?);
    Ok(is_of_this.then_some(mark))
}

async fn has_no_item(store: &impl ReadStore, existing: &TableSchema, table: &str) -> Result<bool> {
    if existing.description().table_status.as_deref() == Some("CREATING") {
        return Ok(true);
    }

    let request = ScanRequest {
        table: table.to_owned(),
        segment: 0,
        total_segments: 1,
        consistent_read: true,
        limit: Some(1),
        start: None,
        selection: Arc::default(),
        key: Arc::new(existing.key_schema()?),
        previous_keys: Arc::default(),
    };

    Ok(store.scan(&request).await?.items.is_empty())
}

/// The failure of `--if-missing` for a table that an interrupted restore of other items created.
fn another_dump(table: &str, mark: &Mark, reason: Option<&str>) -> Error {
    let source = if mark.source.is_empty() {
        "an unknown source"
    } else {
        &mark.source
    };

    let reason = reason.unwrap_or("it was of another dump");
    let again = match &mark.wrote {
        Wrote::ItemsOf(_) => {
            format!("to finish it, restore {source} again, with the options it had and --resume; ")
        }
        Wrote::Nothing | Wrote::Unknown => String::new(),
    };

    Error::failed(format!(
        "table {table} was created by a restore of {source} that did not end; {reason}"
    ))
    .with_hint(format!(
        "{again}to start over with this source, pass --replace instead of --if-missing"
    ))
}

/// The table as it is without the boost that an earlier run left on it, and that boost.
fn without_boost(
    existing: Option<TableSchema>,
    marker: Option<&Marker>,
    mark: Option<&Mark>,
) -> Result<(Option<TableSchema>, Option<Left>)> {
    let boost = marker.zip(mark.and_then(|mark| mark.boost.as_ref()));
    let left = match (&existing, boost) {
        (Some(existing), Some((marker, boost))) => {
            Left::on(existing, boost).map_err(|error| marker.unreadable().with_source(error))?
        }
        _ => None,
    };

    let existing = match (&left, existing) {
        (Some(left), Some(existing)) => Some(left.taken_from(&existing)?),
        (_, existing) => existing,
    };

    Ok((existing, left))
}

/// A table that an interrupted restore is taken up in is not deleted: it is the one that was made for it.
fn action(
    request: &RestoreRequest,
    existing: Option<&TableSchema>,
    unfinished: bool,
    resumes: bool,
) -> Result<TableAction> {
    let Some(table) = existing else {
        return Ok(TableAction::Create);
    };

    let items = table.description().item_count.unwrap_or(0);
    match request.existing {
        ExistingTable::Keep if !unfinished => Ok(TableAction::Keep),
        ExistingTable::Add | ExistingTable::Keep => Ok(TableAction::Add { items }),
        ExistingTable::Replace if resumes => Ok(TableAction::Add { items }),
        ExistingTable::Replace if table.description().is_deletion_protected() => Err(Error::usage(
            "the target table has deletion protection, so it cannot be replaced",
        )
        .with_hint("lift it yourself if you are sure: `aws dynamodb update-table --no-deletion-protection-enabled`")),
        ExistingTable::Replace => Ok(TableAction::Replace { items }),
    }
}
