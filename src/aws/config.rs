//! Builds the SDK configuration of an [`Environment`].
//!
//! A local environment with its own credentials reads neither the process environment nor the
//! shared AWS files, so nothing can redirect its calls. Every other environment uses `aws-config`,
//! which supports profiles, SSO, credential processes, web identity and instance metadata; in a local
//! one, its calls of STS go to the local endpoint, and it makes no others.

use std::sync::Arc;
use std::time::Duration;

use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials as AwsCredentials;
use aws_credential_types::attributes::AccountId;
use aws_credential_types::provider::SharedCredentialsProvider;

use super::account::{self, CallerIdentity};
use super::client::AwsClient;
use super::connection::Connection;
use super::endpoint::Endpoints;
use super::error::RequestError;
use super::explained::{ExplainedProvider, Origin};
use super::network::Network;
use super::profile::{DEFAULT_PROFILE, ProfileChain, located};
use super::timeouts::attempt_timeout;
use crate::environment::{
    Credentials, Endpoint, Environment, LOCAL_REGION, Role, Secret, ValueSource,
};
use crate::error::{Error, Result};
use crate::field::Field;

/// Builds the client of an environment, again when credentials are renewed.
#[derive(Clone)]
pub(crate) struct ClientFactory {
    pub(crate) environment: Environment,
    /// URL of the embedded engine.
    pub(crate) embedded_url: Option<String>,
    pub(crate) give_up_after: Duration,
}

impl ClientFactory {
    /// Loads the settings of the environment.
    ///
    /// # Errors
    /// The environment has no region.
    pub(crate) async fn settings(&self) -> Result<AwsSettings> {
        AwsSettings::load(&self.environment, self.embedded_url.as_deref()).await
    }

    pub(crate) fn client(&self, settings: &AwsSettings) -> AwsClient {
        settings.client(self.give_up_after)
    }

    /// Reads the credentials again, and builds a client with them if they may differ from those of `old`.
    pub(crate) async fn renewed(&self, old: &AwsClient) -> Renewal {
        if fixed_credentials(self.environment.credentials()).is_some()
            && self.environment.role().is_none()
        {
            return Renewal::SameKeys;
        }

        let Ok(settings) = self.settings().await else {
            return Renewal::Failed;
        };

        let client = self.client(&settings);
        if settings.has_static_keys && client.has_no_newer_keys(old).await {
            return Renewal::SameKeys;
        }

        Renewal::Client(Arc::new(client))
    }
}

/// Result of renewing credentials.
pub(crate) enum Renewal {
    /// A client with new credentials.
    Client(Arc<AwsClient>),
    /// The keys are static, and those from before: only their owner can replace them.
    SameKeys,
    /// The credentials could not be read.
    Failed,
}

/// Settings for DynamoDB and for the services that it depends on (STS).
pub(crate) struct AwsSettings {
    shared: SdkConfig,
    urls: EndpointUrls,
    network: Network,
    /// Name of the embedded engine.
    engine: Option<String>,
    /// Whether the credentials are static keys, or roles that are assumed with static keys.
    has_static_keys: bool,
}

impl AwsSettings {
    /// Loads the settings that the environment leaves to `aws-config`. `embedded_url` is the URL of
    /// the embedded engine.
    async fn load(environment: &Environment, embedded_url: Option<&str>) -> Result<Self> {
        let urls = EndpointUrls::from_endpoint(environment.endpoint(), embedded_url);
        let url = urls.dynamodb();
        // First: without it, an unknown profile would be reported as a missing region.
        let profile = ProfileChain::of(environment).await?;
        let network = Network::load(environment, urls.shared.as_deref()).await?;
        let fixed = fixed_credentials(environment.credentials());
        let has_static_keys =
            fixed.is_some() || profile.as_ref().is_some_and(ProfileChain::has_static_keys);
        let shared = match fixed {
            Some(credentials) if environment.is_local() && environment.role().is_none() => {
                offline_config(environment, credentials, url, &network)
            }
            Some(credentials) => {
                let loader = sdk_loader(environment, urls.shared.as_deref(), &network).await?;
                loader.credentials_provider(credentials).load().await
            }
            None => {
                let endpoint = urls.shared.as_deref();
                from_shared_files(environment, profile, endpoint, &network).await?
            }
        };

        let shared = match environment.role() {
            Some(role) => assume(environment, role, &shared).await,
            None => shared,
        };
        Ok(Self {
            shared,
            urls,
            network,
            engine: embedded_url.map(|_| environment.endpoint().to_string()),
            has_static_keys,
        })
    }

