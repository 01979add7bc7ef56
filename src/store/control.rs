//! The calls about a table's settings. Bodies are ready-made JSON, answers come back raw; who calls knows what they mean.

use bytes::Bytes;
use serde::Deserialize;

use super::client::{Client, raw_call};
use super::error::Fault;
use super::seam::Seam;
use crate::schema::Operation;

/// A call that reads a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    TimeToLive,
    Tags,
    ContinuousBackups,
    ResourcePolicy,
    ContributorInsights,
    KinesisDestinations,
    Backups,
    Streams,
    ScalableTargets,
    ScalingPolicies,
}

/// Of a body, what the SDK routes the call by: account-based endpoints are made from a table's ARN.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Routing {
    table_name: String,
    resource_arn: String,
}

impl Routing {
    fn of(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }
}

impl Client {
    /// Reads a setting. No retries: who calls knows how long it may take.
    pub(crate) async fn look(&self, look: Look, body: Bytes) -> Result<Bytes, Fault> {
        let services = self.services();
        let db = &services.dynamodb;
        let Routing {
            table_name: table,
            resource_arn: arn,
        } = Routing::of(&body);
        let call = async {
            match look {
                Look::TimeToLive => raw_call!(db, describe_time_to_live.table_name(table), body),
                Look::Tags => raw_call!(db, list_tags_of_resource.resource_arn(arn), body),
                Look::ContinuousBackups => {
                    raw_call!(db, describe_continuous_backups.table_name(table), body)
                }
                Look::ResourcePolicy => raw_call!(db, get_resource_policy.resource_arn(arn), body),
                Look::ContributorInsights => {
                    raw_call!(db, describe_contributor_insights.table_name(table), body)
                }
                Look::KinesisDestinations => {
                    raw_call!(
                        db,
                        describe_kinesis_streaming_destination.table_name(table),
                        body
                    )
                }
                Look::Backups => raw_call!(db, list_backups.table_name(table), body),
                Look::Streams => {
                    raw_call!(
                        db,
                        list_tables,
                        Seam::to_target(body, "DynamoDBStreams_20120810.ListStreams")
                    )
                }
                Look::ScalableTargets => services.scaling.describe_targets(body).await,
                Look::ScalingPolicies => services.scaling.describe_policies(body).await,
            }
        };

        // The SDK's futures are large, and those of all arms lie in one.
        Box::pin(call).await
    }

    /// Changes a setting. No retries, as for [`look`](Self::look).
    pub(crate) async fn change(&self, operation: Operation, body: Bytes) -> Result<Bytes, Fault> {
        let services = self.services();
        let db = &services.dynamodb;
        let Routing {
            table_name: table,
            resource_arn: arn,
        } = Routing::of(&body);
        let call = async {
            match operation {
                Operation::UpdateTable => raw_call!(db, update_table.table_name(table), body),
                Operation::UpdateTimeToLive => {
                    raw_call!(db, update_time_to_live.table_name(table), body)
                }
                Operation::TagResource => raw_call!(db, tag_resource.resource_arn(arn), body),
                Operation::UpdateContinuousBackups => {
                    raw_call!(db, update_continuous_backups.table_name(table), body)
                }
                Operation::UpdateContributorInsights => {
                    raw_call!(db, update_contributor_insights.table_name(table), body)
                }
                Operation::PutResourcePolicy => {
                    raw_call!(db, put_resource_policy.resource_arn(arn), body)
                }
                Operation::EnableKinesisStreamingDestination => {
                    raw_call!(
                        db,
                        enable_kinesis_streaming_destination.table_name(table),
                        body
                    )
                }
                Operation::RegisterScalableTarget => services.scaling.register_target(body).await,
                Operation::PutScalingPolicy => services.scaling.put_policy(body).await,
            }
        };

        Box::pin(call).await
    }
}

/// The operation's name at AWS.
pub(crate) fn name_of(operation: Operation) -> &'static str {
    match operation {
        Operation::UpdateTable => "UpdateTable",
        Operation::UpdateTimeToLive => "UpdateTimeToLive",
        Operation::TagResource => "TagResource",
        Operation::UpdateContinuousBackups => "UpdateContinuousBackups",
        Operation::UpdateContributorInsights => "UpdateContributorInsights",
        Operation::PutResourcePolicy => "PutResourcePolicy",
        Operation::EnableKinesisStreamingDestination => "EnableKinesisStreamingDestination",
        Operation::RegisterScalableTarget => "RegisterScalableTarget",
        Operation::PutScalingPolicy => "PutScalingPolicy",
    }
}
