//! `verifydb`: from its arguments to its verdict. It only reads, so there is no plan and no question.

use super::diff;
use crate::cli::args::{Common, Question, VerifyIntent};
use crate::cli::report::Finished;
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
pub(crate) async fn run(intent: VerifyIntent, session: Session) -> Result<Finished> {
    match &intent.question {
        Question::Dump { quick } => dump(&intent, *quick, &session).await,
        Question::Schema => schema(&intent, &session).await,
        Question::Table => table(&intent, &session).await,
        Question::Tables {
            environment,
            table,
            schema_only,
        } => {
            tables(
                &intent,
                (environment.as_ref(), table.as_ref()),
                *schema_only,
                &session,
            )
            .await
        }
    }
}

async fn dump(intent: &VerifyIntent, quick: bool, session: &Session) -> Result<Finished> {
    let work = verify::dump(
        intent.source(),
        quick,
        intent.options.accept_incomplete,
        session.reporter(),
    );

    let found = unless_cancelled(&session.cancel, work).await?;
    session.progress.end();
    found
        .warnings
        .iter()
        .for_each(|warning| session.console.warning(warning));

    if found.is_whole() {
        session.console.result(&verdict::whole(&found));
        return Finished::acted(&found, true);
    }

    session.console.complain(&verdict::damaged(&found));

    Finished::damaged(&found)
}

async fn schema(intent: &VerifyIntent, session: &Session) -> Result<Finished> {
    let environment = session.environment(&intent.common)?;
    let table = environment.single_table()?.map(ToOwned::to_owned);
    let request = RestoreRequest {
        table,
        ..RestoreRequest::new(intent.source())
    };

    diff::run(&intent.common, &environment, &request, session).await
}

async fn table(intent: &VerifyIntent, session: &Session) -> Result<Finished> {
    let (environment, store) = open(&intent.common, session).await?;
    let table = live(&environment, &store)?;
    let work = verify::table_with_dump(intent.source(), table, &intent.options, session.reporter());
    let found = unless_cancelled(&session.cancel, Box::pin(work)).await?;

    tell(&found, session)
}

async fn tables(
    intent: &VerifyIntent,
    (other_environment, other_table): (Option<&String>, Option<&String>),
    schema_only: bool,
    session: &Session,
) -> Result<Finished> {
    let request = intent.other(other_environment, other_table);
    let other = Common {
        environment: request,
        ..intent.common.clone()
    };
    let (environment, store) = open(&intent.common, session).await?;
    let (against, against_store) = match other_environment {
        // One store has one cap of read units, and an embedded database one engine.
        None => (session.environment(&other)?, store.clone()),
        Some(_) => open(&other, session).await?,
    };

    let (source, target) = (live(&environment, &store)?, live(&against, &against_store)?);
    if schema_only {
        let found = unless_cancelled(&session.cancel, verify::schemas(&source, &target)).await?;
        return diff::tell(&found, session);
    }

    let work = verify::tables(source, target, &intent.options, session.reporter());
    let found = unless_cancelled(&session.cancel, Box::pin(work)).await?;

    tell(&found, session)
}

async fn open(common: &Common, session: &Session) -> Result<(Environment, Store)> {
    let environment = session.environment(common)?;
    let store = session
        .open(&environment, common, MissingDatabase::Refuse)
        .await?;
    Ok((environment, store))
}

fn live<'a>(environment: &'a Environment, store: &'a Store) -> Result<LiveTable<'a, Store>> {
    let table = environment.single_table()?.map(ToOwned::to_owned);
    Ok(LiveTable {
        environment,
        store,
        table,
    })
}

fn tell(found: &Comparison, session: &Session) -> Result<Finished> {
    session.progress.end();
    found
        .warnings
        .iter()
        .for_each(|warning| session.console.warning(warning));
    session.console.result(&verdict::compared(found));

    if !found.is_equal() {
        session.console.complain(&verdict::differing(found));
    }

    Finished::acted(found, found.is_equal())
}
