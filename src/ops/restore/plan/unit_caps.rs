//! Limits of the units per second that a restore consumes.

use super::reconcile::Reconciliation;
use super::target_state::TargetState;
use crate::error::Result;
use crate::ops::cap::AppliedCap;
use crate::ops::capacity::Direction;
use crate::ops::restore::table_items::has_items;
use crate::ops::restore::{RestoreRequest, TableAction};
use crate::store::Reader;

/// Limits of consumed units per second; `None` for no limit.
pub(crate) struct UnitCaps {
    pub(crate) write: Option<AppliedCap>,
    /// Applies to items that conflict, and while all items are read back.
    pub(crate) read: Option<AppliedCap>,
}

impl UnitCaps {
    /// Resolves the requested limits; percentages refer to the existing table, or to the wanted schema if it is replaced or created.
    /// Without them, a protected table that held items before gets the default ones: others may be using it.
    ///
    /// # Errors
    /// A percentage of a capacity that is not known.
    pub(crate) fn resolve(
        request: &RestoreRequest,
        state: &TargetState,
        reconciliation: &Reconciliation,
    ) -> Result<Self> {
        let kept = state.existing.as_ref().filter(|_| !state.action.creates());
        let table = kept.or(reconciliation.wanted_schema());
        let is_added_to = matches!(state.action, TableAction::Add { .. });
        let is_used_by_others = is_added_to && !state.is_own && !state.was_empty;
        let has_default =
            state.place.protected && is_used_by_others && request.content.includes_items();
        let resolve = |cap, direction| AppliedCap::new(cap, has_default, table, direction);

        let write = resolve(request.max_write_units, Direction::Write)?;
        let boost = reconciliation.boost.as_ref().zip(table);
        let write = match (write, boost) {
            (Some(cap), Some((boost, table))) => Some(cap.with_boost(table, &boost.boosted)),
            (cap, _) => cap,
        };

        Ok(Self {
            write,
            read: resolve(request.max_read_units, Direction::Read)?,
        })
    }
}

/// Whether a table in a protected environment exists and held no items before the restore, nor before the unfinished ones that it
/// follows.
pub(crate) async fn was_empty(store: &Reader, state: &TargetState) -> bool {
    let (TableAction::Add { items }, Some(existing)) = (&state.action, &state.existing) else {
        return false;
    };

    match &state.unfinished {
        _ if !state.place.protected => false,
        Some(job) => job.was_empty,
        // `--if-empty` has looked.
        None if state.was_empty => true,
        // DynamoDB counts the items about every six hours. Without permission to look, assume that there are some.
        None => {
            *items == 0
                && has_items(store, existing, &state.place.table)
                    .await
                    .is_ok_and(|has_items| !has_items)
        }
    }
}
