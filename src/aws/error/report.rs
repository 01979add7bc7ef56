//! Converts a request error into the error that users see: its kind, its message and its hint.

use super::super::network::{FailureKind, NetworkFailure, zone_hint};
use super::denied::Denial;
use super::{ErrorClass, RequestError};
use crate::error::{Error, ErrorKind};
use crate::field::Field;

/// The hint for missing or rejected credentials.
pub(crate) const CREDENTIALS_HINT: &str = "check the credentials of this environment: keys or AWS_PROFILE in its env file; `aws sso login` for SSO";

/// The hint for throttled requests if the error does not name the limit.
const UNNAMED_LIMIT_HINT: &str =
    "the table or account is throttled; raise its capacity, or run again later";

impl RequestError {
    /// Converts the error of a call about `target` into the error that users see.
    pub(crate) fn into_error(self, target: &str) -> Error {
        if let Some(failure) = self.network_failure() {
            return failure;
        }

        if let Some(problem) = self.credentials_problem() {
            let error = Error::environment(self.message.clone()).with_hint(problem.hint.clone());
            return match problem.cause.clone() {
                Some(cause) => error.with_source(cause),
                None => error,
            };
        }

        let (operation, endpoint) = (self.operation(), self.endpoint().to_owned());
        let reason = self.code_and_message();
        let message = format!(
            "{operation} {target} failed: {reason}{}",
            self.request_id_note()
        );
        let error = match self.class {
            ErrorClass::Unreachable => return self.unreachable(&endpoint),
            ErrorClass::Denied if self.is_access_denied() => {
                let hint = Denial::parse(&self.message).map_or_else(
                    || format!("allow {}:{operation} on {target} for these credentials", self.action_prefix()),
                    |denial| denial.hint(target),
                );

                Error::environment(message).with_hint(hint)
            }
            ErrorClass::Denied => Error::environment(message).with_hint(CREDENTIALS_HINT),
            ErrorClass::ClockSkew => Error::environment(message).with_hint(
                "set the clock of this machine: AWS rejects requests if the clock is off by more than a few minutes",
            ),
            ErrorClass::NotFound => Error::not_found(message),
            ErrorClass::Throttled => {
                let hint = self.throttling_advice().unwrap_or_else(|| UNNAMED_LIMIT_HINT.to_owned());
                Error::failed(message).with_hint(hint)
            }
            // Such messages end with the time of the next change.
            ErrorClass::Quota if self.message.contains(" can be made at ") => {
                Error::failed(message).with_hint("run the same command again after that time")
            }
            ErrorClass::Quota => Error::failed(message).with_hint(
                "delete what is no longer needed, or request a higher quota (AWS console, Service Quotas)",
            ),
            // The response was damaged, or not from DynamoDB, on each attempt.
            ErrorClass::Other if self.is_unrecognized => Error::failed(message).with_hint(format!("the endpoint is {endpoint}")),
            ErrorClass::Transient if self.code.is_none() => {
                Error::failed(message).with_hint(format!("the endpoint is {endpoint}"))
            }
            ErrorClass::Network => Error::environment(message),
            ErrorClass::Transient | ErrorClass::Invalid | ErrorClass::InUse | ErrorClass::Other => Error::failed(message),
        };

        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }

    /// The error for a failure of the network, which has a message and a hint of its own.
    fn network_failure(&self) -> Option<Error> {
        let failure = self.source.as_ref()?.downcast_ref::<NetworkFailure>()?;
        let kind = match failure.kind {
            FailureKind::Rejected => ErrorKind::Environment,
            FailureKind::NotTrusted | FailureKind::Unreachable => ErrorKind::NotFound,
            FailureKind::Transient => ErrorKind::Failed,
        };

        let error = Error::new(kind, self.message.clone()).with_hint(failure.hint());
        Some(match failure.cause() {
            Some(cause) => error.with_source(cause),
            None => error,
        })
    }

    /// The operation and the reason, for messages about attempts.
    pub(crate) fn operation_and_reason(&self) -> String {
        format!("{}: {}", self.operation(), self.code_and_message())
    }

    /// The service's ID of the request, in parentheses; empty without a response.
    pub(crate) fn request_id_note(&self) -> String {
        let id = self.call.as_ref().and_then(|call| call.request_id.as_ref());
        id.map(|id| format!(" (request ID {id})"))
            .unwrap_or_default()
    }

    /// The endpoint, if its response is not an answer of DynamoDB, for example the error page of another server.
    pub(crate) fn unrecognized_endpoint(&self) -> Option<&str> {
        self.is_unrecognized.then(|| self.endpoint())
    }

    /// Whether the operation reads. Those that change something have other names.
    pub(crate) fn is_of_reading_operation(&self) -> bool {
        const VERBS: [&str; 5] = ["Describe", "List", "Get", "Scan", "Query"];
        let operation = self.operation();
        VERBS.iter().any(|verb| operation.starts_with(verb))
    }

    fn operation(&self) -> &'static str {
        self.call.as_ref().map_or("the call", |call| call.operation)
    }

    fn action_prefix(&self) -> &'static str {
        self.call
            .as_ref()
            .map_or("dynamodb", |call| call.action_prefix)
    }

    fn endpoint(&self) -> &str {
        self.call
            .as_ref()
            .map_or("the endpoint", |call| call.endpoint())
    }

    fn unreachable(self, endpoint: &str) -> Error {
        let hint = if endpoint.contains("localhost") || endpoint.contains("127.0.0.1") {
            format!(
                "start it (`servedb`, or `localstack start -d`), or wait for it with {} 60s; \
                 LOCAL_AWS_ENDPOINT=embedded:local.db in the env file needs no server",
                Field::Wait
            )
        } else {
            format!(
                "check the endpoint and the network; {} 60s waits until it responds",
                Field::Wait
            )
        };

        let hint = zone_hint(endpoint).unwrap_or(hint);
        let error =
            Error::new(ErrorKind::NotFound, format!("no response from {endpoint}")).with_hint(hint);
        match self.source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}
