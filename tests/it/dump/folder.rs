//! Files of a dump, and replacement of an existing one.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::support::client::{Client, numbered};
use crate::support::engine::Engine;
use crate::support::project::{Project, REGION, dump_of as dump_of_films};

const FILES: [&str; 4] = [
    "dump-summary.txt",
    "table-data.json",
    "table-metadata.json",
    "table-schema.json",
];

/// A table of so many items, and a project on it.
fn table_of(items: usize) -> (Engine, Client, String, Project) {
    let engine = Engine::any();
    let table = engine.table("films");
    let client = engine.client();
    client.create_simple(&table);
    client.put(&table, numbered(items));
    let project = Project::on(&engine, &table);

    (engine, client, table, project)
}

/// The ids of the items in some text, one item per line.
fn ids(lines: &str) -> BTreeSet<String> {
    let items = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.trim_end_matches(',')).ok());
    items
        .filter_map(|item| item["id"]["S"].as_str().map(str::to_owned))
        .collect()
}

fn all_ids(count: usize) -> BTreeSet<String> {
    (0..count).map(|n| format!("item-{n:06}")).collect()
}

#[test]
fn four_files_to_the_byte() {
    let (_engine, _, table, project) = table_of(3);
    project.dumpdb(["--output=out"]).exits(0);
    assert_eq!(project.names("out"), FILES);
    let text = project.text("out/table-data.json");
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        (lines[0], lines[4]),
        (r#"{"Items":["#, r#"],"Count":3,"ScannedCount":3}"#),
        "{text}"
    );

    assert!(text.ends_with("}\n"));

    for (line, comma) in lines[1..4].iter().zip([true, true, false]) {
        assert!(
            line.starts_with('{') && line.ends_with(if comma { "}}," } else { "}}" }),
            "{line}"
        );
        assert!(
            serde_json::from_str::<Value>(line.trim_end_matches(',')).is_ok(),
            "{line}"
        );
    }

    assert_eq!(
        project.json("out/table-data.json")["Items"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );

    assert_eq!(
        project.json("out/table-schema.json")["Table"]["TableName"],
        table.as_str()
    );
}

#[test]
fn the_metadata_fits_the_files() {
    let (engine, _, table, project) = table_of(40);
    project.dumpdb(["--output=out", "--segments=1"]).exits(0);
    let metadata = project.json("out/table-metadata.json");
    for (key, wanted) in [
        ("format_version", Value::from(1)),
        ("environment", "local".into()),
        ("table", table.as_str().into()),
        ("endpoint", engine.url().into()),
        ("route", "scan".into()),
        ("complete", true.into()),
        ("transformed", false.into()),
        ("consistent_read", false.into()),
        ("segments", 1.into()),
        ("items", 40.into()),
    ] {
        assert_eq!(metadata[key], wanted, "{key} in {metadata:#}");
    }

    let listed = metadata["files"].as_object().expect("the files");
    assert_eq!(
        listed.keys().collect::<Vec<_>>(),
        FILES
            .iter()
            .filter(|name| **name != "table-metadata.json")
            .collect::<Vec<_>>()
    );

    for (name, entry) in listed {
        let bytes = project.bytes(format!("out/{name}"));
        let digest = Sha256::digest(&bytes)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .concat();

        assert_eq!(
            (entry["bytes"].as_u64(), entry["sha256"].as_str()),
            (Some(bytes.len() as u64), Some(digest.as_str())),
            "{name}"
        );
    }

    let text = project.text("out/table-data.json");
    let item_bytes: usize = text
        .lines()
        .filter(|line| line.starts_with("{\"") && !line.starts_with("{\"Items"))
        .map(|line| line.trim_end_matches(',').len())
        .sum();

    assert_eq!(metadata["data_bytes"].as_u64(), Some(item_bytes as u64));

    for time in ["started_at", "finished_at"] {
        let text = metadata[time].as_str().expect("a time");
        assert!(
            chrono::DateTime::parse_from_rfc3339(text).is_ok() && text.ends_with('Z'),
            "{time}: {text}"
        );
    }
}

#[test]
fn an_unchanged_table_gives_the_same_lines() {
    let (_engine, _, _, project) = table_of(200);
    // Engines put the attributes of an item into any order; DynamoDB's bytes are kept as they are. So items are compared.
    let items = |dump: &str| project.json(format!("{dump}/table-data.json"));
    for output in ["--output=one", "--output=two", "--output=one"] {
        project.dumpdb([output, "--segments=1"]).exits(0);
        if project.path("two").exists() {
            assert_eq!(items("one"), items("two"));
        }
    }
}

#[test]
fn an_empty_table_is_a_dump_too() {
    let (_engine, _, _, project) = table_of(0);
    project.dumpdb(["--output=out"]).exits(0);
    assert_eq!(
        project.text("out/table-data.json"),
        "{\"Items\":[\n],\"Count\":0,\"ScannedCount\":0}\n"
    );
    project.dumpdb(["--output=items.jsonl"]).exits(0);
    assert_eq!(project.text("items.jsonl"), "");
}

#[test]
fn the_default_place_bears_the_name_of_the_environment() {
    let (_engine, _, _, project) = table_of(1);
    project
        .dumpdb([""; 0])
        .exits(0)
        .says("backups/dynamodb/local");
    assert_eq!(project.names("backups/dynamodb/local"), FILES);
    assert_eq!(
        project.names("backups/dynamodb"),
        ["local"],
        "nothing is left beside the dump"
    );
}

#[test]
fn several_segments_find_each_item_once() {
    let (_engine, _, _, project) = table_of(500);
    for segments in ["1", "3", "16"] {
        let output = format!("out-{segments}");
        project
            .dumpdb(["--segments", segments, "--output", &output])
            .exits(0);
        let text = project.text(format!("{output}/table-data.json"));
        assert_eq!(text.lines().count(), 502);
        assert_eq!(ids(&text), all_ids(500));
    }
}

#[test]
fn many_pages_are_followed_to_the_end() {
    let (_engine, client, table, project) = table_of(0);
    let padding = "x".repeat(100_000);
    for number in 0..35 {
        let mut item = numbered(number + 1).pop().expect("an item");
        item.insert("padding".to_owned(), crate::support::client::s(&padding));
        client.put_one(&table, item);
    }

    project.dumpdb(["--output=out"]).exits(0);
    assert_eq!(ids(&project.text("out/table-data.json")), all_ids(35));
}

#[test]
fn a_limit_is_exact_and_makes_a_part() {
    let (_engine, _, _, project) = table_of(60);
    for (limit, items) in [("1", 1), ("7", 7), ("60", 60), ("100", 60)] {
        let output = format!("out-{limit}");
        project
            .dumpdb(["--limit", limit, "--output", &output])
            .exits(0);
        let metadata = project.json(format!("{output}/table-metadata.json"));
        assert_eq!(metadata["items"], items, "--limit {limit}");
        assert_eq!(
            ids(&project.text(format!("{output}/table-data.json"))).len(),
            items
        );
    }

    assert_eq!(project.json("out-7/table-metadata.json")["complete"], false);
}

#[test]
fn a_dry_run_shows_the_plan_reads_no_item_and_makes_no_file() {
    let (_engine, _, table, project) = table_of(5);
    let run = project
        .dumpdb(["--dry-run", "--output=out"])
        .exits(0)
        .says(&table)
        .says("out");

    assert!(run.stdout.is_empty(), "{run}");
    assert!(!project.path("out").exists());
    assert_eq!(project.names("."), ["envs"]);
}

#[test]
fn schema_only_and_items_only() {
    let (_engine, _, _, project) = table_of(4);
    project
        .dumpdb(["--schema-only", "--output=schema"])
        .exits(0);
    assert_eq!(
        project.names("schema"),
        [
            "dump-summary.txt",
            "table-metadata.json",
            "table-schema.json"
        ]
    );

    project.dumpdb(["--data-only", "--output=data"]).exits(0);
    assert_eq!(
        project.names("data"),
        ["dump-summary.txt", "table-data.json", "table-metadata.json"]
    );
}

#[test]
fn json_lines_and_compression_hold_the_same_items() {
    let (_engine, _, _, project) = table_of(90);
    let read = |path: &str| -> String {
        let bytes = project.bytes(path);
        let plain = match path.rsplit('.').next() {
            Some("gz") => {
                let mut text = Vec::new();
                std::io::Read::read_to_end(
                    &mut flate2::read::MultiGzDecoder::new(&bytes[..]),
                    &mut text,
                )
                .expect("gzip");

                text
            }
            Some("zst") => zstd::decode_all(&bytes[..]).expect("zstd"),
            _ => bytes,
        };

        String::from_utf8(plain).expect("text")
    };

    for (arguments, file) in [
        (&["--output=a", "--format=jsonl"][..], "a/table-data.jsonl"),
        (&["--output=b", "--compress=gzip"], "b/table-data.json.gz"),
        (&["--output=c", "--compress=zstd"], "c/table-data.json.zst"),
        (
            &["--output=d", "--format=jsonl", "--compress=zstd"],
            "d/table-data.jsonl.zst",
        ),
        (&["--output=e.jsonl"], "e.jsonl"),
        (&["--output=f.jsonl.gz"], "f.jsonl.gz"),
        (&["--output=g.jsonl.zst"], "g.jsonl.zst"),
    ] {
        project.dumpdb(arguments).exits(0);
        let text = read(file);
        assert_eq!(ids(&text), all_ids(90), "{file}");
        assert_eq!(
            text.starts_with(r#"{"Items":["#),
            !file.contains(".jsonl"),
            "{file}"
        );
    }
}

#[test]
fn standard_output_carries_items_and_nothing_else() {
    let (_engine, _, _, project) = table_of(30);
    let run = project.dumpdb(["--output=-"]).exits(0);
    assert_eq!(run.output().lines().count(), 30);
    assert_eq!(ids(run.output()), all_ids(30));
    assert_eq!(project.names("."), ["envs"], "no file is made");
}

#[test]
fn an_old_dump_is_replaced_only_by_a_complete_new_one() {
    let (_engine, client, table, project) = table_of(10);
    project.dumpdb(["--output=out"]).exits(0);
    client.put(&table, numbered(20));
    project.dumpdb(["--output=out"]).exits(0);
    assert_eq!(project.json("out/table-metadata.json")["items"], 20);
    let before = project.bytes("out/table-metadata.json");

    // A run that fails leaves what stood there.
    project.dumpdb(["--output=out", "--table=absent"]).exits(11);
    assert_eq!(project.bytes("out/table-metadata.json"), before);

    // A part does not replace the whole unasked.
    project
        .dumpdb(["--output=out", "--limit=5"])
        .exits(4)
        .says("--yes");
    assert_eq!(project.bytes("out/table-metadata.json"), before);
    project
        .dumpdb(["--output=out", "--limit=5", "--yes"])
        .exits(0);
    assert_eq!(project.json("out/table-metadata.json")["items"], 5);
    assert_eq!(project.names("out"), FILES);
}

#[test]
fn a_dump_of_another_table_or_environment_is_not_replaced_unasked() {
    let (engine, client, _, project) = table_of(10);
    let other = engine.table("books");
    client.create_simple(&other);
    project.dumpdb(["--output=out"]).exits(0);
    project
        .dumpdb(["--output=out", "--table", &other])
        .exits(4)
        .says("--yes");
    let project = project.environment("dev", engine.url(), "films");
    project
        .dumpdb(["--output=out", "--env=dev", "--table", &other])
        .exits(4);
    assert_eq!(project.json("out/table-metadata.json")["items"], 10);
}

#[test]
fn a_folder_other_than_a_dump_is_never_changed() {
    let (_engine, _, _, project) = table_of(2);
    project.write("precious/thesis.txt", "ten years of work");
    project
        .dumpdb(["--output=precious", "--yes"])
        .exits(2)
        .says("precious");
    assert_eq!(project.text("precious/thesis.txt"), "ten years of work");
    assert_eq!(project.names("precious"), ["thesis.txt"]);
    project.write("file", "a file");
    project.dumpdb(["--output=file", "--yes"]).exits(2);
    assert_eq!(project.text("file"), "a file");
}

#[test]
fn dumps_of_remote_environments_are_private() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let project = Project::empty().environment("dev", &engine.distant_url(), "films");
    let mode = |path: &str| {
        std::fs::metadata(project.path(path))
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };

    project.dumpdb(["--env=dev", "--output=out"]).exits(0);
    assert_eq!(mode("out"), 0o700);

    for file in FILES {
        assert_eq!(mode(&format!("out/{file}")), 0o600, "{file}");
    }
}

/// An `ssh -L` tunnel to production has a local endpoint.
#[test]
fn dumps_of_protected_environments_are_for_their_owner_alone_wherever_they_are() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let project = Project::empty()
        .environment("prod", engine.url(), "films")
        .environment("local", engine.url(), "films");
    let mode = |path: &str| {
        std::fs::metadata(project.path(path))
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777
    };

    project.dumpdb(["--env=prod", "--output=out"]).exits(0);
    assert_eq!(mode("out"), 0o700);

    for file in FILES {
        assert_eq!(mode(&format!("out/{file}")), 0o600, "{file}");
    }

    project
        .dumpdb(["--env=prod", "--output=out.jsonl"])
        .exits(0);
    assert_eq!(mode("out.jsonl"), 0o600);
    project.dumpdb(["--env=local", "--output=own"]).exits(0);
    assert_ne!(mode("own"), 0o700, "whoever may read other files here");
}

