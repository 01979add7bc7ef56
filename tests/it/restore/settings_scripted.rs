//! Settings with a scripted server: calls that the engines do not support, failures, and the order of calls in the server's log.

use aws_sdk_dynamodb::types::{
    GlobalSecondaryIndex, Projection, ProjectionType, ProvisionedThroughput, ScalarAttributeType,
    StreamSpecification, StreamViewType, TableClass, Tag, TimeToLiveSpecification,
};
use serde_json::{Value, json};

use crate::support::client::{attribute, numbered, partition, poll};
use crate::support::engine::Engine;
use crate::support::faults::{Call, Fault, Proxy, Rule, always, calls, with_text};
use crate::support::process::spawn_with_messages;
use crate::support::project::{Project, Run};
use crate::support::snapshot::assert_output;

const ACCOUNT: &str = "111122223333";
const DENIED: Fault = Fault::Refused(
    "AccessDeniedException",
    "User: arn:aws:iam::111122223333:user/eve is not authorized",
);

fn capacity(read: i64, write: i64) -> ProvisionedThroughput {
    let capacity = ProvisionedThroughput::builder()
        .read_capacity_units(read)
        .write_capacity_units(write)
        .build();
    capacity.expect("both units are given")
}

/// An engine with a provisioned table `films` of 30 items that has tags, a stream and TTL.
fn films() -> Engine {
    let engine = Engine::embedded();
    let client = engine.client();
    client.create("films", |create| {
        let projection = Projection::builder()
            .projection_type(ProjectionType::KeysOnly)
            .build();
        let by_genre = GlobalSecondaryIndex::builder()
            .index_name("by-genre")
            .key_schema(partition("genre"));
        let by_genre = by_genre
            .projection(projection)
            .provisioned_throughput(capacity(20, 10))
            .build();
        let stream = StreamSpecification::builder()
            .stream_enabled(true)
            .stream_view_type(StreamViewType::NewImage);
        create
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .attribute_definitions(attribute("genre", ScalarAttributeType::S))
            .key_schema(partition("id"))
            .provisioned_throughput(capacity(50, 25))
            .global_secondary_indexes(by_genre.expect("name and key are given"))
            .stream_specification(stream.build().expect("the switch is given"))
            .tags(
                Tag::builder()
                    .key("owner")
                    .value("archive")
                    .build()
                    .expect("key and value are given"),
            )
    });

    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expires")
        .build();
    let ttl = ttl.expect("switch and attribute are given");
    client
        .ask(|sdk| {
            sdk.update_time_to_live()
                .table_name("films")
                .time_to_live_specification(ttl)
                .send()
        })
        .expect("the engine has TTL");

    client.put("films", numbered(30));

    engine
}

/// The same table in an account, with every setting there is.
fn everything() -> Vec<Rule> {
    vec![
        always("DescribeTable", Fault::Changed(in_the_account)),
        always(
            "DescribeContinuousBackups",
            Fault::Answered(continuous_backups),
        ),
        with_text(
            "GetResourcePolicy",
            "/stream/",
            Fault::Refused("PolicyNotFoundException", "no policy"),
        ),
        always("GetResourcePolicy", Fault::Answered(resource_policy)),
        always(
            "DescribeContributorInsights",
            Fault::Answered(contributor_insights),
        ),
        always(
            "DescribeKinesisStreamingDestination",
            Fault::Answered(kinesis_destinations),
        ),
        always("DescribeScalableTargets", Fault::Answered(scalable_targets)),
        always("DescribeScalingPolicies", Fault::Answered(scaling_policies)),
        always("UpdateContinuousBackups", Fault::Answered(|_| json!({}))),
        always(
            "PutResourcePolicy",
            Fault::Answered(|_| json!({"RevisionId": "2"})),
        ),
        always("UpdateContributorInsights", Fault::Answered(|_| json!({}))),
        always(
            "EnableKinesisStreamingDestination",
            Fault::Answered(|_| json!({})),
        ),
        always("RegisterScalableTarget", Fault::Answered(|_| json!({}))),
        always(
            "PutScalingPolicy",
            Fault::Answered(|_| json!({"PolicyARN": "arn:aws:autoscaling:x"})),
        ),
    ]
}

fn arn_of(table: &str) -> String {
    format!("arn:aws:dynamodb:eu-central-1:{ACCOUNT}:table/{table}")
}

fn in_the_account(answer: &mut Value) {
    if let Some(table) = answer.get_mut("Table") {
        let arn = arn_of(table["TableName"].as_str().expect("a table has a name"));
        table["TableArn"] = arn.clone().into();
        if table.get("LatestStreamArn").is_some() {
            table["LatestStreamArn"] = format!("{arn}/stream/2026-11-20T09:00:00.000").into();
        }
    }
}

