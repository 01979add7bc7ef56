//! A dump with far fewer items than DynamoDB reported for the table.

use serde_json::Value;

use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always};
use crate::support::project::{Project, dump_of};

const WARNING: &str = "The dump contains 40 items, but DynamoDB reported about 100,000";

fn with_many_items(answer: &mut Value) {
    answer["Table"]["ItemCount"] = 100_000.into();
}

fn scene() -> (Engine, Proxy, Project) {
    let (engine, _) = dump_of(40);
    let rules = [always("DescribeTable", Fault::Changed(with_many_items))];
    let proxy = Proxy::with_rules(&engine, rules);
    let project = Project::empty().environment("local", proxy.url(), "films");

    (engine, proxy, project)
}

#[test]
fn a_dump_with_far_fewer_items_says_so_and_so_does_whoever_reads_it() {
    let (_engine, _proxy, project) = scene();
    let run = project
        .dumpdb(["--output=out", "--json"])
        .exits(0)
        .says(WARNING);
    let report = run.report();
    let warnings = report["warnings"].as_array().expect("a list");
    assert!(
        warnings
            .iter()
            .any(|warning| warning.as_str().is_some_and(|text| text.contains(WARNING))),
        "{report}"
    );
    assert_eq!(report["summary"]["reported_items"], 100_000);
    assert_eq!(
        project.json("out/table-metadata.json")["reported_items"],
        100_000
    );
    assert!(project.text("out/dump-summary.txt").contains(WARNING));

    project.verifydb(["out"]).exits(0).says(WARNING);
    project
        .verifydb(["out", "--env=local"])
        .exits(0)
        .says(WARNING);
    project
        .restoredb(["--source=out", "--table=copy", "--dry-run"])
        .exits(0)
        .says(WARNING);
}

#[test]
fn a_dump_of_a_part_of_the_table_has_no_warning() {
    let (_engine, _proxy, project) = scene();
    let filter = "--filter-expression=id = :id";
    let values = r#"--expression-attribute-values={":id":{"S":"item-000007"}}"#;
    for (number, part) in [
        &["--limit=7"][..],
        &["--sample=10%"],
        &["--where=true"],
        &[filter, values],
        &["--schema-only"],
    ]
    .into_iter()
    .enumerate()
    {
        let output = format!("--output=part-{number}");
        project
            .dumpdb([output.as_str()].iter().chain(part))
            .exits(0)
            .never_says("The dump contains");
    }
}
