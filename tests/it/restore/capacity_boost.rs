//! The temporary boost: when capacity is raised and reverted, also after failures. Read from the server's log.

use std::process::Child;

use aws_sdk_dynamodb::types::{
    BillingMode, GlobalSecondaryIndex, Projection, ProjectionType, ProvisionedThroughput,
    ScalarAttributeType, TimeToLiveSpecification,
};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::client::{attribute, numbered, partition, poll};
use crate::support::engine::Engine;
use crate::support::faults::{Call, Fault, Proxy, Rule, always, calls, with_text};
use crate::support::process::{spawn_with_messages, stopped};
use crate::support::project::Project;

const FLAG: &str = "--boost-write-capacity=1000";
const BOOST: u64 = 1000;

/// Restores `out` into the table behind the proxy.
const RESTORE: [&str; 3] = ["--source=out", "--env=dev", "--yes"];

fn units(read: i64, write: i64) -> ProvisionedThroughput {
    let units = ProvisionedThroughput::builder()
        .read_capacity_units(read)
        .write_capacity_units(write)
        .build();
    units.expect("both units are given")
}

fn create_provisioned(engine: &Engine, table: &str, of_table: (i64, i64), of_index: (i64, i64)) {
    let projection = Projection::builder()
        .projection_type(ProjectionType::KeysOnly)
        .build();
    let by_genre = GlobalSecondaryIndex::builder()
        .index_name("by-genre")
        .key_schema(partition("genre"));
    let by_genre = by_genre
        .projection(projection)
        .provisioned_throughput(units(of_index.0, of_index.1))
        .build();
    engine.client().create(table, |create| {
        create
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .attribute_definitions(attribute("genre", ScalarAttributeType::S))
            .key_schema(partition("id"))
            .provisioned_throughput(units(of_table.0, of_table.1))
            .global_secondary_indexes(by_genre.expect("name and key are given"))
    });
}

/// An engine whose provisioned table `films` has TTL and is scaled, and its dump in `out`. The environment `dev` is the table
/// `copy` behind a proxy with `rules`.
fn dumped(rules: impl IntoIterator<Item = Rule>) -> (Engine, Proxy, Project) {
    let engine = Engine::embedded();
    create_provisioned(&engine, "films", (5, 7), (7, 9));
    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expires")
        .build();
    let ttl = ttl.expect("switch and attribute are given");
    engine
        .client()
        .ask(|sdk| {
            sdk.update_time_to_live()
                .table_name("films")
                .time_to_live_specification(ttl)
                .send()
        })
        .expect("the engine has TTL");

    engine.client().put("films", numbered(200));
    let scaling = [
        always("DescribeTable", Fault::Changed(with_index_capacity)),
        always("DescribeScalableTargets", Fault::Answered(scalable_targets)),
        always(
            "DescribeScalingPolicies",
            Fault::Answered(|_| json!({"ScalingPolicies": []})),
        ),
        always("RegisterScalableTarget", Fault::Answered(|_| json!({}))),
    ];

    let proxy = Proxy::with_rules(
        &engine,
        rules.into_iter().chain(scaling).collect::<Vec<_>>(),
    );
    let project = Project::empty().environment("local", proxy.url(), "films");
    let project = project.environment("dev", proxy.url(), "copy");
    project.dumpdb(["--output=out"]).exits(0);

    (engine, proxy, project)
}

/// The engine takes a change of an index's capacity and does not keep it. Here an index has two units more than its table, and as
/// many as the table while that is boosted.
fn with_index_capacity(answer: &mut Value) {
    let Some(table) = answer.get_mut("Table") else {
        return;
    };

    let units = |name| {
        table["ProvisionedThroughput"][name]
            .as_u64()
            .unwrap_or_default()
    };

    let (read, write) = (units("ReadCapacityUnits"), units("WriteCapacityUnits"));
    if let Some(index) = table["GlobalSecondaryIndexes"].get_mut(0) {
        let more = |units: u64| {
            if (1..BOOST).contains(&units) {
                units + 2
            } else {
                units
            }
        };

        index["ProvisionedThroughput"] = capacity(more(read), more(write));
    }
}

fn scalable_targets(request: &Value) -> Value {
    let is_films = request["ResourceIds"]
        .as_array()
        .is_none_or(|ids| ids.contains(&json!("table/films")));
    let target = json!({
        "ServiceNamespace": "dynamodb", "ResourceId": "table/films", "MinCapacity": 5, "MaxCapacity": 50,
        "ScalableDimension": "dynamodb:table:WriteCapacityUnits",
    });
    json!({"ScalableTargets": if is_films { vec![target] } else { Vec::new() }})
}

