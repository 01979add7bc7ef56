//! Overrides of the schema: capacity, indexes, tags, keys.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{
    BillingMode, GlobalSecondaryIndex, LocalSecondaryIndex, Projection, ProjectionType,
    ProvisionedThroughput, ProvisionedThroughputDescription, ScalarAttributeType, Tag,
};
use serde_json::{Value, json};

use crate::support::client::{Client, attribute, n, partition, s, sort, strings};
use crate::support::engine::Engine;
use crate::support::faults::Proxy;
use crate::support::project::{Project, Run};
use crate::support::snapshot::assert_output;

fn capacity(read: i64, write: i64) -> ProvisionedThroughput {
    let capacity = ProvisionedThroughput::builder()
        .read_capacity_units(read)
        .write_capacity_units(write)
        .build();
    capacity.expect("both units are given")
}

fn keys_only() -> Projection {
    Projection::builder()
        .projection_type(ProjectionType::KeysOnly)
        .build()
}

/// A table as production has them: much capacity, two GSIs, an LSI, tags.
fn production(client: &Client, table: &str) {
    let global = |name: &str, key: &str, units| {
        let index = GlobalSecondaryIndex::builder()
            .index_name(name)
            .key_schema(partition(key));
        index
            .projection(keys_only())
            .provisioned_throughput(units)
            .build()
            .expect("name and key are given")
    };

    let by_year = LocalSecondaryIndex::builder()
        .index_name("by-year")
        .key_schema(partition("id"));
    let by_year = by_year
        .key_schema(sort("year"))
        .projection(keys_only())
        .build();
    client.create(table, |create| {
        create
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .attribute_definitions(attribute("title", ScalarAttributeType::S))
            .attribute_definitions(attribute("genre", ScalarAttributeType::S))
            .attribute_definitions(attribute("year", ScalarAttributeType::N))
            .key_schema(partition("id"))
            .key_schema(sort("title"))
            .provisioned_throughput(capacity(900, 400))
            .global_secondary_indexes(global("by-genre", "genre", capacity(300, 200)))
            .global_secondary_indexes(global("by-title", "title", capacity(70, 60)))
            .local_secondary_indexes(by_year.expect("name and key are given"))
            .tags(
                Tag::builder()
                    .key("owner")
                    .value("archive")
                    .build()
                    .expect("key and value are given"),
            )
    });

    client.put(
        table,
        (0..6).map(|number| {
            let mut item = strings([
                ("id", &format!("film-{number}")),
                ("title", "untitled"),
                ("genre", "noir"),
            ]);

            item.insert("year".to_owned(), n(1940 + number));

            // Two films have no director.
            if number % 3 != 0 {
                item.insert("director".to_owned(), s(format!("director {number}")));
            }

            item
        }),
    );
}

/// A dump of such a table in `out`, and somewhere to restore it to.
fn dump() -> (Engine, Client, Project) {
    let engine = Engine::any();
    let (client, table) = (engine.client(), engine.table("films"));
    production(&client, &table);
    let project = Project::on(&engine, &table);
    project.dumpdb(["--output=out"]).exits(0);

    (engine, client, project)
}

type Units = (i64, i64);

fn units(throughput: Option<&ProvisionedThroughputDescription>) -> Units {
    let units = throughput.expect("a table has a throughput");
    (
        units.read_capacity_units().unwrap_or(0),
        units.write_capacity_units().unwrap_or(0),
    )
}

/// Capacity of table and GSIs; the table's own has no name.
fn capacities(client: &Client, table: &str) -> BTreeMap<String, Units> {
    let table = client.describe(table).expect("the table is there");
    let indexes = table.global_secondary_indexes().iter();
    let indexes = indexes.map(|index| {
        (
            index.index_name().unwrap_or_default().to_owned(),
            units(index.provisioned_throughput()),
        )
    });

    std::iter::once((String::new(), units(table.provisioned_throughput())))
        .chain(indexes)
        .collect()
}

