//! The marker of an unfinished restore: its table, its dump, and unreadable markers.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::client::{Client, Items, numbered, s};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always, calls};
use crate::support::project::{Project, Run};

const WRITE: &str = "BatchWriteItem";

/// A table `films` of 300 items, its dump `a`, and `b`, a dump of 40 others; the environment `dev` is the table `copy` behind a
/// proxy that lets the first calls pass.
struct Scene {
    client: Client,
    items: Items,
    proxy: Proxy,
    project: Project,
    _engine: Engine,
}

impl Scene {
    fn new(rules: impl Into<Vec<Rule>>) -> Self {
        let engine = Engine::embedded();
        let client = engine.client();
        client.create_simple("films");
        client.put("films", numbered(300));
        client.create_simple("others");
        client.put(
            "others",
            (0..40).map(|n| [("id".to_owned(), s(format!("other-{n}")))].into()),
        );
        let proxy = Proxy::with_rules(&engine, rules);
        let project = Project::on(&engine, "films").environment("dev", proxy.url(), "copy");
        project.dumpdb(["--output=a"]).exits(0);
        project.dumpdb(["--table=others", "--output=b"]).exits(0);
        let items = client.items("films");
        Self {
            client,
            items,
            proxy,
            project,
            _engine: engine,
        }
    }

    /// A restore of `a` that stopped halfway, into a table that it created.
    fn half_done() -> Self {
        let scene = Self::new([calls(WRITE, 9..=usize::MAX, Fault::TableThrottled)]);
        scene
            .restore(&["--source=a", "--give-up-after=1s", "--concurrency=1"])
            .exits(1);
        scene.proxy.heal();

        scene
    }

    fn restore(&self, more: &[&str]) -> Run {
        self.project
            .restoredb(["--env=dev", "--yes"].iter().chain(more))
    }

    /// The files in the state directory that end like this and not like this.
    fn state(&self, end: &str, but: &str) -> Vec<PathBuf> {
        let folder = self.project.path(".local/state/dynadump");
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };

        let paths = entries.map(|entry| entry.expect("an entry").path());
        let named = |path: &PathBuf, end: &str| path.to_string_lossy().ends_with(end);
        paths
            .filter(|path| named(path, end) && !(named(path, but)))
            .collect()
    }

    fn marker(&self) -> PathBuf {
        self.state(".json", ".checkpoint.json")
            .pop()
            .expect("there is a marker")
    }

    fn edit(&self, path: &PathBuf, edit: impl FnOnce(&mut Value)) {
        let mut document = self.project.json(path);
        edit(&mut document);
        self.project.write(path, document.to_string());
    }

    fn checkpoint(&self) -> PathBuf {
        self.state(".checkpoint.json", "-")
            .pop()
            .expect("there is a checkpoint")
    }

    /// Asserts that a run neither wrote nor created or deleted anything.
    fn changes_nothing(&self, more: &[&str], code: i32) -> Run {
        let count =
            || [WRITE, "CreateTable", "DeleteTable"].map(|operation| self.proxy.count(operation));
        let before = count();
        let run = self.restore(more).exits(code);
        assert_eq!(count(), before, "{run}");

        run
    }
}

#[test]
fn a_bootstrap_does_not_mix_two_dumps() {
    let scene = Scene::half_done();
    for more in [
        &[][..],
        &["--dry-run"],
        &["--schema-only"],
        &["--on-conflict=skip"],
    ] {
        let run = scene.changes_nothing(&[&["--source=b", "--if-missing"], more].concat(), 1);
        run.says("that did not end")
            .says("another dump")
            .says("--resume")
            .says("--replace");
    }

    for more in [&["--where=true"][..], &["--transform=.x = {S: \"y\"}"]] {
        let run = scene.changes_nothing(&[&["--source=a", "--if-missing"], more].concat(), 1);
        run.says("another transform");
    }

    let input = scene.project.bytes("b/table-data.json");
    let before = scene.proxy.count(WRITE);
    let stream = ["--source=-", "--env=dev", "--yes", "--if-missing"];
    scene
        .project
        .restoredb_from(&input, stream)
        .exits(1)
        .says("did not end");

    assert_eq!(scene.proxy.count(WRITE), before);

    scene.restore(&["--source=a", "--if-missing"]).exits(0);
    assert_eq!(scene.client.items("copy"), scene.items);
    scene.changes_nothing(&["--source=b", "--if-missing"], 0);
}

