//! The IAM actions that a command calls under its options, and policies that allow nothing else. `docs/permissions.md` explains them; a
//! test compares both.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::ContentScope;
use super::dump::DumpRequest;
use super::restore::{BackupChoice, ExistingTable, OnConflict, RestoreRequest, VerifyMode};
use super::route::BackupRoute;
use super::set::TableSelection;
use crate::environment::Environment;
use crate::schema::{LaterIndexes, Operation, Setting, SettingService};

/// Actions of DynamoDB that IAM cannot restrict to tables.
const WITHOUT_TABLE: [&str; 2] = ["dynamodb:ListTables", "dynamodb:ListBackups"];

/// Actions on the backup of a table that a restore needs.
const OF_BACKUPS: [&str; 2] = ["DescribeBackup", "RestoreTableFromBackup"];

/// Actions on items that AWS requires of a caller that restores a backup.
const OF_RESTORED_ITEMS: [&str; 7] = [
    "BatchWriteItem",
    "DeleteItem",
    "GetItem",
    "PutItem",
    "Query",
    "Scan",
    "UpdateItem",
];

/// The IAM actions that a command needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Permissions(BTreeSet<String>);

impl Permissions {
    /// For a dump.
    #[must_use]
    pub fn of_dump(request: &DumpRequest) -> Self {
        match request.route.backup() {
            None => Self::of_source(request.content),
            Some(backup) => Self::of_backup(backup),
        }
    }

    /// For the source of a copy.
    #[must_use]
    pub fn of_source(content: ContentScope) -> Self {
        let mut needed = Self::dynamodb(&["DescribeTable"]);
        if content.includes_schema() {
            needed.add_reading_of_settings();
        }

        if content.includes_items() {
            needed.add(&["Scan"]);
        }

        needed
    }

    /// For a restore of items, or for the target of a copy, at an endpoint that is local or not.
    #[must_use]
    pub fn of_restore(request: &RestoreRequest, is_local: bool) -> Self {
        let mut needed = Self::dynamodb(&["DescribeTable"]);
        if request.content.includes_schema() {
            needed.add_reading_of_settings();
            if request.create {
                needed.add(&["CreateTable", "TagResource", "UntagResource"]);
            }

            if request.create || request.apply_settings {
                needed.add_changes_of_settings(request);
            }
        }

        needed.add_replacement(request);
        if request.content.includes_items() {
            needed.add(match request.write.on_conflict {
                OnConflict::Overwrite => &["BatchWriteItem"],
                OnConflict::Skip | OnConflict::Fail => &["PutItem", "GetItem"],
            });

            // Without a choice, only a local endpoint is read.
            let is_verified = match request.verify {
                VerifyMode::Full => true,
                VerifyMode::Auto => is_local,
                VerifyMode::None => false,
            };
            if is_verified || request.delete_extra {
                needed.add(&["Scan"]);
            }

            if request.delete_extra {
                needed.add(&["BatchWriteItem"]);
            }

            if request.boost.is_some() {
                needed.add(&["UpdateTable"]);
            }
        }

        needed
    }

    /// For a restore of items that are in a backup which DynamoDB keeps: `choice`, or the on-demand backup of a dump or of a copy.
    #[must_use]
    pub fn of_restore_from_backup(request: &RestoreRequest, choice: Option<&BackupChoice>) -> Self {
        let mut needed = Self::dynamodb(&["DescribeTable", "UpdateTable"]);
        needed.add(&OF_RESTORED_ITEMS);
        needed.add_reading_of_settings();
        needed.add_changes_of_settings(request);
        needed.add_replacement(request);
        match choice {
            Some(BackupChoice::PointInTime { .. }) => needed.add(&["RestoreTableToPointInTime"]),
            Some(BackupChoice::OfTable { .. }) => {
                needed.add(&["DescribeBackup", "ListBackups", "RestoreTableFromBackup"]);
            }
            Some(BackupChoice::Arn(_)) | None => {
                needed.add(&["DescribeBackup", "RestoreTableFromBackup"]);
            }
        }

        needed
    }

    /// For the table of an on-demand backup, of a dump or of a copy.
    #[must_use]
    pub fn of_backup(backup: &BackupRoute) -> Self {
        let mut needed = Self::of_source(ContentScope::SchemaOnly);
        needed.add(&["DescribeBackup", "ListBackups"]);
        if backup.arn.is_none() {
            needed.add(&["CreateBackup"]);
        }

        if backup.delete_afterwards {
            needed.add(&["DeleteBackup"]);
        }

        needed
    }

    /// For a list of on-demand backups.
    #[must_use]
    pub fn of_backup_list() -> Self {
        Self::dynamodb(&["ListBackups"])
    }

