//! Accounting of restored items: acknowledged items that are missing are detected, also if others were rejected or skipped, and
//! every count of the report is correct.

use aws_sdk_dynamodb::types::{BillingMode, ScalarAttributeType};
use serde_json::{Value, json};

use crate::support::client::{attribute, partition, sort, strings};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always, calls, with_text};
use crate::support::project::{Project, Run};

/// The write is acknowledged and not done.
fn dropped() -> Fault {
    Fault::Answered(|_| json!({ "UnprocessedItems": {} }))
}

/// A table `films` behind a proxy with these rules: the environment `dev`.
fn scene(rules: impl Into<Vec<Rule>>) -> (Engine, Proxy, Project) {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let proxy = Proxy::with_rules(&engine, rules);
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "films");

    (engine, proxy, project)
}

fn line(id: &str, version: usize) -> String {
    format!("{{\"id\":{{\"S\":\"{id}\"}},\"version\":{{\"N\":\"{version}\"}}}}\n")
}

fn keyless(number: usize) -> String {
    format!("{{\"title\":{{\"S\":\"title {number}\"}}}}\n")
}

fn restore(project: &Project, more: &[&str]) -> Run {
    let arguments = ["--source=items.jsonl", "--env=dev", "--yes", "--json"];
    project.restoredb(arguments.iter().chain(more))
}

#[track_caller]
fn counts<const N: usize>(run: &Run, expected: [(&str, u64); N]) {
    let summary = &run.report()["summary"];
    for (pointer, count) in expected {
        assert_eq!(
            summary.pointer(pointer),
            Some(&Value::from(count)),
            "{pointer}: {run}"
        );
    }
}

#[test]
fn a_lost_item_is_missing_however_many_were_rejected() {
    let (_engine, _proxy, project) = scene([calls("BatchWriteItem", 1..=2, dropped())]);
    let lines = (0..100).map(|number| line(&format!("item-{number:03}"), 1) + &keyless(number));
    project.write("items.jsonl", lines.collect::<String>());
    let run = restore(&project, &[]).exits(3);
    let run = run
        .says("50 items of the dump missing in the table")
        .says("NOT verified");
    counts(
        &run,
        [
            ("/items_rejected", 100),
            ("/items_lost", 50),
            ("/verified/equal", 50),
            ("/verified/missing", 50),
        ],
    );
}

#[test]
fn a_lost_item_is_missing_however_many_were_skipped() {
    let (_engine, _proxy, project) = scene([with_text("PutItem", "item-b", dropped())]);
    let lines = [("item-a", 1), ("item-b", 1), ("item-a", 2), ("item-a", 3)];
    project.write(
        "items.jsonl",
        lines.map(|(id, version)| line(id, version)).concat(),
    );
    let run = restore(&project, &["--on-conflict=skip"])
        .exits(3)
        .says("1 item of the dump missing in the table");
    counts(
        &run,
        [
            ("/items_skipped", 2),
            ("/items_lost", 1),
            ("/verified/equal", 1),
        ],
    );
}

#[test]
fn a_lost_item_is_missing_even_if_an_earlier_run_rejected_others() {
    let throttled = always("BatchWriteItem", Fault::TableThrottled);
    let (_engine, proxy, project) = scene([throttled]);
    let keyless = (0..40).map(keyless).collect::<String>();
    let lines = (0..100)
        .map(|number| line(&format!("item-{number:03}"), 1))
        .collect::<String>();
    project.write("items.jsonl", keyless + &lines);
    restore(&project, &["--give-up-after=1s", "--batch-size=10"]).exits(1);
    proxy.set([with_text("BatchWriteItem", "item-099", dropped())]);
    let run = restore(&project, &["--resume", "--batch-size=10"]).exits(3);
    counts(
        &run,
        [
            ("/items_rejected", 40),
            ("/items_written", 100),
            ("/items_lost", 10),
            ("/verified/equal", 90),
        ],
    );

    assert!(!run.report()["summary"]["resumed"].is_null(), "{run}");
}

/// One item of the dump becomes two, `a-…` and `b-…`.
const TWICE: &str = r#"--transform=(.id = S("a-" + (.id | str))), (.id = S("b-" + (.id | str)))"#;

fn refused() -> Fault {
    Fault::Refused(
        "ValidationException",
        "One or more parameter values were invalid",
    )
}

#[test]
fn a_lost_item_is_missing_although_another_output_of_its_item_was_rejected() {
    let rules = [
        with_text("BatchWriteItem", "b-item-003", refused()),
        with_text("BatchWriteItem", "a-item-003", dropped()),
    ];
    let (_engine, _proxy, project) = scene(rules);
    project.write(
        "items.jsonl",
        (0..10)
            .map(|number| line(&format!("item-{number:03}"), 1))
            .collect::<String>(),
    );

    let run = restore(&project, &[TWICE, "--batch-size=1"]).exits(3);
    counts(
        &run,
        [
            ("/items_rejected", 1),
            ("/items_lost", 1),
            ("/verified/equal", 18),
            ("/verified/missing", 1),
        ],
    );
}

