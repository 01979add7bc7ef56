//! Dry runs of transforms on several tables: their display, and their part of the report.

use std::sync::Arc;

use serde_json::Value;

use crate::cli::exit;
use crate::cli::report::{CommandOutcome, error_report, to_value};
use crate::cli::session::Session;
use crate::cli::terminal::set_progress::SetProgress;
use crate::cli::text::{dry_run, set_trial};
use crate::error::Result;
use crate::ops::PreviewOptions;
use crate::ops::set::{SetReporter, TableOutcome, TableTrial, TrialOptions};

/// The display of the dry runs of this number of tables, and the options for them.
pub(super) fn start(
    tables: u64,
    preview: PreviewOptions,
    session: &Session,
) -> (Arc<SetProgress>, TrialOptions<'_>) {
    session.progress.end();
    let progress = Arc::new(SetProgress::start(Arc::clone(&session.console), tables));
    let reporter = Arc::clone(&progress) as Arc<dyn SetReporter>;
    let options = TrialOptions {
        preview,
        reporter,
        cancel: &session.cancel,
    };

    (progress, options)
}

/// Prints the results, and adds them to the outcome of the plan: to each table a field `trial`, or `error`. `key` is the field with the
/// table's name. A table that could not be read has an exit code, too.
pub(super) fn finish(
    planned: CommandOutcome,
    trials: &[TableTrial],
    key: &str,
    session: &Session,
) -> Result<CommandOutcome> {
    show(trials, session);

    let CommandOutcome::PlannedTables {
        mut plan,
        exit_code,
    } = planned
    else {
        return Ok(planned);
    };

    let tables = plan["tables"].as_array_mut().into_iter().flatten();
    for table in tables {
        let is_of_table = |trial: &&TableTrial| table[key] == *trial.table;
        if let Some(trial) = trials.iter().find(is_of_table) {
            add(table, trial)?;
        }
    }

    let is_interrupted = session.cancel.is_cancelled();
    let failures = trials.iter().filter_map(|trial| match &trial.outcome {
        TableOutcome::Failed(error) => Some(exit::of_error(error.kind()).code),
        TableOutcome::Finished(_) | TableOutcome::NotStarted => None,
    });
    let codes = failures.chain((exit_code != exit::DONE).then_some(exit_code));

    Ok(CommandOutcome::PlannedTables {
        exit_code: exit::of_tables(codes, is_interrupted),
        plan,
    })
}

fn show(trials: &[TableTrial], session: &Session) {
    for trial in trials {
        let TableOutcome::Finished(Some(report)) = &trial.outcome else {
            continue;
        };

        for preview in &report.previews {
            session.console.lines(&[format!("Table {}:", trial.table)]);
            session.console.styled_lines(&dry_run::item_diff(preview));
        }
    }

    session.console.outcome(&set_trial::outcome(trials));
    for warning in set_trial::collisions(trials) {
        session.console.warning(&warning);
    }
}

fn add(table: &mut Value, trial: &TableTrial) -> Result<()> {
    match &trial.outcome {
        TableOutcome::Finished(Some(report)) => table["trial"] = to_value(report)?,
        TableOutcome::Finished(None) | TableOutcome::NotStarted => {}
        TableOutcome::Failed(error) => table["error"] = error_report(error)?,
    }

    Ok(())
}
