//! Removes indexes from a schema: `--drop-index` and `--set only-index`.

use super::parse::Overrides;
use super::schema_edit::SchemaEdit;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::schema::TableSchema;
use crate::schema::vector_indexes::VECTOR_INDEXES;
use crate::similar::did_you_mean;

const ALL: &str = "all";

const KINDS: [(&str, &str); 3] = [
    ("GSI", "GlobalSecondaryIndexes"),
    ("LSI", "LocalSecondaryIndexes"),
    ("vector index", VECTOR_INDEXES),
];

/// Drops what `--drop-index` names and what `--set only-index` does not, and indexes that were being deleted.
pub(crate) fn drop_unwanted(
    edit: &mut SchemaEdit,
    schema: &TableSchema,
    overrides: &Overrides,
) -> Result<()> {
    let Overrides {
        drop_indexes,
        only_indexes,
        ..
    } = overrides;

    let names = schema.index_names();
    let dropped = drop_indexes
        .iter()
        .filter(|name| *name != ALL)
        .map(|name| (name, Field::DropIndexes));
    for (name, field) in dropped.chain(only_indexes.iter().map(|name| (name, Field::OnlyIndexes))) {
        check_name(name, field, &names)?;
    }

    // An index that is called `all` takes precedence over the keyword.
    let drops_all =
        drop_indexes.iter().any(|name| name == ALL) && !names.iter().any(|name| name == ALL);
    refuse_contradictions(overrides, drops_all)?;

    // Naming an index with `--set only-index` keeps it even if it was being deleted.
    let deleting: Vec<&str> = schema.deleting_indexes().collect();
    for (kind, field) in KINDS {
        let mut notes = Vec::new();
        edit.retain_elements(field, |name| {
            let reason = if drops_all || drop_indexes.iter().any(|dropped| dropped == name) {
                format!("by {}", Field::DropIndexes)
            } else if deleting.contains(&name) && !only_indexes.iter().any(|kept| kept == name) {
                "was being deleted when the table was dumped".to_owned()
            } else if !only_indexes.is_empty() && !only_indexes.iter().any(|kept| kept == name) {
                format!("not among {}", Field::OnlyIndexes)
            } else {
                return true;
            };

            notes.push(format!("{kind} {name} dropped: {reason}"));
            false
        });

        edit.notes.extend(notes);
    }

    Ok(())
}

/// Contradictory flags are an error: a guess could drop an index that is wanted.
fn refuse_contradictions(overrides: &Overrides, drops_all: bool) -> Result<()> {
    let Overrides {
        drop_indexes,
        only_indexes,
        ..
    } = overrides;

    if let Some(name) = only_indexes.iter().find(|name| drop_indexes.contains(name)) {
        return Err(Error::usage(format!(
            "{only_indexes} keeps index {name}, but {drop_indexes} drops it",
            only_indexes = Field::OnlyIndexes,
            drop_indexes = Field::DropIndexes
        ))
        .with_hint("remove one of them"));
    }

    if drops_all && !only_indexes.is_empty() {
        return Err(Error::usage(format!(
            "{drop_indexes} all and {only_indexes} cannot be used together",
            drop_indexes = Field::DropIndexes,
            only_indexes = Field::OnlyIndexes
        ))
        .with_hint(format!(
            "{only_indexes} drops every other index",
            only_indexes = Field::OnlyIndexes
        )));
    }

    Ok(())
}

/// # Errors
///
/// When `name`, given with `field`, is not among `names`.
pub(crate) fn check_name(name: &str, field: Field, names: &[String]) -> Result<()> {
    if names.iter().any(|known| known == name) {
        return Ok(());
    }

    let hint = did_you_mean(name, names.iter().map(String::as_str)).unwrap_or_else(|| {
        if names.is_empty() {
            "it has none".to_owned()
        } else {
            format!("its indexes are {}", names.join(", "))
        }
    });

    Err(Error::usage(format!("{field}: the table has no index `{name}`")).with_hint(hint))
}
