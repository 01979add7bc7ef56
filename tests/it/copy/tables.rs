//! What a copy does to the tables, and what it refuses.

use aws_sdk_dynamodb::types::ScalarAttributeType;
use serde_json::json;

use super::Scene;
use crate::support::client::{attribute, numbered, partition, poll, s};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always, calls, size_for};
use crate::support::project::Project;

#[test]
fn a_copy_has_every_item_and_is_read_back() {
    let scene = Scene::new(300, 500);
    let summary = scene.summary(&[]);
    scene.is_equal();
    assert_eq!(summary["items_written"], 300, "{summary:#}");
    assert_eq!(summary["table"], "created", "{summary:#}");
    assert_eq!(summary["verified"]["equal"], 300, "{summary:#}");
    assert!(
        summary["source_read_units"].as_f64() > Some(0.0),
        "{summary:#}"
    );

    let shown = scene
        .project
        .copydb(["--from=here", "--to=there", "--yes"])
        .exits(0);
    shown.says("Copied 300 items to films (there)");
}

#[test]
fn large_tables_are_read_in_many_segments_of_small_pages() {
    let scene = Scene::new(400, 10_000);
    scene
        .source_proxy
        .set([always("DescribeTable", Fault::Changed(size_for(32)))]);
    scene.summary(&["--verify=none"]);
    scene.is_equal();

    let scans: Vec<_> = scene.source_proxy.calls();
    let scans = scans.iter().filter(|call| call.operation == "Scan");
    let mut segments = 0;
    for scan in scans {
        assert_eq!(scan.body["TotalSegments"], 64, "{:#}", scan.body);
        assert!(scan.body["Limit"].as_u64() < Some(1000), "{:#}", scan.body);
        segments += u64::from(scan.body.get("ExclusiveStartKey").is_none());
    }

    assert_eq!(segments, 64);
}

#[test]
fn the_source_is_only_read() {
    let scene = Scene::new(50, 100);
    scene.summary(&["--replace"]);
    for call in scene.source_proxy.calls() {
        let mut reads = ["Scan", "Describe", "List", "Get"].iter();
        let is_read = reads.any(|read| call.operation.starts_with(read));
        assert!(is_read, "{}", call.operation);
    }
}

#[test]
fn a_table_is_copied_under_another_name_within_one_environment() {
    let scene = Scene::new(30, 100);
    scene
        .project
        .copydb(["--from=here", "--to=here", "--map=films=copies", "--yes"])
        .exits(0);
    assert_eq!(scene.source.items("copies"), scene.source.items("films"));
}

#[test]
fn both_sides_may_be_embedded_databases() {
    let scene = Scene::new(40, 100);
    let project = scene
        .project
        .environment("one", "embedded:one.db", "films")
        .environment("two", "embedded:two.db", "films");
    project
        .copydb(["--from=here", "--to=one", "--yes"])
        .exits(0);
    project.copydb(["--from=one", "--to=two", "--yes"]).exits(0);
    project
        .copydb(["--from=two", "--to=two", "--map=films=copies", "--yes"])
        .exits(0);
    let back = project
        .copydb([
            "--from=two",
            "--to=there",
            "--table=copies",
            "--yes",
            "--json",
        ])
        .exits(0)
        .report();
    assert_eq!(back["summary"]["verified"]["equal"], 40, "{back:#}");
    assert_eq!(scene.target.items("copies"), scene.source.items("films"));
}

#[test]
fn an_empty_table_is_copied_as_an_empty_table() {
    let scene = Scene::new(0, 0);
    let summary = scene.summary(&[]);
    assert_eq!(summary["table"], "created", "{summary:#}");
    assert!(scene.target.items("films").is_empty());

    // A filter that lets nothing through may be a mistake.
    scene.target.delete_if_there("films");
    scene.source.put("films", numbered(3));
    scene
        .copy(&["--filter-expression=id = \"no such key\""])
        .exits(12)
        .says("nothing to write");
    assert!(scene.target.describe("films").is_none());
}

#[test]
fn a_table_of_whose_few_items_a_sample_selects_none_is_copied_without_items() {
    let scene = Scene::new(3, 10);
    let sample = ["--sample=0.001%"];
    scene.copy(&[&sample[..], &["--dry-run"]].concat()).exits(0);
    let run = scene.copy(&sample).exits(0);
    let summary = run.report()["summary"].take();
    assert_eq!(
        (&summary["items_left_out"], &summary["table"]),
        (&3.into(), &"created".into()),
        "{summary:#}"
    );
    assert!(scene.target.items("films").is_empty());

    // An empty sample does not replace a table, and a condition may be a mistake.
    scene.summary(&[]);
    scene
        .copy(&[&sample[..], &["--replace"]].concat())
        .exits(12)
        .says("nothing to write");
    scene.is_equal();
    scene.target.delete_if_there("films");
    scene
        .copy(&["--where=.id.S == \"nobody\""])
        .exits(12)
        .says("nothing to write");
    assert!(scene.target.describe("films").is_none());
}

