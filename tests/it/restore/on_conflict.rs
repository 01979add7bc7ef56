//! `--on-conflict`, and items that the table rejects.

use serde_json::Value;

use crate::support::client::{Client, n, numbered, s, strings};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, calls, sometimes, with_text};
use crate::support::project::{Project, dump_of};

/// A dump of `items` items in `out`, and a table `copy` that has two of them, one of them changed, and one of its own.
fn half_there(items: usize) -> (Engine, Client, String, Project) {
    let engine = Engine::any();
    let (table, copy) = (engine.table("films"), engine.table("copy"));
    let client = engine.client();
    client.create_simple(&table);
    client.put(&table, numbered(items));
    let project = Project::on(&engine, &table);
    project.dumpdb(["--output=out"]).exits(0);
    client.create_simple(&copy);
    client.put(&copy, numbered(2).into_iter().skip(1));
    client.put(
        &copy,
        [
            strings([("id", "item-000000"), ("text", "newer")]),
            strings([("id", "own"), ("text", "x")]),
        ],
    );

    (engine, client, copy, project)
}

fn restored(project: &Project, copy: &str, how: &str, code: i32) -> Value {
    let run = project.restoredb([
        "--source=out",
        "--table",
        copy,
        "--on-conflict",
        how,
        "--yes",
        "--json",
    ]);

    run.exits(code).report()["summary"].take()
}

fn text_of(client: &Client, table: &str, id: &str) -> String {
    format!("{:?}", client.items(table)[&format!("{:?}", s(id))]["text"])
}

