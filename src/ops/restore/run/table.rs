//! The target table: creates or replaces it, and waits until it can be used.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::field::Field;
use crate::ops::restore::TableOutcome;
use crate::ops::restore::plan::table_action::TableAction;
use crate::ops::{guard, until_cancelled};
use crate::schema::{
    CreateTable, Progress, RESTORING_TAG, RestoreTable, Setting, SettingCall, TableSchema,
};
use crate::store::{CreatedTable, Writer};

/// AWS takes seconds to create a table. Most other engines have it at the first look.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Pause before the first look at a table whose creation takes time, by the response to the request.
const CREATION_PAUSE: Duration = Duration::from_millis(200);

const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Waits of at least this length are reported.
const REPORTED_WAIT: Duration = Duration::from_secs(1);

/// Maximum time between two reports of a wait that may take hours.
const MAX_REPORT_INTERVAL: Duration = Duration::from_mins(5);

/// `DescribeTable` is eventually consistent: a change that was accepted is looked for this long.
const MAX_DESCRIPTION_LAG: Duration = Duration::from_secs(15);

/// The target table of a running restore.
pub(crate) struct TargetTable<'a> {
    pub(crate) store: &'a Writer,
    pub(crate) name: &'a str,
    pub(crate) reporter: &'a dyn Reporter,
    pub(crate) cancel: &'a CancellationToken,
}

/// Result of [`TargetTable::ensure`].
pub(crate) struct EnsuredTable {
    pub(crate) outcome: TableOutcome,
    /// Settings that the endpoint refused at creation, with its error messages.
    pub(crate) refused: Vec<(Setting, String)>,
    /// Whether the table was created with the tag of an unfinished restore.
    pub(crate) is_tagged: bool,
    /// Whether its creation takes time.
    pub(crate) is_creating: bool,
}

