//! `dumpdb` of several tables: one folder with a dump of each, and a manifest.

use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::{numbered, poll};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always, with_text};
use crate::support::films::{items_in_table, items_in_text};
use crate::support::process::{send_signal, spawn_silent, spawn_with_messages, stopped};
use crate::support::project::Project;
use crate::support::pty::Terminal;

/// Tables with 3, 6, 9, … items, and a project with an environment behind a proxy, and one that is not.
fn tables(names: &[&str]) -> (Engine, Proxy, Project) {
    let engine = Engine::embedded();
    let client = engine.client();
    for (table, count) in names.iter().zip(1..) {
        client.create_simple(table);
        client.put(table, numbered(3 * count));
    }

    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::empty()
        .environment("local", proxy.url(), "film-a")
        .environment("dev", engine.url(), "film-a");

    (engine, proxy, project)
}

/// `table: status` of each member of the set in `folder`.
fn listed(project: &Project, folder: &str) -> Vec<String> {
    let manifest = project.json(format!("{folder}/dump-set.json"));
    let members = manifest["tables"].as_object().expect("tables");
    let line = |(table, member): (&String, &Value)| {
        format!("{table}: {}", member["status"].as_str().expect("a status"))
    };

    members.iter().map(line).collect()
}

/// `table: outcome, exit code` of each table in a report.
fn outcomes(report: &Value) -> Vec<String> {
    let tables = report["summary"]["tables"].as_array().expect("tables");
    let line = |table: &Value| {
        let text = |field: &str| table[field].as_str().expect("a text").to_owned();
        format!(
            "{}: {}, {}",
            text("table"),
            text("outcome"),
            table["exit_code"]
        )
    };

    tables.iter().map(line).collect()
}

/// Checks that the member of a table contains its items.
fn contains_table(engine: &Engine, project: &Project, folder: &str, table: &str) {
    let text = project.text(format!("{folder}/{table}/table-data.json"));
    let expected = items_in_table(&engine.client(), table);
    assert!(items_in_text(&text) == expected, "{table}");
    project.verifydb([format!("{folder}/{table}")]).exits(0);
}

#[test]
fn the_selected_tables_are_dumped_into_folders_of_their_names() {
    let (engine, _proxy, project) = tables(&["film-a", "film-b", "users"]);
    let run = project
        .dumpdb(["--table=film-*", "--output=out", "--json"])
        .exits(0)
        .says("Dumped 2 tables of local to out")
        .says("[INFO] Table film-a: 3 items")
        .says("of 2)");
    assert_eq!(
        outcomes(&run.report()),
        ["film-a: done, 0", "film-b: done, 0"]
    );
    assert_eq!(project.names("."), ["envs", "out"]);
    assert_eq!(project.names("out"), ["dump-set.json", "film-a", "film-b"]);
    assert_eq!(
        listed(&project, "out"),
        ["film-a: dumped", "film-b: dumped"]
    );
    for table in ["film-a", "film-b"] {
        contains_table(&engine, &project, "out", table);
    }

    let manifest = project.json("out/dump-set.json");
    let dump = &manifest["tables"]["film-b"]["dump"];
    assert_eq!(manifest["environment"], "local");
    assert_eq!(
        (&dump["items"], &dump["complete"]),
        (&json!(6), &json!(true))
    );
}

#[test]
fn the_form_of_the_selection_decides_not_the_number_of_tables() {
    let (_engine, proxy, project) = tables(&["film-a", "users"]);
    let project = project
        .environment("list", proxy.url(), "film-a,users")
        .environment("glob", proxy.url(), "user?");
    for (arguments, folders) in [
        (&["--table=film*"][..], &["dump-set.json", "film-a"][..]),
        (
            &["--table=film-a", "--table=users"],
            &["dump-set.json", "film-a", "users"],
        ),
        (
            &["--all-tables", "--exclude=film-a"],
            &["dump-set.json", "users"],
        ),
        (&["--env=list"], &["dump-set.json", "film-a", "users"]),
        (&["--env=glob"], &["dump-set.json", "users"]),
    ] {
        project
            .dumpdb([&["--output=out"], arguments].concat())
            .exits(0);
        assert_eq!(project.names("out"), folders, "{arguments:?}");
        fs::remove_dir_all(project.path("out")).expect("a folder");
    }

    // Without --output, in the default folder of the environment.
    project.dumpdb(["--env=glob"]).exits(0);
    assert_eq!(
        project.names("backups/dynamodb/glob"),
        ["dump-set.json", "users"]
    );
}

