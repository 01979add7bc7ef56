//! One DynamoDB client and the raw calls it makes. Each call is the SDK's own operation with its body exchanged at the seam;
//! the typed input carries only what the SDK needs to route it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Room;
use super::auto_scaling::Scaling;
use super::clock::Busy;
use super::compression::{Wire, WireCompression};
use super::config::Connection;
use super::error::{CREDENTIALS_HINT, Fault};
use super::limiter::tables::Gates;
use super::retry::Retry;
use super::seam::{Body, Seam};
use super::shortcut::Shortcut;
use crate::environment::Endpoint;
use crate::error::Error;
use crate::event::Reporter;
use crate::schema::{Setting, TableSchema};

/// One SDK call with its request and response bodies exchanged: what is given is a body, or a seam of its own. The seam then has the
/// body of the response, unread.
macro_rules! raw_send {
    ($client:expr, $operation:ident $(.$input:ident($($value:expr),+))*, $body:expr $(, $interceptor:expr)*) => {{
        let seam = $crate::store::seam::Seam::from($body);
        let hush = $crate::store::redact::Hush::default();
        let call = $client.$operation()$(.$input($($value),+))*.customize();
        let call = call.interceptor(seam.clone()).interceptor(hush.clone())$(.interceptor($interceptor))*;
        call.send().await.map_err(|error| hush.kept_in(Fault::of(error)))?;
        seam
    }};
}

/// The same, with the body of the response read.
macro_rules! raw_call {
    ($($call:tt)*) => { $crate::store::client::raw_send!($($call)*).into_body().await };
}

pub(crate) use {raw_call, raw_send};

/// Pages in memory that nobody has taken yet. Some 1 MB each.
const PAGES: usize = 8;

/// Whose DynamoDB answers: what it may lack depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Host {
    /// An endpoint in one of AWS's domains: has every operation.
    Aws,
    /// Another remote endpoint, which may be AWS under a name of the user's own.
    Remote,
    /// An engine on this machine or in a container next to it.
    Local,
}

impl Host {
    /// The host that an endpoint names.
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        match endpoint {
            endpoint if endpoint.is_aws() => Self::Aws,
            endpoint if endpoint.is_local() => Self::Local,
            _ => Self::Remote,
        }
    }

    /// Whether a table may be created without a setting that this endpoint refuses. AWS's refusals mean what they say: a table is
    /// not created with another class than was asked for. A remote table is never created without its encryption.
    pub(crate) fn may_lack(self, setting: Setting) -> bool {
        match self {
            Self::Aws => false,
            Self::Remote => setting != Setting::Kms,
            Self::Local => true,
        }
    }
}

/// What failures call the endpoint and the credentials.
pub(crate) struct Names {
    pub(crate) endpoint: String,
    pub(crate) credentials: String,
}

/// Credentials that were fetched anew so recently are not again: many calls in flight fail at the same time.
const RENEWED: Duration = Duration::from_secs(5);

/// The SDK's clients, with credentials that may be replaced in the middle of a run.
pub(crate) struct Services {
    pub(crate) dynamodb: aws_sdk_dynamodb::Client,
    pub(crate) shortcut: Shortcut,
    pub(crate) scaling: Scaling,
}

/// A DynamoDB client with one owner of retries, one gate for each direction and table.
pub(crate) struct Client {
    services: RwLock<Arc<Services>>,
    connection: Connection,
    renewed: tokio::sync::Mutex<Option<Instant>>,
    pub(crate) host: Host,
    names: Names,
    retry: Retry,
    /// Leave to write.
    gates: Gates,
    /// Leave to read.
    read_gates: Gates,
    wire: Wire,
    /// Tables as they were last described to an operation.
    described: Mutex<HashMap<String, TableSchema>>,
    /// Room for pages.
    pages: Arc<Semaphore>,
}

impl Client {
    pub(crate) fn new(
        services: Services,
        connection: Connection,
        (host, names): (Host, Names),
        (concurrency, compression): (Option<usize>, WireCompression),
        reporter: Arc<dyn Reporter>,
    ) -> Self {
        Self {
            services: RwLock::new(Arc::new(services)),
            renewed: tokio::sync::Mutex::new(None),
            host,
            names,
            retry: Retry::new(connection.give_up_after, reporter),
            connection,
            gates: Gates::new(concurrency),
            read_gates: Gates::new(concurrency),
            wire: Wire::new(compression, host),
            described: Mutex::default(),
            pages: Arc::new(Semaphore::new(PAGES)),
        }
    }

