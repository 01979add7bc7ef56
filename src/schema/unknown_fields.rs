//! The fields of `Table` that this version knows, and those of a document that it does not.
//!
//! Both forms are covered: `TableDescription` as `DescribeTable` sends it, and the `CreateTable` request. The fields of settings are
//! listed in their files.

use serde_json::value::RawValue;

use super::document::known_fields::{self, KnownFields, plain};
use super::document::section::Section;
use super::settings::SETTINGS;
use super::settings::billing::{ON_DEMAND_FIELDS, PROVISIONED_FIELDS};
use super::settings::warm_throughput;

/// Fields of `Table` that belong to no setting.
const TABLE: KnownFields = KnownFields {
    plain: &[
        "ArchivalSummary",
        "CreationDateTime",
        "DisassociationProtectionEnabled",
        "GlobalTableSettingsReplicationMode",
        "GlobalTableSourceArn",
        "GlobalTableVersion",
        "GlobalTableWitnesses",
        "ItemCount",
        "MultiRegionConsistency",
        "RestoreSummary",
        "TableArn",
        "TableId",
        "TableName",
        "TableSizeBytes",
        "TableStatus",
        "VectorIndexes",
    ],
    nested: &[
        (
            "AttributeDefinitions",
            &plain(&["AttributeName", "AttributeType"]),
        ),
        ("GlobalSecondaryIndexes", &GLOBAL_INDEX),
        ("KeySchema", &KEY),
        ("LocalSecondaryIndexes", &LOCAL_INDEX),
    ],
};

const GLOBAL_INDEX: KnownFields = KnownFields {
    plain: &[
        "Backfilling",
        "IndexArn",
        "IndexName",
        "IndexSizeBytes",
        "IndexStatus",
        "ItemCount",
    ],
    nested: &[
        ("KeySchema", &KEY),
        ("OnDemandThroughput", &ON_DEMAND_FIELDS),
        ("Projection", &PROJECTION),
        ("ProvisionedThroughput", &PROVISIONED_FIELDS),
        ("WarmThroughput", &warm_throughput::FIELDS),
    ],
};

const LOCAL_INDEX: KnownFields = KnownFields {
    plain: &[
        "Backfilling",
        "IndexArn",
        "IndexName",
        "IndexSizeBytes",
        "IndexStatus",
        "ItemCount",
        // Engines give an LSI the table's capacity; it has none of its own.
        "ProvisionedThroughput",
    ],
    nested: &[("KeySchema", &KEY), ("Projection", &PROJECTION)],
};

const KEY: KnownFields = plain(&["AttributeName", "KeyType"]);
const PROJECTION: KnownFields = plain(&["NonKeyAttributes", "ProjectionType"]);

/// The unknown fields of `table`, each as a path.
pub(crate) fn of_table(table: &RawValue) -> Vec<String> {
    let of_settings = SETTINGS.iter().map(|spec| &spec.table_fields);
    let known: Vec<_> = std::iter::once(&TABLE).chain(of_settings).collect();
    known_fields::unknown_fields(&known, table, "")
}

/// The unknown fields of a section, each as a path that begins with the section's name.
pub(crate) fn of_section(section: Section, value: &RawValue) -> Vec<String> {
    let path = format!("{}.", section.name());
    known_fields::unknown_fields(&[section.known_fields], value, &path)
}