#[test]
fn forty_tables_with_a_prefix_are_dumped() {
    let names: Vec<String> = (0..40).map(|at| format!("dev-table-{at:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (engine, proxy, project) = tables(&names);
    project
        .dumpdb(["--table=dev-*", "--output=out", "--compress=zstd"])
        .exits(0)
        .says("Dumped 40 tables of local");
    assert_eq!(project.names("out").len(), 41);
    assert_eq!(proxy.count("ListTables"), 1);
    for table in &names {
        project.verifydb([format!("out/{table}")]).exits(0);
    }

    drop(engine);
}

#[test]
fn a_table_that_fails_does_not_stop_the_others_and_keeps_its_dump() {
    let (engine, proxy, project) = tables(&["film-a", "film-b", "film-c"]);
    let dump = [
        "--table=film-a,film-b,film-c,gone",
        "--output=out",
        "--json",
        "--segments=1",
    ];
    let report = project.dumpdb(dump).exits(11).report();
    assert_eq!(report["outcome"], "partial");
    assert_eq!(
        outcomes(&report),
        [
            "film-a: done, 0",
            "film-b: done, 0",
            "film-c: done, 0",
            "gone: failed, 11"
        ]
    );
    let before = project.bytes("out/film-b/table-metadata.json");

    let denied = Fault::Refused("AccessDeniedException", "not authorized to perform Scan");
    proxy.set([with_text("Scan", "film-b", denied)]);
    let run = project
        .dumpdb(dump)
        .exits(1)
        .says("Table film-b: ")
        .says("Table gone: table \"gone\" does not exist in environment local")
        .says("Dumped 2 of 4 tables");
    assert_eq!(outcomes(&run.report())[1], "film-b: failed, 10");
    assert_eq!(
        listed(&project, "out"),
        [
            "film-a: dumped",
            "film-b: failed",
            "film-c: dumped",
            "gone: failed"
        ]
    );
    assert!(project.bytes("out/film-b/table-metadata.json") == before);
    contains_table(&engine, &project, "out", "film-b");

    // All of them can be dumped in the end, and only what is missing is read.
    proxy.heal();
    engine.client().create_simple("gone");
    let scans = proxy.count("Scan");
    project
        .dumpdb([&dump[..], &["--resume"]].concat())
        .exits(0)
        .says("2 tables finished");
    assert_eq!(proxy.count("Scan") - scans, 2);
    assert!(
        listed(&project, "out")
            .iter()
            .all(|line| line.ends_with(": dumped"))
    );
}

#[test]
fn if_no_table_can_be_dumped_nothing_is_changed() {
    let (_engine, proxy, project) = tables(&["film-a"]);
    let denied = Fault::Refused("AccessDeniedException", "not authorized");
    proxy.set([always("DescribeTable", denied)]);
    let report = project
        .dumpdb(["--table=film-a,film-b", "--output=out", "--json"])
        .exits(10)
        .report();
    assert_eq!(
        outcomes(&report),
        ["film-a: failed, 10", "film-b: failed, 10"]
    );
    assert_eq!(project.names("."), ["envs"]);
}

#[test]
fn a_table_that_vanishes_or_is_throttled_to_death_does_not_stop_the_others() {
    let (engine, proxy, project) = tables(&["film-a", "film-b", "film-c"]);
    proxy.set([with_text("Scan", "film-c", Fault::TableThrottled)]);
    proxy.hold("Scan", ..);
    let child = spawn_with_messages(project.command(
        "dumpdb",
        ["--all-tables", "--output=out", "--give-up-after=1s"],
    ));
    poll("the tables are read", || proxy.seen("Scan") >= 3);
    engine.client().delete_if_there("film-b");
    proxy.release();
    let output = child.wait_with_output().expect("a child can be waited for");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{messages}");
    assert!(messages.contains("Dumped 1 of 3 tables"), "{messages}");
    assert_eq!(
        listed(&project, "out"),
        ["film-a: dumped", "film-b: failed", "film-c: failed"]
    );
    contains_table(&engine, &project, "out", "film-a");
}

#[test]
fn with_fail_fast_the_first_failure_stops_the_others() {
    let (_engine, proxy, project) = tables(&["film-a", "film-b", "film-c"]);
    let denied = Fault::Refused("AccessDeniedException", "not authorized to perform Scan");
    proxy.set([always("Scan", denied)]);
    let dump = [
        "--all-tables",
        "--output=out",
        "--json",
        "--fail-fast",
        "--parallel-tables=1",
    ];
    let run = project
        .dumpdb(dump)
        .exits(10)
        .says("Stopped because another table failed: 2 tables not finished");

    // Which table is the first depends on their sizes.
    let outcomes = outcomes(&run.report());
    let ends_in = |texts: &[String], end: &str| texts.iter().filter(|it| it.ends_with(end)).count();
    assert_eq!(ends_in(&outcomes, "failed, 10"), 1, "{outcomes:?}");
    assert_eq!(ends_in(&outcomes, "not-started, 130"), 2, "{outcomes:?}");
    let listed = listed(&project, "out");
    assert_eq!(ends_in(&listed, "failed"), 1, "{listed:?}");
    assert_eq!(ends_in(&listed, "pending"), 2, "{listed:?}");

    proxy.heal();
    project.dumpdb([&dump[..], &["--resume"]].concat()).exits(0);
}

#[test]
fn an_interrupted_set_is_resumed_without_reading_finished_tables_again() {
    let (engine, proxy, project) = tables(&["film-a", "film-b", "film-c"]);
    let dump = [
        "--all-tables",
        "--output=out",
        "--parallel-tables=1",
        "--segments=1",
    ];
    proxy.hold("Scan", 2..);
    let child = spawn_with_messages(project.command("dumpdb", dump));
    poll("the second table is read", || proxy.seen("Scan") >= 2);
    let (status, messages) = stopped(child, Signal::TERM, &proxy);
    assert_eq!(status.code(), Some(130), "{messages}");
    assert!(messages.contains("Resume with: "), "{messages}");
    // Which table is the first depends on their sizes.
    let members = listed(&project, "out");
    let mut finished = members.iter().filter_map(|it| it.strip_suffix(": dumped"));
    let first = finished.next().expect("the first table is finished");
    assert!(finished.next().is_none(), "{members:?}");
    assert_eq!(
        project.json("out/dump-set.json")["finished_at"],
        Value::Null
    );

    // Other options, or another environment, would make a different set.
    for arguments in [["--limit=2"], ["--env=dev"]] {
        project
            .dumpdb([&dump[..], &arguments, &["--resume"]].concat())
            .exits(2)
            .says(
                "the interrupted dump is of another environment or was started with other options",
            );
    }

    let calls = proxy.calls().len();
    project
        .dumpdb([&dump[..], &["--resume"]].concat())
        .exits(0)
        .says("1 table finished")
        .says("Dumped 3 tables");
    let after = &proxy.calls()[calls..];
    let reads_finished = |body: &Value| body["TableName"] == first;
    assert!(!after.iter().any(|call| reads_finished(&call.body)));
    for table in ["film-a", "film-b", "film-c"] {
        contains_table(&engine, &project, "out", table);
    }

    project
        .dumpdb([&dump[..], &["--resume"]].concat())
        .exits(0)
        .says("no interrupted dump was found; a new one is started");
}

#[test]
fn a_terminal_is_asked_whether_to_resume_an_interrupted_set_or_to_start_over() {
    for (answer, scans) in [("y", 2), ("n", 3)] {
        let (engine, proxy, project) = tables(&["film-a", "film-b", "film-c"]);
        let dump = [
            "--all-tables",
            "--output=out",
            "--parallel-tables=1",
            "--segments=1",
        ];
        proxy.hold("Scan", 2..);
        let mut child = spawn_silent(project.command("dumpdb", dump));
        poll("the second table is read", || proxy.seen("Scan") >= 2);
        send_signal(&child, Signal::KILL);
        child.wait().expect("a child can be waited for");
        proxy.release();

        let before = proxy.count("Scan");
        let mut terminal = Terminal::run(project.command("dumpdb", dump));
        terminal
            .reads("Resume the interrupted dump (1 of 3 tables done)?")
            .types(answer);
        terminal.ends(0);
        assert_eq!(proxy.count("Scan") - before, scans, "{answer}");
        for table in ["film-a", "film-b", "film-c"] {
            contains_table(&engine, &project, "out", table);
        }

        let said = Terminal::run(project.command("dumpdb", dump)).ends(0);
        assert!(!said.contains("Resume the interrupted"), "{said}");
    }
}

#[test]
fn a_dry_run_tries_the_transform_on_each_table() {
    let (_engine, _proxy, project) = tables(&["film-a", "film-b"]);
    let run = project
        .dumpdb([
            "--table=film-a,film-b,gone",
            "--output=out",
            "--dry-run",
            "--json",
            "--show=1",
            "--transform=.new = S(\"x\")",
        ])
        .exits(11)
        .says("Dry run: 9 items of 2 tables read, 9 items")
        .says("film-a  3 items read, 3 changed")
        .says("Table film-b:");
    let report = run.report();
    assert_eq!(
        report["plan"]["tables"][1]["trial"]["changed"], 6,
        "{report:#}"
    );
    assert_eq!(project.names("."), ["envs"]);
}

#[test]
fn a_set_killed_at_random_moments_is_complete_in_the_end() {
    let names = ["film-a", "film-b", "film-c", "film-d", "film-e", "film-f"];
    let (engine, proxy, project) = tables(&names);
    proxy.set([always("Scan", Fault::Late(Duration::from_millis(20)))]);
    let dump = [
        "--all-tables",
        "--output=out",
        "--parallel-tables=2",
        "--resume",
        "--yes",
    ];
    let mut random = 7_u64;
    let mut below = |bound: u64| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) % bound
    };

    let (mut kills, mut resumed) = (0, 0);
    while kills < 20 {
        let is_left = project.path("out/dump-set.json").exists()
            && project.json("out/dump-set.json")["finished_at"].is_null();
        resumed += usize::from(is_left);
        let (before, calls) = (proxy.calls().len(), below(40));
        let delay = Duration::from_millis(below(20));
        let mut child = spawn_silent(project.command("dumpdb", dump));
        let mut reached = None;
        poll("the dump proceeds or ends", || {
            if reached.is_none() && (proxy.calls().len() - before) as u64 > calls {
                reached = Some(Instant::now());
            }

            reached.is_some_and(|since| since.elapsed() >= delay) || has_ended(&mut child)
        });
        if !has_ended(&mut child) {
            send_signal(&child, Signal::KILL);
            kills += 1;
        }
        child.wait().expect("a child can be waited for");
    }

    assert!(
        resumed > 5,
        "only {resumed} of the kills left something to resume"
    );
    project.dumpdb(dump).exits(0);
    assert_eq!(project.names(".").len(), 2, "{:?}", project.names("."));
    assert_eq!(
        project.names("out").len(),
        1 + names.len(),
        "{:?}",
        project.names("out")
    );
    for table in names {
        contains_table(&engine, &project, "out", table);
    }
}