#[test]
fn contradictions_are_refused() {
    let project = Project::empty().environment("local", "http://127.0.0.1:9", "films");
    for arguments in [
        &["--output=-", "--json"][..],
        &["--output=-", "--schema-only"],
        &["--output=x.jsonl", "--format=json"],
        &["--output=x.jsonl.gz", "--compress=zstd"],
        &["--schema-only", "--data-only"],
        &["--limit=0"],
        &["--limit=5", "--segments=4"],
        &["--segments=0"],
        &["--no-such-flag"],
        &["--quiet", "--verbose"],
    ] {
        project.dumpdb(arguments).exits(2);
    }
}

#[test]
fn what_help_names_as_a_default_can_be_given() {
    let (_engine, project) = dump_of_films(2);
    project
        .dumpdb(["--output=again", "--format=json", "--compress=none"])
        .exits(0);
    assert_eq!(project.names("again"), project.names("out"));
}

#[test]
fn a_dump_from_another_region_under_the_same_name_is_replaced_only_after_a_yes() {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);
    project.dumpdb(["--output=out"]).exits(0);
    let text = project.text("envs/.env.local").replace(REGION, "us-east-1");
    project.write("envs/.env.local", text);
    let words = format!("the dump to be replaced is of a table in {REGION}, not in us-east-1");
    project.dumpdb(["--output=out"]).exits(4).says(&words);
    project.dumpdb(["--output=out", "--yes"]).exits(0);
}
