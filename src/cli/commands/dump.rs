//! `dumpdb`: from its arguments to its summary.

use chrono::Utc;

use crate::cli::args::DumpIntent;
use crate::cli::report::Finished;
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
pub(crate) async fn run(intent: DumpIntent, session: Session) -> Result<Finished> {
    let (common, console) = (&intent.common, &session.console);
    let environment = session.environment(common)?;
    let request = intent.request(&environment)?;
    let store = session
        .open(&environment, common, MissingDatabase::Refuse)
        .await?;
    let (target, state_dir) = (request.target.clone(), request.state_dir.clone());
    let mut plan = unless_cancelled(
        &session.cancel,
        ops::dump::plan(&store, &environment, request),
    )
    .await?;

    if !common.dry_run && resume::is_wanted(&plan, &session, common.answers.yes).await? {
        plan = plan.resumed();
    }

    let approval = plan.approval();
    let mut warnings = plan.warnings.clone();
    warnings.extend(resume::given_up(&plan, Utc::now()));
    let mut sections = plan::dump(&plan, intent.content);
    sections.extend(resume::section(&plan, intent.resume, Utc::now()));
    session.show_plan(&sections, &warnings, &approval, common);

    if common.dry_run {
        let reporter = session.reporter();
        let trial = Box::pin(ops::dump::trial(
            &store,
            &mut plan,
            intent.show,
            &reporter,
            &session.cancel,
        ))
        .await?;

        return dry_run::conclude(&plan, true, trial, &session);
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

    if intent.content.includes_items() && !intent.is_stream() {
        let _ = session.parting.set(format!(
            "what was read is kept, but for the last second; {}",
            resume::way_on(&resume::this_command())
        ));
    }

    let done = ops::dump::run(&store, plan, session.reporter(), session.cancel.clone()).await;
    session.progress.end();
    let summary = match done {
        Err(error) if intent.is_stream() && is_closed_pipe(&error) => {
            console.info("standard output was closed by its reader before the last item");
            return Ok(Finished::Unread);
        }
        Err(error) => {
            let left = target.unfinished(state_dir.as_deref()).ok().flatten();
            let way_on =
                left.map(|left| resume::way_on_with(left.items(), &resume::this_command()));
            return Err(resume::with_way_on(error, way_on));
        }
        Ok(summary) => summary,
    };

    console.result(&summary::dump(&summary, intent.content));

    for complaint in summary::complaints_of_dump(&summary) {
        console.complain(&complaint);
    }

    Finished::acted(&summary, summary.is_whole())
}
