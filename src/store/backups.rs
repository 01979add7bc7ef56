//! On-demand backups of tables, which DynamoDB makes and keeps.

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::client::Client;
use super::pagination::CycleDetector;
use crate::aws::error::{ErrorClass, RequestError};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::schema::{BackedUpTable, BackupPage, Operation, RestoreTable, TableBackup};

/// Maximum time for which server errors are retried.
const MAX_SERVER_ERROR_TIME: Duration = Duration::from_secs(20);

/// Pauses between two requests while too many other restores are running.
const FIRST_QUEUE_PAUSE: Duration = Duration::from_millis(100);
const MAX_QUEUE_PAUSE: Duration = Duration::from_secs(30);

impl Client {
    /// Requests a backup of a table, which may still be `CREATING` on return.
    pub(crate) async fn create_backup(&self, table: &str, name: &str) -> Result<TableBackup> {
        let body = json!({"TableName": table, "BackupName": name});
        let answer = self.call_backup("CreateBackup", &body).await;
        answer
            .and_then(|answer| {
                TableBackup::from_creation(&answer, table)
                    .map_err(RequestError::unreadable_response)
            })
            .map_err(|error| self.backup_error(error, table))
    }

    /// Describes a backup; `None` if it does not exist.
    pub(crate) async fn describe_backup(&self, arn: &str) -> Result<Option<TableBackup>> {
        self.read_backup(arn, TableBackup::from_description).await
    }

    /// Describes a backup and the table that it contains; `None` if it does not exist.
    pub(crate) async fn describe_backed_up_table(
        &self,
        arn: &str,
    ) -> Result<Option<(TableBackup, BackedUpTable)>> {
        let parse = |answer: &[u8]| {
            let backup = TableBackup::from_description(answer)?;
            Ok((backup, BackedUpTable::from_description(answer)?))
        };
        self.read_backup(arn, parse).await
    }

    async fn read_backup<T>(
        &self,
        arn: &str,
        parse: impl FnOnce(&[u8]) -> serde_json::Result<T>,
    ) -> Result<Option<T>> {
        let answer = self
            .call_backup("DescribeBackup", &json!({"BackupArn": arn}))
            .await;
        let described =
            answer.and_then(|answer| parse(&answer).map_err(RequestError::unreadable_response));

        match described {
            Ok(backup) => Ok(Some(backup)),
            Err(error) if error.code.as_deref() == Some("BackupNotFoundException") => Ok(None),
            Err(error) => Err(self.backup_error(error, arn)),
        }
    }

    /// Lists the backups of a table, or of all tables.
    pub(crate) async fn list_backups(&self, table: Option<&str>) -> Result<Vec<TableBackup>> {
        let target = table.unwrap_or("of this account");
        let mut backups = Vec::new();
        let mut start: Option<String> = None;
        let mut cycle = CycleDetector::default();
        loop {
            let mut body = json!({});
            if let Some(table) = table {
                body["TableName"] = table.into();
            }

            if let Some(start) = &start {
                body["ExclusiveStartBackupArn"] = start.as_str().into();
            }

            let answer = self.call_backup("ListBackups", &body).await;
            let page = answer
                .and_then(|answer| {
                    BackupPage::parse(&answer).map_err(RequestError::unreadable_response)
                })
                .map_err(|error| self.backup_error(error, target))?;
            backups.extend(page.backups.unwrap_or_default());

            let Some(last) = page.last else {
                return Ok(backups);
            };
            cycle
                .advance(&last)
                .map_err(|error| self.backup_error(error, target))?;
            start = Some(last);
        }
    }

    /// Whether the endpoint has on-demand backups. Any other error than that it does not know them says nothing about it.
    pub(crate) async fn has_backups(&self, table: &str) -> bool {
        let body = json!({"TableName": table, "Limit": 1});
        let answer = self.call_backup("ListBackups", &body).await;

        !answer.is_err_and(|error| error.is_unsupported_operation())
    }

