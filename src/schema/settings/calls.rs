//! The calls that apply each setting of a schema to a table; `plan` decides which of them are made.
//!
//! References: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB.html>,
//! <https://docs.aws.amazon.com/autoscaling/application/APIReference/API_Operations.html>.

use super::actions::{SettingActions, SettingTarget, call, update_table};
use super::auto_scaling::auto_scaling;
use super::name::{Operation, STREAM_ARN, Setting, SettingChoice, TABLE_ARN};
use super::values::STANDARD;
use crate::schema::TableSchema;
use crate::schema::description::WarmThroughput;
use crate::schema::document::section::Section;
use crate::schema::document::views::{
    ContributorInsights, KinesisDestination, PointInTimeRecovery, Replica, Tag,
};
use crate::schema::json_body::JsonBody;
use crate::schema::{arn, wording};

/// Returns the actions that apply `setting` of `schema` to `target`.
pub(crate) fn setting_actions(
    schema: &TableSchema,
    setting: Setting,
    target: &SettingTarget<'_>,
) -> SettingActions {
    match setting {
        Setting::Billing => {
            let call = target
                .existing
                .and_then(|existing| schema.billing_call(target.table, existing));
            call.map(SettingActions::one).unwrap_or_default()
        }
        Setting::Class => class(schema, target),
        Setting::Kms => encryption(schema, target),
        Setting::Tags => {
            SettingActions::from_view(schema.own_tags(), "tags", |tags| add_tags(tags, target))
        }
        Setting::WarmThroughput => warm_throughput(schema, target),
        Setting::Stream => stream(schema, target),
        Setting::Ttl => SettingActions::from_view(schema.time_to_live(), "TTL", |attribute| {
            time_to_live(&attribute, target)
        }),
        Setting::Pitr => {
            let view = schema.point_in_time_recovery();
            SettingActions::from_view(view, "PITR", |recovery| {
                point_in_time_recovery(&recovery, target)
            })
        }
        Setting::Insights => {
            let view = schema.contributor_insights();
            SettingActions::from_view(view, "contributor insights", |insights| {
                contributor_insights(schema, &insights, target)
            })
        }
        Setting::Autoscaling => {
            SettingActions::from_view(schema.auto_scaling(), "auto scaling", |scaling| {
                auto_scaling(schema, &scaling, target)
            })
        }
        Setting::Policy => policies(schema, target),
        Setting::Kinesis => {
            let view = schema.kinesis_destinations();
            SettingActions::from_view(view, "Kinesis destinations", |destinations| {
                kinesis(&destinations, target)
            })
        }
        Setting::Replicas => SettingActions::from_view(schema.replicas(), "replicas", |replicas| {
            create_replicas(schema, &replicas, target)
        }),
        Setting::DeletionProtection => deletion_protection(schema, target),
    }
}

fn class(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    let class = schema.description.class();
    // A new table has this class anyway; an existing one may have another.
    if class == STANDARD && target.existing.is_none() {
        return SettingActions::default();
    }

    let body = JsonBody::for_table(target.table).with("TableClass", &class);
    SettingActions::at_creation(
        Setting::Class,
        format!("table class {class}"),
        target,
        &body,
    )
}

fn encryption(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    // Whether the key may be used is up to the plan, which also describes a key that it skips.
    let every_key = SettingChoice {
        with: vec![Setting::Kms],
        ..SettingChoice::default()
    };
    let Some(request) = schema.chosen_encryption(&every_key, true) else {
        return SettingActions::default();
    };

    let what = format!(
        "encryption with {}",
        wording::encryption(&schema.description)
    );
    let body = JsonBody::for_table(target.table).with("SSESpecification", &request);

    SettingActions::at_creation(Setting::Kms, what, target, &body)
}

fn add_tags(mut tags: Vec<Tag>, target: &SettingTarget<'_>) -> SettingActions {
    let Some(existing) = target.existing else {
        return SettingActions {
            description: Some(wording::tag_count(&tags)),
            ..SettingActions::default()
        };
    };

    let present = existing.tags().read().unwrap_or_default();
    // Tags are added and replaced, never removed.
    tags.retain(|tag| !present.contains(tag));

    if tags.is_empty() {
        return SettingActions::default();
    }

    let body = JsonBody::new()
        .with("ResourceArn", &TABLE_ARN)
        .with("Tags", &tags);
    SettingActions::one(call(
        Setting::Tags,
        Operation::TagResource,
        wording::tag_count(&tags),
        &body,
    ))
}