fn capacity(read: u64, write: u64) -> Value {
    json!({"ReadCapacityUnits": read, "WriteCapacityUnits": write})
}

/// The change of the index to `read` and `write`.
fn index_change(read: u64, write: u64) -> Value {
    json!([{"Update": {"IndexName": "by-genre", "ProvisionedThroughput": capacity(read, write)}}])
}

/// Position and body of every change of billing or capacity.
fn changes(calls: &[Call]) -> Vec<(usize, Value)> {
    let is_change = |body: &Value| {
        [
            "BillingMode",
            "ProvisionedThroughput",
            "GlobalSecondaryIndexUpdates",
        ]
        .iter()
        .any(|field| body.get(field).is_some())
    };

    let found = calls
        .iter()
        .enumerate()
        .filter(|(_, call)| call.operation == "UpdateTable" && is_change(&call.body));
    found.map(|(at, call)| (at, call.body.clone())).collect()
}

fn first(calls: &[Call], operation: &str) -> usize {
    calls
        .iter()
        .position(|call| call.operation == operation)
        .unwrap_or_else(|| panic!("no {operation}"))
}

fn last(calls: &[Call], operation: &str) -> usize {
    calls
        .iter()
        .rposition(|call| call.operation == operation)
        .unwrap_or_else(|| panic!("no {operation}"))
}

/// Whether the table is on-demand, and its capacity.
fn billed(engine: &Engine, table: &str) -> (bool, Option<(i64, i64)>) {
    let table = engine.client().describe(table).expect("the table is there");
    let mode = table
        .billing_mode_summary()
        .and_then(|summary| summary.billing_mode());
    let units = table.provisioned_throughput().map(|units| {
        (
            units.read_capacity_units().unwrap_or_default(),
            units.write_capacity_units().unwrap_or_default(),
        )
    });

    (mode == Some(&BillingMode::PayPerRequest), units)
}

const AS_DUMPED: (bool, Option<(i64, i64)>) = (false, Some((5, 7)));

fn start(project: &Project, flags: &[&str]) -> Child {
    spawn_with_messages(project.command("restoredb", RESTORE.iter().chain(flags)))
}

#[test]
fn a_new_table_is_created_raised_and_set_back_before_what_comes_after_the_items() {
    let (engine, proxy, project) = dumped([]);
    let before = proxy.calls().len();
    let run = project
        .restoredb(RESTORE.iter().chain(&[FLAG, "--json"]))
        .exits(0);
    let calls = proxy.calls().split_off(before);
    let create = &calls[first(&calls, "CreateTable")].body;
    assert_eq!(create["ProvisionedThroughput"], capacity(5, 1000));
    assert_eq!(
        create["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"],
        capacity(7, 1000)
    );
    let found = changes(&calls);
    let [(at, back)] = &found[..] else {
        panic!("{found:#?}")
    };

    assert!(last(&calls, "BatchWriteItem") < *at, "{found:#?}");
    assert!(
        *at < first(&calls, "UpdateTimeToLive") && *at < first(&calls, "RegisterScalableTarget"),
        "{calls:#?}"
    );
    assert_eq!(
        (
            &back["ProvisionedThroughput"],
            &back["GlobalSecondaryIndexUpdates"]
        ),
        (&capacity(5, 7), &index_change(7, 9))
    );

    assert_eq!(billed(&engine, "copy"), AS_DUMPED);
    let boost = &run.report()["summary"]["boost"];
    assert_eq!(
        (&boost["during"], &boost["after"]),
        (
            &json!("provisioned 5 RCU / 1000 WCU"),
            &json!("provisioned 5 RCU / 7 WCU")
        )
    );

    assert_eq!(boost["not_reverted"], Value::Null);
}

