//! Lists the settings of a schema that neither `CreateTable` nor a later call recreates. A restore reports each of them.
//!
//! Settings that are skipped by choice are in [`SettingsPlan::skipped`](super::SettingsPlan::skipped) and not repeated here.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::TableSchema;
use super::document::raw::{elements_of, fields_of, is_empty};
use super::document::section::Section;
use super::settings::tags::AWS_TAG_PREFIX;
use super::settings::values::{PAY_PER_REQUEST, PROVISIONED};
use super::unknown_fields;
use super::vector_indexes::{self, VECTOR_INDEXES};

const NOT_IN_THIS_VERSION: &str = "this version does not recreate it";
const UNKNOWN_FIELD: &str = "this version does not support the field";

/// The mode of a table without replicas in other accounts, and that of a global table within one account
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TableDescription.html>).
const DEFAULT_REPLICATION_MODES: [&str; 2] = ["DISABLED", "ENABLED_WITH_OVERRIDES"];

/// A setting that a new table, a schema or a comparison lacks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct MissingSetting {
    /// The setting, with its value if that is informative: `multi-region consistency STRONG`.
    pub setting: String,
    /// Why it is missing.
    pub reason: String,
}

/// Lists everything in `schema` that is not part of a request or call.
pub(crate) fn not_recreated(schema: &TableSchema) -> Vec<MissingSetting> {
    let mut list = NotRecreatedList(Vec::new());
    // `Description::billing` treats a mode that it does not know as on-demand.
    let mode = schema.description.billing_mode_name();
    if let Some(mode) = mode.filter(|mode| ![PROVISIONED, PAY_PER_REQUEST].contains(mode)) {
        list.add(
            format!("billing mode {mode}"),
            "this version does not support the mode; the table becomes on-demand",
        );
    }

    for (name, value) in fields_of(&schema.table).unwrap_or_default() {
        list_field(&mut list, schema, &name, value);
    }

    // A request cannot set tags with AWS's prefix.
    let tags = schema.tags().read().unwrap_or_default();
    let aws_tags = tags
        .iter()
        .filter(|tag| tag.key.starts_with(AWS_TAG_PREFIX))
        .count();
    if aws_tags > 0 {
        list.add(
            format!("{aws_tags} tags managed by AWS"),
            "tag names that start with aws: are reserved",
        );
    }

    // A section of a later version must be reported, not dropped silently.
    for (name, value) in &schema.sections {
        match Section::all()
            .into_iter()
            .find(|section| section.name() == name)
        {
            Some(section) => list_section(&mut list, schema, section, value),
            None if is_empty(value) => {}
            None => list.add(name, NOT_IN_THIS_VERSION),
        }
    }

    for field in unknown_fields::of_table(&schema.table) {
        list.add(field, UNKNOWN_FIELD);
    }

    list.0
}

struct NotRecreatedList(Vec<MissingSetting>);

impl NotRecreatedList {
    fn add(&mut self, setting: impl Into<String>, reason: &str) {
        self.0.push(MissingSetting {
            setting: setting.into(),
            reason: reason.to_owned(),
        });
    }
}

/// Fields of the table that this version knows and does not recreate.
fn list_field(list: &mut NotRecreatedList, schema: &TableSchema, name: &str, value: &RawValue) {
    if is_empty(value) {
        return;
    }

    match name {
        "GlobalTableWitnesses" => list.add(
            format!("global table witness{}", regions_in(value)),
            NOT_IN_THIS_VERSION,
        ),
        "GlobalTableSourceArn" => list.add("membership in a global table", NOT_IN_THIS_VERSION),
        "MultiRegionConsistency" if text(value) != "EVENTUAL" => {
            list.add(
                format!("multi-region consistency {}", text(value)),
                NOT_IN_THIS_VERSION,
            );
        }
        "GlobalTableSettingsReplicationMode"
            if !DEFAULT_REPLICATION_MODES.contains(&text(value).as_str()) =>
        {
            list.add(
                format!("global table settings replication {}", text(value)),
                NOT_IN_THIS_VERSION,
            );
        }
        // Protection is the default of a replica.
        "DisassociationProtectionEnabled" if text(value) == "false" => {
            list.add("disassociation protection off", NOT_IN_THIS_VERSION);
        }
        VECTOR_INDEXES => {
            // A value that is not an array counts as one index.
            let count = elements_of(value).map_or(1, |all| all.len());
            let unread = count.saturating_sub(vector_indexes::indexes(schema).len());
            if unread > 0 {
                list.add(
                    format!("{unread} vector indexes"),
                    "this version cannot read them",
                );
            }
        }
        _ => {}
    }
}

/// The fields of a section that are in no call. A section that was not captured or cannot be read at all is a setting that is
/// skipped.
fn list_section(
    list: &mut NotRecreatedList,
    schema: &TableSchema,
    section: Section,
    value: &RawValue,
) {
    // The placeholder of a section that was not captured has a field of its own.
    if schema.not_captured_reason(section).is_none() {
        for field in unknown_fields::of_section(section, value) {
            list.add(field, UNKNOWN_FIELD);
        }
    }
}

/// ` in eu-west-1, us-east-1`, from the `RegionName` of each element.
fn regions_in(value: &RawValue) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct RegionEntry {
        region_name: String,
    }

    match serde_json::from_str::<Vec<RegionEntry>>(value.get()) {
        Ok(entries) => {
            let names: Vec<_> = entries.into_iter().map(|entry| entry.region_name).collect();
            format!(" in {}", names.join(", "))
        }
        Err(_) => String::new(),
    }
}

/// A JSON string's content, or the text of any other value.
fn text(value: &RawValue) -> String {
    serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned())
}
