//! Differences between a dump's schema and a table: a different key prevents a restore, different settings do not.
//!
//! The order of indexes, of attribute definitions and of projected attributes means nothing in DynamoDB and nothing here.

use super::description::Description;
use super::settings::SETTINGS;
use super::settings::spec::Setting;
use super::settings::values::Billing;
use super::vector_indexes;
use super::{TableSchema, wording};
use wording::IndexWords;

/// One setting that differs, described for people.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The part of the table that differs.
    #[serde(skip)]
    pub subject: Subject,
    /// The setting: `billing`, `GSI by-director key`.
    pub setting: String,
    /// The value in the dump.
    pub dump: String,
    /// The value of the table.
    pub table: String,
}

/// The part of a table that a difference is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The partition key or the sort key.
    Key,
    /// An index of any kind.
    Index(IndexDifference),
    /// A setting.
    Setting(Setting),
}

/// How an index differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexDifference {
    /// The table lacks the GSI, or is deleting it. It can be added.
    MissingGsi,
    /// The table lacks an index of another kind, which it can only get at its creation.
    Missing,
    /// Only the table has it.
    Additional,
    /// Key, projection, or the definition of a vector index.
    Definition,
    /// Capacity or upper bounds.
    Throughput,
}

/// The partition key or the sort key of dump and table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPart {
    /// `partition key`, `sort key`.
    pub label: &'static str,
    /// The dump's: `pk (S)`, `none`.
    pub dump: String,
    /// The table's.
    pub table: String,
}

/// Both keys, part by part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyMismatch {
    /// Partition key and sort key, whether they differ or not.
    pub parts: [KeyPart; 2],
}

/// All that differs between a dump's schema and a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Differences {
    /// Items of the dump cannot live in the table.
    pub key: Option<KeyMismatch>,
    /// They can, but the table behaves differently from the dumped one.
    pub settings: Vec<Difference>,
}

/// As wide as `partition key`.
const KEY_LABEL_WIDTH: usize = 13;

impl KeyMismatch {
    /// The dump's key in lines: `partition key  pk (S)`, `sort key       none`.
    #[must_use]
    pub fn dump_lines(&self) -> Vec<String> {
        self.lines(|part| &part.dump)
    }

    /// The table's key in as many lines.
    #[must_use]
    pub fn table_lines(&self) -> Vec<String> {
        self.lines(|part| &part.table)
    }

    fn lines(&self, side: impl Fn(&KeyPart) -> &String) -> Vec<String> {
        let line = |part: &KeyPart| format!("{:KEY_LABEL_WIDTH$}  {}", part.label, side(part));
        self.parts.iter().map(line).collect()
    }

