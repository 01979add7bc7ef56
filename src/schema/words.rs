//! A schema in people's words. The same words describe a table in a plan or summary and tell two tables apart, so that what
//! reads the same is the same.

use super::TableSchema;
use super::description::{AttributeDefinition, Description, KeyElement, OnDemandThroughput, Projection};
use super::settings::{Billing, Capacity, Encryption, STANDARD};

impl TableSchema {
    /// The table as label and description, for plans and summaries: `("partition key", "id (S)")`,
    /// `("GSI by-director", "director (S), year (N), projection ALL, 5 RCU / 5 WCU")`. Settings at their default are left out.
    #[must_use]
    pub fn summary_lines(&self) -> Vec<(String, String)> {
        let table = &self.description;
        let mut lines = key_lines(table);
        lines.push(("billing", billing(table)));
        let mut lines: Vec<_> = lines.into_iter().map(|(label, words)| (label.to_owned(), words)).collect();
        lines.extend(indexes(table).iter().map(|index| (index.label(), index.words())));
        let mut others = Vec::new();
        if let Some(view) = table.stream() {
            others.push(("stream", view.to_owned()));
        }
        if table.class() != STANDARD {
            others.push(("table class", table.class().to_owned()));
        }
        if table.is_deletion_protected() {
            others.push(("deletion protection", on_or_off(true)));
        }
        if table.encryption() != Encryption::AwsOwned {
            others.push(("encryption", encryption(table)));
        }
        lines.extend(others.into_iter().map(|(label, words)| (label.to_owned(), words)));
        lines
    }
}

/// One index of either kind, in words.
pub(super) struct IndexWords<'a> {
    /// `GSI` or `LSI`.
    pub(super) kind: &'static str,
    pub(super) name: &'a str,
    pub(super) key: String,
    pub(super) projection: String,
    /// Capacity or upper bounds; `None` where there are none.
    pub(super) throughput: Option<String>,
}

impl IndexWords<'_> {
    pub(super) fn label(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    pub(super) fn words(&self) -> String {
        let words = format!("{}, projection {}", self.key, self.projection);
        match &self.throughput {
            Some(throughput) => format!("{words}, {throughput}"),
            None => words,
        }
    }
}

/// All indexes by kind and name: DynamoDB returns them in no particular order.
pub(super) fn indexes(table: &Description) -> Vec<IndexWords<'_>> {
    let global = table.global_secondary_indexes.iter().map(|index| IndexWords {
        kind: "GSI",
        name: &index.index_name,
        key: key(&index.key_schema, &table.attribute_definitions),
        projection: projection(&index.projection),
        throughput: table
            .index_capacity(index)
            .map(capacity)
            .or_else(|| table.index_on_demand_maximum(index).map(|bounds| maximum(&bounds))),
    });
    let local = table.local_secondary_indexes.iter().map(|index| IndexWords {
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
pub(super) fn key_lines(table: &Description) -> Vec<(&'static str, String)> {
    let part = |kind, label| {
        let words = attributes(&table.key_schema, kind, &table.attribute_definitions);
        (!words.is_empty()).then_some((label, words))
    };
    [part("HASH", "partition key"), part("RANGE", "sort key")].into_iter().flatten().collect()
}

pub(super) fn billing(table: &Description) -> String {
    match (table.billing(), table.on_demand_maximum()) {
        (Billing::Provisioned(units), _) => format!("provisioned {}", capacity(units)),
        (Billing::OnDemand, None) => "on-demand".to_owned(),
        (Billing::OnDemand, Some(bounds)) => format!("on-demand, {}", maximum(&bounds)),
    }
}

pub(super) fn encryption(table: &Description) -> String {
    match table.encryption() {
        Encryption::AwsOwned => "AWS-owned key".to_owned(),
        Encryption::AwsManaged => "AWS-managed KMS key".to_owned(),
        Encryption::Kms(None) => "KMS key".to_owned(),
        Encryption::Kms(Some(key)) => format!("KMS key {key}"),
    }
}

pub(super) fn on_or_off(is_on: bool) -> String {
    if is_on { "on" } else { "off" }.to_owned()
}

/// Partition attributes, then sort attributes: `tournament (S) + region (S), round (N)`.
fn key(elements: &[KeyElement], definitions: &[AttributeDefinition]) -> String {
    let parts = ["HASH", "RANGE"].map(|kind| attributes(elements, kind, definitions));
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn attributes(elements: &[KeyElement], kind: &str, definitions: &[AttributeDefinition]) -> String {
    let words = elements.iter().filter(|element| element.key_type == kind).map(|element| {
        let name = &element.attribute_name;
        let definition = definitions.iter().find(|definition| definition.attribute_name == *name);
        format!("{name} ({})", definition.map_or("no type", |definition| &definition.attribute_type))
    });
    words.collect::<Vec<_>>().join(" + ")
}

fn projection(projection: &Projection) -> String {
    if projection.non_key_attributes.is_empty() {
        return projection.projection_type.clone();
    }
    let mut names: Vec<_> = projection.non_key_attributes.iter().map(String::as_str).collect();
    names.sort_unstable();
    format!("{} ({})", projection.projection_type, names.join(", "))
}

fn capacity(capacity: Capacity) -> String {
    format!("{} RCU / {} WCU", capacity.read, capacity.write)
}

fn maximum(bounds: &OnDemandThroughput) -> String {
    let words = [(bounds.max_read_request_units, "read"), (bounds.max_write_request_units, "write")];
    let words = words.iter().filter_map(|(units, what)| Some(format!("{} {what}", (*units)?)));
    format!("at most {} units per second", words.collect::<Vec<_>>().join(" / "))
}
