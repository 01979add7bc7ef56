//! Execution of `verifydb` for a set without a table: is the dump of each table intact?

use std::sync::Arc;

use serde_json::{Value, json};

use crate::backup::DumpSet;
use crate::cli::exit;
use crate::cli::report::{CommandOutcome, error_report, to_value};
use crate::cli::session::Session;
use crate::cli::terminal::set_progress::SetProgress;
use crate::cli::terminal::signals::unless_cancelled;
use crate::cli::text::set;
use crate::error::{ErrorKind, Result};
use crate::ops::set::{SetReporter, TableOutcome, TableResult};
use crate::ops::verify::{self, DumpCheckOptions, DumpVerdict};

/// Checks the dumps of a set.
///
/// # Errors
/// Interrupted; the report cannot be written. Damage is part of the outcome.
pub(super) async fn run(
    found: DumpSet,
    options: DumpCheckOptions,
    session: &Session,
) -> Result<CommandOutcome> {
    let tables = found.manifest().tables.len() as u64;
    let progress = Arc::new(SetProgress::start(Arc::clone(&session.console), tables));
    let reporter = Arc::clone(&progress) as Arc<dyn SetReporter>;
    // What is damaged is said at the end.
    let done = |result: &TableResult<DumpVerdict>| progress.finished(&result.table, None);
    let check = async {
        let checked = verify::set(found, options, reporter, done, &session.cancel).await;
        Ok(checked)
    };
    let verdict = unless_cancelled(&session.cancel, Box::pin(check)).await;
    progress.end();

    let verdict = verdict?;
    for warning in set::verify_warnings(&verdict) {
        session.console.warning(&warning);
    }

    session.console.outcome(&set::verdict(&verdict));

    let damaged = exit::of_error(ErrorKind::Damaged).code;
    let codes = verdict.tables.iter().map(exit_code);
    let unfinished = verdict.is_unfinished.then_some(damaged);
    let tables: Result<Vec<Value>> = verdict.tables.iter().map(table_report).collect();

    Ok(CommandOutcome::Tables {
        exit_code: exit::of_tables(codes.chain(unfinished), false),
        summary: json!({
            "source": verdict.source,
            "is_unfinished": verdict.is_unfinished,
            "tables": tables?,
            "seconds": verdict.seconds,
        }),
    })
}

fn exit_code(result: &TableResult<DumpVerdict>) -> u8 {
    match &result.outcome {
        TableOutcome::Finished(verdict) if verdict.is_whole() => exit::DONE,
        TableOutcome::Finished(_) => exit::DAMAGED,
        TableOutcome::Failed(error) => exit::of_error(error.kind()).code,
        TableOutcome::NotStarted => exit::INTERRUPTED,
    }
}

fn table_report(result: &TableResult<DumpVerdict>) -> Result<Value> {
    let mut report = json!({ "table": result.table, "exit_code": exit_code(result) });
    match &result.outcome {
        TableOutcome::Finished(verdict) => report["summary"] = to_value(verdict)?,
        TableOutcome::Failed(error) => report["error"] = error_report(error)?,
        TableOutcome::NotStarted => {}
    }

    Ok(report)
}
