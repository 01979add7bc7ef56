//! Tags.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::actions::{TABLE_ARN, call};
use super::operation::Operation;
use super::spec::{
    CreationField, SettingActions, SettingCall, SettingDifference, SettingSpec, SettingTarget, When,
};
use crate::schema::TableSchema;
use crate::schema::document::known_fields::{KnownFields, plain};
use crate::schema::document::raw::raw;
use crate::schema::document::section::{Reading, Section};
use crate::schema::document::views::SectionView;
use crate::schema::json_body::JsonBody;
use crate::schema::wording;

/// Prefix of tags managed by AWS, which cannot be set.
pub(crate) const AWS_TAG_PREFIX: &str = "aws:";

/// Tag of a table that a restore has created and not completed yet.
pub(crate) const RESTORING_TAG: &str = "dynadump:restoring";

/// Tags shown in one line.
const TAGS_SHOWN: usize = 8;

/// Characters shown of a tag's value; AWS allows 256.
const TAG_CHARACTERS: usize = 60;

pub(crate) const FIELD: &str = "Tags";
const LABEL: &str = "tags";

const CHANGE: Operation = Operation::dynamodb("TagResource");

pub(crate) static SPEC: SettingSpec = SettingSpec {
    absent: "none",
    when: When::Creation,
    sections: &[SECTION],
    creation: Some(CreationField {
        has_own_call: true,
        ..CreationField::new(FIELD, &[], creation_value)
    }),
    table_fields: KnownFields {
        plain: &[FIELD],
        nested: &[],
    },
    differences: Some(differences),
    is_shown,
    changing_operations: &[CHANGE],
    ..SettingSpec::new("tags", LABEL, words, actions)
};

/// All pages in one array.
pub(crate) const SECTION: Section = Section::new(
    "Tags",
    "tags",
    Reading::List(Operation::dynamodb("ListTagsOfResource"), "Tags"),
    &plain(&["Key", "Value"]),
);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    pub(crate) key: String,
    #[serde(default)]
    pub(crate) value: String,
}

impl TableSchema {
    /// The table's tags, AWS's own included, by name.
    pub(crate) fn tags(&self) -> SectionView<Vec<Tag>> {
        // A `CreateTable` request holds its tags in the table itself.
        let view = match self.view::<Vec<Tag>>(SECTION) {
            SectionView::Absent => self.field_view(FIELD),
            view => view,
        };

        view.and_then(|mut tags| {
            // The order of tags has no meaning; sorted lists are comparable.
            tags.sort();
            (!tags.is_empty()).then_some(tags)
        })
    }

    /// The table's tags without AWS's own and that of an unfinished restore.
    fn own_tags(&self) -> SectionView<Vec<Tag>> {
        self.tags().and_then(|mut tags| {
            tags.retain(|tag| !tag.key.starts_with(AWS_TAG_PREFIX) && tag.key != RESTORING_TAG);
            (!tags.is_empty()).then_some(tags)
        })
    }
}

fn words(schema: &TableSchema) -> SectionView<String> {
    schema.own_tags().map(|tags| tags_in_words(&tags))
}

/// A difference shows only the tags that differ.
fn differences(dump: &TableSchema, table: &TableSchema) -> Vec<SettingDifference> {
    // No section means that the table has no tags.
    let tags = |schema: &TableSchema| match schema.own_tags() {
        SectionView::Absent => Some(Vec::new()),
        view => view.read(),
    };
    let (Some(dumped), Some(present)) = (tags(dump), tags(table)) else {
        return Vec::new();
    };

    let only = |these: &[Tag], those: &[Tag]| {
        let only: Vec<_> = these
            .iter()
            .filter(|tag| !those.contains(tag))
            .cloned()
            .collect();
        if only.is_empty() {
            SPEC.absent.to_owned()
        } else {
            tags_in_words(&only)
        }
    };

    SettingDifference::between(LABEL, only(&dumped, &present), only(&present, &dumped))
        .into_iter()
        .collect()
}

fn creation_value(schema: &TableSchema) -> Option<Box<RawValue>> {
    schema.own_tags().read().map(|tags| raw(&tags))
}

fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    SettingActions::from_view(schema.own_tags(), LABEL, |mut tags| {
        let present = target.existing.and_then(|existing| existing.tags().read());
        // Tags are added and replaced, never removed.
        tags.retain(|tag| !present.iter().flatten().any(|other| other == tag));
        if tags.is_empty() {
            return SettingActions::default();
        }

        let body = JsonBody::new()
            .with("ResourceArn", &TABLE_ARN)
            .with(FIELD, &tags);
        let what = wording::count(tags.len(), "tag", "tags");
        SettingActions::one(call(&SPEC, CHANGE, what, &body))
    })
}

/// The table is described with its tags. Tags that were not captured cannot be compared.
fn is_shown(table: &TableSchema, _: &SettingCall) -> bool {
    !matches!(table.own_tags(), SectionView::Absent)
}

/// The first tags, shortened to fit one line: `owner=films, team=a`.
fn tags_in_words(tags: &[Tag]) -> String {
    let words = tags
        .iter()
        .take(TAGS_SHOWN)
        .map(|tag| format!("{}={}", tag.key, shortened(&tag.value)));
    let words = words.collect::<Vec<_>>().join(", ");
    match tags.len().saturating_sub(TAGS_SHOWN) {
        0 => words,
        more => format!("{words} and {more} more"),
    }
}

fn shortened(value: &str) -> String {
    // Cut between characters: a slice within one panics.
    match value.char_indices().nth(TAG_CHARACTERS) {
        None => value.to_owned(),
        Some((end, _)) => format!("{}…", &value[..end]),
    }
}
