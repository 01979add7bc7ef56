//! The temporary boost: a provisioned table gets more write capacity, or billing by request, while items are written, and its own
//! figures at the end, whatever the end is.
//!
//! The marker of an unfinished restore holds both, so that a run that was killed leaves the second half to the next one. Raising
//! is worth a warning when it fails, for the items can be written all the same; a boost that stays is a failure, for it costs. An
//! engine that takes a change and shows another keeps no capacity, and none is paid for: that is said, and no failure.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::sleep;

use super::apply::{Applying, told};
use super::table;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase};
use crate::ops::table_location::TableLocation;
use crate::ops::until_cancelled;
use crate::schema::{Boost, CreateTable, SettingChoice, TableSchema};
use crate::store::WriteStore;

/// How long an interrupted run may take to request the revert of a boost.
const GRACE: Duration = Duration::from_secs(5);

/// What a plan says of the boost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum PlannedBoost {
    /// The table is raised while the items are written.
    Raise {
        /// Billing and capacity meanwhile, in people's words.
        to: String,
        /// Billing and capacity from then on.
        back_to: String,
    },
    /// A restore that did not end left the table raised; this one takes that back at its end.
    TakeBack {
        /// Billing and capacity from then on.
        back_to: String,
    },
    /// A restore that did not end left the table raised, and this one does not touch the table.
    Stays {
        /// Billing and capacity that the table is to have.
        back_to: String,
    },
    /// It was asked for and there is nothing to raise.
    Nothing {
        /// Why.
        reason: String,
    },
}

/// What became of a boost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BoostOutcome {
    /// Billing and capacity while the items were written, in people's words.
    pub during: String,
    /// Why the table did not have that, if so.
    pub refused: Option<String>,
    /// Billing and capacity it was to have from then on.
    pub after: String,
    /// Why the table does not have that, if so.
    pub not_taken_back: Option<NotTakenBack>,
    /// Whether the target took a change and does not show it: engines do not keep all capacities, and auto scaling may have
    /// changed them again.
    pub is_ignored: bool,
}

/// A boost that stays on the table, and costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotTakenBack {
    /// Why.
    pub reason: String,
    /// The command of the AWS CLI that takes it back; `None` for the embedded engine.
    pub command: Option<String>,
}

/// How the end of a boost ended.
pub(crate) struct Ended {
    /// `None` if the boosted table is gone.
    pub(crate) outcome: Option<BoostOutcome>,
    /// What an interruption left unfinished.
    pub(crate) unfinished: Option<Error>,
}

/// A boost as the marker holds it: two requests that would create the table as it is meanwhile and as it is to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Marked {
    raised: Value,
    back: Value,
}

/// A boost that an earlier run left on the table.
pub(crate) struct Left {
    raised: TableSchema,
    back: TableSchema,
}

impl Left {
    /// The boost in a marker, if the table still has it. One that somebody changed since is as somebody wants it; one that is
    /// being changed may still get there.
    ///
    /// # Errors
    /// The marker does not say what the table had.
    pub(crate) fn on(existing: &TableSchema, marked: &Marked) -> Result<Option<Self>> {
        let schema = |body: &Value| TableSchema::parse(body.to_string().as_bytes());
        let (raised, back) = (schema(&marked.raised)?, schema(&marked.back)?);
        let has_billing = raised.description().billing() == existing.description().billing();
        let is_raised = has_billing || !existing.is_active();

        Ok(is_raised.then_some(Self { raised, back }))
    }

    /// What a plan says of it if nothing is done about it.
    pub(crate) fn stays(&self) -> PlannedBoost {
        PlannedBoost::Stays {
            back_to: self.back.billing_in_words(),
        }
    }

    /// The table as it is without the boost.
    pub(crate) fn taken_from(&self, existing: &TableSchema) -> Result<TableSchema> {
        existing.billed_as(&self.back)
    }
}

/// A boost that a restore sees through.
pub(crate) struct Boosting {
    raised: TableSchema,
    back: TableSchema,
    /// Whether this restore raises the table; otherwise it is raised already.
    raises: bool,
    refused: Option<String>,
    is_ignored: bool,
}

