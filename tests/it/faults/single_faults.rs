//! Single faults between command and DynamoDB, and all of them together: the items are the same in the end.

use std::time::Duration;

use serde_json::json;

use crate::support::client::{Items, numbered, s};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always, calls, sometimes};
use crate::support::project::{Project, Run, dump_of};

const REQUEST_LIMIT: Fault = Fault::Refused(
    "RequestLimitExceeded",
    "Throughput exceeds the current throughput limit for your account.",
);

/// An engine with a table `films` of several pages.
fn films() -> (Engine, Items) {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create_simple("films");
    let padding = "x".repeat(9_000);
    for chunk in numbered(400).chunks(25) {
        client.put(
            "films",
            chunk.iter().cloned().map(|mut item| {
                item.insert("padding".to_owned(), s(&padding));
                item
            }),
        );
    }

    let items = client.items("films");

    (engine, items)
}

/// Dumps through these faults, and checks the dump by restoring it without them.
fn dumped_through(rules: Vec<Rule>) -> (Run, Proxy) {
    dumped_with(&[], rules)
}

/// The same with more options.
fn dumped_with(options: &[&str], rules: Vec<Rule>) -> (Run, Proxy) {
    let (engine, items) = films();
    let proxy = Proxy::with_rules(&engine, rules);
    let project = Project::empty()
        .environment("local", proxy.url(), "films")
        .environment("dev", engine.url(), "copy");
    let run = project
        .dumpdb(["--output=out", "--segments=2"].iter().chain(options))
        .exits(0);
    assert!(proxy.failures() > 0, "nothing went wrong: {run}");
    project
        .restoredb(["--source=out", "--env=dev", "--yes"])
        .exits(0);
    assert_eq!(engine.client().items("copy"), items, "{run}");

    (run, proxy)
}

/// Restores through these faults, and checks the table.
fn restored_through(rules: Vec<Rule>) -> (Run, Proxy) {
    restored_with(&[], rules)
}

/// The same with more options.
fn restored_with(options: &[&str], rules: Vec<Rule>) -> (Run, Proxy) {
    let (engine, items) = films();
    let proxy = Proxy::with_rules(&engine, rules);
    let project = Project::empty()
        .environment("local", engine.url(), "films")
        .environment("dev", proxy.url(), "copy");
    project.dumpdb(["--output=out"]).exits(0);
    let arguments = ["--source=out", "--env=dev", "--yes", "--json"];
    let run = project.restoredb(arguments.iter().chain(options)).exits(0);
    assert!(proxy.failures() > 0, "nothing went wrong: {run}");
    assert_eq!(engine.client().items("copy"), items, "{run}");

    (run, proxy)
}

#[test]
fn a_scan_that_is_throttled() {
    dumped_through(vec![calls("Scan", 2..=4, Fault::TableThrottled)]);
    dumped_through(vec![calls("Scan", 1..=2, Fault::AccountThrottled)]);
    dumped_through(vec![calls("Scan", 1..=2, REQUEST_LIMIT)]);
}

#[test]
fn a_scan_that_meets_a_broken_server() {
    dumped_through(vec![calls("Scan", 2..=3, Fault::Status(500))]);
    dumped_through(vec![calls("Scan", 2..=3, Fault::Status(503))]);
    dumped_through(vec![calls(
        "Scan",
        2..=3,
        Fault::Refused("InternalServerError", "The request processing has failed"),
    )]);
}

#[test]
fn a_scan_whose_connection_is_cut() {
    dumped_through(vec![calls("Scan", 2..=3, Fault::CutBeforeCall)]);
    dumped_through(vec![calls("Scan", 2..=3, Fault::CutInAnswer)]);
    dumped_through(vec![calls("Scan", 1..=2, Fault::Closed)]);
    dumped_through(vec![calls("Scan", 2..=3, Fault::ClosedInAnswer)]);
}

#[test]
fn a_server_that_stops_responding() {
    // A call may take a quarter of this, and its answer may stand still for an eighth.
    let patience = ["--give-up-after=10s"];
    for fault in [Fault::SilentReporter, Fault::Stalled, Fault::Trickled] {
        dumped_with(&patience, vec![calls("Scan", 2..=3, fault.clone())]);
        let (run, _) = restored_with(&patience, vec![calls("BatchWriteItem", 2..=3, fault)]);
        assert_eq!(run.report()["summary"]["items_written"], 400, "{run}");
    }
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let (engine, _) = films();
    let proxy = Proxy::with_rules(
        &engine,
        [calls("Scan", 2..=usize::MAX, Fault::SilentReporter)],
    );
    let project = Project::empty().environment("local", proxy.url(), "films");
    let run = project
        .dumpdb(["--output=out", "--segments=1", "--give-up-after=8s"])
        .exits(1);
    run.says("timed out").says("without progress");
    assert!(proxy.count("Scan") > 3, "it was tried again");
}

