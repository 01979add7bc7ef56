//! Killed and resumed dumps and restores with a transform.

use std::time::Duration;

use serde_json::Value;

use super::events::summary;
use crate::support::client::{numbered, poll, s};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always};
use crate::support::process::spawn_silent;
use crate::support::project::Project;

#[test]
fn killed_dump_resumes_only_with_the_same_transform() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put(
        "films",
        numbered(3_000).into_iter().map(|mut item| {
            item.insert("padding".to_owned(), s("x".repeat(3_000)));
            item
        }),
    );

    let proxy = Proxy::with_rules(
        &engine,
        [always("Scan", Fault::Late(Duration::from_millis(400)))],
    );
    // The progress is saved after a page that arrives a second after the start. The last pages do not arrive before the kill.
    proxy.hold("Scan", 8..);
    let project = Project::empty().environment("slow", proxy.url(), "films");
    let filter = r#"(.id | str | .[5:] | tonumber % 10) as $rest | if $rest == 0 then empty elif $rest == 1 then error("one") else .mark = S("m") | drop("padding") end"#;
    let arguments = [
        "--env=slow",
        "--output=out.jsonl",
        "--json",
        "--segments=1",
        "--transform",
        filter,
    ];

    let mut child = spawn_silent(project.command("dumpdb", arguments));
    poll("a journal is there", || {
        project.path("out.jsonl.journal").exists()
    });
    child.kill().expect("a child can be killed");
    child.wait().expect("a child can be waited for");
    let other = [
        "--env=slow",
        "--output=out.jsonl",
        "--resume",
        "--transform",
        "del(.padding)",
    ];

    project.dumpdb(other).exits(2).says("transform:");
    proxy.heal();
    proxy.release();
    let summary_of = project
        .dumpdb(arguments.iter().chain(&["--resume"]))
        .exits(3)
        .report();
    let summary_of = &summary_of["summary"];
    assert_eq!(summary_of["resumed"], 1, "{summary_of:#}");
    assert_eq!(
        summary(
            &summary_of["transformed"],
            &[
                "items_read",
                "items_changed",
                "items_left_out",
                "items_rejected"
            ]
        ),
        [3000, 2400, 300, 300]
    );

    let (text, rejects) = (
        project.text("out.jsonl"),
        project.text("out.jsonl.rejects.jsonl"),
    );
    let ids = |text: &str, at: &str| {
        let id = |line: &str| {
            serde_json::from_str::<Value>(line)
                .expect("a line")
                .pointer(at)
                .expect("an id")
                .to_string()
        };

        let mut ids: Vec<String> = text.lines().map(id).collect();
        ids.sort();
        ids
    };

    let wanted = |rest: &[usize]| -> Vec<String> {
        (0..3_000)
            .filter(|number| rest.contains(&(number % 10)))
            .map(|number| format!("\"item-{number:06}\""))
            .collect()
    };

    assert_eq!(ids(&text, "/id/S"), wanted(&[2, 3, 4, 5, 6, 7, 8, 9]));
    assert_eq!(ids(&rejects, "/item/id/S"), wanted(&[1]));
}

#[test]
fn killed_restore_counts_every_item_once() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(600));
    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::on(&engine, "films").environment("slow", proxy.url(), "copy");
    project.dumpdb(["--output=out"]).exits(0);
    let filter = r#"(.id | str | .[5:] | tonumber % 10) as $rest | if $rest == 0 then empty elif $rest == 1 then error("one") elif $rest == 2 then ., (.id = S("b" + (.id | str))), (.id = S("c" + (.id | str))) else . end"#;
    let arguments = [
        "--source=out",
        "--env=slow",
        "--yes",
        "--json",
        "--batch-size=3",
        "--transform",
        filter,
    ];

    // Even if each run saved all that it wrote, some of the 200 calls are left.
    for round in 1..6 {
        let goal = proxy.seen("BatchWriteItem") + 8 * round;
        proxy.hold("BatchWriteItem", goal + 4..);
        let restore = project.command("restoredb", arguments.iter().chain(&["--resume"]));
        let mut child = spawn_silent(restore);
        poll("the restore writes", || {
            proxy.seen("BatchWriteItem") >= goal
        });
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
        proxy.release();
    }

    let other = project
        .restoredb([
            "--source=out",
            "--env=slow",
            "--yes",
            "--resume",
            "--transform",
            ".",
        ])
        .exits(1);

    other.says("it was run with another transform");
    let report = project
        .restoredb(arguments.iter().chain(&["--resume"]))
        .exits(3)
        .report();
    let done = [
        "items_read",
        "items_changed",
        "items_left_out",
        "items_rejected",
        "items_out",
        "items_written",
    ];

    assert_eq!(
        summary(&report["summary"], &done),
        [600, 60, 60, 60, 600, 600],
        "{report:#}"
    );

    assert_eq!(engine.client().items("copy").len(), 600);
    assert_eq!(
        project
            .text("out.restore-copy.slow.rejects.jsonl")
            .lines()
            .count(),
        60
    );
}
