//! Overrides of the schema in a dump: from flags, and from files with the flags' names as keys.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::error::{Error, Result};
use crate::schema::Capacity;

/// Overrides of a dump's schema.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Overrides {
    /// Billing mode.
    pub billing_mode: Option<BillingMode>,
    /// RCU of the table and, unless overridden, of its indexes.
    pub read_capacity: Option<u64>,
    /// WCU of the table and, unless overridden, of its indexes.
    pub write_capacity: Option<u64>,
    /// Capacity of single GSIs.
    pub index_capacity: BTreeMap<String, Capacity>,
    /// Upper bound of an on-demand table and its GSIs, in read request units per second.
    pub max_read_units: Option<u64>,
    /// Upper bound of an on-demand table and its GSIs, in write request units per second.
    pub max_write_units: Option<u64>,
    /// Table class.
    pub table_class: Option<TableClass>,
    /// KMS key by ARN, alias or id.
    pub kms_key: Option<String>,
    /// Tags to add to the dump's, replacing those with the same name.
    #[serde(rename = "add-tag")]
    pub add_tags: BTreeMap<String, String>,
    /// Drops the dump's tags.
    pub no_tags: bool,
    /// Indexes to drop; `all` drops every index.
    #[serde(rename = "drop-index", deserialize_with = "one_or_many")]
    pub drop_indexes: Vec<String>,
    /// The only indexes to keep, if any is named.
    #[serde(rename = "only-index", deserialize_with = "one_or_many")]
    pub only_indexes: Vec<String>,
    /// A new key: `new_pk:S,new_sk:S`. The type may be left out where the schema defines the attribute.
    pub key_schema: Option<String>,
}

/// A billing mode as flags write it: `on-demand`, `provisioned`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BillingMode {
    /// Billed by request.
    OnDemand,
    /// Billed by provisioned capacity.
    Provisioned,
}

/// A table class as flags write it: `standard`, `standard-infrequent-access`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableClass {
    /// `STANDARD`.
    Standard,
    /// `STANDARD_INFREQUENT_ACCESS`.
    StandardInfrequentAccess,
}

/// The notation of an overrides file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverridesFormat {
    /// JSON.
    Json,
    /// TOML.
    Toml,
}

impl Overrides {
    /// Reads a file's text; its keys are named as the flags.
    ///
    /// # Errors
    ///
    /// [`Usage`](crate::error::ErrorKind::Usage) naming the key that is unknown or has a wrong value, and its line.
    pub fn parse(text: &str, format: OverridesFormat) -> Result<Self> {
        let read = match format {
            OverridesFormat::Json => serde_json::from_str(text).map_err(|error| error.to_string()),
            OverridesFormat::Toml => toml::from_str(text).map_err(|error| toml_words(text, &error)),
        };
        read.map_err(|words| {
            Error::usage(format!("these are not schema overrides: {words}")).with_hint(
                "the keys are the flags without their hyphens in front, such as billing-mode = \"on-demand\"",
            )
        })
    }

    /// These overrides, from flags, over a `file`'s. A flag for one billing mode overrides the file's figures for the other.
    #[must_use]
    pub fn merge(self, file: Self) -> Self {
        let asks_for_capacity = self.read_capacity.is_some() || self.write_capacity.is_some();
        // Figures in the file for the other mode would contradict the flags, which take precedence.
        let file = match self.billing_mode {
            Some(BillingMode::OnDemand) => Self {
                read_capacity: None,
                write_capacity: None,
                index_capacity: BTreeMap::new(),
                ..file
            },
            Some(BillingMode::Provisioned) => Self {
                max_read_units: None,
                max_write_units: None,
                ..file
            },
            None if asks_for_capacity => Self {
                // Capacity flags imply a provisioned table.
                billing_mode: file
                    .billing_mode
                    .filter(|mode| *mode == BillingMode::Provisioned),
                max_read_units: None,
                max_write_units: None,
                ..file
            },
            _ => file,
        };

        let list = |flags: Vec<String>, file| if flags.is_empty() { file } else { flags };
        Self {
            billing_mode: self.billing_mode.or(file.billing_mode),
            read_capacity: self.read_capacity.or(file.read_capacity),
            write_capacity: self.write_capacity.or(file.write_capacity),
            // In maps, later entries replace earlier ones: the file first, then the flags.
            index_capacity: file
                .index_capacity
                .into_iter()
                .chain(self.index_capacity)
                .collect(),
            max_read_units: self.max_read_units.or(file.max_read_units),
            max_write_units: self.max_write_units.or(file.max_write_units),
            table_class: self.table_class.or(file.table_class),
            kms_key: self.kms_key.or(file.kms_key),
            add_tags: file.add_tags.into_iter().chain(self.add_tags).collect(),
            no_tags: self.no_tags || file.no_tags,
            drop_indexes: list(self.drop_indexes, file.drop_indexes),
            only_indexes: list(self.only_indexes, file.only_indexes),
            key_schema: self.key_schema.or(file.key_schema),
        }
    }
}

