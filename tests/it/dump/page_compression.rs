//! Compressed Scan responses: equal results, and detection of corrupt ones.

use crate::support::client::{numbered, s};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, Rule, always, calls, packed};
use crate::support::films::{items_in_table, items_in_text};
use crate::support::project::Project;

/// Some pages of 1 MB behind these faults.
fn behind(rules: impl Into<Vec<Rule>>) -> (Engine, Proxy, Project) {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create_simple("films");
    let padding = "a film about rain, trains, and tea. ".repeat(2_500);
    for mut item in numbered(40) {
        item.insert("padding".to_owned(), s(&padding));
        client.put_one("films", item);
    }

    let proxy = Proxy::with_rules(&engine, rules);
    let project = Project::empty().environment("dev", proxy.url(), "films");

    (engine, proxy, project)
}

const ON: [&str; 5] = [
    "--env=dev",
    "--output=out",
    "--wire-compression=on",
    "--json",
    "--yes",
];

#[test]
fn compressed_pages_hold_the_same() {
    let (engine, proxy, project) = behind([]);
    proxy.compresses();
    let size = |wire: &str| {
        let wire = format!("--wire-compression={wire}");
        let summary = project
            .dumpdb(["--env=dev", "--output=out", &wire, "--json", "--yes"])
            .exits(0)
            .report();
        assert_eq!(
            items_in_text(&project.text("out/table-data.json")),
            items_in_table(&engine.client(), "films")
        );
        summary["summary"]["wire_bytes"].as_u64().expect("a number")
    };

    let (on, off, auto) = (size("on"), size("off"), size("auto"));
    assert!(
        on * 10 < off && auto == off,
        "{on} on, {off} off, {auto} by itself on this machine"
    );
    project
        .dumpdb([
            "--env=dev",
            "--output=out",
            "--wire-compression=on",
            "--yes",
            "-v",
        ])
        .exits(0)
        .says("compressed");

    for (wire, sizes) in [
        ("on", 0..off / 10),
        ("off", off..off + 1),
        ("auto", off..off + 1),
    ] {
        let wire = format!("--wire-compression={wire}");
        let run = project
            .verifydb(["out", "--env=dev", "--exact", "--json", &wire])
            .exits(0);
        let summary = &run.report()["summary"];
        assert_eq!(summary["equal"], 40, "{run}");
        assert!(
            sizes.contains(&summary["wire_bytes"].as_u64().expect("a number")),
            "{run}"
        );
    }

    project
        .verifydb(["out", "--env=dev", "--wire-compression=on", "-v"])
        .exits(0)
        .says(", compressed");
    let arguments = [
        "--env=dev",
        "--source=out",
        "--table=copy",
        "--wire-compression=on",
        "--yes",
        "--json",
        "-v",
    ];

    let run = project.restoredb(arguments).exits(0).says(", compressed");
    let verified = &run.report()["summary"]["verified"];
    assert!(
        verified["wire_bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes < off / 10),
        "{run}"
    );

    assert_eq!(
        items_in_table(&engine.client(), "copy"),
        items_in_table(&engine.client(), "films")
    );
}

#[test]
fn an_endpoint_that_compresses_nothing_is_read_all_the_same() {
    let (engine, _proxy, project) = behind([]);
    project.dumpdb(ON).exits(0);
    assert_eq!(
        items_in_text(&project.text("out/table-data.json")),
        items_in_table(&engine.client(), "films")
    );
}

#[test]
fn damaged_pages_are_requested_again() {
    let faults = [
        Fault::Gzipped(|body| body.truncate(body.len() / 2)),
        Fault::Gzipped(|body| body.truncate(body.len() - 4)),
        Fault::Gzipped(|body| body.push(b'x')),
        Fault::Gzipped(|body| *body = b"not compressed at all".to_vec()),
        Fault::Gzipped(Vec::clear),
        Fault::GzippedWithWrongChecksum,
        Fault::TableThrottled,
        Fault::Status(500),
        Fault::CutInAnswer,
    ];

    let rules: Vec<_> = (1..)
        .zip(&faults)
        .map(|(number, fault)| calls("Scan", number..=number, fault.clone()))
        .collect();
    let (engine, proxy, project) = behind(rules);
    proxy.compresses();
    let run = project.dumpdb(ON.iter().chain(&["-v"])).exits(0);
    assert_eq!(proxy.failures(), faults.len());

    for said in [
        "the compressed response is damaged",
        "x-amz-crc32",
        "ProvisionedThroughputExceededException: The level",
    ] {
        assert!(run.stderr.contains(said), "{said}: {run}");
    }

    assert_eq!(
        items_in_text(&project.text("out/table-data.json")),
        items_in_table(&engine.client(), "films")
    );
}

#[test]
fn what_is_read_back_and_compared_is_checked_as_well() {
    let (engine, proxy, project) = behind([]);
    project
        .dumpdb(["--env=dev", "--output=out", "--yes"])
        .exits(0);
    drop(proxy);
    let faults = [
        Fault::Gzipped(|body| body.truncate(body.len() / 2)),
        Fault::GzippedWithWrongChecksum,
        Fault::TableThrottled,
    ];

    let rules: Vec<_> = (1..)
        .zip(&faults)
        .map(|(number, fault)| calls("Scan", number..=number, fault.clone()))
        .collect();
    let proxy = Proxy::with_rules(&engine, rules.clone());
    proxy.compresses();
    let project = project.environment("dev", proxy.url(), "films");
    let arguments = [
        "--env=dev",
        "--source=out",
        "--table=copy",
        "--wire-compression=on",
        "--yes",
        "--json",
    ];

    let run = project.restoredb(arguments).exits(0);
    assert_eq!(run.report()["summary"]["verified"]["equal"], 40, "{run}");
    assert_eq!(proxy.failures(), faults.len());

    let proxy = Proxy::with_rules(&engine, rules);
    proxy.compresses();
    let project = project.environment("dev", proxy.url(), "copy");
    let run = project
        .verifydb(["out", "--env=dev", "--exact", "--wire-compression=on"])
        .exits(0);
    run.says("equal      40 items");
    assert_eq!(proxy.failures(), faults.len());
}

#[test]
fn a_bomb_ends_the_run() {
    let bomb = |body: &mut Vec<u8>| *body = packed(&vec![b' '; 1 << 20]).repeat(65);
    let (_engine, proxy, project) = behind([always("Scan", Fault::Gzipped(bomb))]);
    let run = project
        .dumpdb(ON.iter().chain(&["--segments=1"]))
        .exits(1)
        .says("the response is longer than");
    assert_eq!(proxy.count("Scan"), 1);
    assert!(run.peak_kib < 160 * 1024, "{} KiB", run.peak_kib);
}

#[test]
fn an_interrupted_dump_resumes_compressed_or_not() {
    let expired = Fault::Refused("ValidationException", "provoked");
    let (engine, proxy, project) = behind([calls("Scan", 3..=usize::MAX, expired)]);
    proxy.compresses();
    project
        .dumpdb(ON.iter().chain(&["--segments=1"]))
        .exits(1)
        .says("ValidationException: provoked");
    proxy.heal();
    let arguments = [
        "--env=dev",
        "--output=out",
        "--wire-compression=off",
        "--segments=1",
        "--resume",
        "--yes",
    ];

    project.dumpdb(arguments).exits(0).says("resumed once");
    assert_eq!(
        items_in_text(&project.text("out/table-data.json")),
        items_in_table(&engine.client(), "films")
    );
}
