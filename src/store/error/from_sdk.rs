//! Converts errors of the AWS SDK: error responses, failed connections and unparsable responses.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde::Deserialize;

use super::classify::{classify, classify_code, is_unsupported_code};
use super::{ErrorClass, RequestError};
use crate::store::compression::{decompress_blocking, is_gzip};

/// DynamoDB's longest messages name some attributes. Anything longer does not come from DynamoDB.
const MAX_MESSAGE_CHARS: usize = 2000;

impl RequestError {
    /// Converts and classifies an error of the SDK.
    pub(crate) fn from_sdk_error<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        match &error {
            SdkError::ServiceError(service) => {
                Self::from_error_response(service.err(), service.raw())
            }
            SdkError::TimeoutError(_) => Self::timeout().with_source(error),
            _ => Self::from_failed_exchange(&error).with_source(RootCause::from_sdk_error(error)),
        }
    }

    /// The error in a response that the SDK could parse.
    fn from_error_response(metadata: &impl ProvideErrorMetadata, response: &HttpResponse) -> Self {
        // A damaged response may contain any code; it is worth another request.
        if fails_checksum(response) {
            return Self::damaged_response(
                "an error's answer does not match its x-amz-crc32 checksum",
            );
        }

        let compressed = CompressedError::from_response(response);
        let code = metadata.code().map(ToOwned::to_owned).or(compressed.code);
        let status = response.status().as_u16();
        let message = metadata
            .message()
            .map(ToOwned::to_owned)
            .or(compressed.message);
        let message = match message {
            Some(message) => message,
            None if is_unsupported_code(code.as_deref()) => {
                "the endpoint does not offer this operation".to_owned()
            }
            None if code.is_some() => "no message".to_owned(),
            None => format!(
                "HTTP status {status} without a DynamoDB error; is this a DynamoDB endpoint?"
            ),
        };

        Self {
            class: classify(code.as_deref(), status, &message),
            is_unrecognized: code.is_none(),
            code,
            message: truncated(message),
            source: None,
        }
    }

    /// The error for a request that got no response, or none that the SDK could parse. Its source is left out.
    fn from_failed_exchange<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: StdError + Send + Sync + 'static,
    {
        match error {
            SdkError::DispatchFailure(_) if is_untrusted_certificate(error) => {
                Self::new(ErrorClass::Untrusted, "its certificate is not trusted")
            }
            SdkError::DispatchFailure(_) if is_plaintext_server(error) => {
                Self::new(ErrorClass::NoTls, "the server does not speak TLS")
            }
            // Before the kinds of dispatch failure: a credentials provider may fail because of its own connection.
            _ if find_cause::<CredentialsError>(error).is_some() => {
                Self::new(ErrorClass::Denied, "no usable AWS credentials")
            }
            // The SDK sets a kind for failures that it would retry itself, such as a connection closed instead of a response.
            SdkError::DispatchFailure(failure)
                if failure.is_io() || failure.is_timeout() || failure.as_other().is_some() =>
            {
                let class = if is_connect_failure(error) {
                    ErrorClass::Unreachable
                } else {
                    ErrorClass::Transient
                };

                Self::new(class, "no connection")
            }
            // A response that is not HTTP: a status line, a length or a header that cannot be parsed.
            SdkError::DispatchFailure(failure) if failure.is_other() => {
                Self::new(ErrorClass::Transient, "the answer is not valid HTTP")
            }
            SdkError::ResponseError(response) => {
                // A truncated error response says nothing about the request, whatever its status.
                let is_truncated = find_cause::<std::io::Error>(error).is_some();
                let class = if is_truncated {
                    ErrorClass::Transient
                } else {
                    classify_code(None, response.raw().status().as_u16())
                };

                Self::new(class, "the answer is not DynamoDB's")
            }
            _ => Self::new(ErrorClass::Other, "the call could not be made"),
        }
    }
}

/// Truncates an excessively long message.
fn truncated(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE_CHARS) {
        message.truncate(end);
        message.push('…');
    }

    message
}

/// Whether a response body does not match its checksum.
fn fails_checksum(response: &HttpResponse) -> bool {
    let expected = response
        .headers()
        .get("x-amz-crc32")
        .and_then(|value| value.parse::<u32>().ok());
    matches!((expected, response.body().bytes()), (Some(expected), Some(body)) if crc32fast::hash(body) != expected)
}

/// The body of a compressed error response, which the SDK cannot parse.
#[derive(Default, Deserialize)]
struct CompressedError {
    #[serde(rename = "__type")]
    code: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

impl CompressedError {
    fn from_response(response: &HttpResponse) -> Self {
        if !is_gzip(response.headers().get("content-encoding")) {
            return Self::default();
        }

        // The SDK has buffered the body of an error response.
        let body = response.body().bytes();
        let text = body.and_then(|body| decompress_blocking(body).ok());
        let mut parsed: Self = text
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();

        // Strips the prefix of `com.amazonaws.dynamodb.v20120810#ThrottlingException`.
        parsed.code = parsed
            .code
            .map(|code| code.rsplit('#').next().unwrap_or_default().to_owned());

        parsed
    }
}

/// Iterates over an error and its causes.
fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |cause| (*cause).source())
}

fn find_cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    causes(error).find_map(|cause| cause.downcast_ref::<T>())
}

/// Whether no connection could be established: refused, unknown host, or no route.
fn is_connect_failure(error: &(dyn StdError + 'static)) -> bool {
    use std::io::ErrorKind::{
        AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable, NotFound,
    };

    let refused = find_cause::<std::io::Error>(error).is_some_and(|io| {
        matches!(
            io.kind(),
            ConnectionRefused | AddrNotAvailable | HostUnreachable | NetworkUnreachable | NotFound
        )
    });

    let text = causes(error).any(|cause| {
        let text = cause.to_string();
        text.contains("dns error")
            || text.contains("tcp connect error")
            || text.contains("HTTP connect timeout")
    });

    refused || text
}

/// Whether TLS rejected the server's certificate. The message is that of rustls, whose error is
/// wrapped in an I/O error.
fn is_untrusted_certificate(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|cause| cause.to_string().contains("invalid peer certificate"))
}

/// Whether the server answered the TLS handshake with something else, such as plain HTTP. The
/// message is that of rustls.
fn is_plaintext_server(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|cause| {
        cause
            .to_string()
            .contains("received corrupt message of type InvalidContentType")
    })
}

/// The innermost cause of an SDK error. Its outer layers only say "dispatch failure".
#[derive(Debug)]
struct RootCause(String);

impl RootCause {
    fn from_sdk_error<E, R>(error: SdkError<E, R>) -> Self
    where
        SdkError<E, R>: StdError + 'static,
    {
        let error: &(dyn StdError + 'static) = &error;
        Self(causes(error).last().unwrap_or(error).to_string())
    }
}

impl fmt::Display for RootCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for RootCause {}
