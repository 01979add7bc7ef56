//! The error of one DynamoDB request: its class, its message, and the constructors for failures found in this module.

pub(super) mod cause;
mod classify;
mod completion;
mod credentials;
mod denied;
mod from_connection;
mod from_response;
mod report;
mod throttling;

use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use bytes::Bytes;

pub(in crate::aws) use cause::{causes, root_cause};
pub(in crate::aws) use credentials::CredentialsProblem;
pub(in crate::aws) use from_connection::network_failure;
pub(crate) use report::CREDENTIALS_HINT;
pub(crate) use throttling::ThrottlingCause;

use self::throttling::Throttling;
use super::context::Call;

/// The code of a conditional write whose condition is not met.
const CONDITION_FAILED: &str = "ConditionalCheckFailedException";

/// The class of an error, which decides how it is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    /// The endpoint could not be connected to.
    Unreachable,
    /// A proxy, TLS or the network settings of this machine do not allow the request: a retry would fail too.
    Network,
    /// The request exceeds the capacity of the table, index or account: slow down and retry.
    Throttled,
    /// A quota of the account or the table is exhausted: retries would be refused for hours.
    Quota,
    /// The server or the network failed: retry.
    Transient,
    /// The request is invalid: a retry would be rejected too.
    Invalid,
    /// The request was signed with a time that differs too much from the server's.
    ClockSkew,
    /// The table does not exist.
    NotFound,
    /// The table is being created, changed or deleted.
    InUse,
    /// The credentials are missing, wrong, expired, or lack permission.
    Denied,
    /// Anything else.
    Other,
}

/// The error of one request.
#[derive(Debug)]
pub(crate) struct RequestError {
    pub(crate) class: ErrorClass,
    /// DynamoDB's error code, if it sent one.
    pub(crate) code: Option<String>,
    /// DynamoDB's message or our own.
    pub(crate) message: String,
    /// The request that failed; added by [`in_context`](Self::in_context).
    call: Option<Box<Call>>,
    /// Whether the response did not come from a server that knows the operation.
    is_unrecognized: bool,
    /// The body of the response if a condition failed: it contains the existing item.
    existing_item_body: Bytes,
    /// The limit that a throttled request exceeded, if the error names it.
    throttling: Option<Box<Throttling>>,
    source: Option<BoxError>,
}

impl RequestError {
    fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self {
            class,
            code: None,
            message: message.into(),
            call: None,
            is_unrecognized: false,
            existing_item_body: Bytes::new(),
            throttling: None,
            source: None,
        }
    }

    /// A host that cannot be resolved or connected to.
    pub(super) fn no_connection(cause: std::io::Error) -> Self {
        Self::new(ErrorClass::Unreachable, "no connection").with_source(cause)
    }

    /// A response that arrived damaged or incomplete.
    pub(crate) fn damaged_response(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Transient, message)
    }

    /// A response whose body is not the expected document.
    pub(crate) fn unreadable_response(error: serde_json::Error) -> Self {
        Self::damaged_response("the response cannot be read").with_source(error)
    }

    /// A response that exceeds every limit of the protocol. A retry would return the same.
    pub(crate) fn oversized_response(max_bytes: usize) -> Self {
        Self::new(
            ErrorClass::Other,
            format!("the response is longer than {max_bytes} bytes"),
        )
    }

    /// A response that DynamoDB never sends. A retry would return the same.
    pub(crate) fn not_dynamodb(message: impl Into<String>) -> Self {
        Self {
            is_unrecognized: true,
            ..Self::new(ErrorClass::Other, message)
        }
    }

    /// A request that did not complete in time.
    pub(crate) fn timeout() -> Self {
        Self::new(ErrorClass::Transient, "the request timed out")
    }

    /// A batch of which some items were returned as unprocessed.
    pub(crate) fn unprocessed(remaining: usize, sent: usize) -> Self {
        Self::new(
            ErrorClass::Throttled,
            format!("{remaining} of {sent} items unprocessed"),
        )
    }

    /// The reason why the call failed: its table existed and was deleted in the meantime.
    pub(crate) fn because_table_was_deleted(self, message: &str) -> Self {
        Self {
            call: self.call,
            ..Self::new(ErrorClass::NotFound, message)
        }
    }

    /// The reason why the call failed: its table was deleted and recreated under the same name.
    pub(crate) fn because_table_was_recreated(self) -> Self {
        let message = "the table was deleted and recreated in the meantime";
        Self {
            call: self.call,
            ..Self::new(ErrorClass::Other, message)
        }
    }

    /// Adds the table's status to the message.
    pub(crate) fn with_table_status(mut self, status: &str) -> Self {
        self.message = format!("{} (the table is {status})", self.message);
        self
    }

    /// Turns the last error before giving up into one that says for how long there was no progress.
    pub(crate) fn after_stall(mut self, after: Duration) -> Self {
        self.message = format!(
            "{}; this was the last response after {after:?} without progress",
            self.message.trim_end_matches('.')
        );
        self
    }

    /// The body of the response if a condition failed, which contains the existing item.
    pub(crate) fn failed_condition(&self) -> Option<&[u8]> {
        let is_condition = self.code.as_deref() == Some(CONDITION_FAILED);
        is_condition.then_some(&self.existing_item_body)
    }

    /// A request that cannot be built.
    pub(crate) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Other, message)
    }

    /// Adds the error that caused this one.
    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The error code, if any, and the message.
    pub(crate) fn code_and_message(&self) -> String {
        match &self.code {
            Some(code) => format!("{code}: {}", self.message),
            None => self.message.clone(),
        }
    }
}

#[cfg(test)]
impl RequestError {
    /// The error for a response with this code and HTTP status.
    pub(crate) fn for_test(code: &str, status: u16, message: &str) -> Self {
        let code = (!code.is_empty()).then(|| code.to_owned());
        let class = classify::classify(code.as_deref(), status, message);
        Self {
            is_unrecognized: code.is_none(),
            code,
            ..Self::new(class, message)
        }
    }
}
