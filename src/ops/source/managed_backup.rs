//! A backup that DynamoDB keeps, as the source of a table that DynamoDB restores: an on-demand backup, or the continuous backups of a
//! table at a point in time. There is no dump; the settings are those of the live table, or what the backup says about them.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::ops::account_region::{AccountRegion, restored_elsewhere};
use crate::ops::describe_existing;
use crate::ops::managed_backups::{backup_not_found, find_backup};
use crate::ops::table_location::TableLocation;
use crate::schema::{Section, TableBackup, TableOrigin, TableSchema, table_of_backup};
use crate::store::Reader;

/// The backup to restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupChoice {
    /// The on-demand backup with this ARN.
    Arn(String),
    /// An on-demand backup of a table.
    OfTable {
        /// The table, which need not exist.
        table: String,
        /// Name of the backup; `None` for the latest one.
        name: Option<String>,
    },
    /// A table as it was at a point in time.
    PointInTime {
        /// The table.
        table: String,
        /// The time; `None` for the latest possible.
        at: Option<DateTime<Utc>>,
    },
}

impl BackupChoice {
    /// The table that was backed up; `None` if the ARN does not name one.
    #[must_use]
    pub fn table_name(&self) -> Option<&str> {
        match self {
            Self::Arn(arn) => table_of_backup(arn),
            Self::OfTable { table, .. } | Self::PointInTime { table, .. } => Some(table),
        }
    }
}

/// Where the settings of the table come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingsOrigin {
    /// The live table; keys, indexes and billing are those of an on-demand backup.
    LiveTable,
    /// The description of the backup, which lacks most of them.
    Backup,
    /// The journal of the interrupted restore that is resumed.
    Journal,
}

/// A backup that DynamoDB keeps. Its `Display` names it.
#[derive(Clone)]
pub(crate) struct ManagedBackup {
    pub(crate) origin: TableOrigin,
    /// The on-demand backup, if it is one.
    pub(crate) backup: Option<TableBackup>,
    pub(crate) environment: String,
    /// Name of the backed-up table.
    pub(crate) table: String,
    /// The backed-up table with its settings.
    pub(crate) schema: TableSchema,
    pub(crate) settings_origin: SettingsOrigin,
    pub(crate) warnings: Vec<String>,
}

impl ManagedBackup {
    /// Finds a backup and the settings of its table.
    ///
    /// # Errors
    /// There is no such backup or table; it is in another account or region; the table cannot be restored to the time.
    pub(crate) async fn open(
        store: &Reader,
        environment: &Environment,
        choice: &BackupChoice,
    ) -> Result<Self> {
        match choice {
            BackupChoice::Arn(arn) => Self::on_demand(store, environment, arn.clone()).await,
            BackupChoice::OfTable { table, name } => {
                let found = find_backup(store, environment, table, name.as_deref()).await?;
                Self::on_demand(store, environment, found.arn).await
            }
            BackupChoice::PointInTime { table, at } => {
                Self::point_in_time(store, environment, table, *at).await
            }
        }
    }

    async fn on_demand(store: &Reader, environment: &Environment, arn: String) -> Result<Self> {
        let origin = TableOrigin::Backup { arn };
        let arn = origin.arn();
        let Some(table) = origin.table_name() else {
            return Err(
                Error::usage(format!("{arn} is not the ARN of a backup of a table")).with_hint(
                    "it has the form arn:aws:dynamodb:REGION:ACCOUNT:table/TABLE/backup/ID",
                ),
            );
        };

        let place = TableLocation::find(store, environment, table, None).await;
        refuse_other_place(&origin, &place)?;
        let Some((backup, contents)) = store.describe_backed_up_table(arn).await? else {
            return Err(backup_not_found(store, arn).await);
        };

        let live = live_table(store, table).await?;
        let schema = contents.schema(live.as_ref())?.ok_or_else(|| {
            Error::failed(format!(
                "the endpoint does not describe the table in backup {arn}, and table {table} does not exist"
            ))
            .with_hint("restore a dump of that backup, which has the schema")
        })?;
        let is_live = live
            .is_some_and(|live| live.description().key_schema == schema.description().key_schema);
        let warnings = (!is_live).then(|| settings_warning(table));

        Ok(Self {
            environment: environment.name().to_owned(),
            table: table.to_owned(),
            schema,
            settings_origin: if is_live {
                SettingsOrigin::LiveTable
            } else {
                SettingsOrigin::Backup
            },
            warnings: warnings.into_iter().collect(),
            backup: Some(backup),
            origin,
        })
    }

