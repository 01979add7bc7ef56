//! `verifydb --schema-only`: one line per difference on standard output, no prompts, no changes.

use aws_sdk_dynamodb::types::{
    BillingMode, GlobalSecondaryIndex, Projection, ProjectionType, ProvisionedThroughput,
    ScalarAttributeType, StreamSpecification, StreamViewType, Tag, TimeToLiveSpecification,
};
use serde_json::json;

use crate::support::client::{Client, attribute, numbered, partition, sort};
use crate::support::engine::Engine;
use crate::support::faults::{Fault, Proxy, always};
use crate::support::project::{Project, Run};

const DIFF: [&str; 2] = ["--source=out", "--schema-only"];

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder()
        .key(key)
        .value(value)
        .build()
        .expect("key and value are given")
}

/// An on-demand table with tags, a stream and TTL.
fn create_films(client: &Client, table: &str) {
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewImage);
    client.create(table, |create| {
        create
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .key_schema(partition("id"))
            .stream_specification(stream.build().expect("the switch is given"))
            .tags(tag("owner", "archive"))
    });

    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expires")
        .build();
    let ttl = ttl.expect("switch and attribute are given");
    client
        .ask(|sdk| {
            sdk.update_time_to_live()
                .table_name(table)
                .time_to_live_specification(ttl)
                .send()
        })
        .expect("the engine has TTL");
}

/// A provisioned table with an index, other tags, and neither stream nor TTL.
fn create_other(client: &Client, table: &str) {
    let units = ProvisionedThroughput::builder()
        .read_capacity_units(5)
        .write_capacity_units(7)
        .build();
    let units = units.expect("both units are given");
    let projection = Projection::builder()
        .projection_type(ProjectionType::All)
        .build();
    let by_genre = GlobalSecondaryIndex::builder()
        .index_name("by-genre")
        .key_schema(partition("genre"));
    let by_genre = by_genre
        .projection(projection)
        .provisioned_throughput(units.clone())
        .build();
    client.create(table, |create| {
        create
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .attribute_definitions(attribute("genre", ScalarAttributeType::S))
            .key_schema(partition("id"))
            .provisioned_throughput(units)
            .global_secondary_indexes(by_genre.expect("name and key are given"))
            .tags(tag("owner", "nobody"))
    });
}

/// The dump of `films` in `out`; `other` is beside it.
fn dumped() -> (Engine, Project) {
    let engine = Engine::embedded();
    let client = engine.client();
    create_films(&client, "films");
    client.put("films", numbered(3));
    create_other(&client, "other");
    let project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);

    (engine, project)
}

fn lines(run: &Run) -> Vec<String> {
    run.output().lines().map(ToOwned::to_owned).collect()
}

#[test]
fn a_table_like_its_dump_differs_in_nothing() {
    let (_engine, project) = dumped();
    let run = project
        .verifydb(DIFF.iter().chain(&["--env=local"]))
        .exits(0)
        .says("table films of environment local matches the schema of")
        .says("out");

    assert_eq!(run.output(), "");
    let report = project
        .verifydb(DIFF.iter().chain(&["--env=local", "--json"]))
        .exits(0)
        .report();
    assert_eq!(
        (&report["outcome"], &report["summary"]["differences"]),
        (&json!("done"), &json!([]))
    );
}

#[test]
fn each_setting_that_differs_is_a_line() {
    let (_engine, project) = dumped();
    let run = project
        .verifydb(DIFF.iter().chain(&["--table=other"]))
        .exits(3);
    let mut found = lines(&run);
    found.sort();
    assert_eq!(
        found,
        [
            "GSI by-genre: dump none / table genre (S), projection ALL, 5 RCU / 7 WCU",
            "TTL: dump on attribute expires / table off",
            "billing: dump on-demand / table provisioned 5 RCU / 7 WCU",
            "stream: dump NEW_IMAGE / table off",
            "tags: dump owner=archive / table owner=nobody",
        ]
    );

    drop(
        run.says("table other of environment local differs from the schema of")
            .says("out in 5 settings"),
    );
    let report = project
        .verifydb(DIFF.iter().chain(&["--table=other", "--json"]))
        .exits(3)
        .report();
    let differences = report["summary"]["differences"]
        .as_array()
        .expect("a list")
        .clone();
    assert_eq!(differences.len(), 5, "{report:#}");
    let ttl = json!({"setting": "TTL", "dump": "on attribute expires", "table": "off"});
    assert!(differences.contains(&ttl), "{report:#}");
}

