//! Estimated write units of the table and its indexes, in plans and dry runs.

use aws_sdk_dynamodb::types::{
    GlobalSecondaryIndex, LocalSecondaryIndex, Projection, ProjectionType, ProvisionedThroughput,
    ScalarAttributeType,
};
use serde_json::{Value, json};

use crate::support::client::{Client, Item, attribute, n, partition, s, sort, strings};
use crate::support::engine::Engine;
use crate::support::project::Project;

const ITEMS: u64 = 12;

/// A table of 10 WCU; a GSI of each kind with 2, 3 and 1 WCU; an LSI.
fn create(client: &Client, table: &str) {
    let capacity = |write| {
        let throughput = ProvisionedThroughput::builder()
            .read_capacity_units(5)
            .write_capacity_units(write);
        throughput.build().expect("both figures are given")
    };

    let projection = |kind| Projection::builder().projection_type(kind);
    let global = |name: &str, key: &str, projection, write| {
        let index = GlobalSecondaryIndex::builder()
            .index_name(name)
            .key_schema(partition(key));
        index
            .projection(projection)
            .provisioned_throughput(capacity(write))
            .build()
            .expect("name and key are given")
    };

    let some = projection(ProjectionType::Include)
        .non_key_attributes("title")
        .build();
    let local = LocalSecondaryIndex::builder()
        .index_name("by-year")
        .key_schema(partition("id"));
    let local = local
        .key_schema(sort("year"))
        .projection(projection(ProjectionType::KeysOnly).build())
        .build();
    client.create(table, |create| {
        create
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .attribute_definitions(attribute("no", ScalarAttributeType::N))
            .attribute_definitions(attribute("genre", ScalarAttributeType::S))
            .attribute_definitions(attribute("year", ScalarAttributeType::N))
            .key_schema(partition("id"))
            .key_schema(sort("no"))
            .provisioned_throughput(capacity(10))
            .global_secondary_indexes(global(
                "whole",
                "genre",
                projection(ProjectionType::All).build(),
                2,
            ))
            .global_secondary_indexes(global(
                "keys",
                "genre",
                projection(ProjectionType::KeysOnly).build(),
                3,
            ))
            .global_secondary_indexes(global("some", "year", some, 1))
            .local_secondary_indexes(local.expect("name and key are given"))
    });
}

/// Each of 2,200 to 2,300 bytes, of which `title` has 1,100. Every second has a genre, every third a year.
fn film(number: u64) -> Item {
    let (title, plot) = ("t".repeat(1100), "p".repeat(1100));
    let mut film = strings([
        ("id", &format!("film-{number:02}")),
        ("title", &title),
        ("plot", &plot),
    ]);

    film.insert("no".to_owned(), n(number));

    if number.is_multiple_of(2) {
        film.insert("genre".to_owned(), s("noir"));
    }

    if number.is_multiple_of(3) {
        film.insert("year".to_owned(), n(1940 + number));
    }

    film
}

fn dumped() -> (Engine, Project) {
    let engine = Engine::embedded();
    create(&engine.client(), "films");
    engine.client().put("films", (0..ITEMS).map(film));
    let project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);

    (engine, project)
}

fn of_indexes(cost: &Value) -> Vec<(&str, u64)> {
    let indexes = cost["indexes"].as_array().expect("a list of indexes");
    indexes
        .iter()
        .map(|index| {
            (
                index["name"].as_str().expect("a name"),
                index["write_units"].as_u64().expect("units"),
            )
        })
        .collect()
}

