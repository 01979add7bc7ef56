//! `dumpdb --resume`: a resumed dump is equal to one without interruption.
//!
//! Only with the embedded engine: the interruption affects this program, and the proxy simulates a slow or failing server.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::client::poll;
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always, calls};
use crate::support::films::{films_table, items_in_table, items_in_text};
use crate::support::process::{send_signal, spawn_with_messages, stopped};
use crate::support::project::{Project, run};
use crate::support::pty::Terminal;

/// A table `films` of about `pages` pages, and a project that dumps it through a proxy.
fn behind_proxy(pages: usize) -> (Engine, Proxy, Project) {
    let (engine, _) = films_table(pages);
    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::empty()
        .environment("local", proxy.url(), "films")
        .environment("dev", engine.url(), "films");

    (engine, proxy, project)
}

/// Runs `dumpdb` and sends it SIGTERM while it waits for the last of this number of pages.
fn terminated(project: &Project, proxy: &Proxy, pages: usize, arguments: &[&str]) -> String {
    let last = proxy.seen("Scan") + pages;
    proxy.hold("Scan", last..);
    let child = spawn_with_messages(project.command("dumpdb", arguments));
    poll("the dump reads", || proxy.seen("Scan") >= last);
    let (status, talk) = stopped(child, Signal::TERM, proxy);
    assert_eq!(status.code(), Some(130), "{talk}");

    talk
}

/// The command to resume, from the output of an interrupted dump.
fn way_on(talk: &str) -> &str {
    let line = talk
        .lines()
        .find_map(|line| line.split_once("Resume with: "))
        .unwrap_or_else(|| panic!("no way on: {talk}"));
    line.1
}

#[test]
fn a_terminated_dump_prints_a_command_that_resumes_it() {
    let (engine, proxy, project) = behind_proxy(10);
    let dump = ["--output", "my dump", "--data-only", "--segments=1"];
    let talk = terminated(&project, &proxy, 4, &dump);
    assert!(talk.contains("items saved."), "{talk}");
    let asked = proxy.count("Scan");
    assert_eq!(
        project.names("."),
        ["envs", "my dump.journal", "my dump.partial"]
    );

    let mut shell = project.command("dumpdb", [""; 0]);
    let folder = shell.get_current_dir().expect("it has one").to_owned();
    shell = Command::new("sh");
    shell.args(["-c", way_on(&talk)]).current_dir(folder);
    run(shell, Vec::new())
        .exits(0)
        .says("Resumes")
        .says("resumed once");
    assert_eq!(project.names("."), ["envs", "my dump"]);

    // No page was read twice: the calls of both runs are those of one.
    let clean = project
        .dumpdb([
            "--env=dev",
            "--output=clean",
            "--data-only",
            "--segments=1",
            "--json",
        ])
        .exits(0)
        .report();
    let metadata = project.json("my dump/table-metadata.json");
    assert_eq!(metadata["resumed"], 1);
    assert_eq!(
        metadata["consumed_read_units"],
        clean["summary"]["consumed_read_units"]
    );
    assert_eq!(proxy.count("Scan") - asked, 10 - asked);
    assert_eq!(
        items_in_text(&project.text("my dump/table-data.json")),
        items_in_table(&engine.client(), "films")
    );
    project.verifydb(["my dump"]).exits(0);
}

#[test]
fn with_nothing_to_resume_it_is_an_ordinary_run() {
    let (engine, _) = films_table(1);
    let project = Project::on(&engine, "films");
    for output in ["out", "out", "items.jsonl"] {
        project
            .dumpdb(["--resume", "--output", output])
            .exits(0)
            .says("no interrupted dump was found");
    }

    project
        .dumpdb(["--resume", "--schema-only", "--output=schema"])
        .exits(0);
    assert_eq!(project.json("out/table-metadata.json")["resumed"], 0);
    project
        .dumpdb(["--resume", "--output=-"])
        .exits(2)
        .says("cannot be resumed");
}

