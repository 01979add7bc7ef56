//! `dumpdb`: from its arguments to its summary.

use super::args::DumpIntent;
use super::output::is_closed_pipe;
use super::report::Finished;
use super::session::Session;
use super::signals::unless_cancelled;
use super::{ask, plan_text, summary_text};
use crate::error::Result;
use crate::ops;
use crate::store::MissingDatabase;

/// Dumps as the command line says.
///
/// # Errors
/// Whatever stops it; what is to be told to people.
pub(super) async fn run(intent: DumpIntent, session: Session) -> Result<Finished> {
    let (common, console) = (&intent.common, &session.console);
    let environment = session.environment(common)?;
    let request = intent.request(&environment)?;
    let store = session.open(&environment, common, MissingDatabase::Refuse).await?;
    let plan = unless_cancelled(&session.cancel, ops::dump::plan(&store, &environment, request)).await?;
    let approval = plan.approval();
    session.show_plan(&plan_text::dump(&plan, intent.content), &plan.warnings, &approval, common);
    if common.dry_run {
        return Finished::planned(&plan);
    }
    let prompt = format!("Replace the dump in {}?", plan.target);
    ask::confirm(console, &approval, &common.answers, false, &prompt, &session.cancel).await?;

    let done = ops::dump::run(&store, plan, session.reporter(), session.cancel.clone()).await;
    session.progress.end();
    let summary = match done {
        Err(error) if intent.is_stream() && is_closed_pipe(&error) => {
            console.info("standard output was closed by its reader before the last item");
            return Ok(Finished::Unread);
        }
        done => done?,
    };
    console.result(&summary_text::dump(&summary, intent.content));
    Finished::acted(&summary, true)
}