fn continuous_backups(_: &Value) -> Value {
    let recovery = json!({"PointInTimeRecoveryStatus": "ENABLED", "RecoveryPeriodInDays": 14});
    let description =
        json!({"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery});
    json!({"ContinuousBackupsDescription": description})
}

fn resource_policy(request: &Value) -> Value {
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": {"AWS": format!("arn:aws:iam::{ACCOUNT}:role/reader")},
        "Action": "dynamodb:Query",
        "Resource": [&request["ResourceArn"], format!("{}/index/*", request["ResourceArn"].as_str().unwrap_or_default())],
    }]});

    json!({"Policy": policy.to_string(), "RevisionId": "1"})
}

fn contributor_insights(request: &Value) -> Value {
    json!({"TableName": request["TableName"], "IndexName": request["IndexName"], "ContributorInsightsStatus": "ENABLED"})
}

fn kinesis_destinations(request: &Value) -> Value {
    let stream = format!("arn:aws:kinesis:eu-central-1:{ACCOUNT}:stream/clicks");
    let active = json!({"StreamArn": stream, "DestinationStatus": "ACTIVE"});
    let gone = json!({"StreamArn": format!("{stream}-old"), "DestinationStatus": "DISABLED"});
    json!({"TableName": request["TableName"], "KinesisDataStreamDestinations": [active, gone]})
}

fn scalable_targets(_: &Value) -> Value {
    json!({"ScalableTargets": [{
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/films",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
        "MinCapacity": 5,
        "MaxCapacity": 500,
        "RoleARN": format!("arn:aws:iam::{ACCOUNT}:role/aws-service-role/x"),
        "CreationTime": 1.8e9,
    }]})
}

fn scaling_policies(request: &Value) -> Value {
    if request["ResourceId"] != "table/films" {
        return json!({"ScalingPolicies": []});
    }

    json!({"ScalingPolicies": [{
        "PolicyARN": "arn:aws:autoscaling:eu-central-1:111122223333:scalingPolicy:1",
        "PolicyName": "reads",
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/films",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 70.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
        },
        "CreationTime": 1.8e9,
    }]})
}

/// A project whose `local` is the table behind the proxy; the dump is in `out`.
fn dumped(proxy: &Proxy) -> Project {
    let project = Project::empty().environment("local", proxy.url(), "films");
    project.dumpdb(["--output=out"]).exits(0);
    project
}

/// The calls of a restore, without those that only look.
fn changes(calls: &[Call]) -> Vec<&Call> {
    let looks = |name: &str| {
        ["Describe", "Get", "List", "Scan"]
            .iter()
            .any(|look| name.starts_with(look))
    };

    calls
        .iter()
        .filter(|call| !call.operation.is_empty() && !looks(&call.operation))
        .collect()
}

/// Runs a restore; says how it went and what it changed, in order.
fn restored<'a>(
    project: &Project,
    proxy: &Proxy,
    flags: impl IntoIterator<Item = &'a str>,
) -> (Run, Vec<Call>) {
    let before = proxy.calls().len();
    let run = project.restoredb(["--source=out", "--yes", "--json"].into_iter().chain(flags));
    let calls = proxy.calls().split_off(before);

    (run, changes(&calls).into_iter().cloned().collect())
}

fn position(calls: &[Call], what: &str, is: impl Fn(&Call) -> bool) -> usize {
    let names: Vec<_> = calls.iter().map(|call| &call.operation).collect();
    calls
        .iter()
        .position(is)
        .unwrap_or_else(|| panic!("no {what} in {names:?}"))
}

fn is_stream(call: &Call) -> bool {
    call.operation == "UpdateTable" && call.body.get("StreamSpecification").is_some()
}

fn is_protection(call: &Call) -> bool {
    call.operation == "UpdateTable" && call.body.get("DeletionProtectionEnabled").is_some()
}

/// The outcome that the report has for a setting.
fn outcome(run: &Run, setting: &str) -> Vec<(String, String)> {
    let report = run.report();
    let settings = report["summary"]["settings"]
        .as_array()
        .unwrap_or_else(|| panic!("no settings in {report:#}"))
        .clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = settings.iter().filter(|one| one["setting"] == setting);
    of.map(|one| (text(&one["result"]), text(&one["reason"])))
        .collect()
}

#[test]
fn fields_of_the_future_are_kept_and_named() {
    let engine = films();
    let add = |answer: &mut Value| {
        if let Some(table) = answer.get_mut("Table") {
            table["Teleportation"] = json!({"Enabled": true});
            table["GlobalSecondaryIndexes"][0]["Colour"] = "blue".into();
        }
    };

    let proxy = Proxy::with_rules(&engine, [always("DescribeTable", Fault::Changed(add))]);
    let project = dumped(&proxy).environment("dev", engine.url(), "copy");
    assert_eq!(
        project.json("out/table-schema.json")["Table"]["Teleportation"],
        json!({"Enabled": true})
    );
    let run = project
        .restoredb(["--source=out", "--env=dev", "--yes"])
        .exits(0);
    let run = run
        .says("Teleportation")
        .says("GlobalSecondaryIndexes.by-genre.Colour");
    drop(run);
    let plan = project
        .restoredb([
            "--source=out",
            "--env=dev",
            "--table=third",
            "--json",
            "--dry-run",
        ])
        .exits(0)
        .report();

    assert!(
        plan["plan"]["not_restored"]
            .to_string()
            .contains("Teleportation"),
        "{plan:#}"
    );
}

