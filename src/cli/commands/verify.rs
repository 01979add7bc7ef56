//! Execution of `verifydb`. It only reads, so there is neither a plan nor a confirmation.

use super::{compare_set, diff, policy, verify_set};
use crate::backup::{DumpSet, SourceSpec};
use crate::cli::args::{CommonOptions, ExpectedSchema, SecondTable, VerifyCommand, VerifyTask};
use crate::cli::report::CommandOutcome;
use crate::cli::session::Session;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::verdict;
use crate::environment::Environment;
use crate::error::Result;
use crate::ops::guard;
use crate::ops::restore::{self, RestoreRequest};
use crate::ops::set;
use crate::ops::set::compare::LiveTables;
use crate::ops::verify::{self, Comparison, DumpCheckOptions, LiveTable};
use crate::store::{MissingDatabase, Reader};

/// Executes a resolved `verifydb` command line.
///
/// # Errors
/// The error to print; its kind decides the exit code.
pub(crate) async fn run(command: VerifyCommand, session: Session) -> Result<CommandOutcome> {
    if command.common.prints_policy() {
        return policy::verify(&command, &session).await;
    }

    match &command.task {
        VerifyTask::Dump { quick } => dump(&command, *quick, &session).await,
        VerifyTask::Schema(expected) => schema(&command, expected, &session).await,
        VerifyTask::Table => table(&command, &session).await,
        VerifyTask::Tables(second) => tables(&command, second, &session).await,
    }
}

/// Checks the integrity of a dump.
async fn dump(command: &VerifyCommand, quick: bool, session: &Session) -> Result<CommandOutcome> {
    let (source, options) = (
        command.source(),
        DumpCheckOptions {
            quick,
            accept_incomplete: command.options.accept_incomplete,
        },
    );
    if let SourceSpec::Path(path) = &source
        && let Some(set) = DumpSet::find(path)?
    {
        return Box::pin(verify_set::run(set, options, session)).await;
    }

    let check = verify::dump(source, options, session.reporter());
    let found = unless_cancelled(&session.cancel, check).await?;
    session.progress.end();

    for warning in &found.warnings {
        session.console.warning(warning);
    }

    session.console.outcome(&verdict::dump(&found));

    if found.is_whole() {
        CommandOutcome::acted(&found, true)
    } else {
        CommandOutcome::damaged(&found)
    }
}

/// Compares a table's settings with the dump's schema.
async fn schema(
    command: &VerifyCommand,
    expected: &ExpectedSchema,
    session: &Session,
) -> Result<CommandOutcome> {
    let environment = session.environment(&command.common).await?;
    let table = environment.single_table()?.map(ToOwned::to_owned);
    let request = RestoreRequest {
        table,
        schema: expected.file.clone(),
        overrides: expected.overrides.clone(),
        ..RestoreRequest::new(command.source())
    };

    warn_of_connection(&environment, session)?;
    let store = session
        .open(&environment, &command.common, MissingDatabase::InMemory)
        .await?;
    let compare = restore::diff(&store, &environment, &request);
    let found = unless_cancelled(&session.cancel, compare).await?;

    diff::report_differences(&found, session)
}

/// Compares a table's items with the dump.
async fn table(command: &VerifyCommand, session: &Session) -> Result<CommandOutcome> {
    if let Some(set) = command.set_source()? {
        let tables = &command.set;
        let source = set::compare::tables_of_set(&set, &tables.from_tables, &tables.mapping)?;
        let (environment, store) = open_environment(&command.common, session).await?;
        let target = LiveTables { environment, store };
        return compare_set::run(source, target, &command.options, session).await;
    }

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

/// Compares two tables.
async fn tables(
    command: &VerifyCommand,
    second: &SecondTable,
    session: &Session,
) -> Result<CommandOutcome> {
    let mut second_options = command.common.clone();
    second_options.environment = command.second_environment(second);

    let (environment, store) = open_environment(&command.common, session).await?;
    let (second_environment, second_store) = match second.environment {
        // Two tables of one environment share a store: it enforces --max-rcu, and an embedded database can be opened only once.
        None => (session.environment(&second_options).await?, store.clone()),
        Some(_) => open_environment(&second_options, session).await?,
    };

    if let Some(selection) = command.selected_tables(&environment, second)? {
        let source = LiveTables { environment, store };
        let target = LiveTables {
            environment: second_environment,
            store: second_store,
        };
        let mapping = &command.set.mapping;
        let selecting = set::compare::tables_of_environment(source, &selection, mapping);
        let source = unless_cancelled(&session.cancel, Box::pin(selecting)).await?;
        return compare_set::run(source, target, &command.options, session).await;
    }

    let source = live_table(&environment, &store)?;
    let target = live_table(&second_environment, &second_store)?;

    if second.schema_only {
        let compare = verify::schemas(&source, &target);
        let found = unless_cancelled(&session.cancel, compare).await?;
        return diff::report_differences(&found, session);
    }

    let compare = verify::tables(source, target, &command.options, session.reporter());
    let found = unless_cancelled(&session.cancel, Box::pin(compare)).await?;

    report_comparison(&found, session)
}

async fn open_environment(
    common: &CommonOptions,
    session: &Session,
) -> Result<(Environment, Reader)> {
    let environment = session.environment(common).await?;
    warn_of_connection(&environment, session)?;
    let store = session
        .open(&environment, common, MissingDatabase::Refuse)
        .await?;
    Ok((environment, store))
}

/// Prints the warnings about a connection. Only commands with a plan have another place for them.
fn warn_of_connection(environment: &Environment, session: &Session) -> Result<()> {
    for warning in guard::check_connection(environment)? {
        session.console.warning(&warning);
    }

    Ok(())
}

fn live_table<'a>(environment: &'a Environment, store: &'a Reader) -> Result<LiveTable<'a>> {
    let table = environment.single_table()?.map(ToOwned::to_owned);
    Ok(LiveTable {
        environment,
        store,
        table,
    })
}

fn report_comparison(found: &Comparison, session: &Session) -> Result<CommandOutcome> {
    session.progress.end();

    for warning in &found.warnings {
        session.console.warning(warning);
    }

    session.console.outcome(&verdict::comparison(found));

    CommandOutcome::acted(found, found.is_equal())
}