#[test]
fn a_new_table_may_be_on_demand_during_the_restore() {
    let (engine, proxy, project) = dumped([]);
    let before = proxy.calls().len();
    let plan = project
        .restoredb(
            RESTORE
                .iter()
                .chain(&["--boost-write-capacity=on-demand", "--dry-run"]),
        )
        .exits(0);

    plan.says("boost on-demand while the items are written, then provisioned 5 RCU / 7 WCU");
    let run = project
        .restoredb(RESTORE.iter().chain(&["--boost-write-capacity=on-demand"]))
        .exits(0);
    run.says("boost on-demand while the items were written, now provisioned 5 RCU / 7 WCU");
    let calls = proxy.calls().split_off(before);
    let create = &calls[first(&calls, "CreateTable")].body;
    assert_eq!(
        (&create["BillingMode"], create.get("ProvisionedThroughput")),
        (&json!("PAY_PER_REQUEST"), None)
    );
    let found = changes(&calls);
    let [(at, back)] = &found[..] else {
        panic!("{found:#?}")
    };

    assert!(last(&calls, "BatchWriteItem") < *at && *at < first(&calls, "RegisterScalableTarget"));
    assert_eq!(back["BillingMode"], "PROVISIONED");
    assert_eq!(billed(&engine, "copy"), AS_DUMPED);
    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
}

#[test]
fn an_existing_table_is_raised_only_when_asked_and_gets_its_own_figures_back() {
    let (engine, proxy, project) = dumped([]);
    create_provisioned(&engine, "copy", (11, 12), (13, 14));
    let before = proxy.calls().len();
    project.restoredb(RESTORE).exits(0);
    assert_eq!(changes(&proxy.calls().split_off(before)), []);
    let before = proxy.calls().len();
    project.restoredb(RESTORE.iter().chain(&[FLAG])).exits(0);
    let calls = proxy.calls().split_off(before);
    let found = changes(&calls);
    let [(up, raised), (down, back)] = &found[..] else {
        panic!("{found:#?}")
    };

    assert!(*up < first(&calls, "BatchWriteItem") && last(&calls, "BatchWriteItem") < *down);
    assert_eq!(
        (
            &raised["ProvisionedThroughput"],
            &raised["GlobalSecondaryIndexUpdates"]
        ),
        (&capacity(11, 1000), &index_change(13, 1000))
    );

    assert_eq!(
        (
            &back["ProvisionedThroughput"],
            &back["GlobalSecondaryIndexUpdates"]
        ),
        (&capacity(11, 12), &index_change(13, 14))
    );

    assert_eq!(billed(&engine, "copy"), (false, Some((11, 12))));

    // With the dump's settings, it goes straight to those.
    project
        .restoredb(RESTORE.iter().chain(&[FLAG, "--apply-settings"]))
        .exits(0);
    assert_eq!(billed(&engine, "copy"), AS_DUMPED);
}

/// The figures of an index that the dump has not: its own, and as many as the table while that is boosted.
fn with_own_capacity(answer: &mut Value) {
    let Some(table) = answer.get_mut("Table") else {
        return;
    };

    let units = table["ProvisionedThroughput"]["WriteCapacityUnits"]
        .as_u64()
        .unwrap_or_default();
    let indexes = table["GlobalSecondaryIndexes"]
        .as_array_mut()
        .into_iter()
        .flatten();
    for index in indexes.filter(|index| index["IndexName"] == "by-year") {
        index["ProvisionedThroughput"] = capacity(3, if units < BOOST { 4 } else { units });
    }
}