fn has_ended(child: &mut Child) -> bool {
    child
        .try_wait()
        .expect("a child can be waited for")
        .is_some()
}

#[test]
fn a_dump_and_a_set_replace_each_other_only_after_a_question() {
    let (engine, proxy, project) = tables(&["film-a", "film-b"]);
    let single = ["--output=out"];
    let set = ["--all-tables", "--output=out"];
    project.dumpdb(single).exits(0);
    project
        .dumpdb(set)
        .exits(4)
        .says("the existing dump of table film-a would be replaced by a set");

    // A set that lacks a table does not replace the dump; it can be resumed.
    let denied = Fault::Refused("AccessDeniedException", "not authorized");
    proxy.set([with_text("Scan", "film-b", denied)]);
    let yes = [&set[..], &["--yes"]].concat();
    project
        .dumpdb(&yes)
        .exits(10)
        .says("the existing dump in out was kept");
    project.verifydb(["out"]).exits(0);
    proxy.heal();
    project
        .dumpdb([&yes[..], &["--resume"]].concat())
        .exits(0)
        .says("1 table finished");
    assert_eq!(project.names("."), ["envs", "out"]);
    assert_eq!(project.names("out"), ["dump-set.json", "film-a", "film-b"]);
    contains_table(&engine, &project, "out", "film-b");

    project.dumpdb(single).exits(4).says(
        "the existing set of 2 tables (film-a, film-b) would be replaced by a dump of one table",
    );
    project.dumpdb([single[0], "--yes"]).exits(0);
    assert_eq!(project.names("."), ["envs", "out"]);
    project.verifydb(["out"]).exits(0);
}

