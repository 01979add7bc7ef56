//! Repeats a call until it succeeds, fails permanently, or it is time to give up, and corrects what
//! can be corrected before each retry.
//!
//! | error | before the retry |
//! | --- | --- |
//! | throttling, server or network error, damaged response | wait |
//! | clock skew | nothing: the next request is signed with the server's time |
//! | rejected credentials that were valid before | fetch new ones from their source; fail if they are expired static keys |
//! | table not found or busy, for calls about items | wait if busy; fail if deleted or recreated |

use std::future::Future;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::client::Client;
use super::clock::RunningClock;
use super::json::json_string;
use super::retry::{Backoff, CallProgress, Retry};
use crate::aws::error::{ErrorClass, RequestError};
use crate::schema::TableSchema;

/// Maximum number of clock skew errors before the first success. After a correction, the next
/// request should succeed.
const MAX_SKEW_ERRORS: u32 = 3;

/// Number of times that `DescribeTable`, which is eventually consistent, must report that a table
/// does not exist.
const MAX_NOT_FOUND: u32 = 4;
const NOT_FOUND_INTERVAL: Duration = Duration::from_millis(500);

/// The subject of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum CallTarget<'a> {
    /// The account.
    Account,
    /// A table as such.
    Table(&'a str),
    /// A table that is created. AWS limits the tables that are created at the same time.
    Creation(&'a str),
    /// The items of a table, which may leave `ACTIVE` in the meantime. Its status explains errors.
    Items(&'a str),
}

/// State of one call that is repeated until it succeeds.
pub(crate) struct RetryContext<'a> {
    client: &'a Client,
    target: CallTarget<'a>,
    progress: Arc<CallProgress>,
    /// The progress that decides while the call is throttled, if it depends on others. It has the same clock.
    progress_if_throttled: Option<Arc<CallProgress>>,
    /// When this call last made progress, by the clock of `progress`.
    started: Duration,
    delays: Backoff,
    /// The credentials of the current attempt.
    credentials_generation: u64,
    skew_errors: u32,
    not_found: u32,
}

impl Client {
    /// Repeats `attempt` until it succeeds, fails permanently, or has not succeeded for too long.
    pub(crate) async fn with_retries<T, F>(
        &self,
        target: CallTarget<'_>,
        mut attempt: impl FnMut() -> F + Send,
    ) -> Result<T, RequestError>
    where
        F: Future<Output = Result<T, RequestError>> + Send,
    {
        let mut retries = self.retry_context(target);
        loop {
            match attempt().await {
                Ok(value) => {
                    retries.record_success();
                    return Ok(value);
                }
                Err(error) => retries.prepare_retry(error).await?,
            }
        }
    }

    /// Repeats `attempt` until it succeeds or is rejected: for `max_busy_time` while the table is
    /// busy, and for `max_error_time` while the endpoint fails. The success of other calls does not
    /// extend these times.
    pub(crate) async fn with_retry_limits<T, F>(
        &self,
        max_error_time: Duration,
        max_busy_time: Duration,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, RequestError>
    where
        F: Future<Output = Result<T, RequestError>>,
    {
        let started = self.retry().now();
        let mut delays = Retry::backoff();
        loop {
            let generation = self.credentials_generation();
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let limit = if error.is_table_busy() {
                max_busy_time
            } else {
                max_error_time
            };
            // Credentials that never worked are wrong; those that did may have expired.
            let is_renewable = error.is_rejected_credentials() && self.retry().has_succeeded();
            if !(error.is_retryable() || error.is_table_busy() || is_renewable)
                || self.retry().since(started) > limit
            {
                return Err(error);
            }

            if is_renewable && !Box::pin(self.can_retry_rejected(&error, generation)).await {
                return Err(error);
            }

            let wait = delays.next_delay();
            self.retry().sleep_before_retry(&error, wait).await;
        }
    }

    /// Starts a retry loop. Calls about the items of one table share their progress.
    pub(crate) fn retry_context<'a>(&'a self, target: CallTarget<'a>) -> RetryContext<'a> {
        let progress = match target {
            CallTarget::Account => self.retry().call_progress(None),
            CallTarget::Table(table) | CallTarget::Creation(table) => {
                self.retry().call_progress(Some(table))
            }
            CallTarget::Items(table) => self.retry().table_progress(table),
        };
        // As long as other tables are created, this one waits for its turn.
        let progress_if_throttled = match target {
            CallTarget::Creation(_) => Some(self.retry().creation_progress()),
            _ => None,
        };

        RetryContext {
            client: self,
            target,
            started: progress.clock().now(),
            progress,
            progress_if_throttled,
            delays: Retry::backoff(),
            credentials_generation: self.credentials_generation(),
            skew_errors: 0,
            not_found: 0,
        }
    }
}

impl RetryContext<'_> {
    /// Records that a request is sent.
    pub(crate) fn record_call(&self) {
        self.progress.record_call();
    }

    /// The clock that stops while all pages of the table wait for our own consumer.
    pub(super) fn clock(&self) -> &RunningClock {
        self.progress.clock()
    }

    /// Records that a request succeeded.
    pub(crate) fn record_success(&self) {
        for progress in iter::once(&self.progress).chain(&self.progress_if_throttled) {
            self.client.retry().record_success(progress);
        }
    }

    /// Waits before the call is repeated for another reason than an error.
    pub(crate) async fn wait(&mut self) {
        let wait = Retry::next_delay(&self.progress, &mut self.delays);
        tokio::time::sleep(wait).await;
    }

    /// Corrects what can be corrected and waits before the next attempt. Returns the error if there
    /// should be none.
    pub(crate) async fn prepare_retry(&mut self, error: RequestError) -> Result<(), RequestError> {
        // Boxed, because this future is large and rarely needed: it must not enlarge the future of
        // every call.
        let error = Box::pin(self.recover(error)).await?;
        let progress = match &self.progress_if_throttled {
            Some(shared) if error.class == ErrorClass::Throttled => shared,
            _ => &self.progress,
        };
        self.client
            .retry()
            .wait_or_give_up(progress, error, self.started, &mut self.delays)
            .await?;
        self.credentials_generation = self.client.credentials_generation();

        Ok(())
    }

    async fn recover(&mut self, error: RequestError) -> Result<RequestError, RequestError> {
        let has_succeeded = self.client.retry().has_succeeded();
        match error.class {
            // An endpoint that has never answered is probably wrong: fail immediately.
            ErrorClass::Unreachable if !has_succeeded => Err(error),
            ErrorClass::Unreachable | ErrorClass::Throttled | ErrorClass::Transient => Ok(error),
            ErrorClass::ClockSkew => {
                self.skew_errors += 1;
                if has_succeeded || self.skew_errors < MAX_SKEW_ERRORS {
                    Ok(error)
                } else {
                    Err(error)
                }
            }
            ErrorClass::Denied if has_succeeded && error.is_rejected_credentials() => {
                let generation = self.credentials_generation;
                if self.client.can_retry_rejected(&error, generation).await {
                    Ok(error)
                } else {
                    Err(error)
                }
            }
            ErrorClass::NotFound | ErrorClass::InUse => match self.target {
                CallTarget::Items(table) => self.check_table(table, error).await,
                CallTarget::Account | CallTarget::Table(_) | CallTarget::Creation(_) => Err(error),
            },
            ErrorClass::Network
            | ErrorClass::Quota
            | ErrorClass::Denied
            | ErrorClass::Invalid
            | ErrorClass::Other => Err(error),
        }
    }

    /// Distinguishes a busy table from a deleted one. The calls made here do not count as progress.
    async fn check_table(
        &mut self,
        table: &str,
        error: RequestError,
    ) -> Result<RequestError, RequestError> {
        let body = Bytes::from(format!(r#"{{"TableName":{}}}"#, json_string(table)));
        match self.client.send_describe_table(table, body).await {
            Ok(answer) => {
                let Ok(found) = TableSchema::parse(&answer.text) else {
                    return Ok(error);
                };

                // Items must not be written to a table that someone else has created.
                if self.client.is_recreated(table, &found) {
                    return Err(error.because_table_was_recreated());
                }

                match found.description().table_status.as_deref() {
                    Some("DELETING") => {
                        Err(error.because_table_was_deleted("the table is being deleted"))
                    }
                    Some(status) => Ok(error.with_table_status(status)),
                    None => Ok(error),
                }
            }
            Err(answer) if answer.class == ErrorClass::NotFound => {
                // A single report may be outdated.
                self.not_found += 1;
                if self.not_found >= MAX_NOT_FOUND {
                    return Err(error.because_table_was_deleted("the table no longer exists"));
                }

                // In addition to the usual delay, so that the reports are far enough apart.
                tokio::time::sleep(NOT_FOUND_INTERVAL).await;
                Ok(error)
            }
            Err(answer) if answer.is_retryable() => Ok(error),
            Err(answer) => Err(answer),
        }
    }
}
