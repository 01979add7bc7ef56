//! Rows of plans and summaries of several tables.

use std::ffi::OsStr;
use std::time::Duration;

use super::plan::location_rows;
use super::summary::OutcomeText;
use super::table_rows::list_tables;
use super::{cost, format, summary, verdict};
use crate::error::{Error, ErrorKind};
use crate::layout::{RowGroup, Rows};
use crate::ops::dump::DumpPlan;
use crate::ops::set::dump::{DumpedMember, PlannedTable, SetDumpPlan, SetDumpSummary, TableState};
use crate::ops::set::grouping::grouped;
use crate::ops::set::{DumpedItems, TableOutcome, TableResult};
use crate::ops::verify::{DumpVerdict, SetVerdict};
use crate::ops::{ContentScope, Price};

/// Minimum time of reading settings that a plan shows, in seconds.
const SHOWN_LOOKUP_SECONDS: u64 = 5;

/// Tables that a plan shows without `--verbose`.
const MAX_TABLES: usize = 20;

/// The rows of the plan of a dump of several tables.
pub(crate) fn dump_plan(plan: &SetDumpPlan, content: ContentScope, resume: bool) -> Rows {
    let mut rows = Rows::new();
    let source = rows.group("Source");
    let protected = if plan.source.protected {
        ", protected"
    } else {
        ""
    };
    let tables = format::counted(plan.tables.len() as u64, "table");
    source.row(
        "tables",
        format!("{tables} ({}{protected})", plan.source.environment),
    );
    location_rows(source, &plan.source);
    source.row(
        "items",
        format!(
            "~{}, {} in the tables",
            format::items(plan.items),
            format::bytes(plan.bytes)
        ),
    );

    let target = rows.group("Target");
    let replaces = if plan.replaces {
        ", replaces the existing dump of each table on success"
    } else {
        ""
    };
    target.row("set", format!("{}{replaces}", plan.target));
    target.row("reads", reads(plan, content));
    let price = content.includes_items().then(|| read_price(plan)).flatten();
    target.list("price", price);
    if plan.lookup_seconds >= SHOWN_LOOKUP_SECONDS {
        let time = format::seconds(Duration::from_secs(plan.lookup_seconds).as_secs_f64());
        let lookups = format!("take at least ~{time}: AWS allows about 10 calls per second");
        target.row("settings", lookups);
    }

    target.detail(
        "parallel",
        format::counted(plan.parallel_tables.get() as u64, "table"),
    );
    if resume {
        target.row("resumes", resumes(plan));
    }

    table_rows(rows.group("Tables"), &plan.tables);

    rows
}

/// The cost of the reads, with the cap on all tables.
fn reads(plan: &SetDumpPlan, content: ContentScope) -> String {
    if !content.includes_items() {
        return "no items, only the schemas".to_owned();
    }

    let units = format::units(plan.read_units);
    match plan.max_total_read_units {
        Some(cap) => format!(
            "~{units} read units, at most {} per second in total",
            format::count(cap.into())
        ),
        None => format!("~{units} read units"),
    }
}

/// The price of reading the on-demand tables.
fn read_price(plan: &SetDumpPlan) -> Option<String> {
    let prices = plan.tables.iter().filter_map(|table| match &table.state {
        TableState::Dump(plan) => plan.scan_cost.as_ref()?.price.as_ref(),
        TableState::Finished(_) | TableState::Failed(_) => None,
    });
    let total = Price::sum(prices)?;

    Some(cost::price_in_words(&total, ""))
}

/// Which earlier run is resumed, and what it has finished.
fn resumes(plan: &SetDumpPlan) -> String {
    let Some(started) = plan.resumes else {
        return "no interrupted dump was found; a new one is started".to_owned();
    };

    let finished = plan
        .tables
        .iter()
        .filter(|table| is_finished(table))
        .count();
    format!(
        "the dump started {}; {} finished",
        format::timestamp(started),
        format::counted(finished as u64, "table")
    )
}

fn is_finished(table: &PlannedTable) -> bool {
    matches!(table.state, TableState::Finished(_))
}

