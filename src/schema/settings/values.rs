//! The settings of a schema as values, from a description (`BillingModeSummary`, `SSEDescription`) or from a request
//! (`BillingMode`, `SSESpecification`).

use crate::error::{Error, Result};
use crate::schema::description::{
    AttributeDefinition, Description, GlobalIndex, KeyElement, OnDemandThroughput,
    ProvisionedThroughput, WarmThroughput,
};

pub(crate) const PROVISIONED: &str = "PROVISIONED";
pub(crate) const PAY_PER_REQUEST: &str = "PAY_PER_REQUEST";
pub(crate) const STANDARD: &str = "STANDARD";

/// AWS's managed key; a request that names it is equal to one with `Enabled` only.
const AWS_MANAGED_KEY: &str = "alias/aws/dynamodb";

/// Initial throughput of a new on-demand table or index
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput-scenarios.html>).
const NEW_ON_DEMAND: Capacity = Capacity {
    read: 12_000,
    write: 4_000,
};

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

/// Owner of the key that encrypts a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption<'a> {
    /// A key that AWS owns; the default.
    AwsOwned,
    /// The account's `aws/dynamodb` key, from a request.
    AwsManaged,
    /// A KMS key of the account, with its ARN or id where known. A description does not distinguish it from
    /// [`AwsManaged`](Self::AwsManaged).
    Kms(Option<&'a str>),
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

    /// The warm throughput of the table, if it is above that of a new table; never zero.
    pub(crate) fn grown_warm_throughput(&self) -> Option<WarmThroughput> {
        let start = match self.billing() {
            Billing::Provisioned(capacity) => capacity,
            Billing::OnDemand => NEW_ON_DEMAND,
        };
        grown(self.warm_throughput, start)
    }

    /// The warm throughput of `index`, if it is above that of a new index; never zero.
    pub(crate) fn index_grown_warm_throughput(
        &self,
        index: &GlobalIndex,
    ) -> Option<WarmThroughput> {
        grown(
            index.warm_throughput,
            self.index_capacity(index).unwrap_or(NEW_ON_DEMAND),
        )
    }

    /// The table class; `STANDARD` unless stated otherwise.
    #[must_use]
    pub fn class(&self) -> &str {
        let summary = self
            .table_class_summary
            .as_ref()
            .and_then(|summary| summary.table_class.as_deref());
        summary.or(self.table_class.as_deref()).unwrap_or(STANDARD)
    }

    /// The view type of the stream (`NEW_IMAGE`, …) when the stream is on.
    #[must_use]
    pub fn stream(&self) -> Option<&str> {
        let stream = self
            .stream_specification
            .as_ref()
            .filter(|stream| stream.stream_enabled == Some(true))?;
        Some(stream.stream_view_type.as_deref().unwrap_or("on"))
    }

    /// Whether the table refuses to be deleted.
    #[must_use]
    pub fn is_deletion_protected(&self) -> bool {
        self.deletion_protection_enabled == Some(true)
    }

    /// Whose key encrypts the table.
    #[must_use]
    pub fn encryption(&self) -> Encryption<'_> {
        if let Some(described) = &self.sse_description {
            let is_off = matches!(described.status.as_deref(), Some("DISABLED" | "DISABLING"));
            // Either field may be missing in a description.
            let is_kms = described.sse_type.as_deref() == Some("KMS")
                || described.kms_master_key_arn.is_some();
            if is_kms && !is_off {
                return Encryption::Kms(described.kms_master_key_arn.as_deref());
            }
        }

        match &self.sse_specification {
            Some(requested) if requested.enabled == Some(true) => {
                match requested.kms_master_key_id.as_deref() {
                    None | Some(AWS_MANAGED_KEY) => Encryption::AwsManaged,
                    key => Encryption::Kms(key),
                }
            }
            _ => Encryption::AwsOwned,
        }
    }

    /// Whether the encryption is from a request. A description is that of the dumped table, which the target need not share.
    pub(crate) fn requests_encryption(&self) -> bool {
        self.sse_specification.is_some() && self.sse_description.is_none()
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

/// `warm` if it is above `start`. Every table has some warm throughput, so only an increase is a setting.
fn grown(warm: Option<WarmThroughput>, start: Capacity) -> Option<WarmThroughput> {
    let warm = warm?;
    let positive = |units: Option<u64>| units.filter(|units| *units > 0);
    let more = |units: Option<u64>, start: u64| units.is_some_and(|units| units > start);
    (more(warm.read_units_per_second, start.read) || more(warm.write_units_per_second, start.write))
        .then(|| WarmThroughput {
            read_units_per_second: positive(warm.read_units_per_second),
            write_units_per_second: positive(warm.write_units_per_second),
        })
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
