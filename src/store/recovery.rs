//! One call, made until it succeeds, is refused for good, or it is time to give up; and what can be mended before the next try.
//!
//! | fault | before the next try |
//! | --- | --- |
//! | throttled, server or network failed, answer damaged | wait |
//! | clock skew | nothing: the SDK has learned the server's time from the answer and signs the next call with it |
//! | credentials refused that were good before | get them anew from wherever they come |
//! | table not found or busy, for items | ask for its state: busy is waited for, gone or created again is the end |

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use super::client::Client;
use super::error::{Class, Fault};
use super::read::quoted;
use super::retry::Retry;
use crate::schema::TableSchema;

/// A clock that was put right is right for the next call. More would be another fault.
const SKEWED_CALLS: u32 = 3;

/// `DescribeTable` is eventually consistent: a table is gone when it says so this often, some seconds apart.
const ABSENCES: u32 = 4;
const BETWEEN_ABSENCES: Duration = Duration::from_millis(500);

/// What one caller goes through until its call succeeds.
pub(crate) struct Effort<'a, W> {
    client: &'a Client,
    operation: &'static str,
    /// The table, for calls about its items: its state explains their refusal.
    table: Option<&'a str>,
    /// In running time.
    started: Duration,
    waits: W,
    skewed: u32,
    absences: u32,
}

impl Client {
    /// Makes `attempt` until it succeeds, fails for good, or nothing has succeeded for too long.
    pub(crate) async fn run<T, F>(
        &self,
        operation: &'static str,
        attempt: impl FnMut() -> F + Send,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        self.run_on(operation, None, attempt).await
    }

    /// The same for a call about the items of `table`, which may leave `ACTIVE` meanwhile.
    pub(crate) async fn run_on<T, F>(
        &self,
        operation: &'static str,
        table: Option<&str>,
        mut attempt: impl FnMut() -> F + Send,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>> + Send,
    {
        let mut effort = self.effort(operation, table);
        loop {
            match attempt().await {
                Ok(value) => {
                    self.retry().succeeded();
                    return Ok(value);
                }
                Err(fault) => effort.again(fault).await?,
            }
        }
    }

    /// Makes `attempt` until it succeeds or is refused: for `busy` at most while the table is busy, for `faults` at most while the
    /// endpoint fails. That other calls succeed meanwhile says nothing here.
    pub(crate) async fn run_for<T, F>(
        &self,
        operation: &str,
        faults: Duration,
        busy: Duration,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let started = self.retry().now();
        let mut waits = Retry::waits();
        loop {
            let fault = match attempt().await {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            let patience = if fault.is_busy() { busy } else { faults };
            let is_renewable = fault.is_of_credentials() && self.retry().has_worked();
            if !(fault.is_passing() || fault.is_busy() || is_renewable)
                || self.retry().since(started) > patience
            {
                return Err(fault);
            }

            if is_renewable {
                Box::pin(self.renew()).await;
            }

            self.retry()
                .rest(operation, &fault.words(), &mut waits)
                .await;
        }
    }

    /// The beginning of an effort; see [`run_on`](Self::run_on) for the meaning of `table`.
    pub(crate) fn effort<'a>(
        &'a self,
        operation: &'static str,
        table: Option<&'a str>,
    ) -> Effort<'a, impl Iterator<Item = Duration> + Send + use<>> {
        Effort {
            client: self,
            operation,
            table,
            started: self.retry().now(),
            waits: Retry::waits(),
            skewed: 0,
            absences: 0,
        }
    }
}

impl<W: Iterator<Item = Duration> + Send> Effort<'_, W> {
    /// Mends what can be mended and waits for the next try; gives the fault back when there is to be none.
    pub(crate) async fn again(&mut self, fault: Fault) -> Result<(), Fault> {
        // What mends is large and rarely needed; it must not lie in the future of every call.
        let fault = Box::pin(self.mend(fault)).await?;
        self.client
            .retry()
            .pause(self.operation, fault, self.started, &mut self.waits)
            .await
    }

    async fn mend(&mut self, fault: Fault) -> Result<Fault, Fault> {
        let has_worked = self.client.retry().has_worked();
        match fault.class {
            // An endpoint that has never answered is not going to: say so at once.
            Class::Unreachable if !has_worked => Err(fault),
            Class::Unreachable | Class::Throttled | Class::Transient => Ok(fault),
            Class::Skewed => {
                self.skewed += 1;
                if has_worked || self.skewed < SKEWED_CALLS {
                    Ok(fault)
                } else {
                    Err(fault)
                }
            }
            Class::Denied if has_worked && fault.is_of_credentials() => {
                self.client.renew().await;
                Ok(fault)
            }
            Class::NotFound | Class::InUse => match self.table {
                Some(table) => self.state_of(table, fault).await,
                None => Err(fault),
            },
            Class::Untrusted
            | Class::WithoutTls
            | Class::Denied
            | Class::Invalid
            | Class::Other => Err(fault),
        }
    }

    /// Tells a table that is busy from one that is gone. The calls made here are no progress.
    async fn state_of(&mut self, table: &str, fault: Fault) -> Result<Fault, Fault> {
        let body = Bytes::from(format!(r#"{{"TableName":{}}}"#, quoted(table)));
        match self.client.send_describe_table(table, body).await {
            Ok(text) => {
                let Ok(found) = TableSchema::parse(&text) else {
                    return Ok(fault);
                };

                if self.client.is_another(table, &found) {
                    return Err(Fault::created_again());
                }

                match found.description().table_status.as_deref() {
                    Some("DELETING") => Err(Fault::gone("the table is being deleted")),
                    Some(status) => Ok(fault.while_table_is(status)),
                    None => Ok(fault),
                }
            }
            Err(answer) if answer.class == Class::NotFound => {
                self.absences += 1;
                if self.absences >= ABSENCES {
                    return Err(Fault::gone("there is no such table any more"));
                }

                tokio::time::sleep(BETWEEN_ABSENCES).await;
                Ok(fault)
            }
            Err(answer) if answer.is_passing() => Ok(fault),
            Err(answer) => Err(answer),
        }
    }
}
