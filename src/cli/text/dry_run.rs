//! Report of a dry run: counts, and items before and after the transform.

use console::Style;
use serde::Serialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::summary::{self, OutcomeText};
use super::{cost, format};
use crate::cli::report::CommandOutcome;
use crate::cli::session::Session;
use crate::error::Result;
use crate::layout::Rows;
use crate::limits::ITEM_BYTES;
use crate::ops::{DryRunReport, ItemPreview};

/// What the run would write the items to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemTarget {
    Dump,
    Table,
}

/// Prints the result of a dry run, and returns its outcome. `trial` is `None` if no items were read.
///
/// # Errors
/// The report cannot be written.
pub(crate) fn report(
    plan: &impl Serialize,
    target: ItemTarget,
    is_transformed: bool,
    trial: Option<DryRunReport>,
    session: &Session,
) -> Result<CommandOutcome> {
    let Some(trial) = trial else {
        return CommandOutcome::planned(plan);
    };

    session.progress.end();
    for preview in &trial.previews {
        session.console.styled_lines(&item_diff(preview));
    }

    session
        .console
        .outcome(&outcome_text(&trial, target, is_transformed));
    if let Some(warning) = summary::key_collisions(trial.collisions, &trial.first_collisions) {
        session.console.warning(&warning);
    }

    CommandOutcome::planned_with_trial(plan, &trial)
}

/// Counts, costs and reasons of rejections.
fn outcome_text(trial: &DryRunReport, target: ItemTarget, is_transformed: bool) -> OutcomeText {
    let written = format!(
        "{} ({} as JSON)",
        format::items(trial.items_out),
        format::bytes(trial.bytes_out)
    );
    let headline = format!(
        "Dry run: {} read, {written} would be written. Nothing was changed.",
        format::items(trial.items_in)
    );

    let rows = Rows::plain(|group| {
        if is_transformed {
            group.row("changed", format::items(trial.changed));
            group.row("filtered out", format::items(trial.left_out));
        }

        group.row("rejected", format::items(trial.rejected));
        let reasons = trial.reasons.iter();
        group.list(
            "reasons",
            reasons.map(|(reason, count)| format!("{} × {reason}", format::count(*count))),
        );

        if target == ItemTarget::Table {
            cost::rows(group, &trial.cost, "");
        }

        if trial.without_key > 0 {
            group.row("without key", format::items(trial.without_key));
        }

        if trial.too_large > 0 {
            let (items, limit) = (format::items(trial.too_large), format::count(ITEM_BYTES));
            group.row("too large", format!("{items} of more than {limit} bytes"));
        }
    });

    OutcomeText {
        headline: Some(headline),
        rows,
        all_details: true,
        ..OutcomeText::default()
    }
}

/// A diff of an item before and after the transform, with the style of each line.
pub(crate) fn item_diff(preview: &ItemPreview) -> Vec<(String, Style)> {
    let (before, after) = (
        one_attribute_per_line(&preview.before),
        preview
            .after
            .iter()
            .map(|item| one_attribute_per_line(item))
            .collect::<String>(),
    );

    let diff = TextDiff::from_lines(&before, &after);
    let mut lines: Vec<_> = diff
        .iter_all_changes()
        .map(|change| {
            let (sign, style) = match change.tag() {
                ChangeTag::Equal => (' ', Style::new()),
                ChangeTag::Delete => ('-', Style::new().red()),
                ChangeTag::Insert => ('+', Style::new().green()),
            };

            (
                format!("{sign} {}", change.value().trim_end_matches('\n')),
                style,
            )
        })
        .collect();

    if let Some(reason) = &preview.rejected {
        lines.push((format!("rejected: {reason}"), Style::new().yellow()));
    } else if preview.after.is_empty() {
        lines.push(("filtered out".to_owned(), Style::new().yellow()));
    }

    // An empty line between items.
    lines.push((String::new(), Style::new()));

    lines
}

/// An item with one attribute per line, sorted by name, so that a line diff shows changed attributes.
fn one_attribute_per_line(item: &[u8]) -> String {
    let Ok(Value::Object(attributes)) = serde_json::from_slice(item) else {
        return format!("{}\n", String::from_utf8_lossy(item));
    };

    let lines = attributes
        .iter()
        .map(|(name, value)| format!("  {}: {value}\n", Value::from(name.as_str())));
    format!("{{\n{}}}\n", lines.collect::<String>())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn diff_marks_changed_attributes() {
        let shown = ItemPreview {
            before: Bytes::from_static(br#"{"id":{"S":"a"},"old":{"N":"1"}}"#),
            after: vec![Bytes::from_static(br#"{"id":{"S":"a"},"new":{"N":"1"}}"#)],
            rejected: None,
        };

        let lines: Vec<String> = item_diff(&shown)
            .into_iter()
            .map(|(line, _)| line)
            .collect();
        assert_eq!(
            lines,
            [
                "  {",
                r#"    "id": {"S":"a"}"#,
                r#"-   "old": {"N":"1"}"#,
                r#"+   "new": {"N":"1"}"#,
                "  }",
                ""
            ]
        );
    }

    #[test]
    fn diff_shows_why_an_item_has_no_result() {
        let shown = |rejected: Option<&str>| {
            let rejected = rejected.map(ToOwned::to_owned);
            let shown = ItemPreview {
                before: Bytes::from_static(b"{}"),
                after: Vec::new(),
                rejected,
            };

            item_diff(&shown)
                .into_iter()
                .map(|(line, _)| line)
                .collect::<Vec<_>>()
        };

        assert!(shown(None).contains(&"filtered out".to_owned()));
        assert!(shown(Some("no name")).contains(&"rejected: no name".to_owned()));
    }
}
