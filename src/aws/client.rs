//! Sends requests: resolves credentials and endpoint, signs, and returns the response or a classified error.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::connection::CaptureSmithyConnection;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;

use super::clock::ServerClock;
use super::context::{RequestContext, request_id};
use super::credentials::CachedCredentials;
use super::endpoint::Endpoints;
use super::error::{ErrorClass, RequestError};
use super::operation::ApiOperation;
use super::redact::RequestSecrets;
use super::response::Response;
use super::sign::signed_request;
use crate::limits;

/// A JSON request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    operation: ApiOperation,
    /// Name or ARN of the table it is about: account-based endpoints depend on it.
    table: Option<&'a str>,
    body: Bytes,
    accepts_gzip: bool,
    /// Longest body of a successful response, in bytes.
    max_response_bytes: usize,
    /// Longest body of an error response, in bytes.
    max_error_bytes: usize,
}

impl<'a> Request<'a> {
    pub(crate) fn new(operation: ApiOperation, table: Option<&'a str>, body: Bytes) -> Self {
        Self {
            operation,
            table,
            body,
            accepts_gzip: false,
            max_response_bytes: limits::WRITE_RESPONSE_BYTES,
            max_error_bytes: limits::ERROR_RESPONSE_BYTES,
        }
    }

    /// Allows a response of this many bytes, decompressed.
    pub(crate) fn with_max_response_bytes(mut self, bytes: usize) -> Self {
        self.max_response_bytes = bytes;
        self
    }

    /// Allows an error response of this many bytes: some contain an item.
    pub(crate) fn with_max_error_bytes(mut self, bytes: usize) -> Self {
        self.max_error_bytes = bytes;
        self
    }

    /// Whether the response may be compressed.
    pub(crate) fn with_gzip(mut self, accepts_gzip: bool) -> Self {
        self.accepts_gzip = accepts_gzip;
        self
    }
}

/// Sends requests with one set of credentials. Retries are the caller's.
#[derive(Debug)]
pub(crate) struct AwsClient {
    connector: SharedHttpConnector,
    credentials: CachedCredentials,
    endpoints: Endpoints,
    clock: ServerClock,
    /// Longest time until the head of a response arrives.
    attempt_timeout: Duration,
}

impl AwsClient {
    /// A client that calls these endpoints with these credentials.
    pub(super) fn new(
        credentials: Option<SharedCredentialsProvider>,
        connector: SharedHttpConnector,
        endpoints: Endpoints,
        attempt_timeout: Duration,
    ) -> Self {
        Self {
            connector,
            credentials: CachedCredentials::new(credentials),
            endpoints,
            clock: ServerClock::default(),
            attempt_timeout,
        }
    }

    /// Whether this client cannot sign with other keys than `old`: it has the same ones, or those that it requests a session with
    /// have expired.
    pub(super) async fn has_no_newer_keys(&self, old: &Self) -> bool {
        let now = self.clock.now();
        match self.credentials.get(now).await {
            Ok(credentials) => old.credentials.last().await == Some(credentials),
            Err(error) => RequestError::from_credentials_error(&error).is_expired_keys(),
        }
    }

    /// The credentials, fetched or renewed if necessary.
    ///
    /// # Errors
    /// There are no credentials.
    pub(super) async fn credentials(&self) -> Result<Credentials, RequestError> {
        let credentials = self.credentials.get(self.clock.now()).await;
        credentials.map_err(|error| RequestError::from_credentials_error(&error))
    }

    /// When the credentials expire; `None` if the provider does not say. They are fetched or renewed if necessary.
    ///
    /// # Errors
    /// There are no credentials.
    pub(crate) async fn expiry(&self) -> Result<Option<SystemTime>, RequestError> {
        let credentials = self.credentials().await?;
        Ok(credentials.expiry())
    }

    /// Sends a request once, and returns the response as soon as its head has arrived.
    ///
    /// # Errors
    /// There are no credentials, no connection, no response in time, or the service answered with an error.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Response, RequestError> {
        let mut context = Box::new(RequestContext::new(request.operation));
        let max_bytes = request.max_response_bytes;
        match self.send_once(request, &mut context).await {
            Ok(response) => Ok(Response::new(
                response,
                self.attempt_timeout,
                max_bytes,
                context,
            )),
            Err(error) => Err(error.in_context(&context)),
        }
    }

    /// Sends a request once; `context` learns where it goes, what it is signed with, and the ID that the service gives it.
    async fn send_once(
        &self,
        request: Request<'_>,
        context: &mut RequestContext,
    ) -> Result<HttpResponse, RequestError> {
        let credentials = self.credentials().await?;
        let now = self.clock.now();
        let destination = self
            .endpoints
            .resolve(request.operation.service, request.table, &credentials)
            .await?;
        context.call.endpoint = Some(Arc::clone(&destination.name));

        let mut signed = signed_request(
            request.operation,
            &destination,
            &credentials,
            now,
            &request.body,
        )?;
        // After signing: proxies may change the accepted encodings, which would invalidate a signature over them.
        if request.accepts_gzip {
            signed.headers_mut().insert("accept-encoding", "gzip");
        }

        context.secrets = RequestSecrets::new(credentials, signed.headers().get("authorization"));
        let connection = CaptureSmithyConnection::new();
        signed.add_extension(connection.clone());

        let answer = tokio::time::timeout(self.attempt_timeout, self.connector.call(signed)).await;
        let response = answer
            .map_err(|_| RequestError::timeout())?
            .map_err(|error| RequestError::from_connector_error(&error))?;

        context.call.request_id = request_id(response.headers());
        if response.status().is_success() {
            return Ok(response);
        }

        // Boxed, because it is rarely needed and must not enlarge the future of every call.
        let error = Box::pin(self.read_error(response, request.max_error_bytes, context)).await;
        if error.class == ErrorClass::Transient {
            // A failing server may be shutting down: the next attempt uses another connection.
            if let Some(connection) = connection.get() {
                connection.poison();
            }
        }

        Err(error)
    }

    /// The error in a response.
    async fn read_error(
        &self,
        response: HttpResponse,
        max_bytes: usize,
        context: &RequestContext,
    ) -> RequestError {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let context = Box::new(context.clone());
        let body = Response::new(response, self.attempt_timeout, max_bytes, context);
        let body = match body.read().await {
            Ok(body) => body.text,
            Err(error) => return error,
        };

        let error = RequestError::from_response(status, &headers, body);
        if error.class == ErrorClass::ClockSkew
            && let Some(date) = headers.get("date")
        {
            self.clock.adopt(date);
        }

        error
    }
}
