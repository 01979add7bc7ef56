//! The typed view of a schema: the part of `DescribeTable`'s `Table` (or of a `CreateTable` request) that this program reads.
//!
//! Enumerations stay text, so that a value DynamoDB adds tomorrow is not an error for code that only passes it on. Engines omit
//! fields or send `null`; only what every table has is required: its keys and their definitions.
//! Reference: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html>.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use super::timestamp::seconds;

/// A table's settings and state. Fields carry the names and meanings of DynamoDB's `TableDescription`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct Description {
    /// The table's name; a hand-written request may lack it.
    pub table_name: Option<String>,
    /// The table's ARN; engines other than AWS invent its region and account.
    pub table_arn: Option<String>,
    /// The id, which differs from that of an earlier table with the same name.
    pub table_id: Option<String>,
    /// When the table was created, as the endpoint writes it; DynamoDB sends a number of seconds.
    pub creation_date_time: Option<serde_json::Value>,
    /// `ACTIVE`, `CREATING`, …
    pub table_status: Option<String>,
    /// Items, as counted by DynamoDB about every six hours.
    pub item_count: Option<u64>,
    /// Bytes by DynamoDB's size of items, as counted about every six hours.
    pub table_size_bytes: Option<u64>,
    /// The table's key.
    pub key_schema: Vec<KeyElement>,
    /// The types of all attributes that are part of a key.
    pub attribute_definitions: Vec<AttributeDefinition>,
    /// GSIs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub global_secondary_indexes: Vec<GlobalIndex>,
    /// LSIs.
    #[serde(default, deserialize_with = "null_is_default")]
    pub local_secondary_indexes: Vec<LocalIndex>,
    /// The billing mode of a described table; absent when the table never was on-demand.
    pub billing_mode_summary: Option<BillingModeSummary>,
    /// The billing mode in a `CreateTable` request.
    pub billing_mode: Option<String>,
    /// Provisioned capacity; zeros when on-demand.
    pub provisioned_throughput: Option<ProvisionedThroughput>,
    /// The upper bounds of an on-demand table.
    pub on_demand_throughput: Option<OnDemandThroughput>,
    /// Throughput that the table can serve immediately.
    pub warm_throughput: Option<WarmThroughput>,
    /// Whether the table refuses to be deleted.
    pub deletion_protection_enabled: Option<bool>,
    /// The stream.
    pub stream_specification: Option<StreamSpecification>,
    /// The ARN of the stream that is on, or of the last one.
    pub latest_stream_arn: Option<String>,
    /// The encryption of a described table.
    #[serde(rename = "SSEDescription")]
    pub sse_description: Option<SseDescription>,
    /// The encryption in a `CreateTable` request.
    #[serde(rename = "SSESpecification")]
    pub sse_specification: Option<SseSpecification>,
    /// The table class of a described table; absent when it is `STANDARD`.
    pub table_class_summary: Option<TableClassSummary>,
    /// The table class in a `CreateTable` request.
    pub table_class: Option<String>,
    /// What DynamoDB restored the table from.
    pub restore_summary: Option<RestoreSummary>,
}

/// The origin of a table that DynamoDB restores or has restored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RestoreSummary {
    /// ARN of the backup.
    pub source_backup_arn: Option<String>,
    /// ARN of the backed-up table.
    pub source_table_arn: Option<String>,
    /// The time to which the table is restored.
    #[serde(default, deserialize_with = "seconds")]
    pub restore_date_time: Option<DateTime<Utc>>,
    /// Whether DynamoDB is still restoring.
    pub restore_in_progress: Option<bool>,
}

/// One attribute of a key.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyElement {
    /// The attribute's name.
    pub attribute_name: String,
    /// `HASH` or `RANGE`.
    pub key_type: String,
}

/// The type of one key attribute.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributeDefinition {
    /// The attribute's name.
    pub attribute_name: String,
    /// `S`, `N` or `B`.
    pub attribute_type: String,
}

