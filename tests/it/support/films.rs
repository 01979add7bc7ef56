//! A table `films` of several pages, and its items in a form that can be compared.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::client::{Client, numbered, s};
use super::engine::Engine;

/// An embedded engine with a table `films` of about `pages` Scan pages.
pub(crate) fn films_table(pages: usize) -> (Engine, Client) {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create_simple("films");
    let padding = "x".repeat(170_000);
    for mut item in numbered(pages * 6) {
        item.insert("padding".to_owned(), s(&padding));
        client.put_one("films", item);
    }

    (engine, client)
}

/// The items in the text of a data file, by key. Attributes are parsed, so their order does not matter.
pub(crate) fn items_in_text(text: &str) -> BTreeMap<String, Value> {
    let lines = text
        .lines()
        .map(|line| line.trim_end_matches(','))
        .filter(|line| line.starts_with("{\"") && line.ends_with("}}"));
    let items = lines.map(|line| serde_json::from_str::<Value>(line).expect("an item is JSON"));
    let mut found = BTreeMap::new();
    for item in items {
        let key = item["id"]["S"].as_str().expect("a key").to_owned();
        assert!(
            found.insert(key.clone(), item).is_none(),
            "{key} is there twice"
        );
    }

    found
}

/// The items of a table, read by an independent client, in the same form.
pub(crate) fn items_in_table(client: &Client, table: &str) -> BTreeMap<String, Value> {
    let items = client.items(table).into_values();
    let json = items.map(|item| {
        let attributes = item
            .into_iter()
            .map(|(name, value)| (name, json!({"S": value.as_s().expect("a string")})));
        Value::Object(attributes.collect())
    });

    json.map(|item| (item["id"]["S"].as_str().expect("a key").to_owned(), item))
        .collect()
}
