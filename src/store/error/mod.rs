//! The error of one DynamoDB request: its class, its message, and the constructors for failures found in this module.

mod classify;
mod from_sdk;
mod report;

use std::time::Duration;

use aws_sdk_dynamodb::error::BoxError;

pub(crate) use report::CREDENTIALS_HINT;

/// The class of an error, which decides how it is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ErrorClass {
    /// The endpoint could not be connected to.
    Unreachable,
    /// The server's TLS certificate is not trusted.
    Untrusted,
    /// The server does not speak TLS.
    NoTls,
    /// The request exceeds the capacity of the table, index or account: slow down and retry.
    Throttled,
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
    /// Whether the response did not come from a server that knows the operation.
    is_unrecognized: bool,
    source: Option<BoxError>,
}

impl RequestError {
    fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self {
            class,
            code: None,
            message: message.into(),
            is_unrecognized: false,
            source: None,
        }
    }

    /// A response that arrived damaged or incomplete.
    pub(crate) fn damaged_response(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Transient, message)
    }

    /// Names the endpoint in the message of a damaged page.
    pub(crate) fn with_sender(mut self, endpoint: &str) -> Self {
        if self.class == ErrorClass::Transient {
            self.message = format!("{endpoint} sent a {}", self.message);
        }

        self
    }

    /// A response that exceeds every limit of the protocol. A retry would return the same.
    pub(crate) fn oversized_response() -> Self {
        Self::new(
            ErrorClass::Other,
            format!(
                "the response is longer than {} bytes",
                crate::limits::RESPONSE_BYTES
            ),
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
        Self::new(ErrorClass::Transient, "the call timed out")
    }

    /// A batch of which some items were returned as unprocessed.
    pub(crate) fn unprocessed(remaining: usize, sent: usize) -> Self {
        Self::new(
            ErrorClass::Throttled,
            format!("{remaining} of {sent} items unprocessed"),
        )
    }

    /// A table that existed and was deleted meanwhile.
    pub(crate) fn table_deleted(message: &str) -> Self {
        Self::new(ErrorClass::NotFound, message)
    }

    /// A table that was deleted and recreated under the same name.
    pub(crate) fn table_recreated() -> Self {
        Self::new(
            ErrorClass::Other,
            "the table was deleted and created again meanwhile",
        )
    }

    /// Adds the table's status to the message.
    pub(crate) fn with_table_status(mut self, status: &str) -> Self {
        self.message = format!("{} (the table is {status})", self.message);
        self
    }

    /// Turns the last error before giving up into one that says for how long there was no progress.
    pub(crate) fn after_stall(mut self, after: Duration) -> Self {
        self.message = format!(
            "{}; this was the last answer of {after:?} without progress",
            self.message.trim_end_matches('.')
        );
        self
    }

    /// Names a service other than DynamoDB that the endpoint may not provide.
    pub(crate) fn for_service(mut self, service: &str) -> Self {
        if self.is_unrecognized && self.class == ErrorClass::Other {
            self.message = format!("the endpoint does not serve {service}");
        }

        self
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

    /// Replaces a secret wherever the server's error repeats it.
    pub(crate) fn without_secret(mut self, secret: &str) -> Self {
        const HIDDEN: &str = "[hidden]";

        self.message = self.message.replace(secret, HIDDEN);
        self.code = self.code.map(|code| code.replace(secret, HIDDEN));

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
