//! Time to live.

use serde::Deserialize;

use super::actions::call;
use super::operation::Operation;
use super::spec::{SettingActions, SettingSpec, SettingTarget};
use crate::schema::TableSchema;
use crate::schema::document::known_fields::plain;
use crate::schema::document::section::{Reading, Section};
use crate::schema::document::views::{SectionView, is_on};
use crate::schema::json_body::JsonBody;

const LABEL: &str = "TTL";

const CHANGE: Operation = Operation::dynamodb("UpdateTimeToLive");

pub(crate) static SPEC: SettingSpec = SettingSpec {
    sections: &[SECTION],
    // For another attribute, the message is different.
    already_applied: Some("already enabled"),
    changing_operations: &[CHANGE],
    ..SettingSpec::new("ttl", LABEL, words, actions)
};

const SECTION: Section = Section::new(
    "TimeToLive",
    "TTL",
    Reading::Field(
        Operation::dynamodb("DescribeTimeToLive"),
        "TimeToLiveDescription",
    ),
    &plain(&["AttributeName", "TimeToLiveStatus"]),
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TimeToLive {
    time_to_live_status: Option<String>,
    attribute_name: Option<String>,
}

impl TableSchema {
    /// The section of TTL.
    pub(crate) fn time_to_live_section() -> Section {
        SECTION
    }

    /// The attribute that holds the expiry time of an item, if TTL is on.
    #[must_use]
    pub fn ttl_attribute(&self) -> Option<String> {
        time_to_live(self).read()
    }
}

fn time_to_live(schema: &TableSchema) -> SectionView<String> {
    schema.view::<TimeToLive>(SECTION).and_then(|ttl| {
        if is_on(ttl.time_to_live_status.as_deref()) {
            ttl.attribute_name
        } else {
            None
        }
    })
}

fn words(schema: &TableSchema) -> SectionView<String> {
    time_to_live(schema).map(|attribute| format!("on attribute {attribute}"))
}

fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    SettingActions::from_view(time_to_live(schema), LABEL, |attribute| {
        let what = format!("TTL on attribute {attribute}");
        let present = target.existing.and_then(TableSchema::ttl_attribute);
        // DynamoDB requires that TTL is disabled first, which a restore does not do.
        if let Some(present) = present.filter(|present| *present != attribute) {
            let reason =
                format!("the table has TTL on attribute {present}, which must be disabled first");
            return SettingActions::impossible(what, reason);
        }

        let specification = JsonBody::new()
            .with("Enabled", &true)
            .with("AttributeName", &attribute);
        let body =
            JsonBody::for_table(target.table).with("TimeToLiveSpecification", &specification);
        SettingActions::one(call(&SPEC, CHANGE, what, &body))
    })
}
