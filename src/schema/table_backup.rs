//! On-demand backups of tables, as DynamoDB describes them.
//! Reference: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BackupDetails.html>.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::table_origin::TableOrigin;
use super::timestamp::seconds;
use crate::error::{Error, Result};

/// Length of the name of a backup, in characters (AWS: 3 to 255, `CreateBackup`).
const NAME_CHARS: std::ops::RangeInclusive<usize> = 3..=255;

/// An on-demand backup of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableBackup {
    /// The ARN, which identifies the backup.
    pub arn: String,
    /// The name, which several backups may share.
    pub name: String,
    /// Name of the table.
    pub table: Option<String>,
    /// `CREATING`, `AVAILABLE` or `DELETED`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<String>,
    /// When the backup was requested; its contents are those of the table at about this time.
    pub created_at: Option<DateTime<Utc>>,
    /// Size of the backup in bytes; DynamoDB reports it once the backup is available.
    pub bytes: Option<u64>,
}

/// The fields of a backup in the responses to `CreateBackup`, `DescribeBackup` and `ListBackups`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BackupFields {
    backup_arn: String,
    backup_name: Option<String>,
    table_name: Option<String>,
    backup_status: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    backup_creation_date_time: Option<DateTime<Utc>>,
    backup_size_bytes: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreatedBackup {
    backup_details: BackupFields,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribedBackup {
    backup_description: BackupDescription,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BackupDescription {
    backup_details: BackupFields,
    source_table_details: Option<SourceTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SourceTable {
    table_name: Option<String>,
}

/// A page of a list of backups.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BackupPage {
    /// `None` if the response has no list.
    pub(crate) backups: Option<Vec<TableBackup>>,
    /// The ARN after which the next page starts.
    pub(crate) last: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedBackups {
    backup_summaries: Option<Vec<BackupFields>>,
    last_evaluated_backup_arn: Option<String>,
}

impl TableBackup {
    /// The response to `CreateBackup`, for a table that its caller knows.
    ///
    /// # Errors
    /// It is not JSON of that response.
    pub(crate) fn from_creation(response: &[u8], table: &str) -> serde_json::Result<Self> {
        let created: CreatedBackup = serde_json::from_slice(response)?;
        Ok(Self::new(created.backup_details, Some(table.to_owned())))
    }

    /// The response to `DescribeBackup`.
    ///
    /// # Errors
    /// It is not JSON of that response.
    pub(crate) fn from_description(response: &[u8]) -> serde_json::Result<Self> {
        let described: DescribedBackup = serde_json::from_slice(response)?;
        let BackupDescription {
            backup_details,
            source_table_details,
        } = described.backup_description;
        let table = source_table_details.and_then(|table| table.table_name);

        Ok(Self::new(backup_details, table))
    }

    fn new(fields: BackupFields, table: Option<String>) -> Self {
        Self {
            arn: fields.backup_arn,
            name: fields.backup_name.unwrap_or_default(),
            table: table.or(fields.table_name),
            status: fields.backup_status,
            created_at: fields.backup_creation_date_time,
            bytes: fields.backup_size_bytes,
        }
    }

    /// The backup as what a table is restored from.
    #[must_use]
    pub fn origin(&self) -> TableOrigin {
        TableOrigin::Backup {
            arn: self.arn.clone(),
        }
    }

    /// Whether the backup can be restored.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.status.as_deref() == Some("AVAILABLE")
    }

    /// Whether DynamoDB is still making the backup.
    #[must_use]
    pub fn is_being_created(&self) -> bool {
        self.status.as_deref() == Some("CREATING")
    }
}

impl BackupPage {
    /// The response to `ListBackups`.
    ///
    /// # Errors
    /// It is not JSON of that response.
    pub(crate) fn parse(response: &[u8]) -> serde_json::Result<Self> {
        let listed: ListedBackups = serde_json::from_slice(response)?;
        let backups = listed.backup_summaries.map(|backups| {
            let backups = backups.into_iter();
            backups
                .map(|fields| TableBackup::new(fields, None))
                .collect()
        });

        Ok(Self {
            backups,
            last: listed.last_evaluated_backup_arn,
        })
    }
}

/// Checks the name of a backup.
///
/// # Errors
/// [`Usage`](crate::error::ErrorKind::Usage): DynamoDB would reject it.
pub fn check_backup_name(name: &str) -> Result<()> {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if NAME_CHARS.contains(&name.len()) && name.bytes().all(is_allowed) {
        return Ok(());
    }

    Err(Error::usage(format!(
        "\"{name}\" is not a valid name of a backup: 3 to 255 letters, digits, `_`, `-` and `.`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:dynamodb:eu-west-1:111122223333:table/films/backup/0123-abcd";

    fn backup(status: &str, table: Option<&str>) -> TableBackup {
        TableBackup {
            arn: ARN.to_owned(),
            name: "nightly".to_owned(),
            table: table.map(ToOwned::to_owned),
            status: Some(status.to_owned()),
            created_at: DateTime::from_timestamp_millis(1_780_000_000_500),
            bytes: Some(42),
        }
    }

    fn fields(status: &str) -> String {
        format!(
            r#""BackupArn":"{ARN}","BackupName":"nightly","BackupSizeBytes":42,"BackupStatus":"{status}","BackupType":"USER","BackupCreationDateTime":1780000000.5"#
        )
    }

    #[test]
    fn backups_are_read_from_each_of_the_three_responses() {
        let created = format!(r#"{{"BackupDetails":{{{}}}}}"#, fields("CREATING"));
        assert_eq!(
            TableBackup::from_creation(created.as_bytes(), "films").unwrap(),
            backup("CREATING", Some("films"))
        );

        let described = format!(
            r#"{{"BackupDescription":{{"BackupDetails":{{{}}},"SourceTableDetails":{{"TableName":"films","ItemCount":3}}}}}}"#,
            fields("AVAILABLE")
        );
        let described = TableBackup::from_description(described.as_bytes()).unwrap();
        assert_eq!(described, backup("AVAILABLE", Some("films")));
        assert!(described.is_available() && !described.is_being_created());

        let listed = format!(
            r#"{{"BackupSummaries":[{{{},"TableName":"films"}}],"LastEvaluatedBackupArn":"x"}}"#,
            fields("AVAILABLE")
        );
        let page = BackupPage::parse(listed.as_bytes()).unwrap();
        assert_eq!(page.backups, Some(vec![backup("AVAILABLE", Some("films"))]));
        assert_eq!(page.last.as_deref(), Some("x"));
    }

    #[test]
    fn a_backup_may_lack_everything_but_its_arn() {
        let backup =
            TableBackup::from_description(br#"{"BackupDescription":{"BackupDetails":{"BackupArn":"a","BackupCreationDateTime":1e300}}}"#)
                .unwrap();
        assert_eq!((backup.table, backup.status), (None, None));
        assert_eq!(backup.created_at, None);

        assert!(TableBackup::from_description(b"{}").is_err());
    }

    #[test]
    fn names_that_dynamodb_would_reject_are_refused() {
        for name in ["abc", "a.b-c_D9", &"x".repeat(255)] {
            assert!(check_backup_name(name).is_ok(), "{name}");
        }

        for name in ["", "ab", "a b", "ä-b", "a/b", &"x".repeat(256)] {
            assert!(check_backup_name(name).is_err(), "{name}");
        }
    }
}
