//! `servedb --from`: dumps are restored before it reports ready.

use std::fmt::Write as _;
use std::fs;

use rustix::process::Signal;
use serde_json::json;

use crate::support::client::{numbered, poll, strings};
use crate::support::process::spawn_silent;
use crate::support::project::{Project, dump_of};
use crate::support::served::Served;

/// A project with a dump of 40 items in `out`, and no environment but `local`, whose file is `local.db`.
fn project() -> Project {
    let (_engine, project) = dump_of(40);
    project.environment_with("local", "http://localhost:4566", "")
}

#[test]
fn a_dump_is_restored_before_it_is_ready() {
    let project = project();
    let served = Served::start(&project, ["--listen=127.0.0.1:0", "--from=out"]);
    assert_eq!(served.client().items("films").len(), 40);

    let (status, messages) = served.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0), "{messages}");
    assert!(
        messages.contains("Restored 40 items to films"),
        "{messages}"
    );
}

#[test]
fn a_table_that_exists_is_left_alone_unless_it_is_replaced() {
    let project = project();
    let start = |more| Served::start(&project, ["--listen=127.0.0.1:0", "--from=out", more]);

    let served = start("--quiet");
    served
        .client()
        .put("films", [strings([("id", "of the application")])]);
    served.stop(Signal::TERM);

    let served = start("--verbose");
    assert_eq!(served.client().items("films").len(), 41);
    let (_, messages) = served.stop(Signal::TERM);
    assert!(
        messages.contains("exists and was not changed"),
        "{messages}"
    );

    let served = start("--replace");
    assert_eq!(served.client().items("films").len(), 40);
}

#[test]
fn one_dump_is_restored_into_the_table_of_the_environment() {
    let project = project().environment("local", "http://localhost:4566", "users");
    let served = Served::start(&project, ["--memory", "--listen=127.0.0.1:0", "--from=out"]);
    assert_eq!(served.client().items("users").len(), 40);
    assert!(served.client().describe("films").is_none());
}

#[test]
fn several_dumps_are_restored_into_their_own_tables() {
    let (engine, project) = dump_of(40);
    engine.client().create_simple("actors");
    engine.client().put("actors", numbered(7));
    project.dumpdb(["--table=actors", "--output=more"]).exits(0);

    let served = Served::start(
        &project,
        [
            "--memory",
            "--listen=127.0.0.1:0",
            "--from=out",
            "--from=more",
        ],
    );
    assert_eq!(served.client().items("films").len(), 40);
    assert_eq!(served.client().items("actors").len(), 7);
}

#[test]
fn the_dumps_of_a_set_are_restored_into_their_own_tables() {
    let (engine, project) = dump_of(40);
    engine.client().create_simple("actors");
    engine.client().put("actors", numbered(7));
    project
        .dumpdb(["--table=films,actors", "--output=set"])
        .exits(0);

    let served = Served::start(&project, ["--memory", "--listen=127.0.0.1:0", "--from=set"]);
    assert_eq!(served.client().items("films").len(), 40);
    assert_eq!(served.client().items("actors").len(), 7);
}

#[test]
fn a_dump_that_is_damaged_or_missing_ends_it_before_it_is_ready() {
    let project = project();
    let arguments = ["--memory", "--listen=127.0.0.1:0", "--ready-file=ready"];
    for (dump, code) in [("absent", 11), ("out", 12)] {
        project.write("out/table-data.json", "{}");
        let from = format!("--from={dump}");
        let run = crate::support::project::run(
            project.command("servedb", arguments.into_iter().chain([from.as_str()])),
            Vec::new(),
        )
        .exits(code);
        assert_eq!(run.output(), "");
        assert!(!project.path("ready").exists());
    }
}

/// A dump of `items` items of 200 bytes in `out`.
fn large_dump(items: usize) -> Project {
    let project = Project::empty();
    let mut lines = String::new();
    for id in 0..items {
        let text = "x".repeat(200);
        let item = json!({ "id": { "S": id.to_string() }, "text": { "S": text } });
        let _ = writeln!(lines, "{item}");
    }
    project.write("items.jsonl", lines);

    let table = json!({
        "TableName": "films",
        "BillingModeSummary": { "BillingMode": "PAY_PER_REQUEST" },
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
    });
    project.write("schema.json", json!({ "Table": table }).to_string());

    let source = ["--no-env", "--endpoint-url=embedded:source.db"];
    let restore = [
        "--source=items.jsonl",
        "--schema=schema.json",
        "--table=films",
        "--yes",
        "--verify=none",
    ];
    project.restoredb(source.iter().chain(&restore)).exits(0);
    let dump = ["--table=films", "--output=out"];
    project.dumpdb(source.iter().chain(&dump)).exits(0);

    project
}

#[test]
fn a_restore_that_was_killed_is_resumed_at_the_next_start() {
    const ITEMS: usize = 40_000;

    let project = large_dump(ITEMS);
    let arguments = [
        "--no-env",
        "--database=data.db",
        "--listen=127.0.0.1:0",
        "--from=out",
        "--verbose",
    ];
    let mut child = spawn_silent(project.command("servedb", arguments));
    // It has written some megabytes of about thirteen.
    let log = project.path("data.db-wal");
    poll("writes", || {
        fs::metadata(&log).is_ok_and(|log| log.len() > 2_000_000)
    });
    child.kill().expect("a child can be killed");
    let status = child.wait().expect("a child can be waited for");
    assert_eq!(status.code(), None, "it was killed before its end");

    let served = Served::start(&project, arguments);
    assert_eq!(served.client().items("films").len(), ITEMS);
    let (_, messages) = served.stop(Signal::TERM);
    assert!(
        messages.contains("Restored 40,000 items to films"),
        "{messages}"
    );
    assert!(messages.contains("of earlier attempts"), "{messages}");
}
