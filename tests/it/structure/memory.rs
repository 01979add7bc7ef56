//! Memory use is constant: a million items need no more than a hundred thousand.
#![cfg(target_os = "linux")]

use dynoxide::ImportOptions;

use crate::support::client::numbered;
use crate::support::engine::Engine;
use crate::support::project::{Project, Run};

/// 64 MiB.
const MOST_KIB: u64 = 64 * 1024;

/// An engine with a table `films` of this number of items, each with a text of this number of bytes.
fn filled(items: usize, bytes: usize) -> Engine {
    let engine = Engine::embedded();
    fill(&engine, "films", items, bytes);

    engine
}

/// Creates a table and fills it through the engine's own handle.
fn fill(engine: &Engine, table: &str, items: usize, bytes: usize) {
    engine.client().create_simple(table);
    let text = "a film about rain, trains, and tea. ".repeat(bytes / 36);
    let numbers: Vec<_> = (0..items).collect();
    for chunk in numbers.chunks(2_500_000 / bytes) {
        let items = chunk.iter().map(|number| {
            let year = number % 120;
            let item =
                format!(r#"{{"id":{{"S":"item-{number:08}"}},"year":{{"N":"{year}"}},"text":{{"S":"{text}"}}}}"#);
            serde_json::from_str(&item).expect("an item")
        });

        let imported =
            engine
                .database()
                .import_items(table, items.collect(), ImportOptions::default());
        imported.expect("the engine takes the items");
    }
}

fn flat(run: &Run) -> u64 {
    assert!(
        run.peak_kib > 0 && run.peak_kib < MOST_KIB,
        "{} KiB\n{run}",
        run.peak_kib
    );

    run.peak_kib
}

/// Moves so many items out and in; returns the peaks of both commands, in KiB.
fn peaks(items: usize) -> (u64, u64) {
    let engine = filled(items, 216);
    let project = Project::on(&engine, "films");
    let dump = project.dumpdb(["--output=out", "--segments=4"]).exits(0);
    assert_eq!(project.json("out/table-metadata.json")["items"], items);
    let restore = project
        .restoredb(["--source=out", "--table=copy", "--json"])
        .exits(0);
    let summary = &restore.report()["summary"];
    assert_eq!(
        (&summary["items_written"], &summary["verified"]["equal"]),
        (&items.into(), &items.into()),
        "{restore}"
    );

    let whole = project.verifydb(["out", "--json"]).exits(0);
    assert_eq!(whole.report()["summary"]["items"], items, "{whole}");
    flat(&whole);
    let equal = project
        .verifydb(["--source=out", "--table=copy", "--exact", "--json"])
        .exits(0);
    assert_eq!(equal.report()["summary"]["equal"], items, "{equal}");
    flat(&equal);

    (flat(&dump), flat(&restore))
}

#[test]
fn a_hundred_thousand_items_out_and_in() {
    peaks(100_000);
}

#[test]
fn a_hundred_thousand_items_from_table_to_table() {
    const ITEMS: usize = 100_000;

    let engine = filled(ITEMS, 216);
    let project = Project::on(&engine, "films");
    let arguments = [
        "--from=local",
        "--to=local",
        "--map=films=copy",
        "--verify=full",
        "--json",
    ];
    let copy = project.copydb(arguments).exits(0);
    let summary = &copy.report()["summary"];
    assert_eq!(summary["verified"]["equal"], ITEMS, "{copy}");
    flat(&copy);
}

#[test]
fn a_hundred_thousand_items_that_the_source_does_not_have() {
    const ITEMS: usize = 100_000;

    let engine = filled(ITEMS, 216);
    let client = engine.client();
    client.create_simple("few");
    client.put("few", numbered(1));
    let project = Project::on(&engine, "few");
    let copy = project
        .copydb([
            "--from=local",
            "--to=local",
            "--map=few=films",
            "--delete-extra",
            "--verify=none",
            "--yes",
            "--json",
        ])
        .exits(0);
    let deleted = &copy.report()["summary"]["deleted"];
    assert_eq!(deleted["items"], ITEMS, "{copy}");
    flat(&copy);
}

/// The peaks in KiB of dumps, restores and a copy of the tables whose names begin with this prefix, with a name for each.
fn set_peaks(project: &Project, prefix: &str) -> Vec<(String, u64)> {
    let table = format!("--table={prefix}-*");
    let mut peaks = Vec::new();
    for compression in ["none", "zstd"] {
        let output = format!("--output={prefix}-{compression}");
        let compress = format!("--compress={compression}");
        let dump = [&table, "--segments=16", &output, &compress];
        let dump = project.dumpdb(dump).exits(0);
        peaks.push((format!("dump, {compression}"), dump.peak_kib));

        let source = format!("--source={prefix}-{compression}");
        let map = format!("--map={prefix}-*={prefix}{compression}-*");
        let restore = [&source, &map, "--verify=none", "--yes"];
        let restore = project.restoredb(restore).exits(0);
        peaks.push((format!("restore, {compression}"), restore.peak_kib));
    }

    let map = format!("--map={prefix}-*={prefix}copy-*");
    let sides = ["--from=local", "--to=local"].map(str::to_owned);
    let copy = [&table, &map, "--verify=none", "--yes"].map(str::to_owned);
    let copy = project.copydb(sides.into_iter().chain(copy)).exits(0);
    peaks.push(("copy".to_owned(), copy.peak_kib));

    peaks
}

/// The difference is compared, because the program itself takes much more memory in an unoptimised build. In an optimised one, a run of
/// small tables takes 20 MB.
#[test]
fn eight_large_tables_in_parallel_share_the_memory_of_one() {
    const MOST_MORE_KIB: u64 = 40 * 1024;
    const TABLES: usize = 8;

    let engine = Engine::embedded();
    for number in 0..TABLES {
        fill(&engine, &format!("small-{number}"), 10, 216);
        fill(&engine, &format!("large-{number}"), 1400, 12_000);
    }

    let project = Project::on(&engine, "small-0");
    let small = set_peaks(&project, "small");
    let large = set_peaks(&project, "large");
    let is_shared = |((name, small), (_, large)): (&(String, u64), &(String, u64))| {
        assert!(*small > 0, "{name} was not measured");
        *large < small + MOST_MORE_KIB
    };
    assert!(
        small.iter().zip(&large).all(is_shared),
        "KiB: {small:?}, {large:?}"
    );
}

/// Takes minutes; `.ci/run` runs it.
#[test]
#[ignore = "takes minutes; run by .ci/run"]
fn a_million_items_need_no_more() {
    let (few, many) = (peaks(100_000), peaks(1_000_000));
    for (few, many) in [(few.0, many.0), (few.1, many.1)] {
        assert!(
            many < few + 8 * 1024,
            "{few} KiB for a hundred thousand items, {many} KiB for a million"
        );
    }
}

#[test]
fn large_items_out_and_in() {
    // Frames, windows of compression and pages of such items come in megabytes: an unoptimised build is near the usual bound.
    const MOST: u64 = MOST_KIB + 12 * 1024;

    let engine = filled(180, 390_000);
    let project = Project::on(&engine, "films");
    for compression in ["zstd", "none"] {
        let dump = project
            .dumpdb([
                format!("--output={compression}"),
                format!("--compress={compression}"),
                "--segments=4".to_owned(),
            ])
            .exits(0);
        assert!(dump.peak_kib < MOST, "{} KiB\n{dump}", dump.peak_kib);

        let restore = project
            .restoredb([
                format!("--source={compression}"),
                format!("--table={compression}"),
            ])
            .exits(0);
        assert!(
            restore.peak_kib < MOST,
            "{compression}: {} KiB\n{restore}",
            restore.peak_kib
        );
    }
}