#[test]
fn calls_that_are_denied_do_not_fail_a_dump() {
    let engine = films();
    let mut rules = vec![
        always("DescribeContinuousBackups", DENIED),
        always("ListTagsOfResource", DENIED),
        always("GetResourcePolicy", DENIED),
        always("DescribeScalableTargets", DENIED),
    ];

    rules.extend(everything());
    let proxy = Proxy::with_rules(&engine, rules);
    let project = Project::empty().environment("local", proxy.url(), "films");
    let run = project.dumpdb(["--output=out"]).exits(0);
    assert_output("summary-of-a-dump-with-denied-settings", &run);
    let schema = project.json("out/table-schema.json");
    for section in ["ContinuousBackups", "Tags", "ResourcePolicy", "AutoScaling"] {
        let reason = schema[section]["not_captured"]
            .as_str()
            .unwrap_or_else(|| panic!("{section} in {schema:#}"));
        assert!(
            reason.contains("AccessDeniedException"),
            "{section}: {reason}"
        );
    }

    assert_eq!(
        schema["TimeToLive"]["AttributeName"], "expires",
        "{schema:#}"
    );
    assert!(
        schema["KinesisDestinations"]
            .to_string()
            .contains("stream/clicks"),
        "{schema:#}"
    );

    let report = project
        .dumpdb(["--output=again", "--json"])
        .exits(0)
        .report();
    assert!(
        report["summary"]["not_captured"]
            .to_string()
            .contains("AccessDeniedException"),
        "{report:#}"
    );

    assert!(
        project
            .text("out/dump-summary.txt")
            .contains("AccessDeniedException")
    );

    // A restore says what it cannot know, too.
    project
        .restoredb(["--source=out", "--table=copy", "-v"])
        .exits(0)
        .says("AccessDeniedException");
}

#[test]
fn settings_are_asked_for_together() {
    let engine = films();
    let operations = [
        "DescribeTimeToLive",
        "ListTagsOfResource",
        "DescribeContinuousBackups",
        "GetResourcePolicy",
        "DescribeContributorInsights",
        "DescribeKinesisStreamingDestination",
        "DescribeScalableTargets",
        "DescribeScalingPolicies",
    ];

    let proxy = Proxy::with_rules(&engine, []);
    for operation in operations {
        proxy.hold(operation, ..);
    }

    let project = Project::empty().environment("local", proxy.url(), "films");
    let dump = spawn_with_messages(project.command("dumpdb", ["--output=out"]));
    poll("each setting is asked for before any is answered", || {
        operations.iter().all(|operation| proxy.seen(operation) > 0)
    });

    proxy.release();
    let output = dump.wait_with_output().expect("a child can be waited for");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn what_would_do_harm_comes_after_the_items() {
    let engine = films();
    let guard = |answer: &mut Value| {
        in_the_account(answer);
        if let Some(table) = answer
            .get_mut("Table")
            .filter(|table| table["TableName"] == "films")
        {
            table["DeletionProtectionEnabled"] = true.into();
        }
    };

    let mut rules = vec![always("DescribeTable", Fault::Changed(guard))];
    rules.extend(everything());
    let proxy = Proxy::with_rules(&engine, rules);
    let project = dumped(&proxy);
    let (run, calls) = restored(&project, &proxy, ["--table=copy", "--with=policy,kinesis"]);
    let run = run.exits(0);
    let last_item = calls
        .iter()
        .rposition(|call| call.operation == "BatchWriteItem")
        .expect("items are written");
    let at = |operation: &'static str| {
        position(&calls, operation, move |call| call.operation == operation)
    };
    let order = [
        position(&calls, "stream", is_stream),
        at("UpdateTimeToLive"),
        at("UpdateContinuousBackups"),
        at("UpdateContributorInsights"),
        at("RegisterScalableTarget"),
        at("PutScalingPolicy"),
        at("PutResourcePolicy"),
        at("EnableKinesisStreamingDestination"),
        position(&calls, "deletion protection", is_protection),
        at("UntagResource"),
    ];

    assert!(
        order.is_sorted() && last_item < order[0],
        "{last_item} {order:?}"
    );
    assert_eq!(order[8], calls.len() - 2, "deletion protection comes last");
    assert_eq!(order[9], calls.len() - 1, "then the tag is removed");
    let create = &calls[0];
    assert_eq!(
        (
            create.operation.as_str(),
            create.body.get("StreamSpecification")
        ),
        ("CreateTable", None)
    );

    assert_eq!(
        create.body["Tags"][0],
        json!({"Key": "owner", "Value": "archive"}),
        "{create:?}"
    );
    assert_eq!(create.body["Tags"][1]["Key"], "dynadump:restoring");

    for setting in [
        "stream",
        "ttl",
        "tags",
        "pitr",
        "insights",
        "autoscaling",
        "policy",
        "kinesis",
        "deletion-protection",
    ] {
        let outcomes = outcome(&run, setting);
        assert!(
            !outcomes.is_empty() && outcomes.iter().all(|(result, _)| result == "applied"),
            "{setting}: {outcomes:?}"
        );
    }
}

