//! Tables that another process creates, deletes or changes during a restore: a restore does not touch tables that are not its own,
//! and reports what it has changed.

use std::process::{Child, Output, Stdio};

use aws_sdk_dynamodb::types::{ScalarAttributeType, StreamSpecification, StreamViewType};
use serde_json::{Value, json};

use crate::support::client::{Client, attribute, numbered, partition, poll, s};
use crate::support::engine::Engine;
use crate::support::faults::{Call, Fault, Proxy, Rule, always, calls};
use crate::support::project::Project;

/// Restores `out` into the table behind the proxy.
const RESTORE: [&str; 3] = ["--source=out", "--env=dev", "--yes"];

/// Calls that change a table's settings.
const CHANGES: [&str; 3] = ["UpdateTable", "UpdateTimeToLive", "TagResource"];

/// An engine whose table `films` has a stream, and its dump in `out`. The environment `dev` is the table `copy` behind a proxy
/// with `rules`.
fn dumped(rules: impl Into<Vec<Rule>>) -> (Engine, Proxy, Project) {
    let engine = Engine::embedded();
    engine.client().create("films", |create| {
        let stream = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::NewImage);
        create
            .billing_mode(aws_sdk_dynamodb::types::BillingMode::PayPerRequest)
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .key_schema(partition("id"))
            .stream_specification(stream.build().expect("the switch is given"))
    });

    engine.client().put("films", numbered(60));
    let proxy = Proxy::with_rules(&engine, rules);
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "copy");
    project.dumpdb(["--output=out"]).exits(0);

    (engine, proxy, project)
}

fn changes(calls: &[Call]) -> Vec<&Call> {
    calls
        .iter()
        .filter(|call| CHANGES.contains(&call.operation.as_str()))
        .collect()
}

#[test]
fn a_table_made_by_others_after_a_refused_creation_keeps_its_settings() {
    let denied = "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: dynamodb:CreateTable";
    let (engine, proxy, project) = dumped([always(
        "CreateTable",
        Fault::Refused("AccessDeniedException", denied),
    )]);
    project.restoredb(RESTORE).exits(10);
    engine.client().create_simple("copy");

    // It was never this restore's: there is nothing to finish in it.
    project
        .restoredb(RESTORE.iter().chain(&["--if-missing"]))
        .exits(0);
    assert_eq!(proxy.count("BatchWriteItem"), 0);
    let run = project
        .restoredb(RESTORE)
        .exits(0)
        .never_says("did not end");
    assert!(changes(&proxy.calls()).is_empty(), "{run}");
    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
}

#[test]
fn a_table_recreated_by_others_after_an_interrupted_restore_keeps_its_settings() {
    let (engine, proxy, project) = dumped([calls(
        "BatchWriteItem",
        2..=usize::MAX,
        Fault::TableThrottled,
    )]);

    project
        .restoredb(
            RESTORE
                .iter()
                .chain(&["--batch-size=10", "--give-up-after=1s"]),
        )
        .exits(1);

    proxy.heal();
    let client = engine.client();
    client.delete_if_there("copy");
    poll("the table is gone", || client.describe("copy").is_none());
    client.create_simple("copy");
    let before = proxy.count("BatchWriteItem");
    project
        .restoredb(RESTORE.iter().chain(&["--if-missing"]))
        .exits(0);
    assert_eq!(
        proxy.count("BatchWriteItem"),
        before,
        "a table of others is there, and is kept"
    );

    let run = project.restoredb(RESTORE).exits(0);
    assert!(changes(&proxy.calls()).is_empty(), "{run}");
    assert_eq!(client.items("copy"), client.items("films"));
}

#[test]
fn the_table_of_an_interrupted_restore_gets_its_settings_from_the_next() {
    let (engine, proxy, project) = dumped([calls(
        "BatchWriteItem",
        2..=usize::MAX,
        Fault::TableThrottled,
    )]);

    project
        .restoredb(
            RESTORE
                .iter()
                .chain(&["--batch-size=10", "--give-up-after=1s"]),
        )
        .exits(1);

    // Once more in vain: it is the restore's own all the same.
    project
        .restoredb(
            RESTORE
                .iter()
                .chain(&["--batch-size=10", "--give-up-after=1s"]),
        )
        .exits(1);

    proxy.heal();
    project.restoredb(RESTORE).exits(0);
    let found = changes(&proxy.calls()).len();
    assert_eq!(found, 1, "the stream is switched on after the items");
    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
}

