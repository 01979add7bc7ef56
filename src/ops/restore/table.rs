//! The table itself: deleted when it is to be replaced, created when it is missing, waited for until it takes items.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::plan::TableAction;
use super::{RestorePlan, TableOutcome};
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Phase, Reporter};
use crate::schema::TableSchema;
use crate::store::{ReadStore, WriteStore};

/// Creating a table takes seconds, deleting one too; indexes are created with it. Longer than this is not normal.
const PATIENCE: Duration = Duration::from_mins(30);
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Brings the table into the state in which items can be written.
pub(super) async fn ensure(
    store: &impl WriteStore,
    plan: &RestorePlan,
    reporter: &dyn Reporter,
    cancel: &CancellationToken,
) -> Result<TableOutcome> {
    let table = &plan.target.table;
    let phase = |phase| reporter.report(Event::Phase { phase, items: None, bytes: None });
    let outcome = match plan.action {
        TableAction::Keep => return Ok(TableOutcome::Kept),
        TableAction::Add { .. } => TableOutcome::AddedTo,
        TableAction::Create => TableOutcome::Created,
        TableAction::Replace { .. } => {
            phase(Phase::Deleting);
            store.delete(table).await?;
            wait(store, table, cancel, "deleted", Option::is_none).await?;
            TableOutcome::Replaced
        }
    };
    if let Some(request) = &plan.parts.create {
        phase(Phase::Creating);
        store.create(table, request).await?;
    }
    wait(store, table, cancel, "ACTIVE", |schema| schema.as_ref().is_some_and(TableSchema::is_active)).await?;
    Ok(outcome)
}

/// Looks at the table, ever less often, until it is as wanted.
async fn wait(
    store: &impl ReadStore,
    table: &str,
    cancel: &CancellationToken,
    wanted: &str,
    done: impl Fn(&Option<TableSchema>) -> bool,
) -> Result<()> {
    let started = Instant::now();
    let mut pause = FIRST_LOOK;
    loop {
        let schema = store.describe(table).await?;
        if done(&schema) {
            return Ok(());
        }
        let state = schema.map_or_else(|| "it is not there".to_owned(), |schema| schema.activity());
        if started.elapsed() >= PATIENCE {
            return Err(Error::failed(format!("table {table} is not {wanted} after 30 minutes: {state}"))
                .with_hint("look at the table in the console; run the same command again when it is ready"));
        }
        tokio::select! {
            () = cancel.cancelled() => {
                let what = format!("interrupted while waiting for table {table} to be {wanted}: {state}");
                return Err(Error::new(ErrorKind::Interrupted, what).with_hint("run the same command again to go on"));
            }
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
