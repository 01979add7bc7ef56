//! The seam through which raw bytes pass the SDK.
//!
//! Decoding a Scan page into `AttributeValue`s and encoding it again costs about ten times the CPU of moving its bytes, and
//! loses what this SDK version does not know. So an interceptor puts a ready-made JSON body into the request before it is
//! signed, takes the body of a successful response away, unread, and hands the SDK `{}` instead. Endpoints, credentials,
//! signing and service errors stay the SDK's. The body is then collected here, with its length bounded and its
//! `x-amz-crc32` checked, which is of what travels; a compressed one is inflated afterwards (see `wire`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::config::interceptors::{
    BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::timeout::MergeTimeoutConfig;
use bytes::Bytes;
use tokio::time::Instant;

use super::buffers::{buffer, shared};
use super::compression::{WireBytes, inflated, is_gzip};
use super::error::Fault;
use crate::limits;

/// The body of a response must not stand still for longer than this, and not for longer than half of what the call may take.
const STALL: Duration = Duration::from_secs(30);

/// Bytes per second below which a body stands still: a page of 1 MB would take four minutes.
const SLOWEST: usize = 4096;

/// One call's raw request body and, once it is answered, its raw response.
#[derive(Debug, Clone)]
pub(crate) struct Seam {
    request: Bytes,
    /// The `x-amz-target` to call, where it is not the SDK operation's own.
    target: Option<&'static str>,
    /// Whether a compressed answer is asked for.
    asks_for_gzip: bool,
    response: Arc<Mutex<Option<RawResponse>>>,
}

/// A response whose body has not been read.
#[derive(Debug)]
pub(crate) struct RawResponse {
    body: SdkBody,
    crc32: Option<u32>,
    length: Option<usize>,
    is_gzip: bool,
    stall: Duration,
}

/// A body that came back, in the clear.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) text: Bytes,
    pub(crate) wire: WireBytes,
}

impl Seam {
    pub(crate) fn new(request: impl Into<Bytes>) -> Self {
        Self {
            request: request.into(),
            target: None,
            asks_for_gzip: false,
            response: Arc::default(),
        }
    }

    /// For an operation of a service that this SDK does not have and that engines serve on the same port.
    pub(crate) fn to_target(request: impl Into<Bytes>, target: &'static str) -> Self {
        Self {
            target: Some(target),
            ..Self::new(request)
        }
    }

    /// The same call, its answer compressed if `yes` and the server likes.
    pub(crate) fn with_gzip(self, yes: bool) -> Self {
        Self {
            asks_for_gzip: yes,
            ..self
        }
    }

    /// Collects the body that was taken from the SDK.
    pub(crate) async fn into_body(self) -> Result<Bytes, Fault> {
        self.arrived().await.map(|body| body.text)
    }

    /// The same, with how it came.
    pub(crate) async fn arrived(self) -> Result<Body, Fault> {
        let taken = self
            .response
            .lock()
            .map_err(|_| Fault::broken_body("response lost"))?
            .take();

        taken
            .ok_or_else(|| Fault::broken_body("the SDK answered without a response"))?
            .read()
            .await
    }
}

/// For the SDK operation's own call.
impl From<Bytes> for Seam {
    fn from(request: Bytes) -> Self {
        Self::new(request)
    }
}

impl RawResponse {
    /// Takes the body out of a response to a call that may take as long as `attempt`; `{}` stands in for it.
    pub(crate) fn take(response: &mut HttpResponse, attempt: Option<Duration>) -> Self {
        let stall = attempt.map_or(STALL, |attempt| STALL.min(attempt / 2));
        let number = |name: &str| {
            response
                .headers()
                .get(name)
                .and_then(|value| value.parse::<u64>().ok())
        };

        let crc32 = number("x-amz-crc32").and_then(|value| u32::try_from(value).ok());
        let length = number("content-length").and_then(|value| usize::try_from(value).ok());
        let is_gzip = is_gzip(response.headers().get("content-encoding"));
        let body = std::mem::replace(response.body_mut(), SdkBody::from("{}"));
        Self {
            body,
            crc32,
            length,
            is_gzip,
            stall,
        }
    }

    /// All of the body, checked and in the clear.
    pub(crate) async fn read(self) -> Result<Body, Fault> {
        let is_gzip = self.is_gzip;
        let body = self.collect().await?;
        let travelled = body.len() as u64;
        let text = if is_gzip { inflated(body).await? } else { body };
        Ok(Body {
            wire: WireBytes {
                travelled,
                inflated: text.len() as u64,
            },
            text,
        })
    }

    /// All of the body as it travelled, checked.
    pub(crate) async fn collect(self) -> Result<Bytes, Fault> {
        let mut hasher = crc32fast::Hasher::new();
        let mut body = buffer(self.length.unwrap_or(0).min(limits::RESPONSE_BYTES));
        let mut stream = ByteStream::new(self.body);
        let mut checked = (Instant::now(), 0);
        loop {
            let Ok(next) = tokio::time::timeout_at(checked.0 + self.stall, stream.next()).await
            else {
                let arrived = body.len() - checked.1;
                if arrived as u128 * 1000 < SLOWEST as u128 * self.stall.as_millis() {
                    return Err(Fault::broken_body("the response stopped in the middle"));
                }

                checked = (Instant::now(), body.len());
                continue;
            };

            match next {
                None => break,
                Some(Err(error)) => {
                    return Err(Fault::broken_body("the response broke off").with_source(error));
                }
                Some(Ok(chunk)) => {
                    if body.len() + chunk.len() > limits::RESPONSE_BYTES {
                        return Err(Fault::endless_body());
                    }

                    hasher.update(&chunk);
                    body.extend_from_slice(&chunk);
                }
            }
        }

        if self.length.is_some_and(|length| length != body.len()) {
            return Err(Fault::broken_body("the response is shorter than it said"));
        }

        if self
            .crc32
            .is_some_and(|expected| expected != hasher.finalize())
        {
            return Err(Fault::broken_body(
                "the response does not match its x-amz-crc32 checksum",
            ));
        }

        Ok(shared(body))
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Seam {
    fn name(&self) -> &'static str {
        "RawBodies"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request_mut();
        request
            .headers_mut()
            .insert("content-length", self.request.len().to_string());
        if let Some(target) = self.target {
            request.headers_mut().insert("x-amz-target", target);
        }

        *request.body_mut() = SdkBody::from(self.request.clone());

        Ok(())
    }

    /// Proxies may change what encodings are accepted: a signature over it would not hold then.
    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.asks_for_gzip {
            context
                .request_mut()
                .headers_mut()
                .insert("accept-encoding", "gzip");
        }

        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let attempt = config
            .load::<MergeTimeoutConfig>()
            .operation_attempt_timeout();
        let response = context.response_mut();
        if response.status().is_success() {
            *self.response.lock().map_err(|_| "poisoned")? =
                Some(RawResponse::take(response, attempt));
        }

        Ok(())
    }
}