#[test]
fn bodies_are_of_the_target() {
    let engine = films();
    let proxy = Proxy::with_rules(&engine, everything());
    let project = dumped(&proxy);
    let (run, calls) = restored(&project, &proxy, ["--table=copy", "--with=policy,kinesis"]);
    drop(run.exits(0));
    let body = |operation: &'static str| {
        &calls[position(&calls, operation, |call| call.operation == operation)].body
    };
    let policy = body("PutResourcePolicy");
    assert_eq!(policy["ResourceArn"], arn_of("copy"));
    let text = policy["Policy"].as_str().expect("a policy is text");
    assert!(
        text.contains(&arn_of("copy")) && !text.contains("table/films"),
        "{text}"
    );
    assert!(text.contains("role/reader"), "{text}");
    let target = body("RegisterScalableTarget");
    assert_eq!(
        (&target["ResourceId"], &target["MaxCapacity"]),
        (&json!("table/copy"), &json!(500))
    );
    assert_eq!(target.get("RoleARN"), None, "a role is of its account");
    let scaling = body("PutScalingPolicy");
    assert_eq!(scaling["ResourceId"], "table/copy");
    assert_eq!(
        scaling["TargetTrackingScalingPolicyConfiguration"]["TargetValue"],
        70.0
    );
    let pitr = &body("UpdateContinuousBackups")["PointInTimeRecoverySpecification"];
    assert_eq!(
        pitr,
        &json!({"PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": 14})
    );
    let destinations: Vec<_> = calls
        .iter()
        .filter(|call| call.operation == "EnableKinesisStreamingDestination")
        .collect();
    assert_eq!(
        destinations.len(),
        1,
        "one that is off stays off: {destinations:?}"
    );

    let insights = calls
        .iter()
        .filter(|call| call.operation == "UpdateContributorInsights");
    let of: Vec<_> = insights
        .map(|call| call.body.get("IndexName").cloned())
        .collect();
    assert_eq!(of, [None, Some(json!("by-genre"))]);
}

#[test]
fn some_settings_can_come_first() {
    let engine = films();
    let proxy = Proxy::with_rules(&engine, everything());
    let project = dumped(&proxy);
    let (run, calls) = restored(
        &project,
        &proxy,
        ["--table=copy", "--settings-first=stream"],
    );

    drop(run.exits(0));
    let first_item = position(&calls, "item", |call| call.operation == "BatchWriteItem");
    let last_item = calls
        .iter()
        .rposition(|call| call.operation == "BatchWriteItem")
        .expect("items are written");
    let ttl = position(&calls, "TTL", |call| call.operation == "UpdateTimeToLive");
    let in_creation = calls[0].body.get("StreamSpecification").is_some();
    assert!(
        in_creation || position(&calls, "stream", is_stream) < first_item,
        "{calls:#?}"
    );
    assert!(ttl > last_item);
}

/// Auto scaling of the index.
fn scalable_index(_: &Value) -> Value {
    json!({"ScalableTargets": [{
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/films/index/by-genre",
        "ScalableDimension": "dynamodb:index:ReadCapacityUnits",
        "MinCapacity": 5,
        "MaxCapacity": 500,
        "RoleARN": format!("arn:aws:iam::{ACCOUNT}:role/aws-service-role/x"),
        "CreationTime": 1.8e9,
    }]})
}

#[test]
fn settings_of_an_index_that_comes_after_the_items_come_after_the_index() {
    let engine = films();
    let mut rules = vec![always(
        "DescribeScalableTargets",
        Fault::Answered(scalable_index),
    )];
    rules.extend(everything());
    let proxy = Proxy::with_rules(&engine, rules);
    let project = dumped(&proxy);
    let (run, calls) = restored(
        &project,
        &proxy,
        [
            "--table=copy",
            "--indexes-after",
            "--settings-first=autoscaling,insights,stream",
        ],
    );
    drop(run.exits(0));

    let index = position(&calls, "index", |call| {
        call.body
            .pointer("/GlobalSecondaryIndexUpdates/0/Create/IndexName")
            .is_some()
    });
    let insights = position(&calls, "insights of the index", |call| {
        call.operation == "UpdateContributorInsights" && call.body["IndexName"] == "by-genre"
    });
    let scaling = position(&calls, "scaling of the index", |call| {
        call.body["ResourceId"] == "table/copy/index/by-genre"
    });
    let items = position(&calls, "item", |call| call.operation == "BatchWriteItem");
    assert!(
        items < index && index < insights && index < scaling,
        "{calls:#?}"
    );
    assert!(position(&calls, "stream", is_stream) < items, "{calls:#?}");
}

