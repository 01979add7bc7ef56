//! What a schema has of each setting, and the calls that bring it to a table. Whether it is to be brought is decided elsewhere.
//!
//! References: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html>,
//! <https://docs.aws.amazon.com/autoscaling/application/APIReference/API_Operations.html>.

use super::auto_scaling::auto_scaling;
use super::name::{Operation, STREAM_ARN, Setting, SettingCall, SettingChoice, TABLE_ARN};
use super::values::STANDARD;
use crate::schema::TableSchema;
use crate::schema::description::WarmThroughput;
use crate::schema::document::section::Section;
use crate::schema::document::views::{
    ContributorInsights, KinesisDestination, PointInTimeRecovery, Replica, Tag, View,
};
use crate::schema::json_body::Body;
use crate::schema::{arn, wording};

/// The table that settings are brought to.
pub(crate) struct Target<'a> {
    pub(crate) table: &'a str,
    pub(crate) choice: &'a SettingChoice,
    pub(crate) same_table: bool,
    /// The table as it is; `None` for one that is created, which has its class, key, tags and warm throughput from then.
    pub(crate) existing: Option<&'a TableSchema>,
}

/// What there is of one setting.
#[derive(Default)]
pub(crate) struct Found {
    /// In people's words; `None` where there is nothing to bring.
    pub(crate) what: Option<String>,
    /// The calls that bring it; none where the creation of the table does.
    pub(crate) calls: Vec<SettingCall>,
    /// Parts that cannot be brought, each with the reason.
    pub(crate) lost: Vec<(String, String)>,
}

impl Found {
    fn one(call: SettingCall) -> Self {
        Self {
            what: Some(call.what.clone()),
            calls: vec![call],
            lost: Vec::new(),
        }
    }

    /// `what` by an `UpdateTable` of a table that exists, and at creation without a call.
    fn at_creation(setting: Setting, what: String, target: &Target<'_>, update: &Body) -> Self {
        match target.existing {
            Some(_) => Self::one(update_table(setting, what, update)),
            None => Self {
                what: Some(what),
                ..Self::default()
            },
        }
    }

    /// What `read` makes of a view; a view that holds nothing readable is named as lost.
    pub(crate) fn of<T>(view: View<T>, name: &str, read: impl FnOnce(T) -> Self) -> Self {
        let reason = match view {
            View::Nothing => return Self::default(),
            View::Read(value) => return read(value),
            View::NotCaptured(reason) => format!("not captured when the dump was made: {reason}"),
            View::Unreadable => {
                "the schema tells it in a form that this version cannot read".to_owned()
            }
        };

        Self {
            lost: vec![(name.to_owned(), reason)],
            ..Self::default()
        }
    }
}

/// What `schema` has of `setting`.
pub(crate) fn found(schema: &TableSchema, setting: Setting, target: &Target<'_>) -> Found {
    match setting {
        Setting::Billing => {
            let call = target
                .existing
                .and_then(|existing| schema.billing_call(target.table, existing));
            call.map(Found::one).unwrap_or_default()
        }
        Setting::Class => class(schema, target),
        Setting::Kms => encryption(schema, target),
        Setting::Tags => Found::of(schema.own_tags(), "tags", |tags| add_tags(tags, target)),
        Setting::WarmThroughput => warm_throughput(schema, target),
        Setting::Stream => stream(schema, target),
        Setting::Ttl => Found::of(schema.time_to_live(), "TTL", |attribute| {
            time_to_live(&attribute, target)
        }),
        Setting::Pitr => {
            let view = schema.point_in_time_recovery();
            Found::of(view, "PITR", |recovery| {
                point_in_time_recovery(&recovery, target)
            })
        }
        Setting::Insights => {
            let view = schema.contributor_insights();
            Found::of(view, "contributor insights", |insights| {
                contributor_insights(schema, &insights, target)
            })
        }
        Setting::Autoscaling => Found::of(schema.auto_scaling(), "auto scaling", |scaling| {
            auto_scaling(schema, &scaling, target)
        }),
        Setting::Policy => policies(schema, target),
        Setting::Kinesis => {
            let view = schema.kinesis_destinations();
            Found::of(view, "Kinesis destinations", |destinations| {
                kinesis(&destinations, target)
            })
        }
        Setting::Replicas => Found::of(schema.replicas(), "replicas", |replicas| {
            create_replicas(schema, &replicas, target)
        }),
        Setting::DeletionProtection => deletion_protection(schema, target),
    }
}