    async fn point_in_time(
        store: &Reader,
        environment: &Environment,
        table: &str,
        at: Option<DateTime<Utc>>,
    ) -> Result<Self> {
        let described = describe_existing(store, environment, table).await?;
        let Some(table_arn) = described.description().table_arn.clone() else {
            return Err(Error::failed(format!(
                "the endpoint reports no ARN for table {table}, which a restore to a point in time needs"
            ))
            .with_hint("restore a dump or an on-demand backup"));
        };

        let sections = store.capture(&described, &Section::all()).await;
        let schema = described.with_sections(sections).without_restoring_tag();
        check_time(&schema, table, at, Utc::now())?;

        Ok(Self {
            origin: TableOrigin::PointInTime { table_arn, at },
            backup: None,
            environment: environment.name().to_owned(),
            table: table.to_owned(),
            schema,
            settings_origin: SettingsOrigin::LiveTable,
            warnings: Vec::new(),
        })
    }

    /// The time of the contents, if it is known.
    pub(crate) fn time(&self) -> Option<DateTime<Utc>> {
        match &self.origin {
            TableOrigin::Backup { .. } => self.backup.as_ref()?.created_at,
            TableOrigin::PointInTime { at, .. } => *at,
        }
    }

    /// The same backup with the settings that an interrupted restore has found before it changed anything.
    ///
    /// # Errors
    /// `document` is not a schema.
    pub(crate) fn with_settings(&self, document: &str) -> Result<Self> {
        Ok(Self {
            schema: TableSchema::parse(document.as_bytes())?,
            settings_origin: SettingsOrigin::Journal,
            warnings: Vec::new(),
            ..self.clone()
        })
    }
}

impl fmt::Display for ManagedBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.origin, &self.backup) {
            (TableOrigin::PointInTime { at: Some(at), .. }, _) => {
                let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
                write!(f, "table {} at {at}", self.table)
            }
            (TableOrigin::PointInTime { at: None, .. }, _) => {
                write!(f, "table {} at the latest restorable time", self.table)
            }
            (TableOrigin::Backup { arn }, backup) => {
                let name = backup.as_ref().map_or(arn, |backup| &backup.name);
                write!(f, "backup {name} of table {}", self.table)
            }
        }
    }
}

/// The backed-up table with its settings, if it exists. A table that DynamoDB is still restoring lacks them.
async fn live_table(store: &Reader, table: &str) -> Result<Option<TableSchema>> {
    let found = store.describe(table).await?;
    let is_usable = |found: &TableSchema| !found.is_being_deleted() && !found.is_being_restored();
    let Some(found) = found.filter(is_usable) else {
        return Ok(None);
    };

    let sections = store.capture(&found, &Section::all()).await;
    Ok(Some(found.with_sections(sections).without_restoring_tag()))
}

fn settings_warning(table: &str) -> String {
    format!(
        "Table {table} no longer exists as it was. The backup describes its indexes, billing, encryption and TTL. Other settings \
         (tags, point-in-time recovery, auto scaling, deletion protection, policies) are not restored."
    )
}

/// Refuses a backup that DynamoDB cannot restore at `place`.
///
/// # Errors
/// [`Usage`](crate::error::ErrorKind::Usage): it is in another account or region.
pub(crate) fn refuse_other_place(origin: &TableOrigin, place: &TableLocation) -> Result<()> {
    let from = AccountRegion {
        account: origin.account(),
        region: origin.region(),
    };
    if place.local || !from.differs_from(AccountRegion::of(place)) {
        return Ok(());
    }

    let from = format!(
        "AWS account {} in {}",
        from.account.unwrap_or("unknown"),
        from.region.unwrap_or("an unknown region")
    );
    let error = restored_elsewhere("the backup", &from, &place.location());
    Err(error.with_hint("restore it there, dump the restored table, and restore that dump"))
}