/// A GSI.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct GlobalIndex {
    /// The index's name.
    pub index_name: String,
    /// Its key: up to four `HASH` and four `RANGE` attributes.
    pub key_schema: Vec<KeyElement>,
    /// The attributes that are copied into it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub projection: Projection,
    /// `ACTIVE`, `CREATING`, …; some engines omit it.
    pub index_status: Option<String>,
    /// Whether the index is being filled from the table.
    pub backfilling: Option<bool>,
    /// Provisioned capacity; zeros when on-demand.
    pub provisioned_throughput: Option<ProvisionedThroughput>,
    /// Upper bounds when on-demand.
    pub on_demand_throughput: Option<OnDemandThroughput>,
    /// Throughput that the index can serve immediately.
    pub warm_throughput: Option<WarmThroughput>,
}

impl GlobalIndex {
    /// Whether the index is being deleted.
    #[must_use]
    pub fn is_being_deleted(&self) -> bool {
        self.index_status.as_deref() == Some("DELETING")
    }
}

/// An LSI.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[non_exhaustive]
pub struct LocalIndex {
    /// The index's name.
    pub index_name: String,
    /// Its key: the table's partition key and a sort key of its own.
    pub key_schema: Vec<KeyElement>,
    /// The attributes that are copied into it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub projection: Projection,
}

/// The attributes that an index holds in addition to keys.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Projection {
    /// `ALL`, `KEYS_ONLY` or `INCLUDE`.
    pub projection_type: String,
    /// The attributes of `INCLUDE`.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_default"
    )]
    pub non_key_attributes: Vec<String>,
}

/// Engines that do not report projections (older versions of Alternator) have only this one.
impl Default for Projection {
    fn default() -> Self {
        Self {
            projection_type: "ALL".to_owned(),
            non_key_attributes: Vec::new(),
        }
    }
}

/// Provisioned capacity as it is written in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProvisionedThroughput {
    /// RCU.
    pub read_capacity_units: Option<u64>,
    /// WCU.
    pub write_capacity_units: Option<u64>,
}

/// Upper bounds of an on-demand table or index; `-1` and absence mean none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct OnDemandThroughput {
    /// Read request units per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_read_request_units: Option<i64>,
    /// Write request units per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_write_request_units: Option<i64>,
}

/// Throughput that a table or index can serve immediately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct WarmThroughput {
    /// Read units per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_units_per_second: Option<u64>,
    /// Write units per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_units_per_second: Option<u64>,
}

/// The billing mode of a described table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct BillingModeSummary {
    /// `PROVISIONED` or `PAY_PER_REQUEST`.
    pub billing_mode: Option<String>,
}

/// A table's stream.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StreamSpecification {
    /// Whether it is on.
    pub stream_enabled: Option<bool>,
    /// Contents of a record: `KEYS_ONLY`, `NEW_IMAGE`, `OLD_IMAGE`, `NEW_AND_OLD_IMAGES`.
    pub stream_view_type: Option<String>,
}

/// The encryption of a described table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SseDescription {
    /// `ENABLED`, `UPDATING`, …
    pub status: Option<String>,
    /// `KMS`.
    #[serde(rename = "SSEType")]
    pub sse_type: Option<String>,
    /// The ARN of the KMS key; it looks the same for AWS's managed key and for a customer's.
    #[serde(rename = "KMSMasterKeyArn")]
    pub kms_master_key_arn: Option<String>,
}

/// The encryption in a `CreateTable` request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SseSpecification {
    /// Whether a KMS key in the account is used.
    pub enabled: Option<bool>,
    /// The key; without it, AWS's managed key `alias/aws/dynamodb`.
    #[serde(rename = "KMSMasterKeyId")]
    pub kms_master_key_id: Option<String>,
}

/// The table class of a described table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TableClassSummary {
    /// `STANDARD` or `STANDARD_INFREQUENT_ACCESS`.
    pub table_class: Option<String>,
}

pub(crate) fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    // `#[serde(default)]` covers a missing field, but not an explicit `null`.
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
