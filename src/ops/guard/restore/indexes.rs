//! Rules about items that do not fit the key of an index of the target table.

use super::{RestoreFacts, Target};
use crate::field::Field;
use crate::layout::counted;
use crate::ops::guard::{Finding, warning};
use crate::ops::restore::TableAction;
use crate::schema::TableSchema;

/// A table keeps such items if the index is created after them.
pub(super) fn created_after_items(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let later = &facts.changes.known()?.later_indexes;
    let later = violations(facts)?.filter(|(index, _)| later.contains(index));
    let warnings = later.map(|(index, items)| {
        format!(
            "Index {index} is created after the items: {} not fit its key and will be in the table only.",
            items_do(items)
        )
    });

    one_warning(warnings)
}

/// A table with the index refuses such items.
pub(super) fn reject_items(facts: &RestoreFacts<'_>) -> Option<Finding> {
    let changes = facts.changes.known()?;
    let target = facts.target.known()?;
    let table = if target.action.creates() {
        &changes.wanted?.schema
    } else {
        target.existing?
    };

    let refused = violations(facts)?
        .filter(|(index, _)| !changes.later_indexes.contains(index) && table.has_index(index));
    let warnings = refused.map(|(index, items)| {
        format!(
            "{} not fit the key of index {index} and will be rejected.{}",
            items_do(items),
            to_restore_them(target, table, index)
        )
    });

    one_warning(warnings)
}

/// The numbers of items that do not fit the keys of indexes, if items are written.
fn violations<'a>(facts: &RestoreFacts<'a>) -> Option<impl Iterator<Item = (&'a str, u64)>> {
    let is_written =
        facts.request.content.includes_items() && !facts.target.known()?.action.keeps();
    let violations = is_written.then_some(&facts.source.known()?.facts.index_violations)?;
    Some(
        violations
            .iter()
            .map(|(index, items)| (index.as_str(), *items)),
    )
}

/// A GSI can be created again after the items; DynamoDB creates an LSI only with its table.
fn to_restore_them(target: &Target<'_>, table: &TableSchema, index: &str) -> String {
    let mut global = table.description().global_secondary_indexes.iter();
    if !global.any(|global| global.index_name == index) {
        return String::new();
    }

    // The restore that continues an unfinished one does not change what that one has created.
    let is_own = target.unfinished.is_some_and(|job| job.created);
    match target.action {
        TableAction::Add { .. } if is_own => format!(
            " To restore them, pass {}: the index will be created after the items.",
            Field::ReplaceExisting
        ),
        TableAction::Add { .. } => format!(
            " To restore them, delete the index and pass {}, which creates it after the items.",
            Field::ApplySettings
        ),
        _ => String::new(),
    }
}

fn items_do(items: u64) -> String {
    let verb = if items == 1 { "does" } else { "do" };
    format!("{} {verb}", counted(items, "item"))
}

fn one_warning(warnings: impl Iterator<Item = String>) -> Option<Finding> {
    let warnings: Vec<_> = warnings.collect();
    (!warnings.is_empty()).then(|| warning(warnings.join(" ")))
}
