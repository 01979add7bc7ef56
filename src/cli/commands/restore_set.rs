//! Execution of `restoredb` for a set: one plan, one confirmation, many tables.

use std::sync::Arc;
use std::time::Instant;

use chrono::Utc;
use serde_json::{Value, json};

use super::set_trial;
use crate::cli::args::RestoreCommand;
use crate::cli::exit;
use crate::cli::report::{CommandOutcome, error_report, to_value};
use crate::cli::resume;
use crate::cli::session::Session;
use crate::cli::terminal::prompt;
use crate::cli::terminal::set_progress::SetProgress;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::{restore_set, summary};
use crate::environment::Environment;
use crate::error::{ErrorKind, Result};
use crate::ops::guard;
use crate::ops::restore::{RestoreSummary, Verified};
use crate::ops::set::restore::{
    MemberPlan, PlannedMember, RestoreSetPlan, RestoreSetRequest, RestoredMember, RestoredTable,
};
use crate::ops::set::{self, RestoredItems, SetReporter, TableResult, TableTrial};
use crate::store::{MissingDatabase, Reader};

/// Restores a set.
///
/// # Errors
/// The error to print. Tables that cannot be restored are part of the outcome.
pub(crate) async fn run(
    command: RestoreCommand,
    mut request: RestoreSetRequest,
    session: Session,
) -> Result<CommandOutcome> {
    let common = &command.common;
    let environment = session.environment(common).await?;
    command.check_preview(&environment)?;
    let store = session
        .open(&environment, common, MissingDatabase::InMemory)
        .await?;
    request.each.resume |= offer_resume(&store, &environment, &request, &command, &session).await?;
    let reporter = session.set_reporter();
    let planning = set::restore::plan(&store, &environment, request, reporter, &session.cancel);
    let plan = unless_cancelled(&session.cancel, Box::pin(planning)).await?;

    let rows = restore_set::plan(&plan, Utc::now());
    session.show_plan(&rows, &plan.warnings, plan.approval(), common);
    if common.dry_run {
        return dry_run(plan, &command, &session).await;
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
        &session,
        plan.can_be_resumed() && plan.has_work(),
        "Tables and items written so far stay.",
    );

    let started = Instant::now();
    let facts = json!({
        "source": to_value(&plan.source)?,
        "environment": environment.name(),
    });
    let opening = session.open_writer(store, &environment, common, confirmation);
    let store = opening.await?;
    let progress = SetProgress::start(Arc::clone(&session.console), plan.tables_to_restore());
    let progress = Arc::new(progress);
    let reporter = Arc::clone(&progress) as Arc<dyn SetReporter>;
    let done = |result: &TableResult<Box<RestoreSummary>>| {
        progress.finished(&result.table, restore_set::line(&result.outcome));
    };
    let restoring = set::restore::run(&store, plan, reporter, &session.cancel, done);
    let members = Box::pin(restoring).await;
    progress.end();

    let members = members?;

    let seconds = started.elapsed().as_secs_f64();
    let next = next_step(&members, resume_hint, || {
        // `verifydb` would report transformed items as differences.
        let total = RestoredItems::of_tables(&members);
        let are_as_dumped = total.items_changed + total.items_left_out == 0;
        are_as_dumped.then(|| summary::verify_command(std::env::args_os()))
    });
    let text = restore_set::summary(&members, "restored", environment.name(), seconds, next);
    session.console.outcome(&text);

    finished(facts, &members, "restored", &session)
}

/// Asks whether to resume an interrupted restore if the options do not decide it. Without a terminal, the answer is no.
async fn offer_resume(
    store: &Reader,
    environment: &Environment,
    request: &RestoreSetRequest,
    command: &RestoreCommand,
    session: &Session,
) -> Result<bool> {
    let common = &command.common;
    let is_open = guard::asks_to_resume_restore(&request.each, &common.answers);
    if !is_open || common.dry_run || !session.console.can_prompt() {
        return Ok(false);
    }

    let searching = set::restore::find_interrupted(store, environment, request);
    let searching = async { Ok(searching.await) };
    let found = unless_cancelled(&session.cancel, searching).await?;

    resume::ask_for_set("restore", found, session).await
}

