//! Tables that DynamoDB restores together with their items: from an on-demand backup, or to a point in time.
//! Reference: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_RestoreTableFromBackup.html>.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::value::RawValue;

use super::TableSchema;
use super::create::CreateTable;
use super::description::RestoreSummary;
use super::document::raw::Fields;
use super::json_body::JsonBody;
use super::settings::operation::Operation;

/// The fields of `CreateTable` that a restored table may override, with the name of the override.
const OVERRIDES: [(&str, &str); 4] = [
    ("BillingMode", "BillingModeOverride"),
    ("ProvisionedThroughput", "ProvisionedThroughputOverride"),
    ("OnDemandThroughput", "OnDemandThroughputOverride"),
    ("SSESpecification", "SSESpecificationOverride"),
];

/// The same for indexes, which a restored table has only if the override lists them.
const INDEX_OVERRIDES: [(&str, &str); 2] = [
    ("GlobalSecondaryIndexes", "GlobalSecondaryIndexOverride"),
    ("LocalSecondaryIndexes", "LocalSecondaryIndexOverride"),
];

/// What DynamoDB restores a table from.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "from")]
pub enum TableOrigin {
    /// An on-demand backup.
    Backup {
        /// Its ARN.
        arn: String,
    },
    /// The continuous backups of a table.
    PointInTime {
        /// The table's ARN.
        table_arn: String,
        /// The time; `None` for the latest possible.
        at: Option<DateTime<Utc>>,
    },
}

/// A request that restores a table with its items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreTable {
    pub(crate) operation: Operation,
    /// The JSON body.
    pub(crate) body: String,
    /// The ARN that the restored table will name as its source.
    pub(crate) source_arn: String,
}

impl TableOrigin {
    /// The ARN of the backup or table.
    #[must_use]
    pub fn arn(&self) -> &str {
        match self {
            Self::Backup { arn } => arn,
            Self::PointInTime { table_arn, .. } => table_arn,
        }
    }

    /// Name of the backed-up table; `None` if the ARN is not one of a backup or table.
    #[must_use]
    pub fn table_name(&self) -> Option<&str> {
        match self {
            Self::Backup { arn } => table_of_backup(arn),
            Self::PointInTime { table_arn, .. } => table_in(table_arn).map(|(table, _)| table),
        }
    }

    /// The account of the origin.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        let account = self.arn().split(':').nth(4)?;
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        is_account.then_some(account)
    }

    /// The region of the origin.
    #[must_use]
    pub fn region(&self) -> Option<&str> {
        self.arn().split(':').nth(3).filter(|it| !it.is_empty())
    }

    /// The request that restores the table as `create` would create it. `restored` is the schema of the table in the backup.
    #[must_use]
    pub fn restore(
        &self,
        table: &str,
        create: &CreateTable,
        restored: &TableSchema,
    ) -> RestoreTable {
        let body = JsonBody::new().with("TargetTableName", &table);
        let (operation, body) = match self {
            Self::Backup { arn } => ("RestoreTableFromBackup", body.with("BackupArn", arn)),
            Self::PointInTime { table_arn, at } => {
                let body = body.with("SourceTableArn", table_arn);
                let body = match at {
                    Some(at) => body.with("RestoreDateTime", &at.timestamp()),
                    None => body.with("UseLatestRestorableTime", &true),
                };
                ("RestoreTableToPointInTime", body)
            }
        };

        RestoreTable {
            operation: Operation::dynamodb(operation),
            body: with_overrides(body, create, restored).text(),
            source_arn: self.arn().to_owned(),
        }
    }
}

/// The table in the ARN of a backup: `arn:aws:dynamodb:REGION:ACCOUNT:table/TABLE/backup/ID`.
pub(crate) fn table_of_backup(arn: &str) -> Option<&str> {
    let (table, rest) = table_in(arn)?;
    rest.starts_with("backup/").then_some(table)
}

/// The table in an ARN, and what follows its name.
fn table_in(arn: &str) -> Option<(&str, &str)> {
    let resource = arn.splitn(6, ':').nth(5)?.strip_prefix("table/")?;
    let (table, rest) = resource.split_once('/').unwrap_or((resource, ""));
    (!table.is_empty()).then_some((table, rest))
}

fn with_overrides(body: JsonBody, create: &CreateTable, restored: &TableSchema) -> JsonBody {
    // The body is JSON that `create` has written.
    let Ok(wanted) = serde_json::from_slice::<Fields<Box<RawValue>>>(&create.body) else {
        return body;
    };

    let mut body = body;
    for (field, name) in OVERRIDES {
        body = body.with_some(name, wanted.get(field).as_ref());
    }

    let description = restored.description();
    let has_indexes = [
        !description.global_secondary_indexes.is_empty(),
        !description.local_secondary_indexes.is_empty(),
    ];
    for ((field, name), has_indexes) in INDEX_OVERRIDES.into_iter().zip(has_indexes) {
        match wanted.get(field) {
            Some(indexes) if has_indexes => body = body.with(name, &indexes),
            // Without the override, DynamoDB restores all indexes.
            None if has_indexes => body = body.with(name, &Vec::<u8>::new()),
            Some(_) | None => {}
        }
    }

    body
}

impl TableSchema {
    fn restore_summary(&self) -> Option<&RestoreSummary> {
        self.description.restore_summary.as_ref()
    }

    /// Whether DynamoDB is still restoring the table.
    #[must_use]
    pub fn is_being_restored(&self) -> bool {
        let summary = self.restore_summary();
        summary.is_some_and(|summary| summary.restore_in_progress == Some(true))
    }