    /// For a comparison of items, or of settings.
    #[must_use]
    pub fn of_comparison(schema_only: bool) -> Self {
        let mut needed = Self::dynamodb(&["DescribeTable"]);
        if schema_only {
            needed.add_reading_of_settings();
        } else {
            needed.add(&["Scan"]);
        }

        needed
    }

    /// For a list of tables.
    #[must_use]
    pub fn of_list() -> Self {
        Self::dynamodb(&["DescribeTable", "ListTables"])
    }

    /// For finding the tables of a selection, in addition.
    pub fn add_selection(&mut self, selection: &TableSelection) {
        if selection.all || selection.include.iter().any(|table| !table.is_name()) {
            self.add(&["ListTables"]);
        }

        if !selection.with_tags.is_empty() {
            self.add(&["ListTagsOfResource"]);
        }
    }

    /// The actions.
    pub(crate) fn actions(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The policy that allows these actions on these tables, which are names or patterns. What the environment does not say, such as
    /// the account, is not restricted.
    #[must_use]
    pub fn policy(&self, environment: &Environment, tables: &[String]) -> Value {
        self.policy_with_backups(environment, tables, &[])
    }

    /// The same, and the restore of the backups of other tables, for which AWS requires a permission on the backup.
    #[must_use]
    pub fn policy_with_backups(
        &self,
        environment: &Environment,
        tables: &[String],
        backups_of: &[String],
    ) -> Value {
        let region = environment.region().map_or("*", |region| &region.value);
        let account = environment.account().map_or("*", |account| &account.value);
        let partition = partition(region);
        // With indexes, streams and backups.
        let arn =
            |table: &String| format!("arn:{partition}:dynamodb:{region}:{account}:table/{table}");
        let resources: Vec<String> = tables
            .iter()
            .map(arn)
            .flat_map(|table| [format!("{table}/*"), table])
            .collect();
        let backups = backups_of.iter().filter(|table| !tables.contains(table));
        let backups: Vec<String> = backups.map(|table| arn(table) + "/backup/*").collect();
        let of_backups = OF_BACKUPS.map(|name| format!("dynamodb:{name}"));
        let of_backups = of_backups.iter().filter(|action| self.0.contains(*action));
        let of_backups = of_backups.filter(|_| !backups.is_empty()).collect();

        let (of_tables, others): (Vec<&String>, Vec<&String>) = self.0.iter().partition(|action| {
            action.starts_with("dynamodb:") && !WITHOUT_TABLE.contains(&action.as_str())
        });
        let statements = [
            ("Tables", of_tables, json!(resources)),
            ("Backups", of_backups, json!(backups)),
            ("Account", others, json!("*")),
        ];
        let statements: Vec<Value> = statements
            .into_iter()
            .filter(|(_, actions, _)| !actions.is_empty())
            .map(|(name, actions, resource)| {
                json!({"Sid": name, "Effect": "Allow", "Action": actions, "Resource": resource})
            })
            .collect();

        json!({"Version": "2012-10-17", "Statement": statements})
    }

    fn dynamodb(operations: &[&str]) -> Self {
        let mut needed = Self::default();
        needed.add(operations);

        needed
    }

    /// Adds operations of DynamoDB.
    fn add(&mut self, operations: &[&str]) {
        let actions = operations.iter().map(|name| format!("dynamodb:{name}"));

        self.0.extend(actions);
    }

    /// Adds the deletion of a table that is replaced, and the look whether it has a backup.
    fn add_replacement(&mut self, request: &RestoreRequest) {
        if request.existing == ExistingTable::Replace {
            self.add(&["DeleteTable", "ListBackups"]);
        }
    }

    fn add_reading_of_settings(&mut self) {
        self.0.extend(Setting::reading_operations().map(action));
    }

    /// Adds the operations of the settings that may be applied. Which of them a dump has is not known.
    fn add_changes_of_settings(&mut self, request: &RestoreRequest) {
        let applied = Setting::choices().filter(|setting| request.settings.may_apply(*setting));
        self.0.extend(
            applied
                .flat_map(Setting::changing_operations)
                .copied()
                .map(action),
        );

        if request.settings.later_indexes != LaterIndexes::default() {
            self.add(&["UpdateTable"]);
        }
    }
}

/// The IAM action of an operation.
pub(crate) fn action(operation: Operation) -> String {
    let service = match operation.service {
        SettingService::DynamoDb | SettingService::DynamoDbStreams => "dynamodb",
        SettingService::ApplicationAutoScaling => "application-autoscaling",
        SettingService::Kms => "kms",
    };

    format!("{service}:{}", operation.name)
}

/// The partition of a region in ARNs.
fn partition(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}
