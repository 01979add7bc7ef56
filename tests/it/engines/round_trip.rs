//! Round trips of arbitrary items, written and read by an independent client.

use aws_sdk_dynamodb::types::{BillingMode, ScalarAttributeType};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use crate::support::arbitrary;
use crate::support::client::{Client, Item, attribute, b, n, partition, s, sort};
use crate::support::engine::Engine;
use crate::support::project::Project;

/// Runs of the property. Each starts two processes for each way there and back.
const CASES: u32 = 24;

fn create(client: &Client, table: &str) {
    client.create(table, |create| {
        create
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .attribute_definitions(attribute("at", ScalarAttributeType::N))
            .key_schema(partition("id"))
            .key_schema(sort("at"))
    });
}

/// Dumps a table of these items and restores the dump, with these arguments more; both tables must hold the same.
fn there_and_back(items: &[Item], dump: &[&str], source: &str, more: &[&str]) {
    let engine = Engine::any();
    let client = engine.client();
    let (table, copy) = (engine.table("films"), engine.table("copy"));
    create(&client, &table);

    for item in items {
        client.put_one(&table, item.clone());
    }

    let project = Project::on(&engine, &table);
    project.dumpdb(dump).exits(0);
    create(&client, &copy);
    project
        .restoredb(
            ["--table", copy.as_str(), "--source", source]
                .iter()
                .chain(more),
        )
        .exits(0);

    let stored = client.items(&table);
    assert_eq!(stored.len(), items.len());
    assert_eq!(client.items(&copy), stored);

    // And on to another engine.
    let other = Engine::embedded();
    let project = project.environment("dev", other.url(), "elsewhere");
    create(&other.client(), "elsewhere");
    project
        .restoredb(
            ["--env=dev", "--yes", "--source", source]
                .iter()
                .chain(more),
        )
        .exits(0);

    assert_eq!(other.client().items("elsewhere"), stored);
}

fn property(dump: &[&str], source: &str) {
    property_with(dump, source, &[]);
}

fn property_with(dump: &[&str], source: &str, more: &[&str]) {
    let persistence = FileFailurePersistence::Direct(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/target/round_trip.proptest"
    ));
    let config = Config {
        cases: CASES / 3,
        max_shrink_iters: 200,
        failure_persistence: Some(Box::new(persistence)),
        ..Config::default()
    };

    let property = |items: Vec<Item>| {
        there_and_back(&items, dump, source, more);
        Ok(())
    };
    TestRunner::new(config)
        .run(&arbitrary::items(12), property)
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn any_items_through_a_json_document() {
    property(&["--output=out"], "out");
}

#[test]
fn any_items_through_compressed_json_lines() {
    property(
        &["--output=out", "--format=jsonl", "--compress=zstd"],
        "out",
    );
}

#[test]
fn any_items_through_a_file_of_items() {
    property(&["--output=items.jsonl.gz"], "items.jsonl.gz");
}

/// Reads each item as JSON and prints it in words of its own: blanks, and escapes for all that is not ASCII.
const PROGRAM: &str = "python3 -c 'import json,sys
for line in sys.stdin: print(json.dumps(json.loads(line)))'";

#[test]
fn any_items_through_a_filter_that_changes_nothing() {
    property_with(
        &["--output=out", "--transform=."],
        "out",
        &["--transform", "to_entries | reverse | from_entries"],
    );
}

#[test]
fn any_items_through_a_program_that_rewrites_them() {
    property_with(
        &["--output=out", "--transform-command", PROGRAM],
        "out",
        &["--transform-command", PROGRAM],
    );
}

#[test]
fn any_items_through_a_filter_that_takes_back_what_it_did() {
    let (give, take) = ("put(\"\u{1}new.deep\"; S(\"x\"))", "drop(\"\u{1}new\")");
    property_with(
        &["--output=out", "--transform", give],
        "out",
        &["--transform", take],
    );
}

#[test]
fn any_items_through_a_document_that_was_printed_pretty() {
    let config = Config {
        cases: 4,
        max_shrink_iters: 100,
        failure_persistence: None,
        ..Config::default()
    };

    let property = |items: Vec<Item>| {
        let engine = Engine::embedded();
        let client = engine.client();
        create(&client, "films");

        for item in items {
            client.put_one("films", item);
        }

        let project = Project::on(&engine, "films");
        project.dumpdb(["--output=out", "--data-only"]).exits(0);
        let document =
            serde_json::to_vec_pretty(&project.json("out/table-data.json")).expect("JSON");
        project.write("pretty.json", document);
        create(&client, "copy");
        project
            .restoredb(["--table=copy", "--source=pretty.json"])
            .exits(0);
        prop_assert_eq!(client.items("copy"), client.items("films"));
        Ok(())
    };

    TestRunner::new(config)
        .run(&arbitrary::items(8), property)
        .unwrap_or_else(|error| panic!("{error}"));
}

/// An item of exactly 409,600 bytes: names and values in UTF-8, a number by its digits.
fn largest(id: &str, character: char) -> Item {
    let bytes = 409_600 - (2 + id.len()) - (2 + 2) - "text".len() - "data".len() - 1000;
    let text = character.to_string().repeat(bytes / character.len_utf8())
        + &"x".repeat(bytes % character.len_utf8());
    [
        ("id", s(id)),
        ("at", n(7)),
        ("text", s(text)),
        ("data", b(vec![0xff; 1000])),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

#[test]
fn the_largest_items() {
    let characters: &[char] = if Engine::any().can().measures_in_utf8 {
        &['x', '\u{1}', 'ü', '🎬']
    } else {
        &['x', '\u{1}']
    };

    let items: Vec<_> = characters
        .iter()
        .flat_map(|one| (0..3).map(move |n| largest(&format!("{one}{n}"), *one)))
        .collect();
    there_and_back(&items, &["--output=out"], "out", &[]);
}

#[test]
fn thousands_of_small_items() {
    let engine = Engine::any();
    let client = engine.client();
    let (table, copy) = (engine.table("films"), engine.table("copy"));
    client.create_simple(&table);
    client.put(&table, crate::support::client::numbered(5_000));
    let project = Project::on(&engine, &table);
    project
        .dumpdb(["--output=out", "--segments=3", "--compress=gzip"])
        .exits(0);
    project
        .restoredb(["--source=out", "--table", &copy])
        .exits(0);
    assert_eq!(client.items(&copy), client.items(&table));
}
