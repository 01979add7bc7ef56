//! Interrupted runs: the state they leave, and the next run.

use std::process::Command;

use rustix::process::Signal;

use crate::support::client::{Client, numbered, poll, s};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, calls};
use crate::support::process::{send_signal, spawn_silent};
use crate::support::project::Project;
use crate::support::pty::Terminal;

/// An engine with a table of several pages, and a proxy in front of it.
fn several_pages() -> (Engine, Client, Proxy) {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create_simple("films");
    let padding = "x".repeat(100_000);
    for mut item in numbered(60) {
        item.insert("padding".to_owned(), s(&padding));
        client.put_one("films", item);
    }

    let proxy = Proxy::with_rules(&engine, []);

    (engine, client, proxy)
}

#[test]
fn ctrl_c_leaves_the_last_good_dump() {
    let (engine, client, proxy) = several_pages();
    let project = Project::on(&engine, "films").environment("slow", proxy.url(), "films");
    let dump = ["--env=slow", "--output=out", "--yes"];
    project.dumpdb(["--output=out"]).exits(0);
    let before = project.bytes("out/table-metadata.json");
    client.put("films", numbered(100).into_iter().skip(60));

    proxy.hold("Scan", 2..);
    let mut terminal = Terminal::run(project.command("dumpdb", dump));
    poll("the dump reads", || proxy.seen("Scan") > 1);
    terminal.interrupts().reads("finishing in-flight requests");
    proxy.release();
    terminal.ends(130);
    assert_eq!(project.bytes("out/table-metadata.json"), before);

    project.dumpdb(dump).exits(0);
    assert_eq!(project.json("out/table-metadata.json")["items"], 100);
    assert!(
        !project
            .names(".")
            .iter()
            .any(|name| name.contains("partial")),
        "{:?}",
        project.names(".")
    );
}

#[test]
fn ctrl_c_ends_a_dump_of_many_segments_whose_calls_hang() {
    let (engine, client, _) = several_pages();
    for segments in ["--segments=9", "--segments=32"] {
        let proxy = Proxy::with_rules(
            &engine,
            [calls("Scan", 4..=usize::MAX, Fault::SilentReporter)],
        );
        let project = Project::on(&engine, "films").environment("slow", proxy.url(), "films");
        let dump = ["--env=slow", "--output=out", "--yes", segments];
        project.dumpdb(["--output=out"]).exits(0);
        let before = project.bytes("out/table-metadata.json");

        let mut terminal = Terminal::run(project.command("dumpdb", dump));
        poll("the dump waits for a page", || proxy.count("Scan") > 4);
        terminal.interrupts();
        terminal.ends(130);
        assert_eq!(
            project.bytes("out/table-metadata.json"),
            before,
            "{segments}"
        );

        proxy.heal();
        project.dumpdb(dump.iter().chain(&["--resume"])).exits(0);
        assert_eq!(
            project.json("out/table-metadata.json")["items"],
            client.items("films").len(),
            "{segments}"
        );

        project.verifydb(["out"]).exits(0);
    }
}

#[test]
fn a_terminal_that_is_gone_is_an_interruption_but_not_under_nohup() {
    let (engine, ..) = several_pages();
    let proxy = Proxy::with_rules(
        &engine,
        [calls("Scan", 3..=usize::MAX, Fault::SilentReporter)],
    );
    let project = Project::on(&engine, "films").environment("slow", proxy.url(), "films");
    let hung_up = |command: Command, then: &dyn Fn()| {
        let goal = proxy.seen("Scan").max(2);
        let mut child = spawn_silent(command);
        poll("the dump waits for a page", || proxy.seen("Scan") > goal);
        send_signal(&child, Signal::HUP);
        then();
        child.wait().expect("a child can be waited for").code()
    };

    let through = |program: &str, words: &[&str], asked: &Command| {
        let mut command = Command::new(program);
        command
            .args(words)
            .arg(asked.get_program())
            .args(asked.get_args());
        command.envs(
            asked
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );

        command.current_dir(asked.get_current_dir().expect("the project's folder"));
        command
    };

    let dump = ["--env=slow", "--output=out", "--yes"];
    let asked = project.command("dumpdb", dump);

    // The tests themselves may run under `nohup`.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let is_ignored = ignored.is_some_and(|ignored| ignored & 1 == 1);
    let asked = if is_ignored {
        through("env", &["--default-signal=HUP"], &asked)
    } else {
        asked
    };

    assert_eq!(hung_up(asked, &|| {}), Some(130));
    assert!(
        project.names(".").iter().any(|name| name == "out.journal"),
        "it can be gone on with"
    );

    // A call that hangs is given up after a quarter of the patience.
    let asked = project.command("dumpdb", dump.iter().chain(&["--give-up-after=20s"]));
    let without = through("sh", &["-c", "trap '' HUP; exec \"$@\"", "sh"], &asked);
    assert_eq!(hung_up(without, &|| proxy.heal()), Some(0));
}