#[test]
fn a_replaced_table_that_cannot_be_recreated_is_reported_as_deleted() {
    let (engine, proxy, project) = dumped([
        calls(
            "CreateTable",
            1..=1,
            Fault::Refused(
                "LimitExceededException",
                "Only 500 tables can be created, updated, or deleted simultaneously",
            ),
        ),
        always(
            "CreateTable",
            Fault::Refused(
                "ValidationException",
                "One or more parameter values were invalid",
            ),
        ),
    ]);

    engine.client().create_simple("copy");
    let run = project
        .restoredb(RESTORE.iter().chain(&["--replace"]))
        .exits(1);
    assert!(engine.client().describe("copy").is_none(), "{run}");
    run.says("table copy was deleted")
        .says("One or more parameter values were invalid");
    proxy.heal();
    project
        .restoredb(RESTORE.iter().chain(&["--replace"]))
        .exits(0);
    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
}

fn keyed_by_id(answer: &mut Value) {
    let text = answer.to_string().replace(r#""genre""#, r#""id""#);
    *answer = serde_json::from_str(&text).expect("a name took the place of another");
}

#[test]
fn a_table_whose_key_is_another_by_now_gets_no_item() {
    let (engine, proxy, project) =
        dumped([calls("DescribeTable", 1..=1, Fault::Changed(keyed_by_id))]);
    let client = engine.client();
    client.put(
        "films",
        numbered(60).into_iter().map(|mut item| {
            item.insert("genre".to_owned(), s("drama"));
            item
        }),
    );

    project.dumpdb(["--output=out"]).exits(0);
    client.create("copy", |create| {
        create
            .billing_mode(aws_sdk_dynamodb::types::BillingMode::PayPerRequest)
            .attribute_definitions(attribute("genre", ScalarAttributeType::S))
            .key_schema(partition("genre"))
    });

    let run = project.restoredb(RESTORE.iter().chain(&["--verify=none"]));
    assert_eq!(proxy.count("BatchWriteItem"), 0, "{run}");
    run.exits(13).says("another key");
}

fn inaccessible(answer: &mut Value) {
    if let Some(table) = answer.get_mut("Table") {
        table["TableStatus"] = "INACCESSIBLE_ENCRYPTION_CREDENTIALS".into();
    }
}

#[test]
fn a_table_that_will_not_become_active_by_itself_is_not_waited_for() {
    let (engine, proxy, project) = dumped([always("DescribeTable", Fault::Changed(inaccessible))]);
    engine.client().create_simple("copy");
    let run = project.restoredb(RESTORE).exits(1);
    run.says("INACCESSIBLE_ENCRYPTION_CREDENTIALS");
    assert_eq!(proxy.count("BatchWriteItem"), 0);
}

#[test]
fn a_table_that_may_not_be_deleted_keeps_its_settings_afterwards() {
    let denied = "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: dynamodb:DeleteTable";
    let (engine, proxy, project) = dumped([always(
        "DeleteTable",
        Fault::Refused("AccessDeniedException", denied),
    )]);
    engine.client().create_simple("copy");
    project
        .restoredb(RESTORE.iter().chain(&["--replace"]))
        .exits(10);
    let run = project
        .restoredb(RESTORE)
        .exits(0)
        .never_says("did not end");
    assert!(changes(&proxy.calls()).is_empty(), "{run}");
}

/// AWS would say so when the old table is gone.
#[test]
fn a_schema_that_no_table_can_have_does_not_cost_the_table_that_is_there() {
    let (engine, proxy, project) = dumped([]);
    engine.client().create_simple("copy");
    let index = |name: &str, key: &str| {
        let key = json!([{"AttributeName": key, "KeyType": "HASH"}]);
        json!({"IndexName": name, "KeySchema": key, "Projection": {"ProjectionType": "ALL"}})
    };
    let schema = |indexes: Value, units: u64| {
        let throughput = json!({"ReadCapacityUnits": units, "WriteCapacityUnits": 1});
        let types = ["id", ""].map(|name| json!({"AttributeName": name, "AttributeType": "S"}));
        json!({"TableName": "films", "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": types, "GlobalSecondaryIndexes": indexes, "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": throughput})
    };

    for (schema, reason) in [
        (
            schema(json!([index("by-id", "id"), index("by-id", "id")]), 1),
            "two indexes are named `by-id`",
        ),
        (
            schema(json!([index("no", "id")]), 1),
            "`no` is not a valid index name",
        ),
        (
            schema(json!([index("by-nothing", "")]), 1),
            "key attribute has 0 bytes",
        ),
        (
            schema(json!([]), 1 << 63),
            "capacity of 9223372036854775808 units",
        ),
    ] {
        project.write("schema.json", schema.to_string());
        let run = project.restoredb(RESTORE.iter().chain(&["--replace", "--schema=schema.json"]));
        run.exits(13).says(reason).says("was not changed");
        assert_eq!(proxy.count("DeleteTable"), 0, "{reason}");
    }
}

#[test]
fn a_dry_run_and_a_comparison_only_look() {
    let (engine, proxy, project) = dumped([]);
    let reads = ["Describe", "List", "Get"];
    let looks = |flags: &[&str]| {
        let before = proxy.calls().len();
        let run = project.restoredb(["--source=out", "--env=dev"].iter().chain(flags));
        let made = proxy.calls().split_off(before);
        let writes = made
            .iter()
            .filter(|call| !reads.iter().any(|read| call.operation.starts_with(read)));
        assert_eq!(
            writes.map(|call| &call.operation).collect::<Vec<_>>(),
            Vec::<&String>::new(),
            "{run}"
        );

        run
    };

    looks(&["--dry-run"]).exits(0);
    looks(&[
        "--dry-run",
        "--replace",
        "--settings-first=stream",
        "--boost-write-capacity=100",
    ])
    .exits(0);

    engine.client().create_simple("copy");

    for flags in [
        &["--replace"][..],
        &["--apply-settings"],
        &["--if-missing"],
        &["--schema-only", "--apply-settings"],
    ] {
        looks(&[flags, &["--dry-run"]].concat()).exits(0);
    }

    assert!(engine.client().items("copy").is_empty());
}

#[test]
fn an_interruption_ends_the_wait_for_a_table_that_is_not_deleted_yet() {
    let busy = "Attempt to change a resource which is still in use: Table is being updated: copy";
    let (engine, proxy, project) = dumped([always(
        "DeleteTable",
        Fault::Refused("ResourceInUseException", busy),
    )]);
    engine.client().create_simple("copy");
    let mut command = project.command("restoredb", RESTORE.iter().chain(&["--replace"]));
    command
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    let mut child = command.spawn().expect("restoredb starts");
    poll("the deletion is refused", || proxy.count("DeleteTable") > 0);
    let sent = std::process::Command::new("sh")
        .args(["-c", &format!("kill -INT {}", child.id())])
        .status();
    assert!(sent.expect("sh is there").success());
    poll("it ends", || {
        child.try_wait().expect("a child can be asked").is_some()
    });
    assert_eq!(child.wait().expect("it has ended").code(), Some(130));
}

/// Deletes a table and creates it again, with one item.
fn recreate(client: &Client, table: &str) {
    client.delete_if_there(table);
    poll("the table is gone", || client.describe(table).is_none());
    client.create_simple(table);
    client.put(table, numbered(1));
}

/// An engine whose table `films` has several pages, with a proxy in front of it.
fn of_several_pages() -> (Engine, Proxy, Project) {
    let engine = Engine::embedded();
    engine.client().create_simple("films");
    let padding = "x".repeat(100_000);
    for mut item in numbered(30) {
        item.insert("padding".to_owned(), s(&padding));
        engine.client().put_one("films", item);
    }

    let proxy = Proxy::with_rules(&engine, []);
    let project = Project::on(&engine, "films").environment("dev", proxy.url(), "films");
    let project = project.environment("copy", proxy.url(), "copy");

    (engine, proxy, project)
}

fn spawn(project: &Project, program: &str, arguments: &[&str]) -> Child {
    let mut command = project.command(program, arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().expect("the command starts")
}

/// The end of a command whose table was recreated: a failure, and no result.
fn claims_nothing(output: &Output) {
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );

    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("was deleted and recreated in the meantime"),
        "{said}"
    );
    assert!(
        !said.contains("verified") && !said.contains("equal"),
        "{said}"
    );
}

