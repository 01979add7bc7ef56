//! Text of a set that is restored: plan, summary.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::plan::{location_rows, table_action};
use super::summary::OutcomeText;
use super::{format, summary};
use crate::cli::exit;
use crate::error::{Error, ErrorKind};
use crate::layout::{RowGroup, Rows, sentence_case};
use crate::ops::restore::{self, RestorePreview, RestoreSummary};
use crate::ops::set::TableOutcome;
use crate::ops::set::restore::{
    FinishedTable, MemberPlan, RestoreSetPlan, RestoredMember, RestoredTable,
};

/// Maximum number of tables that are listed without details.
const MAX_TABLES: usize = 20;

/// The rows of the plan; `now` is used to tell the age of the set.
pub(crate) fn plan(plan: &RestoreSetPlan, now: DateTime<Utc>) -> Rows {
    let mut rows = Rows::new();
    let source = rows.group("Source");
    let set = &plan.source;
    let age = match set.finished_at {
        Some(finished) => format!("created {}", format::age(finished, now)),
        None => format!("unfinished, started {}", format::age(set.started_at, now)),
    };
    let tables = format::counted(set.tables as u64, "table");
    source.row("from", format!("{} ({tables}, {age})", set.path));
    source.row("environment", set.environment.clone());

    let target = rows.group("Target");
    let protected = if plan.target.protected {
        " (protected)"
    } else {
        ""
    };
    target.row(
        "environment",
        format!("{}{protected}", plan.target.environment),
    );
    location_rows(target, &plan.target);
    if let Some(cap) = plan.max_total_write_units() {
        let cap = format::count(cap.into());
        target.row(
            "writes",
            format!("at most {cap} write units per second in total"),
        );
    }

    let tables = plan.tables.iter().map(|table| {
        let action = match &table.plan {
            MemberPlan::Restore(preview) => planned(preview, now),
            MemberPlan::Finished(before) => {
                format!("restored before, {}", format::items(before.items_written))
            }
            MemberPlan::Refused(error) => format!("cannot be restored: {error}"),
        };
        (name(&table.source, &table.target), action)
    });
    list_tables(rows.group("Tables"), tables.collect());

    rows
}

/// What is done with a table, and the number of its items.
fn planned(preview: &RestorePreview, now: DateTime<Utc>) -> String {
    let mut text = table_action(&preview.action, preview.target.local);
    if preview.action.keeps() {
        return text;
    }

    if let Some(items) = preview.source.items {
        let _ = write!(text, "; {}", format::items(items));
    }

    if let Some(resumed) = &preview.resumes {
        let _ = write!(
            text,
            ", resumed after {} (saved {})",
            format::items(resumed.items),
            format::age(resumed.at, now)
        );
    }

    text
}

/// `films`, or `prod-films → films`.
pub(super) fn name(source: &str, target: &str) -> String {
    if source == target {
        source.to_owned()
    } else {
        format!("{source} → {target}")
    }
}

/// One row for each table. Without details, a long list is shortened.
pub(super) fn list_tables(group: &mut RowGroup, tables: Vec<(String, String)>) {
    let count = tables.len();
    for (position, (table, text)) in tables.into_iter().enumerate() {
        group.named(&table, text, position >= MAX_TABLES);
    }

    if count > MAX_TABLES {
        let more = format::counted((count - MAX_TABLES) as u64, "more table");
        group.short("…", format!("and {more}; --verbose lists all"));
    }
}

/// The summary: the result, a problem for each table that has one, and a row for each of the others.
///
/// `done` is what the command does with a table: restored or copied.
pub(crate) fn summary(
    members: &[RestoredMember],
    done: &str,
    environment: &str,
    seconds: f64,
) -> OutcomeText {
    let rows = Rows::plain(|group| {
        let restored = members.iter().filter_map(|member| {
            let text = match &member.result {
                RestoredTable::Restored(summary) => result(summary),
                RestoredTable::Finished(before) => {
                    format!("{done} before, {}", format::items(before.items_written))
                }
                RestoredTable::Failed(_) => return None,
                RestoredTable::NotStarted => "not started".to_owned(),
            };
            Some((name(&member.source, &member.target), text))
        });
        list_tables(group, restored.collect());
    });

    OutcomeText {
        headline: Some(headline(members, done, environment, seconds)),
        problems: members.iter().flat_map(problems).collect(),
        rows,
        ..OutcomeText::default()
    }
}

