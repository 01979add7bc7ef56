//! Replicas of a global table.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::actions::update_table;
use super::class;
use super::encryption::{self, Encryption};
use super::spec::{
    DefaultRule, Progress, Setting, SettingActions, SettingCall, SettingSpec, SettingTarget,
};
use crate::schema::TableSchema;
use crate::schema::description::{OnDemandThroughput, TableClassSummary, null_is_default};
use crate::schema::document::known_fields::{KnownFields, plain};
use crate::schema::document::views::SectionView;
use crate::schema::json_body::JsonBody;

const FIELD: &str = "Replicas";
const LABEL: &str = "replicas";

pub(crate) static SPEC: SettingSpec = SettingSpec {
    absent: "none",
    // Creating a replica may take hours, during which nothing else may be missing: the replicas of a provisioned table need auto
    // scaling, and the table must be protected.
    comes_after: &["autoscaling", "indexes", "stream", "deletion-protection"],
    default: DefaultRule::SameTable("only restored to the dumped table itself"),
    table_fields: KnownFields {
        plain: &[],
        nested: &[(FIELD, &FIELDS)],
    },
    is_shown: |table, call| replica_of(table, call).is_some(),
    progress: Some(progress),
    ..SettingSpec::new("replicas", LABEL, words, actions)
};

const FIELDS: KnownFields = KnownFields {
    plain: &[
        "GlobalTableSettingsReplicationMode",
        "KMSMasterKeyId",
        "OnDemandThroughputOverride",
        "ProvisionedThroughputOverride",
        "RegionName",
        "ReplicaArn",
        "ReplicaInaccessibleDateTime",
        "ReplicaStatus",
        "ReplicaStatusDescription",
        "ReplicaStatusPercentProgress",
        "ReplicaTableClassSummary",
        "WarmThroughput",
    ],
    nested: &[(
        "GlobalSecondaryIndexes",
        &plain(&[
            "IndexName",
            "OnDemandThroughputOverride",
            "ProvisionedThroughputOverride",
            "WarmThroughput",
        ]),
    )],
};

/// One element of `Table.Replicas`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Replica {
    region_name: String,
    #[serde(rename = "ReplicaStatus")]
    status: Option<String>,
    #[serde(rename = "ReplicaStatusDescription")]
    status_description: Option<String>,
    #[serde(rename = "ReplicaStatusPercentProgress")]
    percent_progress: Option<String>,
    #[serde(rename = "KMSMasterKeyId")]
    kms_master_key_id: Option<String>,
    provisioned_throughput_override: Option<Box<RawValue>>,
    on_demand_throughput_override: Option<OnDemandThroughput>,
    #[serde(default, deserialize_with = "null_is_default")]
    global_secondary_indexes: Vec<ReplicaIndex>,
    #[serde(rename = "ReplicaTableClassSummary")]
    class: Option<TableClassSummary>,
}

/// Settings of an index that differ in a replica.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReplicaIndex {
    index_name: String,
    provisioned_throughput_override: Option<Box<RawValue>>,
    on_demand_throughput_override: Option<OnDemandThroughput>,
}

impl TableSchema {
    /// The other regions to which the items of a global table are replicated.
    #[must_use]
    pub fn replica_regions(&self) -> Vec<String> {
        let replicas = replicas(self).read().unwrap_or_default();
        replicas
            .into_iter()
            .map(|replica| replica.region_name)
            .collect()
    }

    /// The regions of the witnesses of a global table, which hold no items.
    #[must_use]
    pub fn witness_regions(&self) -> Vec<String> {
        let witnesses = self.field_view::<Vec<Witness>>("GlobalTableWitnesses");
        let witnesses = witnesses.read().unwrap_or_default();
        witnesses
            .into_iter()
            .filter_map(|witness| witness.region_name)
            .collect()
    }
}

/// One element of `Table.GlobalTableWitnesses`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Witness {
    region_name: Option<String>,
}

/// Replicas in other regions than the table's own.
fn replicas(schema: &TableSchema) -> SectionView<Vec<Replica>> {
    schema
        .field_view::<Vec<Replica>>(FIELD)
        .and_then(|mut replicas| {
            // The list can include the table's own region.
            replicas.retain(|replica| {
                Some(replica.region_name.as_str()) != schema.region()
                    && replica.status.as_deref() != Some("DELETING")
            });
            (!replicas.is_empty()).then_some(replicas)
        })
}

