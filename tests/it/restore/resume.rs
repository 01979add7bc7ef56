//! Interrupted and resumed restores: the items are the same in the end, and none is written twice without need.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::support::client::{Client, Items, numbered, poll, s};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always, calls, sometimes, with_text};
use crate::support::journal::{STATE_DIR, journals, read};
use crate::support::process::{send_signal, spawn_silent, spawn_with_messages, stopped};
use crate::support::project::{Project, Run, dump_of, run};
use crate::support::pty::Terminal;

const WRITE: &str = "BatchWriteItem";

/// Calls that a restore can make between the decision to kill it and the kill.
const CALLS_BEFORE_KILL: usize = 6;

/// A table `films` with items of so many bytes, dumped to `out`; the restore goes to `copy` through a proxy.
struct Scene {
    _engine: Engine,
    client: Client,
    items: Items,
    proxy: Proxy,
    project: Project,
}

impl Scene {
    fn new(count: usize, bytes: usize, dump: &[&str], rules: Vec<Rule>) -> Self {
        let engine = Engine::embedded();
        let client = engine.client();
        client.create_simple("films");
        let padding = "x".repeat(bytes);
        let padded = numbered(count).into_iter().map(|mut item| {
            item.insert("padding".to_owned(), s(&padding));
            item
        });
        for chunk in padded
            .collect::<Vec<_>>()
            .chunks((1_000_000 / bytes).clamp(1, 25))
        {
            client.put("films", chunk.to_vec());
        }

        let proxy = Proxy::with_rules(&engine, rules);
        let project = Project::on(&engine, "films").environment("dev", proxy.url(), "copy");
        project.dumpdb(["--output=out"].iter().chain(dump)).exits(0);
        let items = client.items("films");
        Self {
            _engine: engine,
            client,
            items,
            proxy,
            project,
        }
    }

    fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
        ["--source=out", "--env=dev", "--yes", "--json"]
            .iter()
            .chain(more)
            .copied()
            .collect()
    }

    /// Kills a restore after this number of further calls.
    fn killed_after(&self, more_calls: usize, more: &[&str]) {
        let goal = self.proxy.seen(WRITE) + more_calls;
        self.proxy.hold(WRITE, goal + CALLS_BEFORE_KILL..);
        let mut child = spawn_silent(self.project.command("restoredb", Self::arguments(more)));
        poll("the restore writes", || self.proxy.seen(WRITE) >= goal);
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
        self.proxy.release();
    }

    /// Lets a restore stop cleanly after this number of further calls. Returns its messages.
    fn terminated_after(&self, more_calls: usize, more: &[&str]) -> String {
        let goal = self.proxy.seen(WRITE) + more_calls;
        self.proxy.hold(WRITE, goal..);
        let restore = self.project.command("restoredb", Self::arguments(more));
        let child = spawn_with_messages(restore);
        poll("the restore writes", || self.proxy.seen(WRITE) >= goal);
        let (status, messages) = stopped(child, Signal::TERM, &self.proxy);
        assert_eq!(status.code(), Some(130), "{messages}");

        messages
    }

    /// The items that the journal counts as read; 0 without a journal.
    fn items_in_journal(&self) -> u64 {
        journals(&self.project).first().map_or(0, |path| {
            read(&self.project, path)["restore"]["progress"]["counts"]["read"]
                .as_u64()
                .unwrap_or(0)
        })
    }

    fn finishes(&self, more: &[&str]) -> Value {
        self.project
            .restoredb(Self::arguments(more))
            .exits(0)
            .report()["summary"]
            .take()
    }

    /// A restore that gives up where the table is busy. One call at a time: what was written before that is the front of the dump,
    /// of several calls at once any may come first.
    fn gives_up(&self) -> Run {
        self.project
            .restoredb(Self::arguments(&["--give-up-after=1s", "--concurrency=1"]))
            .exits(1)
    }

    fn table_id(&self) -> Option<String> {
        let table = self.client.describe("copy")?;
        table.table_id().map(ToOwned::to_owned)
    }

    fn has_all(&self) {
        assert_eq!(self.client.items("copy"), self.items);
    }
}

/// A number that looks like chance.
fn chance(seed: &mut u64) -> usize {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    usize::try_from(*seed >> 40).expect("24 bits")
}