    /// The same as differences of settings: one for the partition key, one for the sort key, where they differ.
    #[must_use]
    pub fn differences(&self) -> Vec<Difference> {
        self.parts
            .iter()
            .filter(|part| part.dump != part.table)
            .map(|part| Difference {
                subject: Subject::Key,
                setting: part.label.to_owned(),
                dump: part.dump.clone(),
                table: part.table.clone(),
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

    fn compare_index(
        &mut self,
        how: IndexDifference,
        setting: impl Into<String>,
        dump: &str,
        table: &str,
    ) {
        if dump != table {
            self.settings.push(Difference {
                subject: Subject::Index(how),
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

    // Sections that nobody captured would be reported as settings that differ.
    let have_sections = !dump.sections.is_empty() && !table.sections.is_empty();
    for spec in SETTINGS.iter().copied() {
        if spec.is_described || spec.sections.is_empty() || have_sections {
            let differences = spec.compare(dump, table).into_iter();
            found
                .settings
                .extend(differences.map(|difference| Difference {
                    subject: Subject::Setting(Setting(spec)),
                    setting: difference.label.to_owned(),
                    dump: difference.dump,
                    table: difference.table,
                }));
        }
    }

    found
}

fn compare_vector_indexes(found: &mut Differences, dump: &TableSchema, table: &TableSchema) {
    let (dumped, present) = (
        vector_indexes::indexes(dump),
        vector_indexes::indexes(table),
    );
    for index in &dumped {
        let label = format!("vector index {}", index.name);
        let other = present.iter().find(|other| other.name == index.name);
        let (how, table) = match other {
            None => (IndexDifference::Missing, "missing".to_owned()),
            Some(other) => (IndexDifference::Definition, wording::vector_index(other)),
        };

        found.compare_index(how, label, &wording::vector_index(index), &table);
    }

    // The loop above has compared the indexes of the dump; these are only in the table.
    for index in present
        .iter()
        .filter(|index| !dumped.iter().any(|other| other.name == index.name))
    {
        found.compare_index(
            IndexDifference::Additional,
            format!("vector index {}", index.name),
            "none",
            &wording::vector_index(index),
        );
    }
}

fn key_mismatch(dump: &Description, table: &Description) -> Option<KeyMismatch> {
    let (dumped, present) = (wording::key_lines(dump), wording::key_lines(table));
    let part = |label| {
        let words = |lines: &[(&str, String)]| {
            let line = lines.iter().find(|(found, _)| *found == label);
            line.map_or_else(|| "none".to_owned(), |(_, words)| words.clone())
        };
        KeyPart {
            label,
            dump: words(&dumped),
            table: words(&present),
        }
    };

    (dumped != present).then(|| KeyMismatch {
        parts: ["partition key", "sort key"].map(part),
    })
}

fn compare_indexes(found: &mut Differences, dump: &Description, table: &Description) {
    // Throughput has another unit in each billing mode; the setting `billing` reports the modes.
    let same_mode = matches!(
        (dump.billing(), table.billing()),
        (Billing::OnDemand, Billing::OnDemand) | (Billing::Provisioned(_), Billing::Provisioned(_))
    );
    let (dumped, present) = (wording::indexes(dump), wording::indexes(table));
    let is_deleting = |index: &IndexWords<'_>| {
        // Only GSIs have a status.
        let indexes = table.global_secondary_indexes.iter();
        indexes
            .filter(|other| other.is_being_deleted())
            .any(|other| other.index_name == index.name)
    };

    for index in &dumped {
        let missing = if index.kind == "GSI" {
            IndexDifference::MissingGsi
        } else {
            IndexDifference::Missing
        };

        match present.iter().find(|other| is_same(index, other)) {
            None => found.compare_index(missing, index.label(), &index.words(), "missing"),
            Some(other) if is_deleting(other) => {
                found.compare_index(missing, index.label(), &index.words(), "being deleted");
            }
            Some(other) => compare_index(found, index, other, same_mode),
        }
    }

    // An index that is being deleted is not reported as additional.
    let others = present.iter().filter(|index| !is_deleting(index));
    for index in others.filter(|index| !dumped.iter().any(|other| is_same(index, other))) {
        found.compare_index(
            IndexDifference::Additional,
            index.label(),
            "none",
            &index.words(),
        );
    }
}

/// Compares an index that both have; the throughput only in the same billing mode.
fn compare_index(
    found: &mut Differences,
    index: &IndexWords<'_>,
    other: &IndexWords<'_>,
    same_mode: bool,
) {
    let label = index.label();
    found.compare_index(
        IndexDifference::Definition,
        format!("{label} key"),
        &index.key,
        &other.key,
    );
    found.compare_index(
        IndexDifference::Definition,
        format!("{label} projection"),
        &index.projection,
        &other.projection,
    );

    if same_mode {
        let throughput = |index: &IndexWords<'_>| {
            let throughput = index.throughput.clone();
            throughput.unwrap_or_else(|| "no maximum".to_owned())
        };

        found.compare_index(
            IndexDifference::Throughput,
            format!("{label} throughput"),
            &throughput(index),
            &throughput(other),
        );
    }
}

fn is_same(one: &IndexWords<'_>, other: &IndexWords<'_>) -> bool {
    (one.kind, one.name) == (other.kind, other.name)
}
