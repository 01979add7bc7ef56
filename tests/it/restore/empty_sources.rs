//! Sources without a writable item, which neither create nor replace a table.

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::project::Project;

/// A table `copy` with ten items behind a proxy, as the environment `dev`; `schema.json` describes it.
fn live() -> (Engine, Proxy, Project) {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create_simple("copy");
    client.put("copy", numbered(10));
    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::empty().environment("dev", proxy.url(), "copy");
    project.dumpdb(["--env=dev", "--output=whole"]).exits(0);
    project.write("schema.json", project.bytes("whole/table-schema.json"));

    (engine, proxy, project)
}

/// Arguments that make a source of which no item can be written, what is on standard input, and what is said of it.
fn without_items(project: &Project) -> Vec<(Vec<&'static str>, &'static [u8], &'static str)> {
    project.write("empty.jsonl", "");
    project.write(
        "older/table-data.json",
        r#"{"Items":[],"Count":0,"ScannedCount":0}"#,
    );
    project.write("keyless.jsonl", "{\"name\":{\"S\":\"a\"}}\n".repeat(700));
    let dump = [
        "--env=dev",
        "--output=none",
        "--where",
        ".id.S == \"nobody\"",
    ];

    project.dumpdb(dump).exits(0);
    let schema = "--schema=schema.json";
    vec![
        (vec!["--source=-", schema], b"", "pipefail"),
        (
            vec!["--source=-", schema],
            b"{\"name\":{\"S\":\"a\"}}\n",
            "nothing to write",
        ),
        (
            vec!["--source=empty.jsonl", schema],
            b"",
            "contains no items",
        ),
        (vec!["--source=older", schema], b"", "contains no items"),
        (vec!["--source=none"], b"", "contains no items"),
        (
            vec!["--source=keyless.jsonl", schema],
            b"",
            "nothing to write",
        ),
        (
            vec!["--source=whole", "--where=false"],
            b"",
            "nothing to write",
        ),
        (
            vec!["--source=whole", "--transform=error(\"no\")"],
            b"",
            "nothing to write",
        ),
        (
            vec!["--source=whole", "--transform=del(.id)"],
            b"",
            "nothing to write",
        ),
    ]
}

#[test]
fn a_table_is_not_replaced_by_a_source_without_an_item_that_can_be_written() {
    let (engine, proxy, project) = live();
    let before = engine.client().items("copy");
    for (source, input, words) in without_items(&project) {
        let arguments = [source, vec!["--env=dev", "--replace", "--yes"]].concat();
        project
            .restoredb_from(input, &arguments)
            .exits(12)
            .says(words)
            .says("--allow-empty")
            .says("was not touched");

        let dry = [arguments.as_slice(), &["--dry-run"]].concat();
        project
            .restoredb_from(input, dry)
            .exits(12)
            .says("--allow-empty");
        assert_eq!(
            proxy.count("DeleteTable") + proxy.count("CreateTable"),
            0,
            "{arguments:?}"
        );

        // Nothing was begun either: the table is nobody's unfinished business.
        project
            .restoredb(["--source=whole", "--env=dev", "--dry-run"])
            .exits(0)
            .never_says("did not end");
    }

    assert_eq!(engine.client().items("copy"), before);
}

#[test]
fn a_table_is_not_created_from_a_source_without_an_item_that_can_be_written() {
    let (engine, _proxy, project) = live();
    let sources = without_items(&project);
    for (source, input, words) in &sources {
        let arguments = [source.as_slice(), &["--env=dev", "--table=other"]].concat();
        for more in [&[][..], &["--if-missing"], &["--dry-run"]] {
            project
                .restoredb_from(input, arguments.iter().chain(more))
                .exits(12)
                .says(words);
        }

        assert!(engine.client().describe("other").is_none(), "{arguments:?}");
    }
}

#[test]
fn a_table_may_become_empty_with_allow_empty() {
    let (engine, _proxy, project) = live();
    for (source, input, words) in without_items(&project) {
        let arguments = [
            source,
            vec!["--env=dev", "--replace", "--yes", "--allow-empty"],
        ]
        .concat();

        let run = project.restoredb_from(input, arguments);

        // Items that were rejected are told as in any other run.
        assert!(matches!(run.status.code(), Some(0 | 3)), "{words}: {run}");
        assert!(engine.client().items("copy").is_empty(), "{run}");
        engine.client().put("copy", numbered(10));
    }
}

