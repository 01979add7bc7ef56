//! Execution of `copydb`: plan, confirmation, copy, summary.

use chrono::Utc;

use super::{copy_set, policy};
use crate::cli::args::CopyCommand;
use crate::cli::report::CommandOutcome;
use crate::cli::resume;
use crate::cli::session::Session;
use crate::cli::terminal::prompt;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::dry_run::ItemTarget;
use crate::cli::text::{dry_run, plan, summary};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::ops;
use crate::ops::copy::SourceStore;
use crate::ops::guard;
use crate::ops::restore::{RestorePlan, RestoreRequest, RestoreSummary, Verified};
use crate::ops::set::Scope;
use crate::store::{MissingDatabase, Reader};

/// Executes a resolved `copydb` command line.
///
/// # Errors
/// The error to print; its kind decides the exit code.
pub(crate) async fn run(command: CopyCommand, session: Session) -> Result<CommandOutcome> {
    if command.common.prints_policy() {
        return policy::copy(&command, &session).await;
    }

    let common = &command.common;
    let source_environment = session.requested_environment(&command.source).await?;
    let environment = session.environment(common).await?;
    let scope = command.scope(&source_environment, &environment)?;

    let source_store = session
        .open(&source_environment, common, MissingDatabase::Refuse)
        .await?;
    let source = SourceStore {
        environment: &source_environment,
        store: &source_store,
    };

    // Pages of the source wait until the target is ready. Calls about the target must not wait for their memory and their requests in
    // flight, so each side has its own, also in one environment. A refused copy must not create a database, so the plan uses a temporary
    // one if the file is missing.
    let store = if command.is_one_environment {
        source_store.with_own_limits()
    } else {
        session
            .open(&environment, common, MissingDatabase::InMemory)
            .await?
    };

    match scope {
        Scope::Many(selection) => {
            let target = (store, &environment);
            copy_set::run(&command, source, target, &selection, &session).await
        }
        Scope::One(table) => {
            let request = command.request(table.as_deref(), &source_environment, &environment)?;
            run_one(&command, source, (store, &environment), request, &session).await
        }
    }
}

/// Copies one table.
async fn run_one(
    command: &CopyCommand,
    source: SourceStore<'_>,
    (store, environment): (Reader, &Environment),
    request: RestoreRequest,
    session: &Session,
) -> Result<CommandOutcome> {
    let common = &command.common;
    let plan = plan_copy(source, (&store, environment), request, command, session).await?;
    let rows = plan::restore(&plan, Utc::now());
    session.show_plan(&rows, &plan.warnings, plan.approval(), common);

    if common.dry_run {
        return dry_run(&plan, command, session).await;
    }

    let approval = plan.approval();
    let confirmation = prompt::confirm(
        &session.console,
        approval,
        &common.answers,
        false,
        &session.cancel,
    )
    .await?;

    let kept = if command.is_by_backup() {
        "DynamoDB continues."
    } else {
        "Items written so far stay in the table."
    };
    let resume_hint = resume::announce_hint(session, plan.can_be_resumed(), kept);

    let source = plan.source.table.clone();
    let opening = session.open_writer(store, environment, common, confirmation);
    let store = opening.await?;
    let copying = ops::restore::run(&store, plan, session.reporter(), session.cancel.clone());
    let summary = Box::pin(copying)
        .await
        .map_err(|error| with_resume_hint(error, resume_hint, command))?;
    session.progress.end();

    show_summary(source.as_deref(), &summary, command, session)
}

/// Adds the command to resume to the hint of an error. An interrupted copy by backup can be resumed on another machine, too.
fn with_resume_hint(error: Error, resume_hint: Option<String>, command: &CopyCommand) -> Error {
    let elsewhere = error.hint().map(ToOwned::to_owned);
    let is_elsewhere = command.is_by_backup() && error.kind() == ErrorKind::Interrupted;
    let error = resume::with_resume_hint(error, resume_hint);

    match (error.hint(), elsewhere.filter(|_| is_elsewhere)) {
        (Some(here), Some(elsewhere)) if here != elsewhere => {
            let hint = format!("{here}\n{elsewhere}");
            error.with_hint(hint)
        }
        _ => error,
    }
}

/// Plans the copy. Asks before whether to resume an interrupted one, if the options do not decide it.
async fn plan_copy(
    source: SourceStore<'_>,
    (store, environment): (&Reader, &Environment),
    mut request: RestoreRequest,
    command: &CopyCommand,
    session: &Session,
) -> Result<RestorePlan> {
    let is_open = guard::asks_to_resume_restore(&request, &command.common.answers);
    if is_open && !command.common.dry_run && session.console.can_prompt() {
        let searching =
            async { Ok(ops::copy::find_interrupted(source, store, environment, &request).await) };

        if let Some(found) = unless_cancelled(&session.cancel, Box::pin(searching)).await? {
            session.progress.end();
            let question = guard::resume_question("copy", found.items);
            request.resume =
                prompt::ask_yes_no(&session.console, &question, &session.cancel).await?;
        }
    }

    let planning = ops::copy::plan(source, store, environment, request, session.reporter());

    unless_cancelled(&session.cancel, Box::pin(planning)).await
}

/// Reads the items and applies the transform without writing, and reports the result.
async fn dry_run(
    plan: &RestorePlan,
    command: &CopyCommand,
    session: &Session,
) -> Result<CommandOutcome> {
    let reporter = session.reporter();
    let trial = ops::restore::dry_run(plan, command.preview, &reporter, &session.cancel);
    let result = Box::pin(trial).await?;

    let is_transformed = !plan.transform.is_empty();
    dry_run::report(plan, ItemTarget::Table, is_transformed, result, session)
}

/// Prints the result. `source` is the name of the table that was copied.
fn show_summary(
    source: Option<&str>,
    summary: &RestoreSummary,
    command: &CopyCommand,
    session: &Session,
) -> Result<CommandOutcome> {
    let source = source.filter(|_| summary.verified == Verified::Acknowledged);
    let next = source.and_then(|source| {
        let tables = (source, summary.target.table.as_str());
        summary::compare_command(std::env::args_os(), Some(tables))
    });
    let text = summary::restore(summary, command.request.content, next);
    session.console.outcome(&text);

    CommandOutcome::acted(summary, summary.is_whole())
}
