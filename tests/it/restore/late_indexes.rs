//! Indexes that are created after the items: some items do not fit them, or an existing table lacks them.

use aws_sdk_dynamodb::types::{
    CreateGlobalSecondaryIndexAction, GlobalSecondaryIndexUpdate, Projection, ProjectionType,
    ProvisionedThroughput, ScalarAttributeType,
};
use serde_json::{Value, json};

use crate::support::client::{Client, Item, attribute, n, partition, poll, s, strings};
use crate::support::engine::Engine;
use crate::support::faults::{Call, Fault, Proxy, Rule, always, calls};
use crate::support::process::spawn_with_messages;
use crate::support::project::Project;

/// Ten items, of which four do not fit an index whose partition key is the string `when`.
fn items() -> Vec<Item> {
    let item = |number: usize| {
        let mut item = strings([("id", &format!("item-{number}"))]);
        match number {
            0..3 => item.insert("when".to_owned(), n(number)),
            3 => item.insert("when".to_owned(), s("")),
            4..8 => item.insert("when".to_owned(), s("2026")),
            _ => None,
        };

        item
    };

    (0..10).map(item).collect()
}

fn units(read: i64, write: i64) -> ProvisionedThroughput {
    let units = ProvisionedThroughput::builder()
        .read_capacity_units(read)
        .write_capacity_units(write)
        .build();
    units.expect("both units are given")
}

/// A provisioned table with the key `id`, without an index.
fn create(client: &Client, table: &str) {
    client.create(table, |table| {
        table
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .key_schema(partition("id"))
            .provisioned_throughput(units(5, 7))
    });
}

/// Adds the index `by-when` to a table, and waits until it is there.
fn add_index(client: &Client, table: &str) {
    let projection = Projection::builder()
        .projection_type(ProjectionType::KeysOnly)
        .build();
    let create = CreateGlobalSecondaryIndexAction::builder()
        .index_name("by-when")
        .key_schema(partition("when"))
        .projection(projection)
        .provisioned_throughput(units(5, 7))
        .build();
    let update = GlobalSecondaryIndexUpdate::builder()
        .create(create.expect("name and key are given"))
        .build();
    client
        .ask(|sdk| {
            sdk.update_table()
                .table_name(table)
                .attribute_definitions(attribute("when", ScalarAttributeType::S))
                .global_secondary_index_updates(update)
                .send()
        })
        .expect("the engine adds indexes");
    client.wait_until_active(table);
}

/// The table `films` with the items and the index that four of them do not fit, and its dump in `out`. The environment `dev` is the
/// table `copy` behind a proxy with `rules`.
fn dumped(rules: impl Into<Vec<Rule>>) -> (Engine, Proxy, Project) {
    let engine = Engine::embedded();
    let client = engine.client();
    create(&client, "films");
    client.put("films", items());
    add_index(&client, "films");

    let proxy = Proxy::with_rules(&engine, rules);
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "copy");
    project.dumpdb(["--output=out"]).exits(0);

    (engine, proxy, project)
}

const RESTORE: [&str; 4] = ["--source=out", "--env=dev", "--yes", "--json"];

fn with<'a>(flags: &'a [&'a str]) -> impl Iterator<Item = &'a &'a str> {
    RESTORE.iter().chain(flags)
}

/// The GSIs of a table with the state of each.
fn indexes(client: &Client, table: &str) -> Vec<(String, String)> {
    let table = client.describe(table).expect("the table is there");
    let indexes = table.global_secondary_indexes().iter();
    let indexes = indexes.map(|index| {
        let status = index.index_status().expect("an index has a status");
        let name = index.index_name().expect("an index has a name");
        (name.to_owned(), status.as_str().to_owned())
    });

    indexes.collect()
}

fn by_when() -> Vec<(String, String)> {
    vec![("by-when".to_owned(), "ACTIVE".to_owned())]
}

/// Positions of the calls that create an index, with their bodies.
fn creations(calls: &[Call]) -> Vec<(usize, Value)> {
    let calls = calls.iter().enumerate();
    let creations = calls.filter(|(_, call)| {
        call.operation == "UpdateTable"
            && call
                .body
                .pointer("/GlobalSecondaryIndexUpdates/0/Create")
                .is_some()
    });

    creations
        .map(|(at, call)| (at, call.body.clone()))
        .collect()
}

fn last(calls: &[Call], operation: &str) -> usize {
    calls
        .iter()
        .rposition(|call| call.operation == operation)
        .unwrap_or_else(|| panic!("no {operation}"))
}

/// The outcomes of the settings in the report, with this result.
fn settings(report: &Value, result: &str) -> Vec<String> {
    let settings = report["summary"]["settings"].as_array().expect("a list");
    let settings = settings.iter().filter(|one| one["result"] == result);
    settings
        .map(|one| one["what"].as_str().expect("a text").to_owned())
        .collect()
}

