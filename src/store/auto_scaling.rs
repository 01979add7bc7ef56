//! Client for Application Auto Scaling, the service that stores the scaling settings of provisioned
//! tables. It is built on first use, because most runs never need it.

use std::sync::OnceLock;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use aws_sdk_applicationautoscaling::Client;
use aws_sdk_applicationautoscaling::config::Builder;
use aws_sdk_dynamodb::config::StalledStreamProtectionConfig;
use bytes::Bytes;

use super::error::RequestError;
use super::raw_call::raw_call;
use super::timeouts::timeouts;

/// A lazily built client for Application Auto Scaling.
pub(crate) struct AutoScalingClient {
    config: SdkConfig,
    give_up_after: Duration,
    client: OnceLock<Client>,
}

impl AutoScalingClient {
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

    pub(crate) async fn describe_targets(&self, body: Bytes) -> Result<Bytes, RequestError> {
        let client = self.client();
        name_service(async { raw_call!(client, describe_scalable_targets, body) }.await)
    }

    pub(crate) async fn describe_policies(&self, body: Bytes) -> Result<Bytes, RequestError> {
        let client = self.client();
        name_service(async { raw_call!(client, describe_scaling_policies, body) }.await)
    }

    pub(crate) async fn register_target(&self, body: Bytes) -> Result<Bytes, RequestError> {
        let client = self.client();
        name_service(async { raw_call!(client, register_scalable_target, body) }.await)
    }

    pub(crate) async fn put_policy(&self, body: Bytes) -> Result<Bytes, RequestError> {
        let client = self.client();
        name_service(async { raw_call!(client, put_scaling_policy, body) }.await)
    }
}

fn name_service(answer: Result<Bytes, RequestError>) -> Result<Bytes, RequestError> {
    answer.map_err(|error| error.for_service("Application Auto Scaling"))
}
