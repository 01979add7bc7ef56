//! Overrides of the schema in a dump: from flags, from `KEY=VALUE` assignments, and from files.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::de::value::StrDeserializer;
use serde::de::{Error as _, IntoDeserializer as _};
use serde::{Deserialize, Deserializer};

use crate::error::{Error, Result};
use crate::field::Field;
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
    /// Capacity of individual GSIs.
    pub index_capacity: BTreeMap<String, Capacity>,
    /// Maximum throughput of an on-demand table and its GSIs, in read request units per second.
    pub on_demand_max_read: Option<u64>,
    /// Maximum throughput of an on-demand table and its GSIs, in write request units per second.
    pub on_demand_max_write: Option<u64>,
    /// Table class.
    pub table_class: Option<TableClass>,
    /// KMS key by ARN, alias or id.
    pub kms_key: Option<String>,
    /// Tags to add to the dump's, replacing those with the same name.
    #[serde(rename = "tag")]
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

/// A billing mode. AWS's own names are accepted as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum BillingMode {
    /// Pay per request
    #[serde(alias = "PAY_PER_REQUEST")]
    #[cfg_attr(feature = "cli", value(alias = "PAY_PER_REQUEST"))]
    OnDemand,
    /// Pay for provisioned capacity
    #[serde(alias = "PROVISIONED")]
    #[cfg_attr(feature = "cli", value(alias = "PROVISIONED"))]
    Provisioned,
}

/// A table class: `standard`, `standard-infrequent-access`.
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
    /// Names of the overrides that are not options of their own, for [`set`](Self::set).
    pub const ASSIGNABLE: [&'static str; 7] = [
        "index-capacity",
        "on-demand-max-read",
        "on-demand-max-write",
        "table-class",
        "kms-key",
        "tag",
        "only-index",
    ];

    /// Sets one override from `KEY=VALUE`, where `KEY` is one of [`ASSIGNABLE`](Self::ASSIGNABLE).
    /// For `index-capacity` and `tag`, which can be set repeatedly, `VALUE` is itself `NAME=VALUE`.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): the key is unknown, or the value is invalid.
    pub fn set(&mut self, assignment: &str) -> Result<()> {
        let invalid = |expected: &str| {
            Error::usage(format!(
                "{overrides} {assignment}: the value is invalid",
                overrides = Field::Overrides
            ))
            .with_hint(format!(
                "expected: {overrides} {expected}",
                overrides = Field::Overrides
            ))
        };
        let (key, value) = assignment
            .split_once('=')
            .ok_or_else(|| unknown_assignment(assignment))?;

        match key {
            "index-capacity" => {
                let (name, capacity) = split_name(value)
                    .and_then(|(name, capacity)| Some((name, capacity.parse().ok()?)))
                    .ok_or_else(|| invalid("index-capacity=NAME=RCU:WCU"))?;
                self.index_capacity.insert(name, capacity);
            }
            "tag" => {
                let (name, value) = split_name(value).ok_or_else(|| invalid("tag=NAME=VALUE"))?;
                self.add_tags.insert(name, value.to_owned());
            }
            "on-demand-max-read" => {
                let units = positive(value).ok_or_else(|| invalid("on-demand-max-read=UNITS"))?;
                self.on_demand_max_read = Some(units);
            }
            "on-demand-max-write" => {
                let units = positive(value).ok_or_else(|| invalid("on-demand-max-write=UNITS"))?;
                self.on_demand_max_write = Some(units);
            }
            "table-class" => {
                let expected = "table-class=standard or table-class=standard-infrequent-access";
                let class: StrDeserializer<'_, serde::de::value::Error> = value.into_deserializer();
                let class = TableClass::deserialize(class).map_err(|_| invalid(expected))?;
                self.table_class = Some(class);
            }
            "kms-key" if value.is_empty() => return Err(invalid("kms-key=KEY")),
            "kms-key" => self.kms_key = Some(value.to_owned()),
            "only-index" => {
                let names: Vec<String> = value.split(',').map(ToOwned::to_owned).collect();
                if names.iter().any(String::is_empty) {
                    return Err(invalid("only-index=NAME,NAME"));
                }
                self.only_indexes.extend(names);
            }
            _ => return Err(unknown_assignment(assignment)),
        }

        Ok(())
    }

    /// Parses the text of a file. Its keys are the names of the flags and of
    /// [`ASSIGNABLE`](Self::ASSIGNABLE) overrides.
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
            Error::usage(format!("invalid schema overrides: {words}")).with_hint(
                "keys are option names without the leading hyphens, for example billing-mode = \"on-demand\"",
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
                on_demand_max_read: None,
                on_demand_max_write: None,
                ..file
            },
            None if asks_for_capacity => Self {
                // Capacity flags imply a provisioned table.
                billing_mode: file
                    .billing_mode
                    .filter(|mode| *mode == BillingMode::Provisioned),
                on_demand_max_read: None,
                on_demand_max_write: None,
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
            on_demand_max_read: self.on_demand_max_read.or(file.on_demand_max_read),
            on_demand_max_write: self.on_demand_max_write.or(file.on_demand_max_write),
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

fn unknown_assignment(assignment: &str) -> Error {
    Error::usage(format!(
        "{overrides} {assignment}: not an override",
        overrides = Field::Overrides
    ))
    .with_hint(format!(
        "set KEY=VALUE with KEY one of {}",
        Overrides::ASSIGNABLE.join(", ")
    ))
}

/// Splits `NAME=VALUE`; `None` if there is no `=` or no name.
fn split_name(text: &str) -> Option<(String, &str)> {
    text.split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, value)| (name.to_owned(), value))
}

