//! Dry runs of transforms: counts and previews.

use super::events::{NEW_SORT_KEY, events, summary};

#[test]
fn dry_run_counts_match_the_real_run() {
    let (engine, _, project) = events(50);
    project.dumpdb(["--output=out"]).exits(0);

    // One in five is left out, one in five rejected, one in five doubled; of the rest some change.
    let filter = r#"(.timestamp | num % 5) as $rest
        | if $rest == 0 then empty elif $rest == 1 then error("no \(1)") elif $rest == 2 then ., (.old_sk = S("x\(.old_sk | str)"))
          elif $rest == 3 then .kind = S("k") else . end"#;
    let numbers = ["items_in", "changed", "left_out", "rejected", "items_out"];
    let dump = project
        .dumpdb(["--output=new", "--dry-run", "--json", "--transform", filter])
        .exits(0)
        .report();
    assert_eq!(
        summary(&dump["plan"]["trial"], &numbers),
        [50, 20, 10, 10, 40]
    );
    assert!(!project.path("new").exists());
    let dumped = project
        .dumpdb(["--output=new", "--json", "--transform", filter])
        .exits(3)
        .report();
    let done = [
        "items_read",
        "items_changed",
        "items_left_out",
        "items_rejected",
    ];

    assert_eq!(
        summary(&dumped["summary"]["transformed"], &done),
        [50, 20, 10, 10]
    );
    assert_eq!(dumped["summary"]["items"], 40);
    let metadata = project.json("new/table-metadata.json");
    assert_eq!(
        (
            &metadata["partial"]["left_out"],
            &metadata["partial"]["rejected"]
        ),
        (&10.into(), &10.into())
    );

    assert_eq!(metadata["complete"], false);
    let rejects = project.text("new.rejects.jsonl");
    assert_eq!(rejects.lines().count(), 10);
    assert!(
        rejects
            .lines()
            .all(|line| line.starts_with(r#"{"reason":"no 1","item":{"#)),
        "{rejects}"
    );

    let copy = engine.table("copy");
    let to_copy = format!("--table={copy}");
    let arguments = [
        "--source=out",
        "--yes",
        "--json",
        "--transform",
        filter,
        &to_copy,
    ];

    let dry = project
        .restoredb(arguments.iter().chain(&["--dry-run"]))
        .exits(0)
        .report();
    let trial = &dry["plan"]["trial"];
    assert_eq!(summary(trial, &numbers), [50, 20, 10, 10, 40]);
    assert_eq!(
        summary(
            trial,
            &["without_key", "too_large", "collisions", "write_units"]
        ),
        [0, 0, 0, 40]
    );

    assert_eq!(trial["reasons"][0], serde_json::json!(["no 1", 10]));
    let real = project.restoredb(arguments).exits(3).report();
    let done = [
        "items_read",
        "items_changed",
        "items_left_out",
        "items_rejected",
        "items_out",
        "items_written",
    ];

    assert_eq!(summary(&real["summary"], &done), [50, 20, 10, 10, 40, 40]);
    assert_eq!(engine.client().items(&copy).len(), 40);
    let rejects = project.text(format!("out.restore-{copy}.local.rejects.jsonl"));
    assert_eq!(rejects.lines().count(), 10);

    // The file holds the items as the dump has them, so that the same command reads it.
    let file = format!("--source=out.restore-{copy}.local.rejects.jsonl");
    let again = project
        .restoredb([&file, &to_copy, "--yes", "--json"])
        .exits(0)
        .report();
    assert_eq!(again["summary"]["items_written"], 10);
}

#[test]
fn show_prints_items_before_and_after() {
    let (_engine, _, project) = events(3);
    let run = project
        .dumpdb([
            "--dry-run",
            "--show=1",
            "--color=always",
            "--transform",
            NEW_SORT_KEY,
        ])
        .exits(0);

    assert!(
        run.stderr
            .contains("\u{1b}[31m-   \"old_sk\": {\"S\":\"old-"),
        "{run}"
    );

    assert!(
        run.stderr.contains("\u{1b}[32m+   \"new_sk\": {\"S\":\""),
        "{run}"
    );
    run.says("Dry run: 3 items read")
        .says("changed 3 items")
        .says("without key 3 items");
}

#[test]
fn show_prints_items_of_the_sample_and_a_dump_costs_no_write_units() {
    let (_engine, _, project) = events(200);
    let run = project
        .dumpdb([
            "--dry-run",
            "--sample=5%",
            "--show=1",
            "--transform",
            NEW_SORT_KEY,
        ])
        .exits(0);

    run.says("+   \"new_sk\": {\"S\":\"")
        .never_says("write units");
}
