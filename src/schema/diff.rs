//! Differences between a dump's schema and a table: a different key prevents a restore, different settings do not.
//!
//! The order of indexes, of attribute definitions and of projected attributes means nothing in DynamoDB and nothing here.

use super::description::Description;
use super::document::section::Section;
use super::document::views::{SectionView, Tag};
use super::settings::values::{Billing, Encryption};
use super::vector_indexes::{self, VectorIndex};
use super::{TableSchema, arn, wording};
use wording::IndexWords;

/// As wide as `partition key`.
const KEY_LABEL_WIDTH: usize = 13;

/// One setting that differs, described for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The setting: `billing`, `GSI by-director key`.
    pub setting: String,
    /// The value in the dump.
    pub dump: String,
    /// The value of the table.
    pub table: String,
}

/// Both keys as lines to print side by side: `partition key  pk (S)`, `sort key       none`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMismatch {
    /// The dump's key.
    pub dump: Vec<String>,
    /// The table's key; as many lines as the dump's.
    pub table: Vec<String>,
}

/// All that differs between a dump's schema and a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differences {
    /// Items of the dump cannot live in the table.
    pub key: Option<KeyMismatch>,
    /// They can, but the table behaves differently from the dumped one.
    pub settings: Vec<Difference>,
}

impl KeyMismatch {
    /// The same as differences of settings: one for the partition key, one for the sort key, where they differ.
    #[must_use]
    pub fn differences(&self) -> Vec<Difference> {
        // Both keys have the same number of lines; see `key_lines`.
        let parts = self
            .dump
            .iter()
            .zip(&self.table)
            .filter(|(dump, table)| dump != table);

        let words = |line: &str| {
            line.get(KEY_LABEL_WIDTH..)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };

        let label = |line: &str| {
            line.get(..KEY_LABEL_WIDTH)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };

        parts
            .map(|(dump, table)| Difference {
                setting: label(dump),
                dump: words(dump),
                table: words(table),
            })
            .collect()
    }
}

impl Differences {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.key.is_none() && self.settings.is_empty()
    }

    fn compare(&mut self, setting: impl Into<String>, dump: &str, table: &str) {
        if dump != table {
            self.settings.push(Difference {
                setting: setting.into(),
                dump: dump.to_owned(),
                table: table.to_owned(),
            });
        }
    }
}

/// Compares the schema of a dump with that of a table. Sections other than `Table` are compared only if both schemas have
/// some: a schema without sections was captured without them.
#[must_use]
pub fn differences(dump: &TableSchema, table: &TableSchema) -> Differences {
    let mut found = Differences {
        key: key_mismatch(&dump.description, &table.description),
        settings: Vec::new(),
    };
    compare_indexes(&mut found, &dump.description, &table.description);
    compare_vector_indexes(&mut found, dump, table);
    compare_described(&mut found, &dump.description, &table.description);
    // Replicas are part of `Table`, so they need no section.
    let regions = |schema: &TableSchema| {
        none_or(
            schema
                .replicas()
                .read()
                .map(|replicas| wording::regions_of(&replicas)),
        )
    };

    found.compare("replicas", &regions(dump), &regions(table));

    // Sections that nobody captured would be reported as settings that differ.
    if !dump.sections.is_empty() && !table.sections.is_empty() {
        compare_sections(&mut found, dump, table);
    }

    found
}

fn compare_described(found: &mut Differences, dump: &Description, table: &Description) {
    found.compare("billing", &wording::billing(dump), &wording::billing(table));
    found.compare("table class", dump.class(), table.class());
    found.compare(
        "stream",
        dump.stream().unwrap_or("off"),
        table.stream().unwrap_or("off"),
    );

    let protection = |table: &Description| wording::on_or_off(table.is_deletion_protected());
    found.compare("deletion protection", &protection(dump), &protection(table));

    // KMS keys always differ between regions and accounts; only the use of KMS is a choice that can be compared.
    let is_kms = |table: &Description| table.encryption() != Encryption::AwsOwned;
    if is_kms(dump) != is_kms(table) {
        found.compare(
            "encryption",
            &wording::encryption(dump),
            &wording::encryption(table),
        );
    }
}

fn compare_sections(found: &mut Differences, dump: &TableSchema, table: &TableSchema) {
    let mut compare = |setting: &str, dump: Option<String>, table: Option<String>| {
        // `None` is a section that was not captured or cannot be read: unknown, not different.
        if let (Some(dump), Some(table)) = (dump, table) {
            found.compare(setting, &dump, &table);
        }
    };

    let ttl = |schema: &TableSchema| {
        schema
            .time_to_live()
            .describe_or("off", |attribute| attribute)
    };
    compare("TTL", ttl(dump), ttl(table));
    let recovery = |schema: &TableSchema| {
        schema
            .point_in_time_recovery()
            .describe_or("off", |recovery| wording::recovery_in_words(&recovery))
    };

    compare("PITR", recovery(dump), recovery(table));
    let insights = |schema: &TableSchema| {
        schema
            .contributor_insights()
            .describe_or("off", |insights| wording::insights_of(&insights))
    };

    compare("contributor insights", insights(dump), insights(table));
    let scaling = |schema: &TableSchema| {
        schema
            .auto_scaling()
            .describe_or("off", |scaling| wording::scaling_in_words(&scaling))
    };

    compare("auto scaling", scaling(dump), scaling(table));
    let streams = |schema: &TableSchema| {
        schema
            .kinesis_destinations()
            .describe_or("none", |streams| wording::streams_of(&streams))
    };

    compare("Kinesis destinations", streams(dump), streams(table));
    compare_policies(found, dump, table);
    compare_tags(found, dump, table);
}