fn positive(text: &str) -> Option<u64> {
    text.parse().ok().filter(|units| *units > 0)
}

/// The TOML error on one line; the `toml` crate's own message has several.
fn toml_words(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map(|before| before.matches('\n').count() + 1);
    let words = error.message().replace('\n', ", ");

    line.map_or_else(|| words.clone(), |line| format!("{words} at line {line}"))
}

/// `R:W`, as in `--set index-capacity=NAME=R:W`.
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
            Error::usage(format!("`{text}` is not a capacity"))
                .with_hint("write RCU:WCU, both above 0, for example 5:10")
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
            "table-class": "standard-infrequent-access", "kms-key": "alias/k", "tag": {"team": "films"}, "no-tags": true,
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
            [tag]
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
            (
                "\nindex-capacity = { a = \"0:1\" }",
                "`0:1` is not a capacity",
            ),
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
    fn assignments_set_what_the_file_can_set() {
        let mut overrides = Overrides::default();
        for assignment in [
            "index-capacity=by-year=4:5",
            "on-demand-max-read=7",
            "on-demand-max-write=8",
            "table-class=standard",
            "kms-key=alias/k=",
            "tag=team=films=all",
            "tag=empty=",
            "only-index=a,b",
            "only-index=c",
        ] {
            overrides.set(assignment).unwrap();
        }

        let file = r#"
            on-demand-max-read = 7
            on-demand-max-write = 8
            table-class = "standard"
            kms-key = "alias/k="
            only-index = ["a", "b", "c"]
            [index-capacity]
            by-year = "4:5"
            [tag]
            team = "films=all"
            empty = ""
        "#;
        assert_eq!(overrides, read(file, OverridesFormat::Toml));
    }

    #[test]
    fn an_invalid_assignment_names_what_is_expected() {
        for (assignment, hint) in [
            ("index-capacity=by-year", "index-capacity=NAME=RCU:WCU"),
            ("index-capacity==1:1", "index-capacity=NAME=RCU:WCU"),
            ("index-capacity=by-year=0:7", "index-capacity=NAME=RCU:WCU"),
            ("tag=a", "tag=NAME=VALUE"),
            ("on-demand-max-read=0", "on-demand-max-read=UNITS"),
            ("on-demand-max-write=x", "on-demand-max-write=UNITS"),
            (
                "table-class=cheap",
                "table-class=standard-infrequent-access",
            ),
            ("kms-key=", "kms-key=KEY"),
            ("only-index=a,", "only-index=NAME,NAME"),
            ("read-capacity=3", "index-capacity, on-demand-max-read"),
            ("tag", "index-capacity, on-demand-max-read"),
        ] {
            let error = Overrides::default().set(assignment).unwrap_err();
            assert_eq!(error.kind(), crate::error::ErrorKind::Usage);
            assert!(
                error.hint().unwrap().contains(hint),
                "{assignment}: {error}"
            );
        }
    }

    #[test]
    fn aws_names_of_billing_modes_are_accepted() {
        let mode = |name: &str| {
            read(&format!("billing-mode = \"{name}\""), OverridesFormat::Toml).billing_mode
        };
        assert_eq!(mode("PAY_PER_REQUEST"), mode("on-demand"));
        assert_eq!(mode("PROVISIONED"), mode("provisioned"));
    }

    #[test]
    fn flags_win_over_a_file() {
        let file = read(
            "read-capacity = 3\nwrite-capacity = 4\ndrop-index = \"a\"\nno-tags = true\ntag = { a = \"1\", b = \"2\" }",
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
            "billing-mode = \"on-demand\"\non-demand-max-read = 9",
            OverridesFormat::Toml,
        );
        let provisioned = Overrides {
            write_capacity: Some(1),
            ..Overrides::default()
        }
        .merge(file);

        assert_eq!(
            (provisioned.billing_mode, provisioned.on_demand_max_read),
            (None, None)
        );
    }
}
