//! Creation and replacement of tables, and merging into existing ones.

use aws_sdk_dynamodb::types::{
    BillingMode, GlobalSecondaryIndex, LocalSecondaryIndex, Projection, ProjectionType,
    ProvisionedThroughput, ScalarAttributeType, TableDescription,
};
use serde_json::Value;

use crate::support::client::{
    Client, Item, attribute, b, n, numbered, partition, s, sort, strings,
};
use crate::support::engine::Engine;
use crate::support::project::Project;

/// A dump in `out` of a table of so many items, and that table.
fn dump_of(items: usize) -> (Engine, Client, String, Project) {
    let engine = Engine::any();
    let table = engine.table("films");
    let client = engine.client();
    client.create_simple(&table);
    client.put(&table, numbered(items));
    let project = Project::on(&engine, &table);
    project.dumpdb(["--output=out"]).exits(0);

    (engine, client, table, project)
}

fn throughput(read: i64, write: i64) -> ProvisionedThroughput {
    let throughput = ProvisionedThroughput::builder()
        .read_capacity_units(read)
        .write_capacity_units(write)
        .build();
    throughput.expect("both units are given")
}

fn projection(kind: ProjectionType, attributes: &[&str]) -> Projection {
    let names =
        (!attributes.is_empty()).then(|| attributes.iter().map(ToString::to_string).collect());
    Projection::builder()
        .projection_type(kind)
        .set_non_key_attributes(names)
        .build()
}

/// What a restore must bring back of a description, without times, ids, ARNs and counts.
fn shape(table: &TableDescription) -> String {
    let units = |throughput: Option<&aws_sdk_dynamodb::types::ProvisionedThroughputDescription>| {
        throughput.map(|units| (units.read_capacity_units(), units.write_capacity_units()))
    };
    let mut attributes: Vec<_> = table
        .attribute_definitions()
        .iter()
        .map(|one| format!("{one:?}"))
        .collect();

    attributes.sort();
    let projection = |projection: Option<&Projection>| {
        projection.map(|projection| {
            let mut names = projection.non_key_attributes().to_vec();
            names.sort();
            (projection.projection_type().cloned(), names)
        })
    };

    let mut indexes: Vec<_> = table
        .global_secondary_indexes()
        .iter()
        .map(|index| {
            let units = units(index.provisioned_throughput());
            format!(
                "{:?} {:?} {:?} {units:?}",
                index.index_name(),
                index.key_schema(),
                projection(index.projection())
            )
        })
        .chain(table.local_secondary_indexes().iter().map(|index| {
            format!(
                "{:?} {:?} {:?}",
                index.index_name(),
                index.key_schema(),
                projection(index.projection())
            )
        }))
        .collect();

    indexes.sort();
    let billing = table
        .billing_mode_summary()
        .and_then(|summary| summary.billing_mode())
        .unwrap_or(&BillingMode::Provisioned);
    format!(
        "{:#?}\n{attributes:#?}\n{billing:?} {:?}\n{indexes:#?}",
        table.key_schema(),
        units(table.provisioned_throughput())
    )
}

#[test]
fn a_missing_table_is_created_with_all_its_indexes_and_capacities() {
    let engine = Engine::any();
    let (table, copy) = (engine.table("films"), engine.table("copy"));
    let client = engine.client();
    client.create(&table, |create| {
        let gsi = |name: &str,
                   hash: &str,
                   range: &str,
                   projection: Projection,
                   units: ProvisionedThroughput| {
            let index = GlobalSecondaryIndex::builder()
                .index_name(name)
                .key_schema(partition(hash))
                .key_schema(sort(range));
            index
                .projection(projection)
                .provisioned_throughput(units)
                .build()
                .expect("name and key are given")
        };

        let by_year = LocalSecondaryIndex::builder()
            .index_name("by-year")
            .key_schema(partition("director"));
        let by_year = by_year
            .key_schema(sort("year"))
            .projection(projection(ProjectionType::All, &[]))
            .build();
        create
            .attribute_definitions(attribute("director", ScalarAttributeType::S))
            .attribute_definitions(attribute("title", ScalarAttributeType::S))
            .attribute_definitions(attribute("year", ScalarAttributeType::N))
            .attribute_definitions(attribute("genre", ScalarAttributeType::S))
            .attribute_definitions(attribute("print", ScalarAttributeType::B))
            .key_schema(partition("director"))
            .key_schema(sort("title"))
            .provisioned_throughput(throughput(7, 5))
            .global_secondary_indexes(gsi(
                "by-genre",
                "genre",
                "year",
                projection(ProjectionType::Include, &["minutes", "rating"]),
                throughput(3, 2),
            ))
            .global_secondary_indexes(gsi(
                "by-print",
                "print",
                "title",
                projection(ProjectionType::KeysOnly, &[]),
                throughput(2, 1),
            ))
            .local_secondary_indexes(by_year.expect("name and key are given"))
    });

    let project = Project::on(&engine, &table);
    project.dumpdb(["--output=out"]).exits(0);
    project
        .restoredb(["--source=out", "--table", &copy])
        .exits(0);
    let there = |table: &str| shape(&client.describe(table).expect("the table is there"));
    assert_eq!(there(&copy), there(&table));
}

