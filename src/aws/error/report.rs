//! Converts a request error into the error that users see: its kind, its message and its hint.

use super::{ErrorClass, RequestError};
use crate::error::{Error, ErrorKind};

/// The hint for missing or rejected credentials.
pub(crate) const CREDENTIALS_HINT: &str = "check the credentials of this environment: keys or AWS_PROFILE in its env file; `aws sso login` for SSO";

impl RequestError {
    /// Converts the error of `operation` into the error that users see.
    pub(crate) fn into_error(self, operation: &str, target: &str, endpoint: &str) -> Error {
        let reason = self.code_and_message();
        let message = format!("{operation} {target} failed: {reason}");
        let error = match self.class {
            ErrorClass::Unreachable => return self.unreachable(endpoint),
            ErrorClass::Untrusted => return self.untrusted(endpoint),
            ErrorClass::NoTls => return self.no_tls(endpoint),
            ErrorClass::Denied if self.code.as_deref().is_some_and(|code| code.contains("AccessDenied")) => {
                Error::environment(message)
                    .with_hint(format!("allow dynamodb:{operation} on {target} for these credentials"))
            }
            ErrorClass::Denied => Error::environment(message).with_hint(CREDENTIALS_HINT),
            ErrorClass::ClockSkew => Error::environment(message).with_hint(
                "set the clock of this machine: AWS refuses calls that are signed some minutes early or late",
            ),
            ErrorClass::NotFound => Error::not_found(message),
            ErrorClass::Throttled => Error::failed(message)
                .with_hint("the table or account takes no more requests; raise its capacity, or run again later"),
            // The response was damaged, or not from DynamoDB, on each attempt.
            ErrorClass::Other if self.is_unrecognized => Error::failed(message).with_hint(format!("the endpoint is {endpoint}")),
            ErrorClass::Transient if self.code.is_none() => {
                Error::failed(message).with_hint(format!("the endpoint is {endpoint}"))
            }
            ErrorClass::Transient | ErrorClass::Invalid | ErrorClass::InUse | ErrorClass::Other => Error::failed(message),
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

    fn no_tls(self, endpoint: &str) -> Error {
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
