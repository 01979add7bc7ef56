use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::schema::{
    Captured, Operation, Overrides, Progress, STREAM_ARN, Section, Setting, SettingCall,
    SettingChoice, SettingsPlan, TABLE_ARN, TableSchema, differences,
};

const EVERYTHING: &str = include_str!("../samples/everything.json");
const BARE: &str = include_str!("../samples/provisioned.json");

fn parse(document: &str) -> TableSchema {
    TableSchema::parse(document.as_bytes()).unwrap()
}

/// The sample with the value at `pointer` set.
fn with(pointer: &str, value: Value) -> TableSchema {
    let mut document: Value = serde_json::from_str(EVERYTHING).unwrap();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[field] = value;

    parse(&document.to_string())
}

fn setting(name: &str) -> Setting {
    name.parse().unwrap()
}

fn section(name: &str) -> Section {
    let mut sections = Section::all().into_iter();
    sections.find(|section| section.name() == name).unwrap()
}

fn every_setting() -> Vec<Setting> {
    Setting::choices().collect()
}

fn choice(with: &[Setting], without: &[Setting], first: &[Setting]) -> SettingChoice {
    SettingChoice {
        with: with.to_vec(),
        without: without.to_vec(),
        first: first.to_vec(),
        ..SettingChoice::default()
    }
}

fn copied(schema: &TableSchema, choice: &SettingChoice) -> SettingsPlan {
    schema.settings_plan("copy", choice, false, None)
}

fn restored(schema: &TableSchema) -> SettingsPlan {
    schema.settings_plan("music", &SettingChoice::default(), true, None)
}

fn creation(schema: &TableSchema, choice: &SettingChoice, same_table: bool) -> Value {
    serde_json::from_slice(&schema.creation("copy", choice, same_table).unwrap().body).unwrap()
}

fn body(call: &SettingCall) -> Value {
    serde_json::from_str(&call.body).unwrap()
}

fn bodies(calls: &[SettingCall], setting: Setting) -> Vec<Value> {
    calls
        .iter()
        .filter(|call| call.setting == setting)
        .map(body)
        .collect()
}

fn whats(calls: &[SettingCall]) -> Vec<&str> {
    calls.iter().map(|call| call.what.as_str()).collect()
}

fn skipped(plan: &SettingsPlan) -> Vec<(Setting, &str)> {
    plan.skipped
        .iter()
        .map(|skipped| (skipped.setting, skipped.what.as_str()))
        .collect()
}

mod list {
    use super::*;
    use crate::schema::When;
    use crate::schema::settings::spec::{DefaultRule, SettingSpec};
    use crate::schema::settings::{SETTINGS, in_order_of_application};

    #[test]
    fn each_setting_is_applied_after_those_that_it_comes_after() {
        let order: Vec<_> = in_order_of_application()
            .iter()
            .map(|spec| spec.name)
            .collect();
        assert_eq!(order.len(), SETTINGS.len());

        let position = |name: &str| order.iter().position(|other| *other == name);
        for spec in SETTINGS {
            for earlier in spec.comes_after {
                assert!(position(earlier).expect(earlier) < position(spec.name).unwrap());
            }
        }
    }

    /// The row of a setting in the table of docs/settings.md.
    fn row(spec: &SettingSpec) -> String {
        let when = match spec.when {
            When::Creation => "with the table",
            When::Before => "before the items",
            When::Indexing | When::After => "after the items",
        };
        let by_default = match spec.default {
            DefaultRule::Applied => "every table",
            DefaultRule::SameTable(_) => "the dumped table itself",
            DefaultRule::Skipped(_) => "no table",
        };

        format!(
            "| `{}` | {} | {when} | {by_default} |",
            spec.name, spec.label
        )
    }

    #[test]
    fn the_documentation_lists_every_setting_and_section_in_order() {
        let file = |name: &str| {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
            std::fs::read_to_string(path).unwrap()
        };

        let rows: Vec<_> = in_order_of_application()
            .into_iter()
            .filter(|spec| spec.is_choice)
            .map(row)
            .collect();
        let rows = rows.join("\n");
        let page = "docs/settings.md";
        assert!(file(page).contains(&rows), "{page} lacks\n{rows}");

        let format = file("docs/FORMAT.md");
        let positions: Vec<_> = Section::all()
            .into_iter()
            .map(|section| format.find(&format!("\n| `{}` |", section.name())))
            .collect();
        assert!(positions.iter().all(Option::is_some) && positions.is_sorted());
    }

    #[test]
    fn names_labels_and_sections_are_unique() {
        let all_differ = |mut names: Vec<&str>| {
            let count = names.len();
            names.sort_unstable();
            names.dedup();
            names.len() == count
        };

        assert!(all_differ(SETTINGS.iter().map(|spec| spec.name).collect()));
        assert!(all_differ(SETTINGS.iter().map(|spec| spec.label).collect()));
        let sections = Section::all().into_iter();
        assert!(all_differ(sections.map(Section::name).collect()));
    }
}

