//! Descriptions of a schema for people. Plans, summaries and comparisons of two tables share them, so that settings with equal
//! descriptions are equal.

use super::TableSchema;
use super::description::{
    AttributeDefinition, Description, KeyElement, OnDemandThroughput, Projection,
};
use super::document::raw::fields_of;
use super::settings::values::{Billing, Capacity};
use super::vector_indexes::VectorIndex;

/// Description of one GSI or LSI.
pub(crate) struct IndexWords<'a> {
    /// `GSI` or `LSI`.
    pub(crate) kind: &'static str,
    pub(crate) name: &'a str,
    pub(crate) key: String,
    pub(crate) projection: String,
    /// Capacity or upper bounds; `None` if it has neither.
    pub(crate) throughput: Option<String>,
}

impl IndexWords<'_> {
    pub(crate) fn label(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    pub(crate) fn words(&self) -> String {
        let words = format!("{}, projection {}", self.key, self.projection);
        match &self.throughput {
            Some(throughput) => format!("{words}, {throughput}"),
            None => words,
        }
    }
}

/// All indexes by kind and name: DynamoDB returns them in no particular order.
pub(crate) fn indexes(table: &Description) -> Vec<IndexWords<'_>> {
    let global = table
        .global_secondary_indexes
        .iter()
        .map(|index| IndexWords {
            kind: "GSI",
            name: &index.index_name,
            key: key(&index.key_schema, &table.attribute_definitions),
            projection: projection(&index.projection),
            throughput: table.index_capacity(index).map(capacity).or_else(|| {
                table
                    .index_on_demand_maximum(index)
                    .map(|bounds| maximum(&bounds))
            }),
        });

    let local = table
        .local_secondary_indexes
        .iter()
        .map(|index| IndexWords {
            kind: "LSI",
            name: &index.index_name,
            key: key(&index.key_schema, &table.attribute_definitions),
            projection: projection(&index.projection),
            throughput: None,
        });

    let mut indexes: Vec<_> = global.chain(local).collect();
    indexes.sort_by_key(|index| (index.kind, index.name));

    indexes
}

/// The table's key as `partition key` and, if there is one, `sort key`.
pub(crate) fn key_lines(table: &Description) -> Vec<(&'static str, String)> {
    let part = |kind, label| {
        let words = attributes(&table.key_schema, kind, &table.attribute_definitions);
        (!words.is_empty()).then_some((label, words))
    };
    [part("HASH", "partition key"), part("RANGE", "sort key")]
        .into_iter()
        .flatten()
        .collect()
}

pub(crate) fn billing(table: &Description) -> String {
    match (table.billing(), table.on_demand_maximum()) {
        (Billing::Provisioned(units), _) => format!("provisioned {}", capacity(units)),
        (Billing::OnDemand, None) => "on-demand".to_owned(),
        (Billing::OnDemand, Some(bounds)) => format!("on-demand, {}", maximum(&bounds)),
    }
}

pub(crate) fn on_or_off(is_on: bool) -> String {
    if is_on { "on" } else { "off" }.to_owned()
}

/// Partition attributes, then sort attributes: `tournament (S) + region (S), round (N)`.
fn key(elements: &[KeyElement], definitions: &[AttributeDefinition]) -> String {
    let parts = ["HASH", "RANGE"].map(|kind| attributes(elements, kind, definitions));
    parts
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(", ")
}

fn attributes(elements: &[KeyElement], kind: &str, definitions: &[AttributeDefinition]) -> String {
    let words = elements
        .iter()
        .filter(|element| element.key_type == kind)
        .map(|element| {
            let name = &element.attribute_name;
            let definition = definitions
                .iter()
                .find(|definition| definition.attribute_name == *name);
            format!(
                "{name} ({})",
                // A schema that lacks the definition must still be printable.
                definition.map_or("no type", |definition| &definition.attribute_type)
            )
        });

    words.collect::<Vec<_>>().join(" + ")
}

fn projection(projection: &Projection) -> String {
    if projection.non_key_attributes.is_empty() {
        return projection.projection_type.clone();
    }

    let mut names: Vec<_> = projection
        .non_key_attributes
        .iter()
        .map(String::as_str)
        .collect();

    // The order of projected attributes has no meaning; sorted lists are comparable.
    names.sort_unstable();
    format!("{} ({})", projection.projection_type, names.join(", "))
}

fn capacity(capacity: Capacity) -> String {
    format!("{} RCU / {} WCU", capacity.read, capacity.write)
}

fn maximum(bounds: &OnDemandThroughput) -> String {
    let words = [
        (bounds.max_read_request_units, "read"),
        (bounds.max_write_request_units, "write"),
    ];
    let words = words
        .iter()
        .filter_map(|(units, what)| Some(format!("{} {what}", (*units)?)));
    format!(
        "at most {} units per second",
        words.collect::<Vec<_>>().join(" / ")
    )
}

/// `3 dimensions, COSINE`.
pub(crate) fn vector_index(index: &VectorIndex) -> String {
    let fields = fields_of(&index.request).unwrap_or_default();
    let text = |name: &str| {
        let (_, value) = fields.iter().find(|(found, _)| found == name)?;
        Some(value.get().trim_matches('"').to_owned())
    };
    let dimensions = text("Dimensions").map(|dimensions| format!("{dimensions} dimensions"));
    [dimensions, text("DistanceFunction")]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
}

/// The table's key in one line: `id (S), year (N)`.
pub(crate) fn table_key(schema: &TableSchema) -> String {
    key(
        &schema.description.key_schema,
        &schema.description.attribute_definitions,
    )
}

/// `1 tag`, `3 tags`.
pub(crate) fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
