//! What went wrong with one call, sorted by what can be done about it, and how that is told to people.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{BoxError, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde::Deserialize;

use super::compression::{inflate, is_gzip};
use crate::error::{Error, ErrorKind};

/// What to do when credentials are missing or refused.
pub(crate) const CREDENTIALS_HINT: &str = "check the credentials of this environment: keys or AWS_PROFILE in its env file; `aws sso login` for SSO";

/// The longest of DynamoDB's messages name some attributes; what is longer is not DynamoDB's.
const MESSAGE_CHARACTERS: usize = 2000;

/// What can be done about a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// No connection to the endpoint.
    Unreachable,
    /// The server cannot prove that it is the one that was asked for.
    Untrusted,
    /// The server answers TLS with something else.
    WithoutTls,
    /// Too many requests for the table's, index's or account's capacity: slow down, try again.
    Throttled,
    /// The server's or the network's fault: try again.
    Transient,
    /// The request itself is refused; sent again it would be refused again.
    Invalid,
    /// The call was signed at a time that is not the server's.
    Skewed,
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
pub(crate) struct Fault {
    pub(crate) class: Class,
    /// DynamoDB's error code, where it sent one.
    pub(crate) code: Option<String>,
    /// DynamoDB's or the client's words.
    pub(crate) message: String,
    /// Nothing that knows the operation answered.
    unknown: bool,
    source: Option<BoxError>,
}

