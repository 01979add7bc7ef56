//! Round trips of table settings on any engine; settings that the engine lacks are listed.

use aws_sdk_dynamodb::types::{
    BillingMode, ContributorInsightsAction, GlobalSecondaryIndex, LocalSecondaryIndex,
    OnDemandThroughput, PointInTimeRecoverySpecification, Projection, ProjectionType,
    ScalarAttributeType, SseSpecification, SseType, StreamSpecification, StreamViewType,
    TableClass, Tag, TimeToLiveSpecification,
};

use crate::support::client::{Client, attribute, numbered, partition, poll, sort};
use crate::support::described::{Facts, everything};
use crate::support::engine::Engine;
use crate::support::project::Project;

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder()
        .key(key)
        .value(value)
        .build()
        .expect("key and value are given")
}

fn all_attributes() -> Projection {
    Projection::builder()
        .projection_type(ProjectionType::All)
        .build()
}

/// Creates a table with all that can be asked for at creation.
fn create_rich(client: &Client, table: &str) {
    let by_genre = GlobalSecondaryIndex::builder()
        .index_name("by-genre")
        .key_schema(partition("genre"));
    let maximum = |read, write| {
        OnDemandThroughput::builder()
            .max_read_request_units(read)
            .max_write_request_units(write)
            .build()
    };

    let by_genre = by_genre
        .projection(all_attributes())
        .on_demand_throughput(maximum(40, 20))
        .build();
    let by_year = LocalSecondaryIndex::builder()
        .index_name("by-year")
        .key_schema(partition("id"));
    let by_year = by_year
        .key_schema(sort("year"))
        .projection(all_attributes())
        .build();
    client.create(table, |create| {
        create
            .billing_mode(BillingMode::PayPerRequest)
            .on_demand_throughput(maximum(100, 50))
            .attribute_definitions(attribute("id", ScalarAttributeType::S))
            .attribute_definitions(attribute("text", ScalarAttributeType::S))
            .attribute_definitions(attribute("genre", ScalarAttributeType::S))
            .attribute_definitions(attribute("year", ScalarAttributeType::N))
            .key_schema(partition("id"))
            .key_schema(sort("text"))
            .global_secondary_indexes(by_genre.expect("name and key are given"))
            .local_secondary_indexes(by_year.expect("name and key are given"))
            .table_class(TableClass::StandardInfrequentAccess)
            .sse_specification(
                SseSpecification::builder()
                    .enabled(true)
                    .sse_type(SseType::Kms)
                    .build(),
            )
            .tags(tag("owner", "film archive"))
            .tags(tag("stage", "prod ü"))
    });
}

/// Asks for every setting that comes after creation. An engine may refuse any of them.
fn add_settings(client: &Client, table: &str) {
    let arn = client
        .describe(table)
        .and_then(|table| table.table_arn)
        .expect("a table has an ARN");
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewImage)
        .build();
    let stream = stream.expect("the switch is given");
    let _ = client.ask(|sdk| {
        sdk.update_table()
            .table_name(table)
            .stream_specification(stream)
            .send()
    });

    client.wait_until_active(table);
    let ttl = TimeToLiveSpecification::builder()
        .enabled(true)
        .attribute_name("expires")
        .build();
    let ttl = ttl.expect("switch and attribute are given");
    let _ = client.ask(|sdk| {
        sdk.update_time_to_live()
            .table_name(table)
            .time_to_live_specification(ttl)
            .send()
    });

    let pitr = PointInTimeRecoverySpecification::builder().point_in_time_recovery_enabled(true);
    let pitr = pitr
        .recovery_period_in_days(7)
        .build()
        .expect("the switch is given");
    let _ = client.ask(|sdk| {
        sdk.update_continuous_backups()
            .table_name(table)
            .point_in_time_recovery_specification(pitr)
            .send()
    });

    for index in [None, Some("by-genre".to_owned())] {
        let enable = ContributorInsightsAction::Enable;
        let _ = client.ask(|sdk| {
            let call = sdk
                .update_contributor_insights()
                .table_name(table)
                .set_index_name(index);
            call.contributor_insights_action(enable).send()
        });
    }

    let policy = serde_json::json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "dynamodb:GetItem", "Resource": &arn,
    }]});
    let _ = client.ask(|sdk| {
        sdk.put_resource_policy()
            .resource_arn(&arn)
            .policy(policy.to_string())
            .send()
    });

    let kinesis = "arn:aws:kinesis:eu-central-1:000000000000:stream/clicks";
    let _ = client.ask(|sdk| {
        sdk.enable_kinesis_streaming_destination()
            .table_name(table)
            .stream_arn(kinesis)
            .send()
    });

    let _ = client.ask(|sdk| {
        sdk.update_table()
            .table_name(table)
            .deletion_protection_enabled(true)
            .send()
    });

    client.wait_until_active(table);
}

/// A table with everything the engine can do, and its dump in `out`.
fn rich() -> (Engine, Client, String, Project) {
    let engine = Engine::any();
    let table = engine.table("films");
    let client = engine.client();
    create_rich(&client, &table);
    add_settings(&client, &table);
    client.put(&table, numbered(30));
    let project = Project::on(&engine, &table);
    project.dumpdb(["--output=out"]).exits(0);

    (engine, client, table, project)
}

