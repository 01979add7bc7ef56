//! Execution of `copydb` for several tables: one plan, one confirmation, one copy for each table.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use super::{restore_set, set_trial};
use crate::cli::args::CopyCommand;
use crate::cli::exit;
use crate::cli::report::{CommandOutcome, error_report, to_value};
use crate::cli::resume;
use crate::cli::session::Session;
use crate::cli::terminal::prompt;
use crate::cli::terminal::set_progress::SetProgress;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::{self, copy_set};
use crate::environment::Environment;
use crate::error::Result;
use crate::ops::copy::SourceStore;
use crate::ops::guard;
use crate::ops::restore::RestoreSummary;
use crate::ops::set::copy::{self, CopyPlan, CopySetPlan, CopySetRequest, PlannedCopy};
use crate::ops::set::{SetReporter, TableResult, TableSelection, TableTrial, select};
use crate::store::Reader;

/// Copies the selected tables. Failures of tables are part of the outcome.
///
/// # Errors
/// The error to print; its kind decides the exit code.
pub(super) async fn run(
    command: &CopyCommand,
    source: SourceStore<'_>,
    (store, environment): (Reader, &Environment),
    selection: &TableSelection,
    session: &Session,
) -> Result<CommandOutcome> {
    let common = &command.common;
    let selecting = Box::pin(select(source.store, source.environment, selection));
    let tables = unless_cancelled(&session.cancel, selecting).await?;
    let mut request = command.set_request(&tables, selection)?;
    let target = (&store, environment);
    request.each.resume |= offer_resume(source, target, &request, command, session).await?;
    let reporter = session.set_reporter();
    let planning = copy::plan(
        source,
        &store,
        environment,
        request,
        reporter,
        &session.cancel,
    );
    let plan = unless_cancelled(&session.cancel, Box::pin(planning)).await?;

    let rows = copy_set::plan(&plan);
    session.show_plan(&rows, &plan.warnings, plan.approval(), common);
    if common.dry_run {
        return dry_run(plan, command, session).await;
    }

    let confirmation = prompt::confirm(
        &session.console,
        plan.approval(),
        &common.answers,
        false,
        &session.cancel,
    )
    .await?;
    let resume_hint = resume::announce_hint(
        session,
        plan.can_be_resumed() && plan.has_work(),
        "Tables and items written so far stay.",
    );

    let started = Instant::now();
    let facts = json!({
        "source": plan.source.environment,
        "target": plan.target.environment,
    });
    let opening = session.open_writer(store, environment, common, confirmation);
    let store = opening.await?;
    let progress = SetProgress::start(Arc::clone(&session.console), plan.tables_to_copy());
    let progress = Arc::new(progress);
    let reporter = Arc::clone(&progress) as Arc<dyn SetReporter>;
    let done = |result: &TableResult<Box<RestoreSummary>>| {
        progress.finished(&result.table, text::restore_set::line(&result.outcome));
    };
    let copying = copy::run(&store, plan, reporter, &session.cancel, done);
    let copied = Box::pin(copying).await;
    progress.end();

    let copied = copied?;

    let seconds = started.elapsed().as_secs_f64();
    let next = restore_set::next_step(&copied, resume_hint, || {
        text::summary::compare_command(std::env::args_os(), None)
    });
    let summary = text::restore_set::summary(&copied, "copied", environment.name(), seconds, next);
    session.console.outcome(&summary);

    restore_set::finished(facts, &copied, "copied", session)
}

/// Asks whether to resume an interrupted copy if the options do not decide it. Without a terminal, the answer is no.
async fn offer_resume(
    source: SourceStore<'_>,
    (store, environment): (&Reader, &Environment),
    request: &CopySetRequest,
    command: &CopyCommand,
    session: &Session,
) -> Result<bool> {
    let common = &command.common;
    let is_open = guard::asks_to_resume_restore(&request.each, &common.answers);
    if !is_open || common.dry_run || !session.console.can_prompt() {
        return Ok(false);
    }

    let searching = copy::find_interrupted(source, store, environment, request);
    let searching = async { Ok(searching.await) };
    let found = unless_cancelled(&session.cancel, searching).await?;

    resume::ask_for_set("copy", found, session).await
}

/// Applies the transform to the items without writing, and reports the results.
async fn dry_run(
    plan: CopySetPlan,
    command: &CopyCommand,
    session: &Session,
) -> Result<CommandOutcome> {
    let outcome = planned(&plan)?;
    if command.request.transform.is_empty() {
        return Ok(outcome);
    }

    let tables = plan.tables_to_copy();
    let (progress, options) = set_trial::start(tables, command.preview, session);
    let done = |trial: &TableTrial| progress.finished(&trial.table, None);
    let trials = Box::pin(copy::dry_run(plan, &options, done)).await;
    progress.end();

    set_trial::finish(outcome, &trials, "target", session)
}

/// The outcome of a dry run. Tables that cannot be copied decide the exit code.
fn planned(plan: &CopySetPlan) -> Result<CommandOutcome> {
    let errors = plan.tables.iter().filter_map(PlannedCopy::error);
    let codes = errors.map(|error| exit::of_error(error.kind()).code);
    let exit_code = exit::of_tables(codes, false);
    let tables: Result<Vec<Value>> = plan.tables.iter().map(planned_table).collect();

    Ok(CommandOutcome::PlannedTables {
        exit_code,
        plan: json!({
            "source": to_value(&plan.source)?,
            "target": to_value(&plan.target)?,
            "tables": tables?,
            "warnings": plan.warnings,
        }),
    })
}

fn planned_table(table: &PlannedCopy) -> Result<Value> {
    let mut fields = json!({ "source": table.table.source, "target": table.table.target });
    let (name, value) = match &table.plan {
        CopyPlan::Copy(plan) => ("plan", to_value(plan)?),
        CopyPlan::Finished(before) => ("copied_before", to_value(before)?),
        CopyPlan::Refused(error) => ("error", error_report(error)?),
    };
    fields[name] = value;

    Ok(fields)
}
