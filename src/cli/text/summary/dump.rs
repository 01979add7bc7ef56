//! Text of a dump's summary.

use std::ffi::OsStr;

use super::{OutcomeText, key_collisions, reason_lines};
use crate::cli::text::{format, plan};
use crate::layout::{RowGroup, Rows};
use crate::ops::ContentScope;
use crate::ops::dump::{DumpSummary, DumpTransformSummary, NotCaptured};

/// The summary of a dump.
pub(crate) fn dump(summary: &DumpSummary, content: ContentScope) -> OutcomeText {
    let problems = problems(summary);
    let rows = Rows::plain(|group| {
        if let Some(backup) = &summary.backup {
            group.row("backup", &*backup.arn);
        } else if content.includes_items() {
            item_rows(group, summary);
        }

        not_captured_rows(group, summary);

        for file in &summary.files {
            group.detail("files", file);
        }

        if problems.is_empty() {
            group.list("next", next(summary, content));
        }
    });

    OutcomeText {
        headline: Some(headline(summary, content)),
        problems,
        rows,
        ..OutcomeText::default()
    }
}

fn headline(summary: &DumpSummary, content: ContentScope) -> String {
    let (table, environment) = (&summary.source.table, &summary.source.environment);
    let target = plan::stream_or_path(&summary.target, "standard output");
    let took = format::seconds(summary.seconds);
    if let Some(backup) = &summary.backup {
        return format!(
            "Backed up {table} ({environment}) as {} and dumped its schema to {target} in {took}.",
            backup.name
        );
    }

    if !content.includes_items() {
        return format!(
            "Dumped the schema of {table} ({environment}) to {target} in {took}. No items were read."
        );
    }

    let items = format::items(summary.items);
    format!("Dumped {items} ({table}, {environment}) to {target} in {took}.")
}

/// Commands for the new dump: check it, restore it.
fn next(summary: &DumpSummary, content: ContentScope) -> Option<String> {
    if summary.target == "-" {
        return None;
    }

    let target = format::shell_quoted(OsStr::new(&summary.target));
    let (check, restore) = (
        format!("verifydb {target}"),
        format!("restoredb --source {target}"),
    );
    let has_items = summary.backup.is_none() && content.includes_items();

    Some(match (has_items, content.includes_schema()) {
        (true, true) => format!("{check}, or {restore}"),
        (true, false) => check,
        (false, _) => restore,
    })
}

/// Settings that could not be read. That a local engine does not have some of them is usual; a refusal is not.
fn not_captured_rows(group: &mut RowGroup, summary: &DumpSummary) {
    const LABEL: &str = "not captured";

    let is_usual = |missing: &&NotCaptured| missing.is_unsupported && summary.source.local;
    let (usual, unusual): (Vec<_>, Vec<_>) = summary.not_captured.iter().partition(is_usual);
    for (settings, are_usual) in [(unusual, false), (usual, true)] {
        let settings = settings.iter();
        let settings = settings.map(|missing| (&*missing.setting, &*missing.reason));
        plan::not_available_rows(group, LABEL, settings.collect(), are_usual);
    }
}

/// Counts of a dump that includes items.
fn item_rows(group: &mut RowGroup, summary: &DumpSummary) {
    if !summary.complete {
        group.row("complete", "no, part of the table");
    }

    // Counts of this run only, without those of earlier runs of a resumed dump.
    let (items, bytes) = (
        summary.items - summary.items_before,
        summary.data_bytes - summary.data_bytes_before,
    );
    if summary.resumed > 0 {
        let times = match summary.resumed {
            1 => "once".to_owned(),
            times => format!("{times} times"),
        };
        let (before, now) = (format::items(summary.items_before), format::count(items));
        group.row(
            "resumed",
            format!("{times}; {before} were read before, {now} now"),
        );
    }

    if let Some(changes) = &summary.transformed {
        group.row("transform", transform_counts(changes));
        let masked = changes.mask_rules_sha256.iter();
        group.list("masked", masked.map(|sha256| plan::masked_by(sha256)));
    }

    let written = format::bytes(summary.data_bytes);
    group.detail("written", format!("{written} as JSON"));
    if let Some(rate) = format::rate(items, bytes, summary.seconds) {
        group.detail("rate", rate);
    }

    let units = format::units(summary.consumed_read_units);
    group.detail("consumed", format!("{units} read units"));
    if summary.wire.are_compressed() {
        let received = format::bytes(summary.wire.received);
        group.detail("received", format!("{received}, compressed"));
    }

    group.detail(
        "scanned",
        plan::scan_period(summary.started_at, summary.finished_at),
    );
}

/// Counts of the transform.
fn transform_counts(changes: &DumpTransformSummary) -> String {
    let DumpTransformSummary {
        items_read,
        items_changed,
        items_left_out,
        items_rejected,
        ..
    } = changes;

    format!(
        "{} read: {} changed, {} filtered out, {} rejected",
        format::items(*items_read),
        format::count(*items_changed),
        format::count(*items_left_out),
        format::count(*items_rejected)
    )
}