/// A row for each table, those that fail first. Without details, the number of rows is limited.
fn table_rows(group: &mut RowGroup, tables: &[PlannedTable]) {
    let (failed, others): (Vec<_>, Vec<_>) = tables
        .iter()
        .partition(|table| matches!(table.state, TableState::Failed(_)));
    let shown = MAX_TABLES.max(failed.len() + 1);
    for (at, table) in failed.into_iter().chain(others).enumerate() {
        let is_detail = at >= shown && tables.len() > shown + 1;
        group.named(&table.table, state(&table.state), is_detail);
    }

    if tables.len() > shown + 1 {
        let more = format::count((tables.len() - shown) as u64);
        group.short("…", format!("and {more} more, listed with --verbose"));
    }
}

fn state(state: &TableState) -> String {
    match state {
        TableState::Dump(plan) => planned(plan),
        TableState::Finished(dump) => format!("dumped already, {}", format::items(dump.items)),
        TableState::Failed(error) => format!("cannot be dumped: {error}"),
    }
}

fn planned(plan: &DumpPlan) -> String {
    let items = format!(
        "~{}, {} in the table",
        format::items(plan.items),
        format::bytes(plan.bytes)
    );

    match &plan.unfinished {
        Some(interrupted) if plan.resumes => {
            format!(
                "{items}; resumes after {}",
                format::items(interrupted.items)
            )
        }
        _ => items,
    }
}

/// The result of one table, for the log: `3 items (1 kB as JSON) in 0.1 s`, or what went wrong; `None` if it was not reached.
pub(crate) fn table_result(outcome: &TableOutcome<DumpedMember>) -> Option<Result<String, String>> {
    match outcome {
        TableOutcome::Finished(member @ DumpedMember::Now(summary)) => Some(Ok(format!(
            "{} in {}",
            items_of(member),
            format::seconds(summary.seconds)
        ))),
        TableOutcome::Finished(member @ DumpedMember::Before(_)) => {
            Some(Ok(format!("{}, dumped before", items_of(member))))
        }
        TableOutcome::Failed(error) if error.kind() != ErrorKind::Interrupted => {
            Some(Err(error.to_string()))
        }
        TableOutcome::Failed(_) | TableOutcome::NotStarted => None,
    }
}

/// The items of a dump, and those that its transform did not leave as they were: `5 items (1 kB as JSON) of 100 read: 95 filtered out`.
fn items_of(member: &DumpedMember) -> String {
    let items = DumpedItems::of_member(member);
    format!(
        "{} ({} as JSON){}",
        format::items(member.items()),
        format::bytes(member.data_bytes()),
        items.as_ref().map(accounts).unwrap_or_default()
    )
}

/// What a transform made of the items that were read: ` of 100 read: 5 changed, 95 filtered out`. Empty if nothing.
fn accounts(items: &DumpedItems) -> String {
    let counts = [
        (items.items_changed, "changed"),
        (items.items_left_out, "filtered out"),
        (items.items_rejected, "rejected"),
    ];
    let counts = format::nonzero_counts(&counts);
    if counts.is_empty() {
        counts
    } else {
        format!(" of {} read: {counts}", format::count(items.items_read))
    }
}

/// The warnings of a check of a set, each with its table.
pub(crate) fn verify_warnings(found: &SetVerdict) -> Vec<String> {
    let of_tables = found.tables.iter().flat_map(|result| {
        let warnings = match &result.outcome {
            TableOutcome::Finished(verdict) => &verdict.warnings[..],
            TableOutcome::Failed(_) | TableOutcome::NotStarted => &[],
        };
        warnings
            .iter()
            .map(|warning| format!("table {}: {warning}", result.table))
    });

    found.warnings.iter().cloned().chain(of_tables).collect()
}

