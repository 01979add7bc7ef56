//! Applies the temporary boost to the table, and reverts it when the restore ends, for any reason.
//!
//! If the table cannot be boosted, that is a warning: the items can be written anyway. If the boost cannot be reverted, that is a
//! failure: it costs money. An engine that accepts a change and shows other billing keeps no capacity, so nothing is paid for: this is
//! reported and is not a failure.

use std::time::Duration;

use tokio::time::sleep;

use super::apply_settings::{SettingsApplier, one_line};
use super::table;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase};
use crate::ops::restore::plan::boost::{BoostNotReverted, BoostOutcome, TemporaryBoost};
use crate::ops::table_location::TableLocation;
use crate::ops::until_cancelled;
use crate::schema::TableSchema;

/// How long an interrupted run may take to send the request that reverts a boost.
const REVERT_TIMEOUT: Duration = Duration::from_secs(5);

/// Result of [`TemporaryBoost::revert`].
pub(crate) struct RevertReport {
    /// `None` if the boosted table no longer exists.
    pub(crate) outcome: Option<BoostOutcome>,
    /// The error if an interruption left the boost in place, or its end unconfirmed.
    pub(crate) unfinished: Option<Error>,
}

/// Result of a request for other billing.
enum BillingRequest {
    /// The table already has it.
    AlreadySet,
    /// Sent, with the table as the response describes it, if it does.
    Sent(Option<Box<TableSchema>>),
    /// The table no longer exists, or another one has its name.
    NoTable,
}

/// Result of the request that reverts a boost.
enum RevertResult {
    /// The table shows the change.
    Shown,
    /// The endpoint accepted the request and does not show the change.
    Ignored,
    /// The endpoint accepted the request; the change was not waited for.
    Requested,
    /// The table no longer exists, and neither does the boost.
    NoTable,
}

impl TemporaryBoost {
    /// Boosts the table, unless it already is. Only an interruption is an error.
    pub(crate) async fn start(&mut self, applier: &SettingsApplier<'_>) -> Result<()> {
        if !self.is_new {
            return Ok(());
        }

        match set_billing(applier, &self.boosted).await {
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let reason = one_line(&error);
                applier.table.reporter.report(Event::Warning(format!(
                    "the table is not boosted: {reason}"
                )));
                self.refused = Some(reason);

                Ok(())
            }
            Ok(is_shown) => {
                self.is_ignored |= !is_shown;
                Ok(())
            }
        }
    }

    /// Reverts the boost. After a failure (`is_failed`) or an interruption, the request is sent, but its effect is not waited for.
    pub(crate) async fn revert(
        self,
        applier: &SettingsApplier<'_>,
        target: &TableLocation,
        is_failed: bool,
    ) -> RevertReport {
        let result = match revert_billing(applier, &self.after, is_failed).await {
            Ok(RevertResult::NoTable) => {
                return RevertReport {
                    outcome: None,
                    unfinished: None,
                };
            }
            result => result,
        };

        let is_interrupted = applier.table.cancel.is_cancelled();
        let is_pending = is_interrupted && matches!(result, Ok(RevertResult::Requested));
        let outcome = self.outcome(result, target);
        let failure = outcome.failure_message();
        let is_unfinished = is_pending || (is_interrupted && failure.is_some());
        let pending = format!(
            "the boost is being reverted to {}, which was not waited for",
            outcome.after
        );

        // Without a summary, which follows only a complete restore, an event has to report the result.
        if is_failed || is_unfinished {
            applier.table.reporter.report(match &failure {
                Some(failure) => Event::Warning(failure.clone()),
                None if is_pending => Event::Info(pending.clone()),
                None => Event::Info(format!("the boost was reverted: {}", outcome.after)),
            });
        }

        let unfinished = is_unfinished.then(|| {
            let state = if failure.is_some() {
                "the boost is not reverted"
            } else {
                &pending
            };

            Error::new(
                ErrorKind::Interrupted,
                format!("interrupted: every item is written, and {state}"),
            )
            .with_hint("the next restore into this table completes it: run the same command again")
        });

        RevertReport {
            outcome: Some(outcome),
            unfinished,
        }
    }

    fn outcome(self, result: Result<RevertResult>, target: &TableLocation) -> BoostOutcome {
        let is_ignored = self.is_ignored || matches!(result, Ok(RevertResult::Ignored));
        let not_reverted = result.err().map(|error| BoostNotReverted {
            reason: one_line(&error),
            command: self
                .after
                .billing_call(&target.table, &self.boosted)
                .and_then(|call| aws_cli_command(&call.body, target)),
        });

        BoostOutcome {
            during: self.boosted.billing_in_words(),
            refused: self.refused,
            after: self.after.billing_in_words(),
            not_reverted,
            is_ignored,
        }
    }
}