/// Kills a restore ten times, and lets it finish. How often the progress is saved depends on the
/// disk; so the runs before the kills end with one that counts items, which must outlast the kills.
fn killed_again_and_again(scene: &Scene, seed: u64, batch_size: usize) {
    let batch = format!("--batch-size={batch_size}");
    let options = ["--resume", &batch];
    let calls_of_a_whole_run = scene.items.len().div_ceil(batch_size);
    loop {
        scene.terminated_after(10, &options);
        if scene.items_in_journal() > 0 {
            break;
        }
    }

    // Even if each run saved all that it wrote, they must not finish the restore.
    let most_calls_of_a_run = calls_of_a_whole_run / 20;
    let mut seed = seed;
    for _ in 0..10 {
        scene.killed_after(1 + chance(&mut seed) % most_calls_of_a_run, &options);
    }

    scene.proxy.heal();
    let before = scene.proxy.seen(WRITE);
    let summary = scene.finishes(&options);
    let count = scene.items.len() as u64;
    assert_eq!(
        (&summary["items_read"], &summary["items_written"]),
        (&count.into(), &count.into()),
        "{summary:#}"
    );

    assert_eq!(summary["verified"]["equal"], count, "{summary:#}");
    scene.has_all();
    assert!(!summary["resumed"].is_null(), "{summary:#}");
    assert!(
        scene.proxy.seen(WRITE) - before < calls_of_a_whole_run,
        "the last run wrote all of it again"
    );
}

fn slow() -> Rule {
    always(WRITE, Fault::Late(Duration::from_millis(30)))
}

fn storm(seed: u64) -> Vec<Rule> {
    vec![
        sometimes(WRITE, 10, seed, Fault::Unprocessed(1)),
        sometimes(WRITE, 10, seed + 100, Fault::TableThrottled),
        sometimes(WRITE, 5, seed + 200, Fault::CutInAnswer),
        slow(),
    ]
}

#[test]
fn killed_in_one_lane() {
    killed_again_and_again(&Scene::new(500, 100, &[], vec![slow()]), 1, 2);
}

#[test]
fn killed_in_several_lanes() {
    killed_again_and_again(&Scene::new(600, 2_000, &[], vec![slow()]), 2, 3);
}

#[test]
fn killed_in_a_storm() {
    killed_again_and_again(&Scene::new(600, 2_000, &["--format=jsonl"], storm(7)), 3, 3);
}

#[test]
fn killed_between_gzip_frames() {
    killed_again_and_again(
        &Scene::new(200, 40_000, &["--compress=gzip"], vec![slow()]),
        4,
        1,
    );
}

#[test]
fn killed_between_zstd_frames_in_a_storm() {
    killed_again_and_again(
        &Scene::new(200, 40_000, &["--compress=zstd"], storm(9)),
        5,
        1,
    );
}

/// Items that are read, and counted, together.
const CHUNK_ITEMS: usize = 24;

/// Lanes of a dump of 1.2 MB, each of which may end with a smaller batch.
const LANES: usize = 4;

#[test]
fn ctrl_c_prints_a_command_that_writes_only_the_remaining_items() {
    let scene = Scene::new(400, 3_000, &[], Vec::new());
    let talk = scene.terminated_after(31, &["--batch-size=4"]);
    let written = scene.client.items("copy").len();
    assert!(written > 100 && written < 400, "{written}");

    let before = scene.proxy.seen(WRITE);
    let command = talk
        .split("Resume with: ")
        .nth(1)
        .and_then(|rest| rest.lines().next())
        .expect("the command");

    assert!(command.ends_with("--resume"), "{command}");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", command])
        .current_dir(scene.project.path(""))
        .env_clear();
    shell
        .env("HOME", scene.project.path(""))
        .env("PATH", "/usr/bin:/bin")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    let resumed = run(shell, Vec::new()).exits(0);
    scene.has_all();
    let summary = &resumed.report()["summary"];
    let kept = summary["resumed"]["items"].as_u64().expect("a count");
    let kept = usize::try_from(kept).expect("a small count");

    // What was in flight had ended: only the items of a chunk that was cut are written again.
    assert!(
        kept <= written && written - kept < CHUNK_ITEMS,
        "{summary:#}"
    );
    let calls = scene.proxy.seen(WRITE) - before;
    let full = (400 - kept) / 4;
    assert!(
        (full..=full + LANES).contains(&calls),
        "{calls} calls for {} items",
        400 - kept
    );
}