/// The verdict on a set.
pub(crate) fn verdict(found: &SetVerdict) -> OutcomeText {
    let (mut intact, mut items, mut bytes) = (0, 0, 0);
    let mut problems = Vec::new();
    if found.is_unfinished {
        problems.push(format!(
            "The set {} is unfinished: dumpdb is running, or was interrupted",
            found.source
        ));
    }

    for result in &found.tables {
        match &result.outcome {
            TableOutcome::Finished(verdict) if verdict.is_whole() => {
                intact += 1;
                items += verdict.items.unwrap_or(0);
                bytes += verdict.data_bytes.unwrap_or(0);
            }
            TableOutcome::Finished(verdict) => problems.extend(verdict::dump(verdict).problems),
            TableOutcome::Failed(error) => {
                problems.push(format!("table {}: {}", result.table, with_hint(error)));
            }
            TableOutcome::NotStarted => {}
        }
    }

    let (tables, took) = (
        format::counted(found.tables.len() as u64, "table"),
        format::seconds(found.seconds),
    );
    let headline = if problems.is_empty() {
        format!(
            "The set {} is intact: {tables}{}, checked in {took}.",
            found.source,
            items_in_words(found, items, bytes)
        )
    } else {
        format!(
            "{} of {tables} in the set {} are intact, checked in {took}.",
            format::count(intact),
            found.source
        )
    };

    OutcomeText {
        headline: Some(headline),
        problems,
        ..OutcomeText::default()
    }
}

/// The number of items that were checked; empty if only checksums were.
fn items_in_words(found: &SetVerdict, items: u64, bytes: u64) -> String {
    let is_quick = |result: &TableResult<DumpVerdict>| matches!(&result.outcome, TableOutcome::Finished(verdict) if verdict.quick);
    if found.tables.iter().any(is_quick) {
        return " by their checksums (items were not checked)".to_owned();
    }

    format!(
        ", {} ({} as JSON)",
        format::items(items),
        format::bytes(bytes)
    )
}

/// The summary of a dump of several tables.
pub(crate) fn dump_summary(
    summary: &SetDumpSummary,
    environment: &str,
    resume_hint: &str,
) -> OutcomeText {
    let (mut dumped, mut items, mut bytes) = (0, 0, 0);
    for result in &summary.tables {
        if let TableOutcome::Finished(member) = &result.outcome {
            dumped += 1;
            items += member.items();
            bytes += member.data_bytes();
        }
    }

    let all = format::counted(summary.tables.len() as u64, "table");
    let tables = if dumped == summary.tables.len() as u64 {
        all
    } else {
        format!("{} of {all}", format::count(dumped))
    };
    let headline = format!(
        "Dumped {tables} of {environment} to {} in {}: {} ({} as JSON).",
        summary.target,
        format::seconds(summary.seconds),
        format::items(items),
        format::bytes(bytes)
    );

    let problems = problems(summary);
    let total = DumpedItems::of_tables(&summary.tables);
    let rows = Rows::plain(|group| {
        let accounts = accounts(&total);
        if !accounts.is_empty() {
            let tables = summary.tables.iter().filter_map(|result| {
                let TableOutcome::Finished(member) = &result.outcome else {
                    return None;
                };
                Some((result.table.clone(), items_of(member)))
            });
            list_tables(group, tables.collect());
            let items = format::items(total.items);
            group.row("total", format!("{items}{accounts}"));
        }

        if dumped < summary.tables.len() as u64 && dumped > 0 {
            group.row("next", resume_hint);
        } else if problems.is_empty() {
            let target = format::shell_quoted(OsStr::new(&summary.target));
            group.row(
                "next",
                format!("verifydb {target}, or restoredb --source {target}"),
            );
        }
    });

    OutcomeText {
        headline: Some(headline),
        problems,
        rows,
        ..OutcomeText::default()
    }
}

/// A line for each table that failed or has rejects, and one for those that were not finished.
fn problems(summary: &SetDumpSummary) -> Vec<String> {
    let mut problems = grouped(summary.tables.iter().filter_map(problem));
    let stopped = summary.tables.iter().filter(|result| result.was_stopped());
    let stopped = stopped.count() as u64;
    if stopped > 0 {
        let reason = if summary.is_interrupted {
            "interrupted"
        } else {
            "stopped because another table failed"
        };
        let tables = format::counted(stopped, "table");
        problems.push(format!("{reason}: {tables} not finished"));
    }

    let is_any_dumped = summary
        .tables
        .iter()
        .any(|result| matches!(result.outcome, TableOutcome::Finished(_)));
    if is_any_dumped && !summary.is_published {
        problems.push(format!(
            "the existing dump in {} was kept, because not all tables were dumped",
            summary.target
        ));
    }

    problems
}