#[test]
fn what_is_bound_follows_a_table_only_to_itself() {
    let engine = films();
    let proxy = Proxy::with_rules(&engine, everything());
    let project = dumped(&proxy);
    let (run, calls) = restored(&project, &proxy, ["--table=copy"]);
    let run = run.exits(0);
    for (setting, operation) in [
        ("policy", "PutResourcePolicy"),
        ("kinesis", "EnableKinesisStreamingDestination"),
    ] {
        assert!(
            calls.iter().all(|call| call.operation != operation),
            "{operation}: {run}"
        );
        assert!(
            matches!(&outcome(&run, setting)[..], [(result, reason)] if result == "skipped" && !reason.is_empty())
        );
    }

    assert_output(
        "plan-of-a-restore-with-settings",
        &project.restoredb(["--source=out", "--table=third", "--dry-run"]),
    );
    let (run, calls) = restored(&project, &proxy, ["--replace"]);
    let run = run.exits(0);
    for (setting, operation) in [
        ("policy", "PutResourcePolicy"),
        ("kinesis", "EnableKinesisStreamingDestination"),
    ] {
        assert!(
            calls.iter().any(|call| call.operation == operation),
            "{operation}: {run}"
        );
        assert!(
            outcome(&run, setting)
                .iter()
                .all(|(result, _)| result == "applied")
        );
    }
}

#[test]
fn an_account_that_another_engine_reports_does_not_make_its_table_the_one_that_was_dumped() {
    let engine = films();
    let proxy = Proxy::with_rules(&engine, everything());
    let project = dumped(&proxy);
    let elsewhere = Proxy::with_rules(&engine, everything());
    let project = project.environment("local", elsewhere.url(), "films");
    let run = project
        .restoredb(["--source=out", "--replace", "--yes", "--json"])
        .exits(0);
    for (setting, operation) in [
        ("policy", "PutResourcePolicy"),
        ("kinesis", "EnableKinesisStreamingDestination"),
    ] {
        assert_eq!(elsewhere.count(operation), 0, "{operation}: {run}");
        assert!(
            matches!(&outcome(&run, setting)[..], [(result, _)] if result == "skipped"),
            "{run}"
        );
    }
}

#[test]
fn a_failed_setting_is_reported_and_the_others_are_applied() {
    let engine = films();
    let mut rules = vec![
        always(
            "UpdateTimeToLive",
            Fault::Refused("ValidationException", "TimeToLive is being disabled"),
        ),
        always("UpdateContinuousBackups", DENIED),
    ];

    rules.extend(everything());
    let proxy = Proxy::with_rules(&engine, rules);
    let project = dumped(&proxy);
    let run = project
        .restoredb(["--source=out", "--table=copy", "--yes"])
        .exits(3);
    assert_output("summary-of-a-restore-with-failed-settings", &run);
    assert_eq!(
        run.stderr.matches("was not applied").count(),
        2,
        "each failure is told once: {run}"
    );

    let (run, calls) = restored(&project, &proxy, ["--table=again"]);
    let run = run.exits(3);
    for setting in ["ttl", "pitr"] {
        assert!(
            matches!(&outcome(&run, setting)[..], [(result, reason)] if result == "failed" && !reason.is_empty())
        );
    }

    position(&calls, "insights", |call| {
        call.operation == "UpdateContributorInsights"
    });
    assert_eq!(
        engine.client().items("again"),
        engine.client().items("films")
    );
}

#[test]
fn settings_unsupported_by_the_endpoint_are_in_the_plan_and_not_a_failure() {
    let engine = films();
    let proxy = Proxy::with_rules(&engine, everything());
    let project = dumped(&proxy).environment("dev", engine.url(), "copy");
    let plan = project
        .restoredb(["--source=out", "--env=dev", "--dry-run", "--json"])
        .exits(0)
        .report();
    let run = project
        .restoredb(["--source=out", "--env=dev", "--yes", "--json"])
        .exits(0);
    let (planned, lost) = (
        plan["plan"]["settings"].to_string(),
        plan["plan"]["not_restored"].to_string(),
    );
    for (setting, words) in [
        ("pitr", "PITR"),
        ("insights", "contributor insights"),
        ("autoscaling", "auto scaling"),
    ] {
        assert!(
            lost.contains(words) && !planned.contains(setting),
            "{setting}: {plan:#}"
        );
        assert_eq!(outcome(&run, setting), [], "{run}");
        assert!(
            run.report()["summary"]["not_restored"]
                .to_string()
                .contains(words),
            "{run}"
        );
    }
}