#[test]
fn on_demand_stays_on_demand() {
    let (engine, client, table, project) = dump_of(1);
    let copy = engine.table("copy");
    project
        .restoredb(["--source=out", "--table", &copy])
        .exits(0);
    let there = |table: &str| shape(&client.describe(table).expect("the table is there"));
    assert!(there(&copy).contains("PayPerRequest"), "{}", there(&copy));
    assert_eq!(there(&copy), there(&table));
}

#[test]
fn keys_of_every_type_are_recreated() {
    for (partition_type, sort_type) in [
        (ScalarAttributeType::S, None),
        (ScalarAttributeType::N, None),
        (ScalarAttributeType::B, None),
        (ScalarAttributeType::S, Some(ScalarAttributeType::N)),
        (ScalarAttributeType::N, Some(ScalarAttributeType::B)),
        (ScalarAttributeType::B, Some(ScalarAttributeType::S)),
    ] {
        let engine = Engine::any();
        let (table, copy) = (engine.table("keys"), engine.table("copy"));
        let client = engine.client();
        client.create(&table, |create| {
            let create = create
                .billing_mode(BillingMode::PayPerRequest)
                .attribute_definitions(attribute("p", partition_type.clone()))
                .key_schema(partition("p"));
            match &sort_type {
                Some(kind) => create
                    .attribute_definitions(attribute("s", kind.clone()))
                    .key_schema(sort("s")),
                None => create,
            }
        });

        let value = |kind: &ScalarAttributeType, number: u8| match kind {
            ScalarAttributeType::N => n(format!("{}.5", i32::from(number) - 10)),
            ScalarAttributeType::B => b([0, 255, number]),
            _ => s(format!("ü{number}")),
        };

        client.put(
            &table,
            (0..30).map(|number| {
                let sort = sort_type
                    .as_ref()
                    .map(|kind| ("s".to_owned(), value(kind, number)));
                [("p".to_owned(), value(&partition_type, number))]
                    .into_iter()
                    .chain(sort)
                    .collect::<Item>()
            }),
        );

        let project = Project::on(&engine, &table);
        project.dumpdb(["--output=out"]).exits(0);
        project
            .restoredb(["--source=out", "--table", &copy])
            .exits(0);
        assert_eq!(
            client.items(&copy),
            client.items(&table),
            "{partition_type:?} {sort_type:?}"
        );

        assert_eq!(client.items(&copy).len(), 30);
    }
}

#[test]
fn an_index_key_of_several_attributes_is_recreated() {
    let engine = Engine::any();
    if !engine.can().multi_attribute_keys {
        return;
    }

    let (table, copy) = (engine.table("films"), engine.table("copy"));
    let client = engine.client();
    client.create(&table, |create| {
        let index = GlobalSecondaryIndex::builder()
            .index_name("by-place")
            .key_schema(partition("country"))
            .key_schema(partition("town"))
            .key_schema(sort("year"))
            .key_schema(sort("title"))
            .projection(projection(ProjectionType::All, &[]));

        ["id", "country", "town", "title"]
            .into_iter()
            .fold(create, |create, name| {
                create.attribute_definitions(attribute(name, ScalarAttributeType::S))
            })
            .attribute_definitions(attribute("year", ScalarAttributeType::N))
            .billing_mode(BillingMode::PayPerRequest)
            .key_schema(partition("id"))
            .global_secondary_indexes(index.build().expect("name and key are given"))
    });

    let project = Project::on(&engine, &table);
    project.dumpdb(["--output=out"]).exits(0);
    project
        .restoredb(["--source=out", "--table", &copy])
        .exits(0);
    let there = |table: &str| shape(&client.describe(table).expect("the table is there"));
    assert_eq!(there(&copy), there(&table));
}