#[test]
fn another_table_or_other_options_are_not_gone_on_with() {
    let (engine, proxy, project) = behind_proxy(6);
    let project = project.chooses_segments();
    terminated(&project, &proxy, 3, &["--output=out", "--segments=2"]);
    let lies_there = |part: &str| project.bytes(format!("out.partial/{part}"));
    let before = lies_there("table-data.json");
    for (arguments, part) in [
        (vec!["--segments=3"], "segments: 2 then, 3 now"),
        (vec!["--format=jsonl"], "format: json then, jsonl now"),
        (vec!["--compress=zstd"], "compression: none then, zstd now"),
        (
            vec!["--consistent-read"],
            "consistent read: no then, yes now",
        ),
        (vec!["--limit=5"], "limit: none then, 5 now"),
        (vec!["--data-only"], "schema: yes then, no now"),
        (vec!["--env=dev"], "environment: local then, dev now"),
    ] {
        let refused = project
            .dumpdb(["--output=out", "--resume"].iter().chain(&arguments))
            .exits(2);
        refused.says(part).says("omit --resume to start over");
        assert_eq!(lies_there("table-data.json"), before);
    }

    // The segments of the first run hold for whoever names none.
    project
        .dumpdb(["--output=out", "--resume", "--dry-run"])
        .exits(0)
        .says("segments 2")
        .says("Resumes");

    engine.client().delete_if_there("films");
    engine.client().create_simple("films");
    project
        .dumpdb(["--output=out", "--resume"])
        .exits(2)
        .says("table id");
    assert_eq!(lies_there("table-data.json"), before);
    let afresh = project.dumpdb(["--output=out"]).exits(0);
    afresh
        .says("[WARNING] Discarding the interrupted dump (")
        .says("table id");
    assert_eq!(project.json("out/table-metadata.json")["items"], 0);
    assert_eq!(project.names("."), ["envs", "out"]);
}

#[test]
fn without_a_terminal_nothing_is_resumed_unasked() {
    let (_engine, proxy, project) = behind_proxy(5);
    terminated(&project, &proxy, 3, &["--output=out"]);
    project
        .dumpdb(["--output=out", "--dry-run"])
        .exits(0)
        .says("--resume would resume it");
    project
        .dumpdb(["--output=out"])
        .exits(0)
        .says("Discarding the interrupted dump (")
        .says("--resume would resume it");

    assert_eq!(project.json("out/table-metadata.json")["resumed"], 0);
}

#[test]
fn at_a_terminal_the_question_is_asked() {
    let (engine, proxy, project) = behind_proxy(6);
    for (answer, resumed) in [("", 1), ("n", 0)] {
        terminated(&project, &proxy, 3, &["--output=out"]);
        let mut terminal = Terminal::run(project.command("dumpdb", ["--output=out"]));
        terminal
            .reads("Resume the interrupted dump (")
            .reads(" done)? [Y/n]")
            .types(answer);
        terminal.ends(0);
        assert_eq!(
            project.json("out/table-metadata.json")["resumed"],
            resumed,
            "{answer:?}"
        );

        assert_eq!(
            items_in_text(&project.text("out/table-data.json")),
            items_in_table(&engine.client(), "films")
        );
    }
}

#[test]
fn yes_starts_over_with_and_without_a_terminal() {
    let (_engine, proxy, project) = behind_proxy(6);
    for has_terminal in [true, false] {
        terminated(&project, &proxy, 3, &["--output=out"]);
        let command = project.command("dumpdb", ["--output=out", "--yes"]);
        let seen = if has_terminal {
            Terminal::run(command).ends(0)
        } else {
            run(command, Vec::new()).exits(0).to_string()
        };

        assert!(seen.contains("--resume would resume it"), "{seen}");
        assert_eq!(project.json("out/table-metadata.json")["resumed"], 0);
    }
}

#[test]
fn a_question_that_is_terminated_leaves_the_terminal_usable_and_the_dump_resumable() {
    let (_engine, proxy, project) = behind_proxy(5);
    terminated(&project, &proxy, 3, &["--output=out"]);
    let mut shell = Command::new("sh");
    let script = "sh -c 'echo $$ > pid; exec \"$0\" --output=out' \"$0\"; stty -a | tr '\\n' ' '";
    shell
        .args(["-c", script])
        .arg(project.command("dumpdb", [""; 0]).get_program())
        .current_dir(project.path("."));
    let mut terminal = Terminal::run(shell);
    terminal.reads("[Y/n]");
    let pid = project
        .text("pid")
        .trim()
        .parse()
        .ok()
        .and_then(Pid::from_raw)
        .expect("an id");

    kill_process(pid, Signal::TERM).expect("it can be signalled");
    let seen = terminal.ends(0);
    assert!(seen.contains(" icanon"), "{seen}");
    project
        .dumpdb(["--output=out", "--resume"])
        .exits(0)
        .says("resumed once");
}

#[test]
fn a_journal_that_cannot_be_read_is_named() {
    let (_engine, proxy, project) = behind_proxy(6);
    terminated(&project, &proxy, 3, &["--output=out"]);
    let mut journal = project.bytes("out.journal");
    journal.truncate(journal.len() - 10);
    project.write("out.journal", journal);
    project
        .dumpdb(["--output=out", "--resume"])
        .exits(12)
        .says("out.journal")
        .says("omit --resume");

    project
        .dumpdb(["--output=out"])
        .exits(0)
        .says("the interrupted dump is discarded")
        .says("out.journal");
}

