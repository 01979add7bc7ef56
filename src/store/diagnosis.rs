//! The steps from this machine to DynamoDB, one at a time, for a diagnosis: endpoint, network, credentials, identity. Changes nothing.

use std::io;
use std::time::{Duration, SystemTime};

use super::endpoint_kind::EndpointKind;
use crate::aws::credentials_source;
use crate::aws::error::RequestError;
use crate::aws::{AwsClient, AwsSettings, ClientFactory, Connection};
use crate::environment::{Address, Environment};
use crate::error::{Error, Result};

pub(crate) use crate::aws::{CallerIdentity, Route, ServerAnswer, addresses, connect};

/// Longest time without an answer of one call. A call that hangs is repeated after a quarter of it.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for credentials, which a program or a portal may provide.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(10);

/// Whose credentials they are.
pub(crate) enum Identity {
    /// Local engines do not tell accounts apart.
    OfLocalEngine,
    /// As STS tells it.
    Known(CallerIdentity),
    /// STS cannot be reached, or refuses the question.
    Unknown(Error),
}

/// The path of requests to the DynamoDB of an environment, other than the embedded engine.
pub(crate) struct RequestPath {
    settings: AwsSettings,
    client: AwsClient,
    connection: Connection,
    credentials: String,
    /// Whether the credentials may be known to STS.
    has_sts: bool,
}

impl RequestPath {
    /// Loads the settings of the shared AWS configuration and of the process environment that requests depend on.
    ///
    /// # Errors
    /// There is no region; a profile or a CA bundle cannot be used.
    pub(crate) async fn of(environment: &Environment) -> Result<Self> {
        let factory = ClientFactory {
            environment: environment.clone(),
            embedded_url: None,
            give_up_after: CALL_TIMEOUT,
        };
        let settings = factory.settings().await?;
        let client = factory.client(&settings);
        let connection = settings.connection().await;

        Ok(Self {
            client,
            credentials: credentials_source::describe(environment).await,
            connection: connection.map_err(|error| error.into_error("of this environment"))?,
            has_sts: EndpointKind::from_endpoint(environment.endpoint()) != EndpointKind::Local,
            settings,
        })
    }

    /// The region of calls.
    pub(crate) fn region(&self) -> String {
        self.settings.region()
    }

    /// The URL of DynamoDB.
    pub(crate) fn url(&self) -> &str {
        self.connection.url()
    }

    /// Host and port of the URL.
    pub(crate) fn address(&self) -> Option<Address> {
        self.connection.address()
    }

    /// The credentials and their source.
    pub(crate) fn credentials(&self) -> &str {
        &self.credentials
    }

    /// How requests reach it.
    pub(crate) fn route(&self) -> Route {
        self.connection.route()
    }

    /// Where the trusted CA certificates come from.
    pub(crate) fn trusted(&self) -> String {
        self.connection.trusted()
    }

    /// Sends an unsigned request, which changes nothing.
    ///
    /// # Errors
    /// There is no connection, its certificate is not trusted, or there is no answer in time.
    pub(crate) async fn ask(&self) -> Result<ServerAnswer> {
        let answer = self.connection.ask().await;
        answer.map_err(|error| error.into_error(self.url()))
    }

    /// The error for a host that cannot be resolved or connected to.
    pub(crate) fn unreachable(&self, cause: io::Error) -> Error {
        self.connection.unreachable(cause).into_error(self.url())
    }

    /// Fetches the credentials, and returns when they expire; `None` if the provider does not say.
    ///
    /// # Errors
    /// There are none, or the provider does not answer in time.
    pub(crate) async fn credentials_expiry(&self) -> Result<Option<SystemTime>> {
        let expiry = tokio::time::timeout(CREDENTIALS_TIMEOUT, self.client.expiry()).await;
        let expiry = expiry.unwrap_or_else(|_| Err(RequestError::timeout()));

        expiry.map_err(|error| error.into_error("of the credentials"))
    }

    /// The identity of the credentials, as STS tells it.
    ///
    /// # Errors
    /// STS rejects the credentials.
    pub(crate) async fn identity(&self) -> Result<Identity> {
        if !self.has_sts {
            return Ok(Identity::OfLocalEngine);
        }

        match self.settings.caller_identity(&self.client).await {
            Ok(identity) => Ok(Identity::Known(identity)),
            Err(error) => {
                let is_rejected = error.is_rejected_credentials();
                let error = error.into_error("of these credentials");
                if is_rejected {
                    Err(error)
                } else {
                    Ok(Identity::Unknown(error))
                }
            }
        }
    }
}
