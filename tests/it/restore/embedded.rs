//! Restores into the embedded engine, which are written in bulk.

use std::fmt::Write as _;
use std::fs;

use serde_json::json;

use crate::support::client::poll;
use crate::support::process::spawn_silent;
use crate::support::project::{Project, REGION};

/// Enough for several progress reports of the journal.
const ITEMS: usize = 40_000;

const RESTORE: [&str; 5] = [
    "--env=dev",
    "--source=items.jsonl",
    "--schema=schema.json",
    "--yes",
    "--verify=none",
];

/// A project whose environment `dev` is `films.db`, with items and a schema to restore.
fn project() -> Project {
    let project = Project::empty();
    project.write(
        "envs/.env.dev",
        format!(
            "LOCAL_AWS_ENDPOINT=embedded:films.db\nAWS_REGION={REGION}\nDYNAMODB_TABLE=films\n"
        ),
    );

    let mut items = String::new();
    for id in 0..ITEMS {
        let item = json!({ "id": { "S": id.to_string() }, "genre": { "S": "drama" }, "text": { "S": "x".repeat(200) } });
        let _ = writeln!(items, "{item}");
    }
    project.write("items.jsonl", items);

    let attribute = |name| json!({ "AttributeName": name, "AttributeType": "S" });
    let key = |name| json!([{ "AttributeName": name, "KeyType": "HASH" }]);
    let table = json!({
        "TableName": "films",
        "BillingModeSummary": { "BillingMode": "PAY_PER_REQUEST" },
        "AttributeDefinitions": [attribute("id"), attribute("genre")],
        "KeySchema": key("id"),
        "GlobalSecondaryIndexes": [{
            "IndexName": "genres", "KeySchema": key("genre"), "Projection": { "ProjectionType": "KEYS_ONLY" },
        }],
    });
    project.write("schema.json", json!({ "Table": table }).to_string());

    project
}

#[test]
fn a_killed_restore_into_a_database_file_is_resumed_without_losing_an_item() {
    let project = project();
    let mut child = spawn_silent(project.command("restoredb", RESTORE));
    // It has written some megabytes of about thirty.
    let log = project.path("films.db-wal");
    poll("writes", || {
        fs::metadata(&log).is_ok_and(|log| log.len() > 3_000_000)
    });
    child.kill().expect("a child can be killed");
    let status = child.wait().expect("a child can be waited for");
    assert_eq!(status.code(), None, "it was killed before its end");

    project
        .restoredb(RESTORE.iter().chain(&["--resume"]))
        .exits(0)
        .says("Restored 40,000 items");
    project
        .verifydb(["--env=dev", "--source=items.jsonl", "--exact"])
        .exits(0);
}

#[test]
fn an_item_that_the_engine_rejects_is_reported_and_all_others_are_written() {
    let project = project();
    // The index exists before the items, so it cannot be created after them.
    project
        .restoredb([
            "--env=dev",
            "--schema=schema.json",
            "--source=items.jsonl",
            "--schema-only",
            "--yes",
        ])
        .exits(0);

    let mut items = String::new();
    for id in 0..100 {
        // The key of the index has the wrong type.
        let genre = if id == 42 {
            json!({ "N": "1" })
        } else {
            json!({ "S": "drama" })
        };
        let _ = writeln!(
            items,
            "{}",
            json!({ "id": { "S": id.to_string() }, "genre": genre })
        );
    }
    project.write("items.jsonl", items);

    let report = project
        .restoredb(RESTORE.iter().chain(&["--json"]))
        .exits(3)
        .report();
    assert_eq!(report["summary"]["items_written"], 99, "{report:#}");
    assert_eq!(report["summary"]["items_rejected"], 1, "{report:#}");
}
