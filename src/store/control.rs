//! Calls that read and change table settings. Request bodies are ready-made JSON, and responses are
//! returned unparsed.

use bytes::Bytes;
use serde::Deserialize;

use super::client::Client;
use crate::aws::error::RequestError;
use crate::aws::{ApiOperation, Request};
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

impl SettingQuery {
    fn operation(self) -> ApiOperation {
        match self {
            Self::TimeToLive => ApiOperation::DESCRIBE_TIME_TO_LIVE,
            Self::Tags => ApiOperation::LIST_TAGS_OF_RESOURCE,
            Self::ContinuousBackups => ApiOperation::DESCRIBE_CONTINUOUS_BACKUPS,
            Self::ResourcePolicy => ApiOperation::GET_RESOURCE_POLICY,
            Self::ContributorInsights => ApiOperation::DESCRIBE_CONTRIBUTOR_INSIGHTS,
            Self::KinesisDestinations => ApiOperation::DESCRIBE_KINESIS_STREAMING_DESTINATION,
            Self::Backups => ApiOperation::LIST_BACKUPS,
            Self::Streams => ApiOperation::LIST_STREAMS,
            Self::ScalableTargets => ApiOperation::DESCRIBE_SCALABLE_TARGETS,
            Self::ScalingPolicies => ApiOperation::DESCRIBE_SCALING_POLICIES,
        }
    }
}

/// The members of a body that name its table: account-based endpoints depend on it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Routing {
    table_name: Option<String>,
    resource_arn: Option<String>,
}

impl Client {
    /// Reads a setting, without retries: the caller knows how long it may take.
    pub(crate) async fn read_setting(
        &self,
        query: SettingQuery,
        body: Bytes,
    ) -> Result<Bytes, RequestError> {
        self.send_by_body(query.operation(), body).await
    }

    /// Changes a setting, without retries, like [`read_setting`](Self::read_setting).
    pub(crate) async fn change_setting(
        &self,
        operation: Operation,
        body: Bytes,
    ) -> Result<Bytes, RequestError> {
        self.send_by_body(api_operation(operation), body).await
    }

    /// Sends a request about the table that its body names.
    async fn send_by_body(
        &self,
        operation: ApiOperation,
        body: Bytes,
    ) -> Result<Bytes, RequestError> {
        let routing: Routing = serde_json::from_slice(&body).unwrap_or_default();
        let table = routing.table_name.or(routing.resource_arn);

        let response = self
            .send(Request::new(operation, table.as_deref(), body))
            .await?;
        Ok(response.text)
    }
}

/// The operation that applies a setting.
pub(crate) fn api_operation(operation: Operation) -> ApiOperation {
    match operation {
        Operation::UpdateTable => ApiOperation::UPDATE_TABLE,
        Operation::UpdateTimeToLive => ApiOperation::UPDATE_TIME_TO_LIVE,
        Operation::TagResource => ApiOperation::TAG_RESOURCE,
        Operation::UpdateContinuousBackups => ApiOperation::UPDATE_CONTINUOUS_BACKUPS,
        Operation::UpdateContributorInsights => ApiOperation::UPDATE_CONTRIBUTOR_INSIGHTS,
        Operation::PutResourcePolicy => ApiOperation::PUT_RESOURCE_POLICY,
        Operation::EnableKinesisStreamingDestination => {
            ApiOperation::ENABLE_KINESIS_STREAMING_DESTINATION
        }
        Operation::RegisterScalableTarget => ApiOperation::REGISTER_SCALABLE_TARGET,
        Operation::PutScalingPolicy => ApiOperation::PUT_SCALING_POLICY,
    }
}