pub(crate) fn call(
    setting: Setting,
    operation: Operation,
    what: String,
    body: &Body,
) -> SettingCall {
    let settles = operation == Operation::UpdateTable;
    SettingCall {
        setting,
        what,
        operation,
        body: body.text(),
        settles,
    }
}

pub(crate) fn update_table(setting: Setting, what: String, body: &Body) -> SettingCall {
    call(setting, Operation::UpdateTable, what, body)
}

fn class(schema: &TableSchema, target: &Target<'_>) -> Found {
    let class = schema.description.class();
    if class == STANDARD && target.existing.is_none() {
        return Found::default();
    }

    let body = Body::of_table(target.table).with("TableClass", &class);
    Found::at_creation(
        Setting::Class,
        format!("table class {class}"),
        target,
        &body,
    )
}

fn encryption(schema: &TableSchema, target: &Target<'_>) -> Found {
    let every_key = SettingChoice {
        with: vec![Setting::Kms],
        ..SettingChoice::default()
    };
    let Some(request) = schema.chosen_encryption(&every_key, true) else {
        return Found::default();
    };

    let what = format!(
        "encryption with {}",
        wording::encryption(&schema.description)
    );
    let body = Body::of_table(target.table).with("SSESpecification", &request);

    Found::at_creation(Setting::Kms, what, target, &body)
}

fn add_tags(mut tags: Vec<Tag>, target: &Target<'_>) -> Found {
    let Some(existing) = target.existing else {
        return Found {
            what: Some(wording::tag_count(&tags)),
            ..Found::default()
        };
    };

    let present = existing.tags().read().unwrap_or_default();
    tags.retain(|tag| !present.contains(tag));

    if tags.is_empty() {
        return Found::default();
    }

    let body = Body::new()
        .with("ResourceArn", &TABLE_ARN)
        .with("Tags", &tags);
    Found::one(call(
        Setting::Tags,
        Operation::TagResource,
        wording::tag_count(&tags),
        &body,
    ))
}

/// One call for table and indexes. Warm throughput can only grow: a table that exists may have more.
fn warm_throughput(schema: &TableSchema, target: &Target<'_>) -> Found {
    let has = target.existing.map(|existing| &existing.description);
    let of_table = schema
        .description
        .grown_warm_throughput()
        .filter(|warm| has.is_none_or(|has| !is_covered(*warm, has.warm_throughput)));
    let mut what: Vec<_> = of_table
        .iter()
        .map(|warm| format!("warm throughput {}", wording::warm(*warm)))
        .collect();
    let mut updates = Vec::new();
    for index in &schema.description.global_secondary_indexes {
        let name = &index.index_name;
        let present = has.map(|has| {
            has.global_secondary_indexes
                .iter()
                .find(|other| other.index_name == *name)
        });

        let is_needed = |warm: &WarmThroughput| match present {
            None => true,
            // An index that the table does not have cannot be warmed.
            Some(None) => false,
            Some(Some(present)) => !is_covered(*warm, present.warm_throughput),
        };

        if let Some(warm) = schema
            .description
            .index_grown_warm_throughput(index)
            .filter(is_needed)
        {
            what.push(format!(
                "warm throughput of index {name} {}",
                wording::warm(warm)
            ));
            let update = Body::new()
                .with("IndexName", name)
                .with("WarmThroughput", &warm);
            updates.push(Body::new().with("Update", &update));
        }
    }

    if what.is_empty() {
        return Found::default();
    }

    let body = Body::of_table(target.table)
        .with_some("WarmThroughput", of_table.as_ref())
        .with_some(
            "GlobalSecondaryIndexUpdates",
            (!updates.is_empty()).then_some(&updates),
        );

    Found::at_creation(Setting::WarmThroughput, what.join(", "), target, &body)
}

