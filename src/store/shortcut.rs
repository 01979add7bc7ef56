//! A faster path for `BatchWriteItem`, the call that a restore makes most often.
//!
//! For each call, the SDK rebuilds its configuration, runs a dozen interceptors and builds the same
//! headers: at 25 items per call, that is half of the CPU time of a restore. The first call
//! therefore goes through the SDK, and what it resolved is kept: endpoint, headers, connector and
//! timeouts. The next calls replace the body and are signed again (see `signature`). Credentials
//! still come from the SDK's cache, which renews them; connections and the parsing of errors are
//! the SDK's.
//!
//! The first call that fails, unless it was throttled, disables the fast path until a call through
//! the SDK has succeeded: the SDK then learns the server's clock, replaces connections and resolves
//! the endpoint again.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::{BoxError, SdkError};
use aws_sdk_dynamodb::operation::batch_write_item::{BatchWriteItem, BatchWriteItemError};
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::identity::{Identity, ResolveCachedIdentity};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::GetIdentityResolver;
use aws_smithy_runtime_api::client::runtime_plugin::RuntimePlugin;
use aws_smithy_runtime_api::client::ser_de::{DeserializeResponse, SharedResponseDeserializer};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::MergeTimeoutConfig;
use bytes::Bytes;
use chrono::{TimeDelta, Utc};

use super::error::{ErrorClass, RequestError};
use super::raw_call::raw_call;
use super::redact::Redactor;
use super::seam::RawResponse;
use super::signature::Signer;

/// The authentication scheme that the SDK uses for DynamoDB.
const SIGV4: AuthSchemeId = AuthSchemeId::new("sigv4");

/// Headers that differ between calls: the signature, and identifiers of the call.
const PER_CALL_HEADERS: [&str; 5] = [
    "authorization",
    "x-amz-date",
    "x-amz-security-token",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
];

/// Headers that contain secrets.
const SECRET_HEADERS: [&str; 2] = ["authorization", "x-amz-security-token"];

/// Maximum difference between our clock and the server's, with which the SDK signs. Beyond it, the
/// fast path is not used. AWS accepts five minutes.
const MAX_CLOCK_SKEW: TimeDelta = TimeDelta::minutes(1);

/// The fast path of one client, available after a first call through the SDK.
#[derive(Default)]
pub(crate) struct BatchWriteFastPath(Mutex<Option<Arc<FastPathTemplate>>>);

/// The parts of a request that all calls for one table have in common.
pub(crate) struct FastPathTemplate {
    table: String,
    /// The request without body and signature.
    request: HttpRequest,
    signer: Signer,
    connector: SharedHttpConnector,
    attempt: Option<Duration>,
    components: RuntimeComponents,
    /// The configuration of the operation itself.
    operation: ConfigBag,
}

impl BatchWriteFastPath {
    /// Calls `BatchWriteItem` with this body.
    pub(crate) async fn batch_write_item(
        &self,
        sdk: &Client,
        table: &str,
        body: Bytes,
    ) -> Result<Bytes, RequestError> {
        let known = self
            .template()
            .as_ref()
            .filter(|template| template.table == table)
            .map(Arc::clone);

        if let Some(template) = known {
            let answer = template.call(body).await;
            if answer
                .as_ref()
                .is_err_and(|error| error.class != ErrorClass::Throttled)
            {
                *self.template() = None;
            }

            return answer;
        }

        let recording = Arc::new(ObservedCall::default());
        let observer = FirstCallObserver {
            table: table.to_owned(),
            recording: Arc::downgrade(&recording),
        };

        // The typed input names the table, because account-based endpoints are derived from it.
        let answer = raw_call!(
            sdk,
            batch_write_item.request_items(table, Vec::new()),
            body,
            observer
        )?;

        let recording = recording
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some((template, request)) = recording
            && template.signs_like_the_sdk(&request).await
        {
            *self.template() = Some(Arc::new(template));
        }

        Ok(answer)
    }