#[test]
fn tables_that_are_not_selected_any_more_are_kept() {
    let (engine, _proxy, project) = tables(&["film-a", "film-b"]);
    project.dumpdb(["--all-tables", "--output=out"]).exits(0);
    let before = project.bytes("out/film-b/table-metadata.json");
    project.dumpdb(["--table=film-a*", "--output=out"]).exits(0);
    assert_eq!(
        listed(&project, "out"),
        ["film-a: dumped", "film-b: not_selected"]
    );
    assert!(project.bytes("out/film-b/table-metadata.json") == before);
    contains_table(&engine, &project, "out", "film-b");
}

#[test]
fn a_set_of_another_environment_is_replaced_only_after_a_question() {
    let (_engine, _proxy, project) = tables(&["film-a", "film-b"]);
    project.dumpdb(["--all-tables", "--output=out"]).exits(0);
    project
        .dumpdb(["--env=dev", "--all-tables", "--output=out"])
        .exits(4)
        .says("the existing set of 2 tables is of environment local, not dev")
        .says("Tables film-a, film-b: the existing dump is of environment local, not dev");
}

#[test]
fn two_runs_do_not_write_one_set_at_the_same_time() {
    let (engine, proxy, project) = tables(&["film-a", "film-b"]);
    proxy.hold("Scan", ..);
    let child = spawn_with_messages(project.command("dumpdb", ["--all-tables", "--output=out"]));
    poll("the first run reads", || proxy.seen("Scan") >= 1);
    project
        .dumpdb([
            "--env=dev",
            "--table=film-a,film-b",
            "--output=out",
            "--yes",
        ])
        .exits(1)
        .says("is being written by process");
    proxy.release();
    let output = child.wait_with_output().expect("a child can be waited for");
    assert!(output.status.success());
    for table in ["film-a", "film-b"] {
        contains_table(&engine, &project, "out", table);
    }
}