#[test]
fn an_index_that_the_dump_has_not_gets_its_own_figures_back() {
    let (engine, proxy, project) =
        dumped([always("DescribeTable", Fault::Changed(with_own_capacity))]);
    let index = |name: &str, key: &str| {
        let projection = Projection::builder()
            .projection_type(ProjectionType::KeysOnly)
            .build();
        let index = GlobalSecondaryIndex::builder()
            .index_name(name)
            .key_schema(partition(key));
        let index = index
            .projection(projection)
            .provisioned_throughput(units(3, 4))
            .build();
        index.expect("name and key are given")
    };

    engine.client().create("copy", |create| {
        create
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .attribute_definitions(attribute("genre", ScalarAttributeType::S))
            .attribute_definitions(attribute("year", ScalarAttributeType::S))
            .key_schema(partition("id"))
            .provisioned_throughput(units(5, 7))
            .global_secondary_indexes(index("by-genre", "genre"))
            .global_secondary_indexes(index("by-year", "year"))
    });

    let before = proxy.calls().len();
    project.restoredb(RESTORE.iter().chain(&[FLAG, "--apply-settings"]));
    let calls = proxy.calls().split_off(before);
    let found = changes(&calls);
    let of_index = |body: &Value| {
        let updates = body["GlobalSecondaryIndexUpdates"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let mut updates = updates.into_iter().map(|update| update["Update"].clone());
        updates
            .find(|update| update["IndexName"] == "by-year")
            .map(|update| update["ProvisionedThroughput"].clone())
    };

    let [(_, raised), (_, back), ..] = &found[..] else {
        panic!("{found:#?}")
    };

    assert_eq!(
        (of_index(raised), of_index(back)),
        (Some(capacity(3, 1000)), Some(capacity(3, 4))),
        "{found:#?}"
    );
}

#[test]
fn an_on_demand_table_has_nothing_to_boost() {
    let (engine, proxy, project) = dumped([]);
    engine.client().create_simple("copy");
    let run = project.restoredb(RESTORE.iter().chain(&[FLAG])).exits(0);
    run.says("boost none: the table is on-demand, so there is nothing to boost");
    assert_eq!(changes(&proxy.calls()), []);
}

#[test]
fn a_boost_is_reverted_after_a_failure() {
    let (engine, proxy, project) = dumped([calls(
        "BatchWriteItem",
        3..=usize::MAX,
        Fault::TableThrottled,
    )]);

    let run = project
        .restoredb(RESTORE.iter().chain(&[FLAG, "--give-up-after=1s"]))
        .exits(1);
    run.says("the boost was reverted: provisioned 5 RCU / 7 WCU")
        .says("the restore stopped");
    assert_eq!(billed(&engine, "copy"), AS_DUMPED);

    // The next run finds nothing to take back.
    proxy.heal_calls("BatchWriteItem");
    let before = proxy.calls().len();
    project.restoredb(RESTORE).exits(0);
    assert_eq!(changes(&proxy.calls().split_off(before)), []);
    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
}

#[test]
fn a_boost_is_reverted_after_an_interruption() {
    let (engine, proxy, project) = dumped([]);
    create_provisioned(&engine, "copy", (11, 12), (13, 14));
    proxy.hold("BatchWriteItem", 1..);
    let child = start(
        &project,
        &["--boost-write-capacity=on-demand", "--batch-size=1"],
    );
    poll("items are being written", || {
        proxy.seen("BatchWriteItem") > 0
    });
    let (status, said) = stopped(child, Signal::INT, &proxy);
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(
        said.contains("The boost is being reverted to provisioned 11 RCU / 12 WCU"),
        "{said}"
    );
    let log = proxy.calls();
    let found = changes(&log);
    let [(_, raised), (down, back)] = &found[..] else {
        panic!("{found:#?}")
    };

    assert_eq!(
        (&raised["BillingMode"], &back["BillingMode"]),
        (&json!("PAY_PER_REQUEST"), &json!("PROVISIONED"))
    );
    assert!(
        last(&log, "BatchWriteItem") < *down,
        "the calls in flight end first"
    );
    assert_eq!(billed(&engine, "copy"), (false, Some((11, 12))));
}

/// Kills a restore while it writes, with the table raised.
fn killed(engine: &Engine, proxy: &Proxy, project: &Project, flag: &str) {
    proxy.hold("BatchWriteItem", 2..);
    let mut child = start(project, &[flag, "--batch-size=1"]);
    poll("items are being written", || {
        proxy.seen("BatchWriteItem") > 1
    });
    child.kill().expect("it runs");
    child.wait().expect("a child can be waited for");
    let (is_on_demand, units) = billed(engine, "copy");
    assert!(
        is_on_demand || units.is_some_and(|(_, write)| write == 1000),
        "the boost is still there"
    );
    proxy.release();
}

#[test]
fn after_a_kill_the_next_run_takes_the_boost_back() {
    for flag in [FLAG, "--boost-write-capacity=on-demand"] {
        let (engine, proxy, project) = dumped([]);
        killed(&engine, &proxy, &project, flag);
        let before = proxy.calls().len();

        // Neither asks for a boost nor for any setting.
        let run = project
            .restoredb(RESTORE.iter().chain(&["--data-only"]))
            .exits(0);
        run.says(
            "boost left by an earlier restore; reverted to provisioned 5 RCU / 7 WCU at the end",
        );
        let calls = proxy.calls().split_off(before);
        let found = changes(&calls);
        assert!(
            matches!(&found[..], [(down, _)] if last(&calls, "BatchWriteItem") < *down),
            "{found:#?}"
        );
        assert_eq!(billed(&engine, "copy"), AS_DUMPED);
    }
}

#[test]
fn a_boost_that_remains_on_a_kept_table_is_reported() {
    let (engine, proxy, project) = dumped([]);
    create_provisioned(&engine, "copy", (11, 12), (13, 14));
    killed(&engine, &proxy, &project, FLAG);
    let run = project
        .restoredb(RESTORE.iter().chain(&["--if-missing"]))
        .exits(0);
    run.says("NOT reverted to provisioned 11 RCU / 12 WCU");
    project.restoredb(RESTORE).exits(0);
    assert_eq!(billed(&engine, "copy"), (false, Some((11, 12))));
}

#[test]
fn after_a_kill_a_run_with_other_figures_brings_those() {
    let (engine, proxy, project) = dumped([]);
    killed(&engine, &proxy, &project, FLAG);
    let before = proxy.calls().len();
    project
        .restoredb(
            RESTORE
                .iter()
                .chain(&["--write-capacity=2", "--read-capacity=1"]),
        )
        .exits(0);

    assert_eq!(changes(&proxy.calls().split_off(before)).len(), 1);
    assert_eq!(billed(&engine, "copy"), (false, Some((1, 2))));
}

#[test]
fn capacity_changed_by_someone_else_after_a_kill_is_kept() {
    let (engine, proxy, project) = dumped([]);
    create_provisioned(&engine, "copy", (11, 12), (13, 14));
    killed(&engine, &proxy, &project, FLAG);
    let set = engine.client().ask(|sdk| {
        sdk.update_table()
            .table_name("copy")
            .provisioned_throughput(units(20, 21))
            .send()
    });

    drop(set.expect("the engine changes capacity"));
    let before = proxy.calls().len();
    project.restoredb(RESTORE).exits(0);
    assert_eq!(changes(&proxy.calls().split_off(before)), []);
}

#[test]
fn a_table_that_cannot_be_raised_is_written_all_the_same() {
    let unknown = Fault::Refused("UnknownOperationException", "");
    let (engine, _proxy, project) = dumped([always("UpdateTable", unknown)]);
    create_provisioned(&engine, "copy", (11, 12), (13, 14));
    let run = project.restoredb(RESTORE.iter().chain(&[FLAG])).exits(0);
    run.says("[WARNING] The table is not boosted: UpdateTable copy failed")
        .says("not boosted to provisioned 11 RCU / 1000 WCU");
    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
}

#[test]
fn a_remaining_boost_is_reported_with_the_command_that_reverts_it() {
    let limit = "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. Next decrease \
                 can be made at Wednesday, July 25, 2018 9:48:14 PM UTC";
    let (engine, proxy, project) = dumped([with_text(
        "UpdateTable",
        "\"WriteCapacityUnits\":7",
        Fault::Refused("LimitExceededException", limit),
    )]);

    let run = project.restoredb(RESTORE.iter().chain(&[FLAG])).exits(3);
    let run = run
        .says("[ERROR] The boost was not reverted")
        .says("Next decrease can be made at");
    let command = run
        .stderr
        .lines()
        .find_map(|line| line.split_once("aws dynamodb update-table --cli-input-json '"));
    let (body, rest) = command
        .and_then(|(_, rest)| rest.split_once('\''))
        .expect("the command is told");
    let body: Value = serde_json::from_str(body).expect("the body is JSON");
    assert_eq!(
        (&body["TableName"], &body["ProvisionedThroughput"]),
        (&json!("copy"), &capacity(5, 7))
    );
    assert!(
        rest.contains(proxy.url()) && rest.contains("--region eu-central-1"),
        "{rest}"
    );
    assert_eq!(
        changes(&proxy.calls()).len(),
        1,
        "what is refused for hours is not tried again"
    );

    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );

    // After a failure it is a warning, and the failure keeps its code.
    let fault = Fault::Refused("LimitExceededException", limit);
    let failing = [
        always("UpdateTable", fault),
        always("BatchWriteItem", Fault::TableThrottled),
    ];
    let (_engine, _proxy, project) = dumped(failing);
    let run = project
        .restoredb(RESTORE.iter().chain(&[FLAG, "--give-up-after=1s"]))
        .exits(1);
    run.says("[WARNING] The boost was not reverted")
        .says("aws dynamodb update-table");
}