#[test]
fn an_item_that_is_there_is_skipped_and_listed_unless_it_is_equal() {
    let (_engine, client, copy, project) = half_there(40);
    let summary = restored(&project, &copy, "skip", 0);
    for (count, expected) in [
        ("items_read", 40),
        ("items_written", 39),
        ("items_already_there", 1),
        ("items_skipped", 1),
        ("items_rejected", 0),
        ("items_superseded", 0),
    ] {
        assert_eq!(summary[count], expected, "{count}: {summary:#}");
    }

    assert!(text_of(&client, &copy, "item-000000").contains("newer"));
    assert_eq!(client.items(&copy).len(), 41);
    let listed = project.text(
        summary["conflicts_file"]
            .as_str()
            .expect("a file of conflicts"),
    );

    assert_eq!(listed.lines().count(), 1, "{listed}");
    let line: Value = serde_json::from_str(&listed).expect("a line of JSON");
    assert_eq!(line["item"]["id"]["S"], "item-000000");
    assert!(
        line["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("another item")),
        "{line}"
    );

    // What was skipped can be written after all.
    let path = summary["conflicts_file"]
        .as_str()
        .expect("a file of conflicts");
    project
        .restoredb(["--source", path, "--table", &copy])
        .exits(0);
    assert!(text_of(&client, &copy, "item-000000").contains("the text of item 0"));
}

#[test]
fn a_conflict_that_is_to_fail_is_a_reject() {
    let (_engine, client, copy, project) = half_there(40);
    let summary = restored(&project, &copy, "fail", 3);
    assert_eq!(
        (
            &summary["items_written"],
            &summary["items_rejected"],
            &summary["items_skipped"]
        ),
        (&39.into(), &1.into(), &0.into()),
        "{summary:#}"
    );

    assert!(text_of(&client, &copy, "item-000000").contains("newer"));
    let rejects = project.text(summary["rejects_file"].as_str().expect("a file of rejects"));
    assert!(
        rejects.contains("item-000000") && rejects.contains("another item"),
        "{rejects}"
    );
}

#[test]
fn a_conflict_is_reported_once() {
    let (_engine, _, copy, project) = half_there(40);
    let arguments = [
        "--source=out",
        "--table",
        &copy,
        "--on-conflict=fail",
        "--verify=full",
        "--json",
    ];

    let run = project.restoredb(arguments).exits(3);
    let run = run.says("[ERROR] 1 item rejected, see");
    let run = run.says("verified 39 items read back and equal, all except those rejected");
    let run = run.never_says("NOT verified");
    let summary = &run.report()["summary"];
    assert_eq!(
        (&summary["items_lost"], &summary["verified"]["different"]),
        (&0.into(), &0.into()),
        "{summary:#}"
    );

    assert_eq!(run.stderr.matches("[ERROR]").count(), 1, "{run}");
}

#[test]
fn by_default_the_dump_wins() {
    let (_engine, client, copy, project) = half_there(40);
    let summary = restored(&project, &copy, "overwrite", 0);
    assert_eq!(summary["items_written"], 40, "{summary:#}");
    assert!(text_of(&client, &copy, "item-000000").contains("the text of item 0"));
}

#[test]
fn sets_and_numbers_are_compared_like_in_dynamodb() {
    let engine = Engine::any();
    let table = engine.table("films");
    engine.client().create_simple(&table);
    let project = Project::on(&engine, &table);
    project.write(
        "a.jsonl",
        "{\"id\":{\"S\":\"a\"},\"n\":{\"N\":\"10\"},\"t\":{\"SS\":[\"x\",\"y\"]}}\n",
    );
    project.write(
        "b.jsonl",
        "{\"t\":{\"SS\":[\"y\",\"x\"]},\"n\":{\"N\":\"1E1\"},\"id\":{\"S\":\"a\"}}\n",
    );
    project.restoredb(["--source=a.jsonl"]).exits(0);
    let report = project
        .restoredb(["--source=b.jsonl", "--on-conflict=fail", "--json"])
        .exits(0)
        .report();
    assert_eq!(report["summary"]["items_already_there"], 1, "{report:#}");
}

#[test]
fn of_versions_in_one_file_the_first_is_put_where_nothing_is_overwritten() {
    let engine = Engine::any();
    let table = engine.table("films");
    let client = engine.client();
    client.create_simple(&table);
    let project = Project::on(&engine, &table);
    let line = |n: u32| {
        format!(
            "{{\"id\":{{\"S\":\"item-{}\"}},\"version\":{{\"N\":\"{n}\"}}}}\n",
            n % 10
        )
    };

    project.write(
        "versions.jsonl",
        (0..40).map(line).collect::<Vec<_>>().concat(),
    );
    let report = project
        .restoredb(["--source=versions.jsonl", "--on-conflict=skip", "--json"])
        .exits(0)
        .report();
    let summary = &report["summary"];
    assert_eq!(
        (&summary["items_written"], &summary["items_skipped"]),
        (&10.into(), &30.into()),
        "{summary:#}"
    );

    for (number, item) in client.items(&table).into_values().enumerate() {
        assert_eq!(item["version"], n(number));
    }
}

#[test]
fn a_lost_response_is_not_a_conflict() {
    let (engine, project) = dump_of(60);
    let rules: Vec<Rule> = vec![
        sometimes("PutItem", 20, 5, Fault::CutInAnswer),
        sometimes("PutItem", 10, 105, Fault::TableThrottled),
        sometimes("PutItem", 10, 205, Fault::Status(500)),
    ];

    let proxy = Proxy::with_rules(&engine, rules);
    let project = project.environment("dev", proxy.url(), "copy");
    let arguments = [
        "--source=out",
        "--env=dev",
        "--yes",
        "--on-conflict=fail",
        "--json",
    ];

    let report = project.restoredb(arguments).exits(0).report();
    assert!(proxy.failures() > 5);
    let summary = &report["summary"];
    assert_eq!(
        (&summary["items_written"], &summary["items_already_there"]),
        (&60.into(), &0.into()),
        "{summary:#}"
    );

    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
}

#[test]
fn an_engine_that_does_not_say_what_it_has_is_asked() {
    let (engine, project) = dump_of(20);
    engine.client().create_simple("copy");
    engine.client().put("copy", numbered(1));
    engine.client().put(
        "copy",
        [strings([("id", "item-000001"), ("text", "newer")])],
    );
    let refused = Fault::Refused(
        "ConditionalCheckFailedException",
        "The conditional request failed",
    );
    let rules =
        ["item-000000", "item-000001"].map(|text| with_text("PutItem", text, refused.clone()));
    let proxy = Proxy::with_rules(&engine, rules);
    let project = project.environment("dev", proxy.url(), "copy");
    let arguments = [
        "--source=out",
        "--env=dev",
        "--yes",
        "--on-conflict=skip",
        "--json",
    ];

    let report = project.restoredb(arguments).exits(0).report();
    let summary = &report["summary"];
    assert_eq!(
        (&summary["items_already_there"], &summary["items_skipped"]),
        (&1.into(), &1.into()),
        "{summary:#}"
    );

    assert_eq!(proxy.count("GetItem"), 2);
}

#[test]
fn an_item_that_exists_for_writes_only_is_rejected_after_a_few_attempts() {
    let (engine, project) = dump_of(20);
    engine.client().create_simple("copy");
    let refused = Fault::Refused(
        "ConditionalCheckFailedException",
        "The conditional request failed",
    );
    let proxy = Proxy::with_rules(&engine, [with_text("PutItem", "item-000007", refused)]);
    let project = project.environment("dev", proxy.url(), "copy");
    let arguments = [
        "--source=out",
        "--env=dev",
        "--yes",
        "--on-conflict=skip",
        "--json",
    ];

    let report = project.restoredb(arguments).exits(3).report();
    let summary = &report["summary"];
    assert_eq!(
        (&summary["items_written"], &summary["items_rejected"]),
        (&19.into(), &1.into()),
        "{summary:#}"
    );
    assert_eq!(proxy.count("GetItem"), 5);

    let path = summary["rejects_file"].as_str().expect("a rejects file");
    let rejects = project.text(path);
    assert!(
        rejects.contains("item-000007") && rejects.contains("no such item was found"),
        "{rejects}"
    );
}

#[test]
fn an_item_deleted_in_the_meantime_is_written() {
    let (engine, project) = dump_of(20);
    engine.client().create_simple("copy");
    let refused = Fault::Refused(
        "ConditionalCheckFailedException",
        "The conditional request failed",
    );
    let proxy = Proxy::with_rules(&engine, [calls("PutItem", 3..=3, refused)]);
    let project = project.environment("dev", proxy.url(), "copy");
    project
        .restoredb(["--source=out", "--env=dev", "--yes", "--on-conflict=fail"])
        .exits(0);
    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
}

#[test]
fn items_written_by_an_earlier_run_are_not_conflicts() {
    let (engine, project) = dump_of(100);
    let proxy = Proxy::with_rules(
        &engine,
        [calls("PutItem", 50..=usize::MAX, Fault::TableThrottled)],
    );
    let project = project.environment("dev", proxy.url(), "copy");
    let arguments = [
        "--source=out",
        "--env=dev",
        "--yes",
        "--on-conflict=fail",
        "--give-up-after=1s",
        "--json",
    ];

    project.restoredb(arguments).exits(1);
    proxy.heal();
    let resumed = project
        .restoredb(arguments.iter().chain(&["--resume"]))
        .exits(0)
        .report();
    assert_eq!(resumed["summary"]["items_written"], 100, "{resumed:#}");
    assert!(!resumed["summary"]["resumed"].is_null(), "{resumed:#}");

    // Afresh, too: all of it is there, and equal.
    let again = project.restoredb(arguments).exits(0).report();
    assert_eq!(again["summary"]["items_already_there"], 100, "{again:#}");
}

/// Items that no table takes, each with a word of the reason.
fn poison() -> Vec<(String, &'static str)> {
    vec![
        (
            format!(
                "{{\"id\":{{\"S\":\"big\"}},\"t\":{{\"S\":\"{}\"}}}}",
                "x".repeat(410_000)
            ),
            "size",
        ),
        ("{\"id\":{\"N\":\"5\"}}".to_owned(), "key has type S"),
        ("{\"id\":{\"S\":\"\"}}".to_owned(), "empty"),
        ("{\"title\":{\"S\":\"no key\"}}".to_owned(), "missing"),
        (
            "{\"id\":{\"S\":\"future\"},\"t\":{\"Q7\":[1]}}".to_owned(),
            "",
        ),
        (
            "{\"id\":{\"S\":\"empty set\"},\"t\":{\"SS\":[]}}".to_owned(),
            "",
        ),
    ]
}

#[test]
fn each_kind_of_poison_is_rejected_with_its_reason_and_the_rest_is_written() {
    let engine = Engine::any();
    let table = engine.table("films");
    let client = engine.client();
    client.create_simple(&table);
    let project = Project::on(&engine, &table);
    let mut lines: Vec<String> = (0..60)
        .map(|number| format!("{{\"id\":{{\"S\":\"good-{number}\"}}}}"))
        .collect();
    for (number, (item, _)) in poison().into_iter().enumerate() {
        lines.insert(number * 9 + 3, item);
    }

    project.write("items.jsonl", lines.join("\n"));
    let report = project
        .restoredb(["--source=items.jsonl", "--json"])
        .exits(3)
        .report();
    let summary = &report["summary"];
    assert_eq!(
        (
            &summary["items_read"],
            &summary["items_written"],
            &summary["items_rejected"]
        ),
        (&66.into(), &60.into(), &6.into()),
        "{summary:#}"
    );

    assert_eq!(client.items(&table).len(), 60);
    let path = summary["rejects_file"].as_str().expect("a file of rejects");
    let rejects = project.text(path);
    for (item, word) in poison() {
        let line = rejects
            .lines()
            .find(|line| line.ends_with(&format!(",\"item\":{item}}}")));
        let line = line.unwrap_or_else(|| panic!("{} is not listed", &item[..item.len().min(80)]));
        let reason =
            serde_json::from_str::<Value>(line).expect("a line of JSON")["reason"].to_string();
        assert!(
            reason.to_lowercase().contains(&word.to_lowercase()) && reason.len() > 8,
            "{reason}"
        );
    }

    // They can be tried again, and are poison still.
    project.restoredb(["--source", path]).exits(3);
}

/// Tables of one name in two environments are two tables.
#[test]
fn what_one_environment_refused_is_not_replaced_by_what_another_does() {
    let (engine, project) = dump_of(30);
    let refusing = |text| {
        let full = Fault::Refused("ItemCollectionSizeLimitExceededException", "it is full");
        Proxy::with_rules(&engine, [with_text("BatchWriteItem", text, full)])
    };
    let (one, other) = (refusing("item-000011"), refusing("item-000012"));
    let project =
        project
            .environment("dev", one.url(), "copy")
            .environment("staging", other.url(), "copy");
    let mut files = Vec::new();
    for environment in ["dev", "staging"] {
        let report = project
            .restoredb(["--source=out", "--env", environment, "--yes", "--json"])
            .exits(3)
            .report();
        files.push(
            report["summary"]["rejects_file"]
                .as_str()
                .expect("a file of rejects")
                .to_owned(),
        );
    }

    assert!(project.text(&files[0]).contains("item-000011"), "{files:?}");
    assert!(project.text(&files[1]).contains("item-000012"), "{files:?}");
}

/// The longest name of a table is as long as that of a file may be.
#[test]
fn the_rejects_of_a_table_with_the_longest_name_are_kept() {
    let engine = Engine::embedded();
    let table = "t".repeat(255);
    engine.client().create_simple(&table);
    let project = Project::on(&engine, &table);
    project.write(
        "items.jsonl",
        "{\"id\":{\"S\":\"a\"}}\n{\"title\":{\"S\":\"no key\"}}\n",
    );
    let report = project
        .restoredb(["--source=items.jsonl", "--json"])
        .exits(3)
        .report();
    let path = report["summary"]["rejects_file"]
        .as_str()
        .expect("a file of rejects");
    assert!(project.text(path).contains("no key"), "{path}");
}

#[test]
fn a_full_item_collection_is_a_reject() {
    let (engine, project) = dump_of(30);
    let full = Fault::Refused(
        "ItemCollectionSizeLimitExceededException",
        "Item collection size limit of 10 GB reached",
    );
    let proxy = Proxy::with_rules(&engine, [with_text("BatchWriteItem", "item-000011", full)]);
    let project = project.environment("dev", proxy.url(), "copy");
    let report = project
        .restoredb(["--source=out", "--env=dev", "--yes", "--json"])
        .exits(3)
        .report();
    assert_eq!(report["summary"]["items_written"], 29, "{report:#}");
    let rejects = project.text(
        report["summary"]["rejects_file"]
            .as_str()
            .expect("a file of rejects"),
    );

    assert!(
        rejects.contains("10 GB") && rejects.contains("item-000011"),
        "{rejects}"
    );
}

#[test]
fn where_the_later_version_is_refused_the_earlier_stays_as_if_written_one_by_one() {
    let engine = Engine::any();
    let table = engine.table("films");
    let client = engine.client();
    client.create_simple(&table);
    let project = Project::on(&engine, &table);
    let large = "x".repeat(410_000);
    let version = |n: u32, text: &str| {
        format!(
            "{{\"id\":{{\"S\":\"a\"}},\"version\":{{\"N\":\"{n}\"}},\"t\":{{\"S\":\"{text}\"}}}}\n"
        )
    };

    project.write(
        "items.jsonl",
        [version(1, "x"), version(2, "y"), version(3, &large)].concat(),
    );
    let report = project
        .restoredb(["--source=items.jsonl", "--json"])
        .exits(3)
        .report();
    let summary = &report["summary"];
    assert_eq!(
        (
            &summary["items_written"],
            &summary["items_superseded"],
            &summary["items_rejected"]
        ),
        (&1.into(), &1.into(), &1.into()),
        "{summary:#}"
    );

    assert_eq!(
        client.items(&table).into_values().next().expect("an item")["version"],
        n(2)
    );
}

#[test]
fn strict_stops_at_the_first_reject_and_can_be_resumed_without_it() {
    let engine = Engine::any();
    let table = engine.table("films");
    let client = engine.client();
    client.create_simple(&table);
    let project = Project::on(&engine, &table);
    let mut lines: Vec<String> = (0..80)
        .map(|number| format!("{{\"id\":{{\"S\":\"good-{number}\"}}}}"))
        .collect();
    lines.insert(
        60,
        "{\"id\":{\"S\":\"\"},\"t\":{\"S\":\"the bad one\"}}".to_owned(),
    );
    project.write("items.jsonl", lines.join("\n"));

    for flags in [&["--strict"][..], &["--strict", "--resume"]] {
        let run = project
            .restoredb(["--source=items.jsonl", "--json"].iter().chain(flags))
            .exits(3);
        let run = run
            .says("stopped at the first rejected item")
            .says("empty")
            .says("--strict")
            .says("--resume");

        let report = run.report();
        assert_eq!(
            (
                &report["outcome"],
                &report["error"]["kind"],
                &report["exit_code"]
            ),
            (&"partial".into(), &"rejected".into(), &3.into()),
            "{report:#}"
        );
    }

    let report = project
        .restoredb(["--source=items.jsonl", "--resume", "--json"])
        .exits(3)
        .report();
    let summary = &report["summary"];
    assert_eq!(
        (&summary["items_written"], &summary["items_rejected"]),
        (&80.into(), &1.into()),
        "{summary:#}"
    );

    assert_eq!(client.items(&table).len(), 80);
    let rejects = project.text(summary["rejects_file"].as_str().expect("a file of rejects"));
    assert_eq!(rejects.lines().count(), 1, "{rejects}");
}