mod order {
    use super::*;

    #[test]
    fn a_table_gets_all_of_its_settings_back_in_the_documented_order() {
        let plan = restored(&parse(EVERYTHING));
        let order: Vec<_> = plan
            .after
            .iter()
            .map(|call| (call.setting, call.operation))
            .collect();

        assert_eq!(
            order,
            [
                (setting("stream"), Operation::UPDATE_TABLE),
                (setting("ttl"), Operation::dynamodb("UpdateTimeToLive")),
                (
                    setting("pitr"),
                    Operation::dynamodb("UpdateContinuousBackups")
                ),
                (
                    setting("insights"),
                    Operation::dynamodb("UpdateContributorInsights")
                ),
                (
                    setting("insights"),
                    Operation::dynamodb("UpdateContributorInsights")
                ),
                (
                    setting("autoscaling"),
                    Operation::auto_scaling("RegisterScalableTarget")
                ),
                (
                    setting("autoscaling"),
                    Operation::auto_scaling("RegisterScalableTarget")
                ),
                (
                    setting("autoscaling"),
                    Operation::auto_scaling("PutScalingPolicy")
                ),
                (setting("policy"), Operation::dynamodb("PutResourcePolicy")),
                (setting("policy"), Operation::dynamodb("PutResourcePolicy")),
                (
                    setting("kinesis"),
                    Operation::dynamodb("EnableKinesisStreamingDestination")
                ),
                (setting("deletion-protection"), Operation::UPDATE_TABLE),
                (setting("replicas"), Operation::UPDATE_TABLE),
                (setting("replicas"), Operation::UPDATE_TABLE),
            ]
        );

        assert!(plan.before.is_empty());
        let at_creation: Vec<_> = plan.at_creation.iter().map(|call| call.setting).collect();

        assert_eq!(
            at_creation,
            [setting("class"), setting("kms"), setting("tags")]
        );
        assert_eq!(
            skipped(&plan)
                .iter()
                .map(|(setting, _)| *setting)
                .collect::<Vec<_>>(),
            [setting("warm-throughput")]
        );
    }

    #[test]
    fn some_come_before_the_items_when_asked_for() {
        let plan = copied(
            &parse(EVERYTHING),
            &choice(&[], &[], &[setting("ttl"), setting("stream")]),
        );
        assert_eq!(
            whats(&plan.before),
            ["stream NEW_IMAGE", "TTL on attribute expires"]
        );
        assert_eq!(plan.after[0].setting, setting("pitr"));
    }

    #[test]
    fn a_table_without_settings_needs_no_call() {
        let plan = restored(&parse(BARE));
        assert!(
            plan.before.is_empty()
                && plan.after.is_empty()
                && plan.skipped.is_empty()
                && plan.at_creation.is_empty()
        );
    }
}

mod rules {
    use super::*;

    #[test]
    fn what_is_bound_to_the_source_does_not_follow_a_copy() {
        let plan = copied(&parse(EVERYTHING), &SettingChoice::default());
        assert_eq!(
            skipped(&plan),
            [
                (
                    setting("kms"),
                    "encryption with KMS key arn:aws:kms:eu-west-1:123456789012:key/here"
                ),
                (
                    setting("warm-throughput"),
                    "warm throughput 800 read units per second, warm throughput of index by-genre 900 read / 6 write units per second"
                ),
                (setting("policy"), "resource policies of table and stream"),
                (
                    setting("kinesis"),
                    "Kinesis destination arn:aws:kinesis:eu-west-1:123456789012:stream/films"
                ),
                (setting("replicas"), "replicas in ap-south-1, us-east-1"),
            ]
        );

        for skipped in &plan.skipped {
            assert!(
                skipped
                    .reason
                    .ends_with(&format!("; `settings.with` {} applies it", skipped.setting)),
                "{}",
                skipped.reason
            );
        }

        let is_skipped = |call: &SettingCall| {
            skipped(&plan)
                .iter()
                .any(|(other, _)| *other == call.setting)
        };
        assert!(!plan.after.iter().any(is_skipped));
        assert!(
            !plan.after.iter().any(|call| call.body.contains("arn:")),
            "nothing names the source's account"
        );
    }

    #[test]
    fn with_and_without_decide_otherwise() {
        let schema = parse(EVERYTHING);
        let all = copied(&schema, &choice(&every_setting(), &[], &[]));
        assert!(all.skipped.is_empty());
        assert!(
            all.after
                .iter()
                .any(|call| call.setting == setting("replicas"))
        );

        let none = schema.settings_plan("music", &choice(&[], &every_setting(), &[]), true, None);
        assert!(none.before.is_empty() && none.after.is_empty() && none.at_creation.is_empty());
        assert_eq!(none.skipped.len(), every_setting().len());
        assert!(
            none.skipped
                .iter()
                .all(|skipped| skipped.reason == "excluded by `settings.without`")
        );
    }

