//! The `CreateTable` request that recreates a table. It holds the settings that DynamoDB accepts at creation and that do no harm
//! before the items are written; every other setting is a call of its own ([`SettingsPlan`](super::SettingsPlan)) or reported.
//! Reference: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html>.

use serde::Serialize;
use serde_json::value::RawValue;

use super::TableSchema;
use super::description::{
    AttributeDefinition, Description, GlobalIndex, KeyElement, OnDemandThroughput, Projection,
};
use super::document::raw::{Fields, raw};
use super::json_body::JsonBody;
use super::not_recreated::{MissingSetting, not_recreated};
use super::settings::SETTINGS;
use super::settings::billing::CapacityRequest;
use super::settings::spec::{CreationField, Setting, SettingChoice};
use super::settings::values::{Billing, PAY_PER_REQUEST, PROVISIONED};
use super::vector_indexes::{self, VectorIndex};
use crate::error::{Error, Result};

const GLOBAL_INDEXES: &str = "GlobalSecondaryIndexes";

/// A request that creates a table, and the settings that it omits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTable {
    /// The JSON body of the `CreateTable` call.
    pub body: Vec<u8>,
    /// Settings that neither the request nor a [`SettingsPlan`](super::SettingsPlan) applies: the new table will not have them.
    pub not_recreated: Vec<MissingSetting>,
    /// Settings in the request that a table can do without, each with its field of the request: an engine that refuses one
    /// may accept the request without it, see [`CreateTable::without`].
    pub optional: Vec<(Setting, &'static str)>,
    /// Value of the tag that says that the restore of the table is not complete.
    pub(crate) restoring_tag: Option<String>,
}

impl CreateTable {
    /// The request without one of its [`optional`](Self::optional) fields.
    #[must_use]
    pub fn without(&self, field: &str) -> Self {
        let mut less = self.clone();
        less.optional.retain(|(_, name)| *name != field);
        // The body is JSON that this module has written; should it not parse, it is returned unchanged.
        let Ok(mut body) = serde_json::from_slice::<Fields<Box<RawValue>>>(&self.body) else {
            return less;
        };

        // A setting may cover the table and its GSIs.
        body.edit_elements(GLOBAL_INDEXES, |index| index.remove(field));
        body.remove(field);
        less.body = raw(&body).get().as_bytes().to_vec();

        less
    }
}

impl TableSchema {
    /// The request that creates this table under the name `table`, with the settings that need no choice and are bound to no
    /// account: [`creation`](Self::creation) by the default choice.
    ///
    /// # Errors
    ///
    /// As for [`creation`](Self::creation).
    pub fn create_table_request(&self, table: &str) -> Result<CreateTable> {
        self.creation(table, &SettingChoice::default(), false)
    }

    /// The request that creates this table under the name `table`, with the settings that belong to creation. `same_table` says whether the table takes the place of the one dumped.
    ///
    /// # Errors
    ///
    /// [`SchemaMismatch`](crate::error::ErrorKind::SchemaMismatch) when the key is not one a table can have, or when an
    /// attribute of the table's or an index's key has no definition.
    pub fn creation(
        &self,
        table: &str,
        choice: &SettingChoice,
        same_table: bool,
    ) -> Result<CreateTable> {
        // Fail before any call if the key is not one that a table can have.
        self.key_schema()?;
        let request = CreateTableRequest::new(table, self, choice, same_table)?;
        let body = serde_json::to_vec(&request).map_err(|cause| {
            Error::failed("the CreateTable request cannot be written as JSON").with_source(cause)
        })?;
        Ok(CreateTable {
            body,
            not_recreated: not_recreated(self),
            optional: request.optional(),
            restoring_tag: None,
        })
    }
}

impl TableSchema {
    /// The `UpdateTable` request that adds the GSI `index` of this schema to the table `table`.
    pub(crate) fn index_creation(
        &self,
        table: &str,
        index: &GlobalIndex,
        choice: &SettingChoice,
        same_table: bool,
    ) -> Result<JsonBody> {
        let owner = format!("index `{}`", index.index_name);
        let definitions = index.key_schema.iter();
        let definitions: Vec<_> = definitions
            .map(|element| self.description.definition_of(element, &owner))
            .collect::<Result<_>>()?;
        let fields = creation_fields(self, choice, same_table);
        let create =
            JsonBody::new().with("Create", &global_index(&self.description, index, &fields));

        Ok(JsonBody::for_table(table)
            .with("AttributeDefinitions", &definitions)
            .with("GlobalSecondaryIndexUpdates", &[create]))
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CreateTableRequest<'a> {
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
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vector_indexes: Vec<Box<RawValue>>,
    #[serde(flatten)]
    settings: Fields<Box<RawValue>>,
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
    #[serde(flatten)]
    settings: Fields<Box<RawValue>>,
}

impl<'a> CreateTableRequest<'a> {
    fn new(
        table_name: &'a str,
        schema: &'a TableSchema,
        choice: &SettingChoice,
        same_table: bool,
    ) -> Result<Self> {
        let table = &schema.description;
        let (billing_mode, provisioned_throughput) = match table.billing() {
            Billing::Provisioned(capacity) => (PROVISIONED, Some(capacity.into())),
            Billing::OnDemand => (PAY_PER_REQUEST, None),
        };
        let fields = creation_fields(schema, choice, same_table);
        let settings = fields.iter().filter_map(|field| {
            let value = (field.value)(schema)?;
            Some((field.name.to_owned(), value))
        });

        let vector_indexes = vector_indexes::indexes(schema);
        let indexes = table.global_secondary_indexes.iter();
        let indexes: Vec<_> = indexes
            .filter(|index| !choice.later_indexes.contains(&index.index_name))
            .collect();

        Ok(Self {
            table_name,
            attribute_definitions: used_definitions(table, &indexes, &vector_indexes)?,
            key_schema: partition_first(&table.key_schema),
            global_secondary_indexes: indexes
                .into_iter()
                .map(|index| global_index(table, index, &fields))
                .collect(),
            local_secondary_indexes: local_indexes(table),
            billing_mode,
            provisioned_throughput,
            on_demand_throughput: table.on_demand_maximum(),
            vector_indexes: vector_indexes
                .into_iter()
                .map(|index| index.request)
                .collect(),
            settings: Fields(settings.collect()),
        })
    }