impl TargetTable<'_> {
    /// Creates or replaces the table as planned, without waiting until it is `ACTIVE`.
    pub(crate) async fn ensure(
        &self,
        action: &TableAction,
        create: Option<&CreateTable>,
    ) -> Result<EnsuredTable> {
        let outcome = self.make_room(action).await?;
        if outcome == TableOutcome::Kept {
            return Ok(EnsuredTable {
                outcome,
                refused: Vec::new(),
                is_tagged: false,
                is_creating: false,
            });
        }

        let mut without = CreatedTable::default();
        if let Some(request) = create {
            self.report_phase(Phase::Creating);
            let created = tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(wait_interrupted(self.name, "created")),
                created = self.store.create(self.name, request) => created,
            };

            without = created.map_err(|error| {
                if outcome == TableOutcome::Replaced {
                    deleted_but_not_created(self.name, error)
                } else {
                    error
                }
            })?;
        }

        if let Some(reason) = &without.untagged {
            self.reporter.report(Event::Warning(format!(
                "Table {} was created without the tag {RESTORING_TAG} ({reason}). Other machines cannot tell that its restore is not \
                 complete.",
                self.name
            )));
        }

        Ok(EnsuredTable {
            outcome,
            refused: without.refused,
            is_tagged: create.is_some() && without.untagged.is_none(),
            is_creating: without.is_creating,
        })
    }

    /// Lets DynamoDB restore the table as planned, without waiting until it is `ACTIVE`.
    pub(crate) async fn restore(
        &self,
        action: &TableAction,
        request: &RestoreTable,
    ) -> Result<TableOutcome> {
        let outcome = self.make_room(action).await?;
        self.report_phase(Phase::Creating);
        let requested = tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(wait_interrupted(self.name, "created")),
            requested = self.store.restore_table(self.name, request) => requested,
        };

        match requested {
            Err(error) if outcome == TableOutcome::Replaced => {
                Err(deleted_but_not_restored(self.name, error))
            }
            requested => requested.map(|()| outcome),
        }
    }

    /// Deletes the table that is replaced, or waits for its deletion. Returns what is done with the table.
    async fn make_room(&self, action: &TableAction) -> Result<TableOutcome> {
        Ok(match action {
            TableAction::Keep { .. } => TableOutcome::Kept,
            TableAction::Add { .. } => TableOutcome::AddedTo,
            TableAction::Create => TableOutcome::Created,
            TableAction::Replace { .. } => {
                self.delete().await?;
                TableOutcome::Replaced
            }
            TableAction::CreateWhenDeleted => {
                self.wait_until_deleted().await?;
                TableOutcome::Created
            }
        })
    }

    async fn delete(&self) -> Result<()> {
        self.report_phase(Phase::Deleting);
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(wait_interrupted(self.name, "deleted")),
            deleted = self.store.delete(self.name) => deleted?,
        }

        self.wait_until_gone(Option::is_none).await?;

        Ok(())
    }

    /// Waits until a table that someone else is deleting is gone.
    async fn wait_until_deleted(&self) -> Result<()> {
        let table = self.name;
        self.reporter.report(Event::Info(format!(
            "table {table} is being deleted; waiting for the deletion, then creating it"
        )));
        // Another table with this name also ends the wait.
        let is_deleted = |schema: &Option<TableSchema>| {
            schema
                .as_ref()
                .is_none_or(|schema| !schema.is_being_deleted())
        };

        match self.wait_until_gone(is_deleted).await? {
            None => Ok(()),
            Some(_) => Err(Error::failed(format!(
                "another client created table {table} in the meantime"
            ))
            .with_hint("run the same command again to plan for that table")),
        }
    }

    /// Waits until the table is `ACTIVE` after a request for the billing and capacity of `wanted`. Returns whether the endpoint has
    /// applied them: the `response` or a description shows them, or the endpoint ignores no request.
    pub(crate) async fn wait_for_billing(
        &self,
        wanted: &TableSchema,
        response: Option<&TableSchema>,
    ) -> Result<bool> {
        let has_billing = |table: &TableSchema| wanted.billing_call(self.name, table).is_none();
        let found = self.wait_until_active().await?;
        let is_applied = has_billing(&found)
            || response.is_some_and(has_billing)
            || !self.store.reader().may_ignore_settings();

        Ok(is_applied || self.look_again(has_billing).await?)
    }

    /// Describes the table again and again until it `shows` a change that was accepted, as long as the description may lag. Returns
    /// whether it does.
    pub(crate) async fn look_again(&self, shows: impl FnMut(&TableSchema) -> bool) -> Result<bool> {
        let state = "described with the change";
        let describe = || self.store.reader().describe(self.name);
        until_cancelled(
            self.cancel,
            || wait_interrupted(self.name, state),
            look_again(describe, shows),
        )
        .await
    }

    /// Waits until the table and its indexes are `ACTIVE` after [`ensure`](Self::ensure).
    pub(crate) async fn wait_until_ensured(&self, ensured: &EnsuredTable) -> Result<TableSchema> {
        if ensured.is_creating {
            tokio::select! {
                () = self.cancel.cancelled() => return Err(wait_interrupted(self.name, "ACTIVE")),
                () = tokio::time::sleep(CREATION_PAUSE) => {}
            }
        }

        self.wait_until_active().await
    }

    /// Waits until the table and its indexes are `ACTIVE`.
    pub(crate) async fn wait_until_active(&self) -> Result<TableSchema> {
        let limit = self.store.reader().give_up_after();
        self.wait_until_ready(Some(limit), |_| None).await
    }

    /// Waits until DynamoDB has restored the table, which may take hours.
    ///
    /// # Errors
    /// The table has disappeared, is being deleted, or cannot become ready.
    pub(crate) async fn wait_until_restored(&self) -> Result<TableSchema> {
        let table = self.name;
        // `DescribeTable` is eventually consistent. A table that has been described must stay.
        let limit = self.store.reader().give_up_after();
        self.wait_until(
            "visible",
            Some(limit),
            Option::is_some,
            TableSchema::activity,
        )
        .await?;
        let is_over = |schema: &Option<TableSchema>| {
            schema.as_ref().is_none_or(|schema| {
                schema.is_active() || schema.is_stuck() || schema.is_being_deleted()
            })
        };
        let found = self
            .wait_until("ACTIVE", None, is_over, TableSchema::activity)
            .await?;

        let again = "run the same command again to request another restore";
        match found {
            None => Err(Error::failed(format!(
                "DynamoDB has not completed the restore: table {table} does not exist any more"
            ))
            .with_hint(again)),
            Some(schema) if schema.is_being_deleted() => Err(Error::failed(format!(
                "the restore was cancelled: table {table} is being deleted"
            ))
            .with_hint(again)),
            Some(schema) if schema.is_stuck() => Err(guard::stuck(table, &schema)),
            Some(schema) => Ok(schema),
        }
    }

    /// Waits until the table is `ACTIVE` after a call. A change that may take hours is waited for as long as it makes progress.
    pub(crate) async fn wait_until_applied(&self, call: &SettingCall) -> Result<TableSchema> {
        let pending = |table: &TableSchema| match call.progress(table) {
            Some(Progress::Pending(activity)) => Some(activity),
            Some(Progress::Settled | Progress::Failed(_)) | None => None,
        };

        if call.may_take_hours() {
            self.wait_until_ready(None, pending).await
        } else {
            self.wait_until_active().await
        }
    }

    /// Waits until the table and its indexes are `ACTIVE` and no activity is `pending`, without a limit or up to `limit`.
    async fn wait_until_ready(
        &self,
        limit: Option<Duration>,
        pending: impl Fn(&TableSchema) -> Option<String>,
    ) -> Result<TableSchema> {
        let table = self.name;
        let is_over = |schema: &Option<TableSchema>| {
            schema.as_ref().is_some_and(|schema| {
                let is_ready = schema.is_active() && pending(schema).is_none();
                is_ready || schema.is_stuck() || schema.is_being_deleted()
            })
        };
        let activity = |schema: &TableSchema| pending(schema).unwrap_or_else(|| schema.activity());

        match self.wait_until("ACTIVE", limit, is_over, activity).await? {
            Some(schema) if schema.is_stuck() => Err(guard::stuck(table, &schema)),
            Some(schema) if schema.is_being_deleted() => {
                Err(Error::not_found(format!("table {table} is being deleted"))
                    .with_hint("run the same command again to create the table after the deletion"))
            }
            schema => schema.ok_or_else(|| Error::not_found(format!("table {table} was deleted"))),
        }
    }

    /// Waits until the table does not exist, or is in the state that `is_done` expects.
    async fn wait_until_gone(
        &self,
        is_done: impl Fn(&Option<TableSchema>) -> bool,
    ) -> Result<Option<TableSchema>> {
        let limit = self.store.reader().give_up_after();
        self.wait_until("deleted", Some(limit), is_done, TableSchema::activity)
            .await
    }

    /// Polls the table with growing pauses until `is_done`. The timeout counts only the pauses, so that it does not expire while the
    /// process is stopped. `state` names the expected state in messages, `activity` the current one.
    async fn wait_until(
        &self,
        state: &str,
        limit: Option<Duration>,
        is_done: impl Fn(&Option<TableSchema>) -> bool,
        activity: impl Fn(&TableSchema) -> String,
    ) -> Result<Option<TableSchema>> {
        let table = self.name;
        let (mut elapsed, mut pause) = (Duration::ZERO, FIRST_PAUSE);
        let mut next_report = REPORTED_WAIT;
        let mut reached = state.to_owned();
        loop {
            let schema = until_cancelled(
                self.cancel,
                || wait_interrupted(table, &reached),
                self.store.reader().describe(table),
            )
            .await?;
            if is_done(&schema) {
                return Ok(schema);
            }

            // Filling an index may take hours.
            let is_filling_index = schema.as_ref().is_some_and(TableSchema::is_filling_index);
            let actual = schema.map_or_else(
                || "it does not exist".to_owned(),
                |schema| activity(&schema),
            );
            if let Some(limit) = limit.filter(|limit| elapsed >= *limit && !is_filling_index) {
                return Err(Error::failed(format!(
                    "table {table} is not {state} after {limit:?}: {actual}"
                ))
                .with_hint(
                    format!("run the same command again when it is ready, or wait longer with {give_up_after}", give_up_after = Field::GiveUpAfter),
                ));
            }

            // Reported when the wait turns out to be long, and at growing intervals if it may take hours.
            if elapsed + pause >= next_report && (limit.is_none() || elapsed < REPORTED_WAIT) {
                let so_far = elapsed.as_secs();
                next_report = (next_report * 2).min(next_report + MAX_REPORT_INTERVAL);
                self.reporter.report(Event::Info(format!(
                    "waiting until table {table} is {state}, {so_far} s so far: {actual}"
                )));
            }

            reached = format!("{state}: {actual}");
            tokio::select! {
                () = self.cancel.cancelled() => return Err(wait_interrupted(table, &reached)),
                () = tokio::time::sleep(pause) => {}
            }
            elapsed += pause;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    fn report_phase(&self, phase: Phase) {
        self.reporter.report(Event::Phase {
            phase,
            items: None,
            bytes: None,
        });
    }
}

/// Describes a table again and again until it `shows` a change, for at most [`MAX_DESCRIPTION_LAG`] of pauses. Returns whether it
/// does.
async fn look_again<F: Future<Output = Result<Option<TableSchema>>>>(
    describe: impl Fn() -> F,
    mut shows: impl FnMut(&TableSchema) -> bool,
) -> Result<bool> {
    let (mut waited, mut pause) = (Duration::ZERO, FIRST_PAUSE);
    while waited < MAX_DESCRIPTION_LAG {
        tokio::time::sleep(pause).await;
        waited += pause;
        pause = (pause * 2).min(MAX_PAUSE);

        if describe().await?.is_some_and(|table| shows(&table)) {
            return Ok(true);
        }
    }

    Ok(false)
}

/// The error if a table that was deleted cannot be created again: no table is left.
fn deleted_but_not_created(table: &str, error: Error) -> Error {
    Error::new(
        error.kind(),
        format!("table {table} was deleted and has not been recreated yet"),
    )
    .with_hint("fix the cause, then run the same command again: it creates the table")
    .with_source(error)
}

/// The same if DynamoDB does not restore it. The backup remains.
fn deleted_but_not_restored(table: &str, error: Error) -> Error {
    let cause = error
        .hint()
        .map_or_else(String::new, |hint| format!("{hint}; "));
    Error::new(
        error.kind(),
        format!("table {table} was deleted and has not been restored yet"),
    )
    .with_hint(format!(
        "{cause}the backup remains, and the same command with {} restores the table from it",
        Field::Resume
    ))
    .with_source(error)
}

/// The error if a wait for the table was interrupted.
pub(crate) fn wait_interrupted(table: &str, state: &str) -> Error {
    let message = format!("interrupted while waiting for table {table} to be {state}");
    Error::new(ErrorKind::Interrupted, message).with_hint("run the same command again to resume")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn table() -> TableSchema {
        TableSchema::parse(br#"{"KeySchema":[],"AttributeDefinitions":[]}"#).unwrap()
    }

    /// Looks for a change that the description shows after `lag`. Returns whether it was seen, and after how long.
    async fn seen_after(lag: Duration) -> (bool, Duration) {
        let start = tokio::time::Instant::now();
        let is_shown = |_: &TableSchema| start.elapsed() >= lag;
        let is_seen = look_again(|| async { Ok(Some(table())) }, is_shown).await;

        (is_seen.unwrap(), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_outdated_description_is_requested_again_for_15_seconds() {
        assert!(seen_after(Duration::ZERO).await.0);
        assert!(seen_after(Duration::from_secs(14)).await.0);

        let (is_seen, waited) = seen_after(Duration::from_mins(1)).await;
        assert!(!is_seen && waited >= Duration::from_secs(15) && waited < Duration::from_secs(18));
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_that_cannot_be_described_ends_the_search() {
        let calls = Cell::new(0);
        let describe = || {
            calls.set(calls.get() + 1);
            async { Err(Error::failed("no answer")) }
        };

        assert!(look_again(describe, |_| true).await.is_err());
        assert_eq!(calls.get(), 1);
    }
}