/// Applies the transform to the items without writing, and reports the results.
async fn dry_run(
    plan: RestoreSetPlan,
    command: &RestoreCommand,
    session: &Session,
) -> Result<CommandOutcome> {
    let outcome = planned(&plan)?;
    if command.request.transform.is_empty() {
        return Ok(outcome);
    }

    let tables = plan.tables_to_restore();
    let (progress, options) = set_trial::start(tables, command.preview, session);
    let done = |trial: &TableTrial| progress.finished(&trial.table, None);
    let trials = Box::pin(set::restore::dry_run(plan, &options, done)).await;
    progress.end();

    set_trial::finish(outcome, &trials, "target", session)
}

/// The outcome of a dry run. Tables that cannot be restored decide the exit code.
fn planned(plan: &RestoreSetPlan) -> Result<CommandOutcome> {
    let codes = plan.tables.iter().filter_map(|table| match &table.plan {
        MemberPlan::Refused(error) => Some(exit::of_error(error.kind()).code),
        MemberPlan::Restore(_) | MemberPlan::Finished(_) => None,
    });
    let tables: Result<Vec<Value>> = plan.tables.iter().map(planned_table).collect();

    Ok(CommandOutcome::PlannedTables {
        exit_code: exit::of_tables(codes, false),
        plan: json!({
            "source": to_value(&plan.source)?,
            "environment": plan.target.environment,
            "target": to_value(&plan.target)?,
            "tables": tables?,
            "warnings": plan.warnings,
        }),
    })
}

fn planned_table(table: &PlannedMember) -> Result<Value> {
    let mut fields = json!({ "source": table.source, "target": table.target });
    let (name, value) = match &table.plan {
        MemberPlan::Restore(preview) => ("plan", to_value(preview)?),
        MemberPlan::Finished(before) => ("restored_before", to_value(before)?),
        MemberPlan::Refused(error) => ("error", error_report(error)?),
    };
    fields[name] = value;

    Ok(fields)
}

/// What to run next: the command that copies or restores the other tables, or one that compares the tables whose items were not read back.
pub(super) fn next_step(
    members: &[RestoredMember],
    resume_hint: Option<String>,
    compare: impl FnOnce() -> Option<String>,
) -> Option<String> {
    let is_open = |member: &RestoredMember| {
        matches!(
            member.result,
            RestoredTable::Failed(_) | RestoredTable::NotStarted
        )
    };
    if members.iter().any(is_open) {
        return resume_hint;
    }

    let is_unverified = |member: &RestoredMember| match &member.result {
        RestoredTable::Restored(summary) => summary.verified == Verified::Acknowledged,
        _ => false,
    };

    members.iter().any(is_unverified).then(compare).flatten()
}

/// The outcome of a run that has ended, with each table. `done` is what the command does with a table: restored or copied.
pub(super) fn finished(
    mut summary: Value,
    members: &[RestoredMember],
    done: &str,
    session: &Session,
) -> Result<CommandOutcome> {
    let is_interrupted = session.cancel.is_cancelled();
    let stopped = is_interrupted.then_some(exit::of_error(ErrorKind::Interrupted).code);
    let codes: Vec<_> = members
        .iter()
        .filter_map(|member| restore_set::exit_code(&member.result).or(stopped))
        .collect();
    let exit_code = exit::of_tables(codes, is_interrupted);

    let tables: Result<Vec<Value>> = members
        .iter()
        .map(|member| restored_table(member, done))
        .collect();
    summary["tables"] = tables?.into();
    summary["total"] = to_value(&RestoredItems::of_tables(members))?;

    Ok(CommandOutcome::Tables { summary, exit_code })
}

fn restored_table(member: &RestoredMember, done: &str) -> Result<Value> {
    let [before_outcome, before_field] = ["-", "_"].map(|joint| format!("{done}{joint}before"));
    let mut fields = json!({
        "source": member.source,
        "target": member.target,
        "exit_code": restore_set::exit_code(&member.result),
    });
    let (outcome, details) = match &member.result {
        RestoredTable::Restored(summary) => (
            if summary.is_whole() {
                "done"
            } else {
                "partial"
            },
            Some(("summary", to_value(summary)?)),
        ),
        RestoredTable::Finished(before) => (
            before_outcome.as_str(),
            Some((before_field.as_str(), to_value(before)?)),
        ),
        RestoredTable::Failed(error) if error.kind() == ErrorKind::Interrupted => {
            ("interrupted", Some(("error", error_report(error)?)))
        }
        RestoredTable::Failed(error) => ("failed", Some(("error", error_report(error)?))),
        RestoredTable::NotStarted => ("not-started", None),
    };
    fields["outcome"] = outcome.into();
    if let Some((name, value)) = details {
        fields[name] = value;
    }

    Ok(fields)
}
