//! Converts failures that left no response: no connection, or a response that is not HTTP.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::super::network::{FailureKind, NetworkFailure};
use super::cause::{RootCause, causes};
use super::classify::classify;
use super::{ErrorClass, RequestError};
use crate::aws::context::{RequestContext, request_id};

impl RequestError {
    /// The error for a failure whose cause is known.
    pub(super) fn from_network_failure(failure: &NetworkFailure) -> Self {
        let class = match failure.kind {
            FailureKind::Rejected | FailureKind::NotTrusted => ErrorClass::Network,
            FailureKind::Unreachable => ErrorClass::Unreachable,
            FailureKind::Transient => ErrorClass::Transient,
        };

        Self::new(class, failure.to_string()).with_source(failure.clone())
    }

    /// The error for a request that got no response.
    pub(in crate::aws) fn from_connector_error(error: &ConnectorError) -> Self {
        if let Some(failure) = network_failure(error) {
            return Self::from_network_failure(failure);
        }

        let converted = if error.is_io() || error.is_timeout() || error.as_other().is_some() {
            let class = if is_connect_failure(error) {
                ErrorClass::Unreachable
            } else {
                ErrorClass::Transient
            };

            Self::new(class, "no connection")
        } else if error.is_other() {
            // A status line, a length or a header that cannot be parsed.
            Self::new(ErrorClass::Transient, "the response is not valid HTTP")
        } else {
            Self::new(ErrorClass::Other, "the request could not be sent")
        };

        converted.with_source(RootCause::from_error(error))
    }
}

impl RequestError {
    /// The error of a request to STS, which the SDK sends.
    pub(in crate::aws) fn from_sts_error<E>(
        error: &SdkError<E, HttpResponse>,
        mut context: RequestContext,
    ) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
    {
        if let Some(failure) = network_failure(error) {
            return Self::from_network_failure(failure).in_context(&context);
        }

        let converted = match error {
            SdkError::ServiceError(service) => {
                context.call.request_id = request_id(service.raw().headers());
                let code = service.err().code();
                let message = service.err().message().unwrap_or("no message");
                let class = classify(code, service.raw().status().as_u16(), message);
                Self {
                    code: code.map(ToOwned::to_owned),
                    ..Self::new(class, message)
                }
            }
            SdkError::TimeoutError(_) => Self::timeout(),
            SdkError::DispatchFailure(failure) => failure.as_connector_error().map_or_else(
                || Self::new(ErrorClass::Other, "the request could not be sent"),
                Self::from_connector_error,
            ),
            _ if causes(error).any(<dyn StdError>::is::<CredentialsError>) => {
                Self::from_credentials_error(error)
            }
            _ => Self::new(ErrorClass::Other, "the request could not be sent")
                .with_source(RootCause::from_error(error)),
        };

        converted.in_context(&context)
    }
}

/// The failure among the causes of an error that [`Network`](super::super::network::Network) explained.
pub(in crate::aws) fn network_failure<'a>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a NetworkFailure> {
    causes(error).find_map(|cause| cause.downcast_ref())
}

/// Whether no connection could be established: refused, unknown host, or no route.
fn is_connect_failure(error: &(dyn StdError + 'static)) -> bool {
    use std::io::ErrorKind::{
        AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable, NotFound,
    };

    let io_error = causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>());
    let is_refused = io_error.is_some_and(|io| {
        matches!(
            io.kind(),
            ConnectionRefused | AddrNotAvailable | HostUnreachable | NetworkUnreachable | NotFound
        )
    });

    let says_so = causes(error).any(|cause| {
        let text = cause.to_string();
        text.contains("dns error")
            || text.contains("tcp connect error")
            || text.contains("HTTP connect timeout")
    });

    is_refused || says_so
}
