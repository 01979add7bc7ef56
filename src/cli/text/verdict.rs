//! Text of verdicts: integrity of a dump, and results of a comparison.

use super::format;
use crate::ops::verify::{AttributeDifference, Comparison, DifferenceKind, DumpVerdict, Example};

/// The verdict on an intact dump: its source, counts and checks.
pub(crate) fn intact_dump(found: &DumpVerdict) -> Vec<String> {
    let took = format::seconds(found.seconds);
    if found.quick {
        return vec![format!(
            "{} is as it was written, by its checksums ({took})",
            found.source
        )];
    }

    let mut lines = vec![format!("{} is whole ({took})", found.source)];
    let counts = [
        found.items.map(format::items),
        found.data_bytes.map(format::bytes),
    ];
    let table = found.table.iter().map(|table| format!("of table {table}"));
    lines.push(format!(
        "  {}",
        counts
            .into_iter()
            .flatten()
            .chain(table)
            .collect::<Vec<_>>()
            .join(", ")
    ));

    if found.duplicates.is_some() {
        lines.push(
            "  every item has a key of the schema's types, and no two have the same".to_owned(),
        );
    }

    if !found.complete {
        lines.push("  it holds a part of the table".to_owned());
    }

    lines
}

/// The verdict on a damaged dump, with its findings.
pub(crate) fn damaged_dump(found: &DumpVerdict) -> String {
    let mut lines = vec![format!(
        "{} is not whole: {}",
        found.source,
        format::counted(found.findings_total, "finding")
    )];

    lines.extend(found.findings.iter().map(|finding| format!("  {finding}")));
    // The list of findings is limited, the total is not.
    let unlisted = found.findings_total - found.findings.len() as u64;
    if unlisted > 0 {
        lines.push(format!("  … and {unlisted} more"));
    }

    if found.transformed {
        lines.push(
            "its items were changed when it was made: if they have another key now, restore it with --key-schema"
                .into(),
        );
    }

    lines.push("use another copy of the dump or dump the table again".to_owned());

    lines.join("\n")
}

/// The counts of a comparison.
pub(crate) fn comparison(found: &Comparison) -> Vec<String> {
    let Comparison { source, target, .. } = found;
    let took = format::seconds(found.seconds);
    if found.key_schemas.is_some() {
        return vec![format!(
            "Compared {target} with {source}: no item, the keys differ"
        )];
    }

    let mut lines = vec![
        format!("Compared {target} with {source} in {took}"),
        format!("  equal      {}", format::items(found.equal)),
        format!("  missing    {}", format::items(found.missing)),
        format!("  different  {}", format::items(found.different)),
        format!("  extra      {}", format::items(found.extra)),
        format!(
            "  {} read units consumed",
            format::units(found.consumed_read_units)
        ),
    ];

    lines.extend(format::wire_bytes(found.wire));

    if let Some(sample) = &found.sample {
        let side = |sampled: u64, total: u64, name: &str| {
            format!("    {sampled} of {} of {name}", format::items(total))
        };
        let sample_lines = [
            format!(
                "  a sample of {}% of the keys; every count below is the sample's",
                sample.percent
            ),
            side(sample.source_items, found.source_items, source),
            side(sample.target_items, found.target_items, target),
        ];

        // Directly below the headline, because every count below is the sample's.
        lines.splice(1..1, sample_lines);
    }

    if found.superseded > 0 {
        let superseded = format::items(found.superseded);
        lines.push(format!(
            "  {superseded} superseded by a later version in the same source, and not compared"
        ));
    }

    // If the sides differ, the examples are part of `differences`.
    if found.is_equal() {
        lines.extend(examples(found));
        if found.extra > 0 {
            lines.push("  extra items are no difference without --exact".to_owned());
        }
    }

    lines
}

/// The differences of a comparison that found some.
pub(crate) fn differences(found: &Comparison) -> String {
    let Comparison { source, target, .. } = found;
    if let Some(keys) = &found.key_schemas {
        let mut lines = vec![format!(
            "{target} has another key than {source}, so their items cannot be compared"
        )];
        for (side, key) in [(source, &keys.source), (target, &keys.target)] {
            lines.push(format!("  {side}"));
            lines.extend(key.iter().map(|part| format!("    {}", part.trim_end())));
        }

        return lines.join("\n");
    }

    let mut lines = vec![format!(
        "{target} does not hold what {source} holds: {}",
        counts(found)
    )];
    if found.without_key > 0 {
        let without_key = format::items(found.without_key);
        lines.push(format!(
            "  {without_key} of {source} have no key of the table's types"
        ));
    }

    lines.extend(examples(found));

    lines.join("\n")
}

/// The counts that are differences: extra items only with `--exact`.
fn counts(found: &Comparison) -> String {
    let extra = if found.exact { found.extra } else { 0 };
    let counts = [
        (found.missing, "missing"),
        (found.different, "different"),
        (extra, "extra"),
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
    for Example {
        kind: fault,
        key,
        attributes,
    } in &found.examples
    {
        lines.push(format!("  {:9}  {key}", kind_label(*fault)));
        lines.extend(attributes.iter().map(attribute));
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
            lines.push(format!("  … of {count} {}", kind_label(fault)));
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

fn attribute(difference: &AttributeDifference) -> String {
    let side = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    format!(
        "      {}: {} / {}",
        difference.name,
        side(&difference.source),
        side(&difference.target)
    )
}