#[test]
fn an_item_whose_outputs_are_all_refused_is_listed_and_counted_once() {
    let (engine, proxy, project) = scene([with_text("BatchWriteItem", "item-003", refused())]);
    project.write(
        "items.jsonl",
        (0..10)
            .map(|number| line(&format!("item-{number:03}"), 1))
            .collect::<String>(),
    );

    let run = restore(&project, &[TWICE])
        .exits(3)
        .says("verified 18 items read back and equal, all except those rejected");
    counts(
        &run,
        [
            ("/items_rejected", 1),
            ("/items_written", 18),
            ("/items_lost", 0),
        ],
    );

    let report = run.report();
    let path = report["summary"]["rejects_file"]
        .as_str()
        .expect("a file of rejects");
    let rejects = project.text(path);
    assert_eq!(rejects.lines().count(), 1, "{rejects}");
    let listed: Value = serde_json::from_str(&rejects).expect("a line of JSON");
    assert_eq!(listed["item"]["id"]["S"], "item-003");
    let outputs = ["/output/0/id/S", "/output/1/id/S"].map(|pointer| listed.pointer(pointer));
    assert_eq!(
        outputs,
        [Some(&"a-item-003".into()), Some(&"b-item-003".into())],
        "{rejects}"
    );

    // The file can be restored.
    proxy.heal();
    project
        .restoredb(["--env=dev", "--yes", "--source", path, TWICE])
        .exits(0);
    assert_eq!(engine.client().items("films").len(), 20);
}

#[test]
fn several_versions_of_an_item_are_one_item_in_the_table() {
    let (_engine, _proxy, project) = scene([]);
    let lines = (0..180).map(|number| line(&format!("item-{:02}", number % 60), number));
    project.write("items.jsonl", lines.collect::<String>());
    let run = restore(&project, &[])
        .exits(0)
        .says("Restored 60 items")
        .says(", verified.");
    counts(
        &run,
        [
            ("/items_read", 180),
            ("/items_written", 60),
            ("/items_superseded", 120),
        ],
    );
}

#[test]
fn versions_that_are_skipped_do_not_count_against_the_one_that_is_there() {
    let (_engine, _proxy, project) = scene([]);
    let lines = (0..30).map(|number| line(&format!("item-{}", number % 10), number));

    // The last lines are the first ones again: they are equal to what is there.
    let again = (0..10).map(|number| line(&format!("item-{number}"), number));
    project.write("items.jsonl", lines.chain(again).collect::<String>());
    let run = restore(&project, &["--on-conflict=skip"]).exits(0);
    let run = run.says("verified 10 items read back and equal, all except those skipped");
    counts(
        &run,
        [
            ("/items_written", 10),
            ("/items_already_there", 0),
            ("/items_skipped", 20),
        ],
    );

    counts(
        &run,
        [
            ("/verified/equal", 10),
            ("/verified/extra", 0),
            ("/items_superseded", 10),
        ],
    );
}

#[test]
fn a_restore_that_wrote_nothing_is_never_called_verified() {
    let (_engine, _proxy, project) = scene([]);
    project.write("items.jsonl", (0..30).map(keyless).collect::<String>());
    let run = restore(&project, &["--verify=full"])
        .exits(3)
        .says("30 items rejected")
        .never_says(", verified");
    assert_eq!(
        run.report()["summary"]["verified"],
        json!({ "mode": "none" })
    );
}

/// A dump `out` of a table with the key `pk`, `sk` and these items.
fn compound(items: &[(&str, &str)]) -> (Engine, Project) {
    let engine = Engine::embedded();
    engine.client().create("films", |table| {
        table
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("pk", ScalarAttributeType::S))
            .attribute_definitions(attribute("sk", ScalarAttributeType::S))
            .key_schema(partition("pk"))
            .key_schema(sort("sk"))
    });

    engine.client().put(
        "films",
        items
            .iter()
            .map(|(pk, sk)| strings([("pk", *pk), ("sk", *sk)])),
    );

    let project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);

    (engine, project)
}