    /// Deletes a backup, or does nothing if it does not exist.
    pub(crate) async fn delete_backup(&self, arn: &str) -> Result<()> {
        let answer = self
            .call_backup("DeleteBackup", &json!({"BackupArn": arn}))
            .await;

        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.code.as_deref() == Some("BackupNotFoundException") => Ok(()),
            Err(error) => Err(self.backup_error(error, arn)),
        }
    }

    /// Requests that DynamoDB restores a table. It may not be `ACTIVE` for hours after that. While the account has as many restores as
    /// DynamoDB runs at the same time, waits for one to finish.
    pub(crate) async fn restore_table(&self, table: &str, request: &RestoreTable) -> Result<()> {
        let (mut elapsed, mut pause) = (Duration::ZERO, FIRST_QUEUE_PAUSE);
        let mut reported = Duration::ZERO;
        loop {
            let Err(full) = self.request_restore(table, request).await? else {
                return Ok(());
            };

            // First as soon as it waits, then at growing intervals.
            if elapsed >= reported * 2 {
                reported = elapsed.max(pause);
                self.retry().report(Event::Info(format!(
                    "other restores of this account must finish before table {table} can be restored; waiting, {} s so far ({})",
                    elapsed.as_secs(),
                    full.code_and_message()
                )));
            }

            tokio::time::sleep(pause).await;
            elapsed += pause;
            pause = (pause * 2).min(MAX_QUEUE_PAUSE);
        }
    }

    /// Requests that DynamoDB restores a table. The inner error says that too many other restores are running.
    async fn request_restore(
        &self,
        table: &str,
        request: &RestoreTable,
    ) -> Result<Result<(), RequestError>> {
        let body = Bytes::from(request.body.clone());
        let max_wait = self.retry().give_up_after();
        let mut calls = 0;
        let attempt = || {
            calls += 1;
            let call = self.call_setting(request.operation, body.clone());
            async move {
                match call.await {
                    Err(error) if is_restore_limit(&error) => Ok(Err(error)),
                    answer => answer.map(|_| Ok(())),
                }
            }
        };
        let answer = self.with_retry_limits(max_wait, max_wait, attempt).await;
        let error = match answer {
            Ok(outcome) => return Ok(outcome),
            Err(error) => error,
        };

        // An earlier call may have succeeded although its response was lost.
        let exists = matches!(
            error.code.as_deref(),
            Some("TableAlreadyExistsException" | "TableInUseException" | "ResourceInUseException")
        );
        if exists && calls > 1 {
            let found = self.describe(table).await?;
            if found.is_some_and(|found| found.is_restored_from(&request.source_arn)) {
                return Ok(Ok(()));
            }
        }

        Err(self.backup_error(error, table))
    }

    async fn call_backup(
        &self,
        operation: &'static str,
        body: &serde_json::Value,
    ) -> Result<Bytes, RequestError> {
        let body = Bytes::from(body.to_string());
        let max_busy_time = self.retry().give_up_after();
        let attempt = || self.call_setting(Operation::dynamodb(operation), body.clone());

        self.with_retry_limits(
            MAX_SERVER_ERROR_TIME.min(max_busy_time),
            max_busy_time,
            attempt,
        )
        .await
    }

    /// The error of a call about backups, with what to do where that is known.
    fn backup_error(&self, error: RequestError, target: &str) -> Error {
        let hint = backup_hint(&error);
        let kind = match error.code.as_deref() {
            Some("BackupNotFoundException" | "TableNotFoundException") => Some(ErrorKind::NotFound),
            Some("InvalidRestoreTimeException") => Some(ErrorKind::Usage),
            _ => None,
        };
        let error = self.operation_error(error, target);
        let error = match kind {
            Some(kind) => error.of_kind(kind),
            None => error,
        };
        match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// Whether as many restores are running as DynamoDB allows in an account at the same time (50), as opposed to a quota that only the
/// user can change.
fn is_restore_limit(error: &RequestError) -> bool {
    error.is_limit_exceeded() && error.class == ErrorClass::Throttled
}

fn backup_hint(error: &RequestError) -> Option<&'static str> {
    if error.is_unsupported_operation() {
        return Some("this endpoint has no on-demand backups; use the scan route");
    }

    match error.code.as_deref() {
        Some("ContinuousBackupsUnavailableException") => Some(
            "DynamoDB prepares backups for a new table; run the same command again in a few minutes",
        ),
        Some("BackupInUseException") => Some(
            "another request is using the backup; run the same command again when it has finished",
        ),
        Some("BackupNotFoundException") => {
            Some("`aws dynamodb list-backups` lists the backups of this account and region")
        }
        Some("TableAlreadyExistsException") => {
            Some("DynamoDB restores only into a new table; choose another name")
        }
        Some("PointInTimeRecoveryUnavailableException") => Some(
            "point-in-time recovery is not enabled for the table; restore an on-demand backup or a dump",
        ),
        Some("InvalidRestoreTimeException") => Some(
            "choose a time between the table's earliest and latest restorable time (`aws dynamodb describe-continuous-backups`)",
        ),
        Some("TableInUseException") => {
            Some("the table is being changed; run the same command again when it is ACTIVE")
        }
        Some("LimitExceededException") if error.class == ErrorClass::Quota => Some(
            "too many backups or restores are running in this account; run the same command again later",
        ),
        _ => None,
    }
}
