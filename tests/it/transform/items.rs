//! Transforms of dumps and restores, from the command line to the table.

use std::process::Stdio;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, BillingMode, ScalarAttributeType};
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::support::client::{
    Client, Item, attribute, n, numbered, partition, poll, s, sort, strings,
};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always};
use crate::support::project::Project;

const STANDING: &str = r#".new_sk = S("\(.type | str)#\(.timestamp | str)") | drop("old_sk")"#;

/// A table of events with the keys `pk` and `old_sk`.
fn create_events(client: &Client, table: &str) {
    client.create(table, |table| {
        table
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("pk", ScalarAttributeType::S))
            .attribute_definitions(attribute("old_sk", ScalarAttributeType::S))
            .key_schema(partition("pk"))
            .key_schema(sort("old_sk"))
    });
}

fn event(number: usize) -> Item {
    let mut event = strings([
        ("pk", &format!("p{}", number % 7)),
        ("old_sk", &format!("old-{number:04}")),
        (
            "type",
            if number.is_multiple_of(2) {
                "click"
            } else {
                "view"
            },
        ),
    ]);

    event.insert("timestamp".to_owned(), n(1_700_000_000 + number));
    event.insert(
        "digits".to_owned(),
        n("1234567890123456789012345678.9012345678"),
    );

    event
}

/// What the standing example makes of an event.
fn moved(mut event: Item) -> Item {
    let text = |value: &AttributeValue| {
        value
            .as_s()
            .or_else(|_| value.as_n())
            .expect("text or number")
            .clone()
    };

    let new = format!("{}#{}", text(&event["type"]), text(&event["timestamp"]));
    event.remove("old_sk");
    event.insert("new_sk".to_owned(), s(new));

    event
}

/// A table `events` of so many events, on an engine.
fn events(count: usize) -> (Engine, String, Project) {
    let engine = Engine::any();
    let table = engine.table("events");
    create_events(&engine.client(), &table);
    engine.client().put(&table, (0..count).map(event));
    let project = Project::on(&engine, &table);

    (engine, table, project)
}

/// The items of a table, in an order of their own.
fn sorted(items: impl IntoIterator<Item = Item>) -> Vec<String> {
    let text = |item: Item| {
        let mut attributes: Vec<_> = item
            .into_iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        attributes.sort();
        attributes.join(" ")
    };

    let mut texts: Vec<_> = items.into_iter().map(text).collect();
    texts.sort();

    texts
}

fn summary(report: &Value, names: &[&str]) -> Vec<u64> {
    names
        .iter()
        .map(|name| {
            report[*name]
                .as_u64()
                .unwrap_or_else(|| panic!("{name} in {report:#}"))
        })
        .collect()
}

#[test]
fn from_the_old_table_to_the_new_key_in_one_command() {
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
        STANDING.to_owned(),
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
        .restoredb(arguments().chain(["--transform".to_owned(), STANDING.to_owned()]))
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
        sorted((0..60).map(|number| moved(event(number))))
    );
    assert_eq!(engine.client().items(&table).len(), 60);
}

#[test]
fn a_python_program_does_the_same() {
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
        sorted((0..40).map(|one| moved(event(one))))
    );
}