#[test]
fn a_page_damaged_in_transit() {
    dumped_through(vec![calls("Scan", 2..=3, Fault::WrongChecksum)]);
    dumped_through(vec![calls("Scan", 2..=3, Fault::Shortened)]);
}

#[test]
fn a_page_with_a_count_that_is_not_its_own() {
    dumped_through(vec![calls(
        "Scan",
        2..=2,
        Fault::Changed(|page| page["Count"] = json!(1)),
    )]);

    // One that is always wrong is never believed.
    let (engine, _) = films();
    let proxy = Proxy::with_rules(
        &engine,
        [always(
            "Scan",
            Fault::Changed(|page| page["Count"] = json!(1)),
        )],
    );

    let project = Project::empty().environment("local", proxy.url(), "films");
    project
        .dumpdb(["--output=out", "--give-up-after=8s"])
        .exits(1)
        .says("says Count 1 but holds");
    assert!(!project.path("out").exists());
}

#[test]
fn a_slow_page() {
    dumped_through(vec![calls(
        "Scan",
        2..=3,
        Fault::Late(Duration::from_millis(700)),
    )]);
}

#[test]
fn a_table_that_cannot_be_described_at_first() {
    for fault in [Fault::AccountThrottled, Fault::Closed, Fault::CutInAnswer] {
        dumped_through(vec![calls("DescribeTable", 1..=2, fault)]);
    }
}

