//! Execution of `verifydb` for several tables that are compared with a set or with another environment.

use std::sync::Arc;
use std::time::Instant;

use serde_json::{Value, json};

use crate::cli::exit;
use crate::cli::report::{CommandOutcome, error_report, to_value};
use crate::cli::session::Session;
use crate::cli::terminal::set_progress::SetProgress;
use crate::cli::text::compare_set;
use crate::error::{ErrorKind, Result};
use crate::ops::set::compare::{CompareSource, ComparedMember, LiveTables, compare};
use crate::ops::set::{MappedTable, SetReporter, TableOutcome, TableResult};
use crate::ops::verify::CompareOptions;

/// Compares tables, and reports each.
///
/// # Errors
/// The report cannot be written. Tables that cannot be compared are part of the outcome.
pub(super) async fn run(
    source: (CompareSource, Vec<MappedTable>),
    target: LiveTables,
    options: &CompareOptions,
    session: &Session,
) -> Result<CommandOutcome> {
    let started = Instant::now();
    let environment = target.environment.name().to_owned();
    let tables = source.1.len() as u64;
    let progress = Arc::new(SetProgress::start(Arc::clone(&session.console), tables));
    let reporter = Arc::clone(&progress) as Arc<dyn SetReporter>;
    // What differs is said at the end.
    let done = |result: &TableResult<_>| progress.finished(&result.table, None);
    let options = options.clone();
    let comparing = compare(source, target, options, reporter, &session.cancel, done);
    let members = Box::pin(comparing).await;
    progress.end();

    let seconds = started.elapsed().as_secs_f64();
    for warning in compare_set::warnings(&members) {
        session.console.warning(&warning);
    }

    session
        .console
        .outcome(&compare_set::verdict(&members, &environment, seconds));

    let is_interrupted = session.cancel.is_cancelled();
    let stopped = is_interrupted.then_some(exit::INTERRUPTED);
    let codes: Vec<_> = members
        .iter()
        .filter_map(|member| exit_code(member).or(stopped))
        .collect();
    let tables: Result<Vec<Value>> = members.iter().map(table_report).collect();

    Ok(CommandOutcome::Tables {
        exit_code: exit::of_tables(codes, is_interrupted),
        summary: json!({ "environment": environment, "tables": tables?, "seconds": seconds }),
    })
}

/// The exit code of a table; `None` if the comparison was stopped.
fn exit_code(member: &ComparedMember) -> Option<u8> {
    match &member.outcome {
        TableOutcome::Finished(found) if found.is_equal() => Some(exit::DONE),
        TableOutcome::Finished(_) => Some(exit::PARTIAL),
        TableOutcome::Failed(error) if error.kind() == ErrorKind::Interrupted => None,
        TableOutcome::Failed(error) => Some(exit::of_error(error.kind()).code),
        TableOutcome::NotStarted => None,
    }
}

fn table_report(member: &ComparedMember) -> Result<Value> {
    let mut report = json!({
        "source": member.table.source,
        "target": member.table.target,
        "exit_code": exit_code(member),
    });
    let (outcome, details) = match &member.outcome {
        TableOutcome::Finished(found) => (
            if found.is_equal() { "done" } else { "partial" },
            Some(("summary", to_value(found)?)),
        ),
        TableOutcome::Failed(error) => ("failed", Some(("error", error_report(error)?))),
        TableOutcome::NotStarted => ("not-started", None),
    };
    report["outcome"] = outcome.into();
    if let Some((name, value)) = details {
        report[name] = value;
    }

    Ok(report)
}
