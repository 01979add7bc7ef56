//! `dumpdb`: from its arguments to its summary.

use chrono::Utc;

use crate::cli::args::DumpCommand;
use crate::cli::report::CommandOutcome;
use crate::cli::resume;
use crate::cli::session::Session;
use crate::cli::terminal::output::is_closed_pipe;
use crate::cli::terminal::prompt;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::{dry_run, plan, summary};
use crate::error::Result;
use crate::ops;
use crate::store::MissingDatabase;

/// Dumps as the command line says.
///
/// # Errors
/// Whatever stops it; what is to be told to people.
pub(crate) async fn run(command: DumpCommand, session: Session) -> Result<CommandOutcome> {
    let (common, console) = (&command.common, &session.console);
    let environment = session.environment(common)?;
    let request = command.request(&environment)?;
    let store = session
        .open(&environment, common, MissingDatabase::Refuse)
        .await?;
    let (target, state_dir) = (request.target.clone(), request.state_dir.clone());
    let mut plan = unless_cancelled(
        &session.cancel,
        ops::dump::plan(&store, &environment, request),
    )
    .await?;

    if !common.dry_run && resume::offer_resume(&plan, &session, common.answers.yes).await? {
        plan = plan.resumed();
    }

    let approval = plan.approval();
    let mut warnings = plan.warnings.clone();
    warnings.extend(resume::discard_warning(&plan, Utc::now()));
    let mut sections = plan::dump(&plan, command.content);
    sections.extend(resume::section(&plan, command.resume, Utc::now()));
    session.show_plan(&sections, &warnings, &approval, common);

    if common.dry_run {
        let reporter = session.reporter();
        let trial = Box::pin(ops::dump::dry_run(
            &store,
            &mut plan,
            command.preview,
            &reporter,
            &session.cancel,
        ))
        .await?;

        return dry_run::report(&plan, true, trial, &session);
    }

    let prompt = format!("Replace the dump in {}?", plan.target);
    prompt::confirm(
        console,
        &approval,
        &common.answers,
        false,
        &prompt,
        &session.cancel,
    )
    .await?;

    if command.content.includes_items() && !command.writes_to_stdout() {
        let _ = session.abort_hint.set(format!(
            "what was read is kept, but for the last second; {}",
            resume::resume_hint(&resume::resume_command())
        ));
    }

    let done = ops::dump::run(&store, plan, session.reporter(), session.cancel.clone()).await;
    session.progress.end();
    let summary = match done {
        Err(error) if command.writes_to_stdout() && is_closed_pipe(&error) => {
            console.info("standard output was closed by its reader before the last item");
            return Ok(CommandOutcome::Unread);
        }
        Err(error) => {
            let left = target.unfinished(state_dir.as_deref()).ok().flatten();
            let resume_hint = left.map(|left| {
                resume::resume_hint_with_count(left.items(), &resume::resume_command())
            });
            return Err(resume::with_resume_hint(error, resume_hint));
        }
        Ok(summary) => summary,
    };

    console.result(&summary::dump(&summary, command.content));

    for problem in summary::dump_problems(&summary) {
        console.problem(&problem);
    }

    CommandOutcome::acted(&summary, summary.is_whole())
}