#[test]
fn starting_over_with_another_dump_is_what_the_hint_says() {
    let scene = Scene::half_done();
    scene.restore(&["--source=b", "--replace"]).exits(0);
    assert_eq!(scene.client.items("copy"), scene.client.items("others"));
    scene.changes_nothing(&["--source=b", "--if-missing"], 0);
}

#[test]
fn another_dump_is_not_resumed_where_no_checkpoint_is_left() {
    let scene = Scene::half_done();
    fs::remove_file(scene.checkpoint()).expect("it can be removed");
    scene
        .changes_nothing(&["--source=b", "--resume"], 1)
        .says("cannot be resumed")
        .says("another dump");
    scene.changes_nothing(&["--source=b", "--if-missing"], 1);
    scene.restore(&["--source=a", "--resume"]).exits(0);
    assert_eq!(scene.client.items("copy"), scene.items);
}

#[test]
fn a_restore_from_standard_input_is_not_continued_by_a_bootstrap() {
    let scene = Scene::new([calls(WRITE, 9..=usize::MAX, Fault::TableThrottled)]);
    let input = scene.project.bytes("a/table-data.json");
    let stream = [
        "--source=-",
        "--schema=a/table-schema.json",
        "--env=dev",
        "--yes",
    ];

    let gives_up = ["--give-up-after=1s", "--concurrency=1"];
    scene
        .project
        .restoredb_from(&input, stream.iter().chain(&gives_up))
        .exits(1);
    scene.proxy.heal();
    let before = scene.proxy.count(WRITE);
    let again = scene
        .project
        .restoredb_from(&input, stream.iter().chain(&["--if-missing"]))
        .exits(1);
    again.says("standard input").says("--replace");
    scene.changes_nothing(&["--source=a", "--if-missing"], 1);
    assert_eq!(scene.proxy.count(WRITE), before);
    scene
        .project
        .restoredb_from(&input, stream.iter().chain(&["--replace"]))
        .exits(0);
    assert_eq!(scene.client.items("copy"), scene.items);
}

#[test]
fn two_dumps_that_were_mixed_on_purpose_are_not_continued_as_one() {
    let scene = Scene::new([
        calls(
            WRITE,
            9..=9,
            Fault::Refused(
                "AccessDeniedException",
                "User is not authorized to perform this",
            ),
        ),
        calls(WRITE, 10..=10, Fault::Late(std::time::Duration::ZERO)),
        calls(
            WRITE,
            11..=11,
            Fault::Refused(
                "AccessDeniedException",
                "User is not authorized to perform this",
            ),
        ),
    ]);

    scene.restore(&["--source=a", "--concurrency=1"]).exits(10);
    let merged = scene.restore(&["--source=b", "--concurrency=1"]).exits(10);
    merged
        .says("did not end")
        .says("the items that it wrote stay");
    scene.changes_nothing(&["--source=b", "--if-missing"], 1);
    scene.changes_nothing(&["--source=a", "--if-missing"], 1);
}

#[test]
fn a_run_that_wrote_nothing_leaves_no_marker_on_a_live_table() {
    let stuck: fn(&mut Value) =
        |answer| answer["Table"]["TableStatus"] = "INACCESSIBLE_ENCRYPTION_CREDENTIALS".into();
    // The first call is the plan's.
    let scene = Scene::new([calls("DescribeTable", 2..=2, Fault::Changed(stuck))]);
    scene.client.create_simple("copy");
    scene.client.put("copy", numbered(5));
    let before = scene.client.items("copy");
    scene
        .project
        .write("first.jsonl", "{\"name\":{\"S\":\"a\"}}\n");
    scene.project.write(
        "second.jsonl",
        "{\"id\":{\"S\":\"a\"}}\n{\"name\":{\"S\":\"a\"}}\n",
    );
    scene
        .changes_nothing(&["--source=a"], 1)
        .says("INACCESSIBLE_ENCRYPTION_CREDENTIALS");
    scene.changes_nothing(&["--source=first.jsonl", "--strict"], 3);
    scene.changes_nothing(&["--source=second.jsonl", "--strict"], 3);
    assert!(
        scene.state(".json", "-").is_empty(),
        "{:?}",
        scene.state(".json", "-")
    );

    scene
        .changes_nothing(&["--source=a", "--if-missing"], 0)
        .never_says("did not end");
    assert_eq!(scene.client.items("copy"), before);
}