#[test]
fn a_signal_that_comes_with_its_echo_is_one() {
    let (_engine, proxy, project) = behind_proxy(5);
    proxy.hold("Scan", 3..);
    let child = spawn_with_messages(project.command("dumpdb", ["--output=out"]));
    poll("the dump reads", || proxy.seen("Scan") >= 3);

    // `timeout` signals its child and then the group of both. Both signals arrive before the process continues. Two of one kind would
    // become one.
    send_signal(&child, Signal::STOP);
    send_signal(&child, Signal::TERM);
    send_signal(&child, Signal::INT);
    let (status, talk) = stopped(child, Signal::CONT, &proxy);
    assert_eq!(status.code(), Some(130), "{talk}");
    assert!(
        talk.contains("Resume with: ") && !talk.contains("twice"),
        "{talk}"
    );
}

#[test]
fn a_second_signal_stops_immediately_and_keeps_the_last_saved_progress() {
    // The progress is first saved after a tenth of a second.
    let (engine, client) = films_table(14);
    let late = Fault::Late(Duration::from_millis(30));
    let proxy = Proxy::with_rules(&engine, [always("Scan", late)]);
    let project = Project::empty().environment("local", proxy.url(), "films");
    proxy.hold("Scan", 13..);
    let mut terminal = Terminal::run(project.command("dumpdb", ["--output=out", "--segments=1"]));
    poll("the dump reads", || proxy.seen("Scan") == 13);
    poll("the progress is saved", || {
        project.path("out.journal").exists()
    });
    terminal.interrupts().reads("Press Ctrl-C again");
    terminal.interrupts();
    let talk = terminal.ends(130);
    assert!(
        talk.contains("stopped immediately") && way_on(&talk).ends_with("--resume"),
        "{talk}"
    );
    proxy.release();
    project
        .dumpdb(["--output=out", "--segments=1", "--resume"])
        .exits(0)
        .says("resumed once");
    assert_eq!(
        items_in_text(&project.text("out/table-data.json")),
        items_in_table(&client, "films")
    );
}

#[test]
fn a_call_that_never_ends_does_not_hold_up_a_clean_stop() {
    let (engine, _) = films_table(3);
    let proxy = Proxy::with_rules(
        &engine,
        [calls("Scan", 3..=usize::MAX, Fault::TableThrottled)],
    );
    let project = Project::empty().environment("local", proxy.url(), "films");
    let talk = terminated(&project, &proxy, 4, &["--output=out"]);
    assert!(talk.contains("saved. Resume with: "), "{talk}");
    proxy.heal();
    project
        .dumpdb(["--output=out", "--resume"])
        .exits(0)
        .says("resumed once");
}

#[test]
fn a_failed_dump_keeps_its_items_and_prints_the_command_to_resume() {
    let (engine, client) = films_table(8);
    let expired = Fault::Refused(
        "ExpiredTokenException",
        "The security token included in the request is expired",
    );
    for (fault, code, dump) in [
        (
            expired,
            10,
            [
                "--output=items.jsonl.zst",
                "--give-up-after=8s",
                "--segments=1",
            ],
        ),
        (
            Fault::TableThrottled,
            1,
            ["--output=items.jsonl", "--give-up-after=8s", "--segments=1"],
        ),
    ] {
        let proxy = Proxy::with_rules(&engine, [calls("Scan", 5..=usize::MAX, fault)]);
        let project = Project::empty().environment("local", proxy.url(), "films");
        let failed = project.dumpdb(dump).exits(code);
        assert!(way_on(&failed.stderr).ends_with("--resume"), "{failed}");
        proxy.heal();
        let report = project
            .dumpdb(dump.iter().chain(&["--resume", "--json"]))
            .exits(0)
            .report();
        assert_eq!(
            (&report["summary"]["resumed"], &report["summary"]["items"]),
            (&json!(1), &json!(48))
        );

        // No page was read twice.
        assert_eq!(
            proxy
                .calls()
                .iter()
                .filter(|call| call.operation == "Scan" && !call.failed)
                .count(),
            8
        );

        if let Ok(text) = fs::read_to_string(project.path("items.jsonl")) {
            assert_eq!(items_in_text(&text), items_in_table(&client, "films"));
        }
    }
}

#[test]
fn a_limit_holds_for_all_runs_together() {
    let (_engine, proxy, project) = behind_proxy(6);
    terminated(&project, &proxy, 3, &["--output=out", "--limit=31"]);
    project
        .dumpdb(["--output=out", "--limit=31", "--resume"])
        .exits(0)
        .says("resumed once");
    assert_eq!(
        items_in_text(&project.text("out/table-data.json")).len(),
        31
    );
    let metadata = project.json("out/table-metadata.json");
    assert_eq!(
        (&metadata["items"], &metadata["partial"]),
        (&json!(31), &json!({"limit": 31}))
    );
}

