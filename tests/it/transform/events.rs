//! A table of events, and the transform that gives it another sort key.

use aws_sdk_dynamodb::types::{AttributeValue, BillingMode, ScalarAttributeType};
use serde_json::Value;

use crate::support::client::{Client, Item, attribute, n, partition, s, sort, strings};
use crate::support::engine::Engine;
use crate::support::project::Project;

pub(super) const NEW_SORT_KEY: &str =
    r#".new_sk = S("\(.type | str)#\(.timestamp | str)") | drop("old_sk")"#;

/// A table of events with the keys `pk` and `old_sk`.
pub(super) fn create_events(client: &Client, table: &str) {
    client.create(table, |table| {
        table
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("pk", ScalarAttributeType::S))
            .attribute_definitions(attribute("old_sk", ScalarAttributeType::S))
            .key_schema(partition("pk"))
            .key_schema(sort("old_sk"))
    });
}

pub(super) fn event(number: usize) -> Item {
    let mut event = strings([
        ("pk", &format!("p{}", number % 7)),
        ("old_sk", &format!("old-{number:04}")),
        (
            "type",
            if number.is_multiple_of(2) {
                "click"
            } else {
                "view"
            },
        ),
    ]);

    event.insert("timestamp".to_owned(), n(1_700_000_000 + number));
    event.insert(
        "digits".to_owned(),
        n("1234567890123456789012345678.9012345678"),
    );

    event
}

/// What the standing example makes of an event.
pub(super) fn with_new_sort_key(mut event: Item) -> Item {
    let text = |value: &AttributeValue| {
        value
            .as_s()
            .or_else(|_| value.as_n())
            .expect("text or number")
            .clone()
    };

    let new = format!("{}#{}", text(&event["type"]), text(&event["timestamp"]));
    event.remove("old_sk");
    event.insert("new_sk".to_owned(), s(new));

    event
}

/// A table `events` with this number of events, on an engine.
pub(super) fn events(count: usize) -> (Engine, String, Project) {
    let engine = Engine::any();
    let table = engine.table("events");
    create_events(&engine.client(), &table);
    engine.client().put(&table, (0..count).map(event));
    let project = Project::on(&engine, &table);

    (engine, table, project)
}

/// The items of a table, in an order of their own.
pub(super) fn sorted(items: impl IntoIterator<Item = Item>) -> Vec<String> {
    let text = |item: Item| {
        let mut attributes: Vec<_> = item
            .into_iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        attributes.sort();
        attributes.join(" ")
    };

    let mut texts: Vec<_> = items.into_iter().map(text).collect();
    texts.sort();

    texts
}

pub(super) fn summary(report: &Value, names: &[&str]) -> Vec<u64> {
    names
        .iter()
        .map(|name| {
            report[*name]
                .as_u64()
                .unwrap_or_else(|| panic!("{name} in {report:#}"))
        })
        .collect()
}
