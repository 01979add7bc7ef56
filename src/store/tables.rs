//! Creates and deletes tables, in a control plane that limits concurrent changes per account
//! (`LimitExceededException`) and allows one change at a time per table (`ResourceInUseException`).

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;

use super::client::Client;
use super::json::json_string;
use super::recovery::CallTarget;
use super::retry::Retry;
use crate::aws::error::{ErrorClass, RequestError};
use crate::aws::{ApiOperation, ResponseBody};
use crate::error::{Error, Result};
use crate::schema::{CreateTable, Setting, TableSchema};

/// The next step after a failed `CreateTable`.
enum CreateDecision {
    /// An earlier call has created the table.
    AlreadyCreated,
    /// Repeat the call that failed with this error later.
    Retry(RequestError),
    /// Repeat the call without the tag of an unfinished restore.
    RetryUntagged,
    /// Repeat the call without a setting.
    RetryWithout(Setting, &'static str),
    /// Fail.
    Fail(Error),
}

/// What a table was created without.
#[derive(Debug, Default)]
pub struct CreatedTable {
    /// The optional settings that an engine other than AWS rejected, each with its error message.
    pub refused: Vec<(Setting, String)>,
    /// Why the table lacks the tag of an unfinished restore, if it was requested.
    pub untagged: Option<String>,
    /// Whether the response says that the table is not ready yet.
    pub is_creating: bool,
}

impl Client {
    /// Requests the creation of a table. The tag, and settings that an engine rejects, are left out and
    /// returned with the error message.
    pub(crate) async fn create(&self, table: &str, request: &CreateTable) -> Result<CreatedTable> {
        let started = self.retry().now();
        let mut delays = Retry::backoff();
        let mut request = request.clone();
        let mut created = CreatedTable::default();

        // An earlier call may have succeeded although its response was lost.
        let may_have_been_created = AtomicBool::new(false);
        let mut is_reported = false;
        loop {
            let error = match self
                .create_once(table, &request, &may_have_been_created)
                .await
            {
                Ok(response) => {
                    let described = TableSchema::parse(&response.text).ok();
                    created.is_creating = described.is_some_and(|table| !table.is_active());
                    return Ok(created);
                }
                Err(error) => error,
            };

            let reason = error.code_and_message();
            match self
                .decide_after_error(
                    table,
                    &request,
                    error,
                    may_have_been_created.load(Ordering::Relaxed),
                )
                .await?
            {
                CreateDecision::AlreadyCreated => return Ok(created),
                CreateDecision::Fail(error) => return Err(error),
                CreateDecision::RetryUntagged => {
                    request.restoring_tag = None;
                    created.untagged = Some(reason);
                }
                CreateDecision::RetryWithout(setting, field) => {
                    request = request.without(field);
                    // So that the same setting is not removed twice.
                    request.optional.retain(|(_, other)| *other != field);
                    created.refused.push((setting, reason));
                }
                CreateDecision::Retry(_)
                    if self.retry().since(started) > self.retry().give_up_after() =>
                {
                    return Err(Error::failed(format!("CreateTable {table} failed: {reason}"))
                        .with_hint("a table with that name still exists; run the same command again when it is deleted"));
                }
                CreateDecision::Retry(error) => {
                    if !std::mem::replace(&mut is_reported, true) {
                        self.retry().inform(format!(
                            "table {table} is still being deleted; waiting to create it"
                        ));
                    }

                    let wait = delays.next_delay();
                    self.retry().sleep_before_retry(&error, wait).await;
                }
            }
        }
    }

    async fn create_once(
        &self,
        table: &str,
        request: &CreateTable,
        may_have_been_created: &AtomicBool,
    ) -> Result<ResponseBody, RequestError> {
        let body = Bytes::from(request.tagged_body());
        let attempt = || async {
            let answer = self
                .send_about_table(ApiOperation::CREATE_TABLE, table, body.clone())
                .await;
            if answer
                .as_ref()
                .is_err_and(|error| error.class == ErrorClass::Transient)
            {
                may_have_been_created.store(true, Ordering::Relaxed);
            }

            answer
        };

        self.with_retries(CallTarget::Creation(table), attempt)
            .await
    }

    async fn decide_after_error(
        &self,
        table: &str,
        request: &CreateTable,
        error: RequestError,
        may_have_been_created: bool,
    ) -> Result<CreateDecision> {
        if request.restoring_tag.is_some() && may_be_about_tag(&error) {
            return Ok(CreateDecision::RetryUntagged);
        }

        if let Some((setting, field)) = self.refused_setting(request, &error) {
            return Ok(CreateDecision::RetryWithout(setting, field));
        }

        // Only these two leave open whether the table exists.
        if !matches!(error.class, ErrorClass::InUse | ErrorClass::Transient) {
            return Ok(CreateDecision::Fail(self.operation_error(error, table)));
        }

        let found = match self.describe(table).await {
            // The call had no effect, or its effect is unknown.
            Ok(None) | Err(_) if error.class == ErrorClass::Transient => {
                return Ok(CreateDecision::Fail(self.operation_error(error, table)));
            }
            found => found?,
        };

        let status = found
            .as_ref()
            .and_then(|found| found.description().table_status.as_deref());
        Ok(match status {
            // Deleted between the two calls, or still being deleted.
            None | Some("DELETING") => CreateDecision::Retry(error),
            Some(_) if may_have_been_created => CreateDecision::AlreadyCreated,
            Some(_) => CreateDecision::Fail(
                Error::failed(format!(
                    "table {table} was created by someone else in the meantime"
                ))
                .with_hint("run the same command again to check it first"),
            ),
        })
    }

    /// The setting that an error names, if the table may be created without it.
    fn refused_setting(
        &self,
        request: &CreateTable,
        error: &RequestError,
    ) -> Option<(Setting, &'static str)> {
        let message = error.message.to_ascii_lowercase();
        let names = |setting: Setting, field: &str| {
            message.contains(&field.to_ascii_lowercase())
                || setting
                    .creation_aliases()
                    .iter()
                    .any(|name| message.contains(name))
        };

        // These errors are about the table or the permissions, even if they mention a setting.
        let is_about_request = !matches!(error.class, ErrorClass::InUse | ErrorClass::Denied);
        let may_omit = |setting| is_about_request && self.endpoint_kind().may_omit(setting);
        request
            .optional
            .iter()
            .copied()
            .find(|(setting, field)| may_omit(*setting) && names(*setting, field))
    }

    /// Requests the deletion of a table, as soon as it is not being changed.
    pub(crate) async fn delete(&self, table: &str) -> Result<()> {
        let body = Bytes::from(format!(r#"{{"TableName":{}}}"#, json_string(table)));
        let mut calls = 0;
        let max_wait = self.retry().give_up_after();
        let answer = self.with_retry_limits(max_wait, max_wait, || {
            calls += 1;
            self.send_about_table(ApiOperation::DELETE_TABLE, table, body.clone())
        });
        match answer.await {
            // An earlier call succeeded, and its response was lost.
            Err(error) if calls > 1 && error.class == ErrorClass::NotFound => Ok(()),
            answer => answer
                .map(drop)
                .map_err(|error| self.operation_error(error, table)),
        }
    }
}

/// Whether a request may have been rejected because of a tag: a policy may deny `TagResource` or depend on the tags of the request, a
/// table has at most 50 tags, and an engine may not know the field.
fn may_be_about_tag(error: &RequestError) -> bool {
    match error.class {
        ErrorClass::Denied => true,
        ErrorClass::InUse | ErrorClass::Transient => false,
        _ => error.message.to_ascii_lowercase().contains("tag"),
    }
}
