//! The `UpdateTable` that gives an existing table another billing mode, capacity or upper bounds.
//!
//! DynamoDB refuses an update that changes nothing, so it holds only what differs; and it wants the capacity of every index
//! with the change from on-demand to provisioned.

use super::actions::update_table;
use super::name::{Setting, SettingCall};
use super::values::{Billing, PAY_PER_REQUEST, PROVISIONED};
use crate::schema::create::CapacityRequest;
use crate::schema::description::{Description, GlobalIndex, OnDemandThroughput};
use crate::schema::json_body::JsonBody;
use crate::schema::wording;

/// Value that removes an upper bound.
const NO_MAXIMUM: i64 = -1;

/// The call that changes the billing of `existing` to that of `wanted`; `None` if nothing differs.
pub(crate) fn call(
    wanted: &Description,
    table: &str,
    existing: &Description,
) -> Option<SettingCall> {
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
            Setting::Billing,
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
