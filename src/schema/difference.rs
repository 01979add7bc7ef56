//! What tells a dump's schema from a table's: the key, which makes a restore impossible, and settings, which do not.
//!
//! The order of indexes, of attribute definitions and of projected attributes means nothing in DynamoDB and nothing here.

use super::description::Description;
use super::settings::{Billing, Encryption};
use super::{TableSchema, words};
use words::IndexWords;

/// One setting that differs, in people's words.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// The setting: `billing`, `GSI by-director key`.
    pub setting: String,
    /// What the dump has.
    pub dump: String,
    /// What the table has.
    pub table: String,
}

/// Both keys, in lines that can stand side by side: `partition key  pk (S)`, `sort key       none`.
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
    /// They can, and the table behaves otherwise than the dumped one.
    pub settings: Vec<Difference>,
}

impl Differences {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.key.is_none() && self.settings.is_empty()
    }

    fn compare(&mut self, setting: impl Into<String>, dump: &str, table: &str) {
        if dump != table {
            self.settings.push(Difference { setting: setting.into(), dump: dump.to_owned(), table: table.to_owned() });
        }
    }
}

/// Compares the schema of a dump with that of a table.
#[must_use]
pub fn differences(dump: &TableSchema, table: &TableSchema) -> Differences {
    let (dump, table) = (dump.description(), table.description());
    let mut found = Differences { key: key_mismatch(dump, table), settings: Vec::new() };
    compare_indexes(&mut found, dump, table);
    found.compare("billing", &words::billing(dump), &words::billing(table));
    found.compare("table class", dump.class(), table.class());
    found.compare("stream", dump.stream().unwrap_or("off"), table.stream().unwrap_or("off"));
    let protection = |table: &Description| words::on_or_off(table.is_deletion_protected());
    found.compare("deletion protection", &protection(dump), &protection(table));
    // Keys differ between regions and accounts whenever KMS is used; only KMS or not is a choice somebody made.
    let is_kms = |table: &Description| table.encryption() != Encryption::AwsOwned;
    if is_kms(dump) != is_kms(table) {
        found.compare("encryption", &words::encryption(dump), &words::encryption(table));
    }
    found
}

fn key_mismatch(dump: &Description, table: &Description) -> Option<KeyMismatch> {
    let (dump, table) = (key_lines(dump), key_lines(table));
    (dump != table).then_some(KeyMismatch { dump, table })
}

fn key_lines(table: &Description) -> Vec<String> {
    let lines = words::key_lines(table);
    let line = |label: &str| {
        let words = lines.iter().find(|(found, _)| *found == label).map_or("none", |(_, words)| words);
        format!("{label:13}  {words}")
    };
    vec![line("partition key"), line("sort key")]
}

fn compare_indexes(found: &mut Differences, dump: &Description, table: &Description) {
    let same_mode = matches!(
        (dump.billing(), table.billing()),
        (Billing::OnDemand, Billing::OnDemand) | (Billing::Provisioned(_), Billing::Provisioned(_))
    );
    let (dumped, present) = (words::indexes(dump), words::indexes(table));
    for index in &dumped {
        match present.iter().find(|other| is_same(index, other)) {
            None => found.compare(index.label(), &index.words(), "missing"),
            Some(other) => {
                let label = index.label();
                found.compare(format!("{label} key"), &index.key, &other.key);
                found.compare(format!("{label} projection"), &index.projection, &other.projection);
                if same_mode {
                    let throughput =
                        |index: &IndexWords<'_>| index.throughput.clone().unwrap_or_else(|| "no maximum".to_owned());
                    found.compare(format!("{label} throughput"), &throughput(index), &throughput(other));
                }
            }
        }
    }
    for index in present.iter().filter(|index| !dumped.iter().any(|other| is_same(index, other))) {
        found.compare(index.label(), "none", &index.words());
    }
}

fn is_same(one: &IndexWords<'_>, other: &IndexWords<'_>) -> bool {
    (one.kind, one.name) == (other.kind, other.name)
}