    fn client(&self, give_up_after: Duration) -> AwsClient {
        let endpoints = Endpoints::new(&self.shared, self.urls.dynamodb().map(ToOwned::to_owned))
            .with_name(self.engine.clone());
        AwsClient::new(
            self.shared.credentials_provider(),
            self.network.connector(),
            endpoints,
            attempt_timeout(give_up_after),
        )
    }

    /// The proxy between this machine and DynamoDB, and the variable that names it.
    pub(crate) async fn proxy(&self) -> Option<String> {
        let endpoints = Endpoints::new(&self.shared, self.urls.dynamodb().map(ToOwned::to_owned));
        let url = endpoints.dynamodb(None, None).await.ok()?;

        self.network.proxy_for(&url).map(ToString::to_string)
    }

    /// The account of the client's credentials: as they name it, otherwise as STS tells it.
    ///
    /// # Errors
    /// There are no credentials; they do not name it, and STS cannot be reached in time or rejects them.
    pub(crate) async fn account(&self, client: &AwsClient) -> Result<String, RequestError> {
        let credentials = client.credentials().await?;
        if let Some(account) = credentials.account_id() {
            return Ok(account.as_str().to_owned());
        }

        let identity = account::from_sts(&self.shared, credentials).await?;
        Ok(identity.account)
    }

    /// The identity of the client's credentials, as STS tells it.
    ///
    /// # Errors
    /// There are no credentials; STS cannot be reached in time or rejects them.
    pub(crate) async fn caller_identity(
        &self,
        client: &AwsClient,
    ) -> Result<CallerIdentity, RequestError> {
        let credentials = client.credentials().await?;
        account::from_sts(&self.shared, credentials).await
    }

    /// The region of calls; empty if there is none.
    pub(crate) fn region(&self) -> String {
        let region = self.shared.region().map(ToString::to_string);
        region.unwrap_or_default()
    }

    /// The URL of DynamoDB, and how requests reach it.
    ///
    /// # Errors
    /// AWS's rules have no endpoint for this region and these options.
    pub(crate) async fn connection(&self) -> Result<Connection, RequestError> {
        let endpoints = Endpoints::new(&self.shared, self.urls.dynamodb().map(ToOwned::to_owned));
        let url = endpoints.dynamodb(None, None).await?;

        Ok(Connection::new(url, self.network.clone()))
    }
}

/// Endpoint URLs that replace AWS's own.
#[derive(Default)]
struct EndpointUrls {
    /// For every service.
    shared: Option<String>,
    /// For DynamoDB alone.
    dynamodb_alone: Option<String>,
}

impl EndpointUrls {
    /// The URL of DynamoDB.
    fn dynamodb(&self) -> Option<&str> {
        self.dynamodb_alone.as_deref().or(self.shared.as_deref())
    }

    fn from_endpoint(endpoint: &Endpoint, embedded_url: Option<&str>) -> Self {
        match endpoint {
            Endpoint::Aws => Self::default(),
            Endpoint::Embedded { .. } => Self {
                shared: embedded_url.map(ToOwned::to_owned),
                dynamodb_alone: None,
            },
            Endpoint::Url {
                url,
                every_service: true,
                ..
            } => Self {
                shared: Some(url.clone()),
                dynamodb_alone: None,
            },
            Endpoint::Url {
                url,
                every_service: false,
                ..
            } => Self {
                shared: None,
                dynamodb_alone: Some(url.clone()),
            },
        }
    }
}

fn fixed_credentials(credentials: &Credentials) -> Option<AwsCredentials> {
    match credentials {
        Credentials::Static {
            access_key_id,
            secret_access_key,
            session_token,
            account_id,
            ..
        } => {
            let token = session_token.as_ref().map(Secret::expose);
            let mut keys = AwsCredentials::builder()
                .access_key_id(access_key_id)
                .secret_access_key(secret_access_key.expose())
                .provider_name("environment");
            keys.set_session_token(token.map(ToOwned::to_owned));
            keys.set_account_id(account_id.clone().map(AccountId::from));

            Some(keys.build())
        }
        Credentials::Local => Some(AwsCredentials::new("test", "test", None, None, "local")),
        Credentials::Profile { .. } | Credentials::Chain => None,
    }
}

/// Builds a configuration without reading files or the process environment.
fn offline_config(
    environment: &Environment,
    credentials: AwsCredentials,
    url: Option<&str>,
    network: &Network,
) -> SdkConfig {
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(network.client())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(region(environment));

    builder.set_endpoint_url(url.map(ToOwned::to_owned));
    builder.build()
}

