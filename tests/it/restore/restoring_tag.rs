//! The tag of a table whose restore is not complete, and what other machines make of it.

use serde_json::{Value, json};

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always, calls};
use crate::support::project::Project;

const WRITE: &str = "BatchWriteItem";
const TAG: &str = "dynadump:restoring";

/// A table `films`, its dump `out`, and the environment `dev`, which is the table `copy` through a proxy.
struct Scene {
    engine: Engine,
    proxy: Proxy,
    project: Project,
}

impl Scene {
    fn new(rules: impl Into<Vec<Rule>>) -> Self {
        let engine = Engine::embedded();
        let client = engine.client();
        client.create_simple("films");
        client.put("films", numbered(300));
        let proxy = Proxy::with_rules(&engine, rules);
        let project = Project::on(&engine, "films").environment("dev", proxy.url(), "copy");
        project.dumpdb(["--output=out"]).exits(0);

        Self {
            engine,
            proxy,
            project,
        }
    }

    /// A restore that stopped halfway, into a table that it created.
    fn half_done() -> Self {
        let scene = Self::new([calls(WRITE, 9..=usize::MAX, Fault::TableThrottled)]);
        let arguments = [
            "--source=out",
            "--env=dev",
            "--yes",
            "--give-up-after=1s",
            "--concurrency=1",
        ];
        scene.project.restoredb(arguments).exits(1);
        scene.proxy.heal();

        scene
    }

    /// A machine without the journal.
    fn other_machine(&self) -> (Project, String) {
        let project = Project::empty().environment("dev", self.engine.url(), "copy");
        let source = format!("--source={}", self.project.path("out").display());
        (project, source)
    }

    /// The tags in a request.
    fn tags_of_creation(&self, number: usize) -> Value {
        let calls = self.proxy.calls().into_iter();
        let mut created = calls.filter(|call| call.operation == "CreateTable");
        created.nth(number).expect("a call").body["Tags"].clone()
    }
}

#[test]
fn a_table_has_the_tag_until_its_restore_is_complete() {
    let scene = Scene::half_done();
    let tags = scene.tags_of_creation(0);
    assert_eq!(tags[0]["Key"], TAG, "{tags}");
    let value = tags[0]["Value"].as_str().expect("a value");
    assert!(
        value.contains("out") && value.contains("of films"),
        "{value}"
    );
    assert_eq!(scene.proxy.count("UntagResource"), 0);

    let arguments = [
        "--source=out",
        "--env=dev",
        "--yes",
        "--if-missing",
        "--json",
    ];
    let report = scene.project.restoredb(arguments).exits(0).report();
    assert!(report["summary"]["resumed"].is_object(), "{report:#}");
    let last = scene.proxy.calls().pop().expect("calls");
    let removal = scene
        .proxy
        .calls()
        .into_iter()
        .rfind(|call| call.operation == "UntagResource");
    let removal = removal.unwrap_or(last);
    assert_eq!(removal.body["TagKeys"], json!([TAG]), "{removal:?}");

    let (other, source) = scene.other_machine();
    other
        .restoredb([&source, "--env=dev", "--yes", "--if-missing"])
        .exits(0)
        .never_says(TAG);
}

#[test]
fn another_machine_does_not_take_an_unfinished_table_for_a_complete_one() {
    let scene = Scene::half_done();
    let (other, source) = scene.other_machine();
    for choice in ["--if-missing", "--if-empty"] {
        if choice == "--if-empty" {
            // A table that contains items is refused, too.
            assert!(!scene.engine.client().items("copy").is_empty());
        }

        other
            .restoredb([&source, "--env=dev", "--yes", choice])
            .exits(1)
            .says("table copy is not complete")
            .says("--replace")
            .says("aws dynamodb untag-resource --resource-arn arn:aws:dynamodb:");
    }

    other
        .restoredb([&source, "--env=dev", "--yes", "--dry-run"])
        .exits(0)
        .says("that is not known on this machine has not finished");

    other
        .restoredb([&source, "--env=dev", "--yes", "--replace"])
        .exits(0);
    let client = scene.engine.client();
    assert_eq!(client.items("copy"), client.items("films"));
    other
        .restoredb([&source, "--env=dev", "--yes", "--if-missing"])
        .exits(0);
}

#[test]
fn the_tag_is_not_part_of_a_dump_or_a_difference() {
    let scene = Scene::half_done();
    scene
        .project
        .dumpdb(["--env=dev", "--output=partial"])
        .exits(0)
        .says("A restore of table copy has not finished")
        .says(TAG);
    let schema = scene.project.text("partial/table-schema.json");
    assert!(!schema.contains(TAG), "{schema}");

    scene
        .project
        .verifydb(["--source=out", "--env=dev", "--schema-only"])
        .exits(0)
        .never_says(TAG);
}

#[test]
fn a_table_is_created_without_the_tag_if_that_is_denied() {
    let denied = Fault::Refused(
        "AccessDeniedException",
        "User is not authorized to perform: dynamodb:TagResource",
    );
    let scene = Scene::new([calls("CreateTable", 1..=1, denied)]);
    scene
        .project
        .restoredb(["--source=out", "--env=dev", "--yes"])
        .exits(0)
        .says("Table copy was created without the tag dynadump:restoring");
    assert_eq!(scene.tags_of_creation(0)[0]["Key"], TAG);
    assert_eq!(scene.tags_of_creation(1), Value::Null);
    assert_eq!(scene.proxy.count("UntagResource"), 0);
}

#[test]
fn a_tag_that_cannot_be_removed_is_reported() {
    let denied = Fault::Refused(
        "AccessDeniedException",
        "User is not authorized to perform: dynamodb:UntagResource",
    );
    let scene = Scene::new([always("UntagResource", denied)]);
    scene
        .project
        .restoredb(["--source=out", "--env=dev", "--yes"])
        .exits(3)
        .says("removal of the tag dynadump:restoring");
}

#[test]
fn an_engine_without_the_operation_that_ignores_the_tag_is_no_failure() {
    let unknown = || Fault::Refused("UnknownOperationException", "");
    let scene = Scene::new([
        always("UntagResource", unknown()),
        always("ListTagsOfResource", unknown()),
    ]);
    scene
        .project
        .restoredb(["--source=out", "--env=dev", "--yes"])
        .exits(0);
}
