//! Text of verdicts: integrity of a dump, and results of a comparison.

use super::format;
use super::summary::OutcomeText;
use crate::layout::{RowGroup, Rows};
use crate::ops::verify::{
    AttributeDifference, Comparison, DifferenceKind, DumpVerdict, Example, SampleCounts,
};

/// The verdict on a dump.
pub(crate) fn dump(found: &DumpVerdict) -> OutcomeText {
    if !found.is_whole() {
        return OutcomeText {
            problems: vec![damage(found)],
            ..OutcomeText::default()
        };
    }

    let rows = Rows::plain(|group| {
        if found.duplicates.is_some() {
            group.detail(
                "keys",
                "every item has a key of the schema's types, and no two have the same",
            );
        }

        if !found.complete {
            group.row("complete", "no, part of the table");
        }
    });

    OutcomeText {
        headline: Some(intact(found)),
        rows,
        ..OutcomeText::default()
    }
}

fn intact(found: &DumpVerdict) -> String {
    let (source, took) = (&found.source, format::seconds(found.seconds));
    if found.quick {
        return format!("The checksums of {source} match. Items were not checked. ({took})");
    }

    let items = found.items.map_or_else(String::new, format::items);
    let bytes = found.data_bytes.map_or_else(String::new, |bytes| {
        format!(" ({} as JSON)", format::bytes(bytes))
    });
    let table = found.table.as_ref();
    let table = table.map_or_else(String::new, |table| format!(" of table {table}"));
    format!("The dump {source} is intact: {items}{bytes}{table}, checked in {took}.")
}

/// The findings in a damaged dump.
fn damage(found: &DumpVerdict) -> String {
    let findings = format::counted(found.findings_total, "finding");
    let mut lines = vec![format!("The dump {} is damaged: {findings}", found.source)];

    lines.extend(found.findings.iter().map(|finding| format!("  {finding}")));
    // The list of findings is limited, the total is not.
    let unlisted = found.findings_total - found.findings.len() as u64;
    if unlisted > 0 {
        lines.push(format!("  … and {} more", format::count(unlisted)));
    }

    if found.transformed {
        lines.push(
            "The items were transformed when they were dumped: if they have another key now, restore them with --key-schema."
                .into(),
        );
    }

    lines.push("Use another copy of the dump, or dump the table again.".to_owned());

    lines.join("\n")
}

/// The verdict of a comparison.
pub(crate) fn comparison(found: &Comparison) -> OutcomeText {
    let Comparison { source, target, .. } = found;
    let took = format::seconds(found.seconds);
    if !found.is_equal() {
        return OutcomeText {
            headline: None,
            problems: vec![differences(found)],
            rows: comparison_rows(found),
            ..OutcomeText::default()
        };
    }

    let extra = match found.extra {
        0 => String::new(),
        extra => format!(", and has {} more", format::items(extra)),
    };
    let sampled = match &found.sample {
        Some(sample) => format!(" in a sample of {}% of the keys", sample.percent),
        None => String::new(),
    };
    let equal = format::items(found.equal);
    OutcomeText {
        headline: Some(format!(
            "{target} has the {equal} of {source}{sampled}{extra}, compared in {took}."
        )),
        rows: comparison_rows(found),
        ..OutcomeText::default()
    }
}

/// The counts of a comparison.
fn comparison_rows(found: &Comparison) -> Rows {
    if found.key_schemas.is_some() {
        return Rows::new();
    }

    Rows::plain(|group| {
        if let Some(sample) = &found.sample {
            sample_rows(group, sample, found);
        }

        if let Some(counts) = &found.transformed {
            let left_out = format::items(counts.items_left_out);
            let rejected = format::count(counts.items_rejected);
            group.row(
                "transform",
                format!("{left_out} of the dump filtered out, {rejected} rejected"),
            );
        }

        group.row("equal", format::items(found.equal));
        group.row("missing", format::items(found.missing));
        group.row("different", format::items(found.different));
        let tolerated = if found.extra > 0 && !found.exact {
            " (differences only with --exact)"
        } else {
            ""
        };
        group.row(
            "extra",
            format!("{}{tolerated}", format::items(found.extra)),
        );
        // If the sides differ, the examples are part of `differences`.
        if found.is_equal() {
            let extra = found.examples.iter().map(|example| &*example.key);
            group.list("for example", extra);
        }

        if found.superseded > 0 {
            let items = format::items(found.superseded);
            group.row(
                "superseded",
                format!("{items}, by a later version in the same source; not compared"),
            );
        }

        let units = format::units(found.consumed_read_units);
        group.detail("consumed", format!("{units} read units"));
        if found.wire.are_compressed() {
            let received = format::bytes(found.wire.received);
            group.detail("received", format!("{received}, compressed"));
        }
    })
}

