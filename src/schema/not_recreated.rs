//! What a schema says and a table created from it will not have, named one by one: a restore that is silent about a lost setting
//! is a restore that lied.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::TableSchema;
use super::description::{Description, WarmThroughput};
use super::known::{element_name, unknown_fields};
use super::raw::{elements_of, fields_of, is_empty};
use super::settings::{Billing, Capacity, Encryption, PAY_PER_REQUEST, PROVISIONED};

/// What a new on-demand table or index takes at once
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/warm-throughput-scenarios.html>).
const NEW_ON_DEMAND: Capacity = Capacity { read: 12_000, write: 4_000 };

const NOT_IN_THIS_VERSION: &str = "this version does not recreate it";
const UNKNOWN_FIELD: &str = "this version does not know the field";

/// One setting of a schema that a table created from it will not have.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct NotRecreated {
    /// The setting, with its value where that says more: `stream (NEW_IMAGE)`.
    pub setting: String,
    /// Why it is left out.
    pub reason: String,
}

/// Everything in `schema` that [`TableSchema::create_table_request`] leaves out.
pub(super) fn not_recreated(schema: &TableSchema) -> Vec<NotRecreated> {
    let mut list = List(Vec::new());
    let table = &schema.description;
    list_settings(&mut list, table);
    list_encryption(&mut list, table);
    list_warm_throughput(&mut list, table);
    for (name, value) in fields_of(&schema.table).unwrap_or_default() {
        list_field(&mut list, &name, value);
    }
    for (name, value) in &schema.sections {
        list_section(&mut list, name, value);
    }
    for field in unknown_fields(&schema.table) {
        list.add(field, UNKNOWN_FIELD);
    }
    list.0
}

struct List(Vec<NotRecreated>);

impl List {
    fn add(&mut self, setting: impl Into<String>, reason: &str) {
        self.0.push(NotRecreated { setting: setting.into(), reason: reason.to_owned() });
    }
}

fn list_settings(list: &mut List, table: &Description) {
    if let Some(mode) = table.billing_mode_name().filter(|mode| ![PROVISIONED, PAY_PER_REQUEST].contains(mode)) {
        list.add(format!("billing mode {mode}"), "this version does not know the mode; the table becomes on-demand");
    }
    if let Some(view) = table.stream() {
        list.add(format!("stream ({view})"), NOT_IN_THIS_VERSION);
    }
    if table.is_deletion_protected() {
        list.add("deletion protection", NOT_IN_THIS_VERSION);
    }
}

fn list_encryption(list: &mut List, table: &Description) {
    let Encryption::Kms(key) = table.encryption() else { return };
    let setting =
        key.map_or_else(|| "encryption with a KMS key".to_owned(), |key| format!("encryption with KMS key {key}"));
    list.add(
        setting,
        "the schema does not tell whether the key is AWS's or your own, nor whether the target may use it; \
         the table gets a key owned by AWS",
    );
}

fn list_warm_throughput(list: &mut List, table: &Description) {
    let start = |capacity: Option<Capacity>| capacity.unwrap_or(NEW_ON_DEMAND);
    let capacity = match table.billing() {
        Billing::Provisioned(capacity) => Some(capacity),
        Billing::OnDemand => None,
    };
    list_warm(list, "warm throughput", table.warm_throughput, start(capacity));
    for index in &table.global_secondary_indexes {
        let setting = format!("warm throughput of index {}", index.index_name);
        list_warm(list, &setting, index.warm_throughput, start(table.index_capacity(index)));
    }
}

/// Every table has some warm throughput; only more than a new one starts with is lost.
fn list_warm(list: &mut List, setting: &str, warm: Option<WarmThroughput>, new: Capacity) {
    let Some(warm) = warm else { return };
    let (read, write) = (warm.read_units_per_second.unwrap_or(0), warm.write_units_per_second.unwrap_or(0));
    if read > new.read || write > new.write {
        let reason = format!("a new one starts with {} read / {} write units per second", new.read, new.write);
        list.add(format!("{setting} ({read} read / {write} write units per second)"), &reason);
    }
}

/// Fields of the table that this version knows and does not read further.
fn list_field(list: &mut List, name: &str, value: &RawValue) {
    if is_empty(value) {
        return;
    }
    match name {
        "Replicas" => list.add(format!("replicas{}", regions_in(value)), NOT_IN_THIS_VERSION),
        "GlobalTableWitnesses" => list.add(format!("global table witness{}", regions_in(value)), NOT_IN_THIS_VERSION),
        "GlobalTableSourceArn" => list.add("membership in a global table", NOT_IN_THIS_VERSION),
        "MultiRegionConsistency" if text(value) != "EVENTUAL" => {
            list.add(format!("multi-region consistency {}", text(value)), NOT_IN_THIS_VERSION);
        }
        "GlobalTableSettingsReplicationMode" if text(value) != "DISABLED" => {
            list.add(format!("global table settings replication {}", text(value)), NOT_IN_THIS_VERSION);
        }
        "ResourcePolicy" => list.add("resource policy", NOT_IN_THIS_VERSION),
        "Tags" => list_tags(list, value),
        "VectorIndexes" => {
            for index in elements_of(value).unwrap_or_default() {
                let index = element_name(index).unwrap_or_default();
                list.add(format!("vector index {index}"), NOT_IN_THIS_VERSION);
            }
        }
        _ => {}
    }
}

/// Sections of the document beside the table.
fn list_section(list: &mut List, name: &str, value: &RawValue) {
    match name {
        _ if is_empty(value) => {}
        "Tags" => list_tags(list, value),
        "TimeToLive" => list_time_to_live(list, value),
        _ => list.add(name, NOT_IN_THIS_VERSION),
    }
}

fn list_tags(list: &mut List, value: &RawValue) {
    let count = elements_of(value).map_or_else(String::new, |tags| format!(" ({})", tags.len()));
    list.add(format!("tags{count}"), NOT_IN_THIS_VERSION);
}

/// DynamoDB's `TimeToLiveDescription`, bare.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TimeToLive {
    time_to_live_status: Option<String>,
    attribute_name: Option<String>,
}

fn list_time_to_live(list: &mut List, value: &RawValue) {
    let Ok(TimeToLive { time_to_live_status, attribute_name }) = serde_json::from_str(value.get()) else {
        return list.add("TTL", NOT_IN_THIS_VERSION);
    };
    if !matches!(time_to_live_status.as_deref(), Some("DISABLED" | "DISABLING")) {
        let attribute = attribute_name.map_or_else(String::new, |name| format!(" on {name}"));
        list.add(format!("TTL{attribute}"), NOT_IN_THIS_VERSION);
    }
}

/// ` in eu-west-1, us-east-1`, from the `RegionName` of each element.
fn regions_in(value: &RawValue) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Member {
        region_name: String,
    }
    match serde_json::from_str::<Vec<Member>>(value.get()) {
        Ok(members) => {
            let names: Vec<_> = members.into_iter().map(|member| member.region_name).collect();
            format!(" in {}", names.join(", "))
        }
        Err(_) => String::new(),
    }
}

/// A JSON string's content, or the text of any other value.
fn text(value: &RawValue) -> String {
    serde_json::from_str(value.get()).unwrap_or_else(|_| value.get().to_owned())
}
