//! `--salvage`: damaged dumps are rejected without it, and their readable items are restored with it.

use serde_json::Value;

use crate::support::client::{Client, numbered, s};
use crate::support::engine::Engine;
use crate::support::project::{Project, Run};

/// A dump in `out` of a table with so many items of so many bytes.
fn dumped(count: usize, bytes: usize, flags: &[&str]) -> (Engine, Client, Project) {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create_simple("films");
    let padding = "x".repeat(bytes);
    for mut item in numbered(count) {
        item.insert("padding".to_owned(), s(&padding));
        client.put_one("films", item);
    }

    let project = Project::on(&engine, "films");
    project
        .dumpdb(["--output=out"].iter().chain(flags))
        .exits(0);

    (engine, client, project)
}

/// The damaged dump is refused, with a hint; salvaged, it gives so many items, all of them as they were.
fn salvaged(
    client: &Client,
    project: &Project,
    items: std::ops::RangeInclusive<usize>,
) -> (Run, Value) {
    let arguments = ["--source=out", "--table=copy", "--yes", "--json"];
    project.restoredb(arguments).exits(12).says("--salvage");
    assert!(
        client.describe("copy").is_none(),
        "nothing is done before the dump is checked"
    );
    let run = project
        .restoredb(arguments.iter().chain(&["--salvage"]))
        .exits(3)
        .says("damaged")
        .says("salvage");

    let report = run.report();
    let summary = report["summary"].clone();
    let (copy, films) = (client.items("copy"), client.items("films"));
    assert!(items.contains(&copy.len()), "{} items\n{run}", copy.len());
    assert!(copy.iter().all(|(key, item)| films[key] == *item));
    assert_eq!(summary["items_written"], copy.len(), "{summary:#}");
    assert_eq!(summary["salvaged"]["readable"], copy.len(), "{summary:#}");

    // The total of the progress counts what is written, without the pieces that cannot be read.
    let run = run.says(&format!("writing items ({} item", copy.len()));

    (run, summary)
}

fn change(project: &Project, file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = project.bytes(file);
    change(&mut bytes);
    project.write(file, bytes);
}

#[test]
fn a_data_file_that_was_cut() {
    let (_engine, client, project) = dumped(100, 100, &[]);
    change(&project, "out/table-data.json", |bytes| {
        bytes.truncate(bytes.len() / 2);
    });
    let (run, summary) = salvaged(&client, &project, 45..=55);
    run.says("truncated").says("the dump had 100 items");
    assert_eq!(
        (&summary["salvaged"]["promised"], &summary["items_rejected"]),
        (&100.into(), &1.into())
    );
    let rejects = project.text(summary["rejects_file"].as_str().expect("a file of rejects"));
    let line: Value = serde_json::from_str(&rejects).expect("a line of JSON");
    assert!(
        line["reason"]
            .as_str()
            .is_some_and(|reason| reason.starts_with("line 5")),
        "{line}"
    );

    assert!(
        line["unreadable"]
            .as_str()
            .is_some_and(|text| text.starts_with("{\"")),
        "{line}"
    );

    // Such a line is for people: it is neither restored nor passed over.
    let path = summary["rejects_file"].as_str().expect("a file of rejects");
    project
        .restoredb(["--source", path, "--table=copy"])
        .exits(12)
        .says("correct it and write it as")
        .says("line 1");
}

#[test]
fn a_data_file_whose_beginning_is_damaged_or_gone() {
    type Change = fn(&mut Vec<u8>);
    let changes: [(Change, _); 4] = [
        (|bytes| bytes[2] ^= 1, 100..=100),
        (|bytes| bytes[10] ^= 1, 99..=99),
        (|bytes| drop(bytes.drain(..bytes.len() / 2)), 45..=55),
        (|bytes| bytes[..2].fill(0), 100..=100),
    ];

    for (damage, items) in changes {
        let (_engine, client, project) = dumped(100, 100, &[]);
        change(&project, "out/table-data.json", damage);
        let (_, summary) = salvaged(&client, &project, items);
        assert_eq!(summary["items_rejected"], 1);
    }
}