/// Requests the settings that are bound to an account, as far as the engine has them.
fn with_bound(engine: &Engine) -> &'static str {
    if engine.can().has_policies {
        "--with=kms,policy,kinesis"
    } else {
        "--with=kms"
    }
}

/// What two tables do not have in common.
fn differing(one: &Facts, other: &Facts) -> Vec<String> {
    let names = one
        .keys()
        .chain(other.keys())
        .collect::<std::collections::BTreeSet<_>>();
    let lines = names
        .into_iter()
        .filter(|name| one.get(*name) != other.get(*name));
    lines
        .map(|name| format!("{name}: {:?} / {:?}", one.get(name), other.get(name)))
        .collect()
}

#[test]
fn everything_comes_back() {
    let (engine, client, table, project) = rich();
    let before = everything(&client, &table);
    if engine.can().keeps_settings {
        for name in [
            "TTL",
            "tag owner",
            "stream",
            "class",
            "encryption",
            "deletion protection",
            "maximum",
        ] {
            assert!(
                before.contains_key(name),
                "{name} is missing before the dump: {before:#?}"
            );
        }
    }

    let copy = engine.table("copy");
    project
        .restoredb(["--source=out", "--table", &copy, with_bound(&engine)])
        .exits(0);

    assert_eq!(
        differing(&before, &everything(&client, &copy)),
        Vec::<String>::new()
    );
    assert_eq!(client.items(&copy), client.items(&table));

    client.delete_if_there(&table);
    poll("the table is gone", || client.describe(&table).is_none());
    project
        .restoredb(["--source=out", with_bound(&engine)])
        .exits(0);
    assert_eq!(
        differing(&before, &everything(&client, &table)),
        Vec::<String>::new()
    );
}

#[test]
fn what_is_bound_to_an_account_is_skipped_and_named() {
    let (engine, client, table, project) = rich();
    let before = everything(&client, &table);
    let copy = engine.table("copy");
    let run = project
        .restoredb(["--source=out", "--table", &copy, "--json"])
        .exits(0);
    let after = everything(&client, &copy);
    let (report, lacking) = (run.report(), differing(&before, &after));
    for name in ["policy", "kinesis", "encryption"] {
        let lost = lacking.iter().any(|line| line.starts_with(name));
        assert_eq!(
            lost,
            before.keys().any(|fact| fact.starts_with(name)),
            "{name}: {lacking:#?}"
        );

        let setting = if name == "encryption" { "kms" } else { name };
        let settings = report["summary"]["settings"]
            .as_array()
            .expect("settings are listed");
        let named = settings
            .iter()
            .any(|one| one["setting"] == setting && one["result"] == "skipped");
        assert!(named || !lost, "{name}: {report:#}");
    }

    let others = lacking.iter().filter(|line| {
        !["policy", "kinesis", "encryption"]
            .iter()
            .any(|n| line.starts_with(n))
    });

    assert_eq!(others.collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn settings_are_left_out_on_request() {
    let (engine, client, table, project) = rich();
    let before = everything(&client, &table);
    let copy = engine.table("copy");
    let flags = [
        with_bound(&engine),
        "--without=ttl,tags,stream,deletion-protection",
    ];
    project
        .restoredb(["--source=out", "--table", &copy].into_iter().chain(flags))
        .exits(0);
    let lacking = differing(&before, &everything(&client, &copy));
    let names: Vec<_> = lacking
        .iter()
        .map(|line| line.split(": ").next().unwrap_or_default())
        .collect();
    let wanted: Vec<_> = before
        .keys()
        .filter(|name| {
            ["TTL", "stream", "deletion protection"].contains(&name.as_str())
                || name.starts_with("tag ")
        })
        .collect();

    assert_eq!(names, wanted);
}

#[test]
fn a_table_that_exists_keeps_its_settings_unless_asked() {
    let (engine, client, table, project) = rich();
    let wanted = everything(&client, &table);
    let copy = engine.table("copy");
    let flags = [
        "--without=stream,ttl,pitr,insights,deletion-protection",
        with_bound(&engine),
    ];
    project
        .restoredb(["--source=out", "--table", &copy].into_iter().chain(flags))
        .exits(0);
    let bare = everything(&client, &copy);
    project
        .restoredb(["--source=out", "--table", &copy])
        .exits(0);
    assert_eq!(
        differing(&bare, &everything(&client, &copy)),
        Vec::<String>::new()
    );
    project
        .restoredb(["--source=out", "--table", &copy, "--apply-settings"])
        .exits(0);
    assert_eq!(
        differing(&wanted, &everything(&client, &copy)),
        Vec::<String>::new()
    );
    let plan = project
        .restoredb(["--source=out", "--table", &copy, "--dry-run", "--json"])
        .exits(0)
        .report();
    assert_eq!(
        plan["plan"]["differences"],
        serde_json::json!([]),
        "nothing differs: {plan:#}"
    );

    // Everything is there now: nothing is left to do, and doing it again is no error.
    project
        .restoredb(["--source=out", "--table", &copy, "--apply-settings"])
        .exits(0);
    assert_eq!(
        differing(&wanted, &everything(&client, &copy)),
        Vec::<String>::new()
    );
}
