//! The shorter way for the call that a restore makes most.
//!
//! For each call the SDK lays out its configuration anew, asks a dozen interceptors and builds the same headers: at 25 items a
//! call that is half of what a restore takes. So the first call goes the SDK's way, and what it settled is kept: endpoint,
//! headers, connector, time limits. The calls after it exchange the body and are signed again (see `signature`). Credentials still
//! come from the SDK's cache, which renews them; connections and the reading of errors are the SDK's code.
//!
//! The first call that fails closes the way, unless it was throttled, and the SDK's own is taken until it has succeeded again: that
//! is where clock skew is learned, connections are given up and endpoints are asked for anew.

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

use super::client::raw_call;
use super::error::{Class, Fault};
use super::redact::Hush;
use super::seam::RawResponse;
use super::signature::Signer;

/// How the SDK signs for DynamoDB, where this is the way.
const SCHEME: AuthSchemeId = AuthSchemeId::new("sigv4");

/// What belongs to one call and not to the next: its signature, and what tells it from others.
const OF_ONE_CALL: [&str; 5] = [
    "authorization",
    "x-amz-date",
    "x-amz-security-token",
    "amz-sdk-invocation-id",
    "amz-sdk-request",
];

/// Headers that nobody may read.
const SECRETS: [&str; 2] = ["authorization", "x-amz-security-token"];

/// The SDK signs with the server's clock. Where that is another one than ours by so much, its way is taken. AWS bears five minutes.
const SKEW: TimeDelta = TimeDelta::minutes(1);

/// The shortcut of one client, once a call has shown the way.
#[derive(Default)]
pub(crate) struct Shortcut(Mutex<Option<Arc<Way>>>);

/// What calls to one table have in common.
pub(crate) struct Way {
    table: String,
    /// The request without body and signature.
    request: HttpRequest,
    signer: Signer,
    connector: SharedHttpConnector,
    attempt: Option<Duration>,
    components: RuntimeComponents,
    /// What the operation itself is made of.
    operation: ConfigBag,
}

impl Shortcut {
    /// The answer to a `BatchWriteItem` call with this body.
    pub(crate) async fn batch_write_item(
        &self,
        sdk: &Client,
        table: &str,
        body: Bytes,
    ) -> Result<Bytes, Fault> {
        let known = self
            .way()
            .as_ref()
            .filter(|way| way.table == table)
            .map(Arc::clone);

        if let Some(way) = known {
            let answer = way.call(body).await;
            if answer
                .as_ref()
                .is_err_and(|fault| fault.class != Class::Throttled)
            {
                *self.way() = None;
            }

            return answer;
        }

        let shown = Arc::new(Shown::default());
        let guide = Guide {
            table: table.to_owned(),
            shown: Arc::downgrade(&shown),
        };

        // Account-based endpoints are routed by the table named in the typed input.
        let answer = raw_call!(
            sdk,
            batch_write_item.request_items(table, Vec::new()),
            body,
            guide
        )?;

        let shown = shown.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((way, request)) = shown
            && way.signs_like_the_sdk(&request).await
        {
            *self.way() = Some(Arc::new(way));
        }

        Ok(answer)
    }

    fn way(&self) -> MutexGuard<'_, Option<Arc<Way>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Way {
    /// What can be kept of a request that the SDK is about to send to `table`.
    fn of(
        table: &str,
        request: &HttpRequest,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Option<Self> {
        if (Signer::time(request)? - Utc::now()).abs() > SKEW {
            return None;
        }

        let signer = Signer::of(request)?;
        let mut operation = ConfigBag::base();
        operation.push_shared_layer(BatchWriteItem::new().config()?);
        let mut common = HttpRequest::empty();
        common.set_method(request.method()).ok()?;
        common.set_uri(request.uri()).ok()?;

        for (name, value) in request
            .headers()
            .iter()
            .filter(|(name, _)| !OF_ONE_CALL.contains(name))
        {
            common
                .headers_mut()
                .append(name.to_owned(), value.to_owned());
        }

        Signer::make_room_in(&mut common);
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

    /// The answer to a call with this body.
    pub(crate) async fn call(&self, body: Bytes) -> Result<Bytes, Fault> {
        let request = self.request_of(body).await?;
        let headers = SECRETS.map(|name| request.headers().get(name).map(ToOwned::to_owned));
        let told = |fault| {
            let headers = SECRETS.iter().zip(&headers);
            Hush::of_headers(headers.filter_map(|(name, value)| Some((*name, value.as_deref()?))))
                .kept_in(fault)
        };

        let answer = self.connector.call(request);
        let answer = match self.attempt {
            Some(attempt) => tokio::time::timeout(attempt, answer)
                .await
                .map_err(|_| Fault::timeout())?,
            None => answer.await,
        };

        let mut response = answer.map_err(|error| {
            told(Fault::of(
                SdkError::<BatchWriteItemError, _>::dispatch_failure(error),
            ))
        })?;

        let taken = RawResponse::take(&mut response, self.attempt);
        if response.status().is_success() {
            return taken.read().await.map(|body| body.text);
        }

        *response.body_mut() = SdkBody::from(taken.collect().await?);

        Err(told(self.fault(response)))
    }

    /// The signed request with this body.
    async fn request_of(&self, body: Bytes) -> Result<HttpRequest, Fault> {
        let mut request = self
            .request
            .try_clone()
            .ok_or_else(|| Fault::impossible("the request cannot be copied"))?;
        request
            .headers_mut()
            .insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body);
        let refused = |error| {
            Fault::of(SdkError::<BatchWriteItemError, _>::construction_failure(
                error,
            ))
        };

        let identity = self.identity().await.map_err(refused)?;
        let signed = identity
            .data::<Credentials>()
            .and_then(|it| self.signer.sign(&mut request, it, Utc::now()));
        signed.ok_or_else(|| Fault::impossible("the request cannot be signed"))?;

        Ok(request)
    }

    /// Whether this way signs as the SDK did, which decides if it can be taken.
    async fn signs_like_the_sdk(&self, request: &HttpRequest) -> bool {
        let Ok(identity) = self.identity().await else {
            return false;
        };

        identity
            .data::<Credentials>()
            .is_some_and(|credentials| self.signer.agrees(request, credentials))
    }

    async fn identity(&self) -> Result<Identity, BoxError> {
        let (components, operation) = (&self.components, &self.operation);
        let resolver = components
            .identity_resolver(SCHEME)
            .ok_or("nothing resolves the identity")?;
        components
            .identity_cache()
            .resolve_cached_identity(resolver, components, operation)
            .await
    }

    /// The failure that an answer tells of, read as the SDK reads it.
    fn fault(&self, response: HttpResponse) -> Fault {
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

        Fault::of(match error {
            Some(error) => SdkError::service_error(BatchWriteItemError::generic(error), response),
            None => SdkError::response_error("the error cannot be read", response),
        })
    }
}

/// The way, and the request that went it.
type Shown = Mutex<Option<(Way, HttpRequest)>>;

/// Watches one call go the SDK's way. The way has the components of the call, and these have its interceptors, of which this is one:
/// it must not own the way, or a call that fails would leave both behind for good.
struct Guide {
    table: String,
    shown: Weak<Shown>,
}

impl fmt::Debug for Guide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guide")
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Guide {
    fn name(&self) -> &'static str {
        "Guide"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(shown) = self.shown.upgrade() {
            let way = Way::of(&self.table, context.request(), components, config);
            *shown.lock().unwrap_or_else(PoisonError::into_inner) =
                way.zip(context.request().try_clone());
        }

        Ok(())
    }
}

#[cfg(test)]
mod tests;