/// Requests the billing of `wanted` when the table is ready for a change. If an interruption ends that wait, the request is sent only
/// with `send_if_interrupted`.
async fn request_billing(
    applier: &SettingsApplier<'_>,
    wanted: &TableSchema,
    send_if_interrupted: bool,
) -> Result<BillingRequest> {
    let SettingsApplier {
        table,
        active_table,
        ..
    } = applier;

    let found = table.store.reader().describe(table.name).await?;
    let is_same = |found: &TableSchema| {
        active_table
            .as_ref()
            .is_none_or(|active| !found.is_different_table(active))
    };
    let Some(found) = found.filter(is_same) else {
        return Ok(BillingRequest::NoTable);
    };

    let actual = match table.wait_until_active().await {
        Err(error) if send_if_interrupted && error.kind() == ErrorKind::Interrupted => found,
        actual => actual?,
    };
    let Some(call) = wanted.billing_call(table.name, &actual) else {
        // While the table is being updated, its future billing is unknown.
        return if actual.is_active() {
            Ok(BillingRequest::AlreadySet)
        } else {
            Err(table::wait_interrupted(table.name, &actual.activity()))
        };
    };

    table.reporter.report(Event::Phase {
        phase: Phase::Boosting,
        items: None,
        bytes: None,
    });

    table
        .store
        .apply(table.name, &call, None)
        .await
        .map(|response| BillingRequest::Sent(response.map(Box::new)))
}

/// Sets the billing of `wanted`. Returns whether the table shows it afterwards. An interruption ends every wait.
async fn set_billing(applier: &SettingsApplier<'_>, wanted: &TableSchema) -> Result<bool> {
    let table = applier.table;
    let interrupted = || {
        Error::new(
            ErrorKind::Interrupted,
            "interrupted before the items were written",
        )
    };

    let request = request_billing(applier, wanted, false);
    match until_cancelled(table.cancel, interrupted, request).await? {
        BillingRequest::NoTable => Err(Error::not_found(format!(
            "table {} does not exist",
            table.name
        ))),
        BillingRequest::AlreadySet => Ok(true),
        BillingRequest::Sent(response) => table.wait_for_billing(wanted, response.as_deref()).await,
    }
}

/// Sets the billing after a boost. An interruption does not prevent the request, because the boost costs money; it only limits the time
/// for it to [`REVERT_TIMEOUT`].
async fn revert_billing(
    applier: &SettingsApplier<'_>,
    after: &TableSchema,
    is_failed: bool,
) -> Result<RevertResult> {
    let table = applier.table;
    let reverting = async {
        let response = match request_billing(applier, after, true).await? {
            BillingRequest::NoTable => return Ok(RevertResult::NoTable),
            BillingRequest::AlreadySet => return Ok(RevertResult::Shown),
            BillingRequest::Sent(_) if is_failed => return Ok(RevertResult::Requested),
            BillingRequest::Sent(response) => response,
        };

        match table.wait_for_billing(after, response.as_deref()).await {
            Ok(true) => Ok(RevertResult::Shown),
            Ok(false) => Ok(RevertResult::Ignored),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(RevertResult::Requested),
            Err(error) => Err(error),
        }
    };

    tokio::select! {
        biased;
        reverted = reverting => reverted,
        () = async { table.cancel.cancelled().await; sleep(REVERT_TIMEOUT).await } => {
            Err(Error::new(ErrorKind::Interrupted, "the request was not accepted before the interruption"))
        }
    }
}

/// The AWS CLI command for an `UpdateTable` request; `None` for the embedded engine, which the AWS CLI cannot reach.
fn aws_cli_command(body: &str, target: &TableLocation) -> Option<String> {
    let endpoint = target.endpoint.as_deref();
    if endpoint.is_some_and(|url| !url.starts_with("http")) {
        return None;
    }

    let body = format!("'{}'", body.replace('\'', r"'\''"));
    let options = [
        ("cli-input-json", Some(body.as_str())),
        ("region", target.region.as_deref()),
        ("endpoint-url", endpoint),
    ];
    let options = options
        .into_iter()
        .filter_map(|(name, value)| Some(format!(" --{name} {}", value?)));

    Some(format!(
        "aws dynamodb update-table{}",
        options.collect::<String>()
    ))
}
