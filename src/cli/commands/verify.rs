//! `verifydb`: from its arguments to its verdict. It only reads, so there is no plan and no question.

use super::diff;
use crate::cli::args::{CommonOptions, VerifyCommand, VerifyTask};
use crate::cli::report::CommandOutcome;
use crate::cli::session::Session;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::verdict;
use crate::environment::Environment;
use crate::error::Result;
use crate::ops::restore::RestoreRequest;
use crate::ops::verify::{self, Comparison, LiveTable};
use crate::store::{MissingDatabase, Store};

/// Verifies as the command line says.
///
/// # Errors
/// Whatever stops it; what is to be told to people.
pub(crate) async fn run(command: VerifyCommand, session: Session) -> Result<CommandOutcome> {
    match &command.task {
        VerifyTask::Dump { quick } => dump(&command, *quick, &session).await,
        VerifyTask::Schema => schema(&command, &session).await,
        VerifyTask::Table => table(&command, &session).await,
        VerifyTask::Tables {
            environment,
            table,
            schema_only,
        } => {
            tables(
                &command,
                (environment.as_ref(), table.as_ref()),
                *schema_only,
                &session,
            )
            .await
        }
    }
}

async fn dump(command: &VerifyCommand, quick: bool, session: &Session) -> Result<CommandOutcome> {
    let work = verify::dump(
        command.source(),
        quick,
        command.options.accept_incomplete,
        session.reporter(),
    );

    let found = unless_cancelled(&session.cancel, work).await?;
    session.progress.end();
    found
        .warnings
        .iter()
        .for_each(|warning| session.console.warning(warning));

    if found.is_whole() {
        session.console.result(&verdict::intact_dump(&found));
        return CommandOutcome::acted(&found, true);
    }

    session.console.problem(&verdict::damaged_dump(&found));

    CommandOutcome::damaged(&found)
}

async fn schema(command: &VerifyCommand, session: &Session) -> Result<CommandOutcome> {
    let environment = session.environment(&command.common)?;
    let table = environment.single_table()?.map(ToOwned::to_owned);
    let request = RestoreRequest {
        table,
        ..RestoreRequest::new(command.source())
    };

    diff::run(&command.common, &environment, &request, session).await
}

async fn table(command: &VerifyCommand, session: &Session) -> Result<CommandOutcome> {
    let (environment, store) = open_environment(&command.common, session).await?;
    let table = live_table(&environment, &store)?;
    let work = verify::table_with_dump(
        command.source(),
        table,
        &command.options,
        session.reporter(),
    );
    let found = unless_cancelled(&session.cancel, Box::pin(work)).await?;

    report_comparison(&found, session)
}

async fn tables(
    command: &VerifyCommand,
    (other_environment, other_table): (Option<&String>, Option<&String>),
    schema_only: bool,
    session: &Session,
) -> Result<CommandOutcome> {
    let request = command.other(other_environment, other_table);
    let other = CommonOptions {
        environment: request,
        ..command.common.clone()
    };
    let (environment, store) = open_environment(&command.common, session).await?;
    let (against, against_store) = match other_environment {
        // One store has one cap of read units, and an embedded database one engine.
        None => (session.environment(&other)?, store.clone()),
        Some(_) => open_environment(&other, session).await?,
    };

    let (source, target) = (
        live_table(&environment, &store)?,
        live_table(&against, &against_store)?,
    );
    if schema_only {
        let found = unless_cancelled(&session.cancel, verify::schemas(&source, &target)).await?;
        return diff::report_differences(&found, session);
    }

    let work = verify::tables(source, target, &command.options, session.reporter());
    let found = unless_cancelled(&session.cancel, Box::pin(work)).await?;

    report_comparison(&found, session)
}

async fn open_environment(
    common: &CommonOptions,
    session: &Session,
) -> Result<(Environment, Store)> {
    let environment = session.environment(common)?;
    let store = session
        .open(&environment, common, MissingDatabase::Refuse)
        .await?;
    Ok((environment, store))
}

fn live_table<'a>(environment: &'a Environment, store: &'a Store) -> Result<LiveTable<'a, Store>> {
    let table = environment.single_table()?.map(ToOwned::to_owned);
    Ok(LiveTable {
        environment,
        store,
        table,
    })
}

fn report_comparison(found: &Comparison, session: &Session) -> Result<CommandOutcome> {
    session.progress.end();
    found
        .warnings
        .iter()
        .for_each(|warning| session.console.warning(warning));
    session.console.result(&verdict::comparison(found));

    if !found.is_equal() {
        session.console.problem(&verdict::differences(found));
    }

    CommandOutcome::acted(found, found.is_equal())
}
