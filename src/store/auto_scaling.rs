//! Application Auto Scaling: the service that changes provisioned capacity with the load. Its settings belong to a table and are
//! kept elsewhere. The client is built when it is first needed, for most runs never.

use std::sync::OnceLock;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_applicationautoscaling::Client;
use aws_sdk_applicationautoscaling::config::Builder;
use aws_sdk_dynamodb::config::StalledStreamProtectionConfig;
use bytes::Bytes;

use super::client::raw_call;
use super::config::timeouts;
use super::error::Fault;

/// A client that may never be needed.
pub(crate) struct Scaling {
    config: SdkConfig,
    give_up_after: Duration,
    client: OnceLock<Client>,
}

impl Scaling {
    pub(crate) fn new(config: SdkConfig, give_up_after: Duration) -> Self {
        Self {
            config,
            give_up_after,
            client: OnceLock::new(),
        }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let builder = Builder::from(&self.config)
                .retry_config(RetryConfig::disabled())
                .timeout_config(timeouts(self.give_up_after))
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
            Client::from_conf(builder.build())
        })
    }

    pub(crate) async fn describe_targets(&self, body: Bytes) -> Result<Bytes, Fault> {
        let client = self.client();
        told(async { raw_call!(client, describe_scalable_targets, body) }.await)
    }

    pub(crate) async fn describe_policies(&self, body: Bytes) -> Result<Bytes, Fault> {
        let client = self.client();
        told(async { raw_call!(client, describe_scaling_policies, body) }.await)
    }

    pub(crate) async fn register_target(&self, body: Bytes) -> Result<Bytes, Fault> {
        let client = self.client();
        told(async { raw_call!(client, register_scalable_target, body) }.await)
    }

    pub(crate) async fn put_policy(&self, body: Bytes) -> Result<Bytes, Fault> {
        let client = self.client();
        told(async { raw_call!(client, put_scaling_policy, body) }.await)
    }
}

fn told(answer: Result<Bytes, Fault>) -> Result<Bytes, Fault> {
    answer.map_err(|fault| fault.of_service("Application Auto Scaling"))
}
