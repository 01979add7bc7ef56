//! The DynamoDB client: one owner of retries, rate limiters per direction and table, and requests with ready-made JSON bodies.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::clock::{PageWait, RunningClock};
use super::compression::{GzipPolicies, WireCompression};
#[cfg(feature = "embedded")]
use super::embedded::BulkWriter;
use super::endpoint_kind::EndpointKind;
use super::limiter::control_plane::{ControlPlane, Turn};
use super::limiter::tables::{TableLimiters, TableThroughput};
use super::page_memory::{PageMemory, PageMemoryPermit};
use super::retry::Retry;
use crate::aws::error::{CREDENTIALS_HINT, ErrorClass, RequestError};
use crate::aws::{ApiOperation, AwsClient, ClientFactory, Renewal, Request, ResponseBody};
use crate::error::Error;
use crate::event::Reporter;
use crate::limits::{self, MemoryShare};
use crate::schema::TableSchema;

/// How plans and error messages name the credentials, the proxy and the diagnosis.
#[derive(Clone)]
pub(crate) struct DisplayNames {
    pub(crate) credentials: String,
    pub(crate) proxy: Option<String>,
    /// The command that diagnoses the environment, if hints may name it.
    pub(crate) diagnosis: Option<String>,
}

/// Minimum interval between renewals of credentials: when they expire, many in-flight calls fail at
/// the same time.
const MIN_RENEWAL_INTERVAL: Duration = Duration::from_secs(5);

/// The last attempt to renew credentials.
#[derive(Default)]
struct LastRenewal {
    at: Option<Instant>,
    /// Whether it found the same static keys.
    is_futile: bool,
}

/// The options of a [`Client`].
#[derive(Clone)]
pub(crate) struct ClientOptions {
    pub(crate) endpoint_kind: EndpointKind,
    pub(crate) names: DisplayNames,
    /// Maximum number of in-flight requests in each direction.
    pub(crate) concurrency: Option<usize>,
    /// Caps on the units per second of all tables, for reads and for writes.
    pub(crate) total_caps: [Option<u32>; 2],
    /// Whether Scan pages are requested compressed.
    pub(crate) compression: WireCompression,
    /// Receives retries and warnings.
    pub(crate) reporter: Arc<dyn Reporter>,
    /// Writes to the embedded engine without HTTP.
    #[cfg(feature = "embedded")]
    pub(crate) bulk: Option<BulkWriter>,
}

/// A DynamoDB client with one owner of retries, and one rate limiter per direction and table.
pub(crate) struct Client {
    aws: RwLock<Arc<AwsClient>>,
    factory: ClientFactory,
    last_renewal: tokio::sync::Mutex<LastRenewal>,
    /// Number of times that the credentials were replaced.
    generation: AtomicU64,
    options: ClientOptions,
    retry: Retry,
    /// Limits on writes.
    write_limiters: TableLimiters,
    /// Limits on reads.
    read_limiters: TableLimiters,
    /// Rates of calls that are not about items.
    control_plane: ControlPlane,
    gzip_policies: GzipPolicies,
    /// The last description of each table that an operation works with.
    described: Mutex<HashMap<String, TableSchema>>,
    /// Whether the endpoint has answered `DescribeTable` as DynamoDB does.
    is_dynamodb: AtomicBool,
    page_memory: PageMemory,
    /// Number of tables that share the memory.
    tables_in_memory: AtomicUsize,
}

impl Client {
    pub(crate) fn new(aws: Arc<AwsClient>, factory: ClientFactory, options: ClientOptions) -> Self {
        let [read_cap, write_cap] = options.total_caps;

        Self {
            aws: RwLock::new(aws),
            last_renewal: tokio::sync::Mutex::default(),
            generation: AtomicU64::new(0),
            retry: Retry::new(factory.give_up_after, Arc::clone(&options.reporter)),
            factory,
            write_limiters: TableLimiters::new(options.concurrency, write_cap),
            read_limiters: TableLimiters::new(options.concurrency, read_cap),
            control_plane: ControlPlane::new(options.endpoint_kind),
            gzip_policies: GzipPolicies::new(options.compression, options.endpoint_kind),
            options,
            described: Mutex::default(),
            is_dynamodb: AtomicBool::new(false),
            page_memory: PageMemory::default(),
            tables_in_memory: AtomicUsize::new(1),
        }
    }

    /// A client of the same endpoint with limits and progress of its own.
    pub(super) fn with_own_limits(&self) -> Self {
        Self::new(self.aws(), self.factory.clone(), self.options.clone())
    }

    /// The kind of endpoint that the environment names.
    pub(super) fn endpoint_kind(&self) -> EndpointKind {
        self.options.endpoint_kind
    }