#[test]
fn a_killed_dump_keeps_the_last_good_dump_and_blocks_no_later_dump() {
    let (engine, _, proxy) = several_pages();
    let project = Project::on(&engine, "films").environment("slow", proxy.url(), "films");
    project.dumpdb(["--output=out"]).exits(0);

    for segments in ["--segments=1", "--segments=9", "--segments=32"] {
        let dump = ["--env=slow", "--output=out", "--yes", segments];
        let (before, seen) = (project.bytes("out/table-metadata.json"), proxy.seen("Scan"));

        proxy.hold("Scan", seen + 2..);
        let mut child = spawn_silent(project.command("dumpdb", dump));
        poll("the dump reads", || proxy.seen("Scan") > seen + 1);
        child.kill().expect("a child can be killed");
        child.wait().expect("a child can be waited for");
        proxy.release();
        assert_eq!(
            project.bytes("out/table-metadata.json"),
            before,
            "{segments}"
        );

        project.dumpdb(dump).exits(0);
        assert_ne!(
            project.bytes("out/table-metadata.json"),
            before,
            "{segments}"
        );
    }
}

#[test]
fn two_dumps_into_one_place_do_not_mix() {
    let (engine, _, proxy) = several_pages();
    let project = Project::on(&engine, "films").environment("slow", proxy.url(), "films");
    proxy.hold("Scan", 2..);
    let mut first = spawn_silent(project.command("dumpdb", ["--env=slow", "--output=out"]));
    poll("the first dump reads", || proxy.seen("Scan") > 1);
    let second = project.dumpdb(["--output=out"]).exits(1);
    second
        .says("is being written by")
        .says("choose another --output");

    // Readers are not told to end what has not ended.
    for run in [
        project.verifydb(["out"]),
        project.restoredb(["--source=out", "--table=copy"]),
    ] {
        run.exits(12)
            .says("is still being written by")
            .says("wait until it has finished")
            .never_says("--resume");
    }

    proxy.release();
    assert_eq!(
        first.wait().expect("a child can be waited for").code(),
        Some(0)
    );
    assert_eq!(
        project.json("out/table-metadata.json")["environment"],
        "slow"
    );
}

#[test]
fn ctrl_c_in_a_restore_prints_the_command_to_resume() {
    let (engine, client, proxy) = several_pages();
    let project = Project::on(&engine, "films").environment("slow", proxy.url(), "copy");
    project.dumpdb(["--output=out"]).exits(0);
    let restore = [
        "--env=slow",
        "--source=out",
        "--yes",
        "--if-missing",
        "--batch-size=1",
    ];

    proxy.hold("BatchWriteItem", 3..);
    let mut terminal = Terminal::run(project.command("restoredb", restore));
    poll("the restore writes", || proxy.seen("BatchWriteItem") > 2);
    terminal.interrupts().reads("finishing in-flight requests");
    proxy.release();
    let talk = terminal.ends(130);
    assert!(
        talk.contains("Resume with: ") && talk.contains("--resume"),
        "{talk}"
    );
    assert!(client.items("copy").len() < 60, "it was interrupted");

    // Half a table is not taken for a whole one.
    project.restoredb(restore).exits(0);
    assert_eq!(client.items("copy"), client.items("films"));
}

#[test]
fn the_first_ctrl_c_ends_the_wait_for_settings_and_for_a_description() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(40));

    for (operation, numbers) in [
        ("DescribeTimeToLive", 1..=usize::MAX),
        ("DescribeTable", 2..=usize::MAX),
    ] {
        let first = *numbers.start();
        let proxy = Proxy::with_rules(
            &engine,
            [calls(operation, numbers, Fault::AccountThrottled)],
        );
        let project = Project::on(&engine, "films").environment("dev", proxy.url(), "films");
        let dump = ["--env=dev", "--output=out", "--segments=1"];
        let mut child = spawn_silent(project.command("dumpdb", dump));
        poll("every item is read", || {
            proxy.seen("Scan") > 0 && proxy.seen(operation) > first + 1
        });
        send_signal(&child, Signal::INT);
        assert_eq!(
            child.wait().expect("a child can be waited for").code(),
            Some(130),
            "{operation}"
        );

        assert!(!project.path("out").exists(), "{operation}");

        proxy.unthrottle();
        project.dumpdb(dump.iter().chain(&["--resume"])).exits(0);
        assert_eq!(project.json("out/table-metadata.json")["items"], 40);
        assert_eq!(proxy.count("Scan"), 1, "{operation}: no item is read twice");
    }
}
