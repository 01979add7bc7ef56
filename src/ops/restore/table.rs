//! The target table: creates or replaces it, and waits until it can be used.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::TableOutcome;
use super::table_action::TableAction;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::ops::until_cancelled;
use crate::schema::{CreateTable, Setting, TableSchema};
use crate::store::Writer;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// Waits of at least this length are reported.
const REPORTED_WAIT: Duration = Duration::from_secs(1);

/// `DescribeTable` is eventually consistent: a change that was accepted is looked for this often.
const BILLING_CHECKS: u32 = 6;

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
}

impl TargetTable<'_> {
    /// Creates or replaces the table as planned, without waiting until it is `ACTIVE`.
    pub(crate) async fn ensure(
        &self,
        action: &TableAction,
        create: Option<&CreateTable>,
    ) -> Result<EnsuredTable> {
        let outcome = match action {
            TableAction::Keep => {
                return Ok(EnsuredTable {
                    outcome: TableOutcome::Kept,
                    refused: Vec::new(),
                });
            }
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
        };

        let mut refused = Vec::new();
        if let Some(request) = create {
            self.report_phase(Phase::Creating);
            let created = tokio::select! {
                biased;
                () = self.cancel.cancelled() => Err(wait_interrupted(self.name, "created")),
                created = self.store.create(self.name, request) => created,
            };

            refused = created.map_err(|error| {
                if outcome == TableOutcome::Replaced {
                    deleted_but_not_created(self.name, error)
                } else {
                    error
                }
            })?;
        }

        Ok(EnsuredTable { outcome, refused })
    }

    async fn delete(&self) -> Result<()> {
        self.report_phase(Phase::Deleting);
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(wait_interrupted(self.name, "deleted")),
            deleted = self.store.delete(self.name) => deleted?,
        }

        self.wait_until("deleted", Option::is_none).await?;

        Ok(())
    }

    /// Waits until the table, which somebody else is deleting, is gone.
    async fn wait_until_deleted(&self) -> Result<()> {
        let table = self.name;
        self.reporter.report(Event::Info(format!(
            "table {table} is being deleted; waiting until it is gone, to create it"
        )));
        // Another table with this name also ends the wait.
        let is_deleted = |schema: &Option<TableSchema>| {
            schema
                .as_ref()
                .is_none_or(|schema| !schema.is_being_deleted())
        };

        match self.wait_until("deleted", is_deleted).await? {
            None => Ok(()),
            Some(_) => Err(
                Error::failed(format!("somebody else created table {table} meanwhile"))
                    .with_hint("run the same command again to plan for that table"),
            ),
        }
    }

    /// Waits until the table is `ACTIVE`. Returns whether it has the billing and capacity of `wanted` then.
    pub(crate) async fn wait_for_billing(&self, wanted: &TableSchema) -> Result<bool> {
        let mut pause = FIRST_PAUSE;
        for _ in 0..BILLING_CHECKS {
            let found = self.wait_until_active().await?;
            if wanted.billing_call(self.name, &found).is_none() {
                return Ok(true);
            }

            tokio::select! {
                () = self.cancel.cancelled() => {
                    return Err(wait_interrupted(self.name, "billed as wanted"));
                }
                () = tokio::time::sleep(pause) => {}
            }
            pause *= 2;
        }

        Ok(false)
    }

    /// Waits until the table and its indexes are `ACTIVE`.
    pub(crate) async fn wait_until_active(&self) -> Result<TableSchema> {
        let table = self.name;
        let is_over = |schema: &Option<TableSchema>| {
            schema.as_ref().is_some_and(|schema| {
                schema.is_active() || schema.is_stuck() || schema.is_being_deleted()
            })
        };

        match self.wait_until("ACTIVE", is_over).await? {
            Some(schema) if schema.is_stuck() => Err(stuck(table, &schema)),
            Some(schema) if schema.is_being_deleted() => {
                Err(Error::not_found(format!("table {table} is being deleted"))
                    .with_hint("run the same command again to create the table when it is gone"))
            }
            schema => schema.ok_or_else(|| Error::not_found(format!("table {table} is gone"))),
        }
    }

    /// Polls the table with growing pauses until `is_done`. The timeout counts only the pauses, so that it does not expire while the
    /// process is stopped. `state` names the expected state in messages.
    async fn wait_until(
        &self,
        state: &str,
        is_done: impl Fn(&Option<TableSchema>) -> bool,
    ) -> Result<Option<TableSchema>> {
        let table = self.name;
        let timeout = self.store.reader().give_up_after();
        let (mut elapsed, mut pause) = (Duration::ZERO, FIRST_PAUSE);
        loop {
            let schema = until_cancelled(
                self.cancel,
                || wait_interrupted(table, state),
                self.store.reader().describe(table),
            )
            .await?;
            if is_done(&schema) {
                return Ok(schema);
            }

            let actual = schema.map_or_else(
                || "it does not exist".to_owned(),
                |schema| schema.activity(),
            );
            if elapsed >= timeout {
                return Err(Error::failed(format!(
                    "table {table} is not {state} after {timeout:?}: {actual}"
                ))
                .with_hint(
                    "run the same command again when it is ready, or wait longer with --give-up-after",
                ));
            }

            // Reported once, when the wait turns out to be long.
            if elapsed < REPORTED_WAIT && elapsed + pause >= REPORTED_WAIT {
                self.reporter.report(Event::Info(format!(
                    "waiting until table {table} is {state}: {actual}"
                )));
            }

            tokio::select! {
                () = self.cancel.cancelled() => {
                    return Err(wait_interrupted(table, &format!("{state}: {actual}")));
                }
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

/// The error if a table that was deleted cannot be created again: no table is left.
fn deleted_but_not_created(table: &str, error: Error) -> Error {
    Error::new(
        error.kind(),
        format!("table {table} was deleted and is not created anew yet"),
    )
    .with_hint(
        "run the same command again when the cause is gone: it creates the table from the dump",
    )
    .with_source(error)
}

/// The error for a table whose state does not become `ACTIVE` by itself.
pub(crate) fn stuck(table: &str, schema: &TableSchema) -> Error {
    Error::failed(format!(
        "table {table} takes no items, and that does not pass: {}",
        schema.activity()
    ))
    .with_hint("look at the table in the console; run the same command again when it is ACTIVE")
}

/// The error if a wait for the table was interrupted.
pub(crate) fn wait_interrupted(table: &str, state: &str) -> Error {
    let message = format!("interrupted while waiting for table {table} to be {state}");
    Error::new(ErrorKind::Interrupted, message).with_hint("run the same command again to go on")
}