#[test]
fn items_that_share_a_new_key_are_counted_and_named() {
    let (_engine, project) = compound(&[("a", "1"), ("a", "2"), ("b", "3")]);
    let arguments = [
        "--source=out",
        "--table=new",
        "--key-schema=pk:S",
        "--yes",
        "--json",
    ];

    let dry = project
        .restoredb(arguments.iter().chain(&["--dry-run"]))
        .exits(0);
    let dry = dry
        .says("1 item has the same key as another item")
        .says("has the key of item");
    let trial = &dry.report()["plan"]["trial"];
    assert_eq!(
        (&trial["collisions"], &trial["items_out"]),
        (&1.into(), &3.into()),
        "{dry}"
    );

    let run = project
        .restoredb(arguments)
        .exits(3)
        .says("1 item has the same key as another item");
    let run = run.never_says("by a later version in the same dump");
    counts(
        &run,
        [
            ("/collisions", 1),
            ("/items_overwritten", 1),
            ("/items_superseded", 0),
            ("/items_written", 2),
        ],
    );

    // Where nothing is overwritten, the later item is skipped, and the collision is reported all the same.
    let arguments = [
        "--source=out",
        "--table=kept",
        "--key-schema=pk:S",
        "--on-conflict=skip",
        "--yes",
        "--json",
    ];

    let run = project
        .restoredb(arguments)
        .exits(3)
        .says("1 item has the same key as another item");
    counts(
        &run,
        [
            ("/collisions", 1),
            ("/items_overwritten", 0),
            ("/items_skipped", 1),
            ("/items_written", 2),
        ],
    );
}

#[test]
fn two_items_of_a_scan_with_one_key_are_a_collision() {
    let (_engine, project) = compound(&[("a", "1"), ("a", "2"), ("b", "3")]);
    let data = project.text("out/table-data.json");
    let item = data
        .lines()
        .find(|line| line.contains("\"2\""))
        .expect("an item on a line")
        .trim_end_matches(',');

    project.write(
        "out/table-data.json",
        data.replacen("{\"Items\":[\n", &format!("{{\"Items\":[\n{item},\n"), 1),
    );
    let arguments = [
        "--source=out",
        "--table=new",
        "--salvage",
        "--yes",
        "--json",
    ];

    let dry = project
        .restoredb(arguments.iter().chain(&["--dry-run"]))
        .exits(0)
        .report();
    assert_eq!(dry["plan"]["trial"]["collisions"], 1, "{dry:#}");
    let run = project
        .restoredb(arguments)
        .exits(3)
        .says("1 item has the same key as another item");
    counts(
        &run,
        [
            ("/collisions", 1),
            ("/items_overwritten", 1),
            ("/items_superseded", 0),
            ("/items_written", 3),
        ],
    );
}

#[test]
fn a_dry_run_rejects_what_the_restore_would_reject() {
    let (_engine, _proxy, project) = scene([]);
    let lines = (0..10)
        .map(|number| line(&format!("item-{number}"), 1))
        .collect::<String>();
    project.write("items.jsonl", lines + &keyless(1) + &keyless(2));

    for more in [&[][..], &["--where", "true"]] {
        let dry = restore(&project, &[more, &["--dry-run"]].concat())
            .exits(0)
            .says("\"id\" is missing");
        let trial = &dry.report()["plan"]["trial"];
        let found =
            ["items_in", "rejected", "without_key", "items_out"].map(|name| trial[name].as_u64());
        assert_eq!(found, [12, 2, 2, 10].map(Some), "{dry}");
        let run = restore(&project, more).exits(3);
        counts(&run, [("/items_rejected", 2), ("/items_written", 10)]);
    }
}

#[test]
fn an_error_that_applies_to_every_item_stops_the_restore() {
    let (engine, proxy, project) = scene([always("BatchWriteItem", refused())]);
    let lines = (0..500)
        .map(|number| line(&format!("item-{number:03}"), 1))
        .collect::<String>();
    project.write("items.jsonl", lines);
    let run = restore(&project, &[])
        .exits(1)
        .says("no item was accepted; 100 in a row were refused");
    let run = run
        .says("One or more parameter values were invalid")
        .never_says(", verified");
    assert_eq!(run.report()["error"]["kind"], "failed", "{run}");

    // None of the items counts as done.
    proxy.heal();
    let run = restore(&project, &["--resume"]).exits(0);
    counts(&run, [("/items_written", 500), ("/items_rejected", 0)]);
    assert_eq!(engine.client().items("films").len(), 500);
}

#[test]
fn many_items_that_are_refused_do_not_stop_the_restore_once_one_was_accepted() {
    let (_engine, _proxy, project) = scene([with_text("BatchWriteItem", "bad", refused())]);
    let lines = (0..150).map(|number| line(&format!("bad-{number:03}"), 1));
    project.write("items.jsonl", line("good", 1) + &lines.collect::<String>());
    let run = restore(&project, &["--batch-size=1", "--concurrency=1"]).exits(3);
    counts(&run, [("/items_written", 1), ("/items_rejected", 150)]);
}
