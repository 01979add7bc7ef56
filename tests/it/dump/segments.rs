//! Parallel segments: many segments, a limited number at a time, and no waiting for slow or large ones.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::{numbered, poll, strings};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always, with_text};
use crate::support::films::items_in_text;
use crate::support::process::{spawn_silent, spawn_with_messages, stopped};
use crate::support::project::Project;

const ITEMS: usize = 400;

fn behind(rules: impl Into<Vec<Rule>>) -> (Engine, Proxy, Project) {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(ITEMS));
    let proxy = Proxy::with_rules(&engine, rules);
    let project = Project::empty()
        .environment("dev", proxy.url(), "films")
        .chooses_segments();

    (engine, proxy, project)
}

/// The segments that were asked for, in the order of the calls.
fn asked(proxy: &Proxy) -> Vec<u64> {
    let scans = proxy
        .calls()
        .into_iter()
        .filter(|call| call.operation == "Scan");
    scans
        .map(|scan| scan.body["Segment"].as_u64().expect("a segment"))
        .collect()
}

#[test]
fn a_stalled_segment_does_not_delay_the_others() {
    // A call that hangs is given up after a quarter of the patience.
    let (_engine, proxy, project) =
        behind([with_text("Scan", r#""Segment":0,"#, Fault::SilentReporter)]);
    let child = spawn_silent(project.command(
        "dumpdb",
        [
            "--env=dev",
            "--output=out",
            "--segments=40",
            "--give-up-after=30s",
            "--yes",
        ],
    ));

    poll("all segments are asked for", || {
        asked(&proxy).into_iter().collect::<BTreeSet<_>>().len() == 40
    });
    proxy.heal();
    let ended = child.wait_with_output().expect("a child can be waited for");
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(
        items_in_text(&project.text("out/table-data.json")).len(),
        ITEMS
    );
    project.verifydb(["out"]).exits(0);
}

#[test]
fn all_others_are_read_while_one_partition_is_throttled() {
    let reason = "TableReadKeyRangeThroughputExceeded";
    let throttled = with_text(
        "Scan",
        r#""Segment":0,"#,
        Fault::ThrottledBy(reason, "table/films"),
    );
    let (_engine, proxy, project) = behind([throttled]);
    let child = spawn_silent(project.command(
        "dumpdb",
        ["--env=dev", "--output=out", "--segments=100", "--yes"],
    ));

    poll("all segments are requested", || {
        asked(&proxy).into_iter().collect::<BTreeSet<_>>().len() == 100
    });
    proxy.heal();
    let ended = child.wait_with_output().expect("a child can be waited for");
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(
        items_in_text(&project.text("out/table-data.json")).len(),
        ITEMS
    );
}

#[test]
fn segments_follow_the_size_and_neighbours_do_not_begin_together() {
    let large: fn(&mut Value) = |answer| answer["Table"]["TableSizeBytes"] = json!(1_500_000_000);
    let (_engine, proxy, project) = behind([always("DescribeTable", Fault::Changed(large))]);
    let run = project
        .dumpdb(["--env=dev", "--output=out", "--json"])
        .exits(0);
    assert_eq!(run.report()["summary"]["segments"], 179);
    assert_eq!(
        items_in_text(&project.text("out/table-data.json")).len(),
        ITEMS
    );
    let mut first: Vec<_> = asked(&proxy).into_iter().take(8).collect();
    first.sort_unstable();
    assert!(
        first.windows(2).all(|pair| pair[1] - pair[0] >= 2),
        "{first:?}"
    );

    // Given, the number is what it is.
    let run = project
        .dumpdb([
            "--env=dev",
            "--output=out",
            "--segments=3",
            "--yes",
            "--json",
        ])
        .exits(0);

    assert_eq!(run.report()["summary"]["segments"], 3);
}

/// DynamoDB counts a table some hours after it was filled.
#[test]
fn the_size_of_a_table_without_item_count_is_probed_once() {
    let uncounted: fn(&mut Value) = |answer| {
        answer["Table"]["TableSizeBytes"] = json!(0);
        answer["Table"]["ItemCount"] = json!(0);
    };
    let (engine, proxy, project) = behind([always("DescribeTable", Fault::Changed(uncounted))]);
    let distant = proxy.url().replace("127.0.0.1", "0.0.0.0");
    let project = project.environment("dev", &distant, "films");
    let segments = |output| {
        let run = project
            .dumpdb(["--env=dev", "--output", output, "--json"])
            .exits(0);
        run.report()["summary"]["segments"]
            .as_u64()
            .expect("a number")
    };

    assert_eq!(segments("small"), 1);
    let text = "x".repeat(390_000);
    let large = ["a", "b", "c", "d"].map(|id| strings([("id", id), ("text", &text)]));
    engine.client().put("films", large);
    assert_eq!(segments("large"), 256);
    let before = proxy.seen("Scan");
    let run = project
        .dumpdb(["--env=dev", "--dry-run", "--transform=."])
        .exits(0);
    run.says("or not counted yet")
        .says("an unknown number of read units");
    assert!(
        proxy.seen("Scan") - before > 256,
        "{} calls",
        proxy.seen("Scan") - before
    );
}

#[test]
fn an_interrupted_dump_reads_no_segment_twice() {
    for (option, items) in [
        ("--data-only", 400),
        ("--transform=.title = {\"S\": \"t\"}", 400),
        ("--filter-expression=id < \"item-000100\"", 100),
        ("--projection-expression=id", 400),
    ] {
        let (_engine, proxy, project) = behind([]);
        proxy.hold("Scan", 21..);
        let child = spawn_with_messages(project.command(
            "dumpdb",
            ["--env=dev", "--output=out", "--segments=100", option],
        ));
        poll("some segments are asked for", || proxy.seen("Scan") > 20);
        let (status, messages) = stopped(child, Signal::TERM, &proxy);
        assert_eq!(status.code(), Some(130), "{option}: {messages}");
        let before = proxy.seen("Scan");
        assert!(before < 100, "{option}: it was not interrupted");
        project
            .dumpdb([
                "--env=dev",
                "--output=out",
                "--resume",
                "--yes",
                "-v",
                option,
            ])
            .exits(0)
            .says("segments 100");
        assert_eq!(proxy.seen("Scan"), 100, "{option}");
        assert_eq!(
            items_in_text(&project.text("out/table-data.json")).len(),
            items,
            "{option}"
        );
    }
}

#[test]
fn what_is_chosen_does_not_depend_on_the_segments() {
    let (_engine, _proxy, project) = behind([]);
    let sample = |segments: &str| {
        let run = project
            .dumpdb([
                "--env=dev",
                "--output=out",
                "--sample=20%",
                "--yes",
                segments,
            ])
            .exits(0);

        let items = items_in_text(&project.text("out/table-data.json"));
        assert!(!items.is_empty() && items.len() < ITEMS, "{run}");
        items
    };

    assert_eq!(sample("--segments=1"), sample("--segments=50"));
    let limited = [
        "--env=dev",
        "--output=out",
        "--limit=30",
        "--transform=.",
        "--yes",
        "--json",
    ];

    let summary = project.dumpdb(limited).exits(0).report();
    assert_eq!(
        (
            &summary["summary"]["segments"],
            &summary["summary"]["items"]
        ),
        (&json!(1), &json!(30))
    );
}