    /// The settings in the request, for the table or an index.
    fn optional(&self) -> Vec<(Setting, &'static str)> {
        let has = |settings: &Fields<Box<RawValue>>, name: &str| {
            settings.0.iter().any(|(field, _)| field == name)
        };
        let is_there = |name: &str| {
            let mut indexes = self.global_secondary_indexes.iter();
            has(&self.settings, name) || indexes.any(|index| has(&index.settings, name))
        };

        SETTINGS
            .iter()
            .filter_map(|spec| Some((Setting(spec), spec.creation?.name)))
            .filter(|(_, name)| is_there(name))
            .collect()
    }
}

/// The fields of the settings that the choice includes.
fn creation_fields(
    schema: &TableSchema,
    choice: &SettingChoice,
    same_table: bool,
) -> Vec<CreationField> {
    SETTINGS
        .iter()
        .filter(|spec| choice.applies(Setting(spec), same_table || (spec.is_requested)(schema)))
        .filter_map(|spec| spec.creation)
        .collect()
}

fn global_index<'a>(
    table: &Description,
    index: &'a GlobalIndex,
    fields: &[CreationField],
) -> IndexRequest<'a> {
    let settings = fields.iter().filter_map(|field| {
        let value = (field.index_value)(table, index)?;
        Some((field.name.to_owned(), value))
    });

    IndexRequest {
        index_name: &index.index_name,
        key_schema: partition_first(&index.key_schema),
        projection: &index.projection,
        provisioned_throughput: table.index_capacity(index).map(CapacityRequest::from),
        on_demand_throughput: table.index_on_demand_maximum(index),
        settings: Fields(settings.collect()),
    }
}

fn local_indexes(table: &Description) -> Vec<IndexRequest<'_>> {
    let indexes = table.local_secondary_indexes.iter();
    let requests = indexes.map(|index| IndexRequest {
        index_name: &index.index_name,
        key_schema: partition_first(&index.key_schema),
        projection: &index.projection,
        // An LSI uses the capacity of its table.
        provisioned_throughput: None,
        on_demand_throughput: None,
        settings: Fields(Vec::new()),
    });

    requests.collect()
}

/// The definitions of exactly the attributes that are part of a key of the table, of the GSIs `global`, or of another index: DynamoDB
/// refuses a request with others.
pub(crate) fn used_definitions<'a>(
    table: &'a Description,
    global: &[&'a GlobalIndex],
    vector_indexes: &[VectorIndex],
) -> Result<Vec<&'a AttributeDefinition>> {
    let global = global
        .iter()
        .map(|index| (&index.index_name, &index.key_schema));
    let local = table
        .local_secondary_indexes
        .iter()
        .map(|index| (&index.index_name, &index.key_schema));
    let indexes = global
        .chain(local)
        .map(|(name, key)| (format!("index `{name}`"), key));
    let keys = std::iter::once(("the table".to_owned(), &table.key_schema)).chain(indexes);

    let mut used: Vec<&AttributeDefinition> = Vec::new();
    // An attribute can be part of several keys, but is defined once.
    let mut add = |definition: &'a AttributeDefinition| {
        if !used
            .iter()
            .any(|known| known.attribute_name == definition.attribute_name)
        {
            used.push(definition);
        }
    };

    for (owner, key) in keys {
        for element in key {
            add(table.definition_of(element, &owner)?);
        }
    }

    // A search attribute may lack a definition, unlike a key attribute.
    for name in vector_indexes
        .iter()
        .flat_map(|index| &index.search_attributes)
    {
        table
            .attribute_definitions
            .iter()
            .filter(|definition| definition.attribute_name == *name)
            .for_each(&mut add);
    }

    Ok(used)
}

/// `HASH` attributes before `RANGE` attributes, as DynamoDB wants them; the order among each kind has a meaning and stays.
fn partition_first(key: &[KeyElement]) -> Vec<&KeyElement> {
    let mut key: Vec<_> = key.iter().collect();
    // The sort is stable, which keeps the order among attributes of one kind.
    key.sort_by_key(|element| element.key_type != "HASH");
    key
}
