//! Tables and indexes in status `DELETING`, and timeouts of waiting for `ACTIVE`.

use std::process::Stdio;

use aws_sdk_dynamodb::types::{
    BillingMode, GlobalSecondaryIndex, Projection, ProjectionType, ScalarAttributeType,
};
use serde_json::{Value, json};

use crate::support::client::{Client, attribute, numbered, partition, poll};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always, calls};
use crate::support::project::Project;

const DESCRIBE: &str = "DescribeTable";
const RESTORE: [&str; 3] = ["--source=out", "--env=dev", "--yes"];

fn set_status(answer: &mut Value, status: &str) {
    if let Some(table) = answer.get_mut("Table") {
        table["TableStatus"] = status.into();
    }
}

fn deleting(answer: &mut Value) {
    set_status(answer, "DELETING");
}

fn updating(answer: &mut Value) {
    set_status(answer, "UPDATING");
}

fn index_deleting(answer: &mut Value) {
    if let Some(index) = answer.pointer_mut("/Table/GlobalSecondaryIndexes/0") {
        index["IndexStatus"] = "DELETING".into();
    }
}

/// A table with the index `by-genre`.
fn create_indexed(client: &Client, table: &str) {
    let projection = Projection::builder()
        .projection_type(ProjectionType::KeysOnly)
        .build();
    let index = GlobalSecondaryIndex::builder()
        .index_name("by-genre")
        .key_schema(partition("genre"));
    let index = index
        .projection(projection)
        .build()
        .expect("name and key are given");
    client.create(table, |create| {
        create
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .attribute_definitions(attribute("genre", ScalarAttributeType::S))
            .key_schema(partition("id"))
            .global_secondary_indexes(index)
    });
}

/// The dump `out` of the table `films`, and the live table `copy` behind a proxy.
fn scene(rules: impl Into<Vec<Rule>>) -> (Engine, Proxy, Project) {
    let engine = Engine::embedded();
    let client = engine.client();
    create_indexed(&client, "films");
    client.put("films", numbered(60));
    create_indexed(&client, "copy");
    client.put("copy", numbered(3));
    let proxy = Proxy::with_rules(&engine, rules);
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "copy");
    project.dumpdb(["--output=out"]).exits(0);

    (engine, proxy, project)
}

fn changes(proxy: &Proxy) -> usize {
    [
        "CreateTable",
        "DeleteTable",
        "UpdateTable",
        "BatchWriteItem",
    ]
    .map(|operation| proxy.count(operation))
    .iter()
    .sum()
}

#[test]
fn a_table_that_is_being_deleted_is_waited_for_and_then_created() {
    for more in [&[][..], &["--if-missing"], &["--replace"], &["--resume"]] {
        let (engine, proxy, project) = scene([always(DESCRIBE, Fault::Changed(deleting))]);
        let mut command = project.command("restoredb", RESTORE.iter().chain(more));
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();

        let child = child.expect("restoredb starts");
        poll("the table is waited for", || proxy.seen(DESCRIBE) > 4);
        assert_eq!(changes(&proxy), 0, "{more:?}");
        // The restore may create it before the faults end: it looks at the new table after that.
        proxy.hold(DESCRIBE, ..);
        engine.client().delete_if_there("copy");
        proxy.heal();
        proxy.release();
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(
            said.contains("being deleted, and will be created afterwards"),
            "{said}"
        );
        assert!(said.contains("waiting for the deletion"), "{said}");
        assert_eq!(proxy.count("DeleteTable"), 0);
        assert_eq!(
            engine.client().items("copy"),
            engine.client().items("films")
        );
    }
}

#[test]
fn a_dry_run_reports_that_the_table_is_being_deleted() {
    let (_engine, proxy, project) = scene([always(DESCRIBE, Fault::Changed(deleting))]);
    for more in [&[][..], &["--if-missing"], &["--replace"]] {
        let run = project
            .restoredb(RESTORE.iter().chain(&["--dry-run"]).chain(more))
            .exits(0);
        run.says("being deleted, and will be created afterwards");
    }

    for more in ["--data-only", "--no-create"] {
        project
            .restoredb(RESTORE.iter().chain(&[more]))
            .exits(11)
            .says("is being deleted")
            .says(more);
    }

    assert_eq!(changes(&proxy), 0);
}

#[test]
fn the_wait_for_a_table_ends_after_the_time_that_was_given() {
    for (change, state) in [
        (deleting as fn(&mut Value), "DELETING"),
        (updating, "UPDATING"),
        (index_deleting, "by-genre"),
    ] {
        let (_engine, proxy, project) = scene([always(DESCRIBE, Fault::Changed(change))]);
        let run = project
            .restoredb(RESTORE.iter().chain(&["--give-up-after=2s"]))
            .exits(1);
        run.says("after 2s")
            .says(state)
            .says("--give-up-after")
            .says("waiting until");
        assert_eq!(changes(&proxy), 0);
    }
}

