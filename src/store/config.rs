//! From an [`Environment`] to an SDK configuration.
//!
//! An environment on this machine with credentials of its own needs nothing from outside, so nothing is read: neither the
//! process environment nor the shared AWS files can lead its calls elsewhere. Every other environment goes through
//! `aws-config`, which knows profiles, SSO, credential processes, web identity and instance metadata.

use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials as AwsCredentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::StalledStreamProtectionConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::auto_scaling::Scaling;
use super::client::Services;
use super::error::Fault;
use super::redact::Hush;
use super::shortcut::Shortcut;
use crate::environment::{Credentials, Endpoint, Environment, LOCAL_REGION, Role};
use crate::error::{Error, Result};

/// One attempt of a data call ends after this long without an answer's head.
const ATTEMPT: Duration = Duration::from_mins(1);
/// Nor is it ended earlier than this: a machine under load is slow, too.
const SHORTEST_ATTEMPT: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(5);

/// What it takes to reach an environment's services, once and again.
pub(crate) struct Connection {
    pub(crate) environment: Environment,
    /// Where the embedded engine listens.
    pub(crate) embedded_url: Option<String>,
    pub(crate) give_up_after: Duration,
}

impl Connection {
    pub(crate) async fn config(&self) -> Result<Config> {
        Config::of(&self.environment, self.embedded_url.as_deref()).await
    }

    pub(crate) fn services(&self, config: &Config) -> Services {
        Services {
            dynamodb: config.dynamodb(self.give_up_after),
            shortcut: Shortcut::default(),
            scaling: Scaling::new(config.shared.clone(), self.give_up_after),
        }
    }

    /// The services with credentials read anew. `None` where they can be no others: keys in an env file are what they were.
    pub(crate) async fn renewed(&self) -> Option<Services> {
        if fixed_credentials(self.environment.credentials()).is_some()
            && self.environment.role().is_none()
        {
            return None;
        }

        Some(self.services(&self.config().await.ok()?))
    }
}

/// How DynamoDB is called: the SDK's configuration for it, and for the services that serve it (STS).
pub(crate) struct Config {
    pub(crate) shared: SdkConfig,
    /// The endpoint for DynamoDB where it differs from the shared one.
    pub(crate) dynamodb_endpoint: Option<String>,
}

impl Config {
    /// Reads what the environment leaves to `aws-config`. `embedded_url` is where the embedded engine listens.
    async fn of(environment: &Environment, embedded_url: Option<&str>) -> Result<Self> {
        let (shared_endpoint, dynamodb_endpoint) = endpoints(environment.endpoint(), embedded_url);
        let url = shared_endpoint.as_deref().or(dynamodb_endpoint.as_deref());
        let shared = match fixed_credentials(environment.credentials()) {
            Some(credentials) if environment.is_local() && environment.role().is_none() => {
                isolated(environment, credentials, url)
            }
            fixed => from_aws_config(environment, fixed, shared_endpoint.as_deref()).await,
        };

        let shared = match shared.region() {
            // The profile has none either.
            None if environment.is_local() => shared
                .to_builder()
                .region(Region::new(LOCAL_REGION))
                .build(),
            _ => shared,
        };

        if shared.region().is_none() {
            return Err(Error::environment(format!(
                "environment {} has no region",
                environment.name()
            ))
            .with_hint("set AWS_REGION in its env file, or pass --region"));
        }

        let shared = match environment.role() {
            Some(role) => assume(role, &shared).await,
            None => shared,
        };
        Ok(Self {
            shared,
            dynamodb_endpoint,
        })
    }

    /// A DynamoDB client. The SDK's own retries are off: this module has one owner of retries.
    fn dynamodb(&self, give_up_after: Duration) -> aws_sdk_dynamodb::Client {
        let mut builder = aws_sdk_dynamodb::config::Builder::from(&self.shared)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(give_up_after))
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(url) = &self.dynamodb_endpoint {
            builder = builder.endpoint_url(url);
        }