    /// Whether DynamoDB has restored the table, or is restoring it, from the backup or table with this ARN.
    #[must_use]
    pub fn is_restored_from(&self, arn: &str) -> bool {
        self.restore_summary().is_some_and(|summary| {
            let backup = summary.source_backup_arn.as_deref();
            backup.or(summary.source_table_arn.as_deref()) == Some(arn)
        })
    }

    /// The time to which DynamoDB has restored the table, if it describes that.
    #[must_use]
    pub fn restored_to(&self) -> Option<DateTime<Utc>> {
        self.restore_summary()?.restore_date_time
    }

    /// Whether DynamoDB says that it has restored the table from something other than `origin`, or to another time.
    #[must_use]
    pub fn is_restored_from_other(&self, origin: &TableOrigin) -> bool {
        if self.restore_summary().is_none() {
            return false;
        }

        let is_other_time = match origin {
            TableOrigin::PointInTime { at: Some(at), .. } => self
                .restored_to()
                .is_some_and(|restored| restored.timestamp() != at.timestamp()),
            TableOrigin::Backup { .. } | TableOrigin::PointInTime { at: None, .. } => false,
        };

        is_other_time || !self.is_restored_from(origin.arn())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ARN: &str = "arn:aws:dynamodb:eu-west-1:111122223333:table/films/backup/0123-abcd";

    fn films() -> Value {
        let key = json!([{"AttributeName": "id", "KeyType": "HASH"}]);
        json!({"Table": {
            "TableName": "films",
            "KeySchema": key,
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 9},
            "GlobalSecondaryIndexes": [{
                "IndexName": "by-id", "KeySchema": key, "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": {"ReadCapacityUnits": 3, "WriteCapacityUnits": 4},
            }],
        }})
    }

    fn schema(table: &Value) -> TableSchema {
        TableSchema::parse(table.to_string().as_bytes()).unwrap()
    }

    fn body(origin: &TableOrigin, wanted: &Value) -> Value {
        let create = schema(wanted).create_table_request("copy").unwrap();
        let request = origin.restore("copy", &create, &schema(&films()));
        assert_eq!(request.source_arn, origin.arn());

        serde_json::from_str(&request.body).unwrap()
    }

    #[test]
    fn a_backup_is_restored_with_billing_capacity_and_indexes_of_the_wanted_schema() {
        let origin = TableOrigin::Backup { arn: ARN.into() };
        assert_eq!(
            body(&origin, &films()),
            json!({
                "TargetTableName": "copy",
                "BackupArn": ARN,
                "BillingModeOverride": "PROVISIONED",
                "ProvisionedThroughputOverride": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 9},
                "GlobalSecondaryIndexOverride": [{
                    "IndexName": "by-id",
                    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                    "ProvisionedThroughput": {"ReadCapacityUnits": 3, "WriteCapacityUnits": 4},
                }],
            })
        );
        assert_eq!(
            (origin.account(), origin.region(), origin.table_name()),
            (Some("111122223333"), Some("eu-west-1"), Some("films"))
        );
        assert_eq!(table_of_backup("arn:aws:dynamodb:r:a:table/films"), None);
        assert_eq!(table_of_backup("nightly"), None);
    }

    #[test]
    fn indexes_that_are_not_wanted_are_excluded_with_an_empty_list() {
        let mut wanted = films();
        wanted["Table"]["GlobalSecondaryIndexes"] = json!([]);
        let body = body(&TableOrigin::Backup { arn: ARN.into() }, &wanted);
        assert_eq!(body["GlobalSecondaryIndexOverride"], json!([]));
        assert_eq!(body.get("LocalSecondaryIndexOverride"), None);
    }

    #[test]
    fn a_point_in_time_is_a_time_or_the_latest() {
        let at = |at| TableOrigin::PointInTime {
            table_arn: "arn:t".into(),
            at,
        };

        let latest = body(&at(None), &films());
        assert_eq!(
            (
                &latest["SourceTableArn"],
                &latest["UseLatestRestorableTime"]
            ),
            (&json!("arn:t"), &json!(true))
        );
        let then = body(&at(DateTime::from_timestamp(1_780_000_000, 0)), &films());
        assert_eq!(then["RestoreDateTime"], json!(1_780_000_000));
    }

    #[test]
    fn a_restored_table_names_its_source() {
        let mut table = films();
        table["Table"]["RestoreSummary"] =
            json!({"SourceBackupArn": ARN, "SourceTableArn": "arn:t", "RestoreInProgress": true});
        let restored = schema(&table);
        assert!(restored.is_restored_from(ARN) && !restored.is_restored_from("arn:t"));
        assert!(!schema(&films()).is_restored_from(ARN));

        let backup = TableOrigin::Backup { arn: ARN.into() };
        assert!(!restored.is_restored_from_other(&backup));
        assert!(!schema(&films()).is_restored_from_other(&backup));
    }

    #[test]
    fn a_table_restored_to_another_time_is_not_the_requested_one() {
        let mut table = films();
        table["Table"]["RestoreSummary"] =
            json!({"SourceTableArn": "arn:t", "RestoreDateTime": 1_780_000_000.0});
        let restored = schema(&table);
        let origin = |table_arn: &str, seconds: Option<i64>| TableOrigin::PointInTime {
            table_arn: table_arn.into(),
            at: seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 5)),
        };

        assert!(!restored.is_restored_from_other(&origin("arn:t", Some(1_780_000_000))));
        assert!(!restored.is_restored_from_other(&origin("arn:t", None)));
        assert!(restored.is_restored_from_other(&origin("arn:t", Some(1_780_000_001))));
        assert!(restored.is_restored_from_other(&origin("arn:other", None)));
        assert!(restored.is_restored_from_other(&TableOrigin::Backup { arn: ARN.into() }));
    }
}
