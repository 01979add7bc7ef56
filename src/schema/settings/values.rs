//! Billing and capacity as values, from a description (`BillingModeSummary`) or from a request (`BillingMode`).

use crate::error::{Error, Result};
use crate::schema::description::{
    AttributeDefinition, Description, GlobalIndex, KeyElement, OnDemandThroughput,
    ProvisionedThroughput,
};

pub(crate) const PROVISIONED: &str = "PROVISIONED";
pub(crate) const PAY_PER_REQUEST: &str = "PAY_PER_REQUEST";

/// Provisioned capacity; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// RCU.
    pub read: u64,
    /// WCU.
    pub write: u64,
}

/// Billing of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Billing {
    /// By provisioned capacity.
    Provisioned(Capacity),
    /// By request.
    OnDemand,
}

impl Description {
    /// Billing of the table. Without a stated mode, capacity decides: a table that never was on-demand has no stated mode.
    #[must_use]
    pub fn billing(&self) -> Billing {
        let stated = self.billing_mode_name();
        let capacity = self.provisioned_throughput.unwrap_or_default();
        let has_capacity = capacity.read_capacity_units.unwrap_or(0) > 0
            || capacity.write_capacity_units.unwrap_or(0) > 0;
        if stated == Some(PROVISIONED) || (stated.is_none() && has_capacity) {
            // An engine that states the mode without capacity must not make a request that DynamoDB refuses for its zeros.
            let at_least_one = |units: Option<u64>| units.unwrap_or(0).max(1);
            Billing::Provisioned(Capacity {
                read: at_least_one(capacity.read_capacity_units),
                write: at_least_one(capacity.write_capacity_units),
            })
        } else {
            Billing::OnDemand
        }
    }

    /// Whether the table is billed by provisioned capacity.
    #[must_use]
    pub fn is_provisioned(&self) -> bool {
        self.billing() != Billing::OnDemand
    }

    /// The billing mode as stated.
    pub(crate) fn billing_mode_name(&self) -> Option<&str> {
        let summary = self
            .billing_mode_summary
            .as_ref()
            .and_then(|summary| summary.billing_mode.as_deref());
        summary.or(self.billing_mode.as_deref())
    }

    /// The provisioned capacity of `index`; `None` when the table is on-demand. An index without its own uses the table's.
    #[must_use]
    pub fn index_capacity(&self, index: &GlobalIndex) -> Option<Capacity> {
        match self.billing() {
            Billing::OnDemand => None,
            Billing::Provisioned(table) => Some(
                index
                    .provisioned_throughput
                    .and_then(Capacity::from_throughput)
                    .unwrap_or(table),
            ),
        }
    }

    /// The upper bounds of an on-demand table; `None` when it has none or is provisioned.
    #[must_use]
    pub fn on_demand_maximum(&self) -> Option<OnDemandThroughput> {
        self.maximum(self.on_demand_throughput)
    }

    /// The upper bounds of `index`; `None` when it has none or the table is provisioned.
    #[must_use]
    pub fn index_on_demand_maximum(&self, index: &GlobalIndex) -> Option<OnDemandThroughput> {
        self.maximum(index.on_demand_throughput)
    }

    /// `stated` without unlimited bounds; `None` if none is left or the table is provisioned.
    pub(crate) fn maximum(&self, stated: Option<OnDemandThroughput>) -> Option<OnDemandThroughput> {
        // The bounds have no effect on a provisioned table.
        if self.is_provisioned() {
            return None;
        }

        // DynamoDB writes `-1` for no bound.
        let bound = |units: Option<i64>| units.filter(|units| *units > 0);
        let stated = stated?;
        let maximum = OnDemandThroughput {
            max_read_request_units: bound(stated.max_read_request_units),
            max_write_request_units: bound(stated.max_write_request_units),
        };

        (maximum != OnDemandThroughput::default()).then_some(maximum)
    }

    /// The definition of a key attribute; `owner` is the table or index in the error message.
    pub(crate) fn definition_of(
        &self,
        element: &KeyElement,
        owner: &str,
    ) -> Result<&AttributeDefinition> {
        let name = &element.attribute_name;
        self.attribute_definitions
            .iter()
            .find(|definition| definition.attribute_name == *name)
            .ok_or_else(|| {
                Error::schema_mismatch(format!(
                    "key attribute `{name}` of {owner} is missing in the schema's AttributeDefinitions"
                ))
            })
    }
}

impl Capacity {
    fn from_throughput(throughput: ProvisionedThroughput) -> Option<Self> {
        // Zeros are what an on-demand index has.
        let positive = |units: Option<u64>| units.filter(|units| *units > 0);
        let read = positive(throughput.read_capacity_units)?;
        let write = positive(throughput.write_capacity_units)?;

        Some(Self { read, write })
    }
}
