//! Calls that read and change table settings. Request bodies are ready-made JSON, and responses are
//! returned unparsed.

use bytes::Bytes;
use serde::Deserialize;

use super::client::Client;
use super::limiter::control_plane::Turn;
use crate::aws::error::RequestError;
use crate::aws::{ApiOperation, Request};
use crate::schema::{Operation, SettingService};

/// The members of a body that name its table: account-based endpoints depend on it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Routing {
    table_name: Option<String>,
    resource_arn: Option<String>,
}

impl Client {
    /// Reads or changes a setting of the table that the body names, without retries: the caller
    /// knows how long it may take.
    pub(crate) async fn call_setting(
        &self,
        operation: Operation,
        body: Bytes,
    ) -> Result<Bytes, RequestError> {
        let turn = self.setting_turn(operation).await;
        self.call_setting_in_turn(&turn, operation, body).await
    }

    /// Waits until a call about a setting may be sent. While many tables are dumped or restored, this may take longer than the
    /// call.
    pub(crate) async fn setting_turn(&self, operation: Operation) -> Turn {
        self.control_plane().turn(api_operation(operation)).await
    }

    /// Like [`call_setting`](Self::call_setting), after the wait.
    pub(crate) async fn call_setting_in_turn(
        &self,
        turn: &Turn,
        operation: Operation,
        body: Bytes,
    ) -> Result<Bytes, RequestError> {
        let routing: Routing = serde_json::from_slice(&body).unwrap_or_default();
        let table = routing.table_name.or(routing.resource_arn);

        let request = Request::new(api_operation(operation), table.as_deref(), body);
        let response = self.send_in_turn(turn, request).await?;
        Ok(response.text)
    }
}

fn api_operation(operation: Operation) -> ApiOperation {
    match operation.service {
        SettingService::DynamoDb => ApiOperation::dynamodb(operation.name),
        SettingService::DynamoDbStreams => ApiOperation::streams(operation.name),
        SettingService::ApplicationAutoScaling => ApiOperation::auto_scaling(operation.name),
        SettingService::Kms => ApiOperation::kms(operation.name),
    }
}
