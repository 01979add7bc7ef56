//! A request that got no answer from its server for a known reason: a proxy, the certificates of this machine, or the scheme of the
//! endpoint.

use std::error::Error as StdError;
use std::fmt;

/// Whether a retry may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::aws) enum FailureKind {
    /// The settings do not allow the request: a retry would fail too.
    Rejected,
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
        }
    }

    /// What to do next.
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

/// An error and its causes, outermost first.
pub(super) fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |cause| (*cause).source())
}
