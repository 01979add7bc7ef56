//! Incomplete input of other tools: a part of a Scan, a wrong `Count`, no items.

use serde_json::{Value, json};

use crate::support::engine::Engine;
use crate::support::project::{Project, dump_of};

/// Two items, and what surrounds them.
fn scan(more: &Value) -> String {
    let mut document = json!({ "Items": [{ "id": { "S": "a" } }, { "id": { "S": "b" } }], "Count": 2, "ScannedCount": 2 });
    for (name, value) in more.as_object().expect("members") {
        document[name] = value.clone();
    }

    serde_json::to_string_pretty(&document).expect("JSON")
}

/// Incomplete documents, the number of their items, and what is said of each.
fn incomplete() -> Vec<(String, usize, &'static str)> {
    vec![
        (
            scan(&json!({ "NextToken": "eyJFeGNsdXNpdmVTdGFydEtleSI6IG51bGx9" })),
            2,
            "`NextToken` says",
        ),
        (
            scan(&json!({ "LastEvaluatedKey": { "id": { "S": "b" } } })),
            2,
            "`LastEvaluatedKey` says",
        ),
        (
            scan(&json!({ "Count": 3 })),
            2,
            "contains 2 items, but its `Count` is 3",
        ),
        // One document too few is not made good by another that has one too many.
        (
            scan(&json!({ "Count": 3 })) + &scan(&json!({ "Count": 1 })),
            2,
            "contains 2 items, but its `Count` is 3",
        ),
        (
            r#"{"Count": 312, "ScannedCount": 312, "ConsumedCapacity": null}"#.to_owned(),
            0,
            "without `Items`",
        ),
    ]
}

fn table() -> (Engine, String, Project) {
    let engine = Engine::any();
    let table = engine.table("partial");
    engine.client().create_simple(&table);
    let project = Project::on(&engine, &table);

    (engine, table, project)
}

fn has_warning(report: &Value, text: &str) -> bool {
    let warnings = report["warnings"]
        .as_array()
        .expect("every report has warnings");
    warnings.iter().any(|warning| {
        warning
            .as_str()
            .is_some_and(|warning| warning.contains(text))
    })
}

#[test]
fn incomplete_input_is_restored_only_if_that_is_accepted() {
    for (text, items, what) in incomplete() {
        let (engine, table, project) = table();
        project.write("scan.json", &text);
        project.write("older/table-data.json", &text);

        for source in ["--source=scan.json", "--source=older"] {
            for more in [
                &["--yes"][..],
                &["--dry-run"],
                &["--yes", "--salvage"],
                &["--dry-run", "--transform=."],
            ] {
                let run = project.restoredb([source].iter().chain(more)).exits(12);
                run.says("the source is incomplete")
                    .says(what)
                    .says("--accept-incomplete");
            }

            assert_eq!(engine.client().items(&table).len(), 0, "{text}");
        }

        for source in ["--source=scan.json", "--source=older"] {
            let run = project
                .restoredb([source, "--yes", "--json", "--accept-incomplete"])
                .exits(0);
            let report = run.says(what).report();
            assert!(has_warning(&report, what), "{report}");
            assert_eq!(report["summary"]["source_complete"], false, "{report}");
            assert_eq!(engine.client().items(&table).len(), items, "{text}");
        }

        let plan = project
            .restoredb([
                "--source=scan.json",
                "--dry-run",
                "--json",
                "--accept-incomplete",
            ])
            .exits(0)
            .report();

        assert_eq!(plan["plan"]["source"]["complete"], false, "{plan}");
    }
}

#[test]
fn of_standard_input_it_is_known_at_the_end() {
    for (text, items, what) in incomplete() {
        let (engine, table, project) = table();
        let run = project
            .restoredb_from(text.as_bytes(), ["--source=-", "--yes", "--json"])
            .exits(12);
        run.says("the source is incomplete")
            .says(what)
            .says("counts as unfinished");
        assert_eq!(engine.client().items(&table).len(), items, "{text}");
        let accepted = ["--source=-", "--yes", "--json", "--accept-incomplete"];
        let report = project
            .restoredb_from(text.as_bytes(), accepted)
            .exits(0)
            .report();
        assert!(
            has_warning(&report, what) && report["summary"]["source_complete"] == false,
            "{report}"
        );
        project
            .restoredb_from(
                text.as_bytes(),
                ["--source=-", "--dry-run", "--transform=."],
            )
            .exits(12)
            .says(what);
    }
}