#[test]
fn a_complete_dump_of_an_empty_table_is_a_source_like_any_other() {
    let (engine, _proxy, project) = live();
    engine.client().create_simple("hollow");
    project
        .dumpdb(["--env=dev", "--table=hollow", "--output=hollow"])
        .exits(0);
    project
        .restoredb(["--source=hollow", "--env=dev", "--table=new"])
        .exits(0);
    let replace = [
        "--source=hollow",
        "--env=dev",
        "--table=copy",
        "--replace",
        "--yes",
    ];

    project
        .restoredb(replace.iter().chain(&["--dry-run"]))
        .exits(0);
    project.restoredb(replace).exits(0);
    assert!(engine.client().items("copy").is_empty() && engine.client().items("new").is_empty());
}

#[test]
fn items_before_the_first_that_can_be_written_are_rejected_one_by_one() {
    let (engine, _proxy, project) = live();
    let large = format!(
        "{{\"id\":{{\"S\":\"l\"}},\"t\":{{\"S\":\"{}\"}}}}\n",
        "x".repeat(420_000)
    );
    let lines = "{\"name\":{\"S\":\"a\"}}\n".repeat(700) + &large + "{\"id\":{\"S\":\"good\"}}\n";
    let arguments = [
        "--source=-",
        "--schema=schema.json",
        "--env=dev",
        "--replace",
        "--yes",
        "--json",
    ];

    let run = project.restoredb_from(lines.as_bytes(), arguments).exits(3);
    let summary = &run.report()["summary"];
    assert_eq!(
        (&summary["items_rejected"], &summary["items_written"]),
        (&701.into(), &1.into()),
        "{run}"
    );

    let file = summary["rejects_file"].as_str().expect("there are rejects");
    assert_eq!(
        std::fs::read_to_string(file)
            .expect("the file is there")
            .lines()
            .count(),
        701
    );

    assert_eq!(engine.client().items("copy").len(), 1);
}

#[test]
fn a_strict_restore_that_stops_at_the_first_item_has_changed_nothing() {
    let (engine, proxy, project) = live();
    let before = engine.client().items("copy");
    let lines = "{\"name\":{\"S\":\"a\"}}\n{\"id\":{\"S\":\"good\"}}\n";
    let arguments = [
        "--source=-",
        "--schema=schema.json",
        "--env=dev",
        "--replace",
        "--yes",
        "--strict",
    ];

    project
        .restoredb_from(lines.as_bytes(), arguments)
        .exits(3)
        .says("stopped at the first rejected item");
    assert_eq!(proxy.count("DeleteTable"), 0);
    assert_eq!(engine.client().items("copy"), before);
}

#[test]
fn a_schema_only_dump_is_refused_before_the_first_change() {
    let (engine, proxy, project) = live();
    project
        .dumpdb(["--env=dev", "--schema-only", "--output=so"])
        .exits(0);
    let before = engine.client().items("copy");
    for more in [
        &["--table=copy", "--replace"][..],
        &["--table=copy"],
        &["--table=other"],
        &["--table=other", "--if-missing"],
    ] {
        let arguments = [&["--source=so", "--env=dev", "--yes"], more].concat();
        project
            .restoredb(&arguments)
            .exits(2)
            .says("contains a schema but no items")
            .says("--schema-only");

        project
            .restoredb(arguments.iter().chain(&["--dry-run"]))
            .exits(2)
            .says("contains a schema but no items");
    }

    project
        .restoredb([
            "--source=so",
            "--env=dev",
            "--table=copy",
            "--data-only",
            "--yes",
        ])
        .exits(2);

    assert_eq!(proxy.count("DeleteTable") + proxy.count("CreateTable"), 0);
    assert_eq!(engine.client().items("copy"), before);
    project
        .restoredb(["--source=so", "--env=dev", "--table=other", "--schema-only"])
        .exits(0);
}

#[test]
fn the_prompt_of_a_replacement_states_that_the_dump_is_incomplete() {
    let (_engine, _proxy, project) = live();
    project
        .dumpdb(["--env=dev", "--limit=3", "--output=part"])
        .exits(0);
    let replace = ["--env=dev", "--table=copy", "--replace"];
    project
        .restoredb(replace.iter().chain(&["--source=part"]))
        .exits(4)
        .says("the dump is incomplete (limit 3)");
    project
        .restoredb(replace.iter().chain(&["--source=whole"]))
        .exits(4)
        .never_says("incomplete");
    project
        .restoredb(replace.iter().chain(&["--source=part", "--yes"]))
        .exits(0);
}
