//! Several tables are compared with the dumps of a set, or with the tables of another environment.

use serde_json::Value;

use crate::support::client::{numbered, s};
use crate::support::engine::Engine;
use crate::support::project::Project;
use crate::support::sets::dump_set;

/// Tables `app-a`, `app-b` and `other`, which are dumped into `set`. The environments `local` and `dev` reach the same engine; `dev` names
/// a table that a set ignores. `new-a` and `new-b` are equal to `app-a` and `app-b`.
fn scene() -> (Engine, Project) {
    let engine = Engine::embedded();
    let client = engine.client();
    for (table, items) in [
        ("app-a", 60),
        ("app-b", 40),
        ("other", 5),
        ("new-a", 60),
        ("new-b", 40),
    ] {
        client.create_simple(table);
        client.put(table, numbered(items));
    }

    let project = Project::on(&engine, "films").environment("dev", engine.url(), "ignored");
    dump_set(&project, "set", &["app-a", "app-b", "other"]);

    (engine, project)
}

const RENAMED: &str = "--map=app-*=new-*";

/// `source → target: outcome exit_code` of each table in a report.
fn outcomes(report: &Value) -> Vec<String> {
    let tables = report["summary"]["tables"].as_array().expect("tables");
    let outcome = |table: &Value| {
        format!(
            "{} → {}: {} {}",
            table["source"].as_str().expect("a name"),
            table["target"].as_str().expect("a name"),
            table["outcome"].as_str().expect("an outcome"),
            table["exit_code"]
        )
    };
    tables.iter().map(outcome).collect()
}

#[test]
fn the_tables_of_an_environment_are_compared_with_a_set() {
    let (engine, project) = scene();
    let verify = |more: &[&str]| {
        let arguments = ["--source=set", "--env=dev", "--json"];
        project.verifydb(arguments.iter().chain(more))
    };

    let run = verify(&["--from-table=app-*", RENAMED]).exits(0);
    assert_eq!(
        outcomes(&run.report()),
        ["app-a → new-a: done 0", "app-b → new-b: done 0"]
    );
    run.says("Compared 2 tables with dev").says("2 equal.");
    assert_eq!(outcomes(&verify(&[]).exits(0).report()).len(), 3);

    // One table differs, and its exit code is that of the command.
    let client = engine.client();
    client.put("new-b", [[("id".to_owned(), s("item-000001"))].into()]);
    let run = verify(&["--from-table=app-*", RENAMED]).exits(3);
    assert_eq!(
        outcomes(&run.report()),
        ["app-a → new-a: done 0", "app-b → new-b: partial 3"]
    );
    assert_eq!(
        run.report()["summary"]["tables"][1]["summary"]["different"],
        1
    );

    // Another one does not exist.
    client.delete_if_there("new-a");
    let run = verify(&["--from-table=app-*", RENAMED]).exits(1);
    assert_eq!(
        outcomes(&run.report()),
        ["app-a → new-a: failed 11", "app-b → new-b: partial 3"]
    );

    // A damaged dump is the failure of its table.
    let data = "set/other/table-data.json";
    let text = project.text(data).replacen("item-", "meti-", 1);
    project.write(data, text);
    let report = verify(&["--from-table=other,app-a"]).exits(12).report();
    assert_eq!(
        outcomes(&report),
        ["app-a → app-a: done 0", "other → other: failed 12"]
    );
}

#[test]
fn the_tables_of_two_environments_are_compared_under_their_mapped_names() {
    let (engine, project) = scene();
    let verify = |more: &[&str]| {
        let arguments = ["--env=local", "--against-env=dev", "--json"];
        project.verifydb(arguments.iter().chain(more))
    };

    let report = verify(&["--table=app-*", RENAMED]).exits(0).report();
    assert_eq!(
        outcomes(&report),
        ["app-a → new-a: done 0", "app-b → new-b: done 0"]
    );
    let report = verify(&["--table=app-*", RENAMED, "--exclude=*-b"])
        .exits(0)
        .report();
    assert_eq!(outcomes(&report), ["app-a → new-a: done 0"]);
    // One table with another name.
    let report = verify(&["--table=app-a", RENAMED]).exits(0).report();
    assert_eq!(outcomes(&report), ["app-a → new-a: done 0"]);

    let client = engine.client();
    client.put("new-a", numbered(70));
    let report = verify(&["--table=app-a,app-b", RENAMED]).exits(3).report();
    assert_eq!(
        outcomes(&report),
        ["app-a → new-a: partial 3", "app-b → new-b: done 0"]
    );

    // Without a mapping, both environments lead to the same tables.
    verify(&["--table=app-*"])
        .exits(2)
        .says("compared with itself");
}

#[test]
fn options_that_do_not_fit_several_tables_are_refused() {
    let (_engine, project) = scene();
    let of_set = ["--source=set", "--env=dev"];
    let of_tables = ["--env=local", "--against-env=dev"];
    for (first, more, code, text) in [
        (&of_set[..], &["--table=films"][..], 2, "--from-table"),
        (&of_set, &["--from-table=ap-*"], 11, "did you mean app-a"),
        (
            &of_set,
            &["--map=app-?=same"],
            2,
            "several tables would have the same target",
        ),
        (
            &["--source=set/app-a", "--env=dev"],
            &["--from-table=app-a"],
            11,
            "does not contain dumps of several tables",
        ),
        (
            &of_tables,
            &["--table=app-*", "--against-table=new-a"],
            2,
            "--map",
        ),
        (
            &of_tables,
            &["--table=app-*", "--schema-only"],
            2,
            "one table at a time",
        ),
        (
            &of_tables,
            &["--table=ap_*"],
            11,
            "its tables are named like app-a",
        ),
    ] {
        project
            .verifydb(first.iter().chain(more))
            .exits(code)
            .says(text);
    }
}
