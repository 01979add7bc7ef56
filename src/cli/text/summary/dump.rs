//! Text of a dump's summary.

use std::fmt::Write as _;

use super::key_collisions;
use crate::cli::text::format;
use crate::ops::ContentScope;
use crate::ops::dump::{DumpSummary, DumpTransformSummary, NotCaptured};

/// The summary of a dump, headline first.
pub(crate) fn dump(summary: &DumpSummary, content: ContentScope) -> Vec<String> {
    let mut lines = if content.includes_items() {
        item_lines(summary)
    } else {
        let took = format::seconds(summary.seconds);
        vec![format!(
            "Dumped the schema of table {} in {took}; no item was read",
            summary.source.table
        )]
    };

    if !summary.files.is_empty() {
        lines.push("Files:".to_owned());
        lines.extend(summary.files.iter().map(|file| format!("  {file}")));
    }

    if !summary.not_captured.is_empty() {
        lines.push("Not captured:".to_owned());
        let settings = summary.not_captured.iter();
        lines.extend(format::grouped_by_reason(settings.map(
            |NotCaptured { section, reason }| (section.as_str(), reason.as_str()),
        )));
    }

    lines
}

/// Items, rate, consumed units and transform of a dump that includes items.
fn item_lines(summary: &DumpSummary) -> Vec<String> {
    let mut headline = format!(
        "Dumped {}, {} from table {} in {}",
        format::items(summary.items),
        format::bytes(summary.data_bytes),
        summary.source.table,
        format::seconds(summary.seconds),
    );

    // The rate covers this run only, not what earlier runs of a resumed dump have read.
    let (items, bytes) = (
        summary.items - summary.items_before,
        summary.data_bytes - summary.data_bytes_before,
    );
    if let Some(rate) = format::rate(items, bytes, summary.seconds) {
        let _ = write!(headline, " ({rate})");
    }

    let (started, finished) = (
        format::timestamp(summary.started_at),
        format::timestamp(summary.finished_at),
    );
    let mut lines = vec![
        headline,
        format!(
            "  {} read units consumed",
            format::units(summary.consumed_read_units)
        ),
        format!("  read between {started} and {finished}: a Scan is not a moment in time"),
    ];

    lines.extend(format::wire_bytes(summary.wire));

    if summary.resumed > 0 {
        lines.push(format!(
            "  resumed {}: {} were there, {} were read now",
            if summary.resumed == 1 {
                "once".to_owned()
            } else {
                format!("{} times", summary.resumed)
            },
            format::items(summary.items_before),
            format::items(items),
        ));
    }

    if let Some(changes) = &summary.transformed {
        lines.push(transform_counts(changes));
        if let Some(sha256) = &changes.mask_rules_sha256 {
            lines.push(format!("  masked by the rules of SHA-256 {sha256}"));
        }
    }

    if !summary.complete {
        lines.push("  this is a part of the table, and marked as such".to_owned());
    }

    lines
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
        "  {} read from the table: {} changed, {} left out, {} rejected",
        format::items(*items_read),
        format::count(*items_changed),
        format::count(*items_left_out),
        format::count(*items_rejected)
    )
}

/// Problems of a finished dump; any of them makes the exit code [`PARTIAL`](crate::cli::exit::PARTIAL).
pub(crate) fn dump_problems(summary: &DumpSummary) -> Vec<String> {
    let Some(changes) = &summary.transformed else {
        return Vec::new();
    };

    let mut problems = Vec::new();
    if changes.items_rejected > 0 {
        let kept = changes.rejects_file.as_ref();
        let kept = kept.map_or_else(String::new, |file| {
            format!(", listed with the reasons in {}", file.display())
        });
        problems.push(format!(
            "{} rejected by the transform{kept}",
            format::items(changes.items_rejected)
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

    use super::super::testing::location;
    use super::*;
    use crate::store::WireBytes;

    fn schema_dump() -> DumpSummary {
        DumpSummary {
            source: location(),
            target: "backups/dynamodb/local".to_owned(),
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

        assert_eq!(
            dump(&summary, ContentScope::All),
            [
                "Dumped 312 items, 118.00 kB from table films in 0.50 s (624 items/s, 236.00 kB/s)",
                "  15.5 read units consumed",
                "  read between 1970-01-01T00:00:00Z and 1970-01-01T00:00:00Z: a Scan is not a moment in time",
                "  this is a part of the table, and marked as such",
                "Files:",
                "  backups/dynamodb/local/table-data.json",
                "  backups/dynamodb/local/x",
            ]
        );
    }

    #[test]
    fn dump_lists_settings_that_were_not_captured() {
        let not_captured = vec![NotCaptured {
            section: "ContinuousBackups".to_owned(),
            reason: "AccessDeniedException: eve is not authorized".to_owned(),
        }];
        let lines = dump(
            &DumpSummary {
                not_captured,
                ..schema_dump()
            },
            ContentScope::SchemaOnly,
        );

        assert_eq!(
            lines[1..],
            [
                "Not captured:",
                "  ContinuousBackups: AccessDeniedException: eve is not authorized"
            ]
        );
    }

    #[test]
    fn schema_only_dump_mentions_no_items() {
        let lines = dump(&schema_dump(), ContentScope::SchemaOnly);
        assert_eq!(
            lines,
            ["Dumped the schema of table films in 0.50 s; no item was read"]
        );
    }
}