#[test]
fn items_are_added_to_a_table_that_exists_and_nothing_is_deleted() {
    let (engine, client, table, project) = dump_of(10);
    client.put(
        &table,
        [strings([("id", "item-000003"), ("text", "changed since")])],
    );
    client.put(&table, [strings([("id", "newer"), ("text", "stays")])]);
    let run = project.restoredb(["--source=out"]).exits(0);
    if engine.can().counts_items {
        run.says("overwritten");
    }

    let items = client.items(&table);
    assert_eq!(items.len(), 11);
    assert!(
        items
            .values()
            .all(|item| item["text"] != s("changed since"))
    );
}

#[test]
fn the_name_of_the_target_is_the_flags_then_the_environments_then_the_dumps() {
    let (engine, client, _table, project) = dump_of(2);
    let (flag, file) = (engine.table("by-flag"), engine.table("by-file"));
    let project = project
        .environment("dev", engine.url(), &file)
        .environment_with("test", engine.url(), "");
    project
        .restoredb(["--source=out", "--env=dev", "--yes", "--table", &flag])
        .exits(0);
    assert_eq!(client.items(&flag).len(), 2);
    assert!(client.describe(&file).is_none());
    project
        .restoredb(["--source=out", "--env=dev", "--yes"])
        .exits(0);
    assert_eq!(client.items(&file).len(), 2);
    project
        .restoredb(["--source=out", "--env=test", "--yes", "--dry-run"])
        .exits(0)
        .says("table films");
}

#[test]
fn if_missing_fills_once_and_is_content_ever_after() {
    let (engine, client, _, project) = dump_of(5);
    let copy = engine.table("copy");
    let arguments = ["--source=out", "--table", &copy, "--if-missing", "--yes"];
    project.restoredb(arguments).exits(0);
    client.put(
        &copy,
        [strings([("id", "item-000001"), ("text", "changed since")])],
    );
    let before = client.items(&copy);
    let kept = project
        .restoredb(arguments.iter().chain(&["--json"]))
        .exits(0)
        .report();
    assert_eq!(kept["summary"]["table"], "kept", "{kept:#}");
    assert_eq!(client.items(&copy), before);
}

#[test]
fn a_table_is_not_created_where_that_is_forbidden() {
    let (engine, client, _, project) = dump_of(2);
    let copy = engine.table("copy");
    for flag in ["--no-create", "--data-only"] {
        project
            .restoredb(["--source=out", "--table", &copy, flag])
            .exits(11)
            .says("does not exist");
    }

    assert!(client.describe(&copy).is_none());
}

#[test]
fn replacing_asks_and_then_leaves_nothing_of_the_old_table() {
    let (_engine, client, table, project) = dump_of(4);
    client.put(&table, numbered(50));
    project
        .restoredb(["--source=out", "--replace"])
        .exits(4)
        .says("will be deleted");
    assert_eq!(client.items(&table).len(), 50);
    project
        .restoredb(["--source=out", "--replace", "--yes"])
        .exits(0);
    assert_eq!(client.items(&table).len(), 4);
}

#[test]
fn schema_only_and_items_only() {
    let (engine, client, table, project) = dump_of(6);
    let copy = engine.table("copy");
    project
        .restoredb(["--source=out", "--schema-only", "--table", &copy])
        .exits(0);
    assert_eq!(client.items(&copy).len(), 0);
    project
        .restoredb(["--source=out", "--data-only", "--table", &copy])
        .exits(0);
    assert_eq!(client.items(&copy), client.items(&table));
}

