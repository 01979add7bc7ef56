//! Calls that read and change table settings. Request bodies are ready-made JSON, and responses are
//! returned unparsed.

use bytes::Bytes;
use serde::Deserialize;

use super::client::Client;
use super::error::RequestError;
use super::raw_call::raw_call;
use super::seam::RawExchange;
use crate::schema::Operation;

/// An operation that reads a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SettingQuery {
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

/// The members of a body that the SDK needs for routing: account-based endpoints are derived from a
/// table's ARN.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Routing {
    table_name: String,
    resource_arn: String,
}

impl Routing {
    fn from_body(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }
}

impl Client {
    /// Reads a setting, without retries: the caller knows how long it may take.
    pub(crate) async fn read_setting(
        &self,
        query: SettingQuery,
        body: Bytes,
    ) -> Result<Bytes, RequestError> {
        let sdk_clients = self.sdk_clients();
        let db = &sdk_clients.dynamodb;
        let Routing {
            table_name: table,
            resource_arn: arn,
        } = Routing::from_body(&body);
        let call = async {
            match query {
                SettingQuery::TimeToLive => {
                    raw_call!(db, describe_time_to_live.table_name(table), body)
                }
                SettingQuery::Tags => raw_call!(db, list_tags_of_resource.resource_arn(arn), body),
                SettingQuery::ContinuousBackups => {
                    raw_call!(db, describe_continuous_backups.table_name(table), body)
                }
                SettingQuery::ResourcePolicy => {
                    raw_call!(db, get_resource_policy.resource_arn(arn), body)
                }
                SettingQuery::ContributorInsights => {
                    raw_call!(db, describe_contributor_insights.table_name(table), body)
                }
                SettingQuery::KinesisDestinations => {
                    raw_call!(
                        db,
                        describe_kinesis_streaming_destination.table_name(table),
                        body
                    )
                }
                SettingQuery::Backups => raw_call!(db, list_backups.table_name(table), body),
                SettingQuery::Streams => {
                    raw_call!(
                        db,
                        list_tables,
                        // The SDK has a separate crate for Streams. Engines serve it on the same
                        // port, so another target header suffices.
                        RawExchange::for_target(body, "DynamoDBStreams_20120810.ListStreams")
                    )
                }
                SettingQuery::ScalableTargets => {
                    sdk_clients.auto_scaling.describe_targets(body).await
                }
                SettingQuery::ScalingPolicies => {
                    sdk_clients.auto_scaling.describe_policies(body).await
                }
            }
        };

        // Boxed, because the combined future of all arms is large.
        Box::pin(call).await
    }

    /// Changes a setting, without retries, like [`read_setting`](Self::read_setting).
    pub(crate) async fn change_setting(
        &self,
        operation: Operation,
        body: Bytes,
    ) -> Result<Bytes, RequestError> {
        let sdk_clients = self.sdk_clients();
        let db = &sdk_clients.dynamodb;
        let Routing {
            table_name: table,
            resource_arn: arn,
        } = Routing::from_body(&body);
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
                Operation::RegisterScalableTarget => {
                    sdk_clients.auto_scaling.register_target(body).await
                }
                Operation::PutScalingPolicy => sdk_clients.auto_scaling.put_policy(body).await,
            }
        };

        Box::pin(call).await
    }
}

/// The name of the operation in the AWS API.
pub(crate) fn operation_name(operation: Operation) -> &'static str {
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