#[test]
fn a_dry_run_counts_what_the_real_run_then_does() {
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
fn the_list_of_rejects_stays_as_long_as_its_dump() {
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

/// What becomes of an item is told by its `do`: left out, rejected, three in its place, changed, or as it is.
const ERRATIC: &str = r#"(.do | num) as $do | if $do == 0 then empty elif $do == 1 then error("no") elif $do == 2
    then ., (.copy = N(1)), (.copy = N(2)) elif $do == 3 then .text = S("other") else . end"#;

#[test]
fn what_a_dump_rejects_finds_a_place_where_there_is_none_beside_it() {
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
            .split_once("listed with the reasons in ")
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
fn what_is_skipped_multiplied_and_rejected_at_random_comes_out_in_order_and_is_counted() {
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

        project.dumpdb(["--output=plain.jsonl"]).exits(0);
        let counted = |wanted: u32| todo.iter().filter(|todo| **todo == wanted).count() as u64;
        let code = if counted(1) > 0 { 3 } else { 0 };
        let run = project
            .dumpdb(["--output=made.jsonl", "--json", "--transform", ERRATIC])
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

#[test]
fn an_item_without_the_new_key_or_too_large_is_rejected_as_the_dump_has_it() {
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
fn keys_that_meet_are_counted_before_and_told_after() {
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
fn several_items_for_one_that_share_its_key_meet() {
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
fn a_dump_whose_items_lost_the_key_says_how_to_restore_it() {
    let (engine, _, project) = events(10);
    let run = project
        .dumpdb(["--output=out", "--transform", STANDING])
        .exits(0);
    run.says("10 items that came out have not the table's key (pk, old_sk)")
        .says("--key-schema");
    project
        .verifydb(["out"])
        .exits(12)
        .says("its items were changed when it was made")
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

#[test]
fn where_and_sample_choose_and_say_so() {
    let (_engine, _, project) = events(50);
    project
        .dumpdb(["--output=out", "--where", r#".type | str == "click""#])
        .exits(0);
    let metadata = project.json("out/table-metadata.json");
    assert_eq!(
        (
            &metadata["items"],
            &metadata["complete"],
            &metadata["transformed"]
        ),
        (&25.into(), &false.into(), &false.into())
    );

    assert_eq!(metadata["partial"]["where"], r#".type | str == "click""#);
    assert!(
        project
            .text("out/dump-summary.txt")
            .contains("Complete     no: ")
    );

    project
        .restoredb(["--source=out", "--dry-run", "--table=copy"])
        .exits(0)
        .says("a part of the table")
        .says("left out 25");

    let chosen = |share: &str, name: &str| {
        project
            .dumpdb([
                format!("--output={name}.jsonl"),
                format!("--sample={share}"),
            ])
            .exits(0);

        let text = project.text(format!("{name}.jsonl"));
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("an item")["pk"].to_string())
            .collect::<Vec<_>>()
    };

    let (half, again, all) = (chosen("50%", "a"), chosen("50%", "b"), chosen("100%", "c"));
    assert_eq!((half.len(), all.len()), (again.len(), 50));

    for pk in 0..7 {
        let pk = format!(r#"{{"S":"p{pk}"}}"#);
        let count = |items: &[String]| items.iter().filter(|item| **item == pk).count();
        assert!(
            [0, count(&all)].contains(&count(&half)),
            "a partition is taken whole or not at all"
        );
    }
}

#[test]
fn the_table_leaves_out_what_is_filtered_and_not_asked_for() {
    let (_engine, _, project) = events(50);
    let filter = r#"type = "click" and timestamp >= 1700000010"#;
    let run = project
        .dumpdb(["--output=out", "--filter", filter, "--projection=type"])
        .exits(0);
    run.says("those with type")
        .says("this is a part of the table");
    let metadata = project.json("out/table-metadata.json");
    assert_eq!(
        (&metadata["items"], &metadata["complete"]),
        (&20.into(), &false.into())
    );
    assert_eq!(
        (
            &metadata["partial"]["filter"],
            &metadata["partial"]["projection"]
        ),
        (&filter.into(), &"type".into())
    );

    let data = project.json("out/table-data.json");
    for item in data["Items"].as_array().expect("items") {
        let mut names: Vec<&String> = item.as_object().expect("an item").keys().collect();
        names.sort();
        assert_eq!(names, ["old_sk", "pk", "type"]);
    }

    let own = [
        r##"--names={"#t":"type"}"##,
        r#"--values={":v":{"S":"view"}}"#,
        "--limit=5",
    ];

    project
        .dumpdb(
            ["--output=own.jsonl", "--filter=#t = :v"]
                .iter()
                .chain(&own),
        )
        .exits(0);

    let text = project.text("own.jsonl");
    assert_eq!(
        (text.lines().count(), text.matches("click").count()),
        (5, 0)
    );
    let run = project
        .dumpdb(["--output=bad", "--filter=type = = 1"])
        .exits(2);
    run.says("DynamoDB refuses --filter or --projection: ");
    project
        .dumpdb(["--output=bad", "--filter=a = 'b"])
        .exits(2)
        .says("column 5");
    project
        .dumpdb(["--output=bad", "--filter=a = :b", "--values=[]"])
        .exits(2)
        .says("--values is no JSON object");
}

#[test]
fn a_sampled_dump_fits_a_sampled_comparison() {
    let (_engine, table, project) = events(50);
    project.dumpdb(["--output=out", "--sample=50%"]).exits(0);
    let items = project.json("out/table-metadata.json")["items"].clone();
    let report = project
        .verifydb([
            "--source=out",
            "--env=local",
            "--exact",
            "--sample=50%",
            "--json",
        ])
        .exits(0)
        .report();

    assert_eq!(
        (&report["summary"]["equal"], &report["summary"]["extra"]),
        (&items, &0.into()),
        "{table}: {report:#}"
    );
}

#[test]
fn a_limit_counts_what_comes_out() {
    let (_engine, _, project) = events(50);
    let run = project
        .dumpdb([
            "--output=out.jsonl",
            "--limit=7",
            "--where",
            r#".type | str == "view""#,
        ])
        .exits(0);

    run.says("this is a part of the table");
    let text = project.text("out.jsonl");
    assert_eq!(
        (text.lines().count(), text.matches("click").count()),
        (7, 0)
    );
}

#[test]
fn a_dump_that_is_killed_goes_on_with_the_same_transform_alone() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put(
        "films",
        numbered(3_000).into_iter().map(|mut item| {
            item.insert("padding".to_owned(), s("x".repeat(3_000)));
            item
        }),
    );

    let proxy = Proxy::of(
        &engine,
        [always("Scan", Fault::Late(Duration::from_millis(400)))],
    );
    let project = Project::empty()
        .environment("slow", proxy.url(), "films")
        .environment("local", engine.url(), "films");
    let filter = r#"(.id | str | .[5:] | tonumber % 10) as $rest | if $rest == 0 then empty elif $rest == 1 then error("one") else .mark = S("m") | drop("padding") end"#;
    let arguments = [
        "--env=slow",
        "--output=out.jsonl",
        "--json",
        "--segments=1",
        "--transform",
        filter,
    ];

    let mut command = project.command("dumpdb", arguments);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("dumpdb starts");

    poll("a checkpoint is there", || {
        project.path("out.jsonl.checkpoint").exists()
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
fn a_restore_that_is_killed_counts_every_item_once() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(600));
    let proxy = Proxy::of(
        &engine,
        [always(
            "BatchWriteItem",
            Fault::Late(Duration::from_millis(40)),
        )],
    );

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

    let mut kills = 0;
    for round in 1..6 {
        let goal = proxy.seen("BatchWriteItem") + 8 * round;
        let mut command = project.command("restoredb", arguments.iter().chain(&["--resume"]));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("restoredb starts");

        let mut is_over = false;
        poll("the restore writes", || {
            is_over = child
                .try_wait()
                .expect("a child can be waited for")
                .is_some();
            is_over || proxy.seen("BatchWriteItem") >= goal
        });

        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
        kills += usize::from(!is_over);
    }

    assert!(kills >= 3, "{kills}");
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
    proxy.heal();
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

#[test]
fn what_cannot_be_understood_is_told_before_any_call() {
    let engine = Engine::embedded();
    let proxy = Proxy::of(&engine, []);
    let project = Project::empty().environment("local", proxy.url(), "films");
    project.write(
        "rules.toml",
        "[[rule]]\npath = \"id\"\naction = \"vanish\"\n",
    );
    project.write("hash.toml", "[[rule]]\npath = \"id\"\naction = \"hash\"\n");

    for (arguments, code, words) in [
        (
            &["--transform", ".a |"][..],
            2,
            "--transform, line 1, column 5",
        ),
        (&["--where", "nope"], 2, "there is no filter `nope`"),
        (
            &["--transform", "no/file.jq"],
            2,
            "`no/file.jq` does not exist",
        ),
        (
            &["--transform-command", "no-such-program"],
            2,
            "there is no program `no-such-program`",
        ),
        (&["--mask", "rules.toml"], 2, "rules.toml"),
        (&["--mask", "hash.toml"], 10, "DYNADUMP_MASK_KEY"),
        (&["--sample", "5"], 2, "write it as a percentage"),
        (
            &["--schema-only", "--transform", "."],
            2,
            "leaves no items to transform",
        ),
        (
            &["--show", "3", "--dry-run"],
            2,
            "--show has nothing to show",
        ),
        (&["--show", "3", "--transform", "."], 2, "--dry-run"),
    ] {
        project.dumpdb(arguments).exits(code).says(words);
        project.restoredb(arguments).exits(code).says(words);
    }

    assert_eq!(proxy.calls().len(), 0);
}

#[test]
fn what_a_filter_or_a_program_gives_is_judged() {
    let (_engine, _, project) = events(3);
    for (filter, words) in [
        (r#".x = {"Q":"1"}"#, "Q"),
        ("1", "it gives a number, not an item"),
        (r#".x = "plain""#, "x"),
        (r#".x = N("1e400")"#, "x"),
    ] {
        let run = project
            .dumpdb(["--output=out", "--json", "--yes", "--transform", filter])
            .exits(3);
        assert_eq!(
            run.report()["summary"]["transformed"]["items_rejected"],
            3,
            "{filter}"
        );

        let rejects = project.text("out.rejects.jsonl");
        assert!(rejects.contains(words), "{filter}: {rejects}");
    }

    for (line, words) in [
        ("head -n 1", "old-000"),
        ("sed s/.*/garbage/", "old-000"),
        ("false", "old-000"),
    ] {
        let run = project
            .dumpdb([
                "--output=bad",
                "--transform-command",
                line,
                "--transform-jobs=1",
            ])
            .exits(1);

        run.says(words);
        assert!(!project.path("bad").exists(), "{line}");
    }
}

#[test]
fn items_are_shown_before_and_after() {
    let (_engine, _, project) = events(3);
    let run = project
        .dumpdb([
            "--dry-run",
            "--show=1",
            "--color=always",
            "--transform",
            STANDING,
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
    run.says("take 3 items")
        .says("change 3")
        .says("3 items without it");
}
