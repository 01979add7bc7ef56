//! `dump-summary.txt`: the metadata in readable form. It is never read back.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use super::format::{METADATA_FILE, SUMMARY_FILE};
use super::metadata::Metadata;
use crate::layout::{Line, RowGroup, Rows, count, counted};
use crate::schema::TableBackup;

/// Tables with fewer items are not compared with the dump: their count is often outdated.
const MIN_REPORTED_ITEMS: u64 = 1_000;

/// A warning if the dump should contain all items of the table and contains fewer than half of those that DynamoDB reported.
pub(crate) fn few_items_warning(metadata: &Metadata) -> Option<String> {
    let reported = metadata.reported_items?;
    let is_far_less = reported > MIN_REPORTED_ITEMS && metadata.items.saturating_mul(2) < reported;
    if !metadata.complete || metadata.backup.is_some() || !is_far_less {
        return None;
    }

    let items = if metadata.items == 1 { "item" } else { "items" };
    Some(format!(
        "The dump contains {} {items}, but DynamoDB reported about {} for table {}. DynamoDB updates its count about every six hours. Items \
         may have been deleted since; otherwise, the dump is incomplete.",
        count(metadata.items),
        count(reported),
        metadata.table
    ))
}

/// Renders the summary from the metadata.
pub(crate) fn render(metadata: &Metadata) -> String {
    let mut rows = Rows::new();
    table_rows(rows.group("Source"), metadata);
    match &metadata.backup {
        Some(backup) => backup_rows(rows.group("Contents"), metadata, backup),
        None => content_rows(rows.group("Contents"), metadata),
    }
    let files = rows.group("Files");
    for (name, entry) in &metadata.files {
        files.row(name, format!("{} bytes", count(entry.bytes)));
    }

    files.row(SUMMARY_FILE, "this summary");
    files.row(METADATA_FILE, "the same as JSON, with checksums");

    let mut text = "DynamoDB dump\n".to_owned();
    for line in rows.lines(true, usize::MAX) {
        let _ = match line {
            Line::Heading(heading) => writeln!(text, "\n{heading}"),
            Line::Row(row) => writeln!(text, "{row}"),
        };
    }

    text
}

fn table_rows(group: &mut RowGroup, metadata: &Metadata) {
    let or_unknown = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    let endpoint = metadata.endpoint.as_deref().unwrap_or("AWS");
    group
        .row("table", &*metadata.table)
        .row("environment", &*metadata.environment)
        .row("endpoint", endpoint)
        .row("region", or_unknown(&metadata.region))
        .row("ARN", or_unknown(&metadata.table_arn))
        .list("not captured", &metadata.not_captured);
}

/// A dump whose data is an on-demand backup.
fn backup_rows(group: &mut RowGroup, metadata: &Metadata, backup: &TableBackup) {
    group
        .row("items", "in an on-demand backup, which DynamoDB keeps")
        .row("backup", &*backup.name)
        .row("ARN", &*backup.arn)
        .row("created", time(&metadata.started_at));
    if let Some(bytes) = backup.bytes {
        group.row("size", format!("{} bytes in DynamoDB", count(bytes)));
    }

    created_by(group, metadata);
}

fn time(time: &DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn created_by(group: &mut RowGroup, metadata: &Metadata) {
    let (tool, format) = (&metadata.tool_version, metadata.format_version);
    group.row("created by", format!("dynadump {tool}, format {format}"));
}

fn content_rows(group: &mut RowGroup, metadata: &Metadata) {
    let (started, finished) = (time(&metadata.started_at), time(&metadata.finished_at));
    let bytes = format!("{} bytes as JSON", count(metadata.data_bytes));
    let units = format!("{:.1} read units", metadata.consumed_read_units);
    group
        .row("items", counted(metadata.items, "item"))
        .row("size", bytes)
        .row("complete", completeness(metadata))
        .row("read", format!("{started} to {finished}"))
        .row("", "A Scan is not a point-in-time snapshot.")
        .row("method", route(metadata))
        .row("consumed", units);

    if metadata.resumed > 0 {
        let times = counted(metadata.resumed.into(), "time");
        group.row("resumed", format!("{times}, after interruptions"));
    }

    if metadata.transformed {
        group.row("transformed", "yes, items were changed by a transform");
    }

    group.list("index keys", index_violations(metadata));
    let masked = metadata.mask_rules_sha256.iter();
    group.list(
        "masked",
        masked.map(|sha256| format!("by rules with SHA-256 {sha256}")),
    );
    group.list("warning", few_items_warning(metadata));
    created_by(group, metadata);
}

/// The numbers of items that a restore keeps out of an index.
fn index_violations(metadata: &Metadata) -> impl Iterator<Item = String> {
    let violations = metadata.index_key_violations.iter().flatten();
    let violations = violations.filter(|(_, items)| **items > 0);
    violations.map(|(index, items)| {
        let verb = if *items == 1 { "does" } else { "do" };
        let items = counted(*items, "item");
        format!("{items} {verb} not fit the key of index {index}")
    })
}

fn route(metadata: &Metadata) -> String {
    let consistency = if metadata.consistent_read {
        "strongly"
    } else {
        "eventually"
    };

    let segments = counted(metadata.segments.into(), "segment");
    format!("{}, {segments}, {consistency} consistent", metadata.route)
}

fn completeness(metadata: &Metadata) -> String {
    if metadata.complete {
        return "yes".to_owned();
    }

    let reasons: Vec<String> = metadata
        .partial
        .iter()
        .map(|(reason, value)| format!("{reason} {value}"))
        .collect();

    format!("no: {}", reasons.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complete_dump_with_less_than_half_of_more_than_a_thousand_items_has_a_warning() {
        let mut metadata = super::super::metadata::tests::metadata();
        for (complete, items, reported, expected) in [
            (true, 600, Some(1_201), true),
            (true, 600, Some(1_200), false),
            (true, 1, Some(1_001), true),
            (true, 1, Some(1_000), false),
            (true, 0, None, false),
            (false, 600, Some(100_000), false),
        ] {
            metadata.complete = complete;
            metadata.items = items;
            metadata.reported_items = reported;
            let warning = few_items_warning(&metadata);
            assert_eq!(warning.is_some(), expected, "{items} of {reported:?}");
            assert_eq!(render(&metadata).contains("Warning "), expected);
        }
    }

    #[test]
    fn items_that_violate_the_key_of_an_index_are_counted() {
        let mut metadata = super::super::metadata::tests::metadata();
        let violations = [("by-age", 1), ("by-name", 0), ("by-when", 4)];
        let violations = violations.map(|(index, items)| (index.to_owned(), items));
        metadata.index_key_violations = Some(violations.into());
        let text = render(&metadata);
        assert!(
            text.contains("1 item does not fit the key of index by-age\n")
                && text.contains("4 items do not fit the key of index by-when\n"),
            "{text}"
        );
        assert!(!text.contains("by-name"), "{text}");
    }

    #[test]
    fn an_incomplete_dump_is_marked_and_names_are_escaped() {
        let mut metadata = super::super::metadata::tests::metadata();
        metadata.environment = "pr\u{1b}[2Jod\n".into();
        let text = render(&metadata);
        assert!(
            text.contains("  Complete              no: limit 3\n"),
            "{text}"
        );
        assert!(
            text.contains("  Environment           pr\\u{1b}[2Jod\\u{a}\n"),
            "{text}"
        );
        assert!(
            text.contains("  Not captured          tags: access denied\n"),
            "{text}"
        );
        assert!(text.ends_with("with checksums\n"), "{text}");
    }
}