#[test]
fn a_table_that_is_recreated_during_a_dump_gives_no_dump() {
    for segments in ["--segments=1", "--segments=9"] {
        let (engine, proxy, project) = of_several_pages();
        proxy.hold("Scan", 2..);
        let child = spawn(&project, "dumpdb", &["--env=dev", "--output=out", segments]);
        poll("a page is read", || proxy.seen("Scan") > 1);
        recreate(&engine.client(), "films");
        proxy.release();
        claims_nothing(&child.wait_with_output().expect("it ends"));
        assert!(!project.path("out").exists());
    }
}

#[test]
fn a_table_that_is_recreated_during_a_comparison_is_not_judged() {
    for rest in [&["--source=out"][..], &["--against-env=copy"]] {
        let (engine, proxy, project) = of_several_pages();
        project.dumpdb(["--output=out"]).exits(0);
        project
            .restoredb(["--source=out", "--table=copy", "--yes"])
            .exits(0);
        proxy.hold("Scan", 2..);
        let child = spawn(&project, "verifydb", &[&["--env=dev"], rest].concat());
        poll("a page is read", || proxy.seen("Scan") > 1);
        recreate(&engine.client(), "films");
        proxy.release();
        claims_nothing(&child.wait_with_output().expect("it ends"));
    }
}

