//! Descriptions of a schema for people. Plans, summaries and comparisons of two tables share them, so that settings with equal
//! descriptions are equal.

use super::TableSchema;
use super::description::{
    AttributeDefinition, Description, KeyElement, OnDemandThroughput, Projection, WarmThroughput,
};
use super::document::raw::fields_of;
use super::document::section::Section;
use super::document::views::{
    AutoScaling, ContributorInsights, KinesisDestination, PointInTimeRecovery, Replica,
    ScalableTarget, Tag,
};
use super::settings::scaling_resource;
use super::settings::values::{Billing, Capacity, Encryption, STANDARD};
use super::vector_indexes::{self, VectorIndex};

/// Tags shown in one line.
const TAGS_SHOWN: usize = 8;

/// Characters shown of a tag's value; AWS allows 256.
const TAG_CHARACTERS: usize = 60;

impl TableSchema {
    /// The table as label and description, for plans and summaries: `("partition key", "id (S)")`,
    /// `("GSI by-director", "director (S), year (N), projection ALL, 5 RCU / 5 WCU")`. Settings at their default are left out.
    #[must_use]
    pub fn summary_lines(&self) -> Vec<(String, String)> {
        let mut lines = self.shape_lines();
        lines.extend(
            self.setting_lines()
                .into_iter()
                .map(|(label, words)| (label.to_owned(), words)),
        );

        lines
    }

    /// The part of [`Self::summary_lines`] about keys, billing and indexes.
    #[must_use]
    pub fn shape_lines(&self) -> Vec<(String, String)> {
        let table = &self.description;
        let mut lines = key_lines(table);
        lines.push(("billing", billing(table)));
        let mut lines: Vec<_> = lines
            .into_iter()
            .map(|(label, words)| (label.to_owned(), words))
            .collect();
        lines.extend(
            indexes(table)
                .iter()
                .map(|index| (index.label(), index.words())),
        );

        lines.extend(
            vector_indexes::indexes(self)
                .iter()
                .map(|index| (format!("vector index {}", index.name), vector_index(index))),
        );

        lines
    }

    /// Settings that are not at their default, in the order of [`Setting::ALL`](super::Setting::ALL).
    fn setting_lines(&self) -> Vec<(&'static str, String)> {
        // The settings of `CreateTable` come first in `Setting::ALL`, so both lists together keep its order.
        self.creation_settings()
            .into_iter()
            .chain(self.later_settings())
            .filter_map(|(label, words)| Some((label, words?)))
            .collect()
    }