#[test]
fn a_call_that_hangs_is_abandoned_after_the_grace_period() {
    let scene = Scene::new(200, 3_000, &[], Vec::new());

    scene.proxy.hold(WRITE, 11..);
    let arguments = Scene::arguments(&["--batch-size=4", "--concurrency=1"]);
    let child = spawn_with_messages(scene.project.command("restoredb", arguments));
    poll("a call hangs", || scene.proxy.seen(WRITE) > 10);
    send_signal(&child, Signal::TERM);
    let output = child.wait_with_output().expect("a child can be waited for");
    let talk = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(130), "{talk}");
    assert!(
        talk.contains(" of 200 items had been written") && talk.contains("--resume"),
        "{talk}"
    );
    assert_eq!(scene.client.items("copy").len(), 40);

    scene.proxy.release();
    let summary = scene.finishes(&["--resume"]);

    // Calls overtake one another on their way: what lies before the first that hangs is done.
    let resumed = summary["resumed"]["items"]
        .as_u64()
        .expect("it was resumed");
    assert!(
        (1..=40).contains(&resumed) && summary["items_written"] == 200,
        "{summary:#}"
    );
    scene.has_all();
}

#[test]
fn of_two_restores_into_one_table_the_second_is_refused() {
    let scene = Scene::new(400, 3_000, &[], vec![slow()]);
    scene
        .project
        .dumpdb(["--output=other", "--limit=5"])
        .exits(0);
    scene.proxy.hold(WRITE, 4..=4);
    let arguments = Scene::arguments(&["--batch-size=4", "--concurrency=1"]);
    let mut first = spawn_silent(scene.project.command("restoredb", arguments));
    poll("the restore writes", || scene.proxy.seen(WRITE) > 3);
    let arguments = |source: &'static str, more: &[&'static str]| {
        [source, "--env=dev", "--yes"]
            .iter()
            .chain(more)
            .copied()
            .collect::<Vec<_>>()
    };

    for (source, more) in [
        ("--source=out", &[][..]),
        ("--source=out", &["--if-missing"]),
        ("--source=out", &["--resume"]),
        ("--source=out", &["--dry-run"]),
        ("--source=other", &[]),
    ] {
        let refused = scene.project.restoredb(arguments(source, more)).exits(1);
        let refused = refused.says(&format!(
            "table copy of environment dev is being restored by process {}",
            first.id()
        ));
        refused
            .says(".lock`")
            .says("wait until it has finished")
            .never_says("was interrupted");
    }

    // Another table is nobody's business.
    scene
        .project
        .restoredb(arguments("--source=other", &["--table=third"]))
        .exits(0);
    scene.proxy.release();
    assert_eq!(
        first.wait().expect("a child can be waited for").code(),
        Some(0)
    );
    scene.has_all();
    let left = scene.project.names(STATE_DIR);
    assert!(left.is_empty(), "{left:?}");
    scene.finishes(&[]);
}

#[test]
fn a_killed_restore_blocks_no_later_one_and_its_files_are_private() {
    let scene = Scene::new(400, 3_000, &[], vec![slow()]);
    scene.killed_after(30, &["--batch-size=4"]);
    let left = scene.project.names(STATE_DIR);
    for kind in [".lock", ".journal"] {
        assert!(
            left.iter().any(|name| name.ends_with(kind)),
            "{kind}: {left:?}"
        );
    }

    let files = left
        .iter()
        .map(|name| (format!(".local/state/dynadump/{name}"), 0o600));
    let folders =
        [".local", ".local/state", ".local/state/dynadump"].map(|name| (name.to_owned(), 0o700));
    for (path, mode) in files.chain(folders) {
        let found = scene
            .project
            .path(&path)
            .metadata()
            .expect("it is there")
            .permissions()
            .mode();

        assert_eq!(found & 0o777, mode, "{path}");
    }

    scene.proxy.heal();
    scene.finishes(&["--resume"]);
    scene.has_all();
}

