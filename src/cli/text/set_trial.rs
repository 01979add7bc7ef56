//! Text of a dry run of a transform on several tables.

use std::fmt::Write as _;

use super::failures::{Failure, failures};
use super::format;
use super::scan::one_line;
use super::summary::{OutcomeText, key_collisions};
use super::table_rows::list_tables;
use crate::layout::Rows;
use crate::ops::DryRunReport;
use crate::ops::set::{TableOutcome, TableTrial};

/// The totals, a problem for each table that could not be read, and a row for each of the others.
pub(crate) fn outcome(trials: &[TableTrial]) -> OutcomeText {
    let reports = || trials.iter().filter_map(report);
    let headline = format!(
        "Dry run: {} of {} read, {} ({} as JSON) would be written. Nothing was changed.",
        format::items(reports().map(|report| report.items_in).sum()),
        format::counted(reports().count() as u64, "table"),
        format::items(reports().map(|report| report.items_out).sum()),
        format::bytes(reports().map(|report| report.bytes_out).sum())
    );
    let failed = trials.iter().filter_map(|trial| match &trial.outcome {
        TableOutcome::Failed(error) => Some(Failure {
            source: &trial.table,
            target: &trial.table,
            error,
        }),
        TableOutcome::Finished(_) | TableOutcome::NotStarted => None,
    });
    let rows = Rows::plain(|group| {
        let tables = trials
            .iter()
            .filter_map(|trial| Some((trial.table.clone(), row(report(trial)?))));
        list_tables(group, tables.collect());
    });

    OutcomeText {
        headline: Some(headline),
        problems: failures(failed),
        rows,
        ..OutcomeText::default()
    }
}

/// The warnings about items with equal keys, each with its table.
pub(crate) fn collisions(trials: &[TableTrial]) -> impl Iterator<Item = String> {
    trials.iter().filter_map(|trial| {
        let report = report(trial)?;
        let warning = key_collisions(report.collisions, &report.first_collisions)?;

        Some(format!("table {}: {warning}", trial.table))
    })
}

fn report(trial: &TableTrial) -> Option<&DryRunReport> {
    match &trial.outcome {
        TableOutcome::Finished(report) => report.as_deref(),
        TableOutcome::Failed(_) | TableOutcome::NotStarted => None,
    }
}

/// `60 items read, 50 changed, 5 filtered out, 3 rejected (3 × no key)`.
fn row(report: &DryRunReport) -> String {
    let mut text = format!("{} read", format::items(report.items_in));
    for (count, what) in [
        (report.changed, "changed"),
        (report.left_out, "filtered out"),
        (report.without_key, "without key"),
        (report.too_large, "too large"),
        (report.rejected, "rejected"),
    ] {
        if count > 0 {
            let _ = write!(text, ", {} {what}", format::count(count));
        }
    }

    let reasons = report.reasons.iter();
    let reasons: Vec<_> = reasons
        .map(|(reason, count)| format!("{} × {}", format::count(*count), one_line(reason)))
        .collect();
    if !reasons.is_empty() {
        let _ = write!(text, " ({})", reasons.join("; "));
    }

    text
}