/// A loader with the environment's region, endpoint and profile.
async fn sdk_loader(
    environment: &Environment,
    endpoint: Option<&str>,
    network: &Network,
) -> Result<ConfigLoader> {
    let http = network.client();
    let config = ProviderConfig::default().with_http_client(http.clone());
    let region = resolve_region(environment, &config).await?;
    let config = config.with_region(Some(region.clone()));
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .region(region);

    if let Some(url) = endpoint {
        loader = loader.endpoint_url(url);
    }

    if let Some(name) = profile_name(environment.credentials()) {
        loader = loader.profile_name(name);
    }

    // With the process environment's profile, the SDK also asks the container or instance, as without a profile.
    if let Credentials::Profile { name, source } = environment.credentials()
        && !matches!(source, ValueSource::Process(_))
    {
        let provider = ProfileFileCredentialsProvider::builder().profile_name(name);
        loader = loader.credentials_provider(provider.configure(&config).build());
    }

    Ok(loader)
}

/// The configuration of an environment without keys of its own. `profile` is its profile, if that has credentials.
async fn from_shared_files(
    environment: &Environment,
    profile: Option<ProfileChain>,
    endpoint: Option<&str>,
    network: &Network,
) -> Result<SdkConfig> {
    let loader = sdk_loader(environment, endpoint, network).await?;
    let origin = match profile {
        Some(profile) => Origin::Profile(profile),
        None => Origin::Host {
            environment: environment.name().to_owned(),
            asked_before: match environment.credentials() {
                Credentials::Profile { name, .. } => format!("{} has none", located(name)),
                _ => "there are neither keys nor a default profile".to_owned(),
            },
        },
    };

    Ok(explained(environment, &loader.load().await, origin))
}

/// The profile whose settings apply. `None` leaves it to the SDK, for keys that come from elsewhere.
fn profile_name(credentials: &Credentials) -> Option<&str> {
    match credentials {
        Credentials::Profile { name, .. } => Some(name),
        // The SDK would take an empty AWS_PROFILE for a name.
        Credentials::Chain => Some(DEFAULT_PROFILE),
        Credentials::Static { .. } | Credentials::Local => None,
    }
}

/// The region of the environment, its profile, or the instance that this program runs on.
async fn resolve_region(environment: &Environment, config: &ProviderConfig) -> Result<Region> {
    if let Some(region) = region(environment) {
        return Ok(region);
    }

    let mut profile = ProfileFileRegionProvider::builder().configure(config);
    if let Some(name) = profile_name(environment.credentials()) {
        profile = profile.profile_name(name);
    }

    let found = match profile.build().region().await {
        // A local environment calls nothing but its endpoint.
        None if environment.is_local() => Some(Region::new(LOCAL_REGION)),
        None => {
            let instance = ImdsRegionProvider::builder().configure(config).build();
            instance.region().await
        }
        found => found,
    };

    found.ok_or_else(|| {
        Error::environment(format!("environment {} has no region", environment.name())).with_hint(
            format!(
                "set AWS_REGION in its env file, or pass {region}",
                region = Field::Region
            ),
        )
    })
}

/// The same configuration with credentials whose errors say what to do.
fn explained(environment: &Environment, config: &SdkConfig, origin: Origin) -> SdkConfig {
    let Some(provider) = config.credentials_provider() else {
        return config.clone();
    };

    let provider = ExplainedProvider {
        provider,
        origin,
        local_url: environment
            .is_local()
            .then(|| environment.endpoint().to_string()),
    };
    config
        .to_builder()
        .credentials_provider(SharedCredentialsProvider::new(provider))
        .build()
}

async fn assume(environment: &Environment, role: &Role, shared: &SdkConfig) -> SdkConfig {
    let mut provider = AssumeRoleProvider::builder(&role.arn.value).configure(shared);
    provider = provider.session_name(role.session_name.as_deref().unwrap_or("dynadump"));
    if let Some(id) = &role.external_id {
        provider = provider.external_id(id);
    }

    let provider = match shared.credentials_provider() {
        Some(base) => provider.build_from_provider(base).await,
        None => provider.build().await,
    };
    let assumed = shared
        .to_builder()
        .credentials_provider(SharedCredentialsProvider::new(provider))
        .build();
    let origin = Origin::Role {
        name: format!("role {} ({})", role.arn.value, role.source()),
    };

    explained(environment, &assumed, origin)
}

fn region(environment: &Environment) -> Option<Region> {
    environment
        .region()
        .map(|region| Region::new(region.value.clone()))
}
