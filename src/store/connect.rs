//! Opening a store: embedded engine, client, account, and the wait for an endpoint that is still starting.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::client::{Client, Host, Names};
use super::compression::WireCompression;
use super::config::{Config, Connection};
#[cfg(feature = "embedded")]
use super::embedded::Engine;
use super::error::Class;
use super::retry::Retry;
use super::{ReadStore, ScanPage, ScanRequest, WriteStore, Written};
use super::{capture, credentials, probe};
use crate::environment::{Confirmation, Endpoint, Environment};
use crate::error::{Error, Result};
use crate::event::{Event, Phase, Reporter, Silent};
use crate::item::KeySchema;
use crate::schema::{Captured, CreateTable, Section, Setting, SettingCall, TableSchema};

/// The account that engines write into their ARNs.
const ENGINES: &str = "000000000000";

/// How long STS may take to say which account it is where the answer is only good to have.
const ACCOUNT: Duration = Duration::from_secs(5);

/// How a store behaves.
pub struct StoreOptions {
    /// Give up when no call has succeeded for so long.
    pub give_up_after: Duration,
    /// Wait so long for an endpoint that does not answer yet.
    pub wait: Option<Duration>,
    /// Calls in flight at most, in each direction. Fewer are made where more would not be faster.
    pub concurrency: Option<usize>,
    /// Whether pages travel compressed.
    pub wire_compression: WireCompression,
    /// What to do when the embedded engine's database file is missing.
    pub missing_database: MissingDatabase,
    /// Who hears of retries.
    pub reporter: Arc<dyn Reporter>,
}

/// What to do when the embedded engine's database file is missing. One that has a sample is made from it by whoever reads or
/// writes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingDatabase {
    /// It is an error: nothing can be read from it.
    #[default]
    Refuse,
    /// Make it.
    Create,
    /// Work on an empty one in memory, which leaves no trace: for plans.
    Imagine,
}

impl Default for StoreOptions {
    /// Five minutes of patience with calls, none with an endpoint that does not answer; nothing created, nobody listening.
    fn default() -> Self {
        Self {
            give_up_after: Duration::from_mins(5),
            wait: None,
            concurrency: None,
            wire_compression: WireCompression::default(),
            missing_database: MissingDatabase::default(),
            reporter: Arc::new(Silent),
        }
    }
}

/// A store that reads.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

/// A store that writes into the one table its confirmation names.
#[derive(Clone)]
pub struct WritableStore {
    store: Store,
    confirmation: Arc<Confirmation>,
}

struct Inner {
    client: Arc<Client>,
    config: Config,
    #[cfg(feature = "embedded")]
    engine: Option<Engine>,
}

impl Store {
    /// Opens the environment's DynamoDB. Nothing is called unless the environment says which account it must be, or a wait
    /// is asked for.
    ///
    /// # Errors
    /// Region or credentials missing, the account another one, the endpoint silent for longer than the wait, the embedded
    /// database absent or not usable.
    pub async fn open(environment: &Environment, options: StoreOptions) -> Result<Self> {
        #[cfg(feature = "embedded")]
        let engine = Engine::start(environment, options.missing_database).await?;
        #[cfg(feature = "embedded")]
        let embedded_url = engine.as_ref().map(Engine::url);

        #[cfg(not(feature = "embedded"))]
        let embedded_url: Option<&str> = no_engine(environment.endpoint())?;
        let connection = Connection {
            environment: environment.clone(),
            embedded_url: embedded_url.map(ToOwned::to_owned),
            give_up_after: options.give_up_after,
        };

        let config = connection.config().await?;
        let endpoint = match environment.endpoint() {
            Endpoint::Aws => format!(
                "DynamoDB in {}",
                config
                    .shared
                    .region()
                    .map_or("AWS", |region| region.as_ref())
            ),
            endpoint => endpoint.to_string(),
        };

        let host = Host::of(environment.endpoint());
        let reporter = Arc::clone(&options.reporter);
        let names = Names {
            endpoint,
            credentials: credentials::describe(environment).await,
        };
        let how = (options.concurrency, options.wire_compression);
        let client = Client::new(
            connection.services(&config),
            connection,
            (host, names),
            how,
            reporter,
        );

        if let Some(wait) = options.wait {
            options.reporter.report(Event::Phase {
                phase: Phase::Connecting,
                items: None,
                bytes: None,
            });

            until_it_answers(&client, wait).await?;
        }

        check_account(environment, &config).await?;
        Ok(Self(Arc::new(Inner {
            client: Arc::new(client),
            config,
            #[cfg(feature = "embedded")]
            engine,
        })))
    }

