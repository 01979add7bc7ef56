//! An SDK interceptor that sends ready-made request bodies and takes response bodies unparsed.
//!
//! Decoding a Scan page into `AttributeValue`s and encoding it again costs about ten times the CPU
//! of copying its bytes, and loses what this SDK version does not know. The interceptor therefore
//! puts a JSON body into the request before it is signed, takes the unread body of a successful
//! response, and gives the SDK `{}` instead. Endpoints, credentials, signing and service errors
//! remain the SDK's. The body is read here, with a length limit and a check of `x-amz-crc32`, which
//! covers the bytes as sent; a compressed body is then decompressed (see `compression`).

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

use super::buffers::{into_shared_bytes, take_buffer};
use super::compression::{WireBytes, decompress, is_gzip};
use super::error::RequestError;
use crate::limits;

/// Maximum time without enough progress while a body is received; at most half of the attempt
/// timeout applies.
const MAX_STALL: Duration = Duration::from_secs(30);

/// Minimum progress in bytes per second: a page of 1 MB would take four minutes.
const MIN_BYTES_PER_SECOND: usize = 4096;

/// The raw request body of one call and, after the response, its raw response.
#[derive(Debug, Clone)]
pub(crate) struct RawExchange {
    request: Bytes,
    /// The `x-amz-target` to call, if it differs from the SDK operation's.
    target: Option<&'static str>,
    /// Whether a compressed response is requested.
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

/// A response body after decompression.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    pub(crate) text: Bytes,
    pub(crate) wire: WireBytes,
}

impl RawExchange {
    pub(crate) fn new(request: impl Into<Bytes>) -> Self {
        Self {
            request: request.into(),
            target: None,
            asks_for_gzip: false,
            response: Arc::default(),
        }
    }

    /// For an operation of a service that this SDK lacks and that engines serve on the same port.
    pub(crate) fn for_target(request: impl Into<Bytes>, target: &'static str) -> Self {
        Self {
            target: Some(target),
            ..Self::new(request)
        }
    }

    /// Sets whether a compressed response is requested.
    pub(crate) fn with_gzip(self, accepts_gzip: bool) -> Self {
        Self {
            asks_for_gzip: accepts_gzip,
            ..self
        }
    }

    /// Reads the body that was taken from the SDK.
    pub(crate) async fn into_body(self) -> Result<Bytes, RequestError> {
        self.into_response_body().await.map(|body| body.text)
    }

    /// Like [`into_body`](Self::into_body), with the size as received.
    pub(crate) async fn into_response_body(self) -> Result<ResponseBody, RequestError> {
        let response = self
            .response
            .lock()
            .map_err(|_| RequestError::damaged_response("response lost"))?
            .take();

        response
            .ok_or_else(|| RequestError::damaged_response("the SDK answered without a response"))?
            .read()
            .await
    }
}

/// Calls the SDK operation itself.
impl From<Bytes> for RawExchange {
    fn from(request: Bytes) -> Self {
        Self::new(request)
    }
}

impl RawResponse {
    /// Takes the body out of a response to a call with this attempt timeout, and leaves `{}`.
    pub(crate) fn take(response: &mut HttpResponse, attempt: Option<Duration>) -> Self {
        let stall = attempt.map_or(MAX_STALL, |attempt| MAX_STALL.min(attempt / 2));
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

    /// Reads, checks and decompresses the body.
    pub(crate) async fn read(self) -> Result<ResponseBody, RequestError> {
        let is_gzip = self.is_gzip;
        let body = self.collect().await?;
        let received = body.len() as u64;
        let text = if is_gzip {
            decompress(body).await?
        } else {
            body
        };
        Ok(ResponseBody {
            wire: WireBytes {
                received,
                decompressed: text.len() as u64,
            },
            text,
        })
    }

    /// Reads and checks the body as received.
    pub(crate) async fn collect(self) -> Result<Bytes, RequestError> {
        let mut hasher = crc32fast::Hasher::new();
        let mut body = take_buffer(self.length.unwrap_or(0).min(limits::RESPONSE_BYTES));
        let mut stream = ByteStream::new(self.body);
        let mut window = (Instant::now(), 0);
        loop {
            // Progress is measured per window, so that a trickle of bytes does not keep a stalled
            // body alive.
            let Ok(next) = tokio::time::timeout_at(window.0 + self.stall, stream.next()).await
            else {
                let into_response_body = body.len() - window.1;
                if into_response_body as u128 * 1000
                    < MIN_BYTES_PER_SECOND as u128 * self.stall.as_millis()
                {
                    return Err(RequestError::damaged_response(
                        "the response stopped in the middle",
                    ));
                }

                window = (Instant::now(), body.len());
                continue;
            };

            match next {
                None => break,
                Some(Err(error)) => {
                    return Err(
                        RequestError::damaged_response("the response broke off").with_source(error)
                    );
                }
                Some(Ok(chunk)) => {
                    if body.len() + chunk.len() > limits::RESPONSE_BYTES {
                        return Err(RequestError::oversized_response());
                    }

                    hasher.update(&chunk);
                    body.extend_from_slice(&chunk);
                }
            }
        }

        // A connection that is closed early looks like the end of the body.
        if self.length.is_some_and(|length| length != body.len()) {
            return Err(RequestError::damaged_response(
                "the response is shorter than it said",
            ));
        }

        if self
            .crc32
            .is_some_and(|expected| expected != hasher.finalize())
        {
            return Err(RequestError::damaged_response(
                "the response does not match its x-amz-crc32 checksum",
            ));
        }

        Ok(into_shared_bytes(body))
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for RawExchange {
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

    /// After signing: proxies may change the accepted encodings, which would invalidate the
    /// signature.
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
