//! Classifies errors by what can be done about them: error codes, HTTP statuses, and the messages that change their meaning.

use super::denied::Denial;
use super::{ErrorClass, RequestError};

impl RequestError {
    /// Whether the credentials were accepted, but lack a permission.
    pub(crate) fn is_access_denied(&self) -> bool {
        let is_denied_code = self
            .code
            .as_deref()
            .is_some_and(|code| code.contains("AccessDenied"));
        self.class == ErrorClass::Denied
            && (is_denied_code || Denial::parse(&self.message).is_some())
    }

    /// Whether the endpoint does not support the operation at all, as opposed to rejecting this
    /// request.
    pub(crate) fn is_unsupported_operation(&self) -> bool {
        const WORDS: [&str; 4] = [
            "not implemented",
            "not yet implemented",
            "not supported",
            "unknown operation",
        ];

        match self.class {
            ErrorClass::Unreachable => true,
            ErrorClass::Throttled
            | ErrorClass::Quota
            | ErrorClass::ClockSkew
            | ErrorClass::NotFound
            | ErrorClass::Denied => false,
            _ if self.is_unrecognized || is_unsupported_code(self.code.as_deref()) => true,
            _ => WORDS
                .iter()
                .any(|words| self.message.to_ascii_lowercase().contains(words)),
        }
    }

    /// Whether no credentials were found, as opposed to being rejected by AWS.
    pub(crate) fn is_missing_credentials(&self) -> bool {
        self.class == ErrorClass::Denied && self.code.is_none() && self.source.is_some()
    }

    /// Whether the same request may succeed later.
    pub(crate) fn is_retryable(&self) -> bool {
        matches!(
            self.class,
            ErrorClass::Unreachable
                | ErrorClass::Throttled
                | ErrorClass::Transient
                | ErrorClass::ClockSkew
        )
    }

    /// Whether the credentials are missing or rejected, as opposed to lacking permission: new ones
    /// may help.
    pub(crate) fn is_rejected_credentials(&self) -> bool {
        const CODES: [&str; 7] = [
            "ExpiredTokenException",
            "ExpiredToken",
            "UnrecognizedClientException",
            "InvalidClientTokenId",
            "InvalidSignatureException",
            "SignatureDoesNotMatch",
            "MissingAuthenticationTokenException",
        ];

        self.is_missing_credentials()
            || (self.class == ErrorClass::Denied
                && self
                    .code
                    .as_deref()
                    .is_some_and(|code| CODES.contains(&code)))
    }

    /// Whether the keys of a session have expired: those that signed the request, or those that new credentials are requested with.
    pub(crate) fn is_expired_keys(&self) -> bool {
        matches!(
            self.code.as_deref(),
            Some("ExpiredTokenException" | "ExpiredToken")
        ) || self.has_expired_source()
    }

    /// Whether a limit is exceeded that is not a rate: a number of tables, or of changes at the same time.
    pub(crate) fn is_limit_exceeded(&self) -> bool {
        self.code.as_deref() == Some("LimitExceededException")
    }

    /// Whether the table is being changed, so that the same request will succeed once it is `ACTIVE`.
    pub(crate) fn is_table_busy(&self) -> bool {
        const CODES: [&str; 2] = [
            "ContinuousBackupsUnavailableException",
            "ConcurrentUpdateException",
        ];

        matches!(self.class, ErrorClass::InUse | ErrorClass::Throttled)
            || self
                .code
                .as_deref()
                .is_some_and(|code| CODES.contains(&code))
    }
}

