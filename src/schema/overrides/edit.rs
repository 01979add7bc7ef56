//! Applies overrides to a schema: some top-level fields and sections are replaced, and all others stay verbatim, fields of a later
//! API included.

use super::parse::{Overrides, TableClass};
use super::schema_edit::SchemaEdit;
use super::{billing, indexes, key_schema};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::schema::document::raw::raw;
use crate::schema::document::views::SectionView;
use crate::schema::json_body::JsonBody;
use crate::schema::settings::class::STANDARD;
use crate::schema::settings::spec::Setting;
use crate::schema::settings::tags::{self, AWS_TAG_PREFIX, Tag};
use crate::schema::{Difference, IndexDifference, Subject, TableSchema, differences, wording};

/// A schema with overrides.
#[derive(Debug, Clone)]
pub struct OverriddenSchema {
    /// The schema.
    pub schema: TableSchema,
    /// The changes from the dump's schema in words, one per line.
    pub notes: Vec<String>,
    /// Whether there were overrides.
    pub has_overrides: bool,
}

impl TableSchema {
    /// This schema with `overrides` and without the indexes that were being deleted when it was described, unless `--set only-index`
    /// names them.
    ///
    /// # Errors
    ///
    /// [`Usage`](crate::error::ErrorKind::Usage) naming the flag that cannot be followed or contradicts another;
    /// [`SchemaMismatch`](crate::error::ErrorKind::SchemaMismatch) when a key attribute of the schema has no definition.
    pub fn overridden(&self, overrides: &Overrides) -> Result<OverriddenSchema> {
        let has_overrides = *overrides != Overrides::default();
        // Nothing to change: the document stays verbatim.
        if !has_overrides && self.deleting_indexes().next().is_none() {
            return Ok(OverriddenSchema {
                schema: self.clone(),
                notes: Vec::new(),
                has_overrides,
            });
        }

        let mut edit = SchemaEdit::new(self);
        indexes::drop_unwanted(&mut edit, self, overrides)?;

        if let Some(key) = &overrides.key_schema {
            key_schema::put(&mut edit, key)?;
        }

        // After indexes and key: both determine which definitions are used.
        edit.drop_unused_definitions()?;
        // Figures are checked against the indexes that are left.
        let before_billing = edit.schema()?;
        billing::put(&mut edit, &before_billing, overrides)?;
        put_class(&mut edit, overrides);
        put_key(&mut edit, overrides);
        put_tags(&mut edit, self, overrides)?;
        let schema = edit.schema()?;
        let mut notes = edit.notes;
        notes.extend(changes(self, &schema));
        Ok(OverriddenSchema {
            schema,
            notes,
            has_overrides,
        })
    }
}

fn put_class(edit: &mut SchemaEdit, overrides: &Overrides) {
    let Some(class) = overrides.table_class else {
        return;
    };

    let class = match class {
        TableClass::Standard => STANDARD,
        TableClass::StandardInfrequentAccess => "STANDARD_INFREQUENT_ACCESS",
    };
    // The two forms would contradict each other; `Description` prefers the summary.
    edit.table.remove("TableClass");
    edit.table.set(
        "TableClassSummary",
        &JsonBody::new().with("TableClass", &class),
    );
}

/// Sets the KMS key in the form of a request, so that the rules about keys of the source do not apply to it.
fn put_key(edit: &mut SchemaEdit, overrides: &Overrides) {
    let Some(key) = &overrides.kms_key else {
        return;
    };

    edit.table.remove("SSEDescription");
    let specification = JsonBody::new()
        .with("Enabled", &true)
        .with("SSEType", &"KMS")
        .with("KMSMasterKeyId", key);
    edit.table.set("SSESpecification", &specification);
    edit.notes.push(format!("encryption with KMS key {key}"));
}

fn put_tags(edit: &mut SchemaEdit, schema: &TableSchema, overrides: &Overrides) -> Result<()> {
    if overrides.add_tags.is_empty() && !overrides.no_tags {
        return Ok(());
    }

    if let Some(name) = overrides
        .add_tags
        .keys()
        .find(|name| name.is_empty() || name.starts_with(AWS_TAG_PREFIX))
    {
        return Err(Error::usage(format!(
            "{add_tags}: `{name}` is not a valid tag name",
            add_tags = Field::AddTags
        ))
        .with_hint("a tag needs a name, and names that start with aws: are reserved"));
    }

    // With `--no-tags` it makes no difference that the dump's tags are unknown.
    let view = schema.tags();
    if let (SectionView::NotCaptured(_), false) = (&view, overrides.no_tags) {
        edit.notes.push(
            "tags: only the added ones, because the dump's tags were not captured".to_owned(),
        );
    }

    let mut tags = view.read().unwrap_or_default();
    tags.retain(|tag| !overrides.no_tags && !overrides.add_tags.contains_key(&tag.key));
    let added = overrides.add_tags.iter();
    tags.extend(added.map(|(key, value)| Tag {
        key: key.clone(),
        value: value.clone(),
    }));
    // The new list replaces tags in either form, that of a request and the section.
    edit.table.remove("Tags");
    edit.sections
        .retain(|(name, _)| name != tags::SECTION.name());

    if !tags.is_empty() {
        edit.sections
            .push((tags::SECTION.name().to_owned(), raw(&tags)));
    }

    Ok(())
}

/// Describes the changes that no note describes yet.
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

    // These have notes of their own.
    let is_noted = |difference: &Difference| match difference.subject {
        Subject::Index(IndexDifference::Missing | IndexDifference::MissingGsi) => true,
        Subject::Setting(setting) => [Setting::KMS, Setting::AUTOSCALING].contains(&setting),
        Subject::Index(_) | Subject::Key => false,
    };
    let others = found.settings.into_iter().filter(|other| !is_noted(other));
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