#[test]
fn the_wait_for_a_creation_ends_after_the_time_that_was_given() {
    let answer = |_: &Value| {
        json!({"Table": {"TableName": "other", "TableStatus": "DELETING",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}]}})
    };

    let in_use = Fault::Refused("ResourceInUseException", "Table already exists: other");
    let (_engine, proxy, project) = scene([
        calls(DESCRIBE, 2..=usize::MAX, Fault::Answered(answer)),
        always("CreateTable", in_use),
    ]);
    let run = project
        .restoredb(
            RESTORE
                .iter()
                .chain(&["--table=other", "--give-up-after=4s"]),
        )
        .exits(1);

    run.says("still being deleted");
    assert!(proxy.count("CreateTable") > 1);
}

#[test]
fn a_table_deleted_after_the_plan_is_reported_and_not_written() {
    let (_engine, proxy, project) = scene([calls(DESCRIBE, 2..=2, Fault::Changed(deleting))]);
    project
        .restoredb(RESTORE)
        .exits(11)
        .says("table copy is being deleted");
    assert_eq!(changes(&proxy), 0);
    let folder = project.path(".local/state/dynadump");
    let left = std::fs::read_dir(folder)
        .map(Iterator::count)
        .unwrap_or_default();
    assert_eq!(left, 0, "nothing was begun");
}

#[test]
fn other_commands_say_that_the_table_is_being_deleted() {
    let (_engine, proxy, project) = scene([always(DESCRIBE, Fault::Changed(deleting))]);
    let words = "table \"copy\" of environment dev is being deleted";
    project
        .dumpdb(["--env=dev", "--output=new"])
        .exits(11)
        .says(words);
    project
        .dumpdb(["--env=dev", "--output=new", "--dry-run"])
        .exits(11)
        .says(words);
    project
        .verifydb(["--source=out", "--env=dev"])
        .exits(11)
        .says(words);
    project
        .verifydb(["--source=out", "--env=dev", "--schema-only"])
        .exits(11)
        .says(words);
    assert_eq!(proxy.count("Scan"), 0);
    assert!(!project.path("new").exists());
}

#[test]
fn an_index_that_was_being_deleted_is_not_created_again() {
    let (engine, proxy, project) = scene([always(DESCRIBE, Fault::Changed(index_deleting))]);
    let index = "index by-genre is DELETING";
    project
        .dumpdb(["--env=dev", "--output=halfway"])
        .exits(0)
        .says(index);
    proxy.heal();
    let run = project
        .restoredb(["--source=halfway", "--env=dev", "--yes", "--table=less"])
        .exits(0);
    run.says("GSI by-genre dropped: was being deleted");
    assert!(
        engine
            .client()
            .describe("less")
            .expect("it was created")
            .global_secondary_indexes()
            .is_empty()
    );

    let keeps = [
        "--source=halfway",
        "--env=dev",
        "--yes",
        "--table=more",
        "--set=only-index=by-genre",
    ];

    project.restoredb(keeps).exits(0);
    assert_eq!(
        engine
            .client()
            .describe("more")
            .expect("it was created")
            .global_secondary_indexes()
            .len(),
        1
    );

    // Into a table that exists, it is one index less to compare.
    let merge = ["--source=halfway", "--env=dev", "--yes", "--table=less"];
    project
        .restoredb(merge)
        .exits(0)
        .never_says("keeps its settings");
}

#[test]
fn an_index_being_deleted_in_the_target_is_reported() {
    let (_engine, proxy, project) = scene([calls(DESCRIBE, 1..=3, Fault::Changed(index_deleting))]);
    let run = project
        .restoredb(RESTORE.iter().chain(&["--dry-run"]))
        .exits(0);
    run.says("index by-genre is DELETING")
        .says("GSI by-genre")
        .says("table: being deleted");
    project
        .restoredb(RESTORE)
        .exits(0)
        .says("table: being deleted");
    assert_eq!(proxy.count("UpdateTable"), 0);
}

#[test]
fn a_table_that_takes_no_items_is_refused_by_the_plan() {
    for status in [
        "INACCESSIBLE_ENCRYPTION_CREDENTIALS",
        "ARCHIVED",
        "ARCHIVING",
    ] {
        let change: fn(&mut Value) = match status {
            "ARCHIVED" => |answer| set_status(answer, "ARCHIVED"),
            "ARCHIVING" => |answer| set_status(answer, "ARCHIVING"),
            _ => |answer| set_status(answer, "INACCESSIBLE_ENCRYPTION_CREDENTIALS"),
        };

        let (_engine, proxy, project) = scene([always(DESCRIBE, Fault::Changed(change))]);
        for more in [&[][..], &["--dry-run"], &["--data-only"]] {
            project
                .restoredb(RESTORE.iter().chain(more))
                .exits(1)
                .says(status);
        }

        project
            .restoredb(RESTORE.iter().chain(&["--if-missing"]))
            .exits(0);
        assert_eq!(changes(&proxy), 0);
    }
}
