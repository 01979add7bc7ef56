//! An editable copy of a schema's document; fields that are not edited stay verbatim.

use serde_json::value::RawValue;

use crate::error::Result;
use crate::schema::create::used_definitions;
use crate::schema::document::known_fields::element_name;
use crate::schema::document::raw::{Fields, elements_of, raw};
use crate::schema::{TableSchema, unreadable, vector_indexes};

/// A schema being edited: its fields and sections, and the notes about the changes.
pub(crate) struct SchemaEdit {
    pub(crate) table: Fields<Box<RawValue>>,
    pub(crate) sections: Vec<(String, Box<RawValue>)>,
    pub(crate) notes: Vec<String>,
}

impl SchemaEdit {
    /// Starts from the document of `schema`.
    pub(crate) fn new(schema: &TableSchema) -> Self {
        Self {
            table: Fields::to_edit(&schema.table),
            sections: schema.sections.clone(),
            notes: Vec::new(),
        }
    }

    /// The edited schema.
    pub(crate) fn schema(&self) -> Result<TableSchema> {
        let table = raw(&self.table);
        let description = serde_json::from_str(table.get()).map_err(|cause| unreadable(&cause))?;
        Ok(TableSchema {
            table,
            sections: self.sections.clone(),
            description,
        })
    }

    /// Keeps the elements of the array `field` whose names are wanted; removes the field if none is left.
    pub(crate) fn retain_elements(&mut self, field: &str, mut is_wanted: impl FnMut(&str) -> bool) {
        let Some((_, place)) = self.table.0.iter_mut().find(|(found, _)| found == field) else {
            return;
        };

        let mut elements = elements_of(place).unwrap_or_default();
        elements.retain(|element| {
            // An element without a name is kept: it is not one that a flag could mean.
            element_name(element).is_none_or(|name| is_wanted(&name))
        });
        *place = raw(&elements);

        if place.get() == "[]" {
            self.table.remove(field);
        }
    }

    /// Removes definitions of attributes that no key uses: `CreateTable` refuses them.
    pub(crate) fn drop_unused_definitions(&mut self) -> Result<()> {
        let schema = self.schema()?;
        let global: Vec<_> = schema.description.global_secondary_indexes.iter().collect();
        let vector = vector_indexes::indexes(&schema);
        let used = used_definitions(&schema.description, &global, &vector)?;
        let names: Vec<&str> = used
            .iter()
            .map(|definition| definition.attribute_name.as_str())
            .collect();
        self.retain_elements("AttributeDefinitions", |name| names.contains(&name));

        Ok(())
    }
}
