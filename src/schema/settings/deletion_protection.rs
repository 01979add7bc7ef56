//! Deletion protection.

use super::actions::update_table;
use super::spec::{SettingActions, SettingCall, SettingSpec, SettingTarget};
use crate::schema::TableSchema;
use crate::schema::description::Description;
use crate::schema::document::known_fields::KnownFields;
use crate::schema::document::views::SectionView;
use crate::schema::json_body::JsonBody;
use crate::schema::wording;

const FIELD: &str = "DeletionProtectionEnabled";

pub(crate) static SPEC: SettingSpec = SettingSpec {
    table_fields: KnownFields {
        plain: &[FIELD],
        nested: &[],
    },
    is_shown,
    ..SettingSpec::new("deletion-protection", "deletion protection", words, actions)
};

impl Description {
    /// Whether the table refuses to be deleted.
    #[must_use]
    pub fn is_deletion_protected(&self) -> bool {
        self.deletion_protection_enabled == Some(true)
    }
}

fn words(schema: &TableSchema) -> SectionView<String> {
    let is_protected = schema.description.is_deletion_protected();
    SectionView::from_option(is_protected.then(|| wording::on_or_off(true)))
}

fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    if !schema.description.is_deletion_protected() {
        return SettingActions::default();
    }

    let body = JsonBody::for_table(target.table).with(FIELD, &true);
    SettingActions::one(update_table(&SPEC, "deletion protection", &body))
}

fn is_shown(table: &TableSchema, _: &SettingCall) -> bool {
    table.description.is_deletion_protected()
}