#[test]
fn every_table_of_a_set_is_verified_and_damage_is_found() {
    let (_engine, _proxy, project) = tables(&["film-a", "film-b", "film-c", "film-d"]);
    project.dumpdb(["--all-tables", "--output=out"]).exits(0);
    project
        .verifydb(["out"])
        .exits(0)
        .says("The set out is intact: 4 tables, 30 items");
    project
        .verifydb(["out", "--quick"])
        .exits(0)
        .says("4 tables by their checksums");

    let data = project.text("out/film-a/table-data.json");
    project.write("out/film-a/table-data.json", data.replacen('a', "b", 1));
    fs::remove_dir_all(project.path("out/film-b")).expect("a folder");
    project
        .dumpdb(["--table=film-c", "--output=out/film-c"])
        .exits(0);
    let run = project
        .verifydb(["out", "--json"])
        .exits(12)
        .says("1 of 4 tables in the set out are intact")
        .says("out/film-a is damaged: 1 finding")
        .says("Table film-b: `out/film-b` is missing")
        .says("Table film-c: `out/film-c` contains another dump of table \"film-c\" than dump-set.json lists");
    let report = run.report();
    let codes: Vec<_> = (0..4)
        .map(|at| report["summary"]["tables"][at]["exit_code"].clone())
        .collect();
    assert_eq!(codes, [12, 12, 12, 0]);

    let manifest = project.text("out/dump-set.json");
    project.write("out/dump-set.json", manifest.replacen("local", "prod", 1));
    project
        .verifydb(["out"])
        .exits(12)
        .says("was changed after it was written");
    project.write("other/notes.txt", "");
    project.verifydb(["other"]).exits(11);
}