#[test]
fn a_table_that_is_recreated_by_others_keeps_its_capacity() {
    let (engine, proxy, project) = dumped([]);
    let before = proxy.calls().len();
    proxy.hold("BatchWriteItem", 2..);
    let child = start(&project, &[FLAG, "--batch-size=20"]);
    poll("a batch is slow", || proxy.seen("BatchWriteItem") > 1);
    let client = engine.client();
    client.delete_if_there("copy");
    poll("the table is gone", || client.describe("copy").is_none());
    create_provisioned(&engine, "copy", (11, 12), (13, 14));
    proxy.release();
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        !said.contains("the boost"),
        "it went with the table: {said}"
    );
    assert_eq!(changes(&proxy.calls().split_off(before)), []);
    assert_eq!(billed(&engine, "copy"), (false, Some((11, 12))));
}

/// A description that cannot be had, the first, the second, … of the run, stands for every wait that looks at the table.
#[test]
fn the_first_ctrl_c_ends_every_wait_and_the_next_run_completes_what_it_left() {
    let (_engine, proxy, project) = dumped([]);
    let planned = proxy.seen("DescribeTable");
    project.restoredb(RESTORE.iter().chain(&[FLAG])).exits(0);
    let all = proxy.seen("DescribeTable");
    assert!(
        all > planned + 5,
        "a restore looks at its table more than five times"
    );

    let mut interrupted_after_items = 0;
    for number in planned + 1..=all {
        let (engine, proxy, project) = dumped([calls(
            "DescribeTable",
            number..=usize::MAX,
            Fault::AccountThrottled,
        )]);

        let child = start(&project, &[FLAG]);
        poll("the description is refused", || {
            proxy.seen("DescribeTable") >= number
        });
        let (status, said) = stopped(child, Signal::INT, &proxy);
        assert_eq!(status.code(), Some(130), "description {number}: {said}");

        if said.contains("every item is written") {
            interrupted_after_items += 1;
        }

        proxy.unthrottle();
        project.restoredb(RESTORE).exits(0);
        assert_eq!(
            billed(&engine, "copy"),
            AS_DUMPED,
            "description {number}: {said}"
        );

        assert_eq!(
            engine.client().items("copy"),
            engine.client().items("films"),
            "description {number}"
        );
    }

    assert!(
        interrupted_after_items > 0,
        "the revert of the boost was among the waits"
    );
}