        aws_sdk_dynamodb::Client::from_conf(builder.build())
    }

    /// The account these credentials belong to, asked of STS.
    pub(crate) async fn account(&self) -> Result<String> {
        let hush = Hush::default();
        let identity = aws_sdk_sts::Client::new(&self.shared)
            .get_caller_identity()
            .customize()
            .interceptor(hush.clone());
        let identity = identity.send().await;
        let identity = identity.map_err(|error| {
            hush.kept_in(Fault::of(error))
                .into_error("GetCallerIdentity", "of STS", "STS")
        })?;
        identity.account.ok_or_else(|| {
            Error::environment("STS did not say which account these credentials belong to")
        })
    }
}

/// A call that hangs is to be made again before a run without patience gives up.
pub(crate) fn timeouts(give_up_after: Duration) -> TimeoutConfig {
    let attempt = ATTEMPT.min(give_up_after / 4).max(SHORTEST_ATTEMPT);
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(attempt)
        .build()
}

/// The endpoint of every service, and the one of DynamoDB alone.
fn endpoints(endpoint: &Endpoint, embedded_url: Option<&str>) -> (Option<String>, Option<String>) {
    match endpoint {
        Endpoint::Aws => (None, None),
        Endpoint::Url {
            url,
            every_service: true,
            ..
        } => (Some(url.clone()), None),
        Endpoint::Url {
            url,
            every_service: false,
            ..
        } => (None, Some(url.clone())),
        Endpoint::Embedded { .. } => (embedded_url.map(ToOwned::to_owned), None),
    }
}

fn fixed_credentials(credentials: &Credentials) -> Option<AwsCredentials> {
    match credentials {
        Credentials::Static {
            access_key_id,
            secret_access_key,
            session_token,
            ..
        } => Some(AwsCredentials::new(
            access_key_id,
            secret_access_key.expose(),
            session_token
                .as_ref()
                .map(|token| token.expose().to_owned()),
            None,
            "environment",
        )),
        Credentials::Local => Some(AwsCredentials::new("test", "test", None, None, "local")),
        Credentials::Profile { .. } | Credentials::Chain => None,
    }
}

/// A configuration that reads nothing from outside.
fn isolated(
    environment: &Environment,
    credentials: AwsCredentials,
    url: Option<&str>,
) -> SdkConfig {
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client(url))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(region(environment));

    builder.set_endpoint_url(url.map(ToOwned::to_owned));
    builder.build()
}

async fn from_aws_config(
    environment: &Environment,
    fixed: Option<AwsCredentials>,
    endpoint: Option<&str>,
) -> SdkConfig {
    // Profiles may need SSO or STS over TLS even where DynamoDB itself is reached without.
    let http = http_client(None);
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
    if let Some(region) = region(environment) {
        loader = loader.region(region);
    }

    if let Some(url) = endpoint {
        loader = loader.endpoint_url(url);
    }

    if let Credentials::Profile { name, .. } = environment.credentials() {
        let provider = ProviderConfig::default()
            .with_http_client(http)
            .with_region(region(environment));
        let profile = ProfileFileCredentialsProvider::builder()
            .profile_name(name)
            .configure(&provider)
            .build();
        loader = loader.profile_name(name).credentials_provider(profile);
    }

    if let Some(credentials) = fixed {
        loader = loader.credentials_provider(credentials);
    }

    loader.load().await
}

async fn assume(role: &Role, shared: &SdkConfig) -> SdkConfig {
    let mut provider = AssumeRoleProvider::builder(&role.arn.value).configure(shared);
    provider = provider.session_name(role.session_name.as_deref().unwrap_or("dynadump"));
    if let Some(id) = &role.external_id {
        provider = provider.external_id(id);
    }

    let provider = match shared.credentials_provider() {
        Some(base) => provider.build_from_provider(base).await,
        None => provider.build().await,
    };
    shared
        .to_builder()
        .credentials_provider(SharedCredentialsProvider::new(provider))
        .build()
}

fn region(environment: &Environment) -> Option<Region> {
    environment
        .region()
        .map(|region| Region::new(region.value.clone()))
}

/// A client for `url`. Loading the system's trust anchors takes tens of milliseconds, so plain HTTP goes without.
fn http_client(url: Option<&str>) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new();
    if url.is_some_and(|url| url.starts_with("http://")) {
        builder.build_http()
    } else {
        builder
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https()
    }
}
