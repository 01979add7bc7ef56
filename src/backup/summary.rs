//! `dump-summary.txt`: the metadata in readable form. It is never read back.

use super::format::{METADATA_FILE, SUMMARY_FILE};
use super::metadata::Metadata;

/// Tables with fewer items are not compared with the dump: their count is often outdated.
const MIN_REPORTED_ITEMS: u64 = 1_000;

/// A warning if the dump should contain all items of the table and contains fewer than half of those that DynamoDB reported.
pub(crate) fn few_items_warning(metadata: &Metadata) -> Option<String> {
    let reported = metadata.reported_items?;
    let is_far_less = reported > MIN_REPORTED_ITEMS && metadata.items.saturating_mul(2) < reported;
    if !metadata.complete || !is_far_less {
        return None;
    }

    let items = if metadata.items == 1 { "item" } else { "items" };
    Some(format!(
        "The dump contains {} {items}, but DynamoDB reported about {} for table {}. DynamoDB updates its count about every six hours. Items \
         may have been deleted since; otherwise, the dump is incomplete.",
        grouped(metadata.items),
        grouped(reported),
        metadata.table
    ))
}

/// Renders the summary from the metadata.
pub(crate) fn render(metadata: &Metadata) -> String {
    let mut lines = vec!["DynamoDB dump".to_owned(), String::new()];
    for (label, value) in fields(metadata) {
        lines.push(format!("{label:<13}{}", printable(&value)));
    }

    lines.push(String::new());
    lines.push("Files".to_owned());

    for (name, entry) in &metadata.files {
        lines.push(format!("  {name:<21} {} bytes", grouped(entry.bytes)));
    }

    lines.push(format!("  {SUMMARY_FILE:<21} this summary"));
    lines.push(format!(
        "  {METADATA_FILE:<21} the same as JSON, with checksums"
    ));
    lines.push(String::new());

    lines.join("\n")
}

fn fields(metadata: &Metadata) -> Vec<(&'static str, String)> {
    let or_unknown = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    let time =
        |time: &chrono::DateTime<chrono::Utc>| time.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    let mut fields = vec![
        ("Table", metadata.table.clone()),
        ("ARN", or_unknown(&metadata.table_arn)),
        ("Environment", metadata.environment.clone()),
        ("Region", or_unknown(&metadata.region)),
        (
            "Endpoint",
            metadata
                .endpoint
                .clone()
                .unwrap_or_else(|| "AWS".to_owned()),
        ),
        ("Route", route(metadata)),
        ("Read from", time(&metadata.started_at)),
        ("Read until", time(&metadata.finished_at)),
        ("Items", grouped(metadata.items)),
        (
            "Item text",
            format!("{} bytes", grouped(metadata.data_bytes)),
        ),
        ("Read units", format!("{:.1}", metadata.consumed_read_units)),
        ("Complete", completeness(metadata)),
    ];

    if metadata.resumed > 0 {
        let times = if metadata.resumed == 1 {
            "once".to_owned()
        } else {
            format!("{} times", metadata.resumed)
        };

        fields.push(("Resumed", format!("{times} after an interruption")));
    }

    if metadata.transformed {
        fields.push((
            "Transformed",
            "yes: items were changed by a transform".to_owned(),
        ));
    }

    if let Some(sha256) = &metadata.mask_rules_sha256 {
        fields.push(("Masked", format!("by the rules of SHA-256 {sha256}")));
    }

    fields.extend(few_items_warning(metadata).map(|warning| ("Warning", warning)));
    fields.extend(
        metadata
            .not_captured
            .iter()
            .map(|missing| ("Not captured", missing.clone())),
    );

    fields.push((
        "Made by",
        format!(
            "dynadump {}, format {}",
            metadata.tool_version, metadata.format_version
        ),
    ));

    fields
}

fn route(metadata: &Metadata) -> String {
    let consistency = if metadata.consistent_read {
        "strongly"
    } else {
        "eventually"
    };

    let segments = if metadata.segments == 1 {
        "segment"
    } else {
        "segments"
    };

    format!(
        "{}, {} {segments}, {consistency} consistent",
        metadata.route, metadata.segments
    )
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

/// Replaces control characters: names come from files and servers and must not control the
/// terminal.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }

        text.push(digit);
    }

    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (12_345, "12,345"),
            (1_234_567, "1,234,567"),
        ];

        for (number, expected) in cases {
            assert_eq!(grouped(number), expected);
        }
    }

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
    fn an_incomplete_dump_is_marked_and_names_are_escaped() {
        let mut metadata = super::super::metadata::tests::metadata();
        metadata.environment = "pr\u{1b}[2Jod\n".into();
        let text = render(&metadata);
        assert!(text.contains("Complete     no: limit 3\n"), "{text}");
        assert!(
            text.contains("Environment  pr\u{fffd}[2Jod\u{fffd}\n"),
            "{text}"
        );
        assert!(
            text.contains("Not captured tags: access denied\n"),
            "{text}"
        );
        assert!(text.ends_with("with checksums\n"), "{text}");
    }
}
