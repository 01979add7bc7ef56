//! The interface for scripts: `--json` report, streams, exit codes, `--help`.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use serde_json::json;

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::project::{Project, run};
use crate::support::pty::Terminal;

fn table_of(items: usize) -> (Engine, String, Project) {
    let engine = Engine::any();
    let table = engine.table("films");
    let client = engine.client();
    client.create_simple(&table);
    client.put(&table, numbered(items));
    let project = Project::on(&engine, &table);

    (engine, table, project)
}

#[test]
fn a_report_of_a_dump_and_of_a_restore() {
    let (engine, table, project) = table_of(12);
    let dumped = project.dumpdb(["--output=out", "--json"]).exits(0).report();
    assert_eq!(dumped["exit_code"], 0, "{dumped:#}");
    assert!(dumped.to_string().contains(r#""items":12"#), "{dumped:#}");
    assert!(dumped.to_string().contains(&table), "{dumped:#}");
    let copy = engine.table("copy");
    let restored = project
        .restoredb(["--source=out", "--table", &copy, "--json"])
        .exits(0)
        .report();
    assert_eq!(restored["exit_code"], 0, "{restored:#}");
    assert!(
        restored.to_string().contains(r#""items_written":12"#),
        "{restored:#}"
    );
}

#[test]
fn a_failure_is_reported_too() {
    let (_engine, _, project) = table_of(0);
    let report = project
        .dumpdb(["--output=out", "--json", "--table=absent"])
        .exits(11)
        .report();
    assert_eq!(report["exit_code"], 11, "{report:#}");
    assert_eq!(report["error"]["kind"], json!("not-found"), "{report:#}");
}

#[test]
fn a_command_line_that_is_not_understood_is_reported_too() {
    for program in ["dumpdb", "restoredb", "servedb", "verifydb"] {
        for (words, complaint) in [
            (
                ["--json", "--tabel=films"],
                "unexpected argument '--tabel' found",
            ),
            (
                ["--color=none", "--json"],
                "invalid value 'none' for '--color ",
            ),
        ] {
            let report = run(Project::empty().command(program, words), Vec::new())
                .exits(2)
                .report();
            assert_eq!(
                (&report["command"], &report["exit_code"]),
                (&json!(program), &json!(2)),
                "{report:#}"
            );

            let error = &report["error"];
            assert_eq!(error["kind"], "usage", "{report:#}");
            let message = error["message"].as_str().expect("a message");
            assert!(
                message.starts_with(complaint) && !message.contains("Usage"),
                "{report:#}"
            );
        }
    }
}

#[test]
fn messages_go_to_standard_error_and_quiet_suppresses_them() {
    let (_engine, _, project) = table_of(3);
    let loud = project.dumpdb(["--output=out"]).exits(0);
    assert!(loud.stdout.is_empty() && !loud.stderr.is_empty(), "{loud}");
    assert!(
        !loud.stderr.contains('\u{1b}'),
        "no colour in a log: {loud}"
    );
    let quiet = project.dumpdb(["--output=out-2", "--quiet"]).exits(0);
    assert_eq!(
        (quiet.stdout.len(), quiet.stderr.as_str()),
        (0, ""),
        "{quiet}"
    );

    let coloured = project
        .dumpdb(["--output=out-3", "--color=always"])
        .exits(0);
    assert!(coloured.stderr.contains('\u{1b}'), "{coloured}");
}

#[test]
fn a_dumb_terminal_gets_plain_text() {
    let (_engine, _, project) = table_of(3);
    for (kind, coloured) in [("dumb", false), ("xterm", true)] {
        let talk = Terminal::of_kind(
            kind,
            project.command("dumpdb", [&format!("--output={kind}")]),
        )
        .ends(0);

        assert_eq!(talk.contains('\u{1b}'), coloured, "{talk:?}");
    }
}

#[test]
fn progress_on_a_terminal_has_counts_a_percentage_a_rate_and_an_eta() {
    let (engine, _, project) = table_of(50);
    project.dumpdb(["--output=out"]).exits(0);
    let proxy = Proxy::with_rules(&engine, []);
    let project = project.environment("slow", proxy.url(), &engine.table("copy"));
    proxy.hold("BatchWriteItem", 3..);

    let restore = ["--env=slow", "--source=out", "--yes", "--batch-size=1"];
    let mut terminal = Terminal::run(project.command("restoredb", restore));
    terminal.reads("Writing items");
    for part in ["%  ", "/50 items", "as JSON", "items/s", "ETA"] {
        terminal.reads(part);
    }

    proxy.release();
    terminal.reads("Restored 50 items");
    terminal.ends(0);
}

#[test]
fn a_closed_standard_output_does_not_crash() {
    let (_engine, _, project) = table_of(3_000);
    let mut command = project.command("dumpdb", ["--output=-"]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dumpdb starts");

    let mut first = String::new();
    BufReader::new(child.stdout.take().expect("stdout is piped"))
        .read_line(&mut first)
        .expect("a line");
    assert!(first.starts_with('{'), "{first}");
    let mut talk = String::new();
    std::io::Read::read_to_string(
        &mut child.stderr.take().expect("stderr is piped"),
        &mut talk,
    )
    .expect("text");

    child.wait().expect("a child can be waited for");
    assert!(
        !talk.contains("panicked") && !talk.contains("RUST_BACKTRACE"),
        "{talk}"
    );
}

#[test]
fn a_closed_standard_error_does_not_crash() {
    let (_engine, _, project) = table_of(3);
    let mut command = project.command("dumpdb", ["--output=out"]);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("dumpdb starts");

    drop(child.stderr.take());
    let status = child.wait().expect("a child can be waited for");
    assert_eq!(status.code(), Some(0));
    assert!(project.path("out/table-metadata.json").exists());
}

#[test]
fn every_help_lists_the_exit_codes_and_the_two_lines() {
    for program in ["dumpdb", "restoredb", "verifydb"] {
        let help = run(Project::empty().command(program, ["--help"]), Vec::new()).exits(0);
        for code in ["0", "1", "2", "3", "4", "10", "11", "12", "13", "130"] {
            let listed = help
                .output()
                .lines()
                .any(|line| line.split_whitespace().next() == Some(code));
            assert!(listed, "{code} is missing\n{help}");
        }

        if program == "verifydb" {
            assert!(help.output().contains("verifydb ./prod-backup"), "{help}");
        } else {
            assert!(
                help.output()
                    .contains("dumpdb    --env=prod  --output ./prod-backup"),
                "{help}"
            );

            assert!(
                help.output()
                    .contains("restoredb --env=local --source ./prod-backup"),
                "{help}"
            );
        }

        let version = |flag: &str| {
            let shown = run(Project::empty().command(program, [flag]), Vec::new()).exits(0);
            shown.output().trim().to_owned()
        };
        let short = format!("{program} {}", env!("CARGO_PKG_VERSION"));
        assert_eq!(version("-V"), short);
        let details = version("--version");
        assert_eq!(details.lines().next(), Some(short.as_str()));
        for fact in ["target: ", "features: cli, embedded", "engine: dynoxide "] {
            assert!(
                details.lines().any(|line| line.starts_with(fact)),
                "{details}"
            );
        }
    }
}
