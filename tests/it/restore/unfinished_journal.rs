//! The journal of an unfinished restore: its table, its dump, and unreadable journals.

use serde_json::Value;

use crate::support::client::{Client, Items, numbered, s};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always, calls};
use crate::support::journal::{STATE_DIR, forge, journals, read, write};
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

    fn journal(&self) -> String {
        journals(&self.project).pop().expect("there is a journal")
    }

    fn edit(&self, edit: impl FnOnce(&mut Value)) {
        forge(&self.project, self.journal(), |journal| {
            edit(&mut journal["restore"]);
        });
    }

    fn forget_progress(&self) {
        self.edit(|job| {
            assert!(job["progress"].is_object());
            job["progress"] = Value::Null;
        });
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
            .says("another source")
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
fn the_hint_explains_how_to_start_over_with_another_dump() {
    let scene = Scene::half_done();
    scene.restore(&["--source=b", "--replace"]).exits(0);
    assert_eq!(scene.client.items("copy"), scene.client.items("others"));
    scene.changes_nothing(&["--source=b", "--if-missing"], 0);
}

#[test]
fn another_dump_is_not_resumed_without_progress() {
    let scene = Scene::half_done();
    scene.forget_progress();
    scene
        .changes_nothing(&["--source=b", "--resume"], 1)
        .says("cannot be resumed")
        .says("another source");
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
        .says("the items that it wrote remain in the table");
    scene.changes_nothing(&["--source=b", "--if-missing"], 1);
    scene.changes_nothing(&["--source=a", "--if-missing"], 1);
}

#[test]
fn a_run_that_wrote_nothing_leaves_no_journal_on_a_live_table() {
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
    let left = scene.project.names(STATE_DIR);
    assert!(left.is_empty(), "{left:?}");

    scene
        .changes_nothing(&["--source=a", "--if-missing"], 0)
        .never_says("did not end");
    assert_eq!(scene.client.items("copy"), before);
}

#[test]
fn if_missing_keeps_a_live_table_despite_an_unfinished_restore() {
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
        scene.edit(|job| job["table_id"] = Value::Null);
        scene.forget_progress();
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
fn a_journal_that_cannot_be_read_stops_every_run() {
    let scene = Scene::half_done();
    let journal = scene.journal();
    let whole = scene.project.bytes(&journal);
    let content = read(&scene.project, &journal).to_string();
    let other_boost = content.replace("\"boost\":null", "\"boost\":{\"boosted\":{},\"after\":{}}");
    let without_lanes = content.replace("\"lanes\"", "\"other\"");
    assert!(content != other_boost && content != without_lanes);

    let forged = [other_boost.as_str(), without_lanes.as_str(), "{}", ""].map(|content| {
        write(&scene.project, &journal, content);
        scene.project.bytes(&journal)
    });
    let mut flipped = whole.clone();
    *flipped.last_mut().expect("it is not empty") ^= 1;
    let version = [b"dynadump journal 2", &whole[18..]].concat();
    let half = whole[..whole.len() / 2].to_vec();
    let unreadable = [
        flipped,
        version,
        half,
        b"{}".to_vec(),
        b"\xff".to_vec(),
        vec![],
    ];

    for bytes in forged.into_iter().chain(unreadable) {
        scene.project.write(&journal, bytes);
        for more in [
            &[][..],
            &["--if-missing"],
            &["--resume"],
            &["--replace"],
            &["--dry-run"],
        ] {
            let run = scene.changes_nothing(&[&["--source=a"], more].concat(), 1);
            run.says(&journal)
                .says("cannot be read")
                .says("delete the file");
        }
    }

    scene.project.write(&journal, &whole);
    scene.restore(&["--source=a", "--if-missing"]).exits(0);
    assert_eq!(scene.client.items("copy"), scene.items);
}

#[test]
fn a_schema_only_restore_keeps_the_progress_of_an_unfinished_one() {
    let scene = Scene::half_done();
    let before = read(&scene.project, scene.journal())["restore"]["progress"].take();
    scene.restore(&["--source=a", "--schema-only"]).exits(0);
    let after = read(&scene.project, scene.journal())["restore"]["progress"].take();
    assert!(before.is_object());
    assert_eq!(before, after);

    let resumed = scene
        .restore(&["--source=a", "--resume", "--json"])
        .exits(0);
    assert!(resumed.report()["summary"]["resumed"].is_object());
    assert_eq!(scene.client.items("copy"), scene.items);
}

#[test]
fn other_files_in_the_state_directory_do_not_matter() {
    let scene = Scene::half_done();
    let journal = scene.journal();
    let name = journal.rsplit_once("restore-").expect("its name").1;
    let hash = name.strip_suffix(".journal").expect("its name");
    for (name, content) in [
        (format!("unfinished-restore-{hash}.json"), "{}"),
        (format!("unfinished-restore-{hash}.checkpoint.json"), "{"),
        (format!("unfinished-restore-{hash}.lock"), ""),
        (format!("restore-{hash}.journal.partial"), "half of a jour"),
    ] {
        scene.project.write(format!("{STATE_DIR}/{name}"), content);
    }

    scene.restore(&["--source=a", "--if-missing"]).exits(0);
    assert_eq!(scene.client.items("copy"), scene.items);
}