/// What makes the exit code of a finished dump another than 0.
pub(crate) fn problems(summary: &DumpSummary) -> Vec<String> {
    let Some(changes) = &summary.transformed else {
        return Vec::new();
    };

    let mut problems = Vec::new();
    if changes.items_rejected > 0 {
        let file = changes.rejects_file.as_ref();
        let file = file.map_or_else(String::new, |file| format!(", see {}", file.display()));
        problems.push(format!(
            "{} rejected by the transform{file}{}",
            format::items(changes.items_rejected),
            reason_lines(&changes.reject_reasons, changes.items_rejected)
        ));
    }

    problems.extend(key_collisions(
        changes.collisions,
        &changes.first_collisions,
    ));

    problems
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::testing::{lines, location};
    use super::*;
    use crate::layout::Line;
    use crate::ops::table_location::TableLocation;
    use crate::store::WireBytes;

    fn schema_dump() -> DumpSummary {
        DumpSummary {
            source: location(),
            target: "backups/dynamodb/local".to_owned(),
            backup: None,
            files: Vec::new(),
            items: 0,
            data_bytes: 0,
            file_bytes: 0,
            wire: WireBytes::default(),
            consumed_read_units: 0.0,
            segments: 1,
            resumed: 0,
            items_before: 0,
            data_bytes_before: 0,
            transformed: None,
            complete: false,
            reported_items: None,
            not_captured: Vec::new(),
            started_at: DateTime::UNIX_EPOCH,
            finished_at: DateTime::UNIX_EPOCH,
            seconds: 0.5,
        }
    }

    #[test]
    fn dump_lists_its_files() {
        let summary = DumpSummary {
            files: vec![
                "backups/dynamodb/local/table-data.json".to_owned(),
                "backups/dynamodb/local/x".to_owned(),
            ],
            items: 312,
            data_bytes: 118_000,
            consumed_read_units: 15.5,
            ..schema_dump()
        };

        let text = dump(&summary, ContentScope::All);
        assert_eq!(
            text.headline.as_deref(),
            Some("Dumped 312 items (films, local) to backups/dynamodb/local in 0.50 s.")
        );
        assert_eq!(
            lines(&text.rows),
            [
                "Complete  no, part of the table",
                "Written   118.00 kB as JSON",
                "Rate      624 items/s, 236.00 kB/s",
                "Consumed  15.5 read units",
                "Scanned   1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z (not a point-in-time snapshot)",
                "Files     backups/dynamodb/local/table-data.json",
                "backups/dynamodb/local/x",
                "Next      verifydb backups/dynamodb/local, or restoredb --source backups/dynamodb/local",
            ]
        );

        // Only the kinds of dumps that a command can read.
        let next = |target: &str, content| {
            let summary = DumpSummary {
                target: target.to_owned(),
                ..schema_dump()
            };
            next(&summary, content)
        };
        assert_eq!(next("-", ContentScope::All), None);
        let file = next("a b.jsonl", ContentScope::DataOnly);
        assert_eq!(file.as_deref(), Some("verifydb 'a b.jsonl'"));
    }

    #[test]
    fn settings_that_were_not_captured_are_listed_with_their_reasons_unless_a_local_engine_lacks_them()
     {
        let not_captured = |setting: &str, reason: &str, is_unsupported| NotCaptured {
            setting: setting.to_owned(),
            reason: reason.to_owned(),
            is_unsupported,
        };
        let not_captured = vec![
            not_captured("auto scaling", "UnknownOperationException", true),
            not_captured(
                "PITR",
                "AccessDeniedException: eve is not authorized",
                false,
            ),
        ];

        let denied = "PITR: AccessDeniedException: eve is not authorized";
        for (local, lines) in [
            (true, [denied, "auto scaling (-v shows why)"]),
            (false, ["auto scaling: UnknownOperationException", denied]),
        ] {
            let source = TableLocation {
                local,
                ..location()
            };
            let summary = DumpSummary {
                source,
                not_captured: not_captured.clone(),
                ..schema_dump()
            };

            let [first, second] = lines;
            let expected = [
                format!("  Not captured  {first}"),
                format!("{}{second}", " ".repeat(16)),
                "  Next          restoredb --source backups/dynamodb/local".to_owned(),
            ];
            let rows = dump(&summary, ContentScope::SchemaOnly).rows;
            assert_eq!(
                rows.lines(false, usize::MAX),
                expected.map(Line::Row),
                "local: {local}"
            );
        }
    }

    #[test]
    fn schema_only_dump_mentions_no_items() {
        let text = dump(&schema_dump(), ContentScope::SchemaOnly);
        assert_eq!(
            text.headline.as_deref(),
            Some(
                "Dumped the schema of films (local) to backups/dynamodb/local in 0.50 s. No items were read."
            )
        );
        assert!(text.problems.is_empty());
        assert_eq!(
            lines(&text.rows),
            ["Next  restoredb --source backups/dynamodb/local"]
        );
    }
}