    #[test]
    fn creation_and_plan_agree_about_what_is_left_out() {
        let schema = parse(EVERYTHING);
        let fields = |choice: &SettingChoice, same_table| {
            let body = creation(&schema, choice, same_table);
            let there = ["TableClass", "SSESpecification", "Tags", "WarmThroughput"]
                .map(|field| body.get(field).is_some());
            let plan = schema.settings_plan("copy", choice, same_table, None);
            let named = [
                setting("class"),
                setting("kms"),
                setting("tags"),
                setting("warm-throughput"),
            ]
            .map(|setting| plan.at_creation.iter().any(|call| call.setting == setting));

            let optional = schema
                .creation("copy", choice, same_table)
                .unwrap()
                .optional
                .len();

            assert_eq!(
                (there, there.iter().filter(|is| **is).count()),
                (named, optional)
            );
            there
        };

        assert_eq!(
            fields(&SettingChoice::default(), false),
            [true, false, true, false]
        );
        assert_eq!(
            fields(&SettingChoice::default(), true),
            [true, true, true, false]
        );
        assert_eq!(
            fields(&choice(&every_setting(), &[], &[]), false),
            [true; 4]
        );
        assert_eq!(
            fields(&choice(&[], &every_setting(), &[]), true),
            [false; 4]
        );
    }

    #[test]
    fn what_was_not_captured_is_named_with_the_reason() {
        let sections = Section::all().into_iter().map(|section| {
            (
                section,
                Captured::NotCaptured {
                    reason: "AccessDenied: \"no\"".to_owned(),
                    is_unsupported: false,
                    is_denied: false,
                },
            )
        });

        let plan = restored(&parse(EVERYTHING).with_sections(sections.collect()));
        let lost: Vec<_> = plan
            .skipped
            .iter()
            .filter(|skipped| skipped.setting != setting("warm-throughput"))
            .collect();

        // Without its metadata, the key counts as a customer's.
        assert_eq!(lost.len(), Section::all().len() - 1);

        for skipped in lost {
            assert_eq!(skipped.reason, "not captured: AccessDenied: \"no\"");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (section, what) in [
            ("/TimeToLive", "TTL"),
            ("/Tags", "tags"),
            ("/ContinuousBackups", "PITR"),
            ("/ResourcePolicy", "resource policy"),
            ("/AutoScaling", "auto scaling"),
            ("/ContributorInsights", "contributor insights"),
            ("/KinesisDestinations", "Kinesis destinations"),
            ("/Table/Replicas", "replicas"),
        ] {
            let plan = restored(&with(section, json!("gibberish")));
            let found = plan
                .skipped
                .iter()
                .find(|skipped| skipped.what == what)
                .expect(section);

            assert!(
                found.reason.contains("cannot read"),
                "{section}: {}",
                found.reason
            );
        }
    }

    #[test]
    fn a_stream_policy_needs_a_stream() {
        let plan = parse(EVERYTHING).settings_plan(
            "music",
            &choice(&[], &[setting("stream")], &[]),
            true,
            None,
        );

        assert_eq!(bodies(&plan.after, setting("policy")).len(), 1);
        assert!(skipped(&plan).contains(&(setting("policy"), "resource policy of the stream")));
    }

    #[test]
    fn the_same_table_is_one_in_account_region_and_name() {
        let schema = parse(EVERYTHING);
        let same = |account, region, table| schema.same_table(account, region, table);
        assert!(same(Some("123456789012"), Some("eu-west-1"), "music"));
        assert!(!same(Some("123456789012"), Some("eu-west-1"), "copy"));
        assert!(!same(Some("123456789012"), Some("us-east-1"), "music"));
        assert!(!same(Some("210987654321"), Some("eu-west-1"), "music"));
        assert!(
            !same(None, Some("eu-west-1"), "music") && !same(Some("123456789012"), None, "music")
        );
        let engine = |arn: &str| {
            with("/Table/TableArn", json!(arn)).same_table(
                Some("000000000000"),
                Some("us-east-1"),
                "music",
            )
        };

        assert!(engine(
            "arn:aws:dynamodb:us-east-1:000000000000:table/music"
        ));
        assert!(!engine(
            "arn:aws:dynamodb:ddblocal:000000000000:table/music"
        ));
        assert!(!with("/Table/TableArn", Value::Null).same_table(None, None, "music"));
    }
}

mod calls {
    use super::*;