#[test]
fn a_schema_from_elsewhere() {
    let (engine, client, table, project) = dump_of(6);
    let copy = engine.table("copy");
    project.write(
        "items.jsonl",
        "{\"id\":{\"S\":\"a\"}}\n{\"id\":{\"S\":\"b\"}}\n",
    );
    let missing = project
        .restoredb(["--source=items.jsonl", "--table", &copy])
        .exits(13);
    missing
        .says("pass a file with --schema")
        .says("create the table first");
    project
        .restoredb([
            "--source=items.jsonl",
            "--table",
            &copy,
            "--schema=out/table-schema.json",
        ])
        .exits(0);

    assert_eq!(client.items(&copy).len(), 2);
    assert_ne!(copy, table);
}

#[test]
fn a_dry_run_changes_nothing() {
    let (engine, client, _, project) = dump_of(3);
    let copy = engine.table("copy");
    let run = project
        .restoredb(["--source=out", "--table", &copy, "--dry-run", "--json"])
        .exits(0);
    assert_eq!(run.report()["outcome"], "planned");
    assert!(client.describe(&copy).is_none());

    // It shows a plan that would be asked about, too.
    project
        .restoredb(["--source=out", "--dry-run", "--replace"])
        .exits(0)
        .says("will be DELETED");
}

#[test]
fn every_batch_size_writes_everything() {
    let (engine, client, table, project) = dump_of(103);
    for size in ["1", "7", "25"] {
        let copy = engine.table("copy");
        project
            .restoredb(["--source=out", "--table", &copy, "--batch-size", size])
            .exits(0);
        assert_eq!(client.items(&copy), client.items(&table));
        client.delete_if_there(&copy);
    }

    for size in ["0", "26", "x"] {
        project
            .restoredb(["--source=out", "--batch-size", size])
            .exits(2);
    }
}

#[test]
fn the_verification_reports_its_findings() {
    let (engine, _, _, project) = dump_of(9);
    for (mode, wanted) in [("full", "full"), ("none", "none"), ("auto", "full")] {
        let copy = engine.table(&format!("copy-{mode}"));
        let report = project
            .restoredb(["--source=out", "--table", &copy, "--verify", mode, "--json"])
            .exits(0)
            .report();
        let verified = &report["summary"]["verified"];
        assert_eq!(verified["mode"], wanted, "{report:#}");

        if wanted == "full" {
            assert_eq!(
                (&verified["equal"], &verified["missing"]),
                (&Value::from(9), &Value::from(0)),
                "{report:#}"
            );

            assert!(
                verified["consumed_read_units"]
                    .as_f64()
                    .is_some_and(|units| units > 0.0),
                "{report:#}"
            );
        }
    }
}

#[test]
fn far_from_here_nothing_is_read_back_unasked() {
    let (engine, project) = (Engine::embedded(), Project::empty());
    engine.client().create_simple("films");
    let project = project.environment("dev", &engine.distant_url(), "films");
    project.write("items.jsonl", "{\"id\":{\"S\":\"a\"}}\n");
    let run = project
        .restoredb(["--env=dev", "--source=items.jsonl", "--yes", "--json"])
        .exits(0);
    let run = run.says("next verifydb --env=dev --source=items.jsonl");
    project
        .verifydb(["--env=dev", "--source=items.jsonl"])
        .exits(0);
    assert_eq!(run.report()["summary"]["verified"]["mode"], "acknowledged");

    // The table does not hold what the source holds.
    let changing = [
        "--env=dev",
        "--source=items.jsonl",
        "--transform=.n = N(1)",
        "--yes",
    ];

    let run = project
        .restoredb(changing)
        .exits(0)
        .says("items are not read back");
    run.never_says("verified").never_says("ull check");

    // A name that nobody knows is protected there, and not here.
    let project = project
        .environment("qa", &engine.distant_url(), "films")
        .environment("qb", engine.url(), "films");
    project
        .restoredb([
            "--env=qa",
            "--source=items.jsonl",
            "--allow-insecure-endpoint",
        ])
        .exits(4)
        .says("--confirm=films");
    project
        .restoredb(["--env=qb", "--source=items.jsonl"])
        .exits(0);
}

