//! Table class.

use serde_json::value::RawValue;

use super::actions::update_table;
use super::spec::{CreationField, SettingActions, SettingCall, SettingSpec, SettingTarget, When};
use crate::schema::TableSchema;
use crate::schema::description::Description;
use crate::schema::document::known_fields::{KnownFields, plain};
use crate::schema::document::raw::raw;
use crate::schema::document::views::SectionView;
use crate::schema::json_body::JsonBody;

pub(crate) const STANDARD: &str = "STANDARD";

const FIELD: &str = "TableClass";

pub(crate) static SPEC: SettingSpec = SettingSpec {
    absent: STANDARD,
    when: When::Creation,
    creation: Some(CreationField::new(FIELD, &["table class"], creation_value)),
    table_fields: KnownFields {
        plain: &[FIELD],
        nested: &[(
            "TableClassSummary",
            &plain(&["LastUpdateDateTime", "TableClass"]),
        )],
    },
    is_shown,
    ..SettingSpec::new("class", "table class", words, actions)
};

impl Description {
    /// The table class; `STANDARD` unless stated otherwise.
    #[must_use]
    pub fn class(&self) -> &str {
        let summary = self
            .table_class_summary
            .as_ref()
            .and_then(|summary| summary.table_class.as_deref());
        summary.or(self.table_class.as_deref()).unwrap_or(STANDARD)
    }
}

fn words(schema: &TableSchema) -> SectionView<String> {
    SectionView::from_option(special_class(schema).map(ToOwned::to_owned))
}

/// The class, if it is not the default.
fn special_class(schema: &TableSchema) -> Option<&str> {
    Some(schema.description.class()).filter(|class| *class != STANDARD)
}

fn creation_value(schema: &TableSchema) -> Option<Box<RawValue>> {
    special_class(schema).map(|class| raw(&class))
}

fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    let class = schema.description.class();
    // A new table has this class anyway; an existing one may have another.
    if class == STANDARD && target.existing.is_none() {
        return SettingActions::default();
    }

    let body = JsonBody::for_table(target.table).with(FIELD, &class);
    SettingActions::one(update_table(&SPEC, format!("table class {class}"), &body))
}

fn is_shown(table: &TableSchema, call: &SettingCall) -> bool {
    call.field(FIELD)
        .is_none_or(|class| class == table.description.class())
}