#[test]
fn lines_other_than_items() {
    let (_engine, client, project) = dumped(50, 10, &["--format=jsonl"]);
    change(&project, "out/table-data.jsonl", |bytes| {
        let text = String::from_utf8(bytes.clone()).expect("text");
        let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        lines[10] = lines[10].replace('{', "(");
        lines[20] = "\u{1}".to_owned();
        *bytes = (lines.join("\n") + "\n").into_bytes();
    });

    let trial = &project
        .restoredb([
            "--source=out",
            "--table=copy",
            "--salvage",
            "--dry-run",
            "--json",
        ])
        .exits(0)
        .report()["plan"]["trial"];
    assert_eq!(
        (&trial["items_in"], &trial["items_out"], &trial["rejected"]),
        (&50.into(), &48.into(), &2.into()),
        "a dry run counts what a restore rejects: {trial:#}"
    );

    let (run, summary) = salvaged(&client, &project, 48..=48);
    run.says("line 11: not an item")
        .says("line 21: not an item");
    assert_eq!(
        (&summary["items_read"], &summary["items_rejected"]),
        (&50.into(), &2.into()),
        "{summary:#}"
    );
}

#[test]
fn a_flipped_bit_in_a_valid_item_is_reported_without_its_line() {
    let (_engine, client, project) = dumped(10, 10, &[]);
    change(&project, "out/table-data.json", |bytes| {
        let at = bytes
            .windows(8)
            .position(|window| window == b"\"padding")
            .expect("it is there");
        bytes[at + 1] = b'P';
    });

    project
        .restoredb(["--source=out", "--table=copy", "--yes"])
        .exits(12)
        .says("SHA-256");
    let run = project
        .restoredb(["--source=out", "--table=copy", "--yes", "--salvage"])
        .exits(3);
    run.says("SHA-256").says("the dump is damaged: 10 items");
    assert_eq!(client.items("copy").len(), 10);
}

/// A compressed dump of two frames, and the items and bytes on disk of the first.
fn two_frames(compress: &str, file: &str) -> (Engine, Client, Project, (usize, usize)) {
    let (engine, client, project) = dumped(30, 7_000, &[compress, "--segments=1"]);
    let frames = project.json("out/table-metadata.json")["files"][file]["frames"].clone();
    assert_eq!(frames.as_array().expect("an index").len(), 2, "{frames}");
    let number =
        |of: usize| usize::try_from(frames[0][of].as_u64().expect("a number")).expect("small");
    let first = (number(2), number(1));

    (engine, client, project, first)
}

#[test]
fn a_damaged_frame_is_passed_over() {
    for (compress, file) in [
        ("--compress=gzip", "table-data.json.gz"),
        ("--compress=zstd", "table-data.json.zst"),
    ] {
        let (_engine, client, project, (items, bytes)) = two_frames(compress, file);
        change(&project, &format!("out/{file}"), |all| {
            // A single byte may be one that nothing depends on.
            all[bytes / 2..][..16]
                .iter_mut()
                .for_each(|byte| *byte ^= 0xff);
        });

        let (run, summary) = salvaged(&client, &project, 30 - items..=30 - items);
        run.says("frame 1 of the data file")
            .says(&format!("is damaged ({items} items)"));
        assert_eq!(summary["salvaged"]["unreadable"], 1, "{summary:#}");
    }
}

#[test]
fn frames_after_missing_or_inserted_bytes_are_read() {
    let damages: [fn(&mut Vec<u8>, usize); 2] = [
        |all, at| drop(all.drain(at..at + 100)),
        |all, at| drop(all.splice(at..at, [0x41; 100])),
    ];
    for (compress, file) in [
        ("--compress=gzip", "table-data.json.gz"),
        ("--compress=zstd", "table-data.json.zst"),
    ] {
        for damage in damages {
            let (_engine, client, project, (items, bytes)) = two_frames(compress, file);
            change(&project, &format!("out/{file}"), |all| {
                damage(all, bytes / 2);
            });
            let (run, _) = salvaged(&client, &project, 30 - items..=30 - items);
            run.says("frame 1 of the data file").never_says("frame 2");
        }
    }
}