#[test]
fn of_several_versions_of_an_item_the_last_one_wins() {
    let (engine, client, _, project) = dump_of(1);
    let copy = engine.table("copy");
    let line = |n| {
        format!(
            "{{\"id\":{{\"S\":\"item-{}\"}},\"version\":{{\"N\":\"{n}\"}}}}\n",
            n % 7
        )
    };

    project.write(
        "versions.jsonl",
        (0..400).map(line).collect::<Vec<_>>().concat(),
    );
    let arguments = [
        "--source=versions.jsonl",
        "--table",
        &copy,
        "--schema=out/table-schema.json",
        "--json",
    ];

    let report = project.restoredb(arguments).exits(0).report();
    let items = client.items(&copy);
    for number in 393..400 {
        assert_eq!(
            items[&format!("{:?}", s(format!("item-{}", number % 7)))]["version"],
            n(number)
        );
    }

    let summary = &report["summary"];
    let (written, superseded) = (
        summary["items_written"].as_u64(),
        summary["items_superseded"].as_u64(),
    );
    assert_eq!(
        written.zip(superseded).map(|(one, other)| one + other),
        Some(400),
        "{report:#}"
    );
}

#[test]
fn a_damaged_dump_is_refused_before_anything_is_touched() {
    let (engine, client, _, project) = dump_of(8);
    let copy = engine.table("copy");
    let damage = |name: &str, change: &dyn Fn()| {
        project.copy("out", name);
        change();
        project
            .restoredb(["--source", name, "--table", &copy, "--yes"])
            .exits(12);
        assert!(client.describe(&copy).is_none(), "{name}");
    };

    let text = project.text("out/table-data.json");
    damage("flipped", &|| {
        drop(project.write(
            "flipped/table-data.json",
            text.replacen("item 3", "item 4", 1),
        ));
    });

    damage("shorter", &|| {
        drop(project.write("shorter/table-data.json", &text[..text.len() / 2]));
    });
    damage("empty", &|| {
        drop(project.write("empty/table-data.json", ""));
    });
    damage("longer", &|| {
        drop(project.write("longer/table-data.json", format!("{text}\n")));
    });
    damage("no-data", &|| {
        std::fs::remove_file(project.path("no-data/table-data.json")).expect("it was there");
    });
    let schema = project.text("out/table-schema.json");
    damage("schema", &|| {
        drop(project.write(
            "schema/table-schema.json",
            schema.replacen("HASH", "HASCH", 1),
        ));
    });

    let metadata = project.text("out/table-metadata.json");
    damage("metadata", &|| {
        drop(project.write(
            "metadata/table-metadata.json",
            metadata.replacen("\"items\": 8", "\"items\": 7", 1),
        ));
    });

    let newer = metadata.replacen("\"format_version\": 1", "\"format_version\": 2", 1);
    assert_ne!(newer, metadata);
    damage("newer", &|| {
        drop(project.write("newer/table-metadata.json", &newer));
    });
}

#[test]
fn an_unfinished_dump_is_refused_and_none_at_all_is_not_found() {
    let (engine, _, _, project) = dump_of(3);
    let copy = engine.table("copy");
    project.copy("out", "half");
    std::fs::remove_file(project.path("half/table-metadata.json")).expect("it was there");
    std::fs::rename(project.path("half"), project.path("lost.partial"))
        .expect("a folder can be renamed");
    project
        .restoredb(["--source=lost", "--table", &copy])
        .exits(12)
        .says("unfinished");
    project
        .restoredb(["--source=nowhere", "--table", &copy])
        .exits(11)
        .says("does not exist");
    project.write("folder/readme", "no dump");
    project
        .restoredb(["--source=folder", "--table", &copy])
        .exits(11);
    project
        .restoredb(["--table", &copy])
        .exits(11)
        .says("backups/dynamodb/local");
}

#[test]
fn a_partial_dump_is_restored_and_reported_as_partial() {
    let (engine, client, _, project) = dump_of(9);
    let copy = engine.table("copy");
    project.dumpdb(["--output=part", "--limit=4"]).exits(0);
    project
        .restoredb(["--source=part", "--table", &copy])
        .exits(0)
        .says("the dump contains part of the table");
    assert_eq!(client.items(&copy).len(), 4);
}

#[test]
fn a_dump_survives_a_change_of_engine() {
    let (_engine, client, table, project) = dump_of(77);
    let other = Engine::embedded();
    let project = project.environment("dev", other.url(), "elsewhere");
    project
        .restoredb(["--source=out", "--env=dev", "--yes"])
        .exits(0);
    assert_eq!(other.client().items("elsewhere"), client.items(&table));
}