#[test]
fn unknown_fields_of_a_response_are_preserved() {
    let (engine, _) = films();
    let rules = [
        always(
            "DescribeTable",
            Fault::Changed(|answer| {
                if let Some(table) = answer["Table"].as_object_mut() {
                    table.insert(
                        "HoverMode".to_owned(),
                        json!({ "Altitude": 12.50, "Unit": "cm" }),
                    );
                }
            }),
        ),
        calls(
            "Scan",
            1..=1,
            Fault::Changed(|page| page["Items"][0]["later"] = json!({ "Q7": [1, { "x": null }] })),
        ),
    ];

    let proxy = Proxy::with_rules(&engine, rules);
    let project = Project::empty().environment("local", proxy.url(), "films");
    project.dumpdb(["--output=out"]).exits(0);
    assert_eq!(
        project.json("out/table-schema.json")["Table"]["HoverMode"]["Unit"],
        "cm"
    );
    assert!(
        project
            .text("out/table-data.json")
            .contains(r#""later":{"Q7":[1,{"x":null}]}"#)
    );

    // A restore names what it cannot recreate.
    let plan = project
        .restoredb(["--source=out", "--table=copy", "--dry-run"])
        .exits(0);
    plan.says("HoverMode");
}

#[test]
fn writes_that_are_throttled() {
    let (run, _) = restored_through(vec![calls("BatchWriteItem", 3..=9, Fault::TableThrottled)]);
    assert!(
        run.report()["summary"]["throttled_calls"].as_u64() >= Some(7),
        "{run}"
    );
    restored_through(vec![calls(
        "BatchWriteItem",
        1..=3,
        Fault::AccountThrottled,
    )]);

    restored_through(vec![calls("BatchWriteItem", 2..=4, REQUEST_LIMIT)]);
}

#[test]
fn items_that_come_back_unprocessed() {
    for taken in [0, 1, 24] {
        let (run, proxy) = restored_through(vec![calls(
            "BatchWriteItem",
            2..=6,
            Fault::Unprocessed(taken),
        )]);

        assert_eq!(run.report()["summary"]["items_written"], 400, "{run}");
        for call in proxy
            .calls()
            .iter()
            .filter(|call| call.operation == "BatchWriteItem")
        {
            let requests = call.body["RequestItems"]["copy"]
                .as_array()
                .map_or(0, Vec::len);
            assert!((1..=25).contains(&requests), "a batch of {requests}");
        }
    }
}

#[test]
fn writes_that_meet_a_broken_server() {
    restored_through(vec![calls("BatchWriteItem", 2..=4, Fault::Status(500))]);
    restored_through(vec![calls("BatchWriteItem", 2..=4, Fault::Status(503))]);
}

#[test]
fn writes_whose_connection_is_cut() {
    restored_through(vec![calls("BatchWriteItem", 2..=4, Fault::CutBeforeCall)]);
    restored_through(vec![calls("BatchWriteItem", 1..=2, Fault::Closed)]);

    // The engine has written these, and the answer was lost: they are written again, to the same effect.
    let (run, _) = restored_through(vec![calls("BatchWriteItem", 2..=4, Fault::CutInAnswer)]);
    assert_eq!(run.report()["summary"]["items_written"], 400, "{run}");
}

#[test]
fn an_acknowledgement_damaged_in_transit() {
    restored_through(vec![calls("BatchWriteItem", 2..=4, Fault::WrongChecksum)]);
    restored_through(vec![calls("BatchWriteItem", 2..=4, Fault::Shortened)]);
    restored_through(vec![calls("BatchWriteItem", 2..=4, Fault::ClosedInAnswer)]);
}

#[test]
fn a_truncated_error_response_is_retried() {
    // That there is no such table yet is an error for the SDK.
    for fault in [
        Fault::CutInAnswer,
        Fault::ClosedInAnswer,
        Fault::Shortened,
        Fault::WrongChecksum,
    ] {
        restored_through(vec![calls("DescribeTable", 1..=2, fault)]);
    }
}

#[test]
fn a_table_whose_creation_fails_at_first() {
    restored_through(vec![calls("CreateTable", 1..=2, Fault::Status(500))]);
    restored_through(vec![calls("CreateTable", 1..=1, Fault::CutBeforeCall)]);
    let limit = "Subscriber limit exceeded: Only 500 tables can be created, updated, or deleted simultaneously";
    restored_through(vec![calls(
        "CreateTable",
        1..=3,
        Fault::Refused("LimitExceededException", limit),
    )]);
}

#[test]
fn a_quota_of_the_account_is_not_waited_for() {
    for limit in [
        "There is a limit of 2500 tables",
        "Subscriber limit exceeded: There is a limit of 256 tables per subscriber",
    ] {
        let (engine, project) = dump_of(3);
        let refused = Fault::Refused("LimitExceededException", limit);
        let proxy = Proxy::with_rules(&engine, [always("CreateTable", refused)]);
        let project = project.environment("dev", proxy.url(), "copy");
        project
            .restoredb(["--source=out", "--env=dev", "--yes"])
            .exits(1)
            .says(limit)
            .says("hint: delete what is no longer needed, or request a higher quota");
        assert_eq!(proxy.count("CreateTable"), 1);
    }
}

#[test]
fn a_table_that_was_created_though_the_answer_was_lost() {
    restored_through(vec![calls("CreateTable", 1..=1, Fault::CutInAnswer)]);
}

#[test]
fn all_faults_together() {
    for seed in [1, 2, 3] {
        let storm = |operation| {
            vec![
                sometimes(operation, 8, seed, Fault::TableThrottled),
                sometimes(operation, 8, seed + 100, Fault::CutInAnswer),
                sometimes(operation, 8, seed + 200, Fault::Status(503)),
                sometimes(operation, 8, seed + 300, Fault::WrongChecksum),
            ]
        };

        let mut scans = storm("Scan");
        scans.push(calls("Scan", 2..=2, Fault::CutBeforeCall));
        dumped_through(scans);
        let mut writes = storm("BatchWriteItem");
        writes.push(sometimes(
            "BatchWriteItem",
            30,
            seed + 400,
            Fault::Unprocessed(11),
        ));

        restored_through(writes);
    }
}

#[test]
fn versions_of_one_item_keep_their_order_through_everything() {
    const LINES: u32 = 600;

    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let rules = [
        sometimes("BatchWriteItem", 20, 17, Fault::Unprocessed(1)),
        sometimes("BatchWriteItem", 10, 1018, Fault::CutInAnswer),
        sometimes("BatchWriteItem", 10, 2019, Fault::TableThrottled),
    ];

    let proxy = Proxy::with_rules(&engine, rules);
    let project = Project::empty().environment("local", proxy.url(), "films");
    let line = |n| {
        format!(
            "{{\"id\":{{\"S\":\"item-{}\"}},\"version\":{{\"N\":\"{n}\"}}}}\n",
            (n * 7) % 31
        )
    };

    project.write(
        "versions.jsonl",
        (0..LINES).map(line).collect::<Vec<_>>().concat(),
    );
    project.restoredb(["--source=versions.jsonl"]).exits(0);
    assert!(
        proxy.failures() > 3,
        "{} of {} calls failed",
        proxy.failures(),
        proxy.count("BatchWriteItem")
    );

    let items = engine.client().items("films");
    assert_eq!(items.len(), 31);

    for number in LINES - 31..LINES {
        let item = &items[&format!("{:?}", s(format!("item-{}", (number * 7) % 31)))];
        assert_eq!(item["version"], crate::support::client::n(number));
    }
}

#[test]
fn a_dump_never_writes() {
    let (engine, _) = films();
    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::empty().environment("local", proxy.url(), "films");
    project.dumpdb(["--output=out"]).exits(0);
    let reads = ["Describe", "Get", "List", "Scan"];
    for call in proxy.calls() {
        assert!(
            reads.iter().any(|read| call.operation.starts_with(read)),
            "{}",
            call.operation
        );
    }

    let scans: Vec<_> = proxy
        .calls()
        .into_iter()
        .filter(|call| call.operation == "Scan")
        .collect();

    assert!(scans.len() >= 4, "the table has several pages");
    assert!(scans.iter().all(|scan| scan.body["ConsistentRead"] != true));
    let project = Project::empty().environment("local", proxy.url(), "films");
    project
        .dumpdb(["--output=out", "--consistent-read"])
        .exits(0);
    let mut scans = proxy
        .calls()
        .into_iter()
        .filter(|call| call.operation == "Scan");
    let last = scans.next_back().expect("the table was read");
    assert_eq!(last.body["ConsistentRead"], true);
}
