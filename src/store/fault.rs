//! What went wrong with one call, sorted by what can be done about it, and how that is told to people.

use std::error::Error as StdError;
use std::fmt;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::error::{Error, ErrorKind};

/// What can be done about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// No connection to the endpoint.
    Unreachable,
    /// Too many requests for the table's, index's or account's capacity: slow down, try again.
    Throttled,
    /// The server's or the network's fault: try again.
    Transient,
    /// The request itself is refused; sent again it would be refused again.
    Invalid,
    /// No such table.
    NotFound,
    /// The table is being created, changed or deleted.
    InUse,
    /// Credentials are missing, wrong, expired, or not allowed to do this.
    Denied,
    /// Anything else.
    Other,
}

/// A failed call.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) class: Class,
    /// DynamoDB's error code, where it sent one.
    pub(super) code: Option<String>,
    /// DynamoDB's or the client's words.
    pub(super) message: String,
    source: Option<BoxError>,
}

impl Fault {
    fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, code: None, message: message.into(), source: None }
    }

    /// A response that arrived damaged or not whole.
    pub(super) fn broken_body(message: impl Into<String>) -> Self {
        Self::new(Class::Transient, message)
    }

    /// A response beyond every bound of the protocol: it would be the same again.
    pub(super) fn endless_body() -> Self {
        Self::new(Class::Other, format!("the response is longer than {} bytes", crate::limits::RESPONSE_BYTES))
    }

    /// A call that did not end in time.
    pub(super) fn timeout() -> Self {
        Self::new(Class::Transient, "the call timed out")
    }

    /// Nothing went forward for too long; `reason` is what the last call said.
    pub(super) fn gave_up(reason: &str) -> Self {
        Self::new(Class::Throttled, format!("no progress for too long; the last answer was: {reason}"))
    }

    pub(super) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the same call may succeed later.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.class, Class::Unreachable | Class::Throttled | Class::Transient)
    }

    /// Sorts what the SDK returned.
    pub(super) fn of<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        match &error {
            SdkError::ServiceError(service) => {
                let code = service.err().code().map(ToOwned::to_owned);
                let status = service.raw().status().as_u16();
                let message = match service.err().message() {
                    Some(message) => message.to_owned(),
                    None if code.is_some() => "no message".to_owned(),
                    None => format!("HTTP status {status} without a DynamoDB error; is this a DynamoDB endpoint?"),
                };
                let class = class_of(code.as_deref(), status);
                Self { class, code, message, source: None }
            }
            SdkError::TimeoutError(_) => Self::timeout().with_source(error),
            _ if find::<CredentialsError>(&error).is_some() => {
                Self::new(Class::Denied, "no usable AWS credentials").with_source(SourceOnly::of(error))
            }
            // The SDK gives a kind to what it would try again itself, such as a connection closed in place of an answer.
            SdkError::DispatchFailure(failure)
                if failure.is_io() || failure.is_timeout() || failure.as_other().is_some() =>
            {
                let class = if find_connect(&error) { Class::Unreachable } else { Class::Transient };
                Self::new(class, "no connection").with_source(SourceOnly::of(error))
            }
            SdkError::ResponseError(response) => {
                let class = class_of(None, response.raw().status().as_u16());
                Self::new(class, "the answer is not DynamoDB's").with_source(SourceOnly::of(error))
            }
            _ => Self::new(Class::Other, "the call could not be made").with_source(SourceOnly::of(error)),
        }
    }

    /// Words for one line: code and message.
    pub(super) fn words(&self) -> String {
        match &self.code {
            Some(code) => format!("{code}: {}", self.message),
            None => self.message.clone(),
        }
    }

    /// The failure of `operation` as people are told.
    pub(super) fn into_error(self, operation: &str, target: &str, endpoint: &str) -> Error {
        let words = self.words();
        let what = format!("{operation} {target} failed: {words}");
        let error = match self.class {
            Class::Unreachable => return self.unreachable(endpoint),
            Class::Denied if self.code.as_deref().is_some_and(|code| code.contains("AccessDenied")) => {
                Error::environment(what).with_hint(format!("allow dynamodb:{operation} on {target} for these credentials"))
            }
            Class::Denied => Error::environment(what).with_hint(
                "check the credentials of this environment: keys or AWS_PROFILE in its env file; `aws sso login` for SSO",
            ),
            Class::NotFound => Error::not_found(what),
            Class::Throttled => Error::failed(what)
                .with_hint("the table or account takes no more requests; raise its capacity, or run again later"),
            Class::Transient | Class::Invalid | Class::InUse | Class::Other => Error::failed(what),
        };
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }

    fn unreachable(self, endpoint: &str) -> Error {
        let hint = if endpoint.contains("localhost") || endpoint.contains("127.0.0.1") {
            "start it (for LocalStack: `localstack start -d`), or wait for it with --wait 60s; \
             LOCAL_AWS_ENDPOINT=embedded:local.db in the env file needs no server at all"
        } else {
            "check the endpoint and the network; --wait 60s waits until it answers"
        };
        let error = Error::new(ErrorKind::NotFound, format!("no answer from {endpoint}")).with_hint(hint);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

fn class_of(code: Option<&str>, status: u16) -> Class {
    // A code may come as `com.amazonaws.dynamodb.v20120810#ThrottlingException`; the SDK strips the prefix.
    match code.unwrap_or_default() {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "LimitExceededException" => Class::Throttled,
        "ValidationException" | "ItemCollectionSizeLimitExceededException" | "SerializationException" => Class::Invalid,
        "ResourceNotFoundException" => Class::NotFound,
        "ResourceInUseException" => Class::InUse,
        "InternalServerError" | "InternalFailure" | "ServiceUnavailable" | "ReplicatedWriteConflictException" => {
            Class::Transient
        }
        "AccessDeniedException"
        | "AccessDenied"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException"
        | "MissingAuthenticationToken"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch" => Class::Denied,
        _ if status == 413 => Class::Invalid,
        _ if status == 429 => Class::Throttled,
        _ if status >= 500 || status == 408 => Class::Transient,
        _ if status == 401 || status == 403 => Class::Denied,
        _ => Class::Other,
    }
}

/// An error and the causes below it.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |cause| (*cause).source())
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    chain(error).find_map(|cause| cause.downcast_ref::<T>())
}

/// Whether the connection could not be made at all: refused, no such host, no route.
fn find_connect(error: &(dyn StdError + 'static)) -> bool {
    use std::io::ErrorKind::{AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable, NotFound};
    let refused = find::<std::io::Error>(error).is_some_and(|io| {
        matches!(io.kind(), ConnectionRefused | AddrNotAvailable | HostUnreachable | NetworkUnreachable | NotFound)
    });
    let text = chain(error).any(|cause| {
        let text = cause.to_string();
        text.contains("dns error") || text.contains("tcp connect error") || text.contains("HTTP connect timeout")
    });
    refused || text
}

/// The innermost cause of an SDK error: its outer layers say "dispatch failure", which helps nobody.
#[derive(Debug)]
struct SourceOnly(String);

impl SourceOnly {
    fn of<E, R>(error: SdkError<E, R>) -> Self
    where
        SdkError<E, R>: StdError + 'static,
    {
        let error: &(dyn StdError + 'static) = &error;
        Self(chain(error).last().unwrap_or(error).to_string())
    }
}

impl fmt::Display for SourceOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for SourceOnly {}
