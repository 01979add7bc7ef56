//! The `UpdateTable` that gives an existing table another billing mode, capacity or upper bounds.
//!
//! DynamoDB refuses an update that changes nothing, so it holds only what differs; and it wants the capacity of every index
//! with the change from on-demand to provisioned.

use serde::Serialize;

use super::actions::update_table;
use super::spec::{SettingActions, SettingCall, SettingSpec, SettingTarget, When};
use super::values::{Billing, Capacity, PAY_PER_REQUEST, PROVISIONED};
use crate::schema::TableSchema;
use crate::schema::description::{Description, GlobalIndex, OnDemandThroughput};
use crate::schema::document::known_fields::{KnownFields, plain};
use crate::schema::document::views::SectionView;
use crate::schema::json_body::JsonBody;
use crate::schema::wording;

pub(crate) static SPEC: SettingSpec = SettingSpec {
    is_choice: false,
    when: When::Indexing,
    table_fields: KnownFields {
        plain: &["BillingMode"],
        nested: &[
            (
                "BillingModeSummary",
                &plain(&["BillingMode", "LastUpdateToPayPerRequestDateTime"]),
            ),
            ("OnDemandThroughput", &ON_DEMAND_FIELDS),
            ("ProvisionedThroughput", &PROVISIONED_FIELDS),
            // Another name of the billing mode, used by some engines.
            (
                "TableThroughputModeSummary",
                &plain(&["LastUpdateToPayPerRequestDateTime", "TableThroughputMode"]),
            ),
        ],
    },
    ..SettingSpec::new("billing", "billing", words, actions)
};

pub(crate) const ON_DEMAND_FIELDS: KnownFields =
    plain(&["MaxReadRequestUnits", "MaxWriteRequestUnits"]);

pub(crate) const PROVISIONED_FIELDS: KnownFields = plain(&[
    "LastDecreaseDateTime",
    "LastIncreaseDateTime",
    "NumberOfDecreasesToday",
    "ReadCapacityUnits",
    "WriteCapacityUnits",
]);

/// Value that removes an upper bound.
const NO_MAXIMUM: i64 = -1;

/// Capacity in a request.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CapacityRequest {
    read_capacity_units: u64,
    write_capacity_units: u64,
}

impl From<Capacity> for CapacityRequest {
    fn from(capacity: Capacity) -> Self {
        Self {
            read_capacity_units: capacity.read,
            write_capacity_units: capacity.write,
        }
    }
}

impl TableSchema {
    /// The call that gives the existing table `table` this schema's billing mode, capacity and upper bounds, for itself and for
    /// the indexes that both have; `None` if nothing differs.
    #[must_use]
    pub fn billing_call(&self, table: &str, existing: &TableSchema) -> Option<SettingCall> {
        call(&self.description, table, &existing.description)
    }
}

fn words(schema: &TableSchema) -> SectionView<String> {
    SectionView::Value(wording::billing(&schema.description))
}

/// `CreateTable` sets the billing of a new table.
fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    let call = target
        .existing
        .and_then(|existing| schema.billing_call(target.table, existing));
    call.map(SettingActions::one).unwrap_or_default()
}

/// The call that changes the billing of `existing` to that of `wanted`; `None` if nothing differs.
fn call(wanted: &Description, table: &str, existing: &Description) -> Option<SettingCall> {
    let mut is_change = false;
    let mut body = JsonBody::for_table(table);
    let is_other_mode = wanted.is_provisioned() != existing.is_provisioned();
    if is_other_mode {
        is_change = true;
        body = body.with(
            "BillingMode",
            &if wanted.is_provisioned() {
                PROVISIONED
            } else {
                PAY_PER_REQUEST
            },
        );
    }

    if let Billing::Provisioned(capacity) = wanted.billing()
        && existing.billing() != wanted.billing()
    {
        is_change = true;
        body = body.with("ProvisionedThroughput", &CapacityRequest::from(capacity));
    }

    if let Some(maximum) = new_maximum(
        wanted,
        wanted.on_demand_maximum(),
        existing.on_demand_maximum(),
    ) {
        is_change = true;
        body = body.with("OnDemandThroughput", &maximum);
    }

    let updates = index_updates(wanted, existing);
    if !updates.is_empty() {
        is_change = true;
        body = body.with("GlobalSecondaryIndexUpdates", &updates);
    }

    is_change.then(|| {
        update_table(
            &SPEC,
            format!("billing {}", wording::billing(wanted)),
            &body,
        )
    })
}

/// Updates of the GSIs of `existing`.
fn index_updates(wanted: &Description, existing: &Description) -> Vec<JsonBody> {
    let updates = existing
        .global_secondary_indexes
        .iter()
        .filter_map(|index| {
            let same = wanted
                .global_secondary_indexes
                .iter()
                .find(|other| other.index_name == index.index_name);
            let capacity = match wanted.billing() {
                Billing::Provisioned(of_table) => match same {
                    Some(same) => wanted.index_capacity(same),
                    // An index that only the existing table has keeps its capacity; if the mode changes, it needs
                    // one and gets the table's.
                    None if existing.is_provisioned() => None,
                    None => Some(of_table),
                },
                Billing::OnDemand => None,
            };

            // DynamoDB refuses an update that changes nothing.
            let capacity =
                capacity.filter(|capacity| existing.index_capacity(index) != Some(*capacity));
            let maximum = same.and_then(|same| index_maximum(wanted, same, existing, index));
            (capacity.is_some() || maximum.is_some()).then(|| {
                let update = JsonBody::new()
                    .with("IndexName", &index.index_name)
                    .with_some(
                        "ProvisionedThroughput",
                        capacity.map(CapacityRequest::from).as_ref(),
                    )
                    .with_some("OnDemandThroughput", maximum.as_ref());

                JsonBody::new().with("Update", &update)
            })
        });

    updates.collect()
}

fn index_maximum(
    wanted: &Description,
    index: &GlobalIndex,
    existing: &Description,
    present: &GlobalIndex,
) -> Option<OnDemandThroughput> {
    new_maximum(
        wanted,
        wanted.index_on_demand_maximum(index),
        existing.index_on_demand_maximum(present),
    )
}

fn new_maximum(
    wanted: &Description,
    maximum: Option<OnDemandThroughput>,
    present: Option<OnDemandThroughput>,
) -> Option<OnDemandThroughput> {
    if wanted.is_provisioned() || maximum == present {
        return None;
    }

    // A bound that the request omits would stay, so it is removed explicitly.
    let maximum = maximum.unwrap_or_default();
    Some(OnDemandThroughput {
        max_read_request_units: maximum.max_read_request_units.or(Some(NO_MAXIMUM)),
        max_write_request_units: maximum.max_write_request_units.or(Some(NO_MAXIMUM)),
    })
}
