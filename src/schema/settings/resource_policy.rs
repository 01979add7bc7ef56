//! Resource policies of table and stream.

use serde::Deserialize;

use super::actions::{STREAM_ARN, TABLE_ARN, call};
use super::operation::Operation;
use super::spec::{
    DefaultRule, Setting, SettingActions, SettingDifference, SettingSpec, SettingTarget,
};
use super::stream;
use crate::schema::document::known_fields::{KnownFields, plain};
use crate::schema::document::section::{Reading, Resource, Section};
use crate::schema::document::views::SectionView;
use crate::schema::json_body::JsonBody;
use crate::schema::{TableSchema, arn};

const LABEL: &str = "resource policy";
const STREAM_LABEL: &str = "resource policy of the stream";

const CHANGE: Operation = Operation::dynamodb("PutResourcePolicy");

pub(crate) static SPEC: SettingSpec = SettingSpec {
    absent: "none",
    // A policy of the stream needs the stream.
    comes_after: &["stream"],
    default: DefaultRule::SameTable("it applies to the dumped table and its account"),
    sections: &[OF_TABLE, OF_STREAM],
    table_fields: KnownFields {
        plain: &["ResourcePolicy"],
        nested: &[],
    },
    differences: Some(differences),
    changing_operations: &[CHANGE],
    ..SettingSpec::new("policy", LABEL, words, actions)
};

const READ: Operation = Operation::dynamodb("GetResourcePolicy");
const FIELDS: KnownFields = plain(&["Policy", "RevisionId"]);

const OF_TABLE: Section = Section::new(
    "ResourcePolicy",
    LABEL,
    Reading::Document(READ, Resource::Table),
    &FIELDS,
);
const OF_STREAM: Section = Section::new(
    "StreamResourcePolicy",
    STREAM_LABEL,
    Reading::Document(READ, Resource::Stream),
    &FIELDS,
);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    policy: Option<String>,
}

/// The policy of the table: a JSON text.
fn of_table(schema: &TableSchema) -> SectionView<String> {
    // A `CreateTable` request holds its policy in the table itself, without an envelope.
    match schema.view::<Policy>(OF_TABLE) {
        SectionView::Absent => schema.field_view("ResourcePolicy"),
        view => view.and_then(|answer| answer.policy),
    }
}

/// The policy of the stream: a JSON text.
fn of_stream(schema: &TableSchema) -> SectionView<String> {
    schema
        .view::<Policy>(OF_STREAM)
        .and_then(|answer| answer.policy)
}

fn words(schema: &TableSchema) -> SectionView<String> {
    let policies = [
        (of_table(schema), "of the table"),
        (of_stream(schema), "of the stream"),
    ];
    let words: Vec<_> = policies
        .into_iter()
        .filter_map(|(policy, words)| policy.read().map(|_| words))
        .collect();

    SectionView::from_option((!words.is_empty()).then(|| words.join(", ")))
}

/// Policies are too long for a line, so a difference does not show their text.
fn differences(dump: &TableSchema, table: &TableSchema) -> Vec<SettingDifference> {
    let of_table = difference(LABEL, of_table, dump, table);
    let of_stream = difference(STREAM_LABEL, of_stream, dump, table);
    of_table.into_iter().chain(of_stream).collect()
}

fn difference(
    label: &'static str,
    policy: fn(&TableSchema) -> SectionView<String>,
    dump: &TableSchema,
    table: &TableSchema,
) -> Option<SettingDifference> {
    let text = |schema: &TableSchema| {
        // Each policy names its own table; placeholders make the texts comparable.
        policy(schema).describe_or("", |policy| {
            arn::with_placeholders(&policy, &schema.description)
        })
    };

    let (dump, table) = (text(dump)?, text(table)?);
    let (dump, table) = match (dump.is_empty(), table.is_empty()) {
        (false, true) => ("one", "none"),
        (true, false) => ("none", "one"),
        _ if dump != table => ("one", "another"),
        _ => return None,
    };

    SettingDifference::between(label, dump.to_owned(), table.to_owned())
}

fn actions(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    let mut both = SettingActions::from_view(of_table(schema), LABEL, |policy| {
        put(schema, LABEL, TABLE_ARN, &policy)
    });

    let of_stream = SettingActions::from_view(of_stream(schema), STREAM_LABEL, |policy| {
        // The policy of a stream needs that stream, which the user can skip.
        let gets_stream = schema.description.stream().is_some()
            && target.choice.applies(Setting(&stream::SPEC), true);
        if gets_stream {
            put(schema, STREAM_LABEL, STREAM_ARN, &policy)
        } else {
            SettingActions::impossible(STREAM_LABEL, "the table has no stream")
        }
    });

    both.description = match (both.description, of_stream.description) {
        (Some(_), Some(_)) => Some("resource policies of table and stream".to_owned()),
        (one, other) => one.or(other),
    };
    both.calls.extend(of_stream.calls);
    both.not_applied.extend(of_stream.not_applied);

    both
}

fn put(schema: &TableSchema, what: &str, resource: &str, policy: &str) -> SettingActions {
    // The target's ARNs are unknown until the table exists.
    let policy = arn::with_placeholders(policy, &schema.description);
    let body = JsonBody::new()
        .with("ResourceArn", &resource)
        .with("Policy", &policy);
    SettingActions::one(call(&SPEC, CHANGE, what, &body))
}