#[test]
fn warm_throughput_is_sent_only_when_asked_for() {
    let engine = films();
    let warm = |answer: &mut Value| {
        in_the_account(answer);
        if let Some(table) = answer
            .get_mut("Table")
            .filter(|table| table["TableName"] == "films")
        {
            let grown = json!({"ReadUnitsPerSecond": 40_000, "WriteUnitsPerSecond": 20_000, "Status": "ACTIVE"});
            table["WarmThroughput"] = grown;
            let nothing =
                json!({"ReadUnitsPerSecond": 0, "WriteUnitsPerSecond": 0, "Status": "ACTIVE"});
            table["GlobalSecondaryIndexes"][0]["WarmThroughput"] = nothing;
        }
    };

    let mut rules = vec![always("DescribeTable", Fault::Changed(warm))];
    rules.extend(everything());
    let proxy = Proxy::with_rules(&engine, rules);
    let project = dumped(&proxy);
    let sent = |calls: &[Call]| -> Vec<Value> {
        let in_indexes = |body: &Value| {
            body["GlobalSecondaryIndexes"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        };

        let bodies = calls
            .iter()
            .flat_map(|call| std::iter::once(call.body.clone()).chain(in_indexes(&call.body)));
        bodies
            .filter_map(|body| body.get("WarmThroughput").cloned())
            .collect()
    };

    let (run, calls) = restored(&project, &proxy, ["--table=copy"]);
    let run = run.exits(0);
    assert_eq!(sent(&calls), Vec::<Value>::new());
    assert!(
        run.to_string().contains("40000") || run.to_string().contains("40,000"),
        "{run}"
    );
    let (run, calls) = restored(
        &project,
        &proxy,
        ["--table=again", "--with=warm-throughput"],
    );

    drop(run.exits(0));
    assert_eq!(
        sent(&calls),
        [json!({"ReadUnitsPerSecond": 40_000, "WriteUnitsPerSecond": 20_000})]
    );
}

#[test]
fn a_busy_control_plane_is_waited_for() {
    let engine = films();
    let project = Project::empty().environment("local", engine.url(), "films");
    project.dumpdb(["--output=out"]).exits(0);
    let creating = |answer: &mut Value| {
        if let Some(table) = answer.get_mut("Table") {
            table["TableStatus"] = "CREATING".into();
        }
    };

    let backfilling = |answer: &mut Value| {
        if let Some(table) = answer.get_mut("Table") {
            table["GlobalSecondaryIndexes"][0]["IndexStatus"] = "CREATING".into();
            table["GlobalSecondaryIndexes"][0]["Backfilling"] = true.into();
        }
    };

    let updating = |answer: &mut Value| {
        if let Some(table) = answer.get_mut("Table") {
            table["TableStatus"] = "UPDATING".into();
        }
    };

    let busy = "Subscriber limit exceeded: Only 10 tables can be created, updated, or deleted simultaneously";
    let in_use = "Attempt to change a resource which is still in use: Table is being updated: copy";
    let proxy = Proxy::with_rules(
        &engine,
        [
            calls(
                "CreateTable",
                1..=2,
                Fault::Refused("LimitExceededException", busy),
            ),
            calls("DescribeTable", 3..=4, Fault::Changed(creating)),
            calls("DescribeTable", 5..=6, Fault::Changed(backfilling)),
            calls("DescribeTable", 8..=9, Fault::Changed(updating)),
            calls(
                "UpdateTable",
                1..=1,
                Fault::Refused("ResourceInUseException", in_use),
            ),
            calls(
                "UpdateTimeToLive",
                1..=1,
                Fault::Refused("ResourceInUseException", in_use),
            ),
        ],
    );

    let project = project.environment("dev", proxy.url(), "copy");
    let run = project
        .restoredb(["--source=out", "--env=dev", "--yes", "--json"])
        .exits(0);
    assert_eq!(proxy.count("CreateTable"), 3, "{run}");

    for setting in ["stream", "ttl", "tags"] {
        assert!(
            outcome(&run, setting)
                .iter()
                .all(|(result, _)| result == "applied"),
            "{run}"
        );
    }

    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
}

#[test]
fn a_table_created_by_someone_else_in_the_meantime_is_not_taken_as_ours() {
    let engine = films();
    let project = Project::empty().environment("local", engine.url(), "films");
    project.dumpdb(["--output=out"]).exits(0);
    engine.client().create_simple("copy");
    let missing = Fault::Refused(
        "ResourceNotFoundException",
        "Requested resource not found: Table: copy not found",
    );
    let proxy = Proxy::with_rules(&engine, [calls("DescribeTable", 1..=1, missing)]);
    let project = project.environment("dev", proxy.url(), "copy");
    let run = project
        .restoredb(["--source=out", "--env=dev", "--yes"])
        .exits(1);
    assert_eq!(proxy.count("BatchWriteItem"), 0, "{run}");
}

/// Hides the deletion protection of `copy`.
fn without_protection(answer: &mut Value) {
    for document in ["Table", "TableDescription"] {
        if let Some(table) = answer.get_mut(document)
            && table["TableName"] == "copy"
        {
            table["DeletionProtectionEnabled"] = false.into();
        }
    }
}

/// An engine with `films`, which is protected, and its dump.
fn protected() -> (Engine, Project) {
    let engine = films();
    engine
        .client()
        .ask(|sdk| {
            sdk.update_table()
                .table_name("films")
                .deletion_protection_enabled(true)
                .send()
        })
        .expect("the engine has deletion protection");
    let project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);

    (engine, project)
}

const PROTECTED_COPY: [&str; 4] = ["--source=out", "--env=dev", "--yes", "--json"];