#[test]
fn with_indexes_after_every_item_and_the_index_are_restored() {
    let (engine, proxy, project) = dumped([]);
    let before = proxy.calls().len();
    let run = project.restoredb(with(&["--indexes-after", "-v"])).exits(0);
    let run = run.says("GSI by-when (after the items)");

    let client = engine.client();
    assert_eq!(client.items("copy"), client.items("films"));
    assert_eq!(indexes(&client, "copy"), by_when());
    assert_eq!(settings(&run.report(), "applied"), ["GSI by-when"]);

    let calls = proxy.calls().split_off(before);
    let create = &calls[last(&calls, "CreateTable")].body;
    assert_eq!(create.get("GlobalSecondaryIndexes"), None);
    assert_eq!(
        create["AttributeDefinitions"],
        json!([{"AttributeName": "id", "AttributeType": "S"}])
    );

    let creations = creations(&calls);
    let [(at, body)] = &creations[..] else {
        panic!("{creations:#?}")
    };
    assert!(last(&calls, "BatchWriteItem") < *at, "{calls:#?}");
    assert_eq!(
        body["AttributeDefinitions"],
        json!([{"AttributeName": "when", "AttributeType": "S"}])
    );
    assert_eq!(
        body["GlobalSecondaryIndexUpdates"][0]["Create"],
        json!({
            "IndexName": "by-when",
            "KeySchema": [{"AttributeName": "when", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 7},
        })
    );
}

#[test]
fn an_index_that_some_items_do_not_fit_is_created_after_them() {
    for flags in [
        &["--format=jsonl", "--compress=zstd"][..],
        &["--segments=4"],
    ] {
        let (engine, proxy, project) = dumped([]);
        project
            .dumpdb(["--output=out"].iter().chain(flags))
            .exits(0);
        let metadata = project.json("out/table-metadata.json");
        assert_eq!(metadata["index_key_violations"], json!({"by-when": 4}));

        let before = proxy.calls().len();
        let run = project.restoredb(with(&[])).exits(0);
        let run = run.says(
            "Index by-when is created after the items: 4 items do not fit its key and will be in the table only.",
        );
        assert_eq!(settings(&run.report(), "applied"), ["GSI by-when"]);

        let client = engine.client();
        assert_eq!(client.items("copy"), client.items("films"));
        assert_eq!(indexes(&client, "copy"), by_when());
        assert_eq!(creations(&proxy.calls()[before..]).len(), 1);

        // The table exists, with the index: it refuses these items.
        let run = project.restoredb(with(&[])).exits(3);
        let run = run
            .says("4 items do not fit the key of index by-when and will be rejected.")
            .says("index by-when refused 4 items")
            .says("--indexes-after");
        assert_eq!(
            run.report()["summary"]["rejected_by_index"],
            json!({"by-when": 4})
        );

        // A new table takes them.
        project.restoredb(with(&["--replace"])).exits(0);
        assert_eq!(client.items("copy"), client.items("films"));
    }
}

/// Removes the record of violations from the dump `out`, which older versions did not write.
fn forget_violations(project: &Project) {
    project.change_metadata("out", |metadata| {
        let fields = metadata.as_object_mut().expect("an object");
        assert!(fields.remove("index_key_violations").is_some());
    });
}

#[test]
fn the_items_of_a_source_without_that_record_are_counted_before_the_restore() {
    let schema = "--schema=out/table-schema.json";
    for flags in [&["--source=items.json", schema][..], &["--source=out"]] {
        for table in ["", "--replace"] {
            let (engine, proxy, project) = dumped([]);
            let client = engine.client();
            project.write("items.json", project.text("out/table-data.json"));
            forget_violations(&project);
            if !table.is_empty() {
                create(&client, "copy");
            }

            let before = proxy.calls().len();
            let shared = ["--env=dev", "--yes", "--json"];
            let existing = (!table.is_empty()).then_some(&table);
            let arguments = shared.iter().chain(flags).chain(existing);
            let plan = project.restoredb(arguments.clone().chain(&["--dry-run"]));
            assert_eq!(
                plan.report()["plan"]["source"]["index_violations"],
                json!({"by-when": 4})
            );

            let run = project.restoredb(arguments).exits(0);
            let run =
                run.says("Index by-when is created after the items: 4 items do not fit its key");
            assert_eq!(settings(&run.report(), "applied"), ["GSI by-when"]);

            assert_eq!(client.items("copy"), client.items("films"));
            assert_eq!(indexes(&client, "copy"), by_when());
            let created = creations(&proxy.calls()[before..]);
            assert_eq!(created.len(), 1, "{created:#?}");

            // The table has the index now, and refuses these items.
            let arguments = shared.iter().chain(flags);
            let run = project.restoredb(arguments).exits(3);
            run.says("4 items do not fit the key of index by-when and will be rejected.")
                .says("delete the index and pass --apply-settings");
        }
    }
}

#[test]
fn a_restore_that_starts_over_in_its_own_table_with_the_index_says_how_to_restore_all_items() {
    // From standard input, the table is created with the index before the items are known.
    let refused = Fault::Refused("AccessDeniedException", "not now");
    let (engine, proxy, project) = dumped([calls("BatchWriteItem", 1..=1, refused)]);
    let client = engine.client();
    let schema = "--schema=out/table-schema.json";
    let items = project.text("out/table-data.json");
    let arguments = ["--source=-", "--env=dev", "--yes", schema];
    project
        .restoredb_from(items.as_bytes(), arguments)
        .exits(10);
    assert_eq!(indexes(&client, "copy"), by_when());

    let before = proxy.calls().len();
    let run = project.restoredb(with(&[])).exits(3);
    run.says("4 items do not fit the key of index by-when and will be rejected.")
        .says("pass --replace: the index will be created after the items.");
    assert!(creations(&proxy.calls()[before..]).is_empty());

    project.restoredb(with(&["--replace"])).exits(0);
    assert_eq!(client.items("copy"), client.items("films"));
    assert_eq!(indexes(&client, "copy"), by_when());
}

#[test]
fn the_items_of_a_dump_that_is_transformed_or_limited_are_counted() {
    let (_engine, _proxy, project) = dumped([]);
    project
        .dumpdb([
            "--output=changed",
            "--transform=if .when == S(\"2026\") then .when = N(2026) else . end",
        ])
        .exits(0);
    let metadata = project.json("changed/table-metadata.json");
    assert_eq!(metadata["index_key_violations"], json!({"by-when": 8}));

    project.dumpdb(["--output=few", "--limit=5"]).exits(0);
    let few = project.json("few/table-data.json");
    let is_violation = |item: &&Value| {
        let when = item.get("when");
        when.is_some_and(|when| when.get("S").is_none_or(|text| text == ""))
    };
    let violations = few["Items"].as_array().expect("a list");
    let violations = violations.iter().filter(is_violation).count();
    let metadata = project.json("few/table-metadata.json");
    assert_eq!(
        metadata["index_key_violations"],
        json!({"by-when": violations})
    );
}

#[test]
fn items_from_standard_input_that_an_index_refuses_are_named_with_what_to_do() {
    let (engine, _proxy, project) = dumped([]);
    let client = engine.client();
    let items = project.text("out/table-data.json");
    let schema = "--schema=out/table-schema.json";
    let arguments = ["--source=-", "--env=dev", "--yes", "--json", schema];
    let run = project.restoredb_from(items.as_bytes(), arguments).exits(3);
    let run = run
        .says("index by-when refused 4 items")
        .says("--indexes-after");
    assert_eq!(run.report()["summary"]["items_rejected"], 4);
    assert_eq!(client.items("copy").len(), 6);

    let again = arguments.iter().chain(&["--replace", "--indexes-after"]);
    project.restoredb_from(items.as_bytes(), again).exits(0);
    assert_eq!(client.items("copy"), client.items("films"));
    assert_eq!(indexes(&client, "copy"), by_when());
}

#[test]
fn an_existing_table_gets_the_index_that_it_lacks_with_apply_settings() {
    let (engine, _proxy, project) = dumped([]);
    let client = engine.client();
    create(&client, "copy");

    // Without the flag, the index is a difference.
    let run = project.restoredb(with(&[])).exits(0);
    run.says("GSI by-when, dump: when (S), projection KEYS_ONLY, 5 RCU / 7 WCU / table: missing");
    assert_eq!(indexes(&client, "copy"), []);

    let run = project
        .restoredb(with(&["--apply-settings", "-v"]))
        .exits(0);
    let run = run
        .says("GSI by-when (after the items)")
        .never_says("table: missing");
    assert_eq!(settings(&run.report(), "applied"), ["GSI by-when"]);
    assert_eq!(indexes(&client, "copy"), by_when());
    assert_eq!(client.items("copy"), client.items("films"));

    // It has the index now.
    let run = project
        .restoredb(with(&["--apply-settings", "--schema-only"]))
        .exits(0);
    assert_eq!(settings(&run.report(), "applied"), [""; 0]);
}

#[test]
fn an_index_that_cannot_be_created_is_named() {
    let refused = Fault::Refused(
        "LimitExceededException",
        "Subscriber limit exceeded: only 20 indexes",
    );
    let (engine, _proxy, project) = dumped([always("UpdateTable", refused)]);
    let run = project
        .restoredb(with(&["--indexes-after", "--give-up-after=1s"]))
        .exits(3);
    let run = run
        .says("GSI by-when was not applied")
        .says("only 20 indexes");
    assert_eq!(settings(&run.report(), "failed"), ["GSI by-when"]);
    assert_eq!(engine.client().items("copy").len(), 10);
}

/// Kills a restore when it `is_there`.
fn killed(project: &Project, is_there: impl FnMut() -> bool) {
    let command = project.command(
        "restoredb",
        with(&["--indexes-after", "--batch-size=1", "--concurrency=1"]),
    );
    let mut child = spawn_with_messages(command);
    poll("it is there", is_there);
    child.kill().expect("it runs");
    child.wait().expect("a child can be waited for");
}

#[test]
fn a_resumed_restore_creates_the_index_after_the_remaining_items() {
    for (operation, done) in [("BatchWriteItem", 3), ("UpdateTable", 0)] {
        let lost = calls(operation, done + 1..=done + 1, Fault::SilentReporter);
        let (engine, proxy, project) = dumped([lost]);
        let client = engine.client();
        killed(&project, || proxy.seen(operation) > done);
        assert_eq!(indexes(&client, "copy"), [], "{operation}");

        // Without the flag: the table exists, and it lacks the index.
        let before = proxy.calls().len();
        let run = project.restoredb(with(&["--resume"])).exits(0);
        let report = run.report();
        assert_eq!(settings(&report, "applied"), ["GSI by-when"], "{run}");
        assert_eq!(report["summary"]["items_written"], 10, "{run}");
        assert_eq!(indexes(&client, "copy"), by_when(), "{run}");
        assert_eq!(client.items("copy"), client.items("films"), "{run}");

        let calls = proxy.calls().split_off(before);
        let (at, _) = creations(&calls)[0];
        let writes = calls
            .iter()
            .rposition(|call| call.operation == "BatchWriteItem");
        assert!(writes.is_none_or(|write| write < at), "{calls:#?}");
        assert_eq!(writes.is_some(), operation == "BatchWriteItem");
    }
}

#[test]
fn a_restore_that_is_killed_while_the_index_is_filled_waits_for_it_when_it_is_resumed() {
    let (engine, _proxy, project) = dumped([calls("UpdateTable", 1..=1, Fault::Stalled)]);
    let client = engine.client();
    killed(&project, || {
        client
            .describe("copy")
            .is_some_and(|table| !table.global_secondary_indexes().is_empty())
    });

    let run = project.restoredb(with(&["--resume"])).exits(0);
    assert_eq!(run.report()["summary"]["items_written"], 10, "{run}");
    assert_eq!(indexes(&client, "copy"), by_when(), "{run}");
    assert_eq!(client.items("copy"), client.items("films"));
}

#[test]
fn a_schema_without_items_is_created_with_its_indexes() {
    let (engine, proxy, project) = dumped([]);
    let before = proxy.calls().len();
    project.restoredb(with(&["--schema-only"])).exits(0);
    let calls = proxy.calls().split_off(before);
    assert!(creations(&calls).is_empty(), "{calls:#?}");
    assert_eq!(indexes(&engine.client(), "copy"), by_when());
}

/// The engine takes the capacity of an index and does not keep it. Here an index has as much as its table.
fn with_index_capacity(answer: &mut Value) {
    if let Some(table) = answer.get_mut("Table") {
        let units = table["ProvisionedThroughput"].clone();
        if let Some(index) = table.pointer_mut("/GlobalSecondaryIndexes/0") {
            index["ProvisionedThroughput"] = units;
        }
    }
}

#[test]
fn an_index_is_filled_with_the_boosted_capacity() {
    for (flag, during) in [
        (
            "--boost-write-capacity=1000",
            json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": 1000}),
        ),
        ("--boost-write-capacity=on-demand", Value::Null),
    ] {
        for exists in [false, true] {
            let described = Fault::Changed(with_index_capacity);
            let (engine, proxy, project) = dumped([always("DescribeTable", described)]);
            if exists {
                create(&engine.client(), "copy");
            }

            let before = proxy.calls().len();
            let later = if exists {
                "--apply-settings"
            } else {
                "--indexes-after"
            };
            let run = project.restoredb(with(&[flag, later])).exits(0);
            assert_eq!(settings(&run.report(), "applied"), ["GSI by-when"]);

            let calls = proxy.calls().split_off(before);
            let creations = creations(&calls);
            let [(at, body)] = &creations[..] else {
                panic!("{creations:#?}")
            };
            let create = &body["GlobalSecondaryIndexUpdates"][0]["Create"];
            assert_eq!(create["ProvisionedThroughput"], during, "{flag} {exists}");
            let revert = last(&calls, "UpdateTable");
            assert!(*at < revert, "{calls:#?}");
            assert_eq!(
                calls[revert].body["GlobalSecondaryIndexUpdates"],
                json!([{"Update": {
                    "IndexName": "by-when",
                    "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 7},
                }}]),
                "{flag} {exists}"
            );
        }
    }
}