    /// Whether it works on an empty or sample database in memory, because the database file of the environment does not exist.
    #[must_use]
    pub fn is_imagined(&self) -> bool {
        #[cfg(feature = "embedded")]
        return self
            .0
            .engine
            .as_ref()
            .is_some_and(|engine| engine.is_imagined);

        #[cfg(not(feature = "embedded"))]
        false
    }

    /// The store with leave to change the table that `confirmation` names.
    #[must_use]
    pub fn writable(&self, confirmation: Confirmation) -> WritableStore {
        WritableStore {
            store: self.clone(),
            confirmation: Arc::new(confirmation),
        }
    }
}

#[cfg(not(feature = "embedded"))]
fn no_engine(endpoint: &Endpoint) -> Result<Option<&'static str>> {
    match endpoint {
        Endpoint::Embedded { .. } => Err(Error::environment("this build has no embedded engine")
            .with_hint("build it with the feature `embedded`, or name a server's URL")),
        _ => Ok(None),
    }
}

async fn until_it_answers(client: &Client, wait: Duration) -> Result<()> {
    let started = client.retry().now();
    let mut waits = Retry::waits();
    loop {
        let fault = match client
            .send_list_tables(Bytes::from_static(br#"{"Limit":1}"#))
            .await
        {
            Ok(_) => return Ok(()),
            Err(fault) if fault.is_passing() => fault,
            // An engine that refuses the call is there; what it refuses is the business of the call that needs it.
            Err(fault) if fault.class != Class::Denied => return Ok(()),
            Err(fault) => return Err(client.tell(fault, "ListTables", "of this account")),
        };

        let left = wait.saturating_sub(client.retry().since(started));
        if left.is_zero() {
            return Err(client.tell(fault, "ListTables", "of this account"));
        }

        tokio::time::sleep(
            waits
                .next()
                .unwrap_or(left)
                .min(left)
                .min(Duration::from_secs(1)),
        )
        .await;
    }
}

async fn check_account(environment: &Environment, config: &Config) -> Result<()> {
    let Some(wanted) = environment.account() else {
        return Ok(());
    };

    let account = match environment.endpoint() {
        Endpoint::Embedded { .. } => ENGINES.to_owned(),
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

    async fn lacking(&self, table: &str, settings: &[Setting]) -> BTreeMap<Setting, String> {
        probe::lacking(&self.0.client, table, settings).await
    }

    async fn backups(&self, table: &str) -> Option<usize> {
        probe::backups(&self.0.client, table).await
    }

    async fn account(&self) -> Option<String> {
        match self.0.client.host {
            Host::Local => Some(ENGINES.to_owned()),
            Host::Aws | Host::Remote => {
                let asking = Box::pin(self.0.config.account());
                self.0
                    .client
                    .retry()
                    .clock()
                    .within(ACCOUNT, asking)
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

    fn cap_reads(&self, units_per_second: u32) {
        self.0.client.read_gates().cap(units_per_second);
    }

    async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        self.0.client.scan(request).await
    }
}

impl WritableStore {
    fn check(&self, table: &str) -> Result<()> {
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

    async fn lacking(&self, table: &str, settings: &[Setting]) -> BTreeMap<Setting, String> {
        self.store.lacking(table, settings).await
    }

    async fn backups(&self, table: &str) -> Option<usize> {
        self.store.backups(table).await
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

    fn cap_reads(&self, units_per_second: u32) {
        self.store.cap_reads(units_per_second);
    }

    async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        self.store.scan(request).await
    }
}

impl WriteStore for WritableStore {
    async fn create(&self, table: &str, request: &CreateTable) -> Result<Vec<(Setting, String)>> {
        self.check(table)?;
        self.store.0.client.create(table, request).await
    }

    async fn apply(&self, table: &str, call: &SettingCall) -> Result<()> {
        self.check(table)?;
        self.store.0.client.apply(table, call).await
    }

    fn cap_writes(&self, units_per_second: u32) {
        self.store.0.client.gates().cap(units_per_second);
    }

    fn calls_at_once(&self, table: &str) -> usize {
        self.store.0.client.gates().of(table).gate.calls()
    }

    async fn delete(&self, table: &str) -> Result<()> {
        if !self.confirmation.covers_replacing(table) {
            return Err(Error::not_confirmed(format!(
                "deleting {table} was not confirmed"
            )));
        }

        self.store.0.client.delete(table).await
    }

    async fn write(&self, table: &str, key: &KeySchema, items: Vec<Bytes>) -> Result<Written> {
        self.check(table)?;
        self.store.0.client.write(table, key, items).await
    }

    async fn write_new(&self, table: &str, key: &KeySchema, item: Bytes) -> Result<Written> {
        self.check(table)?;
        self.store.0.client.write_new(table, key, item).await
    }
}