#[test]
fn a_setting_in_the_response_of_its_call_is_applied_even_if_descriptions_lag() {
    let (engine, project) = protected();
    let lag = always("DescribeTable", Fault::Changed(without_protection));
    let proxy = Proxy::with_rules(&engine, [lag]);
    let project = project.environment("dev", proxy.url(), "copy");
    let run = project.restoredb(PROTECTED_COPY).exits(0);
    assert_eq!(outcome(&run, "deletion-protection")[0].0, "applied");
}

#[test]
fn a_setting_that_is_described_late_is_applied() {
    let (engine, project) = protected();
    let proxy = Proxy::with_rules(&engine, []);
    let project = project.environment("dev", proxy.url(), "third");
    project.restoredb(PROTECTED_COPY).exits(0);
    let descriptions = proxy.count("DescribeTable");

    let lag = Fault::Changed(without_protection);
    let rules = [
        calls("DescribeTable", 1..=descriptions + 2, lag.clone()),
        always("UpdateTable", lag),
    ];
    let proxy = Proxy::with_rules(&engine, rules);
    let project = project.environment("dev", proxy.url(), "copy");
    let run = project.restoredb(PROTECTED_COPY).exits(0);
    assert!(proxy.count("DescribeTable") > descriptions + 2, "{run}");
    assert_eq!(outcome(&run, "deletion-protection")[0].0, "applied");
}

#[test]
fn a_table_gets_the_standard_class() {
    let engine = films();
    engine.client().create("copy", |create| {
        create
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .key_schema(partition("id"))
            .table_class(TableClass::StandardInfrequentAccess)
    });

    let project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);
    let flags = [
        "--source=out",
        "--table=copy",
        "--apply-settings",
        "--set=table-class=standard",
        "--yes",
        "--json",
    ];
    let run = project.restoredb(flags).exits(0);
    assert_eq!(outcome(&run, "class")[0].0, "applied");
    let described = engine.client().describe("copy").expect("the table");
    let class = described
        .table_class_summary
        .and_then(|summary| summary.table_class);
    assert!(
        class
            .as_ref()
            .is_none_or(|class| *class == TableClass::Standard),
        "{class:?}"
    );
}

#[test]
fn a_requested_setting_is_applied_despite_the_probe() {
    let engine = films();
    let proxy = Proxy::with_rules(&engine, everything());
    let project = dumped(&proxy).environment("dev", engine.url(), "copy");
    let restore = ["--source=out", "--env=dev", "--yes", "--quiet"];
    project.restoredb(restore).exits(0);

    let engine = films();
    let proxy = Proxy::with_rules(&engine, []);
    let project = project.environment("dev", proxy.url(), "copy");
    let run = project.restoredb(restore.into_iter().chain(["--with=pitr"]));
    let run = run
        .exits(3)
        .says("PITR 14 days was not applied: ")
        .says("UnknownOperationException");
    assert_eq!(proxy.count("UpdateContinuousBackups"), 1, "{run}");
}

#[test]
fn a_requested_setting_that_is_unknown_is_reported_even_if_quiet() {
    let engine = films();
    let proxy = Proxy::with_rules(&engine, [always("ListTagsOfResource", DENIED)]);
    let project = dumped(&proxy);
    project
        .restoredb(["--source=out", "--table=copy", "--quiet"])
        .exits(0);
    project
        .restoredb(["--source=out", "--table=third", "--quiet", "--with=tags"])
        .exits(3)
        .says("tags was not applied: not captured: AccessDenied");
}

#[test]
fn a_requested_setting_that_an_existing_table_lacks_is_reported() {
    let engine = films();
    let project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);
    let copy = ["--source=out", "--table=copy", "--yes", "--quiet"];
    project
        .restoredb(copy.into_iter().chain(["--without=ttl"]))
        .exits(0);
    project
        .restoredb(copy.into_iter().chain(["--with=ttl"]))
        .exits(3)
        .says("TTL on attribute expires was not applied")
        .says("--apply-settings");
    project
        .restoredb(copy.into_iter().chain(["--with=ttl", "--apply-settings"]))
        .exits(0);
    project
        .restoredb(copy.into_iter().chain(["--with=ttl"]))
        .exits(0);
}

fn with_kms_key(answer: &mut Value) {
    in_the_account(answer);
    if let Some(table) = answer.get_mut("Table") {
        let key = format!("arn:aws:kms:eu-central-1:{ACCOUNT}:key/1234");
        table["SSEDescription"] =
            json!({"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": key});
    }
}

fn key_of_aws(request: &Value) -> Value {
    json!({"KeyMetadata": {"KeyId": "1234", "Arn": request["KeyId"], "KeyManager": "AWS"}})
}

#[test]
fn a_key_that_aws_manages_is_recorded_and_replaced_by_that_of_the_target() {
    let engine = films();
    let rules = [
        always("DescribeTable", Fault::Changed(with_kms_key)),
        always("DescribeKey", Fault::Answered(key_of_aws)),
    ];
    let proxy = Proxy::with_rules(&engine, rules);
    let project = dumped(&proxy);
    let schema = project.json("out/table-schema.json");
    assert_eq!(schema["EncryptionKey"]["KeyManager"], "AWS", "{schema:#}");

    let (run, calls) = restored(&project, &proxy, ["--table=copy"]);
    drop(run.exits(0));
    let create = position(&calls, "creation", |call| call.operation == "CreateTable");
    assert_eq!(
        calls[create].body["SSESpecification"],
        json!({"Enabled": true, "SSEType": "KMS"})
    );
}