fn headline(members: &[RestoredMember], done: &str, environment: &str, seconds: f64) -> String {
    let before = format!("{done} before");
    let count = |is: fn(&RestoredTable) -> bool| {
        members.iter().filter(|member| is(&member.result)).count() as u64
    };
    let restored = count(|result| matches!(result, RestoredTable::Restored(_)));
    let counts = [
        (
            count(|result| matches!(result, RestoredTable::Finished(_))),
            before.as_str(),
        ),
        (
            count(|result| matches!(result, RestoredTable::Failed(_))),
            "failed",
        ),
        (
            count(|result| matches!(result, RestoredTable::NotStarted)),
            "not started",
        ),
    ];
    let others = counts.into_iter().filter(|(count, _)| *count > 0);
    let others: Vec<String> = others
        .map(|(count, word)| format!(", {} {word}", format::count(count)))
        .collect();
    let items = members.iter().map(|member| match &member.result {
        RestoredTable::Restored(summary) => summary.items_written,
        _ => 0,
    });

    let action = sentence_case(done);

    format!(
        "{action} {} of {} to {environment} in {}: {}{}.",
        format::count(restored),
        format::counted(members.len() as u64, "table"),
        format::seconds(seconds),
        format::items(items.sum()),
        others.concat()
    )
}

/// The line of a table whose restore has ended; `None` if the summary alone says it.
pub(crate) fn line(outcome: &TableOutcome<Box<RestoreSummary>>) -> Option<Result<String, String>> {
    match outcome {
        TableOutcome::Finished(summary) => Some(Ok(result(summary))),
        TableOutcome::Failed(error) if error.kind() != ErrorKind::Interrupted => {
            Some(Err(error.to_string()))
        }
        TableOutcome::Failed(_) | TableOutcome::NotStarted => None,
    }
}

/// What was done with a table.
fn result(summary: &RestoreSummary) -> String {
    let items = format::items(summary.items_written);
    let action = match summary.table {
        restore::TableOutcome::Created => "created",
        restore::TableOutcome::AddedTo => "merged into the existing table",
        restore::TableOutcome::Replaced => "replaced",
        restore::TableOutcome::Kept => return "exists and was not changed".to_owned(),
    };

    format!("{action}, {items}")
}

/// The problems of one table, each with its name.
fn problems(member: &RestoredMember) -> Vec<String> {
    let table = name(&member.source, &member.target);
    match &member.result {
        RestoredTable::Restored(summary) => summary::restore_problems(summary)
            .into_iter()
            .map(|problem| format!("table {table}: {problem}"))
            .collect(),
        RestoredTable::Finished(before) if !before.is_whole => {
            vec![format!(
                "table {table}: the interrupted run finished this table with problems that it has listed"
            )]
        }
        RestoredTable::Failed(error) => vec![failure(&table, error)],
        RestoredTable::Finished(_) | RestoredTable::NotStarted => Vec::new(),
    }
}

/// An error with its details, causes and hint, as one text.
pub(super) fn failure(table: &str, error: &Error) -> String {
    let mut text = format!("table {table}: {error}");
    for detail in error.details() {
        let _ = write!(text, "\n{detail}");
    }

    for cause in error.causes() {
        let _ = write!(text, "\ncaused by: {cause}");
    }

    if let Some(hint) = error.hint() {
        let _ = write!(text, "\nhint: {hint}");
    }

    text
}

/// The exit code of a table; `None` if it was stopped because the user or another table has ended the run.
pub(crate) fn exit_code(result: &RestoredTable) -> Option<u8> {
    let of_finished = |is_whole: bool| if is_whole { exit::DONE } else { exit::PARTIAL };
    match result {
        RestoredTable::Restored(summary) => Some(of_finished(summary.is_whole())),
        RestoredTable::Finished(FinishedTable { is_whole, .. }) => Some(of_finished(*is_whole)),
        RestoredTable::Failed(error) if error.kind() == ErrorKind::Interrupted => None,
        RestoredTable::Failed(error) => Some(exit::of_error(error.kind()).code),
        RestoredTable::NotStarted => None,
    }
}