/// The size of a sample. It comes first, because all other counts are those of the sample.
fn sample_rows(group: &mut RowGroup, sample: &SampleCounts, found: &Comparison) {
    let percent = sample.percent;
    group.row(
        "sample",
        format!("{percent}% of the keys; the counts below are those of the sample"),
    );

    let sides = [
        (sample.source_items, found.source_items, &found.source),
        (sample.target_items, found.target_items, &found.target),
    ];
    for (sampled, total, side) in sides {
        let (sampled, total) = (format::count(sampled), format::items(total));
        group.row("sample", format!("{sampled} of {total} of {side}"));
    }
}

/// The differences of a comparison that found some.
fn differences(found: &Comparison) -> String {
    let Comparison { source, target, .. } = found;
    if let Some(keys) = &found.key_schemas {
        let mut lines = vec![format!(
            "{target} and {source} have different keys; no items were compared"
        )];
        for (side, key) in [(source, &keys.source), (target, &keys.target)] {
            lines.push(format!("  {side}"));
            lines.extend(key.iter().map(|part| format!("    {}", part.trim_end())));
        }

        return lines.join("\n");
    }

    let took = format::seconds(found.seconds);
    let mut lines = vec![format!(
        "{target} differs from {source}: {} (compared in {took})",
        counts(found)
    )];
    if found.transformed.unwrap_or_default().items_rejected > 0 {
        lines.push(
            "  A dry run of restoredb with the same options shows why items are rejected."
                .to_owned(),
        );
    }

    if found.without_key > 0 {
        let without_key = format::items(found.without_key);
        lines.push(format!(
            "  {without_key} of {source} without a key of the table's types"
        ));
    }

    lines.extend(examples(found));

    lines.join("\n")
}

/// The counts that are differences: extra items only with `--exact`.
fn counts(found: &Comparison) -> String {
    let extra = if found.exact { found.extra } else { 0 };
    let rejected = found.transformed.unwrap_or_default().items_rejected;
    let counts = [
        (found.missing, "missing"),
        (found.different, "different"),
        (extra, "extra"),
        (rejected, "rejected by the transform"),
    ];

    let nonzero = counts.into_iter().filter(|(count, _)| *count > 0);
    nonzero
        .map(|(count, word)| format!("{} {word}", format::items(count)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Keys of some differing items, and how many more there are.
fn examples(found: &Comparison) -> Vec<String> {
    let mut lines = Vec::new();
    let sides = if found.is_dump {
        ["the dump", "the table"]
    } else {
        [&*found.source, &*found.target]
    };
    for Example {
        kind: fault,
        key,
        attributes,
    } in &found.examples
    {
        lines.push(format!("  {:9}  {key}", kind_label(*fault)));
        lines.extend(attributes.iter().map(|found| attribute(found, sides)));
    }

    for (fault, count) in [
        (DifferenceKind::Missing, found.missing),
        (DifferenceKind::Different, found.different),
        (DifferenceKind::Extra, found.extra),
    ] {
        let shown = found
            .examples
            .iter()
            .filter(|example| example.kind == fault)
            .count() as u64;

        if shown > 0 && count > shown {
            lines.push(format!(
                "  … of {} {}",
                format::count(count),
                kind_label(fault)
            ));
        }
    }

    lines
}

fn kind_label(fault: DifferenceKind) -> &'static str {
    match fault {
        DifferenceKind::Missing => "missing",
        DifferenceKind::Different => "different",
        DifferenceKind::Extra => "extra",
    }
}

/// The values of an attribute that differ, each with the side that has it.
fn attribute(difference: &AttributeDifference, sides: [&str; 2]) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    format!(
        "      {}: {} in {}, {} in {}",
        difference.name,
        value(&difference.source),
        sides[0],
        value(&difference.target),
        sides[1]
    )
}