#[test]
fn a_truncated_frame_is_read_as_far_as_possible() {
    let (_engine, client, project, (items, bytes)) =
        two_frames("--compress=gzip", "table-data.json.gz");
    change(&project, "out/table-data.json.gz", |all| {
        all.truncate(bytes * 2 / 3);
    });
    let (run, _) = salvaged(&client, &project, 1..=items - 1);
    run.says("frame 1 of the data file")
        .says("is truncated")
        .says("frame 2 of the data file");

    // Without the index, up to the damage.
    client.delete_if_there("copy");
    change(&project, "out/table-metadata.json", |all| all[10] ^= 1);
    let (run, _) = salvaged(&client, &project, 1..=items - 1);
    run.says("nothing after this point can be read");
}

#[test]
fn documents_that_are_missing_or_were_changed() {
    let (_engine, client, project) = dumped(20, 10, &[]);
    let schema = project.bytes("out/table-schema.json");
    std::fs::remove_file(project.path("out/table-schema.json")).expect("it is there");

    // Without a schema there must be a table.
    let arguments = ["--source=out", "--table=copy", "--yes", "--salvage"];
    project
        .restoredb(arguments)
        .exits(13)
        .says("no schema")
        .says("pass a file with --schema");

    client.create_simple("copy");
    project
        .restoredb(arguments)
        .exits(3)
        .says("table-schema.json is missing");
    assert_eq!(client.items("copy"), client.items("films"));
    client.delete_if_there("copy");
    project.write("out/table-schema.json", &schema);

    change(&project, "out/table-schema.json", |bytes| bytes.push(b'\n'));
    let (run, _) = salvaged(&client, &project, 20..=20);
    run.says("table-schema.json");
    client.delete_if_there("copy");
    project.write("out/table-schema.json", &schema);

    std::fs::remove_file(project.path("out/table-metadata.json")).expect("it is there");
    let (run, summary) = salvaged(&client, &project, 20..=20);
    run.says("unfinished")
        .says("does not say which environment");
    assert!(summary["salvaged"]["promised"].is_null());
}

#[test]
fn a_damaged_dump_of_another_environment_is_asked_about() {
    let (engine, _client, project) = dumped(5, 10, &[]);
    let project = project.environment("dev", engine.url(), "copy");
    change(&project, "out/table-metadata.json", |bytes| {
        let at = bytes
            .windows(9)
            .position(|window| window == b"\"items\": ")
            .expect("it is there");
        bytes[at + 9] = b'7';
    });

    let run = project
        .restoredb(["--source=out", "--env=dev", "--salvage"])
        .exits(4);
    run.says("Cross-environment restore detected!");
}

#[test]
fn salvage_refuses_newer_formats_and_intact_dumps() {
    let (_engine, client, project) = dumped(5, 10, &[]);
    project
        .restoredb(["--source=out", "--table=copy", "--salvage"])
        .exits(0)
        .never_says("damaged");
    assert_eq!(client.items("copy"), client.items("films"));
    project.write("out/table-metadata.json", "{\"format_version\": 2}\n");
    project
        .restoredb(["--source=out", "--table=copy", "--salvage"])
        .exits(12)
        .says("newer format");
    std::fs::remove_file(project.path("out/table-data.json")).expect("it is there");
    project.write("out/table-metadata.json", "x");
    project
        .restoredb(["--source=out", "--table=copy", "--salvage"])
        .exits(12)
        .says("no data file");
}

#[test]
fn a_file_of_another_tool_is_read_up_to_the_damage() {
    let (_engine, client, project) = dumped(1, 1, &[]);
    let item = |n: u32| format!("    {{\n      \"id\": {{\"S\": \"{n}\"}}\n    }}");
    let document = format!(
        "{{\n  \"Items\": [\n{},\n{},\n    {{\"id\": ",
        item(1),
        item(2)
    );

    project.write("scan.json", document);
    let run = project.restoredb([
        "--source=scan.json",
        "--table=copy",
        "--schema=out/table-schema.json",
        "--salvage",
    ]);

    run.exits(3)
        .says("nothing after this point can be read")
        .says("2 items could be read");
    assert_eq!(client.items("copy").len(), 2);
}
