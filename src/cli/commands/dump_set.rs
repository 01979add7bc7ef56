//! Execution of `dumpdb` for several tables: one plan, one confirmation, one dump for each table.

use std::sync::Arc;

use serde_json::{Value, json};

use super::set_trial;
use crate::cli::args::DumpCommand;
use crate::cli::exit;
use crate::cli::report::{CommandOutcome, error_report, to_value};
use crate::cli::resume;
use crate::cli::session::Session;
use crate::cli::terminal::prompt;
use crate::cli::terminal::set_progress::SetProgress;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::set;
use crate::environment::Environment;
use crate::error::Result;
use crate::ops::guard;
use crate::ops::set::dump::{
    DumpedMember, SetDumpPlan, SetDumpRequest, SetDumpSummary, TableState,
};
use crate::ops::set::{
    DumpedItems, SetReporter, TableOutcome, TableResult, TableSelection, TableTrial,
};
use crate::ops::set::{dump, select};
use crate::store::{MissingDatabase, Reader};

/// Dumps the selected tables. Failures of tables are part of the outcome.
///
/// # Errors
/// The error to print; its kind decides the exit code.
pub(super) async fn run(
    command: &DumpCommand,
    environment: &Environment,
    selection: &TableSelection,
    session: &Session,
) -> Result<CommandOutcome> {
    command.check_set(environment)?;

    let common = &command.common;
    let store = session
        .open(environment, common, MissingDatabase::Refuse)
        .await?;
    let selecting = Box::pin(select(&store, environment, selection));
    let tables = unless_cancelled(&session.cancel, selecting).await?;
    let mut request = command.set_request(tables);
    request.options.resume |= offer_resume(&store, environment, &request, command, session).await?;
    let resume = request.options.resume;
    let planning = Box::pin(dump::plan(&store, environment, request, &session.cancel));
    let plan = unless_cancelled(&session.cancel, planning).await?;

    let approval = plan.approval();
    let rows = set::dump_plan(&plan, command.request.content, resume);
    session.show_plan(&rows, &plan.warnings, &approval, common);
    if common.dry_run {
        return dry_run(&store, plan, command, session).await;
    }

    prompt::confirm(
        &session.console,
        &approval,
        &common.answers,
        false,
        &session.cancel,
    )
    .await?;

    let resume_hint = resume::resume_hint(&resume::resume_command());
    let _ = session.abort_hint.set(format!(
        "Finished tables, and items read until two seconds ago, are saved. {resume_hint}"
    ));
    let progress = SetProgress::start(Arc::clone(&session.console), plan.tables.len() as u64);
    let progress = Arc::new(progress);
    let reporter = Arc::clone(&progress) as Arc<dyn SetReporter>;
    let done = |result: &TableResult<DumpedMember>| {
        progress.finished(&result.table, set::table_result(&result.outcome));
    };
    let result = Box::pin(dump::run(&store, plan, reporter, done, &session.cancel)).await;
    progress.end();

    let summary = result?;
    for warning in &summary.warnings {
        session.console.warning(warning);
    }

    let text = set::dump_summary(&summary, environment.name(), &resume_hint);
    session.console.outcome(&text);

    finished(&summary, environment)
}

/// Asks whether to resume an interrupted dump if the options do not decide it. Without a terminal, the answer is no.
async fn offer_resume(
    store: &Reader,
    environment: &Environment,
    request: &SetDumpRequest,
    command: &DumpCommand,
    session: &Session,
) -> Result<bool> {
    let common = &command.common;
    let is_open = guard::asks_to_resume_set_dump(request.options.resume, &common.answers);
    if !is_open || common.dry_run || !session.console.can_prompt() {
        return Ok(false);
    }

    let searching = async { Ok(dump::find_interrupted(store, environment, request).await) };
    let found = unless_cancelled(&session.cancel, searching).await?;

    resume::ask_for_set("dump", found, session).await
}