/// The TOML error on one line; the `toml` crate's own message has several.
fn toml_words(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| before.matches('\n').count() + 1);
    let words = error.message().replace('\n', ", ");

    line.map_or_else(|| words.clone(), |line| format!("{words} at line {line}"))
}

/// `R:W`, as in `--index-capacity NAME=R:W`.
impl FromStr for Capacity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let units = |text: &str| text.parse().ok().filter(|units| *units > 0);
        let capacity = text.split_once(':').and_then(|(read, write)| {
            Some(Self {
                read: units(read)?,
                write: units(write)?,
            })
        });

        capacity.ok_or_else(|| {
            Error::usage(format!("`{text}` is no capacity"))
                .with_hint("write RCU and WCU, both above 0, as in 5:10")
        })
    }
}

impl<'de> Deserialize<'de> for Capacity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a name or a list of names")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }

    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(name) => vec![name],
        OneOrMany::Many(names) => names,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, format: OverridesFormat) -> Overrides {
        Overrides::parse(text, format).unwrap()
    }

    #[test]
    fn both_notations_say_the_same() {
        let json = r#"{"billing-mode": "provisioned", "read-capacity": 3, "index-capacity": {"by-year": "4:5"},
            "table-class": "standard-infrequent-access", "kms-key": "alias/k", "add-tag": {"team": "films"}, "no-tags": true,
            "drop-index": "all", "only-index": ["a", "b"], "key-schema": "pk:S"}"#;
        let toml = r#"
            billing-mode = "provisioned"
            read-capacity = 3
            table-class = "standard-infrequent-access"
            kms-key = "alias/k"
            no-tags = true
            drop-index = ["all"]
            only-index = ["a", "b"]
            key-schema = "pk:S"
            [index-capacity]
            by-year = "4:5"
            [add-tag]
            team = "films"
        "#;

        let expected = Overrides {
            billing_mode: Some(BillingMode::Provisioned),
            read_capacity: Some(3),
            index_capacity: BTreeMap::from([(
                "by-year".to_owned(),
                Capacity { read: 4, write: 5 },
            )]),
            table_class: Some(TableClass::StandardInfrequentAccess),
            kms_key: Some("alias/k".to_owned()),
            add_tags: BTreeMap::from([("team".to_owned(), "films".to_owned())]),
            no_tags: true,
            drop_indexes: vec!["all".to_owned()],
            only_indexes: vec!["a".to_owned(), "b".to_owned()],
            key_schema: Some("pk:S".to_owned()),
            ..Overrides::default()
        };

        assert_eq!(read(json, OverridesFormat::Json), expected);
        assert_eq!(read(toml, OverridesFormat::Toml), expected);
        assert_eq!(read("{}", OverridesFormat::Json), Overrides::default());
        assert_eq!(read("", OverridesFormat::Toml), Overrides::default());
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (toml, words) in [
            ("\nread_capacity = 3", "unknown field `read_capacity`"),
            ("\nread-capacity = -3", "-3"),
            ("\nbilling-mode = \"free\"", "`free`"),
            ("\nindex-capacity = { a = \"0:1\" }", "`0:1` is no capacity"),
            ("\ndrop-index = 3", "a name or a list of names"),
        ] {
            let error = Overrides::parse(toml, OverridesFormat::Toml).unwrap_err();
            assert_eq!(error.kind(), crate::error::ErrorKind::Usage);
            assert!(
                error.to_string().contains(words) && error.to_string().ends_with("at line 2"),
                "{error}"
            );
            assert!(!error.to_string().contains('\n'));
        }

        let error = Overrides::parse("{\n\"no-tags\": 1}", OverridesFormat::Json).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }

    #[test]
    fn flags_win_over_a_file() {
        let file = read(
            "read-capacity = 3\nwrite-capacity = 4\ndrop-index = \"a\"\nno-tags = true\nadd-tag = { a = \"1\", b = \"2\" }",
            OverridesFormat::Toml,
        );
        let flags = Overrides {
            read_capacity: Some(30),
            drop_indexes: vec!["b".to_owned()],
            add_tags: BTreeMap::from([("a".to_owned(), "10".to_owned())]),
            ..Overrides::default()
        };

        let both = flags.merge(file.clone());
        assert_eq!(
            (both.read_capacity, both.write_capacity, both.no_tags),
            (Some(30), Some(4), true)
        );
        assert_eq!(both.drop_indexes, ["b"]);
        assert_eq!(both.add_tags.values().collect::<Vec<_>>(), ["10", "2"]);
        assert_eq!(Overrides::default().merge(file.clone()), file);

        let on_demand = Overrides {
            billing_mode: Some(BillingMode::OnDemand),
            ..Overrides::default()
        }
        .merge(file);

        assert_eq!(
            (on_demand.read_capacity, on_demand.write_capacity),
            (None, None)
        );
        let file = read(
            "billing-mode = \"on-demand\"\nmax-read-units = 9",
            OverridesFormat::Toml,
        );
        let provisioned = Overrides {
            write_capacity: Some(1),
            ..Overrides::default()
        }
        .merge(file);

        assert_eq!(
            (provisioned.billing_mode, provisioned.max_read_units),
            (None, None)
        );
    }
}
