//! What a restore does, as the beginning of the question that is asked before it.

use super::RestoreFacts;
use crate::layout::counted;
use crate::ops::restore::{OnConflict, TableAction};
use crate::ops::table_location::TableLocation;

/// The action: `Write 312 items into table films (staging, AWS account 123456789012 in eu-west-1)`. `None` if nothing is changed.
pub(super) fn describe(facts: &RestoreFacts<'_>) -> Option<String> {
    if !facts.has_changes() {
        return None;
    }

    let target = facts.target.known()?;
    let (table, place) = (&target.place.table, place(target.place));
    let content = facts.request.content;

    Some(match target.action {
        TableAction::Replace { items } => {
            let items = number_in_table(*items, target.place.local);
            format!("Delete {table} ({items}, {place}) and recreate it")
        }
        TableAction::Create | TableAction::CreateWhenDeleted if content.includes_items() => {
            format!(
                "Create table {table} ({place}) and write {} into it",
                items(facts)
            )
        }
        TableAction::Create | TableAction::CreateWhenDeleted => {
            format!("Create table {table} ({place})")
        }
        TableAction::Add { .. } if content.includes_items() => {
            format!("Write {} into table {table} ({place})", items(facts))
        }
        TableAction::Add { .. } | TableAction::Keep { .. } => {
            format!("Change the settings of table {table} ({place})")
        }
    })
}

/// The environment, and where it is if that is not on this machine.
fn place(place: &TableLocation) -> String {
    if place.local {
        place.environment.clone()
    } else {
        format!("{}, {}", place.environment, place.location())
    }
}

/// The number of items in an existing table. DynamoDB updates its count about every six hours, so zero may mean "not counted yet".
fn number_in_table(items: u64, local: bool) -> String {
    if items == 0 && !local {
        "unknown number of items".to_owned()
    } else {
        format!("~{}", counted(items, "item"))
    }
}

/// The items to write, with their number if it is known beforehand.
fn items(facts: &RestoreFacts<'_>) -> String {
    let source = facts.source.known();
    if let Some(scan) = source.and_then(|source| source.facts.scan.as_ref()) {
        return format!(
            "the items of {} ({})",
            scan.location.table,
            place(&scan.location)
        );
    }

    let source = source.and_then(|source| source.facts.items);
    let Some(items) = source.filter(|_| facts.request.transform.is_empty()) else {
        return "the items".to_owned();
    };

    let done = facts
        .target
        .known()
        .map_or(0, |target| target.resume.items_done);
    let items = counted(items.saturating_sub(done), "item");
    match facts.request.write.on_conflict {
        OnConflict::Overwrite => items,
        OnConflict::Skip | OnConflict::Fail => format!("up to {items}"),
    }
}