#[test]
fn rejects_are_listed_once_however_often_the_run_was_killed() {
    let refused = Fault::Refused(
        "ValidationException",
        "One or more parameter values were invalid",
    );
    let mut rules: Vec<Rule> = ["item 7 ", "item 100 ", "item 250 ", "item 399 "]
        .map(|text| with_text(WRITE, text, refused.clone()))
        .into();
    rules.push(slow());
    let scene = Scene::new(400, 1_000, &[], rules);
    // Even if each run saved all that it wrote, some of the 80 calls are left.
    let mut seed = 11;
    for _ in 0..6 {
        scene.killed_after(1 + chance(&mut seed) % 7, &["--resume", "--batch-size=5"]);
    }

    let run = scene
        .project
        .restoredb(Scene::arguments(&["--resume", "--batch-size=5"]))
        .exits(3);
    let summary = &run.report()["summary"];
    assert_eq!(
        (
            &summary["items_read"],
            &summary["items_written"],
            &summary["items_rejected"]
        ),
        (&400.into(), &396.into(), &4.into()),
        "{summary:#}"
    );

    let rejects = scene
        .project
        .text(summary["rejects_file"].as_str().expect("a file of rejects"));
    let mut ids: Vec<String> = rejects
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).expect("a line of JSON")["item"]["id"]["S"]
                .to_string()
        })
        .collect();

    ids.sort();
    assert_eq!(
        ids,
        [
            "\"item-000007\"",
            "\"item-000100\"",
            "\"item-000250\"",
            "\"item-000399\""
        ]
    );

    assert_eq!(scene.client.items("copy").len(), 396);
    scene.proxy.heal();
    let path = summary["rejects_file"].as_str().expect("a file of rejects");
    scene
        .project
        .restoredb(["--source", path, "--env=dev"])
        .exits(0);
    scene.has_all();
}

#[test]
fn giving_up_prints_the_command_to_resume() {
    let scene = Scene::new(
        300,
        100,
        &[],
        vec![calls(WRITE, 9..=usize::MAX, Fault::TableThrottled)],
    );

    let stopped = scene.gives_up();
    let stopped = stopped
        .says("the restore stopped")
        .says("Resume with: ")
        .says("--resume");
    assert!(
        stopped.report()["error"]["hint"]
            .as_str()
            .is_some_and(|hint| hint.ends_with("--resume")),
        "{stopped}"
    );

    scene.proxy.heal();
    let before = scene.proxy.seen(WRITE);
    scene.finishes(&["--resume"]);
    scene.has_all();
    assert!(scene.proxy.seen(WRITE) - before < 12, "the rest alone");
}

/// A restore that gave up halfway.
fn half_done() -> Scene {
    let scene = Scene::new(
        300,
        100,
        &[],
        vec![calls(WRITE, 9..=usize::MAX, Fault::TableThrottled)],
    );

    scene.gives_up();
    scene.proxy.heal();

    scene
}

#[test]
fn if_missing_resumes_without_a_flag() {
    let scene = half_done();
    let before = scene.proxy.seen(WRITE);
    scene.finishes(&["--if-missing"]);
    scene.has_all();
    assert!(scene.proxy.seen(WRITE) - before < 12);
    assert_eq!(scene.finishes(&["--if-missing"])["table"], "kept");
}

#[test]
fn a_table_that_was_replaced_is_not_deleted_once_more() {
    let scene = half_done();
    let deletes = scene.proxy.seen("DeleteTable");
    scene.finishes(&["--replace", "--resume"]);
    scene.has_all();
    assert_eq!(scene.proxy.seen("DeleteTable"), deletes);

    // With nothing to resume it does what it says.
    let summary = scene.finishes(&["--replace", "--resume"]);
    assert_eq!(
        (&summary["table"], scene.proxy.seen("DeleteTable")),
        (&"replaced".into(), deletes + 1)
    );
    scene.has_all();
}

#[test]
fn without_a_flag_a_script_starts_over_and_is_warned() {
    let scene = half_done();
    let before = scene.proxy.seen(WRITE);
    let run = scene
        .project
        .restoredb(Scene::arguments(&[]))
        .exits(0)
        .says("--resume would resume it");

    assert!(run.report()["summary"]["resumed"].is_null());
    assert_eq!(scene.proxy.seen(WRITE) - before, 12);
    scene.has_all();
}

#[test]
fn at_a_terminal_it_is_asked() {
    for (answer, resumes) in [("", true), ("n", false)] {
        let scene = half_done();
        let before = scene.proxy.seen(WRITE);
        let command = scene
            .project
            .command("restoredb", ["--source=out", "--env=dev"]);
        let mut terminal = Terminal::run(command);
        terminal
            .reads("Resume the interrupted restore (")
            .reads(" items done)? [Y/n]")
            .types(answer);
        terminal.reads("into table copy (dev)? [y/N]").types("y");
        terminal.ends(0);
        scene.has_all();
        assert_eq!(scene.proxy.seen(WRITE) - before < 12, resumes);
    }
}

