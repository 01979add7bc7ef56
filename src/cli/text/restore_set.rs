//! Text of a set that is restored: plan, summary.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::failures::{Failure, failures};
use super::plan::{account_and_region, location_rows, table_action};
use super::summary::OutcomeText;
use super::table_rows::{list_tables, list_targets, name};
use super::{format, summary};
use crate::cli::exit;
use crate::error::{Error, ErrorKind};
use crate::layout::{Rows, sentence_case};
use crate::ops::restore::{self, RestorePreview, RestoreSummary, Verified};
use crate::ops::set::grouping::grouped;
use crate::ops::set::restore::{
    FinishedTable, MemberPlan, RestoreSetPlan, RestoredMember, RestoredTable,
};
use crate::ops::set::{RestoredItems, TableOutcome};

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
    let place = account_and_region(set.account.as_deref(), set.region.as_deref());
    source.row("environment", format!("{}{place}", set.environment));

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
    list_targets(rows.group("Tables"), tables);

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

/// The summary: the result, a problem for each table that has one, a row for each of the others, and the items of all.
///
/// `done` is what the command does with a table: restored or copied. `next` is what to run next.
pub(crate) fn summary(
    members: &[RestoredMember],
    done: &str,
    environment: &str,
    seconds: f64,
    next: Option<String>,
) -> OutcomeText {
    let total = RestoredItems::of_tables(members);
    let rows = Rows::plain(|group| {
        let restored = members.iter().filter_map(|member| {
            let text = match &member.result {
                RestoredTable::Restored(summary) => result(summary),
                RestoredTable::Finished(before) => {
                    format!("{done} before, {}", format::items(before.items_written))
                }
                RestoredTable::Failed(error) if is_interruption(error) => error.to_string(),
                RestoredTable::Failed(_) => return None,
                RestoredTable::NotStarted => "not started".to_owned(),
            };
            Some((name(&member.source, &member.target), text))
        });
        list_tables(group, restored.collect());
        group.list("total", accounts(&total));
        group.list("next", next);
    });

    OutcomeText {
        headline: Some(headline(members, done, environment, seconds)),
        problems: all_problems(members),
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
            count(
                |result| matches!(result, RestoredTable::Failed(error) if !is_interruption(error)),
            ),
            "failed",
        ),
        (
            count(
                |result| matches!(result, RestoredTable::Failed(error) if is_interruption(error)),
            ),
            "interrupted",
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
    let items = RestoredItems::of_tables(members).items_written;
    let verified = verified(members);
    let action = sentence_case(done);

    format!(
        "{action} {} of {} to {environment} in {}: {}{verified}{}.",
        format::count(restored),
        format::counted(members.len() as u64, "table"),
        format::seconds(seconds),
        format::items(items),
        others.concat()
    )
}

/// How the items of all tables were verified.
fn verified(members: &[RestoredMember]) -> &'static str {
    let of_tables = || {
        members.iter().filter_map(|member| match &member.result {
            RestoredTable::Restored(summary) => Some(&summary.verified),
            _ => None,
        })
    };
    let is_read_back = |verified: &Verified| matches!(verified, Verified::Full { .. });

    if of_tables().any(|verified| verified.lacking() > 0) {
        ", NOT verified"
    } else if of_tables().any(|verified| *verified == Verified::Acknowledged) {
        ", all writes acknowledged"
    } else if of_tables().any(is_read_back) {
        ", verified"
    } else {
        ""
    }
}

/// The line of a table whose restore has ended; `None` if the summary alone says it.
pub(crate) fn line(outcome: &TableOutcome<Box<RestoreSummary>>) -> Option<Result<String, String>> {
    match outcome {
        TableOutcome::Finished(summary) => Some(Ok(result(summary))),
        TableOutcome::Failed(error) if !is_interruption(error) => {
            let cause = error.causes().next();
            let cause = cause.map_or_else(String::new, |cause| format!(": {cause}"));
            Some(Err(format!("{error}{cause}")))
        }
        TableOutcome::Failed(_) | TableOutcome::NotStarted => None,
    }
}