impl Boosting {
    /// The boost of the table `base` that has `back` at the end, with what the plan says of it.
    pub(crate) fn plan(
        boost: Option<Boost>,
        left: Option<Left>,
        base: &TableSchema,
        back: &TableSchema,
    ) -> Result<(Option<Self>, Option<PlannedBoost>)> {
        let back_to = back.billing_in_words();
        let of = |raised, raises| {
            Some(Self {
                raised,
                back: back.clone(),
                raises,
                refused: None,
                is_ignored: false,
            })
        };

        if let Some(raised) = boost
            .map(|boost| base.boosted(boost))
            .transpose()?
            .flatten()
        {
            let planned = PlannedBoost::Raise {
                to: raised.billing_in_words(),
                back_to,
            };
            return Ok((of(raised, true), Some(planned)));
        }

        Ok(match (left, boost) {
            (Some(left), _) => (
                of(left.raised, false),
                Some(PlannedBoost::TakeBack { back_to }),
            ),
            (None, None) => (None, None),
            (None, Some(_)) => {
                let has_as_much = if base.description().is_provisioned() {
                    "the table has that capacity already"
                } else {
                    "the table is on-demand, so there is nothing to boost"
                };

                (
                    None,
                    Some(PlannedBoost::Nothing {
                        reason: has_as_much.to_owned(),
                    }),
                )
            }
        })
    }

    /// The table as it is while the items are written.
    pub(crate) fn raised(&self) -> &TableSchema {
        &self.raised
    }

    /// Whether this restore raises the table.
    pub(crate) fn raises(&self) -> bool {
        self.raises
    }

    /// The request that creates the table raised.
    pub(crate) fn creation(
        &self,
        table: &str,
        choice: &SettingChoice,
        same_table: bool,
    ) -> Result<CreateTable> {
        self.raised.creation(table, choice, same_table)
    }

    /// For the marker.
    pub(crate) fn marked(&self, table: &str) -> Result<Marked> {
        let request = |schema: &TableSchema| {
            let request = schema.create_table_request(table)?;
            serde_json::from_slice(&request.body)
                .map_err(|error| Error::failed("the boost cannot be noted").with_source(error))
        };

        Ok(Marked {
            raised: request(&self.raised)?,
            back: request(&self.back)?,
        })
    }

    /// Raises the table, unless it was created so. Only an interruption is an error.
    pub(crate) async fn raise<S: WriteStore>(&mut self, applying: &Applying<'_, S>) -> Result<()> {
        if !self.raises {
            return Ok(());
        }

        match raise(applying, &self.raised).await {
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let words = told(&error);
                applying
                    .reporter
                    .report(Event::Warning(format!("the table is not boosted: {words}")));
                self.refused = Some(words);
                Ok(())
            }
            Ok(is_shown) => {
                self.is_ignored |= !is_shown;
                Ok(())
            }
        }
    }

    /// Gives the table its own billing and capacity. After a failure or an interruption, the request is sent and not waited for.
    pub(crate) async fn end<S: WriteStore>(
        self,
        applying: &Applying<'_, S>,
        target: &TableLocation,
        is_failed: bool,
    ) -> Ended {
        let after = self.back.billing_in_words();
        let reverted = match revert(applying, &self.back, is_failed).await {
            Ok(Reverted::NoTable) => {
                return Ended {
                    outcome: None,
                    unfinished: None,
                };
            }
            reverted => reverted,
        };

        let pending = format!("the boost is being reverted to {after}, which was not waited for");
        let is_interrupted = applying.cancel.is_cancelled();
        let is_pending = is_interrupted && matches!(reverted, Ok(Reverted::Requested));
        let is_ignored = self.is_ignored || matches!(reverted, Ok(Reverted::Ignored));
        let not_taken_back = reverted.err().map(|error| NotTakenBack {
            reason: told(&error),
            command: self
                .back
                .billing_call(&target.table, &self.raised)
                .and_then(|call| by_hand(&call.body, target)),
        });

        let outcome = BoostOutcome {
            during: self.raised.billing_in_words(),
            refused: self.refused,
            after,
            not_taken_back,
            is_ignored,
        };

        let complaint = outcome.complaint();
        let is_unfinished = is_pending || (is_interrupted && complaint.is_some());
        if is_failed || is_unfinished {
            applying.reporter.report(match &complaint {
                Some(complaint) => Event::Warning(complaint.clone()),
                None if is_pending => Event::Info(pending.clone()),
                None => Event::Info(format!("the boost is taken back: {}", outcome.after)),
            });
        }

        let what = if complaint.is_some() {
            "the boost is not reverted".to_owned()
        } else {
            pending
        };

        let unfinished = is_unfinished.then(|| {
            Error::new(
                ErrorKind::Interrupted,
                format!("interrupted: every item is written, and {what}"),
            )
            .with_hint("the next restore into this table completes it: run the same command again")
        });

        Ended {
            outcome: Some(outcome),
            unfinished,
        }
    }
}