#[test]
fn a_revert_that_is_refused_for_now_stays_recorded_when_it_is_interrupted() {
    let busy = Fault::Refused(
        "ResourceInUseException",
        "Attempt to change a resource which is still in use",
    );
    let (engine, proxy, project) =
        dumped([with_text("UpdateTable", "\"WriteCapacityUnits\":7", busy)]);
    let child = start(&project, &[FLAG]);
    poll("the revert is refused", || proxy.seen("UpdateTable") > 0);
    let (status, said) = stopped(child, Signal::INT, &proxy);
    assert_eq!(status.code(), Some(130), "{said}");
    assert!(
        said.contains("every item is written, and the boost is not reverted"),
        "{said}"
    );
    assert!(said.contains("aws dynamodb update-table"), "{said}");

    proxy.heal_calls("UpdateTable");
    let run = project
        .restoredb(RESTORE.iter().chain(&["--data-only"]))
        .exits(0);
    run.says("boost left by an earlier restore; reverted to provisioned 5 RCU / 7 WCU at the end");
    assert_eq!(billed(&engine, "copy"), AS_DUMPED);
}

#[test]
fn the_capacity_after_a_boost_is_that_of_the_dump() {
    let engine = Engine::any();
    let (films, copy) = (engine.table("films"), engine.table("copy"));
    create_provisioned(&engine, &films, (5, 7), (7, 9));
    engine.client().put(&films, numbered(30));
    let project = Project::on(&engine, &films);
    project.dumpdb(["--output=out"]).exits(0);

    for flag in [FLAG, "--boost-write-capacity=on-demand"] {
        let run = project
            .restoredb([
                "--source=out",
                "--table",
                &copy,
                "--replace",
                "--yes",
                flag,
                "--json",
            ])
            .exits(0);

        let boost = &run.report()["summary"]["boost"];
        assert_eq!(
            (&boost["refused"], &boost["not_reverted"]),
            (&Value::Null, &Value::Null),
            "{run}"
        );

        assert_eq!(billed(&engine, &copy), AS_DUMPED);
        assert_eq!(engine.client().items(&copy), engine.client().items(&films));
    }
}

#[test]
fn what_contradicts_a_boost_is_refused() {
    let (_engine, _proxy, project) = dumped([]);
    for flags in [
        &[FLAG, "--schema-only"][..],
        &[FLAG, "--settings-first=autoscaling"],
        &["--boost-write-capacity=0"],
    ] {
        drop(project.restoredb(RESTORE.iter().chain(flags)).exits(2));
    }
}
