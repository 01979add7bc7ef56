//! Execution of `restoredb`: plan, confirmation, restore, summary.

use chrono::Utc;

use super::{list_backups, policy, restore_set};
use crate::cli::args::RestoreCommand;
use crate::cli::report::CommandOutcome;
use crate::cli::resume;
use crate::cli::session::Session;
use crate::cli::terminal::prompt;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::dry_run::ItemTarget;
use crate::cli::text::{dry_run, plan, summary};
use crate::environment::{Confirmation, Environment};
use crate::error::Result;
use crate::ops;
use crate::ops::guard;
use crate::ops::restore::{RestorePlan, RestoreRequest, RestoreSummary, Verified};
use crate::store::{MissingDatabase, Reader};

/// Executes a resolved `restoredb` command line.
///
/// # Errors
/// The error to print; its kind decides the exit code.
pub(crate) async fn run(command: RestoreCommand, session: Session) -> Result<CommandOutcome> {
    if command.common.prints_policy() {
        return policy::restore(&command, &session).await;
    }

    if let Some(tables) = &command.list_backups {
        return list_backups::run(&command, tables, &session).await;
    }

    match command.set_request()? {
        Some(request) => Box::pin(restore_set::run(command, request, session)).await,
        None => Box::pin(restore_one(command, session)).await,
    }
}

/// Restores a dump of one table.
async fn restore_one(command: RestoreCommand, session: Session) -> Result<CommandOutcome> {
    let common = &command.common;
    let environment = session.environment(common).await?;
    let mut request = command.request(&environment)?;

    // A refused restore must not create an embedded database, so the plan uses a temporary one if the file is missing.
    let store = session
        .open(&environment, common, MissingDatabase::InMemory)
        .await?;
    request.resume |= offer_resume(&store, &environment, &request, &command, &session).await?;
    let planning = ops::restore::plan(&store, &environment, request, session.reporter());
    let plan = unless_cancelled(&session.cancel, Box::pin(planning)).await?;

    let rows = plan::restore(&plan, Utc::now());
    session.show_plan(&rows, &plan.warnings, plan.approval(), common);

    if common.dry_run {
        return dry_run(&plan, &command, &session).await;
    }

    let confirmation = confirm(&plan, &command, &session).await?;

    let resume_hint = resume::announce_hint(
        &session,
        plan.can_be_resumed(),
        "Items written so far stay in the table.",
    );

    let opening = session.open_writer(store, &environment, common, confirmation);
    let store = opening.await?;
    let restoring = ops::restore::run(&store, plan, session.reporter(), session.cancel.clone());
    let summary = Box::pin(restoring)
        .await
        .map_err(|error| resume::with_resume_hint(error, resume_hint))?;
    session.progress.end();

    show_summary(&summary, &command, &session)
}

/// Asks whether to resume an interrupted restore if the options do not decide it. Without a terminal, the answer is no.
async fn offer_resume(
    store: &Reader,
    environment: &Environment,
    request: &RestoreRequest,
    command: &RestoreCommand,
    session: &Session,
) -> Result<bool> {
    let console = &session.console;
    let is_open = guard::asks_to_resume_restore(request, &command.common.answers);
    // A dry run changes nothing, so there is nothing to resume.
    if !is_open || command.common.dry_run || command.reads_stdin() || !console.can_prompt() {
        return Ok(false);
    }

    let searching = async { Ok(ops::restore::find_interrupted(store, environment, request).await) };
    let Some(found) = unless_cancelled(&session.cancel, Box::pin(searching)).await? else {
        return Ok(false);
    };

    session.progress.end();
    let question = guard::resume_question("restore", found.items);
    prompt::ask_yes_no(console, &question, &session.cancel).await
}

/// Reads the items and applies the transform without writing, and reports the result.
async fn dry_run(
    plan: &RestorePlan,
    command: &RestoreCommand,
    session: &Session,
) -> Result<CommandOutcome> {
    let reporter = session.reporter();
    let trial = ops::restore::dry_run(plan, command.preview, &reporter, &session.cancel);
    let result = Box::pin(trial).await?;

    let is_transformed = !plan.transform.is_empty();
    dry_run::report(plan, ItemTarget::Table, is_transformed, result, session)
}

async fn confirm(
    plan: &RestorePlan,
    command: &RestoreCommand,
    session: &Session,
) -> Result<Confirmation> {
    prompt::confirm(
        &session.console,
        plan.approval(),
        &command.common.answers,
        command.reads_stdin(),
        &session.cancel,
    )
    .await
}

fn show_summary(
    summary: &RestoreSummary,
    command: &RestoreCommand,
    session: &Session,
) -> Result<CommandOutcome> {
    // `verifydb` would report transformed and salvaged items as differences.
    let is_as_dumped =
        summary.items_changed == 0 && summary.items_left_out == 0 && summary.salvaged.is_none();
    let needs_check =
        summary.verified == Verified::Acknowledged && is_as_dumped && !command.reads_stdin();
    let next = needs_check.then(|| summary::verify_command(std::env::args_os()));
    let text = summary::restore(summary, command.request.content, next);
    session.console.outcome(&text);

    CommandOutcome::acted(summary, summary.is_whole())
}