    #[test]
    fn simple_settings_equal_those_of_the_dump() {
        let plan = copied(&parse(EVERYTHING), &SettingChoice::default());
        let one = |setting| bodies(&plan.after, setting);
        let stream = json!({"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"});
        assert_eq!(
            one(setting("stream")),
            [json!({"TableName": "copy", "StreamSpecification": stream})]
        );
        let ttl = json!({"Enabled": true, "AttributeName": "expires"});
        assert_eq!(
            one(setting("ttl")),
            [json!({"TableName": "copy", "TimeToLiveSpecification": ttl})]
        );
        let recovery = json!({"PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": 35});
        assert_eq!(
            one(setting("pitr")),
            [json!({"TableName": "copy", "PointInTimeRecoverySpecification": recovery})]
        );
        assert_eq!(
            one(setting("insights")),
            [
                json!({"TableName": "copy", "ContributorInsightsAction": "ENABLE", "ContributorInsightsMode": "THROTTLED_KEYS"}),
                json!({"TableName": "copy", "IndexName": "by-genre", "ContributorInsightsAction": "ENABLE"}),
            ]
        );

        assert_eq!(
            one(setting("deletion-protection")),
            [json!({"TableName": "copy", "DeletionProtectionEnabled": true})]
        );
    }

    #[test]
    fn auto_scaling_is_rewritten_for_the_target() {
        let schema = parse(EVERYTHING);
        let read = json!({
            "ServiceNamespace": "dynamodb", "ResourceId": "table/copy", "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
            "MinCapacity": 5, "MaxCapacity": 100,
        });
        let write = json!({
            "ServiceNamespace": "dynamodb", "ResourceId": "table/copy/index/by-genre",
            "ScalableDimension": "dynamodb:index:WriteCapacityUnits", "MinCapacity": 6, "MaxCapacity": 60,
            "SuspendedState": {"DynamicScalingInSuspended": true, "DynamicScalingOutSuspended": false, "ScheduledScalingSuspended": false},
        });

        let plan = copied(&schema, &SettingChoice::default());
        let calls = bodies(&plan.after, setting("autoscaling"));
        assert_eq!(calls[..2], [read.clone(), write]);
        let policy = plan
            .after
            .iter()
            .find(|call| call.operation == Operation::auto_scaling("PutScalingPolicy"))
            .unwrap();

        assert!(
            policy.body.contains(r#""TargetValue":70.00,"#),
            "the configuration is verbatim: {}",
            policy.body
        );

        assert!(policy.body.contains(r#""ResourceId":"table/copy""#));
        assert!(!policy.body.contains("Alarm") && !policy.body.contains("PolicyARN"));

        let own = bodies(&restored(&schema).after, setting("autoscaling"));
        assert_eq!(own[0]["RoleARN"], "arn:aws:iam::123456789012:role/scaler");
        assert_eq!(own[1].get("RoleARN"), None, "AWS finds its own role");
    }

    #[test]
    fn auto_scaling_needs_capacity_and_the_index() {
        let plan = restored(&with(
            "/Table/BillingModeSummary",
            json!({"BillingMode": "PAY_PER_REQUEST"}),
        ));
        assert!(bodies(&plan.after, setting("autoscaling")).is_empty());
        assert!(
            skipped(&plan)
                .contains(&(setting("autoscaling"), "auto scaling (2 targets, 1 policy)"))
        );
        let plan = restored(&with("/Table/GlobalSecondaryIndexes", json!([])));
        assert_eq!(bodies(&plan.after, setting("autoscaling")).len(), 2);
        assert!(skipped(&plan).contains(&(
            setting("autoscaling"),
            "auto scaling of table/music/index/by-genre"
        )));
        assert!(skipped(&plan).contains(&(
            setting("insights"),
            "contributor insights of index by-genre"
        )));
    }

    #[test]
    fn policies_name_the_target() {
        let policies = bodies(&restored(&parse(EVERYTHING)).after, setting("policy"));
        let text = |policy: &Value| {
            serde_json::from_str::<Value>(policy["Policy"].as_str().unwrap()).unwrap()
        };
        assert_eq!(policies[0]["ResourceArn"], TABLE_ARN);
        let other = "arn:aws:dynamodb:eu-west-1:123456789012:table/music-old";
        assert_eq!(
            text(&policies[0])["Statement"][0]["Resource"],
            json!([TABLE_ARN, format!("{TABLE_ARN}/index/*"), other])
        );
        assert_eq!(policies[1]["ResourceArn"], STREAM_ARN);
        assert_eq!(text(&policies[1])["Resource"], STREAM_ARN);
    }

    #[test]
    fn only_active_streams_are_fed_and_every_replica_is_made() {
        let plan = restored(&parse(EVERYTHING));
        assert_eq!(
            bodies(&plan.after, setting("kinesis")),
            [json!({
                "TableName": "music", "StreamArn": "arn:aws:kinesis:eu-west-1:123456789012:stream/films",
                "EnableKinesisStreamingConfiguration": {"ApproximateCreationDateTimePrecision": "MICROSECOND"},
            })]
        );

        let full = json!({
            "RegionName": "us-east-1", "KMSMasterKeyId": "arn:aws:kms:us-east-1:123456789012:key/there",
            "ProvisionedThroughputOverride": {"ReadCapacityUnits": 11}, "TableClassOverride": "STANDARD",
            "GlobalSecondaryIndexes": [
                {"IndexName": "by-genre", "ProvisionedThroughputOverride": {"ReadCapacityUnits": 12}},
            ],
        });

        assert_eq!(
            bodies(&plan.after, setting("replicas")),
            [
                json!({"TableName": "music", "ReplicaUpdates": [{"Create": full}]}),
                json!({"TableName": "music", "ReplicaUpdates": [{"Create": {"RegionName": "ap-south-1"}}]}),
            ]
        );

        let elsewhere = copied(
            &parse(EVERYTHING),
            &choice(&[setting("replicas")], &[], &[]),
        );
        assert!(
            !elsewhere
                .after
                .iter()
                .any(|call| call.body.contains("KMSMasterKeyId"))
        );
    }

    #[test]
    fn a_call_is_shown_by_a_table_with_what_it_requests() {
        let dump = parse(EVERYTHING);
        let plan = restored(&dump);
        for call in plan.at_creation.iter().chain(&plan.after) {
            assert!(call.is_shown_by(&dump), "{}", call.what);
        }

        let bare = parse(BARE);
        let calls = plan.at_creation.iter().chain(&plan.after);
        let shown: Vec<_> = calls
            .filter(|call| call.waits_for_active() && call.is_shown_by(&bare))
            .collect();
        assert_eq!(shown, Vec::<&SettingCall>::new());
    }

    #[test]
    fn the_standard_class_is_shown_by_a_table_that_has_it() {
        let mut document: Value = serde_json::from_str(EVERYTHING).unwrap();
        document["Table"]["TableClassSummary"] = Value::Null;
        let standard = parse(&document.to_string());
        let plan = standard.settings_plan(
            "music",
            &SettingChoice::default(),
            true,
            Some(&parse(EVERYTHING)),
        );

        let [call] = &plan.after[..] else {
            panic!("{:?}", whats(&plan.after))
        };
        assert_eq!(call.what, "table class STANDARD");
        assert!(call.is_shown_by(&standard) && !call.is_shown_by(&parse(EVERYTHING)));
    }

    #[test]
    fn the_progress_of_a_replica_is_its_status() {
        let plan = restored(&parse(EVERYTHING));
        let call = plan
            .after
            .iter()
            .find(|call| call.adds.as_deref() == Some("ap-south-1"))
            .unwrap();

        let progress = |replica: Value| call.progress(&with("/Table/Replicas", json!([replica])));
        let replica = |status: &str| json!({"RegionName": "ap-south-1", "ReplicaStatus": status, "ReplicaStatusPercentProgress": "35%", "ReplicaStatusDescription": "no key"});
        assert_eq!(progress(replica("ACTIVE")), Some(Progress::Settled));
        assert_eq!(
            progress(replica("CREATING")),
            Some(Progress::Pending(
                "replica in ap-south-1 is CREATING (35%)".to_owned()
            ))
        );
        assert_eq!(
            progress(replica("CREATION_FAILED")),
            Some(Progress::Failed(
                "replica in ap-south-1 is CREATION_FAILED (no key)".to_owned()
            ))
        );
        assert_eq!(
            progress(json!({"RegionName": "us-east-1", "ReplicaStatus": "CREATING"})),
            Some(Progress::Settled)
        );
    }

    #[test]
    fn creation_holds_key_class_tags_and_warmth() {
        let schema = parse(EVERYTHING);
        let body = creation(
            &schema,
            &choice(&[setting("kms"), setting("warm-throughput")], &[], &[]),
            false,
        );

        let key = "arn:aws:kms:eu-west-1:123456789012:key/here";
        assert_eq!(
            body["SSESpecification"],
            json!({"Enabled": true, "SSEType": "KMS", "KMSMasterKeyId": key})
        );
        assert_eq!(body["TableClass"], "STANDARD_INFREQUENT_ACCESS");
        assert_eq!(
            body["Tags"],
            json!([{"Key": "cost", "Value": "42"}, {"Key": "team", "Value": "films"}])
        );
        assert_eq!(
            body["WarmThroughput"],
            json!({"ReadUnitsPerSecond": 800}),
            "never zero"
        );

        let warm = json!({"ReadUnitsPerSecond": 900, "WriteUnitsPerSecond": 6});
        assert_eq!(body["GlobalSecondaryIndexes"][0]["WarmThroughput"], warm);
    }

    #[test]
    fn a_key_that_aws_manages_is_that_of_any_account() {
        let managed = parse(EVERYTHING).with_sections(vec![(
            section("EncryptionKey"),
            Captured::Document(
                RawValue::from_string(r#"{"KeyId":"k","KeyManager":"AWS"}"#.to_owned()).unwrap(),
            ),
        )]);

        let body = creation(&managed, &SettingChoice::default(), false);
        assert_eq!(
            body["SSESpecification"],
            json!({"Enabled": true, "SSEType": "KMS"})
        );
        let plan = copied(&managed, &choice(&[setting("replicas")], &[], &[]));
        let encryption = plan
            .at_creation
            .iter()
            .find(|call| call.setting == Setting::KMS);
        assert_eq!(
            encryption.unwrap().what,
            "encryption with AWS-managed KMS key"
        );
        assert!(
            plan.skipped
                .iter()
                .all(|skipped| skipped.setting != Setting::KMS)
        );
        assert!(
            plan.after
                .iter()
                .all(|call| !call.body.contains("KMSMasterKeyId"))
        );

        let left_out = copied(&managed, &choice(&[], &[Setting::KMS], &[]));
        assert!(
            left_out
                .skipped
                .iter()
                .any(|skipped| skipped.setting == Setting::KMS)
        );

        let unknown = parse(EVERYTHING).with_sections(vec![(
            section("EncryptionKey"),
            Captured::NotCaptured {
                reason: "AccessDenied".to_owned(),
                is_unsupported: false,
                is_denied: false,
            },
        )]);
        let body = creation(&unknown, &SettingChoice::default(), false);
        assert!(
            body.get("SSESpecification").is_none(),
            "it may be a customer's"
        );
    }

    #[test]
    fn an_optional_field_can_be_removed() {
        let schema = parse(EVERYTHING);
        let mut request = schema
            .creation("copy", &choice(&every_setting(), &[], &[]), true)
            .unwrap();
        let plain = schema
            .creation("copy", &choice(&[], &every_setting(), &[]), true)
            .unwrap();
        for (setting, field) in request.optional.clone() {
            request = request.without(field);
            assert!(!request.optional.iter().any(|(left, _)| *left == setting));
        }

        assert_eq!(request, plain);
    }
}

proptest! {
    #[test]
    fn no_document_panics(position in 0..EVERYTHING.len(), byte: u8) {
        let mut document = EVERYTHING.as_bytes().to_vec();
        document[position] = byte;
        if let Ok(schema) = TableSchema::parse(&document) {
            let whole = parse(EVERYTHING);
            let all = choice(&every_setting(), &[], &[]);
            let _ = (schema.outline(), schema.not_captured(), differences(&schema, &whole));
            let _ = schema.creation("t", &all, true).map(|request| request.without("WarmThroughput"));
            for call in schema.settings_plan("t", &all, true, Some(&whole)).after {
                prop_assert!(serde_json::from_str::<Value>(&call.body).is_ok());
            }
            let overrides = Overrides { read_capacity: Some(1), no_tags: true, ..Overrides::default() };
            let _ = schema.overridden(&overrides);
        }
    }
}

mod existing {
    use super::*;

    fn applied(dump: &TableSchema, table: &TableSchema) -> SettingsPlan {
        dump.settings_plan("music", &SettingChoice::default(), true, Some(table))
    }

    #[test]
    fn what_is_there_already_needs_no_call() {
        let plan = applied(&parse(EVERYTHING), &parse(EVERYTHING));
        assert_eq!(
            (plan.before.len(), plan.after.len(), plan.skipped.len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn an_index_that_is_missing_or_being_deleted_is_created_under_the_new_billing() {
        let mut table: Value = serde_json::from_str(EVERYTHING).unwrap();
        let indexes = table["Table"]["GlobalSecondaryIndexes"].take();
        let names: Vec<_> = indexes.as_array().unwrap().iter().collect();
        let names: Vec<_> = names.iter().map(|index| &index["IndexName"]).collect();
        table["Table"]["ProvisionedThroughput"]["ReadCapacityUnits"] = json!(50);

        let mut deleting = table.clone();
        deleting["Table"]["GlobalSecondaryIndexes"] = indexes.clone();
        for index in deleting["Table"]["GlobalSecondaryIndexes"]
            .as_array_mut()
            .unwrap()
        {
            index["IndexStatus"] = json!("DELETING");
        }

        for table in [table, deleting] {
            let plan = applied(&parse(EVERYTHING), &parse(&table.to_string()));
            let settings: Vec<_> = plan.indexing.iter().map(|call| call.setting).collect();
            assert_eq!(settings[0], Setting::BILLING);
            assert!(
                settings[1..]
                    .iter()
                    .all(|setting| *setting == Setting::INDEXES)
            );

            let created = bodies(&plan.indexing, Setting::INDEXES);
            let created: Vec<_> = created
                .iter()
                .map(|body| &body["GlobalSecondaryIndexUpdates"][0]["Create"]["IndexName"])
                .collect();
            assert_eq!(created, names);
        }
    }

    #[test]
    fn only_what_differs_is_applied() {
        let mut document: Value = serde_json::from_str(EVERYTHING).unwrap();
        document["TimeToLive"] = json!({"TimeToLiveStatus": "DISABLED"});
        document["Tags"] = json!([{"Key": "team", "Value": "other"}, {"Key": "cost", "Value": "42"}, {"Key": "x", "Value": "y"}]);
        document["AutoScaling"]["ScalableTargets"][0]["MaxCapacity"] = json!(99);
        document["Table"]["TableClassSummary"] = Value::Null;
        document["Table"]["ProvisionedThroughput"]["ReadCapacityUnits"] = json!(50);
        document["Table"]["Replicas"] = json!([{"RegionName": "us-east-1"}]);
        let plan = applied(&parse(EVERYTHING), &parse(&document.to_string()));
        assert_eq!(
            [whats(&plan.indexing), whats(&plan.after)].concat(),
            [
                "billing provisioned 5 RCU / 4 WCU",
                "table class STANDARD_INFREQUENT_ACCESS",
                "1 tag",
                "TTL on attribute expires",
                "auto scaling of RCU of table/music between 5 and 100",
                "replica in ap-south-1",
            ]
        );

        let tag = json!({"ResourceArn": TABLE_ARN, "Tags": [{"Key": "team", "Value": "films"}]});
        assert_eq!(bodies(&plan.after, setting("tags")), [tag]);
        let capacity = json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": 4});
        assert_eq!(
            bodies(&plan.indexing, Setting::BILLING),
            [json!({"TableName": "music", "ProvisionedThroughput": capacity})]
        );
        assert!(plan.skipped.is_empty() && plan.at_creation.is_empty());
    }

    #[test]
    fn what_would_have_to_end_first_is_skipped() {
        let mut document: Value = serde_json::from_str(EVERYTHING).unwrap();
        document["TimeToLive"]["AttributeName"] = json!("until");
        document["Table"]["StreamSpecification"]["StreamViewType"] = json!("KEYS_ONLY");
        let plan = applied(&parse(EVERYTHING), &parse(&document.to_string()));
        assert!(plan.after.is_empty());
        assert_eq!(
            skipped(&plan),
            [
                (setting("stream"), "stream NEW_IMAGE"),
                (setting("ttl"), "TTL on attribute expires")
            ]
        );
    }

    #[test]
    fn nothing_is_switched_off() {
        let mut bare: Value = serde_json::from_str(EVERYTHING).unwrap();
        for section in Section::all() {
            bare.as_object_mut().unwrap().remove(section.name());
        }

        for field in [
            "StreamSpecification",
            "Replicas",
            "SSEDescription",
            "DeletionProtectionEnabled",
            "WarmThroughput",
        ] {
            bare["Table"][field] = Value::Null;
        }

        bare["Table"]["GlobalSecondaryIndexes"][0]["WarmThroughput"] = Value::Null;
        let plan = applied(&parse(&bare.to_string()), &parse(EVERYTHING));
        assert_eq!(whats(&plan.after), Vec::<&str>::new());
    }

    #[test]
    fn billing_changes_hold_what_differs_and_every_index() {
        let provisioned = parse(EVERYTHING);
        let on_demand = with(
            "/Table/BillingModeSummary",
            json!({"BillingMode": "PAY_PER_REQUEST"}),
        );
        let call = provisioned.billing_call("t", &on_demand).unwrap();
        let units = |read, write| json!({"ReadCapacityUnits": read, "WriteCapacityUnits": write});
        assert_eq!(
            body(&call),
            json!({
                "TableName": "t", "BillingMode": "PROVISIONED", "ProvisionedThroughput": units(5, 4),
                "GlobalSecondaryIndexUpdates": [
                    {"Update": {"IndexName": "by-genre", "ProvisionedThroughput": units(7, 6)}},
                ],
            })
        );

        let back = on_demand.billing_call("t", &provisioned).unwrap();
        assert_eq!(
            body(&back),
            json!({"TableName": "t", "BillingMode": "PAY_PER_REQUEST"})
        );
        assert_eq!(provisioned.billing_call("t", &provisioned), None);

        let mut bounded: Value = serde_json::from_str(EVERYTHING).unwrap();
        bounded["Table"]["BillingModeSummary"] = json!({"BillingMode": "PAY_PER_REQUEST"});
        bounded["Table"]["OnDemandThroughput"] = json!({"MaxReadRequestUnits": 9});
        let call = on_demand
            .billing_call("t", &parse(&bounded.to_string()))
            .unwrap();
        assert_eq!(
            body(&call)["OnDemandThroughput"],
            json!({"MaxReadRequestUnits": -1, "MaxWriteRequestUnits": -1})
        );
    }
}

mod documents {
    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn sections_stand_in_their_order_and_stay_verbatim() {
        let bare =
            parse(r#"{"Table":{"KeySchema":[],"AttributeDefinitions":[]},"Future":1,"Tags":[ ]}"#);
        let schema = bare.with_sections(vec![
            (
                section("KinesisDestinations"),
                Captured::Document(raw("[ {\"b\":1.0, \"a\":1}]")),
            ),
            (
                section("TimeToLive"),
                Captured::NotCaptured {
                    reason: "denied \"twice\"\n".to_owned(),
                    is_unsupported: false,
                    is_denied: false,
                },
            ),
            (section("Tags"), Captured::Nothing),
            (section("ContinuousBackups"), Captured::Document(raw("{}"))),
        ]);

        let document = String::from_utf8(schema.to_document()).unwrap();
        let lines: Vec<_> = document.lines().skip(2).collect();
        assert_eq!(
            lines,
            [
                r#""TimeToLive": {"not_captured":"denied \"twice\"\n"},"#,
                r#""ContinuousBackups": {},"#,
                r#""KinesisDestinations": [ {"b":1.0, "a":1}],"#,
                r#""Future": 1"#,
                "}",
            ]
        );

        for schema in [&schema, &parse(&document)] {
            assert_eq!(
                schema.not_captured(),
                [crate::schema::MissingSetting {
                    setting: "TTL".to_owned(),
                    reason: "denied \"twice\"\n".to_owned(),
                }]
            );
            assert!(
                schema.section(section("TimeToLive")).is_none()
                    && schema.section(section("Tags")).is_none()
            );
            assert_eq!(
                schema.section(section("ContinuousBackups")).unwrap().get(),
                "{}"
            );
        }
    }

    #[test]
    fn a_table_with_everything_reads_well() {
        let long = json!([{"Key": "k", "Value": "é".repeat(200)}]);
        let lines = |schema: &TableSchema| {
            let outline = schema.outline();
            let lines = outline.rows().into_iter();
            lines
                .map(|(label, words)| format!("{label}: {words}"))
                .collect::<Vec<_>>()
        };

        assert_eq!(
            lines(&parse(EVERYTHING))[3..],
            [
                "table class: STANDARD_INFREQUENT_ACCESS",
                "encryption: KMS key arn:aws:kms:eu-west-1:123456789012:key/here",
                "tags: cost=42, team=films",
                "warm throughput: 800 read units per second",
                "stream: NEW_IMAGE",
                "TTL: on attribute expires",
                "PITR: 35 days",
                "contributor insights: index by-genre, table (THROTTLED_KEYS)",
                "auto scaling: index by-genre WCU 6 to 60, table RCU 5 to 100 at 70",
                "resource policy: of the table, of the stream",
                "Kinesis destinations: arn:aws:kinesis:eu-west-1:123456789012:stream/films",
                "deletion protection: on",
                "replicas: ap-south-1, us-east-1",
            ]
        );

        let cut = format!("tags: k={}…", "é".repeat(60));
        assert!(lines(&with("/Tags", long)).contains(&cut));
    }

    #[test]
    fn settings_are_compared_where_both_sides_tell_them() {
        let dump = parse(EVERYTHING);
        let found = |table: &TableSchema| {
            let found = differences(&dump, table).settings.into_iter();
            found
                .map(|other| (other.setting, other.dump, other.table))
                .collect::<Vec<_>>()
        };

        let expect = |setting: &str, dump: &str, table: &str| {
            vec![(setting.to_owned(), dump.to_owned(), table.to_owned())]
        };
        assert!(found(&dump).is_empty());
        let off = json!({"TimeToLiveStatus": "DISABLED"});
        assert_eq!(
            found(&with("/TimeToLive", off)),
            expect("TTL", "on attribute expires", "off")
        );
        assert_eq!(
            found(&with("/Tags", json!([{"Key": "cost", "Value": "42"}]))),
            expect("tags", "team=films", "none")
        );
        let recovery = "/ContinuousBackups/PointInTimeRecoveryDescription/RecoveryPeriodInDays";
        assert_eq!(
            found(&with(recovery, json!(7))),
            expect("PITR", "35 days", "7 days")
        );
        assert_eq!(
            found(&with("/ResourcePolicy/Policy", json!("{}"))),
            expect("resource policy", "one", "another")
        );
        assert_eq!(
            found(&with("/Table/Replicas", json!([]))),
            expect("replicas", "ap-south-1, us-east-1", "none")
        );
        let streams = expect(
            "Kinesis destinations",
            "arn:aws:kinesis:eu-west-1:123456789012:stream/films",
            "none",
        );

        assert_eq!(found(&with("/KinesisDestinations", json!([]))), streams);
        assert!(found(&with("/TimeToLive", json!({"not_captured": "denied"}))).is_empty());

        let mut described: Value = serde_json::from_str(EVERYTHING).unwrap();
        described = json!({"Table": described["Table"]});
        assert!(
            found(&parse(&described.to_string())).is_empty(),
            "nobody asked for the sections"
        );
    }

    #[test]
    fn a_copy_whose_policy_names_itself_has_the_same_policy() {
        let copy = EVERYTHING
            .replace("table/music\\\"", "table/copy\\\"")
            .replace("table/music\"", "table/copy\"");
        let copy = copy.replace("table/music/", "table/copy/");
        assert!(
            differences(&parse(EVERYTHING), &parse(&copy))
                .settings
                .is_empty()
        );
    }
}
