//! The description of a table by the engine, in a form that can be compared.
//!
//! Left out is what differs between a table and its copy by nature: ARNs, ids, dates, counts. The table's own name within an ARN
//! becomes `<table>`. What the engine does not offer is `None` on both sides.

use std::collections::BTreeMap;
use std::fmt::Debug;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::types::{
    ContributorInsightsStatus, PointInTimeRecoveryStatus, Projection,
    ProvisionedThroughputDescription, TableDescription, TimeToLiveStatus,
};

use super::client::Client;

/// Facts by name; absent is what the table does not have or the engine does not offer.
pub(crate) type Facts = BTreeMap<String, String>;

/// All there is to know about a table.
pub(crate) fn everything(client: &Client, table: &str) -> Facts {
    let description = client
        .describe(table)
        .unwrap_or_else(|| panic!("{table} is not there"));
    let arn = description
        .table_arn()
        .expect("a table has an ARN")
        .to_owned();
    let mut facts = Facts::new();
    shape(&mut facts, &description);
    indexes(&mut facts, &description);
    options(&mut facts, &description);
    settings(&mut facts, client, table, &arn);
    resource_settings(&mut facts, client, table, &arn);

    facts
}

fn add(facts: &mut Facts, name: impl Into<String>, value: Option<impl Debug>) {
    if let Some(value) = value {
        facts.insert(name.into(), format!("{value:?}"));
    }
}

fn shape(facts: &mut Facts, table: &TableDescription) {
    let mut attributes: Vec<_> = table
        .attribute_definitions()
        .iter()
        .map(|one| format!("{one:?}"))
        .collect();

    attributes.sort();
    add(facts, "attributes", Some(attributes));
    add(facts, "key", Some(table.key_schema()));
    add(
        facts,
        "billing",
        table
            .billing_mode_summary()
            .and_then(|summary| summary.billing_mode()),
    );

    add(facts, "capacity", units(table.provisioned_throughput()));
    add(facts, "maximum", table.on_demand_throughput());
}

fn units(throughput: Option<&ProvisionedThroughputDescription>) -> Option<(i64, i64)> {
    throughput.and_then(|units| Some((units.read_capacity_units()?, units.write_capacity_units()?)))
}

fn projected(projection: Option<&Projection>) -> Option<String> {
    let projection = projection?;
    let mut names = projection.non_key_attributes().to_vec();
    names.sort();

    Some(format!("{:?} {names:?}", projection.projection_type()))
}

fn indexes(facts: &mut Facts, table: &TableDescription) {
    for index in table.global_secondary_indexes() {
        let told = (
            index.key_schema(),
            projected(index.projection()),
            units(index.provisioned_throughput()),
        );

        add(
            facts,
            format!("GSI {}", index.index_name().unwrap_or_default()),
            Some((told, index.on_demand_throughput())),
        );
    }

    for index in table.local_secondary_indexes() {
        let told = (index.key_schema(), projected(index.projection()));
        add(
            facts,
            format!("LSI {}", index.index_name().unwrap_or_default()),
            Some(told),
        );
    }
}

fn options(facts: &mut Facts, table: &TableDescription) {
    let stream = table
        .stream_specification()
        .filter(|stream| stream.stream_enabled());
    add(
        facts,
        "stream",
        stream.and_then(|stream| stream.stream_view_type()),
    );

    add(
        facts,
        "class",
        table
            .table_class_summary()
            .and_then(|summary| summary.table_class()),
    );

    let encryption = table.sse_description();
    add(
        facts,
        "encryption",
        encryption.map(|sse| (sse.status(), sse.sse_type(), sse.kms_master_key_arn())),
    );

    add(
        facts,
        "deletion protection",
        table.deletion_protection_enabled().filter(|is_on| *is_on),
    );
}

/// The answer of a call that an engine may lack.
fn offered<T, E>(answer: Result<T, SdkError<E>>) -> Option<T> {
    answer.ok()
}

fn settings(facts: &mut Facts, client: &Client, table: &str, arn: &str) {
    let ttl = offered(client.ask(|sdk| sdk.describe_time_to_live().table_name(table).send()));
    let ttl = ttl.and_then(|answer| answer.time_to_live_description);
    let is_on = |status| {
        matches!(
            status,
            TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling
        )
    };

    let ttl = ttl.filter(|ttl| ttl.time_to_live_status.clone().is_some_and(is_on));
    add(facts, "TTL", ttl.and_then(|ttl| ttl.attribute_name));

    let tags = offered(client.ask(|sdk| sdk.list_tags_of_resource().resource_arn(arn).send()));
    for tag in tags.and_then(|answer| answer.tags).unwrap_or_default() {
        add(facts, format!("tag {}", tag.key), Some(tag.value));
    }

    let backups =
        offered(client.ask(|sdk| sdk.describe_continuous_backups().table_name(table).send()));
    let pitr = backups.and_then(|answer| {
        answer
            .continuous_backups_description?
            .point_in_time_recovery_description
    });

    let pitr = pitr.filter(|pitr| {
        pitr.point_in_time_recovery_status == Some(PointInTimeRecoveryStatus::Enabled)
    });
    add(facts, "PITR", pitr.map(|pitr| pitr.recovery_period_in_days));
}

fn resource_settings(facts: &mut Facts, client: &Client, table: &str, arn: &str) {
    let policy = offered(client.ask(|sdk| sdk.get_resource_policy().resource_arn(arn).send()));
    let policy = policy.and_then(|answer| answer.policy).map(|policy| {
        let policy: serde_json::Value = serde_json::from_str(&policy).expect("a policy is JSON");
        policy.to_string().replace(arn, "<table>")
    });
    add(facts, "policy", policy);

    let description = client
        .describe(table)
        .unwrap_or_else(|| panic!("{table} is not there"));
    let indexes = description
        .global_secondary_indexes()
        .iter()
        .map(|index| index.index_name.clone());
    for of in std::iter::once(None).chain(indexes) {
        let ask = |sdk: &aws_sdk_dynamodb::Client| {
            sdk.describe_contributor_insights()
                .table_name(table)
                .set_index_name(of.clone())
                .send()
        };

        let status = offered(client.ask(ask)).and_then(|answer| answer.contributor_insights_status);
        let status = status.filter(|status| *status != ContributorInsightsStatus::Disabled);
        add(
            facts,
            format!("insights {}", of.as_deref().unwrap_or("of the table")),
            status,
        );
    }

    let kinesis = offered(client.ask(|sdk| {
        sdk.describe_kinesis_streaming_destination()
            .table_name(table)
            .send()
    }));

    for stream in kinesis
        .and_then(|answer| answer.kinesis_data_stream_destinations)
        .unwrap_or_default()
    {
        add(
            facts,
            format!("kinesis {}", stream.stream_arn.unwrap_or_default()),
            stream.destination_status,
        );
    }
}