/// The replica that the call creates.
fn replica_of(table: &TableSchema, call: &SettingCall) -> Option<Replica> {
    let is_in_region = |replica: &Replica| Some(&replica.region_name) == call.adds.as_ref();
    replicas(table).read()?.into_iter().find(is_in_region)
}

fn progress(table: &TableSchema, call: &SettingCall) -> Progress {
    let Some(replica) = replica_of(table, call) else {
        return Progress::Settled;
    };

    let state = |status: &str, details: Option<&String>| {
        let details = details.map_or_else(String::new, |details| format!(" ({details})"));
        format!("replica in {} is {status}{details}", replica.region_name)
    };
    match replica.status.as_deref() {
        // Engines that create replicas immediately may omit the status.
        None | Some("ACTIVE") => Progress::Settled,
        Some(status @ ("CREATING" | "UPDATING")) => {
            let percent = replica.percent_progress.as_ref();
            Progress::Pending(state(status, percent))
        }
        Some(status) => Progress::Failed(state(status, replica.status_description.as_ref())),
    }
}

fn regions_in_words(replicas: &[Replica]) -> String {
    let mut regions: Vec<_> = replicas
        .iter()
        .map(|replica| replica.region_name.as_str())
        .collect();
    regions.sort_unstable();
    regions.join(", ")
}

fn words(schema: &TableSchema) -> SectionView<String> {
    replicas(schema).map(|replicas| regions_in_words(&replicas))
}

/// One call per replica: DynamoDB creates them one at a time.
fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    SettingActions::from_view(replicas(schema), LABEL, |replicas| {
        let calls = replicas.iter().map(|replica| {
            let region = &replica.region_name;
            let create = JsonBody::new().with("Create", &replica_body(schema, replica, target));
            let body = JsonBody::for_table(target.table).with("ReplicaUpdates", &[create]);
            update_table(&SPEC, format!("replica in {region}"), &body).adding(region)
        });

        let label = if replicas.len() == 1 {
            "replica"
        } else {
            LABEL
        };
        SettingActions {
            description: Some(format!("{label} in {}", regions_in_words(&replicas))),
            calls: calls.collect(),
            not_applied: Vec::new(),
        }
    })
}

fn replica_body(schema: &TableSchema, replica: &Replica, target: &SettingTarget<'_>) -> JsonBody {
    let table = &schema.description;
    let applies = |spec, same_table| target.choice.applies(Setting(spec), same_table);

    // A KMS key belongs to one account, so the rules for the table's key apply. AWS's managed key is not named.
    let is_managed = encryption::encryption(schema) == Encryption::AwsManaged;
    let kms_key = replica
        .kms_master_key_id
        .as_ref()
        .filter(|_| !is_managed && applies(&encryption::SPEC, target.same_table));

    // A replica has the table's class unless it states another one.
    let class = replica
        .class
        .as_ref()
        .and_then(|summary| summary.table_class.as_deref())
        .filter(|class| *class != table.class() && applies(&class::SPEC, true));

    // Capacity is for provisioned tables only; `Description::maximum` is its counterpart for on-demand tables.
    let is_provisioned = table.is_provisioned();
    let provisioned = |stated: &Option<Box<RawValue>>| stated.clone().filter(|_| is_provisioned);

    let indexes: Vec<_> = replica
        .global_secondary_indexes
        .iter()
        .filter(|index| schema.has_index(&index.index_name))
        .filter_map(|index| {
            let units = provisioned(&index.provisioned_throughput_override);
            let maximum = table.maximum(index.on_demand_throughput_override);
            (units.is_some() || maximum.is_some()).then(|| {
                JsonBody::new()
                    .with("IndexName", &index.index_name)
                    .with_some("ProvisionedThroughputOverride", units.as_ref())
                    .with_some("OnDemandThroughputOverride", maximum.as_ref())
            })
        })
        .collect();

    JsonBody::new()
        .with("RegionName", &replica.region_name)
        .with_some("KMSMasterKeyId", kms_key)
        .with_some(
            "ProvisionedThroughputOverride",
            provisioned(&replica.provisioned_throughput_override).as_ref(),
        )
        .with_some(
            "OnDemandThroughputOverride",
            table
                .maximum(replica.on_demand_throughput_override)
                .as_ref(),
        )
        .with_some(
            "GlobalSecondaryIndexes",
            (!indexes.is_empty()).then_some(&indexes),
        )
        .with_some("TableClassOverride", class.as_ref())
}
