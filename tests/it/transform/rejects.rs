//! Rejected, skipped and multiplied items, and the file of rejects.

use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use super::events::{events, summary};
use crate::support::client::{n, numbered};
use crate::support::engine::Engine;
use crate::support::project::Project;

#[test]
fn rejects_file_is_kept_as_long_as_its_dump() {
    let (_engine, _, project) = events(20);
    let lines = || project.text("out.rejects.jsonl").lines().count();
    let dump = |filter: &str, more: &[&str], code| {
        project
            .dumpdb(
                ["--output=out", "--yes", "--transform", filter]
                    .iter()
                    .chain(more),
            )
            .exits(code)
    };

    dump(r#"error("no")"#, &[], 3).says("out.rejects.jsonl");
    assert_eq!(lines(), 20);
    let some = r#"if .type | str == "view" then error("no") else . end"#;
    dump(some, &["--transform-command=exit 7"], 1);
    assert_eq!(lines(), 20, "the dump that stands has these rejects");
    dump(some, &[], 3);
    assert_eq!(lines(), 10);
    let none_is_left = || {
        !project
            .names(".")
            .iter()
            .any(|name| name.contains("rejects"))
    };

    dump(".", &[], 0);
    assert!(none_is_left());
    dump(some, &[], 3);
    project.dumpdb(["--output=out", "--yes"]).exits(0);
    assert!(none_is_left(), "the dump that stands now has no rejects");
}

/// The outcome of an item follows from its `do`: left out, rejected, three in its place, changed, or as it is.
const ERRATIC: &str = r#"(.do | num) as $do | if $do == 0 then empty elif $do == 1 then error("no") elif $do == 2
    then ., (.copy = N(1)), (.copy = N(2)) elif $do == 3 then .text = S("other") else . end"#;

#[test]
fn rejects_file_is_elsewhere_if_the_dump_can_have_no_sibling() {
    let (engine, table, project) = events(3);
    let other = project.environment("dev", engine.url(), &table);

    // `<dump>.partial` is a name, `<dump>.rejects.jsonl.partial` is too long for one.
    let long = format!("--output={}", "d".repeat(240));
    let rejects = |target: &str, environment: &str| {
        let run = other
            .dumpdb([
                target,
                environment,
                "--transform",
                r#"error("no")"#,
                "--yes",
            ])
            .exits(3);

        let (_, path) = run
            .stderr
            .split_once("rejected by the transform, see ")
            .expect("a file of rejects");
        path.lines().next().expect("a path").trim().to_owned()
    };

    let files = [
        rejects(&long, "--env=local"),
        rejects("--output=-", "--env=local"),
        rejects("--output=-", "--env=dev"),
    ];

    for file in &files {
        assert!(file.contains("/.local/state/dynadump/"), "{file}");
        assert_eq!(other.text(file).lines().count(), 3, "{file}");
    }

    // A dump without rejects has no list of them.
    other.dumpdb([&long, "--transform=.", "--yes"]).exits(0);
    assert!(!other.path(&files[0]).exists());
}

fn erratic(item: &Value) -> Vec<Value> {
    let with = |name: &str, value: Value| {
        let mut item = item.clone();
        item[name] = value;
        item
    };

    match item["do"]["N"].as_str().expect("a number") {
        "0" | "1" => Vec::new(),
        "2" => vec![
            item.clone(),
            with("copy", json!({"N": "1"})),
            with("copy", json!({"N": "2"})),
        ],
        "3" => vec![with("text", json!({"S": "other"}))],
        _ => vec![item.clone()],
    }
}

#[test]
fn random_skips_copies_and_rejects_keep_the_order_and_are_counted() {
    let config = Config {
        cases: 4,
        max_shrink_iters: 20,
        failure_persistence: None,
        ..Config::default()
    };

    let property = |todo: Vec<u32>| {
        let engine = Engine::embedded();
        engine.client().create_simple("films");
        let items = numbered(todo.len())
            .into_iter()
            .zip(&todo)
            .map(|(mut item, todo)| {
                item.insert("do".to_owned(), n(todo));
                item
            });

        engine.client().put("films", items);
        let project = Project::on(&engine, "films");
        let lines = |name: &str| {
            let text = project.text(name);
            text.lines()
                .map(|line| serde_json::from_str(line).expect("an item"))
                .collect::<Vec<Value>>()
        };

        // In one segment, the order is the same each time.
        project
            .dumpdb(["--output=plain.jsonl", "--segments=1"])
            .exits(0);
        let counted = |wanted: u32| todo.iter().filter(|todo| **todo == wanted).count() as u64;
        // The copies have the key of their item, and a table can hold only one of them.
        let code = if counted(1) + counted(2) > 0 { 3 } else { 0 };
        let run = project
            .dumpdb([
                "--output=made.jsonl",
                "--segments=1",
                "--json",
                "--transform",
                ERRATIC,
            ])
            .exits(code)
            .report();
        let expected: Vec<_> = lines("plain.jsonl").iter().flat_map(erratic).collect();
        assert_eq!(lines("made.jsonl"), expected);
        let (dumped, out) = (&run["summary"], expected.len() as u64);
        let numbers = [
            "items_read",
            "items_changed",
            "items_left_out",
            "items_rejected",
        ];

        let wanted = [
            todo.len() as u64,
            counted(2) + counted(3),
            counted(0),
            counted(1),
        ];

        assert_eq!(summary(&dumped["transformed"], &numbers), wanted);
        assert_eq!(dumped["items"], out);
        let restore = [
            "--source=plain.jsonl",
            "--json",
            "--batch-size=7",
            "--transform",
            ERRATIC,
        ];

        let restored = project.restoredb(restore).exits(code).report();
        assert_eq!(summary(&restored["summary"], &numbers), wanted);
        let done = summary(
            &restored["summary"],
            &[
                "items_out",
                "items_written",
                "items_superseded",
                "items_overwritten",
            ],
        );

        assert_eq!((done[0], done[1] + done[2] + done[3]), (out, out));
        Ok(())
    };

    // Random lists are too long for one without rejects or without copies.
    for todo in [vec![1], vec![2], vec![3], vec![4], vec![0, 2, 4]] {
        property(todo).expect("what was done with each item");
    }

    let todo = proptest::collection::vec(0..5u32, 1..700);
    TestRunner::new(config)
        .run(&todo, property)
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn strict_stops_at_the_first_reject() {
    let (engine, _, project) = events(20);
    let filter = r#"if .timestamp | num == 1700000007 then error("not this") else . end"#;
    let run = project
        .dumpdb(["--output=out", "--strict", "--transform", filter])
        .exits(3);

    // Engines put spaces where they like.
    let told = run.stderr.replace(": ", ":");
    assert!(
        told.contains(
            r#"the first rejected item, {"pk":{"S":"p0"},"old_sk":{"S":"old-0007"}}:not this"#
        ),
        "{run}"
    );

    assert!(!project.path("out").exists());
    project.dumpdb(["--output=out"]).exits(0);
    let copy = engine.table("copy");
    let table = format!("--table={copy}");
    let run = project
        .restoredb([
            "--source=out",
            "--yes",
            "--strict",
            "--transform",
            filter,
            &table,
        ])
        .exits(3);

    run.says("stopped at the first rejected item")
        .says("not this");
}