/// Protects `films`, and gives every table a replica in this state.
fn with_replica(answer: &mut Value, status: &str) {
    if let Some(table) = answer.get_mut("Table") {
        if table["TableName"] == "films" {
            table["DeletionProtectionEnabled"] = true.into();
        }

        table["Replicas"] = json!([{"RegionName": "ap-south-1", "ReplicaStatus": status}]);
    }
}

fn replicated(answer: &mut Value) {
    with_replica(answer, "ACTIVE");
}

fn replicating(answer: &mut Value) {
    with_replica(answer, "CREATING");
}

#[test]
fn replicas_are_created_last_and_waited_for_by_their_status_without_a_limit() {
    let engine = films();
    let answer = Fault::Answered(
        |request| json!({"TableDescription": {"TableName": request["TableName"], "TableStatus": "UPDATING", "KeySchema": [], "AttributeDefinitions": []}}),
    );
    let replica = with_text("UpdateTable", "ReplicaUpdates", answer);
    let active = always("DescribeTable", Fault::Changed(replicated));
    let proxy = Proxy::with_rules(&engine, [replica.clone(), active.clone()]);
    let project = dumped(&proxy);
    let flags = ["--with=replicas", "--give-up-after=1s"];
    let before = proxy.count("DescribeTable");
    let (run, _) = restored(&project, &proxy, flags.into_iter().chain(["--table=third"]));
    drop(run.exits(0));
    let descriptions = proxy.count("DescribeTable") - before;

    let creating = calls(
        "DescribeTable",
        1..=descriptions + 8,
        Fault::Changed(replicating),
    );
    let proxy = Proxy::with_rules(&engine, [replica, creating, active]);
    let project = project.environment("local", proxy.url(), "films");
    let (run, calls) = restored(&project, &proxy, flags.into_iter().chain(["--table=copy"]));
    let run = run.exits(0);
    assert!(proxy.count("DescribeTable") > descriptions + 8, "{run}");
    assert_eq!(outcome(&run, "replicas")[0].0, "applied");

    let is_replica = |call: &Call| call.body.get("ReplicaUpdates").is_some();
    let protection = position(&calls, "deletion protection", is_protection);
    assert_eq!(protection + 1, position(&calls, "replica", is_replica));
    assert_eq!(calls.len(), protection + 3);
    assert_eq!(calls[protection + 2].operation, "UntagResource");
}

/// A dump of a table with a KMS key, and a proxy that refuses to create a table with it.
fn with_key() -> (Engine, Proxy, Project) {
    let engine = films();
    let project = Project::on(&engine, "films");
    project.dumpdb(["--output=out"]).exits(0);
    let refused = Fault::Refused(
        "ValidationException",
        "KMS key alias/films is not accessible (SSESpecification)",
    );
    let proxy = Proxy::with_rules(
        &engine,
        [with_text("CreateTable", "SSESpecification", refused)],
    );

    (engine, proxy, project)
}

/// Restores the table with its key into `copy` behind `url`.
fn restore_with_key(project: Project, url: &str, flag: &str) -> Run {
    let project = project.environment("dev", url, "copy");
    project.restoredb([
        "--source=out",
        "--env=dev",
        "--set=kms-key=alias/films",
        "--yes",
        flag,
    ])
}

#[test]
fn a_remote_table_is_not_created_without_the_encryption_that_was_refused() {
    let (engine, proxy, project) = with_key();
    let distant = proxy.url().replace("127.0.0.1", "0.0.0.0");
    let run = restore_with_key(project, &distant, "--verbose")
        .exits(1)
        .says("KMS key alias/films is not accessible");
    assert_eq!(
        (proxy.count("CreateTable"), proxy.count("BatchWriteItem")),
        (1, 0),
        "{run}"
    );

    assert!(engine.client().describe("copy").is_none());
}

#[test]
fn the_plan_warns_that_a_local_table_may_not_be_encrypted() {
    const WARNING: &str = "[WARNING] A local endpoint may not support encryption.";

    let (engine, proxy, project) = with_key();
    let (local, distant) = (
        proxy.url().to_owned(),
        proxy.url().replace("127.0.0.1", "0.0.0.0"),
    );
    let project = project.environment("qa-1", &distant, "copy");
    let arguments = [
        "--source=out",
        "--env=qa-1",
        "--allow-insecure-endpoint",
        "--set=kms-key=alias/films",
        "--dry-run",
    ];

    project.restoredb(arguments).exits(0).never_says(WARNING);
    let run = restore_with_key(project, &local, "--verbose")
        .exits(3)
        .says(WARNING);
    let run = run.says("KMS key alias/films is not accessible");
    assert_eq!(proxy.count("CreateTable"), 2, "{run}");
    assert_eq!(
        engine.client().items("copy"),
        engine.client().items("films")
    );
}