/// Applies the transform to the items without writing a dump, and reports the results.
async fn dry_run(
    store: &Reader,
    plan: SetDumpPlan,
    command: &DumpCommand,
    session: &Session,
) -> Result<CommandOutcome> {
    let outcome = planned(&plan)?;
    if command.request.transform.is_empty() {
        return Ok(outcome);
    }

    let tables = plan.dumps().count() as u64;
    let (progress, options) = set_trial::start(tables, command.preview, session);
    let done = |trial: &TableTrial| progress.finished(&trial.table, None);
    let trials = Box::pin(dump::dry_run(store, plan, &options, done)).await;
    progress.end();

    set_trial::finish(outcome, &trials, "table", session)
}

/// The outcome of a dry run. Tables that cannot be dumped decide the exit code.
fn planned(plan: &SetDumpPlan) -> Result<CommandOutcome> {
    let codes = plan.tables.iter().filter_map(|table| match &table.state {
        TableState::Failed(error) => Some(exit::of_error(error.kind()).code),
        TableState::Dump(_) | TableState::Finished(_) => None,
    });

    let mut report = to_value(plan)?;
    for (index, table) in plan.tables.iter().enumerate() {
        if let TableState::Failed(error) = &table.state {
            report["tables"][index]["error"] = error_report(error)?;
        }
    }

    Ok(CommandOutcome::PlannedTables {
        exit_code: exit::of_tables(codes, false),
        plan: report,
    })
}

/// The outcome of a run that has ended, with each table.
fn finished(summary: &SetDumpSummary, environment: &Environment) -> Result<CommandOutcome> {
    let is_interrupted = summary.is_interrupted;
    // Tables that were stopped because another one failed do not decide the exit code.
    let decides = |result: &&TableResult<_>| is_interrupted || !result.was_stopped();
    let codes = summary.tables.iter().filter(decides).map(exit_code);
    let exit_code = exit::of_tables(codes, is_interrupted);
    let tables: Result<Vec<Value>> = summary.tables.iter().map(table_report).collect();

    Ok(CommandOutcome::Tables {
        exit_code,
        summary: json!({
            "environment": environment.name(),
            "target": summary.target,
            "is_published": summary.is_published,
            "tables": tables?,
            "total": to_value(&DumpedItems::of_tables(&summary.tables))?,
            "seconds": summary.seconds,
        }),
    })
}

/// The exit code of a table, as if it had been dumped alone.
fn exit_code(result: &TableResult<DumpedMember>) -> u8 {
    match &result.outcome {
        TableOutcome::Finished(member) if member.is_whole() => exit::DONE,
        TableOutcome::Finished(_) => exit::PARTIAL,
        TableOutcome::Failed(error) => exit::of_error(error.kind()).code,
        TableOutcome::NotStarted => exit::INTERRUPTED,
    }
}

fn table_report(result: &TableResult<DumpedMember>) -> Result<Value> {
    let (outcome, details) = match &result.outcome {
        TableOutcome::Finished(DumpedMember::Before(dump)) => {
            ("dumped-before", Some(("dump", to_value(dump)?)))
        }
        TableOutcome::Finished(DumpedMember::Now(summary)) if summary.is_whole() => {
            ("done", Some(("summary", to_value(summary)?)))
        }
        TableOutcome::Finished(DumpedMember::Now(summary)) => {
            ("partial", Some(("summary", to_value(summary)?)))
        }
        TableOutcome::Failed(_) if result.was_stopped() => ("interrupted", None),
        TableOutcome::Failed(error) => ("failed", Some(("error", error_report(error)?))),
        TableOutcome::NotStarted => ("not-started", None),
    };

    let mut report = json!({
        "table": result.table,
        "outcome": outcome,
        "exit_code": exit_code(result),
    });
    if let Some((name, value)) = details {
        report[name] = value;
    }

    Ok(report)
}
