//! The temporary boost: a provisioned table gets more write capacity, or billing by request, while items are written, and its own
//! figures at the end, whatever the end is.
//!
//! The marker of an unfinished restore holds both, so that a run that was killed leaves the second half to the next one. Raising
//! is worth a warning when it fails, for the items can be written all the same; a boost that stays is a failure, for it costs. An
//! engine that takes a change and shows another keeps no capacity, and none is paid for: that is said, and no failure.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::apply::{Applying, told};
use super::table;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase};
use crate::ops::place::Place;
use crate::schema::{Boost, CreateTable, SettingChoice, TableSchema};
use crate::store::WriteStore;

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

/// A boost as the marker holds it: two requests that would create the table as it is meanwhile and as it is to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Marked {
    raised: Value,
    back: Value,
}

/// A boost that an earlier run left on the table.
pub(super) struct Left {
    raised: TableSchema,
    back: TableSchema,
}

impl Left {
    /// The boost in a marker, if the table still has it. One that somebody changed since is as somebody wants it; one that is
    /// being changed may still get there.
    pub(super) fn on(existing: &TableSchema, marked: &Marked) -> Option<Self> {
        let schema = |body: &Value| TableSchema::parse(body.to_string().as_bytes()).ok();
        let (raised, back) = (schema(&marked.raised)?, schema(&marked.back)?);
        let has_billing = raised.description().billing() == existing.description().billing();
        let is_raised = has_billing || !existing.is_active();
        is_raised.then_some(Self { raised, back })
    }

    /// The table as it is without the boost.
    pub(super) fn taken_from(&self, existing: &TableSchema) -> Result<TableSchema> {
        existing.billed_as(&self.back)
    }
}

/// A boost that a restore sees through.
pub(super) struct Boosting {
    raised: TableSchema,
    back: TableSchema,
    /// Whether this restore raises the table; otherwise it is raised already.
    raises: bool,
    refused: Option<String>,
    is_ignored: bool,
}

impl Boosting {
    /// The boost of the table `base` that has `back` at the end, with what the plan says of it.
    pub(super) fn plan(
        boost: Option<Boost>,
        left: Option<Left>,
        base: &TableSchema,
        back: &TableSchema,
    ) -> Result<(Option<Self>, Option<PlannedBoost>)> {
        let back_to = back.billing_in_words();
        let of = |raised, raises| Some(Self { raised, back: back.clone(), raises, refused: None, is_ignored: false });
        if let Some(raised) = boost.map(|boost| base.boosted(boost)).transpose()?.flatten() {
            let planned = PlannedBoost::Raise { to: raised.billing_in_words(), back_to };
            return Ok((of(raised, true), Some(planned)));
        }
        Ok(match (left, boost) {
            (Some(left), _) => (of(left.raised, false), Some(PlannedBoost::TakeBack { back_to })),
            (None, None) => (None, None),
            (None, Some(_)) => {
                let has_as_much = if base.description().is_provisioned() {
                    "the table has that capacity already"
                } else {
                    "the table is on-demand, so there is nothing to boost"
                };
                (None, Some(PlannedBoost::Nothing { reason: has_as_much.to_owned() }))
            }
        })
    }

    /// The table as it is while the items are written.
    pub(super) fn raised(&self) -> &TableSchema {
        &self.raised
    }

    /// Whether this restore raises the table.
    pub(super) fn raises(&self) -> bool {
        self.raises
    }

    /// The request that creates the table raised.
    pub(super) fn creation(&self, table: &str, choice: &SettingChoice, same_table: bool) -> Result<CreateTable> {
        self.raised.creation(table, choice, same_table)
    }

    /// For the marker.
    pub(super) fn marked(&self, table: &str) -> Result<Marked> {
        let request = |schema: &TableSchema| {
            let request = schema.create_table_request(table)?;
            serde_json::from_slice(&request.body)
                .map_err(|error| Error::failed("the boost cannot be noted").with_source(error))
        };
        Ok(Marked { raised: request(&self.raised)?, back: request(&self.back)? })
    }

