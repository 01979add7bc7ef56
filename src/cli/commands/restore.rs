//! `restoredb`: from its arguments to its summary.

use chrono::Utc;

use super::diff;
use crate::cli::args::RestoreCommand;
use crate::cli::report::CommandOutcome;
use crate::cli::resume;
use crate::cli::session::Session;
use crate::cli::terminal::prompt;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::{dry_run, format, plan, summary};
use crate::environment::Environment;
use crate::error::Result;
use crate::ops;
use crate::ops::restore::{ExistingTable, RestoreRequest, Verified};
use crate::store::{MissingDatabase, Store};

/// Restores as the command line says.
///
/// # Errors
/// Whatever stops it; what is to be told to people.
pub(crate) async fn run(command: RestoreCommand, session: Session) -> Result<CommandOutcome> {
    let (common, console) = (&command.common, &session.console);
    let environment = session.environment(common)?;
    let mut request = command.request(&environment)?;
    if command.diff_schema {
        return diff::run(common, &environment, &request, &session).await;
    }

    // A restore that is refused leaves no trace: a missing database is created once the plan was confirmed.
    let store = session
        .open(&environment, common, MissingDatabase::InMemory)
        .await?;
    request.resume |= is_resumed(&store, &environment, &request, &command, &session).await?;
    let planning = ops::restore::plan(&store, &environment, request, session.reporter());
    let plan = unless_cancelled(&session.cancel, Box::pin(planning)).await?;
    let approval = plan.approval();
    session.show_plan(
        &plan::restore(&plan, Utc::now()),
        &plan.warnings,
        approval,
        common,
    );

    if common.dry_run {
        let reporter = session.reporter();
        let trial = ops::restore::dry_run(&plan, command.preview, &reporter, &session.cancel);
        return dry_run::report(
            &plan,
            !plan.transform.is_empty(),
            Box::pin(trial).await?,
            &session,
        );
    }

    let prompt = format!(
        "Restore into table {} of environment {}?",
        plan.target.table, plan.target.environment
    );
    let answers = &common.answers;
    let confirmed = prompt::confirm(
        console,
        approval,
        answers,
        command.reads_stdin(),
        &prompt,
        &session.cancel,
    )
    .await?;

    let resume_hint = plan
        .can_be_resumed()
        .then(|| resume::resume_hint(&resume::resume_command()));
    if let Some(resume_hint) = &resume_hint {
        let _ = session
            .abort_hint
            .set(format!("what is written stays; {resume_hint}"));
    }

    let store = if store.is_temporary() {
        session
            .open(&environment, common, MissingDatabase::Create)
            .await?
    } else {
        store
    };

    let store = store.writable(confirmed);
    let running = ops::restore::run(&store, plan, session.reporter(), session.cancel.clone());
    let summary = Box::pin(running)
        .await
        .map_err(|error| resume::with_resume_hint(error, resume_hint))?;
    session.progress.end();
    let mut lines = summary::restore(&summary);

    // What was changed on the way, or came from a damaged dump, is not what `verifydb` would compare with.
    let is_as_dumped =
        summary.items_changed == 0 && summary.items_left_out == 0 && summary.salvaged.is_none();
    if summary.verified == Verified::Acknowledged && is_as_dumped && !command.reads_stdin() {
        lines.push(format!(
            "For a full check: {}",
            summary::full_check(std::env::args_os())
        ));
    }

    console.result(&lines);

    for problem in summary::restore_problems(&summary) {
        console.problem(&problem);
    }

    CommandOutcome::acted(&summary, summary.is_whole())
}

/// Whether to take up an interrupted restore that the command line does not speak of. Only somebody at a terminal is asked.
async fn is_resumed(
    store: &Store,
    environment: &Environment,
    request: &RestoreRequest,
    command: &RestoreCommand,
    session: &Session,
) -> Result<bool> {
    let console = &session.console;
    let implied = request.resume || request.existing == ExistingTable::Keep;
    if implied || command.reads_stdin() || !console.can_prompt() {
        return Ok(false);
    }

    let looking = async { Ok(ops::restore::find_interrupted(store, environment, request).await) };
    let Some(found) = unless_cancelled(&session.cancel, Box::pin(looking)).await? else {
        return Ok(false);
    };

    session.progress.end();
    let (items, age) = (
        format::items(found.items),
        format::age(found.at, Utc::now()),
    );
    console.warning(&format!(
        "a restore of this dump into this table was interrupted: {items} done, {age}"
    ));

    if command.common.answers.yes || command.common.dry_run {
        return Ok(command.common.answers.yes);
    }

    prompt::ask_yes_no(console, "Resume it?", &session.cancel).await
}