#[test]
fn a_file_that_may_not_grow_is_a_clean_failure() {
    // The progress is saved after a page that arrives a second after the last save; that of a file that is full is not.
    let (engine, _) = films_table(14);
    let late = Fault::Late(Duration::from_millis(200));
    let proxy = Proxy::with_rules(&engine, [always("Scan", late)]);
    let project = Project::empty()
        .environment("local", proxy.url(), "films")
        .environment("dev", engine.url(), "films");
    project
        .dumpdb(["--env=dev", "--output=out", "--limit=3"])
        .exits(0);
    let before = project.bytes("out/table-metadata.json");
    let dump = project.command("dumpdb", [""; 0]);
    let mut shell = Command::new("sh");

    // In units of 512 bytes (POSIX): 10 of some 14 MB.
    shell.args([
        "-c",
        "ulimit -f 20000; exec \"$0\" --output=out --segments=1 --yes",
    ]);
    shell.arg(dump.get_program()).current_dir(project.path("."));
    let failed = run(shell, Vec::new())
        .exits(1)
        .says("File too large")
        .says("choose another folder");
    assert_eq!(project.bytes("out/table-metadata.json"), before);
    assert!(way_on(&failed.stderr).ends_with("--resume"), "{failed}");
    let asked = proxy.count("Scan");
    project
        .dumpdb(["--output=out", "--segments=1", "--yes", "--resume"])
        .exits(0)
        .says("resumed once");
    assert!(proxy.count("Scan") - asked < asked, "it began anew");
    assert_eq!(
        items_in_text(&project.text("out/table-data.json")),
        items_in_table(&engine.client(), "films")
    );
}

#[test]
fn a_closed_pipe_does_not_stop_a_dump() {
    let (engine, _proxy, project) = behind_proxy(5);
    let dump = project.command("dumpdb", [""; 0]);
    let mut shell = Command::new("sh");
    shell
        .args([
            "-c",
            "(\"$0\" --output=out -v 2>&1; echo $? > code) | head -1",
        ])
        .arg(dump.get_program())
        .current_dir(project.path("."));

    run(shell, Vec::new()).exits(0);
    assert_eq!(project.text("code"), "0\n");
    assert_eq!(
        items_in_text(&project.text("out/table-data.json")),
        items_in_table(&engine.client(), "films")
    );
    project.verifydb(["out"]).exits(0);
}

/// A table of two thousand items, a hundred in a page, the same bytes each time.
fn fixed(request: &Value) -> Value {
    let start: usize = request["ExclusiveStartKey"]["id"]["S"]
        .as_str()
        .map_or(0, |key| key.parse().expect("a number"));
    let item = |n: usize| json!({"id": {"S": n.to_string()}, "text": {"S": "word ".repeat(n * 7919 % 1200)}});
    let items: Vec<_> = (start + 1..=start + 100).map(item).collect();
    let mut page =
        json!({"Items": items, "Count": 100, "ConsumedCapacity": {"CapacityUnits": 0.5}});
    if start < 1900 {
        page["LastEvaluatedKey"] = json!({"id": {"S": (start + 100).to_string()}});
    }

    page
}

#[test]
fn with_one_segment_the_bytes_are_those_of_a_clean_run() {
    let (engine, _) = films_table(1);
    let proxy = Proxy::with_rules(&engine, [always("Scan", Fault::Answered(fixed))]);
    let project = Project::empty().environment("local", proxy.url(), "films");
    for options in [
        vec!["--format=json"],
        vec!["--compress=zstd"],
        vec!["--format=jsonl", "--compress=gzip"],
    ] {
        let dump = |output: &'static str| {
            [vec![output, "--segments=1", "--resume"], options.clone()].concat()
        };
        project.dumpdb(dump("--output=clean")).exits(0);
        terminated(&project, &proxy, 3, &dump("--output=out"));

        for pages in [1, 7] {
            terminated(&project, &proxy, pages, &dump("--output=out"));
        }

        project
            .dumpdb(dump("--output=out"))
            .exits(0)
            .says("resumed 3 times");
        let (clean, out) = (
            project.json("clean/table-metadata.json"),
            project.json("out/table-metadata.json"),
        );
        let name = clean["files"]
            .as_object()
            .expect("files")
            .keys()
            .find(|name| name.starts_with("table-data"))
            .expect("data");

        assert!(
            project.bytes(format!("clean/{name}")) == project.bytes(format!("out/{name}")),
            "{name}"
        );
        assert_eq!(clean["files"][name], out["files"][name]);
        assert_eq!(clean["consumed_read_units"], out["consumed_read_units"]);
    }
}