    /// Raises the table, unless it was created so. Only an interruption is an error.
    pub(super) async fn raise<S: WriteStore>(&mut self, applying: &Applying<'_, S>) -> Result<()> {
        if !self.raises {
            return Ok(());
        }
        match bring(applying, &self.raised, applying.cancel).await {
            Err(error) if error.kind() == ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let words = told(&error);
                applying.reporter.report(Event::Warning(format!("the table is not boosted: {words}")));
                self.refused = Some(words);
                Ok(())
            }
            Ok(is_shown) => {
                self.is_ignored |= !is_shown;
                Ok(())
            }
        }
    }

    /// Gives the table what it is to have from now on. After a failure nobody waits until it has that.
    pub(super) async fn end<S: WriteStore>(
        self,
        applying: &Applying<'_, S>,
        target: &Place,
        is_failed: bool,
    ) -> BoostOutcome {
        let after = self.back.billing_in_words();
        let taken = if is_failed {
            ask(applying, &self.back, &CancellationToken::new()).await.map(|_| true)
        } else {
            take_back(applying, &self.back).await
        };
        let is_ignored = self.is_ignored || matches!(taken, Ok(false));
        let not_taken_back = taken.err().map(|error| NotTakenBack {
            reason: told(&error),
            command: self.back.billing_call(&target.table, &self.raised).and_then(|call| by_hand(&call.body, target)),
        });
        let outcome = BoostOutcome {
            during: self.raised.billing_in_words(),
            refused: self.refused,
            after,
            not_taken_back,
            is_ignored,
        };
        if is_failed {
            applying.reporter.report(match outcome.complaint() {
                Some(complaint) => Event::Warning(complaint),
                None => Event::Info(format!("the boost is taken back: {}", outcome.after)),
            });
        }
        outcome
    }
}

impl BoostOutcome {
    /// What to tell of a boost that stays: why, and what to do.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let stays = self.not_taken_back.as_ref()?;
        let mut words =
            format!("the boost was not taken back, the table may not be {} again: {}", self.after, stays.reason);
        if let Some(command) = &stays.command {
            words.push_str("\ndo it by hand: ");
            words.push_str(command);
        }
        Some(words)
    }
}

/// Asks for the billing of `wanted` once the table is ready for a change; says whether there was anything to ask for.
async fn ask<S: WriteStore>(
    applying: &Applying<'_, S>,
    wanted: &TableSchema,
    cancel: &CancellationToken,
) -> Result<bool> {
    let Applying { store, table, reporter, .. } = applying;
    if store.describe(table).await?.is_none() {
        return Err(Error::not_found(format!("table {table} is not there")));
    }
    let actual = table::until_active(*store, table, cancel).await?;
    let Some(call) = wanted.billing_call(table, &actual) else { return Ok(false) };
    reporter.report(Event::Phase { phase: Phase::Boosting, items: None, bytes: None });
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(Error::new(ErrorKind::Interrupted, "interrupted before the items were written")),
        applied = store.apply(table, &call) => applied.map(|()| true),
    }
}

/// Brings the billing of `wanted` to the table; says whether the table shows it then. An interruption ends the wait for that.
async fn bring<S: WriteStore>(
    applying: &Applying<'_, S>,
    wanted: &TableSchema,
    cancel: &CancellationToken,
) -> Result<bool> {
    let is_asked = ask(applying, wanted, cancel).await?;
    Ok(!is_asked || table::is_billed_as(applying.store, applying.table, wanted, applying.cancel).await?)
}

/// An interruption comes too late to leave the table raised, and may end the wait.
async fn take_back<S: WriteStore>(applying: &Applying<'_, S>, back: &TableSchema) -> Result<bool> {
    match bring(applying, back, &CancellationToken::new()).await {
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
        taken => taken,
    }
}

fn by_hand(body: &str, target: &Place) -> Option<String> {
    let mut command = format!("aws dynamodb update-table --cli-input-json '{}'", body.replace('\'', r"'\''"));
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
