//! Data files of other tools, which are recognised by their content.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::client::{Client, Items, attribute, partition};
use crate::support::engine::Engine;
use crate::support::project::{Project, Run};

const ITEMS: [&str; 3] = [
    r#"{"id":{"S":"a"},"text":{"S":"line\nbreak, \"quotes\", \\ and \u00fc\ud83c\udfac\u0000"},"n":{"N":"12345678901234567890123456789012345678"}}"#,
    r#"{"id":{"S":"b"},"text":{"S":"{\"Items\":[{\"id\":{\"S\":\"not an item\"}}],\"Count\":1}"},"set":{"SS":["x","y"]}}"#,
    r#"{"id":{"S":"c"},"Items":{"L":[{"M":{"Item":{"BOOL":true}}}]},"Count":{"N":"7"},"empty":{"M":{}},"none":{"NULL":true},"b":{"B":"AP8="}}"#,
];

/// An empty table with the key `id`, and a project on it.
fn empty_table() -> (Engine, Client, String, Project) {
    let engine = Engine::any();
    let table = engine.table("films");
    let client = engine.client();
    client.create_simple(&table);
    let project = Project::on(&engine, &table);

    (engine, client, table, project)
}

/// The items as the engine has them when they are written one by one.
fn expected() -> Items {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    for item in ITEMS {
        let text = format!(r#"{{"TableName":"films","Item":{item}}}"#);
        engine
            .database()
            .put_item(serde_json::from_str(&text).expect("a request"))
            .expect("an item");
    }

    engine.client().items("films")
}

fn restored(name: &str, content: impl AsRef<[u8]>) -> Run {
    let (_engine, client, table, project) = empty_table();
    project.write(name, content);
    let run = project.restoredb(["--source", name]).exits(0);
    assert_eq!(client.items(&table), expected(), "{run}");

    run
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(text.as_bytes())
        .expect("memory takes bytes");
    encoder.finish().expect("memory takes bytes")
}

fn pretty(text: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(text).expect("JSON");
    serde_json::to_string_pretty(&value).expect("JSON")
}

fn document() -> String {
    format!(
        r#"{{"Items":[{}],"Count":3,"ScannedCount":3,"ConsumedCapacity":null}}"#,
        ITEMS.join(",")
    )
}

#[test]
fn json_lines() {
    restored("items.jsonl", ITEMS.join("\n"));
    restored(
        "items.data",
        format!("\u{feff}\n{}\r\n\r\n", ITEMS.join("\r\n")),
    );
}

#[test]
fn export_lines() {
    let lines: Vec<_> = ITEMS
        .iter()
        .map(|item| format!(r#"{{"Item":{item}}}"#))
        .collect();
    restored("export.json", lines.join("\n"));
}

#[test]
fn an_array() {
    restored("array.json", format!("[{}]", ITEMS.join(",")));
    restored("pretty.json", pretty(&format!("[{}]", ITEMS.join(","))));
}

#[test]
fn a_scan_as_the_aws_cli_prints_it() {
    restored("scan.json", document());
    restored("pretty.json", pretty(&document()));

    // `Items` need not come first.
    restored(
        "turned.json",
        format!(
            r#"{{"Count":3,"ScannedCount":3,"Items":[{}]}}"#,
            ITEMS.join(",")
        ),
    );
}

#[test]
fn compression_is_detected_independently_of_the_name() {
    for text in [ITEMS.join("\n"), document(), pretty(&document())] {
        restored("items", gzip(&text));
        restored(
            "items.txt",
            zstd::encode_all(text.as_bytes(), 1).expect("memory takes bytes"),
        );
    }

    let members: Vec<u8> = ITEMS
        .iter()
        .flat_map(|item| gzip(&format!("{item}\n")))
        .collect();
    restored("several-members.gz", members);
}

#[test]
fn standard_input() {
    for input in [
        ITEMS.join("\n").into_bytes(),
        document().into_bytes(),
        gzip(&document()),
    ] {
        let (_engine, client, table, project) = empty_table();
        let run = project
            .restoredb_from(&input, ["--source=-"])
            .exits(0)
            .says("before the first write");
        assert_eq!(client.items(&table), expected(), "{run}");
    }
}

#[test]
fn from_one_standard_stream_to_the_other() {
    let (engine, client, table, project) = empty_table();
    project.write("items.jsonl", ITEMS.join("\n"));
    project.restoredb(["--source=items.jsonl"]).exits(0);
    let stream = project.dumpdb(["--output=-"]).exits(0).stdout;
    let copy = engine.table("copy");
    client.create(&copy, |create| {
        create
            .billing_mode(aws_sdk_dynamodb::types::BillingMode::PayPerRequest)
            .attribute_definitions(attribute(
                "id",
                aws_sdk_dynamodb::types::ScalarAttributeType::S,
            ))
            .key_schema(partition("id"))
    });

    project
        .restoredb_from(&stream, ["--source=-", "--table", &copy])
        .exits(0);
    assert_eq!(client.items(&copy), client.items(&table));

    // The command before the pipe may have failed.
    project
        .restoredb_from(b"", ["--source=-", "--table", &copy])
        .exits(0)
        .says("held no items")
        .says("pipefail");
}

#[test]
fn a_dump_of_the_older_shell_scripts() {
    let (engine, client, _, project) = empty_table();
    let copy = engine.table("copy");
    project.write("old/table-data.json", pretty(&document()));
    let schema = r#"{"Table":{"TableName":"Films","TableStatus":"ACTIVE","ItemCount":3,
        "AttributeDefinitions":[{"AttributeName":"id","AttributeType":"S"}],
        "KeySchema":[{"AttributeName":"id","KeyType":"HASH"}],
        "ProvisionedThroughput":{"NumberOfDecreasesToday":0,"ReadCapacityUnits":5,"WriteCapacityUnits":5}}}"#;
    project.write("old/table-schema.json", schema);
    let metadata = r#"{"environment":"prod","table_name":"Films","dump_date":"2024-03-01T10:00:00Z","item_count":3,"aws_region":"eu-west-1"}"#;
    project.write("old/table-metadata.json", metadata);
    project.write("old/dump-summary.txt", "DynamoDB Dump Summary\n");
    let run = project
        .restoredb(["--source=old", "--table", &copy, "--yes"])
        .exits(0);
    assert!(
        run.stderr.contains("[WARNING]"),
        "it has no checksums: {run}"
    );
    assert_eq!(client.items(&copy), expected());

    // Without metadata and summary too.
    let bare = engine.table("bare");
    project.write("bare/table-data.json", document());
    project.write("bare/table-schema.json", schema);
    project
        .restoredb(["--source=bare", "--table", &bare, "--yes"])
        .exits(0);
    assert_eq!(client.items(&bare), expected());
}

#[test]
fn what_holds_no_items_is_refused_before_the_first_write() {
    for text in [
        "not json at all",
        "{\"id\":\"plain\"}\n",
        "[1,2,3]",
        "{\"Items\":[{\"id\":{\"S\":\"a\"}}",
        "{\"id\":{\"S\":\"a\"}}\n{\"id\":{\"S\":\"b\"}\n",
        "{\"id\":{\"S\":\"a\"}}\n{\"id\":{\"S\":\"b\",\"N\":\"1\"}}\n",
        "{\"id\":{\"S\":\"a\"}}\n{\"id\":{\"S\":\"\u{1}\"}}\n",
        "{\"id\":{\"S\":\"a\"}} trailing",
    ] {
        let (_engine, client, table, project) = empty_table();
        project.write("items", text);
        let run = project.restoredb(["--source=items"]);
        assert!(matches!(run.status.code(), Some(11..=13)), "{text}\n{run}");
        assert!(client.items(&table).is_empty(), "{text}\n{run}");
    }
}

#[test]
fn a_truncated_archive_is_refused_before_the_first_write() {
    let (_engine, client, table, project) = empty_table();
    let archive = gzip(&ITEMS.join("\n"));
    project.write("items.gz", &archive[..archive.len() - 9]);
    project.restoredb(["--source=items.gz"]).exits(12);
    assert!(client.items(&table).is_empty());
}