    fn template(&self) -> MutexGuard<'_, Option<Arc<FastPathTemplate>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FastPathTemplate {
    /// Keeps the reusable parts of a request that the SDK is about to send.
    fn from_request(
        table: &str,
        request: &HttpRequest,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Option<Self> {
        if (Signer::signing_time(request)? - Utc::now()).abs() > MAX_CLOCK_SKEW {
            return None;
        }

        let signer = Signer::from_signed_request(request)?;
        let mut operation = ConfigBag::base();
        operation.push_shared_layer(BatchWriteItem::new().config()?);
        let mut common = HttpRequest::empty();
        common.set_method(request.method()).ok()?;
        common.set_uri(request.uri()).ok()?;

        for (name, value) in request
            .headers()
            .iter()
            .filter(|(name, _)| !PER_CALL_HEADERS.contains(name))
        {
            common
                .headers_mut()
                .append(name.to_owned(), value.to_owned());
        }

        Signer::reserve_headers(&mut common);
        let timeouts = config.load::<MergeTimeoutConfig>();
        let mut settings = HttpConnectorSettings::builder();
        settings
            .set_connect_timeout(timeouts.connect_timeout())
            .set_read_timeout(timeouts.read_timeout());
        Some(Self {
            table: table.to_owned(),
            request: common,
            signer,
            connector: components
                .http_client()?
                .http_connector(&settings.build(), components),
            attempt: timeouts.operation_attempt_timeout(),
            components: components.clone(),
            operation,
        })
    }

    /// Calls the operation with this body.
    pub(crate) async fn call(&self, body: Bytes) -> Result<Bytes, RequestError> {
        let request = self.signed_request(body).await?;
        let headers = SECRET_HEADERS.map(|name| request.headers().get(name).map(ToOwned::to_owned));
        let redacted = |error| {
            let headers = SECRET_HEADERS.iter().zip(&headers);
            Redactor::from_headers(
                headers.filter_map(|(name, value)| Some((*name, value.as_deref()?))),
            )
            .redact(error)
        };

        let answer = self.connector.call(request);
        let answer = match self.attempt {
            Some(attempt) => tokio::time::timeout(attempt, answer)
                .await
                .map_err(|_| RequestError::timeout())?,
            None => answer.await,
        };

        let mut response = answer.map_err(|error| {
            redacted(RequestError::from_sdk_error(SdkError::<
                BatchWriteItemError,
                _,
            >::dispatch_failure(
                error
            )))
        })?;

        let raw_response = RawResponse::take(&mut response, self.attempt);
        if response.status().is_success() {
            return raw_response.read().await.map(|body| body.text);
        }

        *response.body_mut() = SdkBody::from(raw_response.collect().await?);

        Err(redacted(self.parse_error(response)))
    }

    /// Builds and signs a request with this body.
    async fn signed_request(&self, body: Bytes) -> Result<HttpRequest, RequestError> {
        let mut request = self
            .request
            .try_clone()
            .ok_or_else(|| RequestError::invalid_request("the request cannot be copied"))?;
        request
            .headers_mut()
            .insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body);
        let refused = |error| {
            RequestError::from_sdk_error(SdkError::<BatchWriteItemError, _>::construction_failure(
                error,
            ))
        };

        let identity = self.identity().await.map_err(refused)?;
        let signed = identity
            .data::<Credentials>()
            .and_then(|it| self.signer.sign(&mut request, it, Utc::now()));
        signed.ok_or_else(|| RequestError::invalid_request("the request cannot be signed"))?;

        Ok(request)
    }

    /// Whether a signature computed here equals the SDK's; otherwise, the fast path is not used.
    async fn signs_like_the_sdk(&self, request: &HttpRequest) -> bool {
        let Ok(identity) = self.identity().await else {
            return false;
        };

        identity
            .data::<Credentials>()
            .is_some_and(|credentials| self.signer.matches_sdk(request, credentials))
    }

    async fn identity(&self) -> Result<Identity, BoxError> {
        let (components, operation) = (&self.components, &self.operation);
        let resolver = components
            .identity_resolver(SIGV4)
            .ok_or("nothing resolves the identity")?;
        components
            .identity_cache()
            .resolve_cached_identity(resolver, components, operation)
            .await
    }

    /// Parses an error response in the same manner as the SDK.
    fn parse_error(&self, response: HttpResponse) -> RequestError {
        let errors = self.operation.load::<SharedResponseDeserializer>();
        let read = errors
            .map(|errors| errors.deserialize_nonstreaming_with_config(&response, &self.operation));
        let error = read.and_then(|read| {
            let error = read.err()?;
            Some(
                error
                    .as_operation_error()?
                    .downcast_ref::<BatchWriteItemError>()?
                    .meta()
                    .clone(),
            )
        });

        RequestError::from_sdk_error(match error {
            Some(error) => SdkError::service_error(BatchWriteItemError::generic(error), response),
            None => SdkError::response_error("the error cannot be read", response),
        })
    }
}

/// The template and the request from which it was made.
type ObservedCall = Mutex<Option<(FastPathTemplate, HttpRequest)>>;

/// An interceptor that records the first call through the SDK. It must not own the template: the
/// template contains the components of the call, which contain this interceptor, and the cycle
/// would leak.
struct FirstCallObserver {
    table: String,
    recording: Weak<ObservedCall>,
}

impl fmt::Debug for FirstCallObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FirstCallObserver")
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for FirstCallObserver {
    fn name(&self) -> &'static str {
        "FirstCallObserver"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(recording) = self.recording.upgrade() {
            let template =
                FastPathTemplate::from_request(&self.table, context.request(), components, config);
            *recording.lock().unwrap_or_else(PoisonError::into_inner) =
                template.zip(context.request().try_clone());
        }

        Ok(())
    }
}

#[cfg(test)]
mod tests;
