//! `restoredb`: from its arguments to its summary.

use chrono::Utc;

use super::diff;
use crate::cli::args::RestoreIntent;
use crate::cli::report::Finished;
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
pub(crate) async fn run(intent: RestoreIntent, session: Session) -> Result<Finished> {
    let (common, console) = (&intent.common, &session.console);
    let environment = session.environment(common)?;
    let mut request = intent.request(&environment)?;
    if intent.compares {
        return diff::run(common, &environment, &request, &session).await;
    }

    // A restore that is refused leaves no trace: a missing database is created once the plan was confirmed.
    let store = session
        .open(&environment, common, MissingDatabase::InMemory)
        .await?;
    request.resume |= is_resumed(&store, &environment, &request, &intent, &session).await?;
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
        let trial = ops::restore::trial(&plan, intent.show, &reporter, &session.cancel);
        return dry_run::conclude(
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
        intent.is_stream(),
        &prompt,
        &session.cancel,
    )
    .await?;

    let way_on = plan
        .can_be_resumed()
        .then(|| resume::way_on(&resume::this_command()));
    if let Some(way_on) = &way_on {
        let _ = session
            .parting
            .set(format!("what is written stays; {way_on}"));
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
        .map_err(|error| resume::with_way_on(error, way_on))?;
    session.progress.end();
    let mut lines = summary::restore(&summary);

    // What was changed on the way, or came from a damaged dump, is not what `verifydb` would compare with.
    let is_as_dumped =
        summary.items_changed == 0 && summary.items_left_out == 0 && summary.salvaged.is_none();
    if summary.verified == Verified::Acknowledged && is_as_dumped && !intent.is_stream() {
        lines.push(format!(
            "For a full check: {}",
            summary::full_check(std::env::args_os())
        ));
    }

    console.result(&lines);

    for complaint in summary::complaints(&summary) {
        console.complain(&complaint);
    }

    Finished::acted(&summary, summary.is_whole())
}

/// Whether to take up an interrupted restore that the command line does not speak of. Only somebody at a terminal is asked.
async fn is_resumed(
    store: &Store,
    environment: &Environment,
    request: &RestoreRequest,
    intent: &RestoreIntent,
    session: &Session,
) -> Result<bool> {
    let console = &session.console;
    let implied = request.resume || request.existing == ExistingTable::Keep;
    if implied || intent.is_stream() || !console.can_ask() {
        return Ok(false);
    }

    let looking = async { Ok(ops::restore::interrupted(store, environment, request).await) };
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

    if intent.common.answers.yes || intent.common.dry_run {
        return Ok(intent.common.answers.yes);
    }

    prompt::offer(console, "Resume it?", &session.cancel).await
}