#[test]
fn a_live_table_is_kept_whatever_was_begun_in_it() {
    let scene = Scene::new([always(
        WRITE,
        Fault::Refused("AccessDeniedException", "User is not authorized"),
    )]);
    scene.client.create_simple("copy");
    scene.client.put("copy", numbered(5));
    let before = scene.client.items("copy");
    scene.restore(&["--source=a"]).exits(10);
    scene.proxy.heal();

    for source in ["--source=a", "--source=b"] {
        scene.changes_nothing(&[source, "--if-missing"], 0);
    }

    assert_eq!(scene.client.items("copy"), before);

    // To write into it is another decision.
    scene.restore(&["--source=a"]).exits(0).says("did not end");
}

#[test]
fn a_table_whose_id_was_never_recorded_is_the_restores_own_only_while_it_is_empty() {
    for (items, outcome) in [(0, "added-to"), (5, "kept")] {
        let scene = Scene::half_done();
        // As a run leaves it that was killed while the table was being created.
        scene.edit(&scene.marker(), |marker| marker["table_id"] = Value::Null);
        fs::remove_file(scene.checkpoint()).expect("it can be removed");
        scene.client.delete_if_there("copy");
        crate::support::client::poll("the table is gone", || {
            scene.client.describe("copy").is_none()
        });
        scene.client.create_simple("copy");
        scene.client.put("copy", numbered(items));
        let run = scene
            .restore(&["--source=a", "--if-missing", "--json"])
            .exits(0);
        assert_eq!(run.report()["summary"]["table"], outcome, "{run}");
        let expected = if items == 0 { 300 } else { items };
        assert_eq!(scene.client.items("copy").len(), expected);
    }
}

#[test]
fn a_marker_that_cannot_be_read_stops_every_run() {
    let scene = Scene::half_done();
    let marker = scene.marker();
    let whole = fs::read(&marker).expect("it is there");
    let boost = String::from_utf8_lossy(&whole)
        .replace("\"boost\":null", "\"boost\":{\"raised\":{},\"back\":{}}");
    for text in [
        &whole[..whole.len() / 2],
        b"",
        b"{}",
        b"\xff",
        boost.as_bytes(),
    ] {
        scene.project.write(&marker, text);
        for more in [
            &[][..],
            &["--if-missing"],
            &["--resume"],
            &["--replace"],
            &["--dry-run"],
        ] {
            let run = scene.changes_nothing(&[&["--source=a"], more].concat(), 1);
            run.says(&marker.file_name().expect("a name").to_string_lossy())
                .says("cannot be read")
                .says("delete the file");
        }
    }

    scene.project.write(&marker, &whole);
    scene.restore(&["--source=a", "--if-missing"]).exits(0);
}

#[test]
fn a_checkpoint_that_cannot_be_read_stops_every_run() {
    let scene = Scene::half_done();
    let checkpoint = scene.checkpoint();
    let whole = fs::read(&checkpoint).expect("it is there");
    let without_lanes = String::from_utf8_lossy(&whole).replace("\"lanes\"", "\"other\"");
    for text in [
        &whole[..whole.len() / 2],
        b"",
        b"{}",
        without_lanes.as_bytes(),
    ] {
        scene.project.write(&checkpoint, text);
        for more in [&[][..], &["--if-missing"], &["--resume"]] {
            let run = scene.changes_nothing(&[&["--source=a"], more].concat(), 1);
            run.says(&checkpoint.file_name().expect("a name").to_string_lossy())
                .says("delete the file");
        }
    }

    fs::remove_file(&checkpoint).expect("it can be removed");
    scene.restore(&["--source=a", "--if-missing"]).exits(0);
    assert_eq!(scene.client.items("copy"), scene.items);
}

#[test]
fn a_checkpoint_of_another_version_is_not_resumed() {
    let scene = Scene::half_done();
    scene.edit(&scene.checkpoint(), |checkpoint| {
        *checkpoint = json!({"version": 1});
    });
    scene
        .changes_nothing(&["--source=a", "--resume"], 1)
        .says("another version");
    scene
        .restore(&["--source=a", "--if-missing"])
        .exits(0)
        .says("every item is written again");
    assert_eq!(scene.client.items("copy"), scene.items);
}