#[test]
fn another_key_is_a_difference() {
    let (engine, project) = dumped();
    engine.client().create("by-maker", |create| {
        create
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute("maker", ScalarAttributeType::S))
            .attribute_definitions(attribute("year", ScalarAttributeType::N))
            .key_schema(partition("maker"))
            .key_schema(sort("year"))
    });

    let run = project
        .verifydb(DIFF.iter().chain(&["--table=by-maker"]))
        .exits(3);
    assert_eq!(
        lines(&run)[..2],
        [
            "partition key: dump id (S) / table maker (S)",
            "sort key: dump none / table year (N)"
        ]
    );
}

#[test]
fn overrides_are_part_of_what_is_compared() {
    let (_engine, project) = dumped();
    let flags = [
        "--table=other",
        "--read-capacity=5",
        "--write-capacity=7",
        "--set=tag=owner=nobody",
    ];

    let run = project.verifydb(DIFF.iter().chain(&flags)).exits(3);
    assert!(
        lines(&run)
            .iter()
            .all(|line| !line.starts_with("billing") && !line.starts_with("tags")),
        "{run}"
    );

    project
        .dumpdb(["--output=of-other", "--table=other"])
        .exits(0);
    let flags = ["--table=other", "--schema=of-other/table-schema.json"];
    assert_eq!(
        project
            .verifydb(DIFF.iter().chain(&flags))
            .exits(0)
            .output(),
        ""
    );
}

#[test]
fn nothing_is_asked_and_nothing_is_changed() {
    let (engine, project) = dumped();
    let proxy = Proxy::with_rules(&engine, []);
    let project = project.environment("prod", proxy.url(), "other");
    drop(
        project
            .verifydb(DIFF.iter().chain(&["--env=prod"]))
            .exits(3),
    );

    let changing = [
        "Create", "Update", "Delete", "Put", "Batch", "Tag", "Scan", "Register",
    ];
    let log = proxy.calls();
    assert!(
        !log.is_empty()
            && !log
                .iter()
                .any(|call| changing.iter().any(|word| call.operation.starts_with(word)))
    );
}

#[test]
fn what_cannot_be_compared_is_named() {
    let (engine, project) = dumped();
    let denied = Fault::Refused("AccessDeniedException", "User: eve is not authorized");
    let proxy = Proxy::with_rules(&engine, [always("ListTagsOfResource", denied)]);
    let project = project.environment("dev", proxy.url(), "films");
    let run = project.verifydb(DIFF.iter().chain(&["--env=dev"])).exits(0);
    run.says("[WARNING] Not compared:")
        .says("tags: not reported by the table: AccessDeniedException");
}

#[test]
fn missing_and_incomplete_dumps_have_their_own_exit_codes() {
    let (_engine, project) = dumped();
    project
        .verifydb(DIFF.iter().chain(&["--table=filme"]))
        .exits(11)
        .says("does not exist")
        .says("films");

    drop(
        project
            .verifydb(["--source=nowhere", "--env=local", "--schema-only"])
            .exits(11),
    );

    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
    project
        .verifydb(["--source=items.jsonl", "--env=local", "--schema-only"])
        .exits(13)
        .says("no schema to compare");
    let schema = project
        .text("out/table-schema.json")
        .replace("\"id\"", "\"ie\"");
    project.write("out/table-schema.json", schema);
    drop(
        project
            .verifydb(DIFF.iter().chain(&["--env=local"]))
            .exits(12),
    );
}

#[test]
fn overrides_need_a_dump_and_a_comparison_of_schemas() {
    let (_engine, project) = dumped();
    for arguments in [
        &["--source=out", "--env=local", "--read-capacity=3"][..],
        &["--source=out", "--set=tag=a=b"],
        &[
            "--table=films",
            "--against-table=other",
            "--schema-only",
            "--no-tags",
        ],
    ] {
        project
            .verifydb(arguments)
            .exits(2)
            .says("schema overrides only apply to");
    }

    project
        .verifydb(DIFF.iter().chain(&["--env=local", "--set=colour=red"]))
        .exits(2)
        .says("--set colour=red: not an override");
    project
        .verifydb(["--source=out", "--env=local", "--schema=x.json"])
        .exits(2)
        .says("--schema-only");
}
