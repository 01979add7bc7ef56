//! `--if-empty`: fills a table that contains no items, and leaves any other alone.

use serde_json::{Value, json};

use crate::support::client::{Client, numbered, s};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, calls};
use crate::support::journal::journals;
use crate::support::project::{Project, Run};

const WRITE: &str = "BatchWriteItem";
const ITEMS: usize = 300;

/// A table `films`, its dump `out`, and the environment `dev`, which is the table `copy` through a proxy.
struct Scene {
    client: Client,
    proxy: Proxy,
    project: Project,
    _engine: Engine,
}

impl Scene {
    fn new() -> Self {
        let engine = Engine::embedded();
        let client = engine.client();
        client.create_simple("films");
        client.put("films", numbered(ITEMS));
        let proxy = Proxy::with_rules(&engine, []);
        let project = Project::on(&engine, "films").environment("dev", proxy.url(), "copy");
        project.dumpdb(["--output=out"]).exits(0);

        Self {
            client,
            proxy,
            project,
            _engine: engine,
        }
    }

    fn fill(&self, more: &[&str]) -> Run {
        let arguments = ["--source=out", "--env=dev", "--if-empty", "--yes", "--json"];
        self.project.restoredb(arguments.iter().chain(more))
    }

    fn is_filled(&self) -> bool {
        self.client.items("copy") == self.client.items("films")
    }
}

#[test]
fn a_table_without_items_is_filled_once_and_then_left_alone() {
    let scene = Scene::new();
    scene.client.create_simple("copy");
    // `ItemCount` does not matter.
    scene.proxy.set([calls(
        "DescribeTable",
        1..=usize::MAX,
        Fault::Changed(|answer| {
            if let Some(table) = answer.get_mut("Table") {
                table["ItemCount"] = 1_000.into();
            }
        }),
    )]);

    let filled = scene.fill(&[]).exits(0).report();
    assert_eq!(filled["summary"]["table"], "added-to", "{filled:#}");
    assert!(scene.is_filled());

    scene
        .client
        .put("copy", [[("id".to_owned(), s("added since"))].into()]);
    let before = scene.client.items("copy");
    scene.proxy.set([calls(
        "DescribeTable",
        1..=usize::MAX,
        Fault::Changed(|answer| {
            if let Some(table) = answer.get_mut("Table") {
                table["ItemCount"] = 0.into();
            }
        }),
    )]);
    let writes = scene.proxy.count(WRITE);
    let kept = scene.fill(&[]).exits(0).says("contains items").report();
    assert_eq!(kept["summary"]["table"], "kept", "{kept:#}");
    assert_eq!(kept["summary"]["kept_because"], "has-items", "{kept:#}");
    assert_eq!(scene.proxy.count(WRITE), writes);
    assert_eq!(scene.client.items("copy"), before);
}

#[test]
fn one_item_is_looked_for_with_consistent_scans_until_the_end_of_the_table() {
    let scene = Scene::new();
    scene.client.create_simple("copy");
    scene.client.put("copy", numbered(100));
    let before = scene.client.items("copy");

    // The first pages are empty, and do not end the table.
    let empty: fn(&mut Value) = |answer| {
        *answer = json!({"Items": [], "Count": 0, "ScannedCount": 0,
            "LastEvaluatedKey": {"id": {"S": "item-000000"}}});
    };
    let other: fn(&mut Value) = |answer| {
        *answer = json!({"Items": [], "Count": 0, "ScannedCount": 0,
            "LastEvaluatedKey": {"id": {"S": "item"}}});
    };
    scene.proxy.set([
        calls("Scan", 1..=1, Fault::Changed(empty)),
        calls("Scan", 2..=2, Fault::Changed(other)),
    ]);

    scene.fill(&[]).exits(0).says("contains items");
    assert_eq!(scene.client.items("copy"), before);
    let scans: Vec<Value> = scene
        .proxy
        .calls()
        .into_iter()
        .filter(|call| call.operation == "Scan")
        .map(|call| call.body)
        .collect();
    assert_eq!(scans.len(), 3, "{scans:#?}");
    for scan in scans {
        assert_eq!(scan["Limit"], 1, "{scan}");
        assert_eq!(scan["ConsistentRead"], true, "{scan}");
    }
}

#[test]
fn a_missing_table_is_created() {
    let scene = Scene::new();
    let summary = scene.fill(&[]).exits(0).report();
    assert_eq!(summary["summary"]["table"], "created", "{summary:#}");
    assert!(scene.is_filled());
}

#[test]
fn an_unfinished_restore_is_resumed_whoever_created_the_table() {
    for exists in [false, true] {
        let scene = Scene::new();
        if exists {
            scene.client.create_simple("copy");
        }

        scene
            .proxy
            .set([calls(WRITE, 9..=usize::MAX, Fault::TableThrottled)]);
        scene
            .fill(&["--give-up-after=1s", "--concurrency=1"])
            .exits(1);
        assert_eq!(journals(&scene.project).len(), 1);
        assert!(!scene.is_filled());

        scene.proxy.heal();
        let summary = scene.fill(&[]).exits(0).report();
        let resumed = &summary["summary"]["resumed"]["items"];
        assert!(resumed.as_u64() > Some(0), "{summary:#}");
        assert!(scene.is_filled());
    }
}

#[test]
fn an_unfinished_restore_of_another_dump_is_not_completed() {
    let scene = Scene::new();
    scene.client.create_simple("copy");
    scene
        .project
        .dumpdb(["--output=other", "--limit=40"])
        .exits(0);
    scene
        .proxy
        .set([calls(WRITE, 9..=usize::MAX, Fault::TableThrottled)]);
    scene
        .fill(&["--give-up-after=1s", "--concurrency=1"])
        .exits(1);
    scene.proxy.heal();

    let before = scene.client.items("copy");
    scene
        .project
        .restoredb(["--source=other", "--env=dev", "--if-empty", "--yes"])
        .exits(1)
        .says("table copy contains items of a restore of")
        .says("did not end")
        .says("--replace");
    assert_eq!(scene.client.items("copy"), before);
}

#[test]
fn an_empty_table_with_another_key_is_refused() {
    let scene = Scene::new();
    scene.project.write(
        "other.json",
        json!({"TableName": "films", "KeySchema": [{"AttributeName": "other", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "other", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST"})
        .to_string(),
    );
    scene
        .project
        .restoredb([
            "--source=out",
            "--env=dev",
            "--schema=other.json",
            "--schema-only",
            "--yes",
        ])
        .exits(0);

    scene.fill(&[]).exits(13);
    assert!(scene.client.items("copy").is_empty());
}

#[test]
fn items_that_arrive_before_the_first_write_stop_the_restore() {
    let scene = Scene::new();
    scene.client.create_simple("copy");
    // The plan's Scan finds nothing, the next one an item.
    scene.client.put("copy", numbered(1));
    let empty: fn(&mut Value) = |answer| {
        *answer = json!({"Items": [], "Count": 0, "ScannedCount": 0});
    };
    scene
        .proxy
        .set([calls("Scan", 1..=1, Fault::Changed(empty))]);

    scene.fill(&[]).exits(1).says("contains items now");
    assert_eq!(scene.proxy.count(WRITE), 0);
    assert_eq!(scene.client.items("copy").len(), 1);
    assert!(journals(&scene.project).is_empty());
}