    /// Settings that `CreateTable` can hold.
    fn creation_settings(&self) -> [(&'static str, Option<String>); 4] {
        let table = &self.description;
        [
            (
                "table class",
                Some(table.class())
                    .filter(|class| *class != STANDARD)
                    .map(ToOwned::to_owned),
            ),
            (
                "encryption",
                (table.encryption() != Encryption::AwsOwned).then(|| encryption(table)),
            ),
            (
                "tags",
                self.own_tags().read().map(|tags| tags_in_words(&tags)),
            ),
            ("warm throughput", table.grown_warm_throughput().map(warm)),
        ]
    }

    /// Settings that are applied by calls after the creation of the table.
    fn later_settings(&self) -> [(&'static str, Option<String>); 9] {
        let table = &self.description;
        [
            ("stream", table.stream().map(ToOwned::to_owned)),
            (
                "TTL",
                self.ttl_attribute()
                    .map(|attribute| format!("on attribute {attribute}")),
            ),
            (
                "PITR",
                self.point_in_time_recovery()
                    .read()
                    .map(|recovery| recovery_in_words(&recovery)),
            ),
            (
                "contributor insights",
                self.contributor_insights()
                    .read()
                    .map(|insights| insights_of(&insights)),
            ),
            (
                "auto scaling",
                self.auto_scaling()
                    .read()
                    .map(|scaling| scaling_in_words(&scaling)),
            ),
            ("resource policy", self.policies_in_words()),
            (
                "Kinesis destinations",
                self.kinesis_destinations()
                    .read()
                    .map(|streams| streams_of(&streams)),
            ),
            (
                "replicas",
                self.replicas().read().map(|replicas| regions_of(&replicas)),
            ),
            (
                "deletion protection",
                table.is_deletion_protected().then(|| on_or_off(true)),
            ),
        ]
    }

    fn policies_in_words(&self) -> Option<String> {
        let policies = [
            (Section::ResourcePolicy, "of the table"),
            (Section::StreamResourcePolicy, "of the stream"),
        ];
        let there = policies
            .into_iter()
            .filter(|(section, _)| self.policy(*section).read().is_some());
        let words: Vec<_> = there.map(|(_, words)| words).collect();

        (!words.is_empty()).then(|| words.join(", "))
    }
}

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

pub(crate) fn encryption(table: &Description) -> String {
    match table.encryption() {
        Encryption::AwsOwned => "AWS-owned key".to_owned(),
        Encryption::AwsManaged => "AWS-managed KMS key".to_owned(),
        Encryption::Kms(None) => "KMS key".to_owned(),
        Encryption::Kms(Some(key)) => format!("KMS key {key}"),
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

/// Warm throughput of a table or index: `30000 read / 4000 write units per second`.
pub(crate) fn warm(warm: WarmThroughput) -> String {
    let words = [
        (warm.read_units_per_second, "read"),
        (warm.write_units_per_second, "write"),
    ];
    let words = words
        .iter()
        .filter_map(|(units, what)| Some(format!("{} {what}", (*units)?)));
    format!("{} units per second", words.collect::<Vec<_>>().join(" / "))
}

/// `1 tag`, `3 tags`.
pub(crate) fn tag_count(tags: &[Tag]) -> String {
    count(tags.len(), "tag", "tags")
}

/// The first tags, shortened to fit one line: `owner=films, team=a`.
pub(crate) fn tags_in_words(tags: &[Tag]) -> String {
    let words = tags
        .iter()
        .take(TAGS_SHOWN)
        .map(|tag| format!("{}={}", tag.key, shortened(&tag.value)));
    let words = words.collect::<Vec<_>>().join(", ");
    match tags.len().saturating_sub(TAGS_SHOWN) {
        0 => words,
        more => format!("{words} and {more} more"),
    }
}

fn shortened(value: &str) -> String {
    // Cut between characters: a slice within one panics.
    match value.char_indices().nth(TAG_CHARACTERS) {
        None => value.to_owned(),
        Some((end, _)) => format!("{}…", &value[..end]),
    }
}

/// `35 days`, or `on` if the period is unknown.
pub(crate) fn recovery_in_words(recovery: &PointInTimeRecovery) -> String {
    recovery_period(recovery).unwrap_or_else(|| on_or_off(true))
}

/// `table RCU 5 to 100 at 70`, for every target and the policy of it, if there is one.
pub(crate) fn scaling_in_words(scaling: &AutoScaling) -> String {
    let word = |target: &ScalableTarget| {
        let bounds = format!(
            "{} {} to {}",
            scaling_resource::describe_target(target),
            target.min_capacity,
            target.max_capacity
        );

        // A policy belongs to the target with the same resource and dimension.
        let mut policies = scaling.scaling_policies.iter().filter(|policy| {
            (&policy.resource_id, &policy.scalable_dimension)
                == (&target.resource_id, &target.scalable_dimension)
        });
        match policies.next().map(scaling_resource::target_value) {
            None => bounds,
            Some(None) => format!("{bounds} by a policy"),
            Some(Some(aim)) => format!("{bounds} at {aim}"),
        }
    };

    // Sorted, so that the order of the response makes no difference.
    let mut words: Vec<_> = scaling.scalable_targets.iter().map(word).collect();
    words.sort_unstable();

    words.join(", ")
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

/// `35 days`; `None` if the period is unknown.
pub(crate) fn recovery_period(recovery: &PointInTimeRecovery) -> Option<String> {
    recovery.recovery_period_in_days.map(|days| {
        if days == 1 {
            "1 day".to_owned()
        } else {
            format!("{days} days")
        }
    })
}

/// `auto scaling (4 targets, 4 policies)`.
pub(crate) fn scaling_count(scaling: &AutoScaling) -> String {
    let targets = count(scaling.scalable_targets.len(), "target", "targets");
    let policies = count(scaling.scaling_policies.len(), "policy", "policies");
    format!("auto scaling ({targets}, {policies})")
}

/// `contributor insights of table, index by-year`.
pub(crate) fn contributor_insights(insights: &[ContributorInsights]) -> String {
    format!("contributor insights of {}", insights_of(insights))
}

pub(crate) fn insights_of(insights: &[ContributorInsights]) -> String {
    let mut words: Vec<_> = insights.iter().map(insight).collect();
    words.sort_unstable();
    words.join(", ")
}

fn insight(insights: &ContributorInsights) -> String {
    let resource = insights
        .index_name
        .as_ref()
        .map_or_else(|| "table".to_owned(), |index| format!("index {index}"));

    match &insights.mode {
        Some(mode) => format!("{resource} ({mode})"),
        None => resource,
    }
}

/// `Kinesis destination <arn>`.
pub(crate) fn kinesis_destinations(destinations: &[KinesisDestination]) -> String {
    let label = if destinations.len() == 1 {
        "Kinesis destination"
    } else {
        "Kinesis destinations"
    };

    format!("{label} {}", streams_of(destinations))
}

pub(crate) fn streams_of(destinations: &[KinesisDestination]) -> String {
    let mut streams: Vec<_> = destinations
        .iter()
        .map(|destination| destination.stream_arn.as_str())
        .collect();
    streams.sort_unstable();
    streams.join(", ")
}

/// `replicas in eu-west-1, us-east-1`.
pub(crate) fn replicas(replicas: &[Replica]) -> String {
    let label = if replicas.len() == 1 {
        "replica"
    } else {
        "replicas"
    };

    format!("{label} in {}", regions_of(replicas))
}

pub(crate) fn regions_of(replicas: &[Replica]) -> String {
    let mut regions: Vec<_> = replicas
        .iter()
        .map(|replica| replica.region_name.as_str())
        .collect();
    regions.sort_unstable();
    regions.join(", ")
}

fn count(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