fn wanted<const N: usize>(capacities: [(&str, Units); N]) -> BTreeMap<String, Units> {
    capacities
        .into_iter()
        .map(|(name, units)| (name.to_owned(), units))
        .collect()
}

/// What `restoredb` asks of `CreateTable` with these flags, without the tag of an unfinished restore.
fn asked_for(flags: &[&str]) -> (Value, Run) {
    let engine = Engine::embedded();
    production(&engine.client(), "films");
    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "copy");
    project.dumpdb(["--output=out"]).exits(0);
    let run = project.restoredb(["--env=dev", "--source=out", "--yes"].iter().chain(flags));
    let create = proxy
        .calls()
        .into_iter()
        .find(|call| call.operation == "CreateTable");
    let mut body = create.map(|call| call.body).unwrap_or_default();
    let fields = body.as_object_mut();
    if let Some(tags) = fields.and_then(|fields| fields.get_mut("Tags")?.as_array_mut()) {
        tags.retain(|tag| tag["Key"] != "dynadump:restoring");
        if tags.is_empty() {
            body.as_object_mut()
                .and_then(|fields| fields.remove("Tags"));
        }
    }

    (body, run)
}

fn index_names(body: &Value, kind: &str) -> Vec<String> {
    let indexes = body[kind].as_array().cloned().unwrap_or_default();
    indexes
        .iter()
        .map(|index| index["IndexName"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn a_production_table_on_a_laptop() {
    let (engine, client, project) = dump();
    let copy = engine.table("copy");
    project
        .restoredb([
            "--source=out",
            "--table",
            &copy,
            "--read-capacity=3",
            "--write-capacity=3",
        ])
        .exits(0);

    assert_eq!(
        capacities(&client, &copy),
        wanted([("", (3, 3)), ("by-genre", (3, 3)), ("by-title", (3, 3))])
    );
}

#[test]
fn one_figure_leaves_the_other_and_an_index_has_its_own() {
    let (engine, client, project) = dump();
    let copy = engine.table("copy");
    let flags = ["--read-capacity=9", "--set=index-capacity=by-title=5:4"];
    project
        .restoredb(["--source=out", "--table", &copy].into_iter().chain(flags))
        .exits(0);
    assert_eq!(
        capacities(&client, &copy),
        wanted([("", (9, 400)), ("by-genre", (9, 200)), ("by-title", (5, 4))])
    );
}

#[test]
fn provisioned_becomes_on_demand_and_back() {
    let (engine, client, project) = dump();
    let (cheap, back) = (engine.table("cheap"), engine.table("back"));
    project
        .restoredb([
            "--source=out",
            "--table",
            &cheap,
            "--billing-mode=on-demand",
        ])
        .exits(0);

    let mode = |table: &str| {
        client
            .describe(table)
            .and_then(|table| table.billing_mode_summary?.billing_mode)
    };

    assert_eq!(mode(&cheap), Some(BillingMode::PayPerRequest));
    project
        .dumpdb(["--output=cheap", "--table", &cheap])
        .exits(0);
    project
        .restoredb([
            "--source=cheap",
            "--table",
            &back,
            "--read-capacity=3",
            "--write-capacity=2",
        ])
        .exits(0);

    assert_ne!(mode(&back), Some(BillingMode::PayPerRequest));
    assert_eq!(
        capacities(&client, &back),
        wanted([("", (3, 2)), ("by-genre", (3, 2)), ("by-title", (3, 2))])
    );
}

#[test]
fn on_demand_with_a_maximum() {
    let flags = [
        "--billing-mode=on-demand",
        "--set=on-demand-max-read=100",
        "--set=on-demand-max-write=50",
    ];

    let (body, run) = asked_for(&flags);
    let run = run.exits(0);
    let maximum = json!({"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": 50});
    assert_eq!(
        (&body["BillingMode"], &body["OnDemandThroughput"]),
        (&json!("PAY_PER_REQUEST"), &maximum),
        "{run}"
    );

    assert_eq!(
        body["GlobalSecondaryIndexes"][0]["OnDemandThroughput"], maximum,
        "{body:#}"
    );
    assert_eq!(body.get("ProvisionedThroughput"), None);
}

#[test]
fn class_key_and_tags() {
    let flags = [
        "--set=table-class=standard-infrequent-access",
        "--set=kms-key=alias/films",
        "--set=tag=owner=me",
        "--set=tag=stage=dev",
    ];

    let (body, run) = asked_for(&flags);
    let run = run.exits(0);
    assert_eq!(body["TableClass"], "STANDARD_INFREQUENT_ACCESS", "{run}");
    assert_eq!(
        body["SSESpecification"]["KMSMasterKeyId"], "alias/films",
        "{run}"
    );
    let tag = |key: &str, value: &str| json!({"Key": key, "Value": value});
    assert_eq!(
        body["Tags"],
        json!([tag("owner", "me"), tag("stage", "dev")])
    );
    let (body, run) = asked_for(&["--no-tags"]);
    drop(run.exits(0));
    assert_eq!(body.get("Tags"), None);
    let (body, run) = asked_for(&["--no-tags", "--set=tag=stage=dev"]);
    drop(run.exits(0));
    assert_eq!(body["Tags"], json!([tag("stage", "dev")]));
}

#[test]
fn indexes_are_dropped_by_name_or_kept_by_name() {
    for (flags, global, local) in [
        (
            &["--drop-index=by-genre"][..],
            &["by-title"][..],
            &["by-year"][..],
        ),
        (&["--drop-index=by-genre,by-year"], &["by-title"], &[]),
        (
            &["--drop-index=by-genre", "--drop-index=by-title"],
            &[],
            &["by-year"],
        ),
        (&["--drop-index=all"], &[], &[]),
        (&["--set=only-index=by-year"], &[], &["by-year"]),
        (&["--set=only-index=by-title"], &["by-title"], &[]),
    ] {
        let (body, run) = asked_for(flags);
        let run = run.exits(0);
        assert_eq!(
            index_names(&body, "GlobalSecondaryIndexes"),
            global,
            "{run}"
        );

        assert_eq!(index_names(&body, "LocalSecondaryIndexes"), local, "{run}");
    }
}

#[test]
fn what_cannot_be_followed_is_refused_before_anything_is_made() {
    for flags in [
        &["--drop-index=by-gendre"][..],
        &["--set=only-index=nothing"],
        &["--set=index-capacity=by-gendre=1:1"],
        &["--billing-mode=on-demand", "--read-capacity=3"],
        &["--key-schema=director:X"],
        &["--key-schema=nowhere"],
        &["--key-schema=a:S,b:S,c:S"],
        &["--key-schema=director:S,director:S"],
    ] {
        let (body, run) = asked_for(flags);
        let run = run.exits(2);
        assert_eq!(body, Value::default(), "{run}");
    }
}

#[test]
fn a_file_of_overrides_which_flags_override() {
    let (engine, client, project) = dump();
    let copy = engine.table("copy");
    project.write(
        "laptop.toml",
        "read-capacity = 3\nwrite-capacity = 3\ndrop-index = [\"by-year\"]\n\n[index-capacity]\nby-title = \"2:1\"\n",
    );
    let flags = ["--schema-overrides=laptop.toml", "--read-capacity=7"];
    project
        .restoredb(["--source=out", "--table", &copy].into_iter().chain(flags))
        .exits(0);
    assert_eq!(
        capacities(&client, &copy),
        wanted([("", (7, 3)), ("by-genre", (7, 3)), ("by-title", (2, 1))])
    );
    assert!(
        client
            .describe(&copy)
            .expect("the table is there")
            .local_secondary_indexes()
            .is_empty()
    );

    project.write(
        "laptop.json",
        r#"{"read-capacity": 4, "write-capacity": 4, "drop-index": "all"}"#,
    );
    let other = engine.table("other");
    project
        .restoredb([
            "--source=out",
            "--table",
            &other,
            "--schema-overrides=laptop.json",
        ])
        .exits(0);

    assert_eq!(capacities(&client, &other), wanted([("", (4, 4))]));
    project.write("typo.json", r#"{"read-capacty": 4}"#);
    project
        .restoredb(["--source=out", "--table=x", "--schema-overrides=typo.json"])
        .exits(2)
        .says("read-capacty");
}

#[test]
fn a_new_key() {
    let (engine, client, project) = dump();
    let copy = engine.table("copy");
    let flags = ["--key-schema=director:S,year:N"];
    let plan = project.restoredb(
        ["--source=out", "--table", &copy, "--dry-run"]
            .into_iter()
            .chain(flags),
    );

    let plan = plan
        .exits(0)
        .says("director (S)")
        .says("year (N)")
        .says("by-year");

    drop(plan);
    let run = project
        .restoredb(["--source=out", "--table", &copy].into_iter().chain(flags))
        .exits(3);
    let run = run.says("2 items rejected");
    let table = client.describe(&copy).expect("the table is there");
    let key: Vec<_> = table
        .key_schema()
        .iter()
        .map(|element| element.attribute_name().to_owned())
        .collect();

    assert_eq!(key, ["director", "year"], "{run}");
    assert!(
        table.local_secondary_indexes().is_empty(),
        "an LSI hangs on the old key"
    );
    assert_eq!(table.global_secondary_indexes().len(), 2);
    assert_eq!(client.items(&copy).len(), 4);
    let rejects = project
        .names(".")
        .into_iter()
        .find(|name| name.ends_with(".rejects.jsonl"))
        .expect("rejects are kept");

    let rejects = project.text(rejects);
    assert_eq!(rejects.lines().count(), 2, "{rejects}");
    assert!(
        rejects.lines().all(|line| line.contains("director")),
        "{rejects}"
    );
}

#[test]
fn the_plan_lists_the_overrides() {
    let engine = Engine::embedded();
    production(&engine.client(), "films");
    let project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);
    let flags = [
        "--key-schema=director:S,year:N",
        "--read-capacity=3",
        "--write-capacity=3",
        "--drop-index=by-genre",
    ];

    let tags = [
        "--no-tags",
        "--set=tag=stage=dev",
        "--set=table-class=standard-infrequent-access",
    ];

    let restore = ["--source=out", "--table=copy", "--dry-run"];
    assert_output(
        "plan-of-a-restore-with-overrides",
        &project.restoredb(restore.into_iter().chain(flags).chain(tags)),
    );
    assert_output(
        "error-unknown-setting",
        &project.restoredb(["--source=out", "--without=streams"]),
    );
    assert_output(
        "error-unknown-index",
        &project.restoredb(restore.into_iter().chain(["--drop-index=by-gendre"])),
    );
    assert_output(
        "error-settings-without-creation",
        &project.restoredb(["--source=out", "--no-create", "--with=kms"]),
    );
}

#[test]
fn ignored_overrides_of_an_existing_table_are_reported() {
    let (engine, client, project) = dump();
    let copy = engine.table("copy");
    project
        .restoredb(["--source=out", "--table", &copy])
        .exits(0);
    let run = project.restoredb(["--source=out", "--table", &copy, "--read-capacity=3"]);
    assert_eq!(capacities(&client, &copy)[""], (900, 400), "{run}");
    run.says("the table exists and keeps its settings");
    let flags = [
        "--read-capacity=3",
        "--write-capacity=3",
        "--apply-settings",
    ];

    project
        .restoredb(["--source=out", "--table", &copy].into_iter().chain(flags))
        .exits(0);

    // Of its indexes not every engine changes the capacity.
    assert_eq!(capacities(&client, &copy)[""], (3, 3));
}
