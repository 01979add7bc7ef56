//! Items that are past their TTL: the plan says how many.

use std::fmt::Write as _;

use chrono::Utc;
use serde_json::json;

use crate::support::engine::Engine;
use crate::support::project::Project;

/// Ten items as standard input has them: seven have expired, one is older than five years, one is not a number, one is in the future.
fn items() -> String {
    let now = Utc::now().timestamp();
    let year = 365 * 24 * 3600;
    let mut lines = String::new();
    let times = [
        now - 10,
        now - 20,
        now - 3600,
        now - year,
        now - 2 * year,
        now - 3 * year,
        now - 4 * year,
        now - 6 * year,
        now + year,
    ];
    for (number, time) in times.into_iter().enumerate() {
        let item = json!({"id": {"S": format!("item {number}")}, "until": {"N": time.to_string()}});
        writeln!(lines, "{item}").expect("a String takes everything");
    }

    writeln!(
        lines,
        "{}",
        json!({"id": {"S": "text"}, "until": {"S": (now - 10).to_string()}})
    )
    .expect("a String takes everything");

    lines
}

/// A project with the items, and a schema with TTL on `until`.
fn project(engine: &Engine) -> Project {
    let project = Project::on(engine, "films");
    project.write("items.jsonl", items());
    project.write(
        "schema.json",
        json!({"Table": {"TableName": "films",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}},
            "TimeToLive": {"TimeToLiveStatus": "ENABLED", "AttributeName": "until"}})
        .to_string(),
    );

    project
}

const RESTORE: [&str; 3] = ["--source=items.jsonl", "--schema=schema.json", "--dry-run"];

#[test]
fn the_plan_of_a_new_table_with_ttl_says_how_many_items_have_expired() {
    let engine = Engine::embedded();
    let project = project(&engine);
    project
        .restoredb(RESTORE)
        .exits(0)
        .says("7 of 10 items are past their TTL (attribute until)")
        .says("--without ttl");

    for more in [&["--without=ttl"][..], &["--schema-only"]] {
        project
            .restoredb(RESTORE.iter().chain(more))
            .exits(0)
            .never_says("past their TTL");
    }
}

#[test]
fn items_of_a_dump_of_this_program_are_counted_too() {
    let engine = Engine::embedded();
    let project = project(&engine);
    project
        .restoredb([
            "--source=items.jsonl",
            "--schema=schema.json",
            "--without=ttl",
        ])
        .exits(0);
    project.dumpdb(["--output=out"]).exits(0);
    project
        .restoredb([
            "--source=out",
            "--table=copy",
            "--schema=schema.json",
            "--dry-run",
        ])
        .exits(0)
        .says("7 of 10 items are past their TTL");
}

#[test]
fn the_plan_of_an_existing_table_with_ttl_says_it_too() {
    let engine = Engine::embedded();
    let project = project(&engine);
    project
        .restoredb([
            "--source=items.jsonl",
            "--schema=schema.json",
            "--schema-only",
        ])
        .exits(0);
    project
        .restoredb(["--source=items.jsonl", "--dry-run"])
        .exits(0)
        .says("7 of 10 items are past their TTL")
        .says("disable TTL of the table first");
}

#[test]
fn of_standard_input_and_transformed_items_the_number_is_not_known() {
    let engine = Engine::embedded();
    let project = project(&engine);
    let general = "The table will have TTL on attribute until";
    project
        .restoredb(RESTORE.iter().chain(&["--where=true"]))
        .exits(0)
        .says(general);

    let arguments = ["--source=-", "--schema=schema.json"];
    project
        .restoredb_from(items().as_bytes(), arguments)
        .exits(0)
        .says(general);
}