/// One call for table and indexes. Warm throughput can only grow: a table that exists may have more.
fn warm_throughput(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
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
            let update = JsonBody::new()
                .with("IndexName", name)
                .with("WarmThroughput", &warm);
            updates.push(JsonBody::new().with("Update", &update));
        }
    }

    if what.is_empty() {
        return SettingActions::default();
    }

    let body = JsonBody::for_table(target.table)
        .with_some("WarmThroughput", of_table.as_ref())
        .with_some(
            "GlobalSecondaryIndexUpdates",
            (!updates.is_empty()).then_some(&updates),
        );

    SettingActions::at_creation(Setting::WarmThroughput, what.join(", "), target, &body)
}

fn is_covered(wanted: WarmThroughput, present: Option<WarmThroughput>) -> bool {
    present.is_some_and(|present| {
        present.read_units_per_second >= wanted.read_units_per_second
            && present.write_units_per_second >= wanted.write_units_per_second
    })
}

fn stream(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    let Some(view) = schema.description.stream() else {
        return SettingActions::default();
    };

    let specification = schema.description.stream_specification.as_ref();
    let view_type = specification.and_then(|stream| stream.stream_view_type.as_ref());
    let specification = JsonBody::new()
        .with("StreamEnabled", &true)
        .with_some("StreamViewType", view_type);
    let body = JsonBody::for_table(target.table).with("StreamSpecification", &specification);
    SettingActions::one(update_table(
        Setting::Stream,
        format!("stream {view}"),
        &body,
    ))
}

fn time_to_live(attribute: &str, target: &SettingTarget<'_>) -> SettingActions {
    let specification = JsonBody::new()
        .with("Enabled", &true)
        .with("AttributeName", &attribute);
    let body = JsonBody::for_table(target.table).with("TimeToLiveSpecification", &specification);
    SettingActions::one(call(
        Setting::Ttl,
        Operation::UpdateTimeToLive,
        format!("TTL on attribute {attribute}"),
        &body,
    ))
}

fn point_in_time_recovery(
    recovery: &PointInTimeRecovery,
    target: &SettingTarget<'_>,
) -> SettingActions {
    let specification = JsonBody::new()
        .with("PointInTimeRecoveryEnabled", &true)
        .with_some(
            "RecoveryPeriodInDays",
            recovery.recovery_period_in_days.as_ref(),
        );

    let body =
        JsonBody::for_table(target.table).with("PointInTimeRecoverySpecification", &specification);
    let what = format!(
        "PITR{}",
        wording::recovery_period(recovery).map_or_else(String::new, |days| format!(" {days}"))
    );
    SettingActions::one(call(
        Setting::Pitr,
        Operation::UpdateContinuousBackups,
        what,
        &body,
    ))
}

fn contributor_insights(
    schema: &TableSchema,
    insights: &[ContributorInsights],
    target: &SettingTarget<'_>,
) -> SettingActions {
    let mut actions = SettingActions {
        description: Some(wording::contributor_insights(insights)),
        ..SettingActions::default()
    };
    for entry in insights {
        let what = match &entry.index_name {
            Some(index) => format!("contributor insights of index {index}"),
            None => "contributor insights".to_owned(),
        };
        // Overrides can have dropped the index.
        if entry
            .index_name
            .as_ref()
            .is_some_and(|index| !schema.has_index(index))
        {
            actions
                .not_applied
                .push((what, "the table does not get the index".to_owned()));
            continue;
        }

        let body = JsonBody::for_table(target.table)
            .with_some("IndexName", entry.index_name.as_ref())
            .with("ContributorInsightsAction", &"ENABLE")
            .with_some("ContributorInsightsMode", entry.mode.as_ref());
        actions.calls.push(call(
            Setting::Insights,
            Operation::UpdateContributorInsights,
            what,
            &body,
        ));
    }

    actions
}

