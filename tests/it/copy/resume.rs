//! Interrupted copies, and copies through errors on both sides.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::Scene;
use crate::support::client::poll;
use crate::support::faults::{Fault, Rule, always, calls, size_for, sometimes};
use crate::support::journal::{journals, read};
use crate::support::process::{spawn_silent, spawn_with_messages, stopped};

const WRITE: &str = "BatchWriteItem";

/// Errors on one side.
fn storm(operation: &'static str, seed: u64) -> Vec<Rule> {
    vec![
        sometimes(operation, 10, seed, Fault::TableThrottled),
        sometimes(operation, 5, seed + 100, Fault::CutInAnswer),
        sometimes(operation, 5, seed + 200, Fault::Status(503)),
        sometimes(operation, 5, seed + 300, Fault::Closed),
    ]
}

fn progress(scene: &Scene) -> Value {
    journals(&scene.project)
        .first()
        .map_or(Value::Null, |path| {
            read(&scene.project, path)["restore"]["progress"].take()
        })
}

/// Stops a copy after this number of further calls. Returns its messages.
fn stopped_after(scene: &Scene, more_calls: usize, options: &[&str]) -> String {
    let goal = scene.target_proxy.seen(WRITE) + more_calls;
    scene.target_proxy.hold(WRITE, goal..);
    let copy = scene.project.command("copydb", Scene::arguments(options));
    let child = spawn_with_messages(copy);
    poll("the copy writes", || scene.target_proxy.seen(WRITE) >= goal);
    let (status, messages) = stopped(child, Signal::TERM, &scene.target_proxy);
    assert_eq!(status.code(), Some(130), "{messages}");

    messages
}

#[test]
fn a_copy_survives_errors_on_both_sides() {
    for seed in 1..4 {
        let scene = Scene::with_rules(300, 2_000, storm("Scan", seed), storm(WRITE, seed + 10));
        let summary = scene.summary(&["--segments=5"]);
        scene.is_equal();
        assert_eq!(summary["items_written"], 300, "{summary:#}");
    }
}

#[test]
fn a_copy_that_was_stopped_resumes_from_the_positions_of_the_source() {
    let slow = always(WRITE, Fault::Late(Duration::from_millis(20)));
    let scene = Scene::with_rules(600, 2_000, Vec::new(), vec![slow]);
    let options = ["--segments=8", "--batch-size=5", "--verify=none"];
    let messages = stopped_after(&scene, 60, &options);
    assert!(messages.contains("--resume"), "{messages}");
    assert!(
        messages.contains(" of ~600 items had been written"),
        "{messages}"
    );
    let calls = scene.target_proxy.calls();
    let created = calls.iter().find(|call| call.operation == "CreateTable");
    let tag = created.expect("CreateTable").body["Tags"][0]["Value"].to_string();
    assert!(
        tag.ends_with(" from table films of environment here\""),
        "{tag}"
    );
    let saved = progress(&scene);
    let read = saved["counts"]["read"].as_u64().expect("a count");
    assert!(read > 0, "{saved:#}");
    assert_eq!(
        saved["lanes"]["segments"].as_array().map(Vec::len),
        Some(8),
        "{saved:#}"
    );

    // The number of segments is that of the interrupted copy.
    let scans = scene.source_proxy.calls().len();
    let summary = scene.summary(&["--batch-size=5", "--verify=full", "--resume"]);
    assert_eq!(
        (&summary["items_read"], &summary["items_written"]),
        (&600.into(), &600.into()),
        "{summary:#}"
    );
    assert_eq!(summary["resumed"]["items"], read, "{summary:#}");
    scene.is_equal();
    let calls = scene.source_proxy.calls();
    let resumed = calls[scans..].iter().find(|call| call.operation == "Scan");
    let resumed = resumed.expect("a Scan");
    assert_eq!(resumed.body["TotalSegments"], 8, "{:#}", resumed.body);
    assert!(journals(&scene.project).is_empty());
}

#[test]
fn a_copy_that_is_killed_again_and_again_is_complete_in_the_end() {
    let slow = always(WRITE, Fault::Late(Duration::from_millis(20)));
    let scene = Scene::with_rules(500, 3_000, Vec::new(), vec![slow]);
    let options = ["--segments=6", "--batch-size=4", "--resume"];
    for _ in 0..6 {
        let goal = scene.target_proxy.seen(WRITE) + 8;
        let mut child = spawn_silent(scene.project.command("copydb", Scene::arguments(&options)));
        poll("the copy writes", || scene.target_proxy.seen(WRITE) >= goal);
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
    }

    scene.target_proxy.heal();
    let summary = scene.summary(&options);
    assert_eq!(summary["verified"]["equal"], 500, "{summary:#}");
    scene.is_equal();
}

#[test]
fn a_copy_with_other_options_or_of_a_recreated_table_is_not_resumed() {
    let slow = always(WRITE, Fault::Late(Duration::from_millis(20)));
    let scene = Scene::with_rules(300, 2_000, Vec::new(), vec![slow]);
    stopped_after(&scene, 20, &["--segments=4", "--batch-size=5"]);

    for (options, reason) in [
        (&["--segments=5"][..], "it was run with --segments 4"),
        (
            &["--transform=.a = {S: \"b\"}"],
            "it was run with another transform",
        ),
        (
            &["--filter-expression=attribute_exists(id)"],
            "it was of another source",
        ),
        (
            &["--on-conflict=skip"],
            "it was run with --on-conflict overwrite",
        ),
    ] {
        let options: Vec<_> = ["--resume"].iter().chain(options).copied().collect();
        scene.copy(&options).exits(1).says(reason);
    }

    scene.source.delete_if_there("films");
    scene.source.create_simple("films");
    scene
        .copy(&["--resume"])
        .exits(1)
        .says("it was of another source");
}

#[test]
fn a_source_that_fails_leaves_a_copy_that_can_be_resumed() {
    let scene = Scene::new(400, 3_000);
    scene.source_proxy.set([
        always("DescribeTable", Fault::Changed(size_for(1))),
        calls(
            "Scan",
            3..=usize::MAX,
            Fault::Refused("AccessDeniedException", "no"),
        ),
    ]);
    scene.copy(&["--segments=2"]).exits(10).says("--resume");

    scene.source_proxy.heal();
    scene.summary(&["--segments=2", "--resume"]);
    scene.is_equal();
}
