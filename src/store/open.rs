//! Opens a store: starts the embedded engine, builds the client, checks the account, and waits for
//! an endpoint that is starting.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::account::Account;
use super::client::{Client, ClientOptions, DisplayNames};
#[cfg(feature = "embedded")]
use super::embedded::Engine;
use super::endpoint_kind::EndpointKind;
use super::options::StoreOptions;
use super::reader::Reader;
use super::retry::Retry;
use crate::aws::ClientFactory;
use crate::aws::credentials_source;
use crate::aws::error::ErrorClass;
#[cfg(not(feature = "embedded"))]
use crate::environment::Endpoint;
use crate::environment::Environment;
#[cfg(not(feature = "embedded"))]
use crate::error::Error;
use crate::error::Result;
use crate::event::{Event, Phase};
use crate::field::Field;

impl Reader {
    /// Opens the environment's DynamoDB. Sends no request unless the environment requires a certain
    /// account, or `wait` is set.
    ///
    /// # Errors
    /// Fails without a region or credentials, if the account is another one, if the endpoint does
    /// not answer within `wait`, or if the embedded database cannot be opened.
    pub async fn open(environment: &Environment, options: StoreOptions) -> Result<Self> {
        #[cfg(feature = "embedded")]
        let engine = Engine::start(environment, options.missing_database, options.database).await?;
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
            diagnosis: options
                .refers_to_diagnosis
                .then(|| environment.dump_command(Field::Doctor))
                .flatten(),
        };
        let client_options = ClientOptions {
            endpoint_kind,
            names,
            concurrency: options.concurrency,
            total_caps: [options.max_total_read_units, options.max_total_write_units],
            compression: options.wire_compression,
            reporter,
            #[cfg(feature = "embedded")]
            bulk: engine.as_ref().map(Engine::bulk_writer),
        };
        let client = Client::new(Arc::new(factory.client(&config)), factory, client_options);

        if let Some(wait) = options.wait {
            options.reporter.report(Event::Phase {
                phase: Phase::Connecting,
                items: None,
                bytes: None,
            });

            wait_until_available(&client, wait).await?;
        }

        // After the wait, because the endpoint may serve STS too.
        let account = Account::new(environment, config);
        account.check_credentials(&client).await?;

        Ok(Self::new(
            client,
            account,
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
            // An endpoint that rejects ListTables is running, and the command may not need that
            // operation.
            Err(error) if error.class != ErrorClass::Denied || error.is_access_denied() => {
                return Ok(());
            }
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