fn is_covered(wanted: WarmThroughput, present: Option<WarmThroughput>) -> bool {
    present.is_some_and(|present| {
        present.read_units_per_second >= wanted.read_units_per_second
            && present.write_units_per_second >= wanted.write_units_per_second
    })
}

fn stream(schema: &TableSchema, target: &Target<'_>) -> Found {
    let Some(view) = schema.description.stream() else {
        return Found::default();
    };

    let specification = schema.description.stream_specification.as_ref();
    let view_type = specification.and_then(|stream| stream.stream_view_type.as_ref());
    let specification = Body::new()
        .with("StreamEnabled", &true)
        .with_some("StreamViewType", view_type);
    let body = Body::of_table(target.table).with("StreamSpecification", &specification);
    Found::one(update_table(
        Setting::Stream,
        format!("stream {view}"),
        &body,
    ))
}

fn time_to_live(attribute: &str, target: &Target<'_>) -> Found {
    let specification = Body::new()
        .with("Enabled", &true)
        .with("AttributeName", &attribute);
    let body = Body::of_table(target.table).with("TimeToLiveSpecification", &specification);
    Found::one(call(
        Setting::Ttl,
        Operation::UpdateTimeToLive,
        format!("TTL on attribute {attribute}"),
        &body,
    ))
}

fn point_in_time_recovery(recovery: &PointInTimeRecovery, target: &Target<'_>) -> Found {
    let specification = Body::new()
        .with("PointInTimeRecoveryEnabled", &true)
        .with_some(
            "RecoveryPeriodInDays",
            recovery.recovery_period_in_days.as_ref(),
        );

    let body =
        Body::of_table(target.table).with("PointInTimeRecoverySpecification", &specification);
    let what = format!(
        "PITR{}",
        wording::recovery_period(recovery).map_or_else(String::new, |days| format!(" {days}"))
    );
    Found::one(call(
        Setting::Pitr,
        Operation::UpdateContinuousBackups,
        what,
        &body,
    ))
}

fn contributor_insights(
    schema: &TableSchema,
    insights: &[ContributorInsights],
    target: &Target<'_>,
) -> Found {
    let mut found = Found {
        what: Some(wording::contributor_insights(insights)),
        ..Found::default()
    };
    for of in insights {
        let what = match &of.index_name {
            Some(index) => format!("contributor insights of index {index}"),
            None => "contributor insights".to_owned(),
        };
        if of
            .index_name
            .as_ref()
            .is_some_and(|index| !schema.has_index(index))
        {
            found
                .lost
                .push((what, "the table does not get the index".to_owned()));
            continue;
        }

        let body = Body::of_table(target.table)
            .with_some("IndexName", of.index_name.as_ref())
            .with("ContributorInsightsAction", &"ENABLE")
            .with_some("ContributorInsightsMode", of.mode.as_ref());
        found.calls.push(call(
            Setting::Insights,
            Operation::UpdateContributorInsights,
            what,
            &body,
        ));
    }

    found
}

fn policies(schema: &TableSchema, target: &Target<'_>) -> Found {
    let put = |what: &str, resource: &str, policy: &str| {
        let policy = arn::with_placeholders(policy, &schema.description);
        let body = Body::new()
            .with("ResourceArn", &resource)
            .with("Policy", &policy);
        Found::one(call(
            Setting::Policy,
            Operation::PutResourcePolicy,
            what.to_owned(),
            &body,
        ))
    };

    let mut both = Found::of(
        schema.policy(Section::ResourcePolicy),
        "resource policy",
        |policy| put("resource policy", TABLE_ARN, &policy),
    );

    let name = "resource policy of the stream";
    let of_stream = Found::of(
        schema.policy(Section::StreamResourcePolicy),
        name,
        |policy| {
            let gets_stream = schema.description.stream().is_some()
                && target.choice.applies(Setting::Stream, true);
            if gets_stream {
                put(name, STREAM_ARN, &policy)
            } else {
                Found {
                    lost: vec![(
                        name.to_owned(),
                        "the table does not get a stream".to_owned(),
                    )],
                    ..Found::default()
                }
            }
        },
    );

    both.what = match (both.what, of_stream.what) {
        (Some(_), Some(_)) => Some("resource policies of table and stream".to_owned()),
        (one, other) => one.or(other),
    };
    both.calls.extend(of_stream.calls);
    both.lost.extend(of_stream.lost);

    both
}

