//! Opens a store: starts the embedded engine, builds the client, checks the account, and waits for
//! an endpoint that is starting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::client::{Client, ClientOptions, DisplayNames};
#[cfg(feature = "embedded")]
use super::embedded::Engine;
use super::endpoint_kind::EndpointKind;
use super::options::StoreOptions;
use super::retry::Retry;
use super::{ReadStore, ScanPage, ScanRequest, WriteOutcome, WriteStore};
use super::{capture, probe};
use crate::aws::credentials_source;
use crate::aws::error::ErrorClass;
use crate::aws::{AwsSettings, ClientFactory};
use crate::environment::{Confirmation, Endpoint, Environment};
use crate::error::{Error, Result};
use crate::event::{Event, Phase};
use crate::item::KeySchema;
use crate::schema::{Captured, CreateTable, Section, Setting, SettingCall, TableSchema};

/// The account ID that engines other than AWS use in ARNs.
const EMULATOR_ACCOUNT: &str = "000000000000";

/// Timeout for looking up an account ID that is only informative.
const ACCOUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// A store with read access.
#[derive(Clone)]
pub struct Store(Arc<StoreInner>);

/// A store that can also write to the tables that its confirmation covers.
#[derive(Clone)]
pub struct WritableStore {
    store: Store,
    confirmation: Arc<Confirmation>,
}

struct StoreInner {
    client: Arc<Client>,
    config: AwsSettings,
    #[cfg(feature = "embedded")]
    engine: Option<Engine>,
}

impl Store {
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
        let endpoint = match environment.endpoint() {
            Endpoint::Aws => format!("DynamoDB in {}", config.region()),
            endpoint => endpoint.to_string(),
        };

        let endpoint_kind = EndpointKind::from_endpoint(environment.endpoint());
        let reporter = Arc::clone(&options.reporter);
        let names = DisplayNames {
            endpoint,
            credentials: credentials_source::describe(environment).await,
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
        Ok(Self(Arc::new(StoreInner {
            client: Arc::new(client),
            config,
            #[cfg(feature = "embedded")]
            engine,
        })))
    }

    /// Whether the store uses a temporary database in memory because the environment's database
    /// file does not exist.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        #[cfg(feature = "embedded")]
        return self
            .0
            .engine
            .as_ref()
            .is_some_and(|engine| engine.is_temporary);

        #[cfg(not(feature = "embedded"))]
        false
    }

    /// Adds write access to the tables that `confirmation` covers.
    #[must_use]
    pub fn writable(&self, confirmation: Confirmation) -> WritableStore {
        WritableStore {
            store: self.clone(),
            confirmation: Arc::new(confirmation),
        }
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
                return Err(client.operation_error(error, "ListTables", "of this account"));
            }
        };

        let remaining = wait.saturating_sub(client.retry().since(started));
        if remaining.is_zero() {
            return Err(client.operation_error(error, "ListTables", "of this account"));
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

impl ReadStore for Store {
    async fn describe(&self, table: &str) -> Result<Option<TableSchema>> {
        self.0.client.describe(table).await
    }

    async fn capture(
        &self,
        schema: &TableSchema,
        sections: &[Section],
    ) -> Vec<(Section, Captured)> {
        capture::capture(&self.0.client, schema, sections).await
    }

    async fn unsupported_settings(
        &self,
        table: &str,
        settings: &[Setting],
    ) -> BTreeMap<Setting, String> {
        probe::unsupported_settings(&self.0.client, table, settings).await
    }

    async fn backup_count(&self, table: &str) -> Option<usize> {
        probe::backup_count(&self.0.client, table).await
    }

    async fn account(&self) -> Option<String> {
        match self.0.client.endpoint_kind {
            EndpointKind::Local => Some(EMULATOR_ACCOUNT.to_owned()),
            EndpointKind::Aws | EndpointKind::Remote => {
                let lookup = Box::pin(self.0.config.account());
                self.0
                    .client
                    .retry()
                    .clock()
                    .within(ACCOUNT_TIMEOUT, lookup)
                    .await?
                    .ok()
            }
        }
    }

    fn credentials(&self) -> &str {
        self.0.client.credentials()
    }

    async fn table_names(&self) -> Result<Vec<String>> {
        self.0.client.table_names().await
    }

    fn give_up_after(&self) -> Duration {
        self.0.client.retry().give_up_after()
    }

    fn cap_reads(&self, table: &str, units_per_second: u32) {
        self.0.client.read_limiters().cap(table, units_per_second);
    }

    async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        self.0.client.scan(request).await
    }
}

impl WritableStore {
    /// Fails if the confirmation does not cover the table.
    fn check_confirmed(&self, table: &str) -> Result<()> {
        if self.confirmation.covers(table) {
            return Ok(());
        }

        Err(Error::not_confirmed(format!(
            "writing to {table} was not confirmed"
        )))
    }
}

impl ReadStore for WritableStore {
    async fn describe(&self, table: &str) -> Result<Option<TableSchema>> {
        self.store.describe(table).await
    }

    async fn capture(
        &self,
        schema: &TableSchema,
        sections: &[Section],
    ) -> Vec<(Section, Captured)> {
        self.store.capture(schema, sections).await
    }

    async fn unsupported_settings(
        &self,
        table: &str,
        settings: &[Setting],
    ) -> BTreeMap<Setting, String> {
        self.store.unsupported_settings(table, settings).await
    }

    async fn backup_count(&self, table: &str) -> Option<usize> {
        self.store.backup_count(table).await
    }

    async fn account(&self) -> Option<String> {
        self.store.account().await
    }

    fn credentials(&self) -> &str {
        self.store.credentials()
    }

    async fn table_names(&self) -> Result<Vec<String>> {
        self.store.table_names().await
    }

    fn give_up_after(&self) -> Duration {
        self.store.give_up_after()
    }

    fn cap_reads(&self, table: &str, units_per_second: u32) {
        self.store.cap_reads(table, units_per_second);
    }

    async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        self.store.scan(request).await
    }
}

impl WriteStore for WritableStore {
    async fn create(&self, table: &str, request: &CreateTable) -> Result<Vec<(Setting, String)>> {
        self.check_confirmed(table)?;
        self.store.0.client.create(table, request).await
    }

    async fn apply(&self, table: &str, call: &SettingCall) -> Result<()> {
        self.check_confirmed(table)?;
        self.store.0.client.apply(table, call).await
    }

    fn cap_writes(&self, table: &str, units_per_second: u32) {
        self.store
            .0
            .client
            .write_limiters()
            .cap(table, units_per_second);
    }

    fn max_in_flight(&self, table: &str) -> usize {
        self.store
            .0
            .client
            .write_limiters()
            .for_table(table)
            .limiter
            .useful_in_flight()
    }

    async fn delete(&self, table: &str) -> Result<()> {
        if !self.confirmation.covers_replacing(table) {
            return Err(Error::not_confirmed(format!(
                "deleting {table} was not confirmed"
            )));
        }

        self.store.0.client.delete(table).await
    }

    async fn write(&self, table: &str, key: &KeySchema, items: Vec<Bytes>) -> Result<WriteOutcome> {
        self.check_confirmed(table)?;
        self.store.0.client.write(table, key, items).await
    }

    async fn put_if_absent(
        &self,
        table: &str,
        key: &KeySchema,
        item: Bytes,
    ) -> Result<WriteOutcome> {
        self.check_confirmed(table)?;
        self.store.0.client.put_if_absent(table, key, item).await
    }
}
