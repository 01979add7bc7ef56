//! What a restore claims about its items: an acknowledged item that is missing is found, whatever else was rejected or skipped, and
//! every number counts what its name says.

use serde_json::{Value, json};

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
    let proxy = Proxy::of(&engine, rules);
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
        assert_eq!(summary.pointer(pointer), Some(&Value::from(count)), "{pointer}: {run}");
    }
}

#[test]
fn a_lost_item_is_missing_however_many_were_rejected() {
    let (_engine, _proxy, project) = scene([calls("BatchWriteItem", 1..=2, dropped())]);
    let lines = (0..100).map(|number| line(&format!("item-{number:03}"), 1) + &keyless(number));
    project.write("items.jsonl", lines.collect::<String>());
    let run = restore(&project, &[]).exits(3);
    let run = run.says("50 items of the dump missing in the table").says("NOT verified");
    counts(&run, [("/items_rejected", 100), ("/items_lost", 50), ("/verified/equal", 50), ("/verified/missing", 50)]);
}

#[test]
fn a_lost_item_is_missing_however_many_were_skipped() {
    let (_engine, _proxy, project) = scene([with_text("PutItem", "item-b", dropped())]);
    let lines = [("item-a", 1), ("item-b", 1), ("item-a", 2), ("item-a", 3)];
    project.write("items.jsonl", lines.map(|(id, version)| line(id, version)).concat());
    let run = restore(&project, &["--on-conflict=skip"]).exits(3).says("1 item of the dump missing in the table");
    counts(&run, [("/items_skipped", 2), ("/items_lost", 1), ("/verified/equal", 1)]);
}

#[test]
fn a_lost_item_is_missing_whatever_an_earlier_run_rejected() {
    let throttled = always("BatchWriteItem", Fault::TableThrottled);
    let (_engine, proxy, project) = scene([throttled]);
    let keyless = (0..40).map(keyless).collect::<String>();
    let lines = (0..100).map(|number| line(&format!("item-{number:03}"), 1)).collect::<String>();
    project.write("items.jsonl", keyless + &lines);
    restore(&project, &["--give-up-after=1s", "--batch-size=10"]).exits(1);
    proxy.set([with_text("BatchWriteItem", "item-099", dropped())]);
    let run = restore(&project, &["--resume", "--batch-size=10"]).exits(3);
    counts(&run, [("/items_rejected", 40), ("/items_written", 100), ("/items_lost", 10), ("/verified/equal", 90)]);
    assert!(!run.report()["summary"]["resumed"].is_null(), "{run}");
}

/// One item of the dump becomes two, `a-…` and `b-…`.
const TWICE: &str = r#"--transform=(.id = S("a-" + (.id | str))), (.id = S("b-" + (.id | str)))"#;

fn refused() -> Fault {
    Fault::Refused("ValidationException", "One or more parameter values were invalid")
}

#[test]
fn a_lost_item_is_missing_although_another_output_of_its_item_was_rejected() {
    let rules =
        [with_text("BatchWriteItem", "b-item-003", refused()), with_text("BatchWriteItem", "a-item-003", dropped())];
    let (_engine, _proxy, project) = scene(rules);
    project.write("items.jsonl", (0..10).map(|number| line(&format!("item-{number:03}"), 1)).collect::<String>());
    let run = restore(&project, &[TWICE, "--batch-size=1"]).exits(3);
    counts(&run, [("/items_rejected", 1), ("/items_lost", 1), ("/verified/equal", 18), ("/verified/missing", 1)]);
}

#[test]
fn an_item_whose_outputs_are_all_refused_is_listed_and_counted_once() {
    let (engine, proxy, project) = scene([with_text("BatchWriteItem", "item-003", refused())]);
    project.write("items.jsonl", (0..10).map(|number| line(&format!("item-{number:03}"), 1)).collect::<String>());
    let run =
        restore(&project, &[TWICE]).exits(3).says("verified: 18 items read back and equal, all but those rejected");
    counts(&run, [("/items_rejected", 1), ("/items_written", 18), ("/items_lost", 0)]);
    let report = run.report();
    let path = report["summary"]["rejects_file"].as_str().expect("a file of rejects");
    let rejects = project.text(path);
    assert_eq!(rejects.lines().count(), 1, "{rejects}");
    let listed: Value = serde_json::from_str(&rejects).expect("a line of JSON");
    assert_eq!(listed["item"]["id"]["S"], "item-003");
    let outputs = ["/output/0/id/S", "/output/1/id/S"].map(|pointer| listed.pointer(pointer));
    assert_eq!(outputs, [Some(&"a-item-003".into()), Some(&"b-item-003".into())], "{rejects}");
    // The file can be restored.
    proxy.heal();
    project.restoredb(["--env=dev", "--yes", "--source", path, TWICE]).exits(0);
    assert_eq!(engine.client().items("films").len(), 20);
}

#[test]
fn several_versions_of_an_item_are_one_item_in_the_table() {
    let (_engine, _proxy, project) = scene([]);
    let lines = (0..180).map(|number| line(&format!("item-{:02}", number % 60), number));
    project.write("items.jsonl", lines.collect::<String>());
    let run = restore(&project, &[]).exits(0).says("60 items written").says("verified: all 60 items");
    counts(&run, [("/items_read", 180), ("/items_written", 60), ("/items_superseded", 120)]);
}

#[test]
fn versions_that_are_skipped_do_not_count_against_the_one_that_is_there() {
    let (_engine, _proxy, project) = scene([]);
    let lines = (0..30).map(|number| line(&format!("item-{}", number % 10), number));
    // The last lines are the first ones again: they are equal to what is there.
    let again = (0..10).map(|number| line(&format!("item-{number}"), number));
    project.write("items.jsonl", lines.chain(again).collect::<String>());
    let run = restore(&project, &["--on-conflict=skip"]).exits(0);
    let run = run.says("verified: 10 items read back and equal, all but those skipped");
    counts(&run, [("/items_written", 10), ("/items_already_there", 0), ("/items_skipped", 20)]);
    counts(&run, [("/verified/equal", 10), ("/verified/extra", 0), ("/items_superseded", 10)]);
}

#[test]
fn a_restore_that_wrote_nothing_is_never_called_verified() {
    let (_engine, _proxy, project) = scene([]);
    project.write("items.jsonl", (0..30).map(keyless).collect::<String>());
    let run = restore(&project, &["--verify=full"]).exits(3).says("30 items rejected").never_says("verified:");
    assert_eq!(run.report()["summary"]["verified"], json!({ "mode": "none" }));
}