#[test]
fn an_unfinished_set_is_not_intact() {
    let (_engine, proxy, project) = tables(&["film-a", "film-b"]);
    project.dumpdb(["--all-tables", "--output=out"]).exits(0);
    let denied = Fault::Refused("AccessDeniedException", "not authorized");
    proxy.set([with_text("Scan", "film-b", denied)]);
    project.dumpdb(["--all-tables", "--output=out"]).exits(10);
    project
        .verifydb(["out"])
        .exits(0)
        .says("table film-b has the dump of")
        .says("the last run did not replace it");

    proxy.heal();
    proxy.hold("Scan", proxy.seen("Scan") + 1..);
    let seen = proxy.seen("Scan");
    let mut child = spawn_silent(project.command("dumpdb", ["--all-tables", "--output=out"]));
    poll("the tables are read", || proxy.seen("Scan") > seen);
    send_signal(&child, Signal::KILL);
    child.wait().expect("a child can be waited for");
    project
        .verifydb(["out"])
        .exits(12)
        .says("The set out is unfinished");
}

#[test]
fn a_dry_run_shows_the_plan_and_writes_nothing() {
    let (_engine, proxy, project) = tables(&["film-a", "film-b"]);
    let run = project
        .dumpdb([
            "--table=film-a,film-b,gone",
            "--output=out",
            "--dry-run",
            "--json",
        ])
        .exits(11)
        .says("Tables")
        .says("cannot be dumped: table \"gone\" does not exist");
    let report = run.report();
    assert_eq!(report["outcome"], "planned");
    assert_eq!(report["plan"]["tables"][1]["plan"]["items"], 6);
    assert_eq!(report["plan"]["items"], 9);
    assert_eq!(report["plan"]["tables"][2]["error"]["kind"], "not-found");
    assert_eq!(proxy.count("Scan"), 0);
    assert_eq!(project.names("."), ["envs"]);

    project
        .dumpdb(["--all-tables", "--output=out", "--dry-run"])
        .exits(0);
}

#[test]
fn options_for_one_table_and_for_several_are_not_mixed() {
    let (_engine, proxy, project) = tables(&["film-a"]);
    for (arguments, message) in [
        (
            ["--all-tables", "--output=-"],
            "a dump of several tables needs a folder: --output -",
        ),
        (
            ["--table=film-*", "--output=x.jsonl"],
            "a dump of several tables needs a folder: --output x.jsonl",
        ),
        (
            ["--fail-fast", "--output=out"],
            "--fail-fast applies to a dump of several tables",
        ),
        (
            ["--parallel-tables=2", "--output=out"],
            "--parallel-tables applies to a dump of several tables",
        ),
    ] {
        project.dumpdb(arguments).exits(2).says(message);
    }

    project.write("notes/readme.txt", "");
    project
        .dumpdb(["--all-tables", "--output=notes"])
        .exits(2)
        .says("neither empty nor a dump");
    assert_eq!(proxy.count("Scan"), 0);
    assert_eq!(project.names("notes"), ["readme.txt"]);
}

#[test]
fn tables_whose_names_are_reserved_have_escaped_folders() {
    let names = ["films", "films.partial", "dump-set.json"];
    let (_engine, _proxy, project) = tables(&names);
    project.dumpdb(["--all-tables", "--output=out"]).exits(0);
    assert_eq!(project.names("out").len(), 1 + names.len());
    let folders = project.names("out");
    assert!(folders.contains(&"films".to_owned()));
    assert!(folders.contains(&"dump-set.json".to_owned()));
    assert_eq!(listed(&project, "out").len(), names.len());

    // They keep them.
    project.dumpdb(["--all-tables", "--output=out"]).exits(0);
    assert_eq!(project.names("out"), folders);
}

#[test]
fn the_summary_says_what_a_filter_has_left_out_of_each_table_and_of_all() {
    let (_engine, _proxy, project) = tables(&["film-a", "film-b"]);
    let dump = ["--table=film-*", "--output=set", "--json"];
    let run = project
        .dumpdb(dump.iter().chain(&["--where=.id.S != \"item-000001\""]))
        .exits(0);
    let total = run.report()["summary"]["total"].take();
    assert_eq!(
        total,
        json!({"items": 7, "items_read": 9, "items_changed": 0, "items_left_out": 2, "items_rejected": 0})
    );
    run.says("film-a  2 items (")
        .says(" as JSON) of 3 read: 1 filtered out")
        .says("Total   7 items of 9 read: 2 filtered out");

    let whole = project.dumpdb(dump.iter().chain(&["--yes"])).exits(0);
    assert_eq!(whole.report()["summary"]["total"]["items_read"], 9);
    whole.never_says("Total");
}
