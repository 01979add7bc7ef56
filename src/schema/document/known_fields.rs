//! The fields of a table's document that this version knows, read-only facts included. A field that is not listed here is a setting
//! of a later API; a restore reports it.
//!
//! Both forms are covered: `TableDescription` as `DescribeTable` sends it, and the `CreateTable` request.

use serde_json::value::RawValue;

use super::raw::{elements_of, fields_of, is_empty};
use super::section::Section;

/// The known fields of one object, or of each object in an array.
struct KnownFields {
    /// Fields whose contents are not examined.
    plain: &'static [&'static str],
    /// Fields that hold objects or arrays of objects, with the known fields of those.
    nested: &'static [(&'static str, &'static KnownFields)],
}

const TABLE: KnownFields = KnownFields {
    plain: &[
        "ArchivalSummary",
        "BillingMode",
        "CreationDateTime",
        "DeletionProtectionEnabled",
        "DisassociationProtectionEnabled",
        "GlobalTableSettingsReplicationMode",
        "GlobalTableSourceArn",
        "GlobalTableVersion",
        "GlobalTableWitnesses",
        "ItemCount",
        "LatestStreamArn",
        "LatestStreamLabel",
        "MultiRegionConsistency",
        "ResourcePolicy",
        "RestoreSummary",
        "TableArn",
        "TableClass",
        "TableId",
        "TableName",
        "TableSizeBytes",
        "TableStatus",
        "Tags",
        "VectorIndexes",
    ],
    nested: &[
        (
            "AttributeDefinitions",
            &plain(&["AttributeName", "AttributeType"]),
        ),
        (
            "BillingModeSummary",
            &plain(&["BillingMode", "LastUpdateToPayPerRequestDateTime"]),
        ),
        ("GlobalSecondaryIndexes", &GLOBAL_INDEX),
        ("KeySchema", &KEY),
        ("LocalSecondaryIndexes", &LOCAL_INDEX),
        ("OnDemandThroughput", &ON_DEMAND),
        ("ProvisionedThroughput", &PROVISIONED),
        ("Replicas", &REPLICA),
        (
            "SSEDescription",
            &plain(&[
                "InaccessibleEncryptionDateTime",
                "KMSMasterKeyArn",
                "SSEType",
                "Status",
            ]),
        ),
        (
            "SSESpecification",
            &plain(&["Enabled", "KMSMasterKeyId", "SSEType"]),
        ),
        (
            "StreamSpecification",
            &plain(&["StreamEnabled", "StreamViewType"]),
        ),
        (
            "TableClassSummary",
            &plain(&["LastUpdateDateTime", "TableClass"]),
        ),
        // Another name of the billing mode, used by some engines.
        (
            "TableThroughputModeSummary",
            &plain(&["LastUpdateToPayPerRequestDateTime", "TableThroughputMode"]),
        ),
        ("WarmThroughput", &WARM),
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
        ("OnDemandThroughput", &ON_DEMAND),
        ("Projection", &PROJECTION),
        ("ProvisionedThroughput", &PROVISIONED),
        ("WarmThroughput", &WARM),
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

const REPLICA: KnownFields = KnownFields {
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

const TIME_TO_LIVE: KnownFields = plain(&["AttributeName", "TimeToLiveStatus"]);
const TAG: KnownFields = plain(&["Key", "Value"]);
const CONTINUOUS_BACKUPS: KnownFields = KnownFields {
    plain: &["ContinuousBackupsStatus"],
    nested: &[(
        "PointInTimeRecoveryDescription",
        &plain(&[
            "EarliestRestorableDateTime",
            "LatestRestorableDateTime",
            "PointInTimeRecoveryStatus",
            "RecoveryPeriodInDays",
        ]),
    )],
};
const POLICY: KnownFields = plain(&["Policy", "RevisionId"]);
const AUTO_SCALING: KnownFields = KnownFields {
    plain: &[],
    nested: &[
        (
            "ScalableTargets",
            &plain(&[
                "CreationTime",
                "MaxCapacity",
                "MinCapacity",
                "PredictedCapacity",
                "ResourceId",
                "RoleARN",
                "ScalableDimension",
                "ScalableTargetARN",
                "ServiceNamespace",
                "SuspendedState",
            ]),
        ),
        (
            "ScalingPolicies",
            &plain(&[
                "Alarms",
                "CreationTime",
                "PolicyARN",
                "PolicyName",
                "PolicyType",
                "PredictiveScalingPolicyConfiguration",
                "ResourceId",
                "ScalableDimension",
                "ServiceNamespace",
                "StepScalingPolicyConfiguration",
                "TargetTrackingScalingPolicyConfiguration",
            ]),
        ),
    ],
};
const CONTRIBUTOR_INSIGHTS: KnownFields = plain(&[
    "ContributorInsightsMode",
    "ContributorInsightsRuleList",
    "ContributorInsightsStatus",
    "FailureException",
    "IndexName",
    "LastUpdateDateTime",
    "TableName",
]);
const KINESIS_DESTINATION: KnownFields = plain(&[
    "ApproximateCreationDateTimePrecision",
    "DestinationStatus",
    "DestinationStatusDescription",
    "StreamArn",
]);

const KEY: KnownFields = plain(&["AttributeName", "KeyType"]);
const ON_DEMAND: KnownFields = plain(&["MaxReadRequestUnits", "MaxWriteRequestUnits"]);
const PROJECTION: KnownFields = plain(&["NonKeyAttributes", "ProjectionType"]);
const PROVISIONED: KnownFields = plain(&[
    "LastDecreaseDateTime",
    "LastIncreaseDateTime",
    "NumberOfDecreasesToday",
    "ReadCapacityUnits",
    "WriteCapacityUnits",
]);
const WARM: KnownFields = plain(&["ReadUnitsPerSecond", "Status", "WriteUnitsPerSecond"]);

const fn plain(plain: &'static [&'static str]) -> KnownFields {
    KnownFields { plain, nested: &[] }
}

/// The unknown fields of `table` in document order, each as a path: `FutureField`,
/// `GlobalSecondaryIndexes.by-director.FutureField`. Fields with empty values are omitted.
pub(crate) fn unknown_fields(table: &RawValue) -> Vec<String> {
    let mut unknown = Vec::new();
    collect_unknown(&TABLE, table, "", &mut unknown);
    unknown
}

/// The unknown fields of a section, each as a path that begins with the section's name.
pub(crate) fn unknown_section_fields(section: Section, value: &RawValue) -> Vec<String> {
    let known = match section {
        Section::TimeToLive => &TIME_TO_LIVE,
        Section::Tags => &TAG,
        Section::ContinuousBackups => &CONTINUOUS_BACKUPS,
        Section::ResourcePolicy | Section::StreamResourcePolicy => &POLICY,
        Section::AutoScaling => &AUTO_SCALING,
        Section::ContributorInsights => &CONTRIBUTOR_INSIGHTS,
        Section::KinesisDestinations => &KINESIS_DESTINATION,
    };

    let mut unknown = Vec::new();
    collect_unknown(known, value, &format!("{}.", section.name()), &mut unknown);

    unknown
}

/// Collects unknown fields. The depth of recursion is that of [`KnownFields`], whatever the document holds.
fn collect_unknown(known: &KnownFields, value: &RawValue, path: &str, unknown: &mut Vec<String>) {
    if let Some(elements) = elements_of(value) {
        for (position, element) in elements.into_iter().enumerate() {
            // A name helps the reader more than a position does.
            let name = element_name(element).unwrap_or_else(|| position.to_string());
            collect_unknown(known, element, &format!("{path}{name}."), unknown);
        }

        return;
    }

    for (name, field) in fields_of(value).unwrap_or_default() {
        if let Some((_, nested)) = known.nested.iter().find(|(known, _)| *known == name) {
            collect_unknown(nested, field, &format!("{path}{name}."), unknown);
        } else if !known.plain.contains(&name.as_str()) && !is_empty(field) {
            unknown.push(format!("{path}{name}"));
        }
    }
}

/// The name of an array element: that of its index, attribute or region.
pub(crate) fn element_name(element: &RawValue) -> Option<String> {
    let fields = fields_of(element)?;
    let (_, name) = fields
        .iter()
        .find(|(name, _)| matches!(name.as_str(), "IndexName" | "AttributeName" | "RegionName"))?;
    serde_json::from_str(name.get()).ok()
}