#[test]
fn a_table_that_is_recreated_during_a_restore_is_not_called_restored() {
    for existed in [false, true] {
        let (engine, proxy, project) = of_several_pages();
        project.dumpdb(["--output=out"]).exits(0);
        if existed {
            engine.client().create_simple("copy");
        }

        proxy.hold("BatchWriteItem", 2..);
        let child = spawn(
            &project,
            "restoredb",
            &["--env=copy", "--source=out", "--yes", "--batch-size=5"],
        );

        poll("a batch is written", || proxy.seen("BatchWriteItem") > 1);
        recreate(&engine.client(), "copy");
        proxy.release();
        claims_nothing(&child.wait_with_output().expect("it ends"));

        // The next run does not take the new table for its own.
        let before = proxy.count("BatchWriteItem");
        project
            .restoredb(["--env=copy", "--source=out", "--yes", "--if-missing"])
            .exits(0);
        assert_eq!(proxy.count("BatchWriteItem"), before);
    }
}

fn with_another_id(answer: &mut Value) {
    if let Some(table) = answer.get_mut("Table") {
        table["TableId"] = "of another table".into();
    }
}

#[test]
fn a_call_that_finds_no_table_asks_whether_it_is_another_by_now() {
    let missing = Fault::Refused("ResourceNotFoundException", "Requested resource not found");
    let (engine, proxy, project) = dumped([]);
    let rules = [
        calls("Scan", 1..=1, missing.clone()),
        calls("BatchWriteItem", 1..=1, missing),
        calls("DescribeTable", 2..=2, Fault::Changed(with_another_id)),
    ];

    let of_dump = Proxy::with_rules(&engine, rules);
    let project = project.environment("other", of_dump.url(), "films");
    let run = project
        .dumpdb(["--env=other", "--output=new", "--segments=1"])
        .exits(1);
    run.says("was deleted and recreated in the meantime");
    assert_eq!(
        (of_dump.count("Scan"), of_dump.count("DescribeTable")),
        (1, 2),
        "the other table is not read"
    );

    assert_eq!(proxy.count("Scan"), 0);
}
