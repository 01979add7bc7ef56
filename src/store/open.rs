//! Opens a store: starts the embedded engine, builds the client, checks the account, and waits for
//! an endpoint that is starting.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::client::{Client, ClientOptions, DisplayNames};
#[cfg(feature = "embedded")]
use super::embedded::Engine;
use super::endpoint_kind::EndpointKind;
use super::options::StoreOptions;
use super::reader::{EMULATOR_ACCOUNT, Reader};
use super::retry::Retry;
use crate::aws::credentials_source;
use crate::aws::error::ErrorClass;
use crate::aws::{AwsSettings, ClientFactory};
use crate::environment::{Endpoint, Environment};
use crate::error::{Error, Result};
use crate::event::{Event, Phase};

impl Reader {
    /// Opens the environment's DynamoDB. Sends no request unless the environment requires a certain
    /// account, or `wait` is set.
    ///
    /// # Errors
    /// Fails without a region or credentials, if the account is another one, if the endpoint does
    /// not answer within `wait`, or if the embedded database cannot be opened.
    pub async fn open(environment: &Environment, options: StoreOptions) -> Result<Self> {
        #[cfg(feature = "embedded")]
        let engine = Engine::start(environment, options.missing_database).await?;
        #[cfg(feature = "embedded")]
        let embedded_url = engine.as_ref().map(Engine::url);

        #[cfg(not(feature = "embedded"))]
        let embedded_url: Option<&str> = reject_embedded(environment.endpoint())?;
        let factory = ClientFactory {
            environment: environment.clone(),
            embedded_url: embedded_url.map(ToOwned::to_owned),
            give_up_after: options.give_up_after,
        };

        let config = factory.settings().await?;
        let endpoint_kind = EndpointKind::from_endpoint(environment.endpoint());
        let reporter = Arc::clone(&options.reporter);
        let names = DisplayNames {
            credentials: credentials_source::describe(environment).await,
            proxy: config.proxy().await,
        };
        let client_options = ClientOptions {
            endpoint_kind,
            names,
            concurrency: options.concurrency,
            compression: options.wire_compression,
            reporter,
        };
        let client = Client::new(factory.client(&config), factory, client_options);

        if let Some(wait) = options.wait {
            options.reporter.report(Event::Phase {
                phase: Phase::Connecting,
                items: None,
                bytes: None,
            });

            wait_until_available(&client, wait).await?;
        }

        // After the wait, because the endpoint may serve STS too.
        check_account(environment, &config).await?;

        Ok(Self::new(
            client,
            config,
            #[cfg(feature = "embedded")]
            engine,
        ))
    }
}

#[cfg(not(feature = "embedded"))]
fn reject_embedded(endpoint: &Endpoint) -> Result<Option<&'static str>> {
    match endpoint {
        Endpoint::Embedded { .. } => Err(Error::environment("this build has no embedded engine")
            .with_hint("build it with the feature `embedded`, or name a server's URL")),
        _ => Ok(None),
    }
}

/// Sends `ListTables` until the endpoint answers or `wait` has passed.
async fn wait_until_available(client: &Client, wait: Duration) -> Result<()> {
    let started = client.retry().now();
    // Retries here, because the usual retries fail immediately if an endpoint has never answered.
    let mut delays = Retry::backoff();
    loop {
        let error = match client
            .send_list_tables(Bytes::from_static(br#"{"Limit":1}"#))
            .await
        {
            Ok(_) => return Ok(()),
            Err(error) if error.is_retryable() => error,
            // An engine that rejects ListTables is running. The call that needs a rejected
            // operation will report it.
            Err(error) if error.class != ErrorClass::Denied => return Ok(()),
            Err(error) => {
                return Err(client.operation_error(error, "of this account"));
            }
        };

        let remaining = wait.saturating_sub(client.retry().since(started));
        if remaining.is_zero() {
            return Err(client.operation_error(error, "of this account"));
        }

        tokio::time::sleep(
            delays
                .next()
                .unwrap_or(remaining)
                .min(remaining)
                .min(Duration::from_secs(1)),
        )
        .await;
    }
}

/// Fails if the credentials belong to another account than the environment requires.
async fn check_account(environment: &Environment, config: &AwsSettings) -> Result<()> {
    let Some(wanted) = environment.account() else {
        return Ok(());
    };

    let account = match environment.endpoint() {
        // The embedded engine has no STS.
        Endpoint::Embedded { .. } => EMULATOR_ACCOUNT.to_owned(),
        _ => config.account().await?,
    };
    if account == wanted.value {
        return Ok(());
    }

    Err(Error::environment(format!(
        "environment {} must be account {} ({}), but its credentials belong to {account}",
        environment.name(),
        wanted.value,
        wanted.source,
    ))
    .with_hint("use the credentials of the right account; nothing was read or written"))
}