/// Refuses a time to which the table cannot be restored, as far as DynamoDB says so.
fn check_time(
    schema: &TableSchema,
    table: &str,
    at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<()> {
    if schema.has_point_in_time_recovery() == Some(false) {
        return Err(Error::failed(format!(
            "point-in-time recovery of table {table} is off, so DynamoDB keeps no earlier state of it"
        ))
        .with_hint(format!(
            "restore an on-demand backup ({} latest) or a dump; `aws dynamodb update-continuous-backups` turns it on for the future",
            Field::Backup
        )));
    }

    let Some(at) = at else {
        return Ok(());
    };

    let written = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let window = schema.restorable_window();
    let words = window.map(|window| {
        format!(
            "table {table} can be restored to times from {} to {}",
            written(window.earliest),
            written(window.latest)
        )
    });
    let problem = match window {
        _ if at > now => "is in the future",
        Some(window) if at < window.earliest => "is before the earliest restorable time",
        // DynamoDB compares whole seconds.
        Some(window) if at.timestamp() > window.latest.timestamp() => {
            "is after the latest restorable time"
        }
        _ => return Ok(()),
    };

    Err(
        Error::usage(format!("{} {problem}", written(at))).with_hint(format!(
            "{}; {} latest restores the latest state",
            words.unwrap_or_else(|| "choose an earlier time".to_owned()),
            Field::PointInTime
        )),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::error::ErrorKind;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn table(recovery: &Value) -> TableSchema {
        let document = json!({
            "Table": {"KeySchema": [], "AttributeDefinitions": []},
            "ContinuousBackups": {"PointInTimeRecoveryDescription": recovery},
        });
        TableSchema::parse(document.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn times_outside_the_window_are_refused_with_the_window() {
        let now = at("2026-11-20T12:00:00Z");
        let seconds = |text| at(text).timestamp();
        let schema = table(&json!({
            "PointInTimeRecoveryStatus": "ENABLED",
            "EarliestRestorableDateTime": seconds("2026-11-01T00:00:00Z"),
            "LatestRestorableDateTime": seconds("2026-11-20T11:55:00Z"),
        }));
        let check = |time: &str| check_time(&schema, "films", Some(at(time)), now);

        for allowed in [
            "2026-11-01T00:00:00Z",
            "2026-11-19T08:00:00Z",
            "2026-11-20T11:55:00.7Z",
        ] {
            assert!(check(allowed).is_ok(), "{allowed}");
        }

        assert!(check_time(&schema, "films", None, now).is_ok());
        for (refused, problem) in [
            ("2026-10-31T23:59:59Z", "before the earliest"),
            ("2026-11-20T11:55:01Z", "after the latest"),
            ("2026-11-20T12:00:01Z", "in the future"),
        ] {
            let error = check(refused).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(error.to_string().contains(problem), "{error}");
            let window = "from 2026-11-01T00:00:00Z to 2026-11-20T11:55:00Z";
            assert!(error.hint().unwrap().contains(window), "{error:?}");
        }
    }

    #[test]
    fn a_table_without_point_in_time_recovery_is_refused_and_an_unknown_window_is_left_to_dynamodb()
    {
        let now = at("2026-11-20T12:00:00Z");
        let off = table(&json!({"PointInTimeRecoveryStatus": "DISABLED"}));
        let error = check_time(&off, "films", None, now).unwrap_err();
        assert!(error.to_string().contains("is off"), "{error}");

        let unknown = table(&json!({"PointInTimeRecoveryStatus": "ENABLED"}));
        let earlier = Some(at("2026-11-01T00:00:00Z"));
        assert!(check_time(&unknown, "films", earlier, now).is_ok());
        let later = Some(at("2026-12-01T00:00:00Z"));
        assert!(check_time(&unknown, "films", later, now).is_err());
    }
}
