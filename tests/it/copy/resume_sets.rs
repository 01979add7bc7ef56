//! Copies of several tables that are killed and resumed: finished tables are not copied again.

use super::Scene;
use crate::support::client::{numbered, poll};
use crate::support::journal::finished_targets;
use crate::support::process::spawn_silent;
use crate::support::pty::Terminal;

const WRITE: &str = "BatchWriteItem";

/// The tables with their numbers of items.
const TABLES: [(&str, usize); 5] = [
    ("prod-a", 40),
    ("prod-b", 10),
    ("prod-c", 60),
    ("prod-d", 25),
    ("prod-e", 80),
];

/// With one segment, a table of n items is written in n / 10 batches of 10.
const MAPPED: [&str; 3] = ["--table=prod-*", "--map=prod-*=dev-*", "--segments=1"];

fn scene() -> Scene {
    let scene = Scene::new(0, 0);
    scene.source_proxy.keeps_sizes();
    for (table, items) in TABLES {
        scene.source.create_simple(table);
        scene.source.put(table, numbered(items));
    }

    scene
}

fn target(source: &str) -> String {
    source.replacen("prod", "dev", 1)
}

/// Kills a copy after this number of further writes, if it does not end before.
fn kill_after(scene: &Scene, writes: usize, more: &[&str]) {
    let goal = scene.target_proxy.seen(WRITE) + writes;
    scene.target_proxy.hold(WRITE, goal..);
    let options = [&MAPPED[..], more].concat();
    let mut child = spawn_silent(scene.project.command("copydb", Scene::arguments(&options)));
    poll("the copy writes or ends", || {
        let has_ended = child.try_wait().is_ok_and(|ended| ended.is_some());
        has_ended || scene.target_proxy.seen(WRITE) >= goal
    });
    let _ = child.kill();
    child.wait().expect("a child can be waited for");
    scene.target_proxy.release();
}

/// The targets that the journal of the set lists as finished.
fn finished(scene: &Scene) -> Vec<String> {
    finished_targets(&scene.project, "copy-set-").unwrap_or_default()
}

/// Copies all tables, and checks that those in the journal are not read again, by the copy or its verification.
fn resume(scene: &Scene, more: &[&str]) {
    let before = finished(scene);
    let calls = scene.source_proxy.calls().len();
    let options = [&MAPPED[..], more].concat();
    let report = scene.copy(&options).exits(0).report();
    let tables = report["summary"]["tables"].as_array().expect("tables");
    for table in tables {
        let is_finished = before.iter().any(|name| table["target"] == **name);
        let expected = if is_finished { "copied-before" } else { "done" };
        assert_eq!(table["outcome"], expected, "{report:#}");
    }

    let calls = scene.source_proxy.calls().split_off(calls);
    for call in calls.iter().filter(|call| call.operation == "Scan") {
        let table = target(call.body["TableName"].as_str().expect("a name"));
        assert!(!before.contains(&table), "{table} was read again");
    }

    for (source, _) in TABLES {
        let target = target(source);
        assert_eq!(scene.target.items(&target), scene.source.items(source));
    }

    assert!(finished(scene).is_empty());
}

#[test]
fn a_resumed_copy_skips_finished_tables_and_resumes_the_others() {
    let scene = scene();
    // One table after the other, the smallest first: the third is written when the copy is killed.
    let one_by_one = ["--parallel-tables=1", "--concurrency=1", "--batch-size=10"];
    kill_after(&scene, 6, &one_by_one);
    assert_eq!(finished(&scene), ["dev-b", "dev-d"]);

    let plan = [&MAPPED[..], &["--dry-run"]].concat();
    scene
        .copy(&plan)
        .exits(0)
        .says("The 2 tables that it finished will be copied again (--resume would skip them).");
    let run = scene.copy(&[&plan[..], &["--resume"]].concat()).exits(0);
    run.says("prod-b → dev-b  copied before, 10 items");

    resume(&scene, &["--resume"]);
}

#[test]
fn a_terminal_is_asked_whether_to_resume_an_interrupted_copy() {
    let scene = scene();
    let one_by_one = ["--parallel-tables=1", "--concurrency=1", "--batch-size=10"];
    kill_after(&scene, 6, &one_by_one);
    assert_eq!(finished(&scene), ["dev-b", "dev-d"]);

    let copy = ["--from=here", "--to=there"].iter().chain(&MAPPED);
    let mut terminal = Terminal::run(scene.project.command("copydb", copy));
    terminal
        .reads("Resume the interrupted copy (2 of 5 tables done)?")
        .types("y")
        .reads("Copy 3 tables from here to there: dev-a, dev-c, dev-e?")
        .types("y");
    terminal.ends(0);
    assert!(finished(&scene).is_empty());
    for (source, _) in TABLES {
        let target = target(source);
        assert_eq!(scene.target.items(&target), scene.source.items(source));
    }
}

#[test]
fn tables_are_copied_again_with_other_options_or_if_they_were_recreated() {
    let scene = scene();
    let one_by_one = ["--parallel-tables=1", "--concurrency=1", "--batch-size=10"];
    kill_after(&scene, 6, &one_by_one);
    let limited = [&MAPPED[..], &["--resume", "--dry-run", "--limit=5"]].concat();
    scene
        .copy(&limited)
        .says("copied again (it was run with other options)");

    scene.source.delete_if_there("prod-b");
    scene.source.create_simple("prod-b");
    scene.source.put("prod-b", numbered(12));
    scene.target.delete_if_there("dev-d");
    let options = [&MAPPED[..], &["--resume"]].concat();
    scene.copy(&options).exits(0).says("Copied 5 of 5 tables");
    for (source, _) in TABLES {
        let target = target(source);
        assert_eq!(scene.target.items(&target), scene.source.items(source));
    }
}

#[test]
fn a_set_killed_at_random_moments_is_complete_after_it_is_resumed() {
    let scene = scene();
    let mut seed: u64 = 11;
    for _ in 0..6 {
        for (source, _) in TABLES {
            scene.target.delete_if_there(&target(source));
        }

        let mut options = vec!["--batch-size=10"];
        for _ in 0..2 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let writes = usize::try_from(1 + (seed >> 40) % 20).expect("a small number");
            kill_after(&scene, writes, &options);
            if !options.contains(&"--resume") {
                options.push("--resume");
            }
        }

        resume(&scene, &options);
    }
}