/// What was done with a table.
fn result(summary: &RestoreSummary) -> String {
    let items = RestoredItems::from(summary);
    let items = accounts(&items).unwrap_or_else(|| format::items(items.items_written));
    let action = match summary.table {
        restore::TableOutcome::Created => "created",
        restore::TableOutcome::AddedTo => "merged into the existing table",
        restore::TableOutcome::Replaced => "replaced",
        restore::TableOutcome::Kept => return "exists and was not changed".to_owned(),
    };

    format!("{action}, {items}")
}

/// The items that were read and what happened to them: `5 items written of 100 read: 5 changed, 95 filtered out`. `None` if each was
/// written as it was read.
fn accounts(items: &RestoredItems) -> Option<String> {
    let counts = [
        (items.items_changed, "changed"),
        (items.items_left_out, "filtered out"),
        (items.items_rejected, "rejected"),
        (items.items_skipped, "skipped"),
        (items.items_superseded, "superseded"),
        (items.items_overwritten, "overwritten"),
    ];
    let reasons = format::nonzero_counts(&counts);
    let deleted = format::nonzero_counts(&[(items.items_deleted, "deleted from the target")]);
    let is_multiplied = items.items_out > items.items_read;
    if reasons.is_empty() && deleted.is_empty() && !is_multiplied {
        return None;
    }

    let mut text = format!("{} written", format::items(items.items_written));
    if !reasons.is_empty() || is_multiplied {
        let _ = write!(text, " of {} read", format::count(items.items_read));
    }

    for (separator, part) in [(": ", reasons), ("; ", deleted)] {
        if !part.is_empty() {
            let _ = write!(text, "{separator}{part}");
        }
    }

    Some(text)
}

/// Whether a table was stopped because the user or another table has ended the run.
fn is_interruption(error: &Error) -> bool {
    error.kind() == ErrorKind::Interrupted
}

/// The problems of all tables. Equal ones are one, with the names of the tables.
fn all_problems(members: &[RestoredMember]) -> Vec<String> {
    let problems: Vec<_> = members
        .iter()
        .flat_map(|member| {
            let table = name(&member.source, &member.target);
            problems(&member.result)
                .into_iter()
                .map(move |problem| (table.clone(), problem))
        })
        .collect();
    let failed = members.iter().filter_map(|member| match &member.result {
        RestoredTable::Failed(error) if !is_interruption(error) => Some(Failure {
            source: &member.source,
            target: &member.target,
            error,
        }),
        _ => None,
    });

    let mut texts = grouped(problems.iter().map(|(table, text)| (table, text.clone())));
    texts.extend(failures(failed));

    texts
}

/// The problems of a table that did not fail.
fn problems(result: &RestoredTable) -> Vec<String> {
    match result {
        RestoredTable::Restored(summary) => summary::restore_problems(summary),
        RestoredTable::Finished(before) if !before.is_whole => vec![
            "the interrupted run finished this table with problems that it has listed".to_owned(),
        ],
        RestoredTable::Finished(_) | RestoredTable::Failed(_) | RestoredTable::NotStarted => {
            Vec::new()
        }
    }
}

/// The exit code of a table; `None` if it was stopped because the user or another table has ended the run.
pub(crate) fn exit_code(result: &RestoredTable) -> Option<u8> {
    let of_finished = |is_whole: bool| if is_whole { exit::DONE } else { exit::PARTIAL };
    match result {
        RestoredTable::Restored(summary) => Some(of_finished(summary.is_whole())),
        RestoredTable::Finished(FinishedTable { is_whole, .. }) => Some(of_finished(*is_whole)),
        RestoredTable::Failed(error) if is_interruption(error) => None,
        RestoredTable::Failed(error) => Some(exit::of_error(error.kind()).code),
        RestoredTable::NotStarted => None,
    }
}
