//! The `CreateTable` request that brings a table back. It holds what DynamoDB accepts at creation and this version recreates;
//! whatever else the schema says is named, never dropped in silence.
//! Reference: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html>.

use serde::Serialize;

use super::TableSchema;
use super::description::{AttributeDefinition, Description, KeyElement, OnDemandThroughput, Projection};
use super::not_recreated::{NotRecreated, not_recreated};
use super::settings::{Billing, Capacity, Encryption, PAY_PER_REQUEST, PROVISIONED, STANDARD};
use crate::error::{Error, Result};

/// A request that creates a table, and what it leaves out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTable {
    /// The JSON body of the `CreateTable` call.
    pub body: Vec<u8>,
    /// Every setting of the schema that the new table will not have.
    pub not_recreated: Vec<NotRecreated>,
}

impl TableSchema {
    /// The request that creates this table under the name `table`.
    ///
    /// # Errors
    ///
    /// [`SchemaMismatch`](crate::error::ErrorKind::SchemaMismatch) when the key is not one a table can have, or when an
    /// attribute of the table's or an index's key has no definition.
    pub fn create_table_request(&self, table: &str) -> Result<CreateTable> {
        self.key_schema()?;
        let request = Request::new(table, &self.description)?;
        let body = serde_json::to_vec(&request)
            .map_err(|cause| Error::failed("the CreateTable request cannot be written as JSON").with_source(cause))?;
        Ok(CreateTable { body, not_recreated: not_recreated(self) })
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    table_name: &'a str,
    attribute_definitions: Vec<&'a AttributeDefinition>,
    key_schema: Vec<&'a KeyElement>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    global_secondary_indexes: Vec<IndexRequest<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    local_secondary_indexes: Vec<IndexRequest<'a>>,
    billing_mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provisioned_throughput: Option<CapacityRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_demand_throughput: Option<OnDemandThroughput>,
    #[serde(rename = "SSESpecification", skip_serializing_if = "Option::is_none")]
    encryption: Option<EncryptionRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table_class: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct IndexRequest<'a> {
    index_name: &'a str,
    key_schema: Vec<&'a KeyElement>,
    projection: &'a Projection,
    #[serde(skip_serializing_if = "Option::is_none")]
    provisioned_throughput: Option<CapacityRequest>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_demand_throughput: Option<OnDemandThroughput>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CapacityRequest {
    read_capacity_units: u64,
    write_capacity_units: u64,
}

/// A KMS key without its name: AWS's managed key of the account.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EncryptionRequest {
    enabled: bool,
    #[serde(rename = "SSEType")]
    kind: &'static str,
}

impl<'a> Request<'a> {
    fn new(table_name: &'a str, table: &'a Description) -> Result<Self> {
        let (billing_mode, provisioned_throughput) = match table.billing() {
            Billing::Provisioned(capacity) => (PROVISIONED, Some(capacity.into())),
            Billing::OnDemand => (PAY_PER_REQUEST, None),
        };
        let uses_managed_key = table.encryption() == Encryption::AwsManaged;
        Ok(Self {
            table_name,
            attribute_definitions: used_definitions(table)?,
            key_schema: partition_first(&table.key_schema),
            global_secondary_indexes: global_indexes(table),
            local_secondary_indexes: local_indexes(table),
            billing_mode,
            provisioned_throughput,
            on_demand_throughput: table.on_demand_maximum(),
            encryption: uses_managed_key.then_some(EncryptionRequest { enabled: true, kind: "KMS" }),
            table_class: Some(table.class()).filter(|class| *class != STANDARD),
        })
    }
}

impl From<Capacity> for CapacityRequest {
    fn from(capacity: Capacity) -> Self {
        Self { read_capacity_units: capacity.read, write_capacity_units: capacity.write }
    }
}

fn global_indexes(table: &Description) -> Vec<IndexRequest<'_>> {
    let indexes = table.global_secondary_indexes.iter();
    let requests = indexes.map(|index| IndexRequest {
        index_name: &index.index_name,
        key_schema: partition_first(&index.key_schema),
        projection: &index.projection,
        provisioned_throughput: table.index_capacity(index).map(CapacityRequest::from),
        on_demand_throughput: table.index_on_demand_maximum(index),
    });
    requests.collect()
}

fn local_indexes(table: &Description) -> Vec<IndexRequest<'_>> {
    let indexes = table.local_secondary_indexes.iter();
    let requests = indexes.map(|index| IndexRequest {
        index_name: &index.index_name,
        key_schema: partition_first(&index.key_schema),
        projection: &index.projection,
        provisioned_throughput: None,
        on_demand_throughput: None,
    });
    requests.collect()
}

/// The definitions of exactly the attributes that stand in a key: DynamoDB refuses a request with others.
fn used_definitions(table: &Description) -> Result<Vec<&AttributeDefinition>> {
    let global = table.global_secondary_indexes.iter().map(|index| (&index.index_name, &index.key_schema));
    let local = table.local_secondary_indexes.iter().map(|index| (&index.index_name, &index.key_schema));
    let indexes = global.chain(local).map(|(name, key)| (format!("index `{name}`"), key));
    let keys = std::iter::once(("the table".to_owned(), &table.key_schema)).chain(indexes);

    let mut used: Vec<&AttributeDefinition> = Vec::new();
    for (of, key) in keys {
        for element in key {
            let definition = table.definition_of(element, &of)?;
            if !used.iter().any(|known| known.attribute_name == definition.attribute_name) {
                used.push(definition);
            }
        }
    }
    Ok(used)
}

/// `HASH` attributes before `RANGE` attributes, as DynamoDB wants them; the order among each kind has a meaning and stays.
fn partition_first(key: &[KeyElement]) -> Vec<&KeyElement> {
    let mut key: Vec<_> = key.iter().collect();
    key.sort_by_key(|element| element.key_type != "HASH");
    key
}
