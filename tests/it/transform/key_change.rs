//! Transforms that change the key of items.

use serde_json::Value;

use super::events::{NEW_SORT_KEY, event, events, sorted, summary, with_new_sort_key};

#[test]
fn dump_and_restore_with_another_sort_key() {
    let (engine, table, project) = events(60);
    project.dumpdb(["--output=out"]).exits(0);
    let new = engine.table("events-new");
    let arguments = [
        "--source=out",
        "--yes",
        "--json",
        "--key-schema=pk:S,new_sk:S",
        "--verify=full",
    ];

    let arguments = || {
        arguments
            .iter()
            .map(|one| (*one).to_owned())
            .chain([format!("--table={new}")])
    };

    let dry = arguments().chain([
        "--transform".to_owned(),
        NEW_SORT_KEY.to_owned(),
        "--dry-run".to_owned(),
    ]);

    let dry = project.restoredb(dry).exits(0).report();
    assert_eq!(
        summary(
            &dry["plan"]["trial"],
            &["items_in", "changed", "items_out", "without_key"]
        ),
        [60, 60, 60, 0]
    );

    assert!(
        engine.client().describe(&new).is_none(),
        "a dry run makes no table"
    );
    let run = project
        .restoredb(arguments().chain(["--transform".to_owned(), NEW_SORT_KEY.to_owned()]))
        .exits(0);
    let report = run.report();
    let done = summary(
        &report["summary"],
        &["items_read", "items_out", "items_changed", "items_written"],
    );
    assert_eq!(done, [60, 60, 60, 60]);
    assert_eq!(report["summary"]["verified"]["equal"], 60);
    let items = engine.client().items(&new);
    assert_eq!(
        sorted(items.into_values()),
        sorted((0..60).map(|number| with_new_sort_key(event(number))))
    );
    assert_eq!(engine.client().items(&table).len(), 60);
}

#[test]
fn transform_command_gives_the_same_result_as_a_filter() {
    let (engine, _, project) = events(40);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/transform.py");
    project
        .dumpdb([
            "--output=out",
            "--transform-command",
            &format!("python3 {script}"),
            "--transform-jobs=2",
        ])
        .exits(0);

    let metadata = project.json("out/table-metadata.json");
    assert_eq!(
        (&metadata["transformed"], &metadata["complete"]),
        (&Value::Bool(true), &Value::Bool(true))
    );
    let new = engine.table("events-new");
    let table = format!("--table={new}");
    project
        .restoredb([
            "--source=out",
            "--yes",
            "--key-schema=pk:S,new_sk:S",
            &table,
        ])
        .exits(0);

    assert_eq!(
        sorted(engine.client().items(&new).into_values()),
        sorted((0..40).map(|one| with_new_sort_key(event(one))))
    );
}

#[test]
fn items_without_the_new_key_or_too_large_are_rejected_unchanged() {
    let (engine, _, project) = events(12);
    project.dumpdb(["--output=out"]).exits(0);
    let filter = r#"if .old_sk | str == "old-0003" then drop("pk") elif .old_sk | str == "old-0004" then .x = S("y" * 500000) else . end"#;
    let table = engine.table("copy");
    let to = format!("--table={table}");
    let arguments = [
        "--source=out",
        "--yes",
        "--json",
        "--transform",
        filter,
        &to,
    ];

    let dry = project
        .restoredb(arguments.iter().chain(&["--dry-run"]))
        .exits(0)
        .report();
    let trial = &dry["plan"]["trial"];
    assert_eq!(
        summary(
            trial,
            &["without_key", "too_large", "rejected", "items_out"]
        ),
        [1, 1, 2, 10]
    );

    let run = project.restoredb(arguments).exits(3).report();
    assert_eq!(
        summary(&run["summary"], &["items_rejected", "items_written"]),
        [2, 10]
    );
    let rejects = project.text(format!("out.restore-{table}.local.rejects.jsonl"));
    assert!(
        rejects.contains(r#"after the transform: key attribute \"pk\" is missing"#),
        "{rejects}"
    );
    assert!(
        rejects.contains("the limit for an item is 409600") && !rejects.contains("yyyy"),
        "{rejects}"
    );
}

#[test]
fn key_collisions_are_counted_in_the_dry_run_and_reported() {
    let (engine, _, project) = events(10);
    project.dumpdb(["--output=out"]).exits(0);
    let filter = ".old_sk = .type";

    // Ten events, seven partitions, two types: 0 and 7, 1 and 8, 2 and 9 share a partition, and their types differ.
    let meets = r#".old_sk = S("all")"#;
    let to = format!("--table={}", engine.table("copy"));
    let dry = |filter: &str| {
        let report = project
            .restoredb([
                "--source=out",
                "--dry-run",
                "--json",
                "--transform",
                filter,
                &to,
            ])
            .exits(0)
            .report();

        report["plan"]["trial"]["collisions"]
            .as_u64()
            .expect("a number")
    };

    assert_eq!((dry(filter), dry(meets)), (0, 3));
    let run = project
        .restoredb(["--source=out", "--yes", "--json", "--transform", meets, &to])
        .exits(3);
    let run = run.says("3 items have the same key as another item");
    assert_eq!(run.report()["summary"]["collisions"], 3);
}

#[test]
fn several_results_with_the_same_key_are_collisions() {
    let (engine, _, project) = events(10);
    // Three of ten become two items each, and nobody gave the second a key of its own.
    let twice =
        r#"--transform=if .timestamp | num < 1700000003 then ., (.copy = S("yes")) else . end"#;
    let run = project.dumpdb(["--output=twice", "--json", twice]).exits(3);
    assert_eq!(run.report()["summary"]["transformed"]["collisions"], 3);
    run.says("3 items have the same key as another item");
    project.dumpdb(["--output=out"]).exits(0);
    let to = format!("--table={}", engine.table("copy"));
    let run = project
        .restoredb(["--source=out", "--dry-run", "--json", twice, &to])
        .exits(0);
    assert_eq!(run.report()["plan"]["trial"]["collisions"], 3);
    let run = project
        .restoredb(["--source=out", "--yes", "--json", twice, &to])
        .exits(3);
    assert_eq!(
        summary(
            &run.report()["summary"],
            &["items_written", "items_overwritten", "collisions"]
        ),
        [10, 3, 3]
    );
}

#[test]
fn dump_without_the_original_key_hints_at_key_schema() {
    let (engine, _, project) = events(10);
    let run = project
        .dumpdb(["--output=out", "--transform", NEW_SORT_KEY])
        .exits(0);
    run.says("10 items that came out have not the table's key (pk, old_sk)")
        .says("--key-schema");
    project
        .verifydb(["out"])
        .exits(12)
        .says("the items were transformed when they were dumped")
        .says("--key-schema");

    let new = engine.table("events-new");
    project
        .restoredb([
            "--source=out",
            "--yes",
            "--key-schema=pk:S,new_sk:S",
            "--table",
            &new,
        ])
        .exits(0);

    assert_eq!(engine.client().items(&new).len(), 10);
}
