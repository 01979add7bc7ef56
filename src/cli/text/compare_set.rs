//! Verdict on several tables that were compared.

use super::failures::error_text;
use super::format;
use super::summary::OutcomeText;
use super::table_rows::{list_tables, name};
use super::verdict;
use crate::layout::Rows;
use crate::ops::set::TableOutcome;
use crate::ops::set::compare::ComparedMember;

/// The result, a problem for each table that differs or cannot be compared, and a row for each of the others.
pub(crate) fn verdict(members: &[ComparedMember], environment: &str, seconds: f64) -> OutcomeText {
    let rows = Rows::plain(|group| {
        let equal = members.iter().filter_map(|member| {
            let text = match &member.outcome {
                TableOutcome::Finished(found) if found.is_equal() => {
                    format!("equal, {}", format::items(found.equal))
                }
                TableOutcome::NotStarted => "not started".to_owned(),
                TableOutcome::Finished(_) | TableOutcome::Failed(_) => return None,
            };
            Some((table_name(member), text))
        });
        list_tables(group, equal.collect());
    });

    OutcomeText {
        headline: Some(headline(members, environment, seconds)),
        problems: members.iter().flat_map(problems).collect(),
        rows,
        ..OutcomeText::default()
    }
}

/// The warnings of all comparisons, each with its table.
pub(crate) fn warnings(members: &[ComparedMember]) -> Vec<String> {
    let warnings = members.iter().flat_map(|member| {
        let warnings = match &member.outcome {
            TableOutcome::Finished(found) => &found.warnings[..],
            TableOutcome::Failed(_) | TableOutcome::NotStarted => &[],
        };
        warnings
            .iter()
            .map(|warning| format!("{}: {warning}", table_name(member)))
    });

    warnings.collect()
}

fn headline(members: &[ComparedMember], environment: &str, seconds: f64) -> String {
    let count = |is: fn(&TableOutcome<Box<_>>) -> bool| {
        members.iter().filter(|member| is(&member.outcome)).count() as u64
    };
    let equal = members.iter().filter(
        |member| matches!(&member.outcome, TableOutcome::Finished(found) if found.is_equal()),
    );
    let equal = equal.count() as u64;
    let compared = count(|outcome| matches!(outcome, TableOutcome::Finished(_)));
    let counts = [
        (compared - equal, "different"),
        (
            count(|outcome| matches!(outcome, TableOutcome::Failed(_))),
            "failed",
        ),
        (
            count(|outcome| matches!(outcome, TableOutcome::NotStarted)),
            "not started",
        ),
    ];
    let others = counts.into_iter().filter(|(count, _)| *count > 0);
    let others: Vec<String> = others
        .map(|(count, word)| format!(", {} {word}", format::count(count)))
        .collect();

    format!(
        "Compared {} with {environment} in {}: {} equal{}.",
        format::counted(members.len() as u64, "table"),
        format::seconds(seconds),
        format::count(equal),
        others.concat()
    )
}

fn problems(member: &ComparedMember) -> Vec<String> {
    let table = table_name(member);
    match &member.outcome {
        TableOutcome::Finished(found) => verdict::comparison(found)
            .problems
            .into_iter()
            .map(|problem| format!("{table}: {problem}"))
            .collect(),
        TableOutcome::Failed(error) => vec![format!("table {table}: {}", error_text(error))],
        TableOutcome::NotStarted => Vec::new(),
    }
}

fn table_name(member: &ComparedMember) -> String {
    name(&member.table.source, &member.table.target)
}
