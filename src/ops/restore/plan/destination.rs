//! Where the items of a restore go: their keys, and what it costs to write them.

use super::reconcile::Reconciliation;
use super::source_facts::SourceFacts;
use super::target_state::TargetState;
use crate::error::Result;
use crate::item::KeySchema;
use crate::ops::cap::AppliedCap;
use crate::ops::cost::{WriteCost, WriteCostModel};
use crate::ops::prices::Prices;
use crate::ops::restore::RestoreRequest;
use crate::ops::source::ItemSource;
use crate::schema::TableSchema;

/// Keys and cost model of the items to write.
pub(crate) struct ItemDestination {
    /// The key of the items in the dump, if known.
    pub(crate) source_key: Option<KeySchema>,
    /// The key of the target table.
    pub(crate) key: Option<KeySchema>,
    pub(crate) cost_model: WriteCostModel,
}

impl ItemDestination {
    /// Also sets source and target key of the request's transform.
    pub(super) fn new(
        request: &mut RestoreRequest,
        source: &ItemSource,
        reconciliation: &Reconciliation,
        state: &TargetState,
    ) -> Result<Self> {
        let key = reconciliation.key.clone();
        let source_key = source.schema().and_then(|schema| schema.key_schema().ok());
        if let Some(target_key) = &key
            && !request.transform.is_empty()
        {
            let index_keys = reconciliation
                .resulting_table(state)
                .map(TableSchema::index_keys)
                .unwrap_or_default();
            let transform = std::mem::take(&mut request.transform);
            request.transform = transform.between_tables(
                source_key.as_ref().unwrap_or(target_key),
                target_key,
                &index_keys,
            )?;
        }

        Ok(Self {
            source_key,
            key,
            cost_model: WriteCostModel::default(),
        })
    }

    /// Upper bound of the write cost, if items are written, the dump says how many it has, and no transform changes them.
    pub(super) fn cost_at_most(
        &self,
        source: &SourceFacts,
        request: &RestoreRequest,
        state: &TargetState,
    ) -> Option<WriteCost> {
        let writes_items = !state.action.keeps() && request.content.includes_items();
        if !writes_items || !request.transform.is_empty() {
            return None;
        }

        let (items, bytes) = source.expected_items().zip(source.expected_bytes())?;
        Some(self.cost_model.upper_bound(items, bytes))
    }
}

/// The cost model of the table while items are written, including a boost.
pub(super) fn cost_model(
    reconciliation: &Reconciliation,
    state: &TargetState,
    write_cap: Option<&AppliedCap>,
) -> WriteCostModel {
    let boosted = reconciliation.boost.as_ref().map(|boost| &boost.boosted);
    let table = boosted.or_else(|| reconciliation.resulting_table(state));

    // A new table gets its replicas after the items.
    let existing = state.existing.as_ref().filter(|_| !state.action.creates());
    let replicas = existing.map_or(0, |table| table.replica_regions().len());
    let on_demand = table.filter(|table| !table.description().is_provisioned());

    table
        .map(WriteCostModel::new)
        .unwrap_or_default()
        .with_cap(write_cap.and_then(|cap| cap.units(boosted.is_some())))
        .with_may_overwrite(!state.action.creates())
        .with_replicas(replicas)
        .with_prices(on_demand.map(|table| Prices::of(&state.place, table)))
        .with_local(state.place.local)
}