fn kinesis(destinations: &[KinesisDestination], target: &Target<'_>) -> Found {
    let enable = |destination: &KinesisDestination| {
        let precision = destination
            .approximate_creation_date_time_precision
            .as_ref();
        let configuration = precision
            .map(|precision| Body::new().with("ApproximateCreationDateTimePrecision", precision));
        let body = Body::of_table(target.table)
            .with("StreamArn", &destination.stream_arn)
            .with_some(
                "EnableKinesisStreamingConfiguration",
                configuration.as_ref(),
            );

        let what = format!("Kinesis stream {}", destination.stream_arn);
        call(
            Setting::Kinesis,
            Operation::EnableKinesisStreamingDestination,
            what,
            &body,
        )
    };

    let calls = destinations.iter().map(enable).collect();
    Found {
        what: Some(wording::kinesis_destinations(destinations)),
        calls,
        lost: Vec::new(),
    }
}

/// One call per replica: DynamoDB makes them one at a time.
fn create_replicas(schema: &TableSchema, replicas: &[Replica], target: &Target<'_>) -> Found {
    let calls = replicas.iter().map(|replica| {
        let create = Body::new().with("Create", &replica_body(schema, replica, target));
        let body = Body::of_table(target.table).with("ReplicaUpdates", &[create]);
        update_table(
            Setting::Replicas,
            format!("replica in {}", replica.region_name),
            &body,
        )
    });

    Found {
        what: Some(wording::replicas(replicas)),
        calls: calls.collect(),
        lost: Vec::new(),
    }
}

fn replica_body(schema: &TableSchema, replica: &Replica, target: &Target<'_>) -> Body {
    let table = &schema.description;
    let uses_key = target.choice.applies(Setting::Kms, target.same_table);
    let class = replica
        .class
        .as_ref()
        .and_then(|summary| summary.table_class.as_deref());
    let class = class
        .filter(|class| *class != table.class() && target.choice.applies(Setting::Class, true));
    let is_provisioned = table.is_provisioned();
    let indexes = replica
        .global_secondary_indexes
        .iter()
        .filter(|index| schema.has_index(&index.index_name));
    let indexes = indexes.filter_map(|index| {
        let units = index
            .provisioned_throughput_override
            .as_ref()
            .filter(|_| is_provisioned);
        let maximum = table.maximum(index.on_demand_throughput_override);
        (units.is_some() || maximum.is_some()).then(|| {
            Body::new()
                .with("IndexName", &index.index_name)
                .with_some("ProvisionedThroughputOverride", units)
                .with_some("OnDemandThroughputOverride", maximum.as_ref())
        })
    });

    let indexes: Vec<_> = indexes.collect();
    Body::new()
        .with("RegionName", &replica.region_name)
        .with_some(
            "KMSMasterKeyId",
            replica.kms_master_key_id.as_ref().filter(|_| uses_key),
        )
        .with_some(
            "ProvisionedThroughputOverride",
            replica
                .provisioned_throughput_override
                .as_ref()
                .filter(|_| is_provisioned),
        )
        .with_some(
            "OnDemandThroughputOverride",
            table
                .maximum(replica.on_demand_throughput_override)
                .as_ref(),
        )
        .with_some(
            "GlobalSecondaryIndexes",
            (!indexes.is_empty()).then_some(&indexes),
        )
        .with_some("TableClassOverride", class.as_ref())
}

fn deletion_protection(schema: &TableSchema, target: &Target<'_>) -> Found {
    if !schema.description.is_deletion_protected() {
        return Found::default();
    }

    let body = Body::of_table(target.table).with("DeletionProtectionEnabled", &true);
    Found::one(update_table(
        Setting::DeletionProtection,
        "deletion protection".to_owned(),
        &body,
    ))
}