    /// Writes items of a table to the embedded engine without HTTP, unless the write units are capped.
    #[cfg(feature = "embedded")]
    pub(super) fn bulk_writer(&self, table: &str) -> Option<&BulkWriter> {
        let bulk = self.options.bulk.as_ref()?;
        let is_capped = self.write_limiters.for_table(table).limiter.is_capped();

        (!is_capped).then_some(bulk)
    }

    /// The current client. Do not keep it: it is replaced when credentials are renewed.
    pub(super) fn aws(&self) -> Arc<AwsClient> {
        Arc::clone(&self.aws.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The number of the current credentials, which changes whenever they are replaced.
    pub(crate) fn credentials_generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Renews the rejected credentials of this generation, and returns whether the call may be repeated. Expired static keys stay
    /// expired until their owner replaces them.
    pub(crate) async fn can_retry_rejected(&self, error: &RequestError, generation: u64) -> bool {
        self.renew_credentials(generation).await || !error.is_expired_keys()
    }

    /// Fetches new credentials from their source, bypassing all caches: the user may have logged in
    /// again, or keys may have been rotated. On failure, the next rejected call tries again. Returns whether other
    /// credentials can be expected: not from static keys that are still the same.
    async fn renew_credentials(&self, rejected_generation: u64) -> bool {
        // Holding the lock while fetching makes concurrent callers share one renewal.
        let mut last = self.last_renewal.lock().await;
        if self.credentials_generation() != rejected_generation {
            return true;
        }

        if last
            .at
            .is_some_and(|at| at.elapsed() < MIN_RENEWAL_INTERVAL)
        {
            return !last.is_futile;
        }

        let renewal = self.factory.renewed(&self.aws()).await;
        last.at = Some(Instant::now());
        last.is_futile = matches!(renewal, Renewal::SameKeys);
        if let Renewal::Client(aws) = renewal {
            *self.aws.write().unwrap_or_else(PoisonError::into_inner) = aws;
            self.generation.fetch_add(1, Ordering::Release);
        }

        !last.is_futile
    }

    /// Remembers the description of a table, to detect later that it was recreated.
    pub(crate) fn remember(&self, table: &str, schema: &TableSchema) {
        let mut described = self
            .described
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        described.insert(table.to_owned(), schema.clone());
    }

    /// Discards everything that was learned about a table: its operation has ended.
    pub(crate) fn forget(&self, table: &str) {
        self.write_limiters.forget(table);
        self.read_limiters.forget(table);
        self.gzip_policies.forget(table);
        self.retry.forget(table);

        let mut described = self
            .described
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        described.remove(table);
    }

    /// Records that the endpoint has answered `DescribeTable` as DynamoDB does.
    pub(crate) fn record_dynamodb_answer(&self) {
        self.is_dynamodb.store(true, Ordering::Relaxed);
    }

    /// Whether `found` is a different table with the same name as the one that was remembered.
    pub(crate) fn is_recreated(&self, table: &str, found: &TableSchema) -> bool {
        let described = self
            .described
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        described
            .get(table)
            .is_some_and(|before| found.is_different_table(before))
    }

    /// Divides the memory among this number of tables.
    pub(crate) fn share_memory(&self, tables: NonZeroUsize) {
        self.page_memory.share(tables);
        self.tables_in_memory.store(tables.get(), Ordering::Relaxed);
    }

    /// The memory that the operation on one table may use.
    pub(crate) fn memory_share(&self) -> MemoryShare {
        let tables = NonZeroUsize::new(self.tables_in_memory.load(Ordering::Relaxed));

        tables.map_or(MemoryShare::WHOLE, MemoryShare::one_of)
    }

    pub(crate) fn retry(&self) -> &Retry {
        &self.retry
    }

    pub(crate) fn write_limiters(&self) -> &TableLimiters {
        &self.write_limiters
    }

    pub(crate) fn read_limiters(&self) -> &TableLimiters {
        &self.read_limiters
    }

    pub(crate) fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    pub(crate) fn gzip_policies(&self) -> &GzipPolicies {
        &self.gzip_policies
    }

    /// The credentials, as error messages name them.
    pub(crate) fn credentials(&self) -> &str {
        &self.options.names.credentials
    }

    /// The proxy, as plans name it.
    pub(crate) fn proxy(&self) -> Option<&str> {
        self.options.names.proxy.as_deref()
    }

    /// Converts the error of a call about `target` into the error that users see.
    pub(crate) fn operation_error(&self, error: RequestError, target: &str) -> Error {
        let credentials = &self.options.names.credentials;
        let hint = if error.is_explained() {
            None
        } else if error.is_missing_credentials() {
            Some(format!("requested with: {credentials}; {CREDENTIALS_HINT}"))
        } else if error.is_expired_keys() {
            Some(format!(
                "get new credentials to replace the expired ones: {credentials}"
            ))
        } else if error.is_rejected_credentials() {
            Some(format!("signed with: {credentials}; {CREDENTIALS_HINT}"))
        } else {
            self.other_endpoint_hint(&error)
        };

        let advice = self.diagnosis_advice(&error);
        let error = error.into_error(target);
        let hint = hint.or_else(|| error.hint().map(ToOwned::to_owned));

        error.with_hints(hint.into_iter().chain(advice))
    }

    /// What a diagnosis of the environment would add to an error. An engine on this machine that does not respond is not running.
    fn diagnosis_advice(&self, error: &RequestError) -> Option<String> {
        let diagnosis = self.options.names.diagnosis.as_ref()?;
        let is_local = self.options.endpoint_kind == EndpointKind::Local;
        let is_unclear = match error.class {
            ErrorClass::Unreachable | ErrorClass::Network => !is_local,
            _ => error.is_rejected_credentials() && !error.is_expired_keys(),
        };

        if error.is_access_denied() && error.is_of_reading_operation() {
            Some(format!(
                "{diagnosis} lists the permissions that a dump lacks"
            ))
        } else {
            (is_unclear && !error.is_explained())
                .then(|| format!("{diagnosis} checks connection, credentials and permissions"))
        }
    }

    /// The hint for an endpoint that may not be DynamoDB.
    fn other_endpoint_hint(&self, error: &RequestError) -> Option<String> {
        let endpoint = error.unrecognized_endpoint()?;
        let is_dynamodb = self.is_dynamodb.load(Ordering::Relaxed);

        (!is_dynamodb).then(|| format!("is {endpoint} a DynamoDB endpoint?"))
    }

    /// Sends a request about items once, and returns the body of the response.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<ResponseBody, RequestError> {
        self.aws().send(request).await?.read().await
    }

    /// Sends a request of the control plane once, when its operation allows another call.
    async fn send_to_control_plane(
        &self,
        operation: ApiOperation,
        table: Option<&str>,
        body: Bytes,
    ) -> Result<ResponseBody, RequestError> {
        let turn = self.control_plane.turn(operation).await;
        self.send_in_turn(&turn, Request::new(operation, table, body))
            .await
    }

    /// Sends a request of the control plane once.
    pub(crate) async fn send_in_turn(
        &self,
        turn: &Turn,
        request: Request<'_>,
    ) -> Result<ResponseBody, RequestError> {
        let answer = self.send(request).await;
        turn.record(&answer);

        answer
    }

    pub(crate) async fn send_describe_table(
        &self,
        table: &str,
        body: Bytes,
    ) -> Result<ResponseBody, RequestError> {
        self.send_about_table(ApiOperation::DESCRIBE_TABLE, table, body)
            .await
    }

    pub(crate) async fn send_list_tables(&self, body: Bytes) -> Result<ResponseBody, RequestError> {
        self.send_to_control_plane(ApiOperation::LIST_TABLES, None, body)
            .await
    }

    /// Requests a Scan page and reads it once there is memory for it. Until then, the clock of the table may stop.
    pub(crate) async fn send_scan(
        &self,
        table: &str,
        throughput: &TableThroughput,
        body: Bytes,
        with_gzip: bool,
        clock: &RunningClock,
    ) -> Result<(ResponseBody, PageMemoryPermit), RequestError> {
        let request = Request::new(ApiOperation::SCAN, Some(table), body)
            .with_gzip(with_gzip)
            .with_max_response_bytes(limits::RESPONSE_BYTES);
        let response = self.aws().send(request).await?;

        // While all pages of the table wait for our own consumer, its clock stops: the endpoint is not stalled.
        let waiting = clock.enter(PageWait::ForMemory);
        let memory_permit = self.page_memory.acquire(&throughput.page_memory).await;
        drop(waiting);

        let _receiving = clock.enter(PageWait::ForBody);

        Ok((response.read().await?, memory_permit))
    }

    /// Sends a request about the items of `table` once, and returns the body of the response.
    pub(crate) async fn send_to_table(
        &self,
        operation: ApiOperation,
        table: &str,
        body: Bytes,
    ) -> Result<ResponseBody, RequestError> {
        self.send(Request::new(operation, Some(table), body)).await
    }

    /// Sends a request about `table`, not its items, once, and returns the body of the response.
    pub(crate) async fn send_about_table(
        &self,
        operation: ApiOperation,
        table: &str,
        body: Bytes,
    ) -> Result<ResponseBody, RequestError> {
        self.send_to_control_plane(operation, Some(table), body)
            .await
    }
}