#[test]
fn a_limit_and_a_filter_of_the_server_copy_part_of_the_table() {
    let scene = Scene::new(60, 100);
    let run = scene.copy(&["--limit=20"]).exits(0);
    let summary = run.report()["summary"].take();
    run.says("Only part of the source table is copied (limit 20).");
    assert_eq!(summary["items_written"], 20, "{summary:#}");
    assert_eq!(summary["source_complete"], false, "{summary:#}");
    assert_eq!(scene.target.items("films").len(), 20);

    scene.target.delete_if_there("films");
    let key = scene.source.items("films").keys().next().cloned();
    assert!(key.is_some());
    scene.summary(&[
        "--filter-expression=attribute_exists(padding)",
        "--verify=full",
    ]);
    scene.is_equal();
}

#[test]
fn the_options_for_existing_tables_are_those_of_a_restore() {
    let scene = Scene::new(20, 100);
    scene.target.create_simple("films");
    let own = numbered(5).into_iter().map(|mut item| {
        item.insert("own".to_owned(), s("yes"));
        item
    });
    scene.target.put("films", own);
    let before = scene.target.items("films");

    let kept = scene.summary(&["--if-missing"]);
    assert_eq!(kept["table"], "kept", "{kept:#}");
    let filled = scene.summary(&["--if-empty"]);
    assert_eq!(filled["table"], "kept", "{filled:#}");
    assert_eq!(scene.target.items("films"), before);

    let skipped = scene.summary(&["--on-conflict=skip"]);
    assert_eq!(
        (&skipped["items_written"], &skipped["items_skipped"]),
        (&15.into(), &5.into()),
        "{skipped:#}"
    );

    let replaced = scene.summary(&["--replace"]);
    assert_eq!(replaced["table"], "replaced", "{replaced:#}");
    scene.is_equal();
}

#[test]
fn a_table_is_not_copied_to_itself() {
    let scene = Scene::new(5, 10);
    let project = scene.project.environment(
        "twin",
        &scene.source_proxy.url().replace("127.0.0.1", "localhost"),
        "films",
    );
    for to in ["here", "twin"] {
        project
            .copydb(["--from=here", &format!("--to={to}"), "--yes"])
            .exits(2)
            .says("source and target are the same table");
    }

    assert_eq!(scene.source_proxy.count("BatchWriteItem"), 0);
}

#[test]
fn both_sides_must_be_named() {
    let scene = Scene::new(5, 10);
    let project = &scene.project;
    for (arguments, text) in [
        (&["--from=here"][..], "the target of the copy is not named"),
        (&["--to=there"], "the source of the copy is not named"),
        (&[], "the source of the copy is not named"),
        (
            &["--from=here", "--to-region=eu-west-1"],
            "the target of the copy is not named",
        ),
    ] {
        project.copydb(arguments).exits(2).says(text);
    }

    project
        .copydb(["--from=here", "--to=there", "--table=film", "--yes"])
        .exits(11)
        .says("did you mean films");
    project
        .copydb(["--from=here", "--to=there", "--map=other=copies", "--yes"])
        .exits(11)
        .says("no table matches \"other\" of the mapping");
    assert!(scene.target.describe("films").is_none());
}

#[test]
fn a_target_with_another_key_is_refused() {
    let scene = Scene::new(5, 10);
    scene.target.create("films", |table| {
        table
            .billing_mode(aws_sdk_dynamodb::types::BillingMode::PayPerRequest)
            .attribute_definitions(attribute("other", ScalarAttributeType::S))
            .key_schema(partition("other"))
    });
    scene.copy(&[]).exits(13);
    assert!(scene.target.items("films").is_empty());
}

#[test]
fn a_protected_target_must_be_confirmed_and_a_protected_source_is_read_slowly() {
    let scene = Scene::new(10, 10);
    let project = scene
        .project
        .environment("prod", scene.target_proxy.url(), "films")
        .environment("live-prod", scene.source_proxy.url(), "films");
    let to_prod = ["--from=here", "--to=prod", "--yes"];
    project.copydb(to_prod).exits(4);
    assert!(scene.target.describe("films").is_none());
    project
        .copydb(to_prod.iter().chain(&["--confirm=films"]))
        .exits(0)
        .says("Source: here");
    assert_eq!(scene.target.items("films"), scene.source.items("films"));

    let plan = project
        .copydb(["--from=live-prod", "--to=there", "--dry-run", "--json"])
        .exits(0)
        .report();
    let cap = &plan["plan"]["source"]["scan"]["max_read_units"]["reason"];
    assert!(cap == "protected" || cap == "unknown-capacity", "{plan:#}");
}

#[test]
fn a_dry_run_reads_no_items_unless_they_are_transformed() {
    let scene = Scene::new(30, 10);
    let plan = scene.copy(&["--dry-run"]).exits(0).report();
    assert_eq!(plan["plan"]["source"]["kind"], "table", "{plan:#}");
    assert_eq!(scene.source_proxy.count("Scan"), 0);

    let trial = scene
        .copy(&["--dry-run", "--transform=.new = {S: \"x\"}"])
        .exits(0)
        .report();
    assert_eq!(trial["plan"]["trial"]["changed"], 30, "{trial:#}");
    assert!(scene.target.describe("films").is_none());
}