/// `--replace` starts over, and an answer given on the command line is not a wish to resume: that is `--resume`.
#[test]
fn the_same_options_mean_the_same_with_and_without_a_terminal() {
    for (options, resumes) in [
        (&["--yes"][..], false),
        (&["--confirm=copy"], false),
        (&["--replace", "--yes"], false),
        (&["--replace", "--confirm=copy"], false),
        (&["--resume", "--yes"], true),
        (&["--resume", "--replace", "--yes"], true),
        (&["--if-missing", "--confirm=copy"], true),
    ] {
        for has_terminal in [true, false] {
            let scene = half_done();
            let (before, id) = (scene.proxy.seen(WRITE), scene.table_id());
            let arguments = ["--source=out", "--env=dev"].iter().chain(options);
            let command = scene.project.command("restoredb", arguments);
            if has_terminal {
                Terminal::run(command).ends(0);
            } else {
                run(command, Vec::new()).exits(0);
            }

            scene.has_all();
            let case = format!("{options:?}, terminal: {has_terminal}");
            assert_eq!(scene.proxy.seen(WRITE) - before < 12, resumes, "{case}");
            let is_replaced = options.contains(&"--replace") && !resumes;
            assert_eq!(scene.table_id() != id, is_replaced, "{case}");
        }
    }
}

#[test]
fn what_does_not_fit_is_not_resumed() {
    const REFUSED: &str = "cannot be resumed";

    let scene = half_done();
    let resume = |more: &[&str]| {
        scene
            .project
            .restoredb(["--env=dev", "--yes", "--resume"].iter().chain(more))
    };

    let options = resume(&["--source=out", "--on-conflict=skip"])
        .exits(1)
        .says(REFUSED);
    options
        .says("--on-conflict overwrite")
        .says("omit --resume");
    scene
        .client
        .put("films", numbered(301).into_iter().skip(300));
    scene.project.dumpdb(["--output=other"]).exits(0);
    resume(&["--source=other"])
        .exits(1)
        .says(REFUSED)
        .says("another source");
    resume(&["--source=out/table-data.json"])
        .exits(1)
        .says(REFUSED)
        .says("the data file alone");
    let before = scene.proxy.seen(WRITE);
    scene.client.delete_if_there("copy");
    poll("the table is gone", || {
        scene.client.describe("copy").is_none()
    });
    scene.client.create_simple("copy");
    resume(&["--source=out"])
        .exits(1)
        .says(REFUSED)
        .says("created again");
    assert_eq!(scene.proxy.seen(WRITE), before, "nothing was written");

    // Afresh, when told.
    scene.finishes(&[]);
    scene.has_all();
}

#[test]
fn a_table_that_is_gone_leaves_nothing_to_resume() {
    let scene = half_done();
    scene.client.delete_if_there("copy");
    poll("the table is gone", || {
        scene.client.describe("copy").is_none()
    });
    assert!(scene.finishes(&["--resume"])["resumed"].is_null());
    scene.has_all();
}

#[test]
fn standard_input_cannot_be_resumed() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let project = Project::on(&engine, "films");
    for flag in ["--resume", "--salvage"] {
        project
            .restoredb_from(b"", ["--source=-", flag])
            .exits(2)
            .says(flag)
            .says("standard input");
    }
}

#[test]
fn foreign_files_resume_in_their_own_order() {
    let scene = Scene::new(1, 1, &[], vec![slow()]);
    let line = |n: u32| {
        format!(
            "{{\"id\":{{\"S\":\"item-{}\"}},\"version\":{{\"N\":\"{n}\"}}}}\n",
            (n * 7) % 311
        )
    };

    let text = (0..3_000).map(line).collect::<Vec<_>>().concat();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, text.as_bytes()).expect("it is written to memory");
    scene.project.write(
        "versions.jsonl.gz",
        packed.finish().expect("it is written to memory"),
    );
    scene.client.create_simple("copy");
    let arguments = [
        "--source=versions.jsonl.gz",
        "--env=dev",
        "--yes",
        "--resume",
        "--batch-size=10",
    ];

    // Even if each run saved all that it wrote, some of the 300 calls are left.
    let mut seed = 21;
    for _ in 0..6 {
        let goal = scene.proxy.seen(WRITE) + 1 + chance(&mut seed) % 40;
        scene.proxy.hold(WRITE, goal + CALLS_BEFORE_KILL..);
        let mut child = spawn_silent(scene.project.command("restoredb", arguments));
        poll("the restore writes", || scene.proxy.seen(WRITE) >= goal);
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
        scene.proxy.release();
    }

    scene.proxy.heal();
    scene.project.restoredb(arguments).exits(0);
    let items = scene.client.items("copy");
    assert_eq!(items.len(), 311);

    for number in 3_000 - 311..3_000 {
        let item = &items[&format!("{:?}", s(format!("item-{}", (number * 7) % 311)))];
        assert_eq!(item["version"], crate::support::client::n(number));
    }
}