/// Whether an error code says that the endpoint does not support the operation.
pub(super) fn is_unsupported_code(code: Option<&str>) -> bool {
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

/// Classifies an error by its code, unless its message says otherwise.
pub(super) fn classify(code: Option<&str>, status: u16, message: &str) -> ErrorClass {
    match classify_code(code, status) {
        _ if is_unwritable_database(message) => ErrorClass::Other,
        ErrorClass::Quota if is_limit_on_concurrent_changes(message) => ErrorClass::Throttled,
        ErrorClass::Denied if is_clock_skew(message) => ErrorClass::ClockSkew,
        // Denials of other services, such as KMS, may have a code of their own.
        ErrorClass::Invalid | ErrorClass::Other if Denial::parse(message).is_some() => {
            ErrorClass::Denied
        }
        class => class,
    }
}

/// Classifies an error by its code, or by its HTTP status if the code is missing or unknown.
pub(super) fn classify_code(code: Option<&str>, status: u16) -> ErrorClass {
    // Codes may have a prefix as in `com.amazonaws.dynamodb.v20120810#ThrottlingException`; the SDK
    // strips it.
    match code.unwrap_or_default() {
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestLimitExceeded"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "TooManyRequestsException"
        | "BandwidthLimitExceeded" => ErrorClass::Throttled,
        "LimitExceededException" => ErrorClass::Quota,
        "ValidationException"
        | "ItemCollectionSizeLimitExceededException"
        | "SerializationException" => ErrorClass::Invalid,
        "ResourceNotFoundException" => ErrorClass::NotFound,
        "ResourceInUseException" => ErrorClass::InUse,
        "InternalServerError"
        | "InternalFailure"
        | "InternalServiceException"
        | "ServiceUnavailable"
        | "TransactionConflictException"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "ReplicatedWriteConflictException" => ErrorClass::Transient,
        "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture" => ErrorClass::ClockSkew,
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
        | "SignatureDoesNotMatch" => ErrorClass::Denied,
        // Without a known code, the HTTP status decides. 413: a proxy rejects the size of the body.
        _ if status == 413 => ErrorClass::Invalid,
        _ if status == 429 => ErrorClass::Throttled,
        _ if status >= 500 || status == 408 => ErrorClass::Transient,
        _ if status == 401 || status == 403 => ErrorClass::Denied,
        _ => ErrorClass::Other,
    }
}

/// Whether a `LimitExceededException` is about changes at the same time ("Only 500 tables can be
/// created, updated, or deleted simultaneously"; in older accounts 10 or 20, and fewer with
/// indexes), which ends soon. Others are about the number of tables or indexes, or about changes per
/// day.
fn is_limit_on_concurrent_changes(message: &str) -> bool {
    ["simultaneous", "concurrent", "Too many operations"]
        .iter()
        .any(|words| message.contains(words))
}

/// Whether a local engine cannot write its database, according to the message of `SQLite`.
fn is_unwritable_database(message: &str) -> bool {
    message.contains("attempt to write a readonly database")
        || message.contains("database or disk is full")
}

/// Whether a signature was rejected because of its time.
fn is_clock_skew(message: &str) -> bool {
    message.contains("Signature expired") || message.contains("Signature not yet current")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unsupported_operation_is_distinguished_from_a_denied_one() {
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
                RequestError::for_test(code, status, message).is_unsupported_operation(),
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
                !RequestError::for_test(code, status, message).is_unsupported_operation(),
                "{code} {status}"
            );
        }

        assert!(!RequestError::timeout().is_unsupported_operation());
    }

    #[test]
    fn expired_credentials_are_distinguished_from_denied_ones() {
        for (code, message, class, is_rejected_credentials) in [
            (
                "ExpiredTokenException",
                "The security token included in the request is expired",
                ErrorClass::Denied,
                true,
            ),
            (
                "UnrecognizedClientException",
                "The security token is invalid.",
                ErrorClass::Denied,
                true,
            ),
            (
                "InvalidSignatureException",
                "The request signature we calculated does not match",
                ErrorClass::Denied,
                true,
            ),
            (
                "InvalidSignatureException",
                "Signature expired: 20260101T000000Z is now earlier",
                ErrorClass::ClockSkew,
                false,
            ),
            (
                "InvalidSignatureException",
                "Signature not yet current: 20300101T000000Z",
                ErrorClass::ClockSkew,
                false,
            ),
            (
                "RequestTimeTooSkewed",
                "The difference is too large.",
                ErrorClass::ClockSkew,
                false,
            ),
            (
                "AccessDeniedException",
                "User is not authorized",
                ErrorClass::Denied,
                false,
            ),
        ] {
            let error = RequestError::for_test(code, 400, message);
            assert_eq!(
                (error.class, error.is_rejected_credentials()),
                (class, is_rejected_credentials),
                "{code}: {message}"
            );
        }
    }

    #[test]
    fn only_limits_on_concurrent_changes_are_waited_for() {
        let limit = |message| RequestError::for_test("LimitExceededException", 400, message);
        for message in [
            "Subscriber limit exceeded: Only 500 tables can be created, updated, or deleted simultaneously",
            "Subscriber limit exceeded: Only 1 online index can be created or deleted simultaneously per table",
            "Subscriber limit exceeded: Only 10 tables can be created, updated, or deleted simultaneously",
            "Subscriber limit exceeded: You have exceeded the maximum number of indexed tables that can be created simultaneously. Limit: 5",
            "Too many operations for a given subscriber.",
        ] {
            let error = limit(message);
            assert!(error.is_retryable() && error.is_table_busy(), "{message}");
        }

        for message in [
            "Subscriber limit exceeded: There is a limit of 256 tables per subscriber",
            "There is a limit of 2500 tables",
            "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the first 4 \
             decreases, each subsequent decrease in the same UTC day can be performed at most once every 3600 seconds. Number of \
             decreases today: 6. Next decrease can be made at Wednesday, July 25, 2018 9:48:14 PM UTC",
            "no message",
        ] {
            let error = limit(message);
            assert_eq!(error.class, ErrorClass::Quota, "{message}");
            assert!(!error.is_retryable() && !error.is_table_busy(), "{message}");
            assert!(!error.is_unsupported_operation(), "{message}");
        }
    }
}