#[test]
fn a_dry_run_counts_each_index_by_what_it_holds() {
    let (_engine, project) = dumped();
    let dry = [
        "--source=out",
        "--table=copy",
        "--dry-run",
        "--json",
        "--transform=.",
    ];

    let run = project.restoredb(dry).exits(0);
    let run = run
        .says("cost")
        .says("72 write units: 36 for the table, 18 for index whole, 6 for index keys");
    let run = run.says("9.00 s, limited by the capacity of index whole: 2 per second");
    let report = run.report();
    assert_eq!(
        report["plan"]["write_cost_at_most"],
        Value::Null,
        "a transform may make any number of items"
    );

    let trial = &report["plan"]["trial"];
    assert_eq!(
        (&trial["table_write_units"], &trial["write_units"]),
        (&json!(36), &json!(72))
    );
    assert_eq!(
        of_indexes(trial),
        [("whole", 18), ("keys", 6), ("some", 8), ("by-year", 4)]
    );
    assert_eq!(
        (&trial["slowest"], &trial["seconds"]),
        (&json!({"part": "index", "name": "whole"}), &json!(9.0))
    );

    // What comes out counts, not what went in.
    let without = ["--transform=drop(\"title\", \"genre\")"];
    let dry = ["--source=out", "--table=copy", "--dry-run", "--json"];
    let report = project
        .restoredb(dry.iter().chain(&without))
        .exits(0)
        .report();
    let trial = &report["plan"]["trial"];
    assert_eq!(trial["table_write_units"], 24);
    assert_eq!(
        of_indexes(trial),
        [("whole", 0), ("keys", 0), ("some", 4), ("by-year", 4)]
    );

    // The embedded engine charges as DynamoDB does: what is told beforehand is what it then takes.
    let real = ["--source=out", "--table=copy", "--json", "--transform=."];
    let report = project.restoredb(real).exits(0).report();
    assert_eq!(report["summary"]["consumed_write_units"], 72.0);
}

#[test]
fn a_plan_bounds_the_cost_without_looking_at_items() {
    let (_engine, project) = dumped();
    let plan = |more: &[&str]| {
        let arguments = ["--source=out", "--dry-run", "--json"];
        let report = project
            .restoredb(arguments.iter().chain(more))
            .exits(0)
            .report();
        report["plan"]["write_cost_at_most"].clone()
    };

    let cost = plan(&["--table=copy"]);
    let table = cost["table_write_units"].as_u64().expect("a bound");
    assert!((36..=48).contains(&table), "{cost}");
    assert_eq!(
        of_indexes(&cost),
        [
            ("whole", table),
            ("keys", table),
            ("some", table),
            ("by-year", table)
        ]
    );

    assert_eq!(cost["write_units"], table * 5);
    assert_eq!(
        cost["slowest"],
        json!({"part": "index", "name": "some"}),
        "the one of 1 WCU"
    );

    assert_eq!(cost["may_overwrite"], false);
    assert_eq!(of_indexes(&plan(&["--table=copy", "--drop-index=all"])), []);
    let capped = plan(&["--table=copy", "--drop-index=all", "--max-wcu=4"]);
    assert_eq!(
        (&capped["slowest"], &capped["write_units_per_second"]),
        (&json!({"part": "cap"}), &json!(4))
    );
    let on_demand = plan(&["--table=copy", "--billing-mode=on-demand"]);
    assert_eq!(
        (&on_demand["slowest"], &on_demand["seconds"]),
        (&Value::Null, &Value::Null)
    );
    let boosted = plan(&["--table=copy", "--boost-write-capacity=500"]);
    assert_eq!(boosted["write_units_per_second"], 500);
    assert_eq!(plan(&[])["may_overwrite"], true, "the table is there");
    assert_eq!(plan(&["--if-missing"]), Value::Null, "nothing is written");
    let told = project
        .restoredb(["--source=out", "--dry-run", "--table=copy"])
        .exits(0);
    told.says("up to")
        .says("write units: ")
        .says(&format!("{table} for index by-year"));
    let bare = project
        .restoredb([
            "--source=out",
            "--dry-run",
            "--table=copy",
            "--drop-index=all",
        ])
        .exits(0);

    bare.says(&format!("cost           up to {table} write units\n"));
}
