//! A request that got no answer from its server for a known reason: a proxy, certificates, or the scheme of the endpoint.

use std::error::Error as StdError;
use std::fmt;

use super::super::error::cause::causes;

/// Whether a retry may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::aws) enum FailureKind {
    /// The settings do not allow the request: a retry would fail too.
    Rejected,
    /// The server does not prove its name with TLS: a retry would fail too.
    NotTrusted,
    /// The proxy could not be connected to.
    Unreachable,
    /// The proxy worked before and may work again.
    Transient,
}

/// A failure with its own message and hint. `Display` is the message; it names no user and no password.
#[derive(Debug, Clone)]
pub(in crate::aws) struct NetworkFailure {
    pub(in crate::aws) kind: FailureKind,
    message: String,
    hint: String,
    cause: Option<String>,
}

impl NetworkFailure {
    pub(super) fn new(
        kind: FailureKind,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: hint.into(),
            cause: None,
        }
    }

    pub(super) fn with_cause(mut self, cause: String) -> Self {
        self.cause = Some(cause);
        self
    }

    /// The message of the error that led to this.
    pub(in crate::aws) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The next step for the user.
    pub(in crate::aws) fn hint(&self) -> &str {
        &self.hint
    }
}

impl fmt::Display for NetworkFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for NetworkFailure {}

/// Whether an error or one of its causes says `words`. The errors of the HTTP client have no public types.
pub(super) fn mentions(error: &(dyn StdError + 'static), words: &str) -> bool {
    causes(error).any(|cause| cause.to_string().contains(words))
}