#[test]
fn items_that_are_lost_are_found_by_the_verification() {
    // The target acknowledges a batch of 25 items that it does not write.
    let scene = Scene::new(100, 100);
    scene.source_proxy.keeps_sizes();
    scene.target.create_simple("films");
    scene.target_proxy.set([crate::support::faults::calls(
        "BatchWriteItem",
        2..=2,
        Fault::Answered(|_| serde_json::json!({"UnprocessedItems": {}})),
    )]);
    let found = scene.copy(&["--segments=1"]).exits(3).report();
    let verified = &found["summary"]["verified"];
    assert_eq!(
        (&verified["missing"], &verified["equal"]),
        (&25.into(), &75.into()),
        "{found:#}"
    );
}

#[test]
fn a_source_that_is_recreated_during_the_copy_is_an_error() {
    let scene = Scene::new(100, 10_000);
    scene.source_proxy.hold("Scan", 2..);
    let copy = scene.project.command("copydb", Scene::arguments(&[]));
    let child = std::thread::scope(|scope| {
        let running = scope.spawn(|| crate::support::project::run(copy, Vec::new()));
        poll("the copy reads", || scene.source_proxy.seen("Scan") > 1);
        scene.source.delete_if_there("films");
        scene.source.create_simple("films");
        scene.source_proxy.release();
        running.join().expect("the command runs")
    });
    child
        .exits(1)
        .says("was deleted and recreated in the meantime");
}

#[test]
fn two_environments_without_env_files() {
    let scene = Scene::new(10, 10);
    let project = Project::empty();
    project.write(
        ".aws/credentials",
        "[one]\naws_access_key_id=test\naws_secret_access_key=test\n[two]\naws_access_key_id=test\naws_secret_access_key=test\n",
    );
    let [from, to] = [&scene.source_proxy, &scene.target_proxy].map(Proxy::url);
    project
        .copydb([
            "--from-profile=one",
            "--from-region=eu-west-1",
            &format!("--from-endpoint-url={from}"),
            "--to-profile=two",
            "--to-region=eu-west-1",
            &format!("--to-endpoint-url={to}"),
            "--table=films",
            "--yes",
        ])
        .exits(0);
    scene.is_equal();
}

#[test]
fn a_target_that_is_never_ready_is_given_up_while_pages_of_the_source_wait_for_it() {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create_simple("films");
    client.put("films", numbered(4_000));
    let copy_through = |proxy: &Proxy| {
        let project = Project::empty().environment("here", proxy.url(), "films");
        project.copydb([
            "--from=here",
            "--to=here",
            "--map=films=copy",
            "--segments=32",
            "--verify=none",
            "--give-up-after=3s",
            "--yes",
        ])
    };

    let proxy = Proxy::with_rules(&engine, []);
    copy_through(&proxy).exits(0);
    let made = proxy.calls();
    let until_creation = made
        .iter()
        .take_while(|call| call.operation != "CreateTable");
    let described = until_creation.filter(|call| call.operation == "DescribeTable");

    // From the creation on, no description arrives; Scans do.
    let later = described.count() + 1..=usize::MAX;
    client.delete_if_there("copy");
    let proxy = Proxy::with_rules(
        &engine,
        [calls("DescribeTable", later, Fault::CutBeforeCall)],
    );
    copy_through(&proxy)
        .exits(1)
        .says("DescribeTable copy failed")
        .says("after 3s without progress");
}

#[test]
fn an_empty_table_of_the_same_database_is_filled_while_pages_of_the_source_wait_for_it() {
    let project = Project::empty().environment("here", "embedded:films.db", "films");
    let padding = "x".repeat(1000);
    let item = |id: u32| json!({ "id": { "S": id.to_string() }, "padding": { "S": padding } });
    let items = (0..10_000).map(|id| format!("{}\n", item(id)));
    project.write("items.jsonl", items.collect::<String>());
    let table = json!({
        "TableName": "films",
        "BillingModeSummary": { "BillingMode": "PAY_PER_REQUEST" },
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
    });
    project.write("schema.json", json!({ "Table": table }).to_string());
    project
        .restoredb([
            "--env=here",
            "--source=items.jsonl",
            "--schema=schema.json",
            "--yes",
        ])
        .exits(0);

    for (copy, concurrency) in [("one", "--concurrency=1"), ("more", "--concurrency=64")] {
        let map = format!("--map=films={copy}");
        let arguments = ["--from=here", "--to=here", "--yes", &map, concurrency];
        let copy = |more| project.copydb(arguments.iter().chain(more));
        copy(&["--schema-only"][..]).exits(0);
        copy(&["--if-empty", "--segments=64"])
            .exits(0)
            .says("10,000 items");
    }
}