impl BoostOutcome {
    /// What to tell of a boost that stays: why, and what to do.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let stays = self.not_taken_back.as_ref()?;
        let mut words = format!(
            "the boost was not taken back, the table may not be {} again: {}",
            self.after, stays.reason
        );
        if let Some(command) = &stays.command {
            words.push_str("\ndo it by hand: ");
            words.push_str(command);
        }

        Some(words)
    }
}

/// What came of a request for other billing.
enum Asked {
    /// The table has it already.
    Nothing,
    Sent,
    /// The table is gone, or another one has its name.
    NoTable,
}

/// Requests the billing of `wanted` once the table is ready for a change. An interruption ends that wait: with `insists`, the request
/// is sent nevertheless.
async fn ask<S: WriteStore>(
    applying: &Applying<'_, S>,
    wanted: &TableSchema,
    insists: bool,
) -> Result<Asked> {
    let Applying {
        store,
        table,
        reporter,
        cancel,
        ready,
        ..
    } = applying;

    let found = match store.describe(table).await? {
        Some(found)
            if !ready
                .as_ref()
                .is_some_and(|ready| found.is_different_table(ready)) =>
        {
            found
        }
        _ => return Ok(Asked::NoTable),
    };

    let actual = match table::until_active(*store, table, *reporter, cancel).await {
        Err(error) if insists && error.kind() == ErrorKind::Interrupted => found,
        actual => actual?,
    };
    let Some(call) = wanted.billing_call(table, &actual) else {
        // What a table that is still being changed will have is not known.
        return if actual.is_active() {
            Ok(Asked::Nothing)
        } else {
            Err(table::stopped(table, &actual.activity()))
        };
    };

    reporter.report(Event::Phase {
        phase: Phase::Boosting,
        items: None,
        bytes: None,
    });

    store.apply(table, &call).await.map(|()| Asked::Sent)
}

/// Brings the billing of `wanted` to the table; says whether the table shows it then. An interruption ends every wait.
async fn raise<S: WriteStore>(applying: &Applying<'_, S>, wanted: &TableSchema) -> Result<bool> {
    let interrupted = || {
        Error::new(
            ErrorKind::Interrupted,
            "interrupted before the items were written",
        )
    };

    match until_cancelled(applying.cancel, interrupted, ask(applying, wanted, false)).await? {
        Asked::NoTable => Err(Error::not_found(format!(
            "table {} is not there",
            applying.table
        ))),
        Asked::Nothing => Ok(true),
        Asked::Sent => {
            table::is_billed_as(
                applying.store,
                applying.table,
                wanted,
                applying.reporter,
                applying.cancel,
            )
            .await
        }
    }
}

/// What came of the request to revert a boost.
enum Reverted {
    /// The table shows it.
    Shown,
    /// The target accepted the request and does not show it.
    Ignored,
    /// The request was accepted, and nobody waited for more.
    Requested,
    /// The table is gone, and the boost with it.
    NoTable,
}

/// Gives the table the billing of `back`. It is too late to leave the table raised because of an interruption, which only shortens this:
/// the request is sent within [`GRACE`] or not at all.
async fn revert<S: WriteStore>(
    applying: &Applying<'_, S>,
    back: &TableSchema,
    is_failed: bool,
) -> Result<Reverted> {
    let Applying {
        store,
        table,
        reporter,
        cancel,
        ..
    } = applying;

    let reverting = async {
        match ask(applying, back, true).await? {
            Asked::NoTable => return Ok(Reverted::NoTable),
            Asked::Nothing => return Ok(Reverted::Shown),
            Asked::Sent if is_failed => return Ok(Reverted::Requested),
            Asked::Sent => {}
        }

        match table::is_billed_as(*store, table, back, *reporter, cancel).await {
            Ok(true) => Ok(Reverted::Shown),
            Ok(false) => Ok(Reverted::Ignored),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Reverted::Requested),
            Err(error) => Err(error),
        }
    };

    tokio::select! {
        biased;
        reverted = reverting => reverted,
        () = async { cancel.cancelled().await; sleep(GRACE).await } => {
            Err(Error::new(ErrorKind::Interrupted, "the request was not accepted before the interruption"))
        }
    }
}

fn by_hand(body: &str, target: &TableLocation) -> Option<String> {
    let mut command = format!(
        "aws dynamodb update-table --cli-input-json '{}'",
        body.replace('\'', r"'\''")
    );
    if let Some(region) = &target.region {
        command.push_str(" --region ");
        command.push_str(region);
    }

    match &target.endpoint {
        Some(url) if url.starts_with("http") => {
            command.push_str(" --endpoint-url ");
            command.push_str(url);
            Some(command)
        }
        Some(_) => None,
        None => Some(command),
    }
}