    /// The clients as they are now. Not to be kept.
    pub(crate) fn services(&self) -> Arc<Services> {
        Arc::clone(&self.services.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gets credentials anew from wherever they come, past every cache: a session may have been logged in again, keys may have
    /// been rotated. What cannot be had now is asked for again after the next refusal.
    pub(crate) async fn renew(&self) {
        let mut renewed = self.renewed.lock().await;
        if renewed.is_some_and(|at| at.elapsed() < RENEWED) {
            return;
        }

        if let Some(services) = self.connection.renewed().await {
            *self
                .services
                .write()
                .unwrap_or_else(PoisonError::into_inner) = Arc::new(services);
        }

        *renewed = Some(Instant::now());
    }

    /// Remembers the table that an operation works with from now on.
    pub(crate) fn remember(&self, table: &str, schema: &TableSchema) {
        let mut described = self
            .described
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        described.insert(table.to_owned(), schema.clone());
    }

    /// Whether `found` is another table than the one of this name that an operation works with.
    pub(crate) fn is_another(&self, table: &str, found: &TableSchema) -> bool {
        let described = self
            .described
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        described
            .get(table)
            .is_some_and(|before| found.is_another_than(before))
    }

    pub(crate) fn retry(&self) -> &Retry {
        &self.retry
    }

    pub(crate) fn gates(&self) -> &Gates {
        &self.gates
    }

    pub(crate) fn read_gates(&self) -> &Gates {
        &self.read_gates
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// The endpoint as people are told.
    pub(crate) fn endpoint(&self) -> &str {
        &self.names.endpoint
    }

    /// The credentials as people are told.
    pub(crate) fn credentials(&self) -> &str {
        &self.names.credentials
    }

    /// The failure of `operation` on `target` as people are told.
    pub(crate) fn tell(&self, fault: Fault, operation: &str, target: &str) -> Error {
        let lacks_credentials = fault.lacks_credentials();
        let error = fault.into_error(operation, target, &self.names.endpoint);
        if lacks_credentials {
            return error.with_hint(format!(
                "asked for: {}; {CREDENTIALS_HINT}",
                self.names.credentials
            ));
        }

        error
    }

    pub(crate) async fn send_describe_table(
        &self,
        table: &str,
        body: Bytes,
    ) -> Result<Bytes, Fault> {
        raw_call!(
            self.services().dynamodb,
            describe_table.table_name(table),
            body
        )
    }

    pub(crate) async fn send_list_tables(&self, body: Bytes) -> Result<Bytes, Fault> {
        raw_call!(self.services().dynamodb, list_tables, body)
    }

    /// A page, read once there is room for it. `with_gzip` asks for a compressed answer.
    pub(crate) async fn send_scan(
        &self,
        table: &str,
        body: Bytes,
        with_gzip: bool,
    ) -> Result<(Body, Room), Fault> {
        let seam = Seam::from(body).with_gzip(with_gzip);
        let answer = raw_send!(self.services().dynamodb, scan.table_name(table), seam);
        let waiting = self.retry.clock().count(Busy::Waiting);
        let room = Room(Arc::clone(&self.pages).acquire_owned().await.ok());
        drop(waiting);

        let _receiving = self.retry.clock().count(Busy::Receiving);

        Ok((answer.arrived().await?, room))
    }

    pub(crate) async fn send_batch_write_item(
        &self,
        table: &str,
        body: Bytes,
    ) -> Result<Bytes, Fault> {
        let services = self.services();
        services
            .shortcut
            .batch_write_item(&services.dynamodb, table, body)
            .await
    }

    pub(crate) async fn send_create_table(&self, table: &str, body: Bytes) -> Result<Bytes, Fault> {
        raw_call!(
            self.services().dynamodb,
            create_table.table_name(table),
            body
        )
    }

    pub(crate) async fn send_delete_table(&self, table: &str, body: Bytes) -> Result<Bytes, Fault> {
        raw_call!(
            self.services().dynamodb,
            delete_table.table_name(table),
            body
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::ValueSource;

    #[test]
    fn nothing_that_aws_refuses_is_left_out_and_no_remote_table_lacks_its_encryption() {
        let host = |url: &str| {
            let source = ValueSource::Flag("--endpoint-url");
            Host::of(&Endpoint::Url {
                url: url.to_owned(),
                every_service: true,
                source,
            })
        };

        let settings = [
            Setting::Kms,
            Setting::Class,
            Setting::Tags,
            Setting::WarmThroughput,
        ];

        let lacks = |host: Host| {
            settings
                .into_iter()
                .filter(|setting| host.may_lack(*setting))
                .collect::<Vec<_>>()
        };

        assert_eq!(lacks(Host::of(&Endpoint::Aws)), []);

        for url in [
            "https://vpce-0a1b-2c3d.dynamodb.eu-west-1.vpce.amazonaws.com",
            "https://dynamodb-fips.us-east-1.amazonaws.com",
            "https://dynamodb.eu-west-1.api.aws",
            "https://dynamodb.cn-north-1.amazonaws.com.cn",
        ] {
            assert_eq!(lacks(host(url)), [], "{url}");
        }

        assert_eq!(lacks(host("https://dynamodb.corp.internal")), settings[1..]);
        assert_eq!(lacks(host("http://localhost:8000")), settings);
    }
}
