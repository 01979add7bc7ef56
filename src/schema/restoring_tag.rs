//! The tag of a table that a restore has created and not completed yet. It makes that visible from other machines, and is not part of the
//! schema.

use super::TableSchema;
use super::create::CreateTable;
use super::document::raw::{Fields, elements_of, raw};
use super::document::section::{Captured, Section};
use super::json_body::JsonBody;
use super::settings::actions::{TABLE_ARN, call};
use super::settings::operation::Operation;
use super::settings::spec::SettingCall;
use super::settings::tags::{FIELD, RESTORING_TAG, SECTION, SPEC, Tag};

/// Maximum length of a tag's value in characters
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Tagging.html>).
const VALUE_CHARACTERS: usize = 256;

impl TableSchema {
    /// The value of the tag, if the table's tags were read and it is among them.
    #[must_use]
    pub fn restoring_tag(&self) -> Option<String> {
        let tags = self.tags().read()?;
        let tag = tags.into_iter().find(|tag| tag.key == RESTORING_TAG)?;
        Some(tag.value)
    }

    /// The section that [`restoring_tag`](Self::restoring_tag) reads.
    #[must_use]
    pub fn restoring_tag_section() -> Section {
        SECTION
    }

    /// The schema without the tag. The other tags stay verbatim.
    #[must_use]
    pub fn without_restoring_tag(self) -> Self {
        let is_other = |tag: &&serde_json::value::RawValue| {
            serde_json::from_str::<Tag>(tag.get()).map_or(true, |tag| tag.key != RESTORING_TAG)
        };
        let tags = self.section(SECTION).and_then(elements_of);
        let Some(tags) = tags else {
            return self;
        };

        let others: Vec<_> = tags.into_iter().filter(is_other).collect();
        let captured = if others.is_empty() {
            Captured::Nothing
        } else {
            Captured::Document(raw(&others))
        };

        self.with_sections(vec![(SECTION, captured)])
    }
}

impl CreateTable {
    /// The request with the tag.
    #[must_use]
    pub fn with_restoring_tag(self, value: &str) -> Self {
        let is_allowed = |c: char| c.is_alphanumeric() || " +-=._:/@".contains(c);
        let value = value.chars().take(VALUE_CHARACTERS);
        let value = value.map(|c| if is_allowed(c) { c } else { '_' }).collect();

        Self {
            restoring_tag: Some(value),
            ..self
        }
    }

    /// The JSON body of the call, with the tag.
    pub(crate) fn tagged_body(&self) -> Vec<u8> {
        let (Some(value), Ok(mut body)) = (
            &self.restoring_tag,
            serde_json::from_slice::<Fields<Box<serde_json::value::RawValue>>>(&self.body),
        ) else {
            return self.body.clone();
        };

        let present = body.0.iter().find(|(name, _)| name == FIELD);
        let mut tags: Vec<Tag> = present
            .and_then(|(_, tags)| serde_json::from_str(tags.get()).ok())
            .unwrap_or_default();
        tags.push(Tag {
            key: RESTORING_TAG.to_owned(),
            value: value.clone(),
        });
        body.set(FIELD, &tags);

        raw(&body).get().as_bytes().to_vec()
    }
}

/// The call that removes the tag.
pub(crate) fn restoring_tag_removal() -> SettingCall {
    let body = JsonBody::new()
        .with("ResourceArn", &TABLE_ARN)
        .with("TagKeys", &[RESTORING_TAG]);
    let what = format!("removal of the tag {RESTORING_TAG}");
    call(&SPEC, Operation::dynamodb("UntagResource"), what, &body)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn schema(tags: &Value) -> TableSchema {
        let document = json!({"Table": {"TableName": "films",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}}, "Tags": tags});
        TableSchema::parse(document.to_string().as_bytes()).unwrap()
    }

    fn tag(key: &str, value: &str) -> Value {
        json!({"Key": key, "Value": value})
    }

    #[test]
    fn the_tag_is_neither_recreated_nor_a_difference() {
        let tagged = schema(&json!([tag("owner", "a"), tag(RESTORING_TAG, "now")]));
        let plain = schema(&json!([tag("owner", "a")]));
        assert_eq!(tagged.restoring_tag().as_deref(), Some("now"));
        assert_eq!(plain.restoring_tag(), None);
        assert!(
            super::super::differences(&plain, &tagged)
                .settings
                .is_empty()
        );
        assert_eq!(
            tagged.create_table_request("films").unwrap().body,
            plain.create_table_request("films").unwrap().body
        );
        assert_eq!(
            tagged.without_restoring_tag().to_document(),
            plain.to_document()
        );

        let only = schema(&json!([tag(RESTORING_TAG, "now")])).without_restoring_tag();
        assert!(only.section(SECTION).is_none());
    }

    #[test]
    fn a_request_gets_the_tag_in_addition_to_its_own_with_allowed_characters() {
        let body = |schema: TableSchema, value: &str| -> Value {
            let request = schema.create_table_request("films").unwrap();
            serde_json::from_slice(&request.with_restoring_tag(value).tagged_body()).unwrap()
        };

        let tagged = body(schema(&json!([tag("owner", "a")])), "by (me), 10:00 ü");
        assert_eq!(
            tagged["Tags"],
            json!([tag("owner", "a"), tag(RESTORING_TAG, "by _me__ 10:00 ü")])
        );

        let tagged = body(schema(&json!([])), &"x".repeat(300));
        assert_eq!(
            tagged["Tags"],
            json!([tag(RESTORING_TAG, &"x".repeat(256))])
        );
        assert_eq!(tagged["TableName"], "films");
    }
}