fn policies(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    let put = |what: &str, resource: &str, policy: &str| {
        // The target's ARNs are unknown until the table exists.
        let policy = arn::with_placeholders(policy, &schema.description);
        let body = JsonBody::new()
            .with("ResourceArn", &resource)
            .with("Policy", &policy);
        SettingActions::one(call(
            Setting::Policy,
            Operation::PutResourcePolicy,
            what.to_owned(),
            &body,
        ))
    };

    let mut both = SettingActions::from_view(
        schema.policy(Section::ResourcePolicy),
        "resource policy",
        |policy| put("resource policy", TABLE_ARN, &policy),
    );

    let name = "resource policy of the stream";
    let of_stream = SettingActions::from_view(
        schema.policy(Section::StreamResourcePolicy),
        name,
        |policy| {
            // The policy of a stream needs that stream, which the user can skip.
            let gets_stream = schema.description.stream().is_some()
                && target.choice.applies(Setting::Stream, true);
            if gets_stream {
                put(name, STREAM_ARN, &policy)
            } else {
                SettingActions {
                    not_applied: vec![(
                        name.to_owned(),
                        "the table does not get a stream".to_owned(),
                    )],
                    ..SettingActions::default()
                }
            }
        },
    );

    both.description = match (both.description, of_stream.description) {
        (Some(_), Some(_)) => Some("resource policies of table and stream".to_owned()),
        (one, other) => one.or(other),
    };
    both.calls.extend(of_stream.calls);
    both.not_applied.extend(of_stream.not_applied);

    both
}

fn kinesis(destinations: &[KinesisDestination], target: &SettingTarget<'_>) -> SettingActions {
    let enable = |destination: &KinesisDestination| {
        let precision = destination
            .approximate_creation_date_time_precision
            .as_ref();
        let configuration = precision.map(|precision| {
            JsonBody::new().with("ApproximateCreationDateTimePrecision", precision)
        });
        let body = JsonBody::for_table(target.table)
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
    SettingActions {
        description: Some(wording::kinesis_destinations(destinations)),
        calls,
        not_applied: Vec::new(),
    }
}

/// One call per replica: DynamoDB creates them one at a time.
fn create_replicas(
    schema: &TableSchema,
    replicas: &[Replica],
    target: &SettingTarget<'_>,
) -> SettingActions {
    let calls = replicas.iter().map(|replica| {
        let create = JsonBody::new().with("Create", &replica_body(schema, replica, target));
        let body = JsonBody::for_table(target.table).with("ReplicaUpdates", &[create]);
        update_table(
            Setting::Replicas,
            format!("replica in {}", replica.region_name),
            &body,
        )
    });

    SettingActions {
        description: Some(wording::replicas(replicas)),
        calls: calls.collect(),
        not_applied: Vec::new(),
    }
}

fn replica_body(schema: &TableSchema, replica: &Replica, target: &SettingTarget<'_>) -> JsonBody {
    let table = &schema.description;

    // A KMS key belongs to one account, so the rules for the table's key apply.
    let kms_key = if target.choice.applies(Setting::Kms, target.same_table) {
        replica.kms_master_key_id.as_ref()
    } else {
        None
    };

    // A replica has the table's class unless it states another one.
    let class = replica
        .class
        .as_ref()
        .and_then(|summary| summary.table_class.as_deref());
    let class = class
        .filter(|class| *class != table.class() && target.choice.applies(Setting::Class, true));

    // Capacity is for provisioned tables only; `Description::maximum` is its counterpart for on-demand tables.
    let is_provisioned = table.is_provisioned();
    let indexes = replica
        .global_secondary_indexes
        .iter()
        .filter(|index| schema.has_index(&index.index_name));
    let indexes = indexes.filter_map(|index| {
        let units = if is_provisioned {
            index.provisioned_throughput_override.as_ref()
        } else {
            None
        };
        let maximum = table.maximum(index.on_demand_throughput_override);
        (units.is_some() || maximum.is_some()).then(|| {
            JsonBody::new()
                .with("IndexName", &index.index_name)
                .with_some("ProvisionedThroughputOverride", units)
                .with_some("OnDemandThroughputOverride", maximum.as_ref())
        })
    });

    let indexes: Vec<_> = indexes.collect();
    let provisioned = if is_provisioned {
        replica.provisioned_throughput_override.as_ref()
    } else {
        None
    };

    JsonBody::new()
        .with("RegionName", &replica.region_name)
        .with_some("KMSMasterKeyId", kms_key)
        .with_some("ProvisionedThroughputOverride", provisioned)
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

fn deletion_protection(schema: &TableSchema, target: &SettingTarget<'_>) -> SettingActions {
    if !schema.description.is_deletion_protected() {
        return SettingActions::default();
    }

    let body = JsonBody::for_table(target.table).with("DeletionProtectionEnabled", &true);
    SettingActions::one(update_table(
        Setting::DeletionProtection,
        "deletion protection".to_owned(),
        &body,
    ))
}
