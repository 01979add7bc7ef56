//! The table itself: deleted when it is to be replaced, created when it is missing, waited for until it takes items.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::plan::TableAction;
use super::{RestorePlan, TableOutcome};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::ops::until_cancelled;
use crate::schema::{Setting, TableSchema};
use crate::store::{ReadStore, WriteStore};

const FIRST_LOOK: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A wait as long as this is worth a line.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

/// A description may lag behind a change that was taken: so often it is looked at again before it is believed.
const SECOND_LOOKS: u32 = 6;

/// Sees that the table is there, or is going to be. Returns the settings that it had to be created without, with the endpoint's
/// words.
pub(crate) async fn ensure(
    store: &impl WriteStore,
    plan: &RestorePlan,
    reporter: &dyn Reporter,
    cancel: &CancellationToken,
) -> Result<(TableOutcome, Vec<(Setting, String)>)> {
    let table = &plan.target.table;
    let phase = |phase| {
        reporter.report(Event::Phase {
            phase,
            items: None,
            bytes: None,
        });
    };

    let outcome = match plan.action {
        TableAction::Keep => return Ok((TableOutcome::Kept, Vec::new())),
        TableAction::Add { .. } => TableOutcome::AddedTo,
        TableAction::Create => TableOutcome::Created,
        TableAction::Replace { .. } => {
            phase(Phase::Deleting);
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(stopped(table, "deleted")),
                deleted = store.delete(table) => deleted?,
            }

            wait(store, table, reporter, cancel, "deleted", Option::is_none).await?;
            TableOutcome::Replaced
        }
        TableAction::CreateWhenDeleted => {
            until_deleted(store, table, reporter, cancel).await?;
            TableOutcome::Created
        }
    };

    let mut refused = Vec::new();
    if let Some(request) = &plan.parts.settings.create {
        phase(Phase::Creating);
        let created = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(stopped(table, "created")),
            created = store.create(table, request) => created,
        };

        refused = created.map_err(|error| {
            if outcome == TableOutcome::Replaced {
                gone(table, error)
            } else {
                error
            }
        })?;
    }

    Ok((outcome, refused))
}

/// Waits until somebody else's deletion of the table is complete.
async fn until_deleted(
    store: &impl ReadStore,
    table: &str,
    reporter: &dyn Reporter,
    cancel: &CancellationToken,
) -> Result<()> {
    reporter.report(Event::Info(format!(
        "table {table} is being deleted; waiting until it is gone, to create it"
    )));
    let is_over = |schema: &Option<TableSchema>| {
        schema
            .as_ref()
            .is_none_or(|schema| !schema.is_being_deleted())
    };

    match wait(store, table, reporter, cancel, "deleted", is_over).await? {
        None => Ok(()),
        Some(_) => Err(
            Error::failed(format!("somebody else created table {table} meanwhile"))
                .with_hint("run the same command again to plan for that table"),
        ),
    }
}

/// The failure to create a table anew, which leaves nothing where there was a table.
fn gone(table: &str, error: Error) -> Error {
    Error::new(
        error.kind(),
        format!("table {table} was deleted and is not created anew yet"),
    )
    .with_hint(
        "run the same command again when the cause is gone: it creates the table from the dump",
    )
    .with_source(error)
}

/// Waits until the table is `ACTIVE`; says whether it is billed as `wanted` then.
pub(crate) async fn is_billed_as(
    store: &impl ReadStore,
    table: &str,
    wanted: &TableSchema,
    reporter: &dyn Reporter,
    cancel: &CancellationToken,
) -> Result<bool> {
    let mut pause = FIRST_LOOK;
    for _ in 0..SECOND_LOOKS {
        let found = until_active(store, table, reporter, cancel).await?;
        if wanted.billing_call(table, &found).is_none() {
            return Ok(true);
        }

        tokio::select! {
            () = cancel.cancelled() => return Err(stopped(table, "billed as wanted")),
            () = tokio::time::sleep(pause) => {}
        }
        pause *= 2;
    }

    Ok(false)
}

/// Waits until the table and its indexes are `ACTIVE`.
pub(crate) async fn until_active(
    store: &impl ReadStore,
    table: &str,
    reporter: &dyn Reporter,
    cancel: &CancellationToken,
) -> Result<TableSchema> {
    let is_over = |schema: &Option<TableSchema>| {
        let is_over = |schema: &TableSchema| {
            schema.is_active() || schema.is_stuck() || schema.is_being_deleted()
        };
        schema.as_ref().is_some_and(is_over)
    };

    match wait(store, table, reporter, cancel, "ACTIVE", is_over).await? {
        Some(schema) if schema.is_stuck() => Err(stuck(table, &schema)),
        Some(schema) if schema.is_being_deleted() => {
            Err(Error::not_found(format!("table {table} is being deleted"))
                .with_hint("run the same command again to create the table when it is gone"))
        }
        schema => schema.ok_or_else(|| Error::not_found(format!("table {table} is gone"))),
    }
}

/// The failure of a restore into a table that does not become ready by itself.
pub(crate) fn stuck(table: &str, schema: &TableSchema) -> Error {
    Error::failed(format!(
        "table {table} takes no items, and that does not pass: {}",
        schema.activity()
    ))
    .with_hint("look at the table in the console; run the same command again when it is ACTIVE")
}

/// The failure of an interrupted wait.
pub(crate) fn stopped(table: &str, wanted: &str) -> Error {
    let what = format!("interrupted while waiting for table {table} to be {wanted}");
    Error::new(ErrorKind::Interrupted, what).with_hint("run the same command again to go on")
}

/// Looks at the table, ever less often, until it is as wanted. Only the pauses count as waiting: a process that is stopped does not
/// wait.
async fn wait(
    store: &impl ReadStore,
    table: &str,
    reporter: &dyn Reporter,
    cancel: &CancellationToken,
    wanted: &str,
    done: impl Fn(&Option<TableSchema>) -> bool,
) -> Result<Option<TableSchema>> {
    let patience = store.give_up_after();
    let (mut elapsed, mut pause) = (Duration::ZERO, FIRST_LOOK);
    loop {
        let schema =
            until_cancelled(cancel, || stopped(table, wanted), store.describe(table)).await?;
        if done(&schema) {
            return Ok(schema);
        }

        let state = schema.map_or_else(
            || "it does not exist".to_owned(),
            |schema| schema.activity(),
        );
        if elapsed >= patience {
            return Err(Error::failed(format!(
                "table {table} is not {wanted} after {patience:?}: {state}"
            ))
            .with_hint(
                "run the same command again when it is ready, or wait longer with --give-up-after",
            ));
        }

        if elapsed < WORTH_A_LINE && elapsed + pause >= WORTH_A_LINE {
            reporter.report(Event::Info(format!(
                "waiting until table {table} is {wanted}: {state}"
            )));
        }

        tokio::select! {
            () = cancel.cancelled() => return Err(stopped(table, &format!("{wanted}: {state}"))),
            () = tokio::time::sleep(pause) => {}
        }
        elapsed += pause;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
