//! The reports of `--json` match docs/report.schema.json, which `Run::report` checks in every test.

use serde_json::{Value, json};

use crate::support::backups::Backups;
use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::json_schema::{report_schema, violations};
use crate::support::project::{Project, Run};

/// Tables `films` and `films-b`, with the environments `local` and `dev`.
fn project() -> (Engine, Engine, Project) {
    let (engine, other) = (Engine::embedded(), Engine::embedded());
    for table in ["films", "films-b"] {
        engine.client().create_simple(table);
        engine.client().put(table, numbered(5));
    }
    let project = Project::on(&engine, "films")
        .chooses_segments()
        .environment("dev", other.url(), "films");

    (engine, other, project)
}

#[track_caller]
fn matches(run: Run, code: i32) -> Value {
    let report = run.exits(code).report();
    assert_eq!(report["exit_code"], code, "{report:#}");

    report
}

#[test]
fn reports_of_one_table_match_the_schema() {
    let (_engine, _other, project) = project();
    matches(project.dumpdb(["--output=out", "--json", "--dry-run"]), 0);
    matches(project.dumpdb(["--output=out", "--json"]), 0);
    matches(project.dumpdb(["--output=out.jsonl", "--json"]), 0);
    matches(project.dumpdb(["--list-tables", "--json"]), 0);

    let restore = ["--env=dev", "--source=out", "--yes", "--json"];
    matches(project.restoredb(restore.iter().chain(&["--dry-run"])), 0);
    matches(project.restoredb(restore), 0);
    let reject = ["--transform=if .id.S > \"item-000003\" then error(\"no\") else . end"];
    let partial = matches(project.restoredb(restore.iter().chain(&reject)), 3);
    assert_eq!(partial["outcome"], "partial");

    let copy = ["--from=local", "--to=dev", "--yes", "--json"];
    matches(project.copydb(copy.iter().chain(&["--dry-run"])), 0);
    matches(project.copydb(copy), 0);

    matches(project.verifydb(["out", "--json"]), 0);
    matches(project.verifydb(["out", "--json", "--quick"]), 0);
    let compare = ["--source=out", "--env=dev", "--json"];
    matches(project.verifydb(compare), 0);
    matches(
        project.verifydb(compare.iter().chain(&["--schema-only"])),
        0,
    );
    matches(project.verifydb(["--against-env=dev", "--json"]), 0);
}

#[test]
fn reports_of_several_tables_match_the_schema() {
    let (_engine, _other, project) = project();
    let dump = ["--all-tables", "--output=set", "--json"];
    matches(project.dumpdb(dump.iter().chain(&["--dry-run"])), 0);
    let report = matches(project.dumpdb(dump), 0);
    assert_eq!(
        report["summary"]["tables"].as_array().map(Vec::len),
        Some(2)
    );

    let restore = ["--env=dev", "--source=set", "--yes", "--json"];
    matches(project.restoredb(restore.iter().chain(&["--dry-run"])), 0);
    matches(project.restoredb(restore), 0);
    matches(project.verifydb(["set", "--json"]), 0);
    matches(project.verifydb(["--source=set", "--env=dev", "--json"]), 0);
    let copy = [
        "--from=local",
        "--to=dev",
        "--table=films*",
        "--yes",
        "--json",
    ];
    matches(project.copydb(copy), 0);
}

#[test]
fn reports_of_backups_match_the_schema() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    engine.client().put("films", numbered(5));
    let backups = Backups::new(&engine, 0);
    let proxy = Proxy::with_rules(&engine, backups.rules());
    let project = Project::empty().environment("local", proxy.url(), "films");

    matches(project.restoredb(["--list-backups", "--json"]), 0);
    let dump = ["--route=backup", "--output=out", "--json"];
    matches(project.dumpdb(dump), 0);
    let list = matches(project.restoredb(["--list-backups", "--json"]), 0);
    assert_eq!(list["summary"]["backups"][0]["table"], "films");

    let restore = ["--backup=latest", "--from-table=films", "--table=copy"];
    let restore = restore.iter().chain(&["--yes", "--json"]);
    matches(project.restoredb(restore.clone().chain(&["--dry-run"])), 0);
    matches(project.restoredb(restore), 0);
}

#[test]
fn reports_of_errors_match_the_schema() {
    let (_engine, _other, project) = project();
    project.dumpdb(["--output=out"]).exits(0);
    project.copy("out", "damaged");
    project.write("damaged/table-data.json", "{\"Items\":[\n");

    matches(project.dumpdb(["--table=absent", "--json"]), 11);
    matches(project.dumpdb(["--tabel=films", "--json"]), 2);
    matches(project.dumpdb(["--env=absent", "--json"]), 10);
    matches(project.verifydb(["damaged", "--json"]), 12);
    let unanswered = matches(
        project.restoredb(["--env=dev", "--source=out", "--json"]),
        4,
    );
    assert_eq!(unanswered["outcome"], "not-confirmed");
}

#[test]
fn the_validator_finds_each_kind_of_violation() {
    let report = json!({"command": "dumpdb", "version": "1", "outcome": "failed", "exit_code": 1, "warnings": [],
        "error": {"kind": "failed", "message": "m", "causes": [], "hint": null}});
    assert_eq!(violations(report_schema(), &report), [""; 0]);

    for (pointer, value, expected) in [
        ("/exit_code", json!(5), "/exit_code: 5 is none of"),
        ("/warnings", json!([1]), "/warnings/0: 1 is not"),
        ("/error", json!({}), "/error: kind is missing"),
        ("/version", json!(null), "/version: null is not"),
    ] {
        let mut changed = report.clone();
        *changed.pointer_mut(pointer).expect(pointer) = value;
        let found = violations(report_schema(), &changed);
        assert!(
            found.iter().any(|one| one.starts_with(expected)),
            "{found:?}"
        );
    }

    let mut changed = report;
    changed["other"] = json!(1);
    assert_eq!(
        violations(report_schema(), &changed),
        [": other is not expected"]
    );
}
