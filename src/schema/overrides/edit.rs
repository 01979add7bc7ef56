//! A schema with overrides: the same document with some of its top-level fields and sections written anew. Whatever else it holds
//! stays verbatim, fields of a later API included.

use serde_json::value::RawValue;

use super::parse::{Overrides, TableClass};
use super::{billing, indexes, key_schema};
use crate::error::{Error, Result};
use crate::schema::create::used_definitions;
use crate::schema::document::raw::{Fields, raw};
use crate::schema::document::section::Section;
use crate::schema::document::views::{AWS_TAG_PREFIX, Tag, View};
use crate::schema::json_body::Body;
use crate::schema::{TableSchema, differences, vector_indexes, wording};

/// A schema with overrides.
#[derive(Debug, Clone)]
pub struct Overridden {
    /// The schema.
    pub schema: TableSchema,
    /// What is otherwise than in the dump, in people's words, a line each.
    pub notes: Vec<String>,
    /// Whether there were overrides.
    pub is_asked_for: bool,
}

impl TableSchema {
    /// This schema with `overrides` and without the indexes that were being deleted when it was described, unless `--only-index`
    /// names them.
    ///
    /// # Errors
    ///
    /// [`Usage`](crate::error::ErrorKind::Usage) naming the flag that cannot be followed or contradicts another;
    /// [`SchemaMismatch`](crate::error::ErrorKind::SchemaMismatch) when a key attribute of the schema has no definition.
    pub fn overridden(&self, overrides: &Overrides) -> Result<Overridden> {
        let is_asked_for = *overrides != Overrides::default();
        if !is_asked_for && self.deleting_indexes().next().is_none() {
            return Ok(Overridden {
                schema: self.clone(),
                notes: Vec::new(),
                is_asked_for,
            });
        }

        let mut draft = Draft::of(self);
        indexes::drop_unwanted(&mut draft, self, overrides)?;

        if let Some(key) = &overrides.key_schema {
            key_schema::put(&mut draft, key)?;
        }

        draft.drop_unused_definitions()?;
        let before_billing = draft.schema()?;
        billing::put(&mut draft, &before_billing, overrides)?;
        put_class(&mut draft, overrides);
        put_key(&mut draft, overrides);
        put_tags(&mut draft, self, overrides)?;
        let schema = draft.schema()?;
        let mut notes = draft.notes;
        notes.extend(changes(self, &schema));
        Ok(Overridden {
            schema,
            notes,
            is_asked_for,
        })
    }
}

/// A schema that is being changed.
pub(crate) struct Draft {
    pub(crate) table: Fields<Box<RawValue>>,
    pub(crate) sections: Vec<(String, Box<RawValue>)>,
    pub(crate) notes: Vec<String>,
}

impl Draft {
    fn of(schema: &TableSchema) -> Self {
        Self {
            table: Fields::to_edit(&schema.table),
            sections: schema.sections.clone(),
            notes: Vec::new(),
        }
    }

    pub(crate) fn schema(&self) -> Result<TableSchema> {
        let table = raw(&self.table);
        let description =
            serde_json::from_str(table.get()).map_err(|cause| crate::schema::unreadable(&cause))?;
        Ok(TableSchema {
            table,
            sections: self.sections.clone(),
            description,
        })
    }

    /// Removes the elements of the array `field` that `is_unwanted`, and the field when nothing is left.
    pub(crate) fn retain_elements(&mut self, field: &str, mut is_wanted: impl FnMut(&str) -> bool) {
        let Some((_, place)) = self.table.0.iter_mut().find(|(found, _)| found == field) else {
            return;
        };

        let mut elements = crate::schema::document::raw::elements_of(place).unwrap_or_default();
        elements.retain(|element| {
            crate::schema::document::known_fields::element_name(element)
                .is_none_or(|name| is_wanted(&name))
        });
        *place = raw(&elements);

        if place.get() == "[]" {
            self.table.remove(field);
        }
    }

    fn drop_unused_definitions(&mut self) -> Result<()> {
        let schema = self.schema()?;
        let used = used_definitions(&schema.description, &vector_indexes::indexes(&schema))?;
        let names: Vec<&str> = used
            .iter()
            .map(|definition| definition.attribute_name.as_str())
            .collect();
        self.retain_elements("AttributeDefinitions", |name| names.contains(&name));

        Ok(())
    }
}

fn put_class(draft: &mut Draft, overrides: &Overrides) {
    let Some(class) = overrides.table_class else {
        return;
    };

    let class = match class {
        TableClass::Standard => crate::schema::settings::values::STANDARD,
        TableClass::StandardInfrequentAccess => "STANDARD_INFREQUENT_ACCESS",
    };
    draft.table.remove("TableClass");
    draft
        .table
        .set("TableClassSummary", &Body::new().with("TableClass", &class));
}

/// Written as a request does: a key that is asked for follows no rule about keys of the source.
fn put_key(draft: &mut Draft, overrides: &Overrides) {
    let Some(key) = &overrides.kms_key else {
        return;
    };

    draft.table.remove("SSEDescription");
    let specification = Body::new()
        .with("Enabled", &true)
        .with("SSEType", &"KMS")
        .with("KMSMasterKeyId", key);
    draft.table.set("SSESpecification", &specification);
    draft.notes.push(format!("encryption with KMS key {key}"));
}

fn put_tags(draft: &mut Draft, schema: &TableSchema, overrides: &Overrides) -> Result<()> {
    if overrides.add_tags.is_empty() && !overrides.no_tags {
        return Ok(());
    }

    if let Some(name) = overrides
        .add_tags
        .keys()
        .find(|name| name.is_empty() || name.starts_with(AWS_TAG_PREFIX))
    {
        return Err(
            Error::usage(format!("--add-tag: `{name}` is no name for a tag"))
                .with_hint("it needs a name, and names that begin with aws: are AWS's to give"),
        );
    }

    let view = schema.tags();
    if let (View::NotCaptured(_), false) = (&view, overrides.no_tags) {
        draft
            .notes
            .push("tags: only the added ones, for the dump's own were not captured".to_owned());
    }

    let mut tags = view.read().unwrap_or_default();
    tags.retain(|tag| !overrides.no_tags && !overrides.add_tags.contains_key(&tag.key));
    let added = overrides.add_tags.iter();
    tags.extend(added.map(|(key, value)| Tag {
        key: key.clone(),
        value: value.clone(),
    }));
    draft.table.remove("Tags");
    draft
        .sections
        .retain(|(name, _)| name != Section::Tags.name());

    if !tags.is_empty() {
        draft
            .sections
            .push((Section::Tags.name().to_owned(), raw(&tags)));
    }

    Ok(())
}

/// What differs and is not noted already.
fn changes(dump: &TableSchema, changed: &TableSchema) -> Vec<String> {
    let found = differences(dump, changed);
    let mut notes = Vec::new();
    if found.key.is_some() {
        notes.push(format!(
            "key {} instead of {}",
            wording::table_key(changed),
            wording::table_key(dump)
        ));
    }

    let is_noted = |setting: &str| matches!(setting, "encryption" | "auto scaling");
    let others = found.settings.into_iter().filter(|other| {
        !is_noted(&other.setting) && !["missing", "being deleted"].contains(&other.table.as_str())
    });
    notes.extend(others.map(|other| {
        format!(
            "{}: {} instead of {}",
            other.setting, other.table, other.dump
        )
    }));

    notes
}

#[cfg(test)]
mod tests;
