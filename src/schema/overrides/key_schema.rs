//! Another key for the new table: DynamoDB cannot change a table's key, so people dump and restore.

use super::schema_edit::SchemaEdit;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::schema::description::{AttributeDefinition, KeyElement};

const FIELD: Field = Field::KeySchema;
const TYPES: [&str; 3] = ["S", "N", "B"];

/// Puts the key that `text` (`pk:S,sk:N`) describes in place of the table's. Drops the LSIs that are incompatible with it.
pub(crate) fn put(edit: &mut SchemaEdit, text: &str) -> Result<()> {
    let description = edit.schema()?.description;
    let key = parse(text, &description.attribute_definitions)?;
    let mut definitions = description.attribute_definitions;
    // The type in the flag replaces the one in the schema.
    for attribute in &key {
        match definitions
            .iter_mut()
            .find(|known| known.attribute_name == attribute.attribute_name)
        {
            Some(known) => known.attribute_type.clone_from(&attribute.attribute_type),
            None => definitions.push(attribute.clone()),
        }
    }

    let elements = key
        .iter()
        .zip(["HASH", "RANGE"])
        .map(|(attribute, kind)| KeyElement {
            attribute_name: attribute.attribute_name.clone(),
            key_type: kind.to_owned(),
        });

    edit.table.set("KeySchema", &elements.collect::<Vec<_>>());
    edit.table.set("AttributeDefinitions", &definitions);

    // An LSI has the table's partition key, and needs a table with a sort key.
    let mut notes = Vec::new();
    edit.retain_elements("LocalSecondaryIndexes", |name| {
        let index = description
            .local_secondary_indexes
            .iter()
            .find(|index| index.index_name == name);
        let partition = index.and_then(|index| {
            index
                .key_schema
                .iter()
                .find(|element| element.key_type == "HASH")
        });

        let other = partition.filter(|partition| partition.attribute_name != key[0].attribute_name);
        let reason = match other {
            Some(old) => format!("depends on the old partition key {}", old.attribute_name),
            None if key.len() == 1 => {
                "an LSI requires a sort key, which the new key does not have".to_owned()
            }
            None => return true,
        };

        notes.push(format!("LSI {name} dropped: {reason}"));
        false
    });

    edit.notes.extend(notes);

    Ok(())
}

/// One or two attributes; the first is the partition key.
fn parse(text: &str, definitions: &[AttributeDefinition]) -> Result<Vec<AttributeDefinition>> {
    let parts = text
        .split(',')
        .map(|part| attribute(part.trim(), definitions));
    let key = parts.collect::<Result<Vec<_>>>()?;
    match &key[..] {
        [one, other] if one.attribute_name == other.attribute_name => Err(usage(&format!(
            "attribute `{}` is given twice",
            one.attribute_name
        ))),
        [_] | [_, _] => Ok(key),
        _ => Err(usage(
            "a table has one partition key and at most one sort key",
        )),
    }
}

/// `name:T`, or `name` where it has a definition.
fn attribute(text: &str, definitions: &[AttributeDefinition]) -> Result<AttributeDefinition> {
    if text.is_empty() {
        return Err(usage("an attribute name is missing"));
    }

    // The whole text first: a name may contain colons.
    if let Some(known) = definitions
        .iter()
        .find(|known| known.attribute_name == text)
    {
        return Ok(known.clone());
    }

    match text
        .rsplit_once(':')
        .filter(|(name, kind)| !name.is_empty() && TYPES.contains(kind))
    {
        Some((name, kind)) => Ok(AttributeDefinition {
            attribute_name: name.to_owned(),
            attribute_type: kind.to_owned(),
        }),
        None => Err(usage(&format!(
            "`{text}` does not end with a type, and the schema does not define one for it"
        ))),
    }
}

fn usage(what: &str) -> Error {
    Error::usage(format!("{FIELD}: {what}"))
        .with_hint("write the key as pk:S or pk:S,sk:N; types are S, N and B")
}