#[test]
fn without_a_folder_for_a_journal_the_restore_continues_with_one_warning() {
    let (engine, project) = dump_of(3);
    project.write("file", "");
    let mut command = project.command("restoredb", ["--source=out", "--table=copy"]);
    command.env("XDG_STATE_HOME", project.path("file"));
    let done = run(command, Vec::new()).exits(0);
    assert_eq!(
        done.stderr.matches("no place for a journal").count(),
        1,
        "{done}"
    );
    done.says("cannot create the folder").says("XDG_STATE_HOME");
    assert_eq!(engine.client().items("copy").len(), 3);
}

#[test]
fn a_lock_file_that_cannot_be_locked_is_an_error() {
    let scene = Scene::new(
        100,
        100,
        &[],
        vec![calls(WRITE, 3..=usize::MAX, Fault::TableThrottled)],
    );
    scene.gives_up();
    scene.proxy.heal();

    // Links are not followed.
    let journal = journals(&scene.project).pop().expect("there is a journal");
    let lock = journal.replace(".journal", ".lock");
    std::os::unix::fs::symlink(scene.project.path("absent"), scene.project.path(lock))
        .expect("a link");
    let before = scene.client.items("copy").len();
    let run = scene
        .project
        .restoredb(Scene::arguments(&["--resume"]))
        .exits(1);
    run.says("cannot lock").says("XDG_STATE_HOME");
    assert_eq!(scene.client.items("copy").len(), before);
}

#[test]
fn unreadable_pieces_are_listed_once_however_often_a_salvage_was_killed() {
    let scene = Scene::new(450, 1_000, &["--format=jsonl"], vec![slow()]);
    let file = "out/table-data.jsonl";
    let text = scene.project.text(file);
    let mut damaged = Vec::new();
    let lines = text.lines().enumerate().map(|(number, line)| {
        if number % 10 != 4 {
            return line.to_owned();
        }

        damaged.push(line.replace("{\"S\":", "(\"S\":"));
        damaged[damaged.len() - 1].clone()
    });
    let text = lines.collect::<Vec<_>>().join("\n") + "\n";
    scene.project.write(file, text);
    let readable = scene.items.len() - damaged.len();

    // The kills must outlast saved progress that counts something. Even if each run saved all that it wrote, some of the 135 calls are
    // left.
    let options = ["--salvage", "--resume", "--batch-size=3"];
    loop {
        scene.terminated_after(10, &options);
        if scene.items_in_journal() > 0 {
            break;
        }
    }

    let mut seed = 23;
    for _ in 0..6 {
        scene.killed_after(1 + chance(&mut seed) % 7, &options);
    }

    let before = scene.items_in_journal();
    let run = scene.project.restoredb(Scene::arguments(&options)).exits(3);
    let summary = &run.report()["summary"];
    assert_eq!(summary["resumed"]["items"], before, "{summary:#}");
    assert_eq!(
        (
            &summary["items_read"],
            &summary["items_written"],
            &summary["items_rejected"]
        ),
        (&450.into(), &readable.into(), &damaged.len().into()),
        "{summary:#}"
    );

    let rejects = scene
        .project
        .text(summary["rejects_file"].as_str().expect("a file of rejects"));
    let listed: Vec<String> = rejects
        .lines()
        .map(|line| {
            let entry: Value = serde_json::from_str(line).expect("a line of JSON");
            entry["unreadable"].as_str().expect("text").to_owned()
        })
        .collect();
    assert_eq!(listed, damaged, "in the order of the file");
    assert_eq!(scene.client.items("copy").len(), readable);
}