impl Fault {
    fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            code: None,
            message: message.into(),
            unknown: false,
            source: None,
        }
    }

    /// A response that arrived damaged or not whole.
    pub(crate) fn broken_body(message: impl Into<String>) -> Self {
        Self::new(Class::Transient, message)
    }

    /// The same fault; where a damaged page is meant, it names the endpoint that sent it.
    pub(crate) fn sent_by(mut self, endpoint: &str) -> Self {
        if self.class == Class::Transient {
            self.message = format!("{endpoint} sent a {}", self.message);
        }

        self
    }

    /// A response beyond every bound of the protocol: it would be the same again.
    pub(crate) fn endless_body() -> Self {
        Self::new(
            Class::Other,
            format!(
                "the response is longer than {} bytes",
                crate::limits::RESPONSE_BYTES
            ),
        )
    }

    /// An answer that DynamoDB does not give: it would be the same again.
    pub(crate) fn not_dynamodb(message: impl Into<String>) -> Self {
        Self {
            unknown: true,
            ..Self::new(Class::Other, message)
        }
    }

    /// A call that did not end in time.
    pub(crate) fn timeout() -> Self {
        Self::new(Class::Transient, "the call timed out")
    }

    /// Items of a batch came back.
    pub(crate) fn unprocessed(left: usize, sent: usize) -> Self {
        Self::new(
            Class::Throttled,
            format!("{left} of {sent} items unprocessed"),
        )
    }

    /// A table that was there and is not any more.
    pub(crate) fn gone(message: &str) -> Self {
        Self::new(Class::NotFound, message)
    }

    /// The table was deleted, and another one has its name.
    pub(crate) fn created_again() -> Self {
        Self::new(
            Class::Other,
            "the table was deleted and created again meanwhile",
        )
    }

    /// The same fault, while the table is in `status`.
    pub(crate) fn while_table_is(mut self, status: &str) -> Self {
        self.message = format!("{} (the table is {status})", self.message);
        self
    }

    /// The last fault of a run that has made no progress for so long.
    pub(crate) fn given_up(mut self, after: Duration) -> Self {
        self.message = format!(
            "{}; this was the last answer of {after:?} without progress",
            self.message.trim_end_matches('.')
        );
        self
    }

    /// The same fault, told of a service beside DynamoDB that the endpoint may not have.
    pub(crate) fn of_service(mut self, service: &str) -> Self {
        if self.unknown && self.class == Class::Other {
            self.message = format!("the endpoint does not serve {service}");
        }

        self
    }

    /// A request that cannot be made.
    pub(crate) fn impossible(message: impl Into<String>) -> Self {
        Self::new(Class::Other, message)
    }

    /// Whether the endpoint does not know the operation at all, rather than refusing this request.
    pub(crate) fn is_lack(&self) -> bool {
        const WORDS: [&str; 4] = [
            "not implemented",
            "not yet implemented",
            "not supported",
            "unknown operation",
        ];

        match self.class {
            Class::Unreachable => true,
            Class::Throttled | Class::Skewed | Class::NotFound | Class::Denied => false,
            _ if self.unknown || names_a_lack(self.code.as_deref()) => true,
            _ => WORDS
                .iter()
                .any(|words| self.message.to_ascii_lowercase().contains(words)),
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same fault without this text in what the server said.
    pub(crate) fn without(mut self, secret: &str) -> Self {
        const HIDDEN: &str = "[hidden]";

        self.message = self.message.replace(secret, HIDDEN);
        self.code = self.code.map(|code| code.replace(secret, HIDDEN));

        self
    }

    /// Whether no credentials could be had, rather than that AWS refused those there are.
    pub(crate) fn lacks_credentials(&self) -> bool {
        self.class == Class::Denied && self.code.is_none() && self.source.is_some()
    }

    /// Whether the same call may succeed later.
    pub(crate) fn is_passing(&self) -> bool {
        matches!(
            self.class,
            Class::Unreachable | Class::Throttled | Class::Transient | Class::Skewed
        )
    }

    /// Whether it is the credentials that are refused or missing, and not what they may do: new ones may be had.
    pub(crate) fn is_of_credentials(&self) -> bool {
        const CODES: [&str; 7] = [
            "ExpiredTokenException",
            "ExpiredToken",
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "MissingAuthenticationTokenException",
        ];

        self.lacks_credentials()
            || (self.class == Class::Denied
                && self
                    .code
                    .as_deref()
                    .is_some_and(|code| CODES.contains(&code)))
    }

    /// Sorts what the SDK returned.
    pub(crate) fn of<E>(error: SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        match &error {
            SdkError::ServiceError(service) if is_damaged(service.raw()) => {
                Self::broken_body("an error's answer does not match its x-amz-crc32 checksum")
            }
            SdkError::ServiceError(service) => {
                let packed = Packed::of(service.raw());
                let code = service.err().code().map(ToOwned::to_owned).or(packed.code);
                let status = service.raw().status().as_u16();
                let message = match service
                    .err()
                    .message()
                    .map(ToOwned::to_owned)
                    .or(packed.message)
                {
                    Some(message) => message,
                    None if names_a_lack(code.as_deref()) => {
                        "the endpoint does not offer this operation".to_owned()
                    }
                    None if code.is_some() => "no message".to_owned(),
                    None => format!(
                        "HTTP status {status} without a DynamoDB error; is this a DynamoDB endpoint?"
                    ),
                };

                let class = class_of_words(code.as_deref(), status, &message);
                Self {
                    class,
                    unknown: code.is_none(),
                    code,
                    message: shortened(message),
                    source: None,
                }
            }
            SdkError::TimeoutError(_) => Self::timeout().with_source(error),
            SdkError::DispatchFailure(_) if find_distrust(&error) => {
                Self::new(Class::Untrusted, "its certificate is not trusted")
                    .with_source(SourceOnly::of(error))
            }
            SdkError::DispatchFailure(_) if finds_no_tls(&error) => {
                Self::new(Class::WithoutTls, "the server does not speak TLS")
                    .with_source(SourceOnly::of(error))
            }
            _ if find::<CredentialsError>(&error).is_some() => {
                Self::new(Class::Denied, "no usable AWS credentials")
                    .with_source(SourceOnly::of(error))
            }
            // The SDK gives a kind to what it would try again itself, such as a connection closed in place of an answer.
            SdkError::DispatchFailure(failure)
                if failure.is_io() || failure.is_timeout() || failure.as_other().is_some() =>
            {
                let class = if find_connect(&error) {
                    Class::Unreachable
                } else {
                    Class::Transient
                };

                Self::new(class, "no connection").with_source(SourceOnly::of(error))
            }
            // An answer that is not HTTP: a status line, a length or a header that cannot be read.
            SdkError::DispatchFailure(failure) if failure.is_other() => {
                Self::new(Class::Transient, "the answer is not valid HTTP")
                    .with_source(SourceOnly::of(error))
            }
            SdkError::ResponseError(response) => {
                // An error's answer that broke off on its way tells nothing, whatever its status.
                let cut_off = find::<std::io::Error>(&error).is_some();
                let status = response.raw().status().as_u16();
                let class = if cut_off {
                    Class::Transient
                } else {
                    class_of(None, status)
                };

                Self::new(class, "the answer is not DynamoDB's").with_source(SourceOnly::of(error))
            }
            _ => Self::new(Class::Other, "the call could not be made")
                .with_source(SourceOnly::of(error)),
        }
    }

    /// Words for one line: code and message.
    pub(crate) fn words(&self) -> String {
        match &self.code {
            Some(code) => format!("{code}: {}", self.message),
            None => self.message.clone(),
        }
    }

    /// The failure of `operation` as people are told.
    pub(crate) fn into_error(self, operation: &str, target: &str, endpoint: &str) -> Error {
        let words = self.words();
        let what = format!("{operation} {target} failed: {words}");
        let error = match self.class {
            Class::Unreachable => return self.unreachable(endpoint),
            Class::Untrusted => return self.untrusted(endpoint),
            Class::WithoutTls => return self.without_tls(endpoint),
            Class::Denied if self.code.as_deref().is_some_and(|code| code.contains("AccessDenied")) => {
                Error::environment(what)
                    .with_hint(format!("allow dynamodb:{operation} on {target} for these credentials"))
            }
            Class::Denied => Error::environment(what).with_hint(CREDENTIALS_HINT),
            Class::Skewed => Error::environment(what).with_hint(
                "set the clock of this machine: AWS refuses calls that are signed some minutes early or late",
            ),
            Class::NotFound => Error::not_found(what),
            Class::Throttled => Error::failed(what)
                .with_hint("the table or account takes no more requests; raise its capacity, or run again later"),
            // An answer that is damaged or not DynamoDB's, each time.
            Class::Other if self.unknown => Error::failed(what).with_hint(format!("the endpoint is {endpoint}")),
            Class::Transient if self.code.is_none() => {
                Error::failed(what).with_hint(format!("the endpoint is {endpoint}"))
            }
            Class::Transient | Class::Invalid | Class::InUse | Class::Other => Error::failed(what),
        };

        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }

    fn untrusted(self, endpoint: &str) -> Error {
        let what = format!(
            "{endpoint} cannot prove that it is this server: {}",
            self.message
        );
        let error = Error::new(ErrorKind::NotFound, what).with_hint(
            "check the endpoint's name, and who is between; the certificate of an authority of your own is named by SSL_CERT_FILE",
        );
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }

    fn without_tls(self, endpoint: &str) -> Error {
        let error = Error::new(
            ErrorKind::NotFound,
            format!("{endpoint} does not speak TLS"),
        )
        .with_hint("an endpoint without TLS begins with http://, not https://");

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

        let error =
            Error::new(ErrorKind::NotFound, format!("no answer from {endpoint}")).with_hint(hint);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}

/// As much of a server's words as people read.
fn shortened(mut message: String) -> String {
    if let Some((end, _)) = message.char_indices().nth(MESSAGE_CHARACTERS) {
        message.truncate(end);
        message.push('…');
    }

    message
}

/// Whether the body of an answer is not the one that its checksum was made of.
fn is_damaged(response: &HttpResponse) -> bool {
    let expected = response
        .headers()
        .get("x-amz-crc32")
        .and_then(|value| value.parse::<u32>().ok());
    matches!((expected, response.body().bytes()), (Some(expected), Some(body)) if crc32fast::hash(body) != expected)
}

/// What a compressed error says, which the SDK cannot read.
#[derive(Default, Deserialize)]
struct Packed {
    #[serde(rename = "__type")]
    code: Option<String>,
    #[serde(alias = "Message")]
    message: Option<String>,
}

impl Packed {
    fn of(response: &HttpResponse) -> Self {
        let body = response
            .body()
            .bytes()
            .filter(|_| is_gzip(response.headers().get("content-encoding")));
        let text = body.and_then(|body| inflate(body).ok());
        let mut said: Self = text
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();

        // `com.amazonaws.dynamodb.v20120810#ThrottlingException`
        said.code = said
            .code
            .map(|code| code.rsplit('#').next().unwrap_or_default().to_owned());

        said
    }
}

/// Whether an error code says that the endpoint does not know the operation.
fn names_a_lack(code: Option<&str>) -> bool {
    matches!(
        code,
        Some(
            "UnknownOperationException"
                | "UnknownOperation"
                | "UnsupportedOperationException"
                | "NotImplemented"
                | "NotImplementedException"
                | "InvalidAction"
        )
    )
}

/// The class of a code, where the words do not make it another one.
fn class_of_words(code: Option<&str>, status: u16, message: &str) -> Class {
    match class_of(code, status) {
        _ if is_for_hours(message) || is_read_only(message) => Class::Other,
        Class::Denied if is_skew(message) => Class::Skewed,
        class => class,
    }
}

fn class_of(code: Option<&str>, status: u16) -> Class {
    // A code may come as `com.amazonaws.dynamodb.v20120810#ThrottlingException`; the SDK strips the prefix.
    match code.unwrap_or_default() {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "BandwidthLimitExceeded"
        | "LimitExceededException" => Class::Throttled,
        "ValidationException"
        | "ItemCollectionSizeLimitExceededException"
        | "SerializationException" => Class::Invalid,
        "ResourceNotFoundException" => Class::NotFound,
        "ResourceInUseException" => Class::InUse,
        "InternalServerError"
        | "InternalFailure"
        | "InternalServiceException"
        | "ServiceUnavailable"
        | "TransactionConflictException"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "ReplicatedWriteConflictException" => Class::Transient,
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => Class::Skewed,
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

/// Whether a `LimitExceededException` is about changes per day, and not about changes at the same time: capacity that was lowered
/// or a billing mode that was changed too often. The words go on with a time of day.
fn is_for_hours(message: &str) -> bool {
    message.contains(" can be made at ")
}

/// Whether an engine on this machine cannot write its database, in the words of its library.
fn is_read_only(message: &str) -> bool {
    message.contains("attempt to write a readonly database")
}

/// Whether a refused signature is one of another time.
fn is_skew(message: &str) -> bool {
    message.contains("Signature expired") || message.contains("Signature not yet current")
}

/// An error and the causes below it.
fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |cause| (*cause).source())
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    chain(error).find_map(|cause| cause.downcast_ref::<T>())
}

/// Whether the connection could not be made at all: refused, no such host, no route.
fn find_connect(error: &(dyn StdError + 'static)) -> bool {
    use std::io::ErrorKind::{
        AddrNotAvailable, ConnectionRefused, HostUnreachable, NetworkUnreachable, NotFound,
    };

    let refused = find::<std::io::Error>(error).is_some_and(|io| {
        matches!(
            io.kind(),
            ConnectionRefused | AddrNotAvailable | HostUnreachable | NetworkUnreachable | NotFound
        )
    });

    let text = chain(error).any(|cause| {
        let text = cause.to_string();
        text.contains("dns error")
            || text.contains("tcp connect error")
            || text.contains("HTTP connect timeout")
    });

    refused || text
}

/// Whether TLS refused the server's certificate. The words are those of rustls, whose error lies below one of the system's.
fn find_distrust(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|cause| cause.to_string().contains("invalid peer certificate"))
}

/// Whether TLS got an answer that is none of its own, as from a server that speaks plain HTTP. The words are those of rustls.
fn finds_no_tls(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|cause| {
        cause
            .to_string()
            .contains("received corrupt message of type InvalidContentType")
    })
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

#[cfg(test)]
impl Fault {
    /// What an endpoint answers with this code and HTTP status.
    pub(crate) fn for_test(code: &str, status: u16, message: &str) -> Self {
        let code = (!code.is_empty()).then(|| code.to_owned());
        let class = class_of_words(code.as_deref(), status, message);
        Self {
            unknown: code.is_none(),
            code,
            ..Self::new(class, message)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_without_the_operation_is_told_from_one_that_refuses() {
        for (code, status, message) in [
            ("UnknownOperationException", 400, ""),
            (
                "InternalFailure",
                501,
                "API for service 'application-autoscaling' not yet implemented or pro feature",
            ),
            ("NotImplemented", 501, "x"),
            ("", 404, "<html>"),
            ("", 500, "<html>"),
        ] {
            assert!(
                Fault::for_test(code, status, message).is_lack(),
                "{code} {status}"
            );
        }

        for (code, status, message) in [
            ("ResourceNotFoundException", 400, "Table: x not found"),
            ("TableNotFoundException", 400, "Table: x not found"),
            ("AccessDeniedException", 400, "User is not authorized"),
            ("ThrottlingException", 400, "Rate exceeded"),
            ("ValidationException", 400, "Invalid ARN"),
            ("InternalServerError", 500, "x"),
            ("", 403, "Forbidden"),
            ("", 429, ""),
        ] {
            assert!(
                !Fault::for_test(code, status, message).is_lack(),
                "{code} {status}"
            );
        }

        assert!(!Fault::timeout().is_lack());
    }

    #[test]
    fn credentials_that_may_be_renewed_are_told_from_what_they_may_not_do() {
        for (code, message, class, is_of_credentials) in [
            (
                "ExpiredTokenException",
                "The security token included in the request is expired",
                Class::Denied,
                true,
            ),
            (
                "UnrecognizedClientException",
                "The security token is invalid.",
                Class::Denied,
                true,
            ),
            (
                "InvalidSignatureException",
                "The request signature we calculated does not match",
                Class::Denied,
                true,
            ),
            (
                "InvalidSignatureException",
                "Signature expired: 20260101T000000Z is now earlier",
                Class::Skewed,
                false,
            ),
            (
                "InvalidSignatureException",
                "Signature not yet current: 20300101T000000Z",
                Class::Skewed,
                false,
            ),
            (
                "RequestTimeTooSkewed",
                "The difference is too large.",
                Class::Skewed,
                false,
            ),
            (
                "AccessDeniedException",
                "User is not authorized",
                Class::Denied,
                false,
            ),
        ] {
            let fault = Fault::for_test(code, 400, message);
            assert_eq!(
                (fault.class, fault.is_of_credentials()),
                (class, is_of_credentials),
                "{code}: {message}"
            );
        }
    }

    #[test]
    fn a_limit_of_the_day_is_not_waited_out() {
        let limit = |message| Fault::for_test("LimitExceededException", 400, message);
        let now = limit(
            "Subscriber limit exceeded: Only 500 tables can be created, updated, or deleted simultaneously",
        );
        assert!(now.is_passing());
        let later = limit(
            "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the first 4 \
             decreases, each subsequent decrease in the same UTC day can be performed at most once every 3600 seconds. Number of \
             decreases today: 6. Next decrease can be made at Wednesday, July 25, 2018 9:48:14 PM UTC",
        );

        assert!(!later.is_passing() && !later.is_busy());
    }
}
