//! What is found at the target: the table, what an earlier restore has left, and what follows from both for the table.

use super::boost::Left;
use super::marker::{Mark, Marker};
use super::plan::TableAction;
use super::resume::{self, Taken};
use super::{ExistingTable, RestoreRequest};
use crate::backup::Source;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::schema::TableSchema;
use crate::store::ReadStore;

/// What stands already, what an earlier run has left, and what follows from that for the table.
pub(super) struct Standing {
    /// The table, without the boost of an earlier run.
    pub(super) existing: Option<TableSchema>,
    pub(super) left: Option<Left>,
    pub(super) marker: Option<Marker>,
    pub(super) mark: Option<Mark>,
    pub(super) taken: Taken,
    pub(super) action: TableAction,
    /// Whether the table is this restore's own; see [`Own::created`].
    pub(super) is_own: bool,
}

impl Standing {
    pub(super) async fn look(
        store: &impl ReadStore,
        environment: &Environment,
        request: &RestoreRequest,
        source: Source,
        table: &str,
    ) -> Result<(Source, Self)> {
        let existing = store.describe(table).await?;
        let marker = request.state_dir.as_deref().map(|dir| Marker::of(dir, environment, table));
        marker.as_ref().map_or(Ok(()), Marker::refuse_if_held)?;
        let mark = marker.as_ref().filter(|_| existing.is_some()).and_then(Marker::read);
        let is_of_this = existing.as_ref().zip(mark.as_ref()).is_some_and(|(table, mark)| mark.is_of(table));
        let mark = mark.map(|mark| if is_of_this { mark } else { Mark::default() });
        let unfinished = marker.as_ref().filter(|_| mark.is_some());
        let (source, found) = resume::look(unfinished, source, request, existing.as_ref()).await?;
        let taken = Taken::of(request, found)?;
        let (existing, left) = without_boost(existing, mark.as_ref())?;
        let action = action(request, existing.as_ref(), is_of_this, taken.checkpoint.is_some())?;
        if action != TableAction::Keep && request.content.data() {
            source.check_has_items()?;
        }
        let is_own = action.creates() || mark.as_ref().is_some_and(|mark| mark.created);
        Ok((source, Self { existing, left, marker, mark, taken, action, is_own }))
    }
}

/// The table as it is without the boost that an earlier run left on it, and that boost.
fn without_boost(existing: Option<TableSchema>, mark: Option<&Mark>) -> Result<(Option<TableSchema>, Option<Left>)> {
    let marked = mark.and_then(|mark| mark.boost.as_ref());
    let left = existing.as_ref().zip(marked).and_then(|(existing, marked)| Left::on(existing, marked));
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
    let Some(table) = existing else { return Ok(TableAction::Create) };
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
