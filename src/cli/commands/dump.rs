//! Execution of `dumpdb`: plan, confirmation, dump, summary.

use chrono::Utc;

use super::{doctor, dump_set, init, list_tables, policy};
use crate::cli::args::DumpCommand;
use crate::cli::report::CommandOutcome;
use crate::cli::resume;
use crate::cli::session::Session;
use crate::cli::terminal::output::is_closed_pipe;
use crate::cli::terminal::prompt;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::dry_run::ItemTarget;
use crate::cli::text::{dry_run, plan, summary};
use crate::environment::Approval;
use crate::error::Result;
use crate::ops;
use crate::ops::dump::{DumpPlan, DumpSummary};
use crate::ops::set::Scope;
use crate::store::{MissingDatabase, Reader};

/// Executes a resolved `dumpdb` command line.
///
/// # Errors
/// The error to print; its kind decides the exit code.
pub(crate) async fn run(command: DumpCommand, session: Session) -> Result<CommandOutcome> {
    if command.init {
        return init::run(&session);
    }

    if command.common.prints_policy() {
        return policy::dump(&command, &session).await;
    }

    if command.doctor {
        return doctor::run(&command, &session).await;
    }

    match &command.list_with_dumps {
        Some(dumps) => list_tables::run(&command, dumps, &session).await,
        None => Box::pin(dump_tables(command, session)).await,
    }
}

async fn dump_tables(command: DumpCommand, session: Session) -> Result<CommandOutcome> {
    let common = &command.common;
    let environment = session.environment(common).await?;
    let request = match Scope::resolve(&environment, &command.selection)? {
        Scope::One(_) => command.request(&environment)?,
        Scope::Many(selection) => {
            return Box::pin(dump_set::run(&command, &environment, &selection, &session)).await;
        }
    };
    let store = session
        .open(&environment, common, MissingDatabase::Refuse)
        .await?;

    // The plan consumes the request; these are needed to find what is kept if the dump fails.
    let (target, state_dir) = (request.target.clone(), request.state_dir.clone());
    let planning = ops::dump::plan(&store, &environment, request);
    let mut plan = unless_cancelled(&session.cancel, planning).await?;

    // A dry run changes nothing, so there is nothing to resume.
    if !common.dry_run && resume::offer_resume(&plan, &session, &common.answers).await? {
        plan = plan.resumed();
    }

    let approval = plan.approval();
    show_plan(&plan, &approval, &command, &session);

    if common.dry_run {
        return dry_run(&store, plan, &command, &session).await;
    }

    prompt::confirm(
        &session.console,
        &approval,
        &common.answers,
        false,
        &session.cancel,
    )
    .await?;

    // Only items can be resumed, and not on standard output.
    if command.request.content.includes_items() && !command.writes_to_stdout() {
        let _ = session.abort_hint.set(format!(
            "Items read until two seconds ago are saved. {}",
            resume::resume_hint(&resume::resume_command())
        ));
    }

    let result = ops::dump::run(&store, plan, session.reporter(), session.cancel.clone()).await;
    session.progress.end();

    match result {
        Ok(summary) => show_summary(&summary, &command, &session),
        // `dumpdb --output - | head` is not an error worth reporting as one.
        Err(error) if command.writes_to_stdout() && is_closed_pipe(&error) => {
            let message = "Standard output was closed by its reader before the last item.";
            session.console.info(message);
            Ok(CommandOutcome::Unread)
        }
        Err(error) => {
            let hint = ops::dump::items_kept(&target, state_dir.as_deref())
                .map(|items| resume::resume_hint_with_count(items, &resume::resume_command()));

            Err(resume::with_resume_hint(error, hint))
        }
    }
}

fn show_plan(plan: &DumpPlan, approval: &Approval, command: &DumpCommand, session: &Session) {
    let now = Utc::now();
    let mut rows = plan::dump(plan, command.request.content);
    resume::add_rows(&mut rows, plan, command.request.resume, now);

    let mut warnings = plan.warnings.clone();
    warnings.extend(plan.discard_warning());

    session.show_plan(&rows, &warnings, approval, &command.common);
}

/// Applies the transform to the items without writing a dump, and reports the result.
async fn dry_run(
    store: &Reader,
    mut plan: DumpPlan,
    command: &DumpCommand,
    session: &Session,
) -> Result<CommandOutcome> {
    let reporter = session.reporter();
    let trial = ops::dump::dry_run(
        store,
        &mut plan,
        command.preview,
        &reporter,
        &session.cancel,
    );
    let result = Box::pin(trial).await?;

    dry_run::report(&plan, ItemTarget::Dump, true, result, session)
}

fn show_summary(
    summary: &DumpSummary,
    command: &DumpCommand,
    session: &Session,
) -> Result<CommandOutcome> {
    let text = summary::dump(summary, command.request.content);
    session.console.outcome(&text);

    CommandOutcome::acted(summary, summary.is_whole())
}
