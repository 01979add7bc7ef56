//! Repeats a call until it succeeds, fails permanently, or it is time to give up, and corrects what
//! can be corrected before each retry.
//!
//! | error | before the retry |
//! | --- | --- |
//! | throttling, server or network error, damaged response | wait |
//! | clock skew | nothing: the SDK signs the next request with the server's time |
//! | rejected credentials that were valid before | fetch new ones from their source; fail if they are expired static keys |
//! | table not found or busy, for calls about items | wait if busy; fail if deleted or recreated |

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use super::client::Client;
use super::json::json_string;
use super::retry::Retry;
use crate::aws::error::{ErrorClass, RequestError};
use crate::schema::TableSchema;

/// Maximum number of clock skew errors before the first success. After a correction, the next
/// request should succeed.
const MAX_SKEW_ERRORS: u32 = 3;

/// Number of times that `DescribeTable`, which is eventually consistent, must report that a table
/// does not exist.
const MAX_NOT_FOUND: u32 = 4;
const NOT_FOUND_INTERVAL: Duration = Duration::from_millis(500);

/// State of one call that is repeated until it succeeds.
pub(crate) struct RetryContext<'a, W> {
    client: &'a Client,
    /// The table, for calls about its items: its status explains errors.
    table: Option<&'a str>,
    /// In running time (see `clock`).
    started: Duration,
    delays: W,
    /// The credentials of the current attempt.
    credentials_generation: u64,
    skew_errors: u32,
    not_found: u32,
}

impl Client {
    /// Repeats `attempt` until it succeeds, fails permanently, or no call has succeeded for too
    /// long.
    pub(crate) async fn with_retries<T, F>(
        &self,
        attempt: impl FnMut() -> F + Send,
    ) -> Result<T, RequestError>
    where
        F: Future<Output = Result<T, RequestError>> + Send,
    {
        self.with_table_retries(None, attempt).await
    }

    /// Like [`with_retries`](Self::with_retries), for a call about the items of `table`, which may
    /// leave `ACTIVE` meanwhile.
    pub(crate) async fn with_table_retries<T, F>(
        &self,
        table: Option<&str>,
        mut attempt: impl FnMut() -> F + Send,
    ) -> Result<T, RequestError>
    where
        F: Future<Output = Result<T, RequestError>> + Send,
    {
        let mut retries = self.retry_context(table);
        loop {
            match attempt().await {
                Ok(value) => {
                    self.retry().record_success();
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

            self.retry().sleep_before_retry(&error, &mut delays).await;
        }
    }

    /// Starts a retry loop; see [`with_table_retries`](Self::with_table_retries) for the meaning of
    /// `table`.
    pub(crate) fn retry_context<'a>(
        &'a self,
        table: Option<&'a str>,
    ) -> RetryContext<'a, impl Iterator<Item = Duration> + Send + use<>> {
        RetryContext {
            client: self,
            table,
            started: self.retry().now(),
            delays: Retry::backoff(),
            credentials_generation: self.credentials_generation(),
            skew_errors: 0,
            not_found: 0,
        }
    }
}

impl<W: Iterator<Item = Duration> + Send> RetryContext<'_, W> {
    /// Corrects what can be corrected and waits before the next attempt. Returns the error if there
    /// should be none.
    pub(crate) async fn prepare_retry(&mut self, error: RequestError) -> Result<(), RequestError> {
        // Boxed, because this future is large and rarely needed: it must not enlarge the future of
        // every call.
        let error = Box::pin(self.recover(error)).await?;
        self.client
            .retry()
            .wait_or_give_up(error, self.started, &mut self.delays)
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
            ErrorClass::NotFound | ErrorClass::InUse => match self.table {
                Some(table) => self.check_table(table, error).await,
                None => Err(error),
            },
            ErrorClass::Network | ErrorClass::Denied | ErrorClass::Invalid | ErrorClass::Other => {
                Err(error)
            }
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

                // Items must not be written to a table that somebody else has created.
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
                    return Err(error.because_table_was_deleted("there is no such table any more"));
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