/// What went wrong with a table, with its name.
fn problem(result: &TableResult<DumpedMember>) -> Option<(&String, String)> {
    let table = &result.table;
    match &result.outcome {
        TableOutcome::Failed(error) if !result.was_stopped() => Some((table, with_hint(error))),
        TableOutcome::Finished(DumpedMember::Now(summary)) if !summary.is_whole() => {
            Some((table, summary::dump_problems(summary).join("\n")))
        }
        TableOutcome::Finished(_) | TableOutcome::Failed(_) | TableOutcome::NotStarted => None,
    }
}

/// An error and its hint.
fn with_hint(error: &Error) -> String {
    let hint = error.hint().map(|hint| format!("\nhint: {hint}"));
    format!("{error}{}", hint.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::backup::MemberDump;
    use crate::layout::Line;

    fn result(table: &str, outcome: TableOutcome<DumpedMember>) -> TableResult<DumpedMember> {
        TableResult {
            table: table.to_owned(),
            outcome,
        }
    }

    fn dumped(items: u64) -> MemberDump {
        MemberDump {
            finished_at: DateTime::UNIX_EPOCH,
            items,
            data_bytes: 1_000 * items,
            complete: true,
            metadata_sha256: String::new(),
        }
    }

    fn denied() -> Error {
        Error::environment("access denied").with_hint("ask for it")
    }

    fn interrupted() -> Error {
        Error::new(ErrorKind::Interrupted, "interrupted")
    }

    #[test]
    fn a_summary_groups_equal_failures_and_says_how_to_resume() {
        let before = TableOutcome::Finished(DumpedMember::Before(dumped(3)));
        let summary = SetDumpSummary {
            target: "out".to_owned(),
            tables: vec![
                result("a", TableOutcome::Failed(denied())),
                result("b", before),
                result("c", TableOutcome::Failed(denied())),
                result("d", TableOutcome::Failed(interrupted())),
                result("e", TableOutcome::NotStarted),
            ],
            is_published: false,
            is_interrupted: true,
            warnings: Vec::new(),
            seconds: 0.5,
        };

        let text = dump_summary(&summary, "prod", "Resume with: x --resume");
        assert_eq!(
            text.headline.as_deref(),
            Some("Dumped 1 of 5 tables of prod to out in 0.50 s: 3 items (3.00 kB as JSON).")
        );
        assert_eq!(
            text.problems,
            [
                "tables a, c: access denied\nhint: ask for it",
                "interrupted: 2 tables not finished",
                "the existing dump in out was kept, because not all tables were dumped",
            ]
        );
        assert_eq!(
            text.rows.lines(false, usize::MAX),
            [Line::Row("  Next  Resume with: x --resume".to_owned())]
        );
    }

    #[test]
    fn a_plan_lists_failures_first_and_shortens_a_long_list() {
        let mut tables: Vec<_> = (0..30)
            .map(|at| PlannedTable {
                table: format!("t{at:02}"),
                state: TableState::Finished(dumped(1)),
            })
            .collect();
        tables[25].state = TableState::Failed(denied());
        let rows = Rows::plain(|group| table_rows(group, &tables));
        let lines = |with_details| {
            let lines = rows.lines(with_details, usize::MAX).into_iter();
            lines
                .map(|line| match line {
                    Line::Row(text) => text,
                    Line::Heading(text) => text.to_owned(),
                })
                .collect::<Vec<String>>()
        };

        let short = lines(false);
        assert_eq!(short.len(), MAX_TABLES + 1);
        assert_eq!(short[0], "  t25  cannot be dumped: access denied");
        assert_eq!(short[1], "  t00  dumped already, 1 item");
        assert_eq!(
            short[MAX_TABLES],
            "  …    and 10 more, listed with --verbose"
        );
        assert_eq!(lines(true).len(), 30);
    }
}