#[test]
fn a_table_created_from_an_incomplete_stream_counts_as_unfinished() {
    let (engine, project) = dump_of(1);
    let arguments = [
        "--source=-",
        "--table=new",
        "--schema=out/table-schema.json",
        "--yes",
        "--json",
    ];

    for (text, items, what) in incomplete().into_iter().filter(|(_, items, _)| *items > 0) {
        engine.client().delete_if_there("new");
        project
            .restoredb_from(text.as_bytes(), arguments)
            .exits(12)
            .says(what)
            .says("counts as unfinished");

        assert_eq!(engine.client().items("new").len(), items, "{text}");

        let bootstrap = arguments.into_iter().chain(["--if-missing"]);
        let again = project.restoredb_from(text.as_bytes(), bootstrap);
        again
            .exits(1)
            .says("table new was created by a restore of standard input that did not end");
    }
}

#[test]
fn incomplete_input_is_not_reported_as_complete() {
    let (_engine, _, project) = table();
    for (text, _, what) in incomplete() {
        project.write("scan.json", &text);
        let run = project
            .verifydb(["--source=scan.json", "--json"])
            .exits(12)
            .says(what)
            .never_says("is intact");

        assert_eq!(run.report()["summary"]["complete"], false, "{run}");
        let run = project
            .verifydb(["--source=scan.json", "--json", "--accept-incomplete"])
            .exits(0);
        let report = run.says(what).report();
        assert!(
            has_warning(&report, what) && report["summary"]["complete"] == false,
            "{report}"
        );
        project
            .verifydb(["--source=scan.json", "--env=local"])
            .exits(12)
            .says(what);
        let run = project.verifydb([
            "--source=scan.json",
            "--env=local",
            "--json",
            "--accept-incomplete",
        ]);

        assert!(has_warning(&run.report(), what), "{run}");
    }
}

#[test]
fn pages_one_after_the_other_are_complete_if_the_last_is() {
    let (engine, table, project) = table();
    let first = scan(&json!({ "LastEvaluatedKey": { "id": { "S": "b" } } }));
    let last = r#"{"Items":[{"id":{"S":"c"}}],"Count":1,"ScannedCount":9,"NextToken":null}"#;
    project.write("pages.json", first + last);
    project.write("empty.json", r#"{"Items":[],"Count":0,"ScannedCount":0}"#);
    project.restoredb(["--source=pages.json", "--yes"]).exits(0);
    assert_eq!(engine.client().items(&table).len(), 3);

    for source in ["pages.json", "empty.json"] {
        project.verifydb(["--source", source]).exits(0);
    }

    let null = r#"{"Items":null,"Count":0}"#;
    project
        .restoredb_from(null.as_bytes(), ["--source=-", "--yes"])
        .exits(0);
}

#[test]
fn a_partial_dump_is_reported_as_partial_everywhere() {
    let (engine, project) = dump_of(20);
    let dump = project
        .dumpdb(["--output=part", "--limit=5", "--json"])
        .exits(0)
        .says("part of the table")
        .report();

    assert_eq!(dump["summary"]["complete"], false);
    engine.client().create_simple("other");
    let run = project
        .restoredb(["--source=part", "--table=other", "--dry-run", "--json"])
        .exits(0);
    assert_eq!(
        run.says("part of the table").report()["plan"]["source"]["complete"],
        false
    );
    let run = project
        .restoredb(["--source=part", "--table=other", "--yes", "--json"])
        .exits(0);
    assert_eq!(
        run.says("source part of the table").report()["summary"]["source_complete"],
        false
    );
    let run = project
        .verifydb(["--source=part", "--json"])
        .exits(0)
        .says("part of the table");
    assert_eq!(run.report()["summary"]["complete"], false);
    let run = project
        .verifydb(["--source=part", "--env=local", "--table=other", "--json"])
        .exits(0);
    assert!(has_warning(&run.report(), "part of the table"), "{run}");
}

#[test]
fn every_report_has_the_warnings() {
    let (_engine, project) = dump_of(3);
    let rules = "[[rule]]\npath = \"none\"\naction = \"redact\"\n";
    project.write("rules.toml", rules);
    let report = project
        .dumpdb(["--output=masked", "--json", "--mask=rules.toml"])
        .exits(0)
        .report();
    assert!(has_warning(&report, "matched no item"), "{report}");
    project.write("items.jsonl", r#"{"id":{"S":"0"}}"#);
    let report = project
        .restoredb(["--source=items.jsonl", "--yes", "--json"])
        .exits(0)
        .report();
    assert!(has_warning(&report, "no checksums"), "{report}");
    let report = project
        .verifydb(["--source=items.jsonl", "--json"])
        .exits(0)
        .report();
    assert!(
        has_warning(&report, "no checksums") && has_warning(&report, "no schema"),
        "{report}"
    );

    // A run that fails has them, too; so has one that is quiet.
    let report = project
        .restoredb([
            "--source=items.jsonl",
            "--yes",
            "--json",
            "--quiet",
            "--where=error",
        ])
        .exits(3)
        .report();

    assert!(has_warning(&report, "no checksums"), "{report}");
    let report = project
        .verifydb(["--source=nowhere", "--json"])
        .exits(11)
        .report();
    assert_eq!(report["warnings"], json!([]), "{report}");
}