/// Compares resource policies. They are too long for a line, so a difference does not show their text.
fn compare_policies(found: &mut Differences, dump: &TableSchema, table: &TableSchema) {
    let sections = [
        (Section::ResourcePolicy, "resource policy"),
        (
            Section::StreamResourcePolicy,
            "resource policy of the stream",
        ),
    ];

    for (section, setting) in sections {
        let text = |schema: &TableSchema| {
            // Each policy names its own table; placeholders make the texts comparable.
            schema.policy(section).describe_or("", |policy| {
                arn::with_placeholders(&policy, &schema.description)
            })
        };

        let (Some(dumped), Some(present)) = (text(dump), text(table)) else {
            continue;
        };

        match (dumped.is_empty(), present.is_empty()) {
            (false, true) => found.compare(setting, "one", "none"),
            (true, false) => found.compare(setting, "none", "one"),
            _ if dumped != present => found.compare(setting, "one", "another"),
            _ => {}
        }
    }
}

/// Compares tags; a difference shows only the tags that differ.
fn compare_tags(found: &mut Differences, dump: &TableSchema, table: &TableSchema) {
    // No section means that the table has no tags.
    let tags = |schema: &TableSchema| match schema.own_tags() {
        SectionView::Absent => Some(Vec::new()),
        view => view.read(),
    };
    let (Some(dumped), Some(present)) = (tags(dump), tags(table)) else {
        return;
    };

    let only = |these: &[Tag], those: &[Tag]| {
        let only: Vec<_> = these
            .iter()
            .filter(|tag| !those.contains(tag))
            .cloned()
            .collect();

        none_or((!only.is_empty()).then(|| wording::tags_in_words(&only)))
    };

    found.compare("tags", &only(&dumped, &present), &only(&present, &dumped));
}

fn compare_vector_indexes(found: &mut Differences, dump: &TableSchema, table: &TableSchema) {
    let (dumped, present) = (
        vector_indexes::indexes(dump),
        vector_indexes::indexes(table),
    );
    let words = |indexes: &[VectorIndex], name: &str, absent: &str| {
        let index = indexes.iter().find(|index| index.name == name);
        index.map_or_else(|| absent.to_owned(), wording::vector_index)
    };
    for index in &dumped {
        let label = format!("vector index {}", index.name);
        found.compare(
            label,
            &wording::vector_index(index),
            &words(&present, &index.name, "missing"),
        );
    }

    // The loop above has compared the indexes of the dump; these are only in the table.
    for index in present
        .iter()
        .filter(|index| !dumped.iter().any(|other| other.name == index.name))
    {
        found.compare(
            format!("vector index {}", index.name),
            "none",
            &wording::vector_index(index),
        );
    }
}

fn none_or(words: Option<String>) -> String {
    words.unwrap_or_else(|| "none".to_owned())
}

fn key_mismatch(dump: &Description, table: &Description) -> Option<KeyMismatch> {
    let (dump, table) = (key_lines(dump), key_lines(table));
    (dump != table).then_some(KeyMismatch { dump, table })
}

fn key_lines(table: &Description) -> Vec<String> {
    let lines = wording::key_lines(table);
    let line = |label: &str| {
        let words = lines
            .iter()
            .find(|(found, _)| *found == label)
            .map_or("none", |(_, words)| words);
        format!("{label:KEY_LABEL_WIDTH$}  {words}")
    };

    vec![line("partition key"), line("sort key")]
}

fn compare_indexes(found: &mut Differences, dump: &Description, table: &Description) {
    // Throughput has another unit in each billing mode; `compare_described` reports the modes.
    let same_mode = matches!(
        (dump.billing(), table.billing()),
        (Billing::OnDemand, Billing::OnDemand) | (Billing::Provisioned(_), Billing::Provisioned(_))
    );
    let (dumped, present) = (wording::indexes(dump), wording::indexes(table));
    let is_deleting = |index: &IndexWords<'_>| {
        // Only GSIs have a status.
        let indexes = table.global_secondary_indexes.iter();
        index.kind == "GSI"
            && indexes
                .filter(|other| other.is_being_deleted())
                .any(|other| other.index_name == index.name)
    };

    for index in &dumped {
        match present.iter().find(|other| is_same(index, other)) {
            None => found.compare(index.label(), &index.words(), "missing"),
            Some(other) if is_deleting(other) => {
                found.compare(index.label(), &index.words(), "being deleted");
            }
            Some(other) => {
                let label = index.label();
                found.compare(format!("{label} key"), &index.key, &other.key);
                found.compare(
                    format!("{label} projection"),
                    &index.projection,
                    &other.projection,
                );

                if same_mode {
                    let throughput = |index: &IndexWords<'_>| {
                        index
                            .throughput
                            .clone()
                            .unwrap_or_else(|| "no maximum".to_owned())
                    };

                    found.compare(
                        format!("{label} throughput"),
                        &throughput(index),
                        &throughput(other),
                    );
                }
            }
        }
    }

    // An index that is being deleted is not reported as additional.
    let others = present.iter().filter(|index| !is_deleting(index));
    for index in others.filter(|index| !dumped.iter().any(|other| is_same(index, other))) {
        found.compare(index.label(), "none", &index.words());
    }
}

fn is_same(one: &IndexWords<'_>, other: &IndexWords<'_>) -> bool {
    (one.kind, one.name) == (other.kind, other.name)
}
