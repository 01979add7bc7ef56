//! The one error type that crosses module borders: what happened, why, and what to do next.
//!
//! Messages are lowercase fragments without a final full stop (`table "music" does not exist`), so that they read well behind
//! `dumpdb: `. They never contain a secret and never quote a line of an env file.

use std::error::Error as StdError;
use std::fmt;

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of a failure. Commands map each to a documented exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Anything without a kind of its own (exit 1).
    Failed,
    /// The request contradicts itself or asks for something that does not exist (exit 2).
    Usage,
    /// An item was rejected, and the run was to stop there (exit 3).
    Rejected,
    /// A question would have been asked and nobody answered it, or the answer was no (exit 4).
    NotConfirmed,
    /// Environment files, credentials, permissions, account (exit 10).
    Environment,
    /// A table or dump does not exist, or an endpoint does not answer (exit 11).
    NotFound,
    /// A dump is damaged, unfinished, or of a newer format (exit 12).
    Damaged,
    /// The items do not fit the table's schema, or there is no schema (exit 13).
    SchemaMismatch,
    /// The run was interrupted and can be repeated or resumed (exit 130).
    Interrupted,
}

/// A failure: what happened, its cause, and a hint for the person who reads it.
pub struct Error(Box<ErrorInner>);

struct ErrorInner {
    kind: ErrorKind,
    message: String,
    details: Vec<String>,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure of `kind`; `message` says what happened and where.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorInner {
            kind,
            message: message.into(),
            details: Vec::new(),
            hint: None,
            source: None,
        }))
    }

    /// [`ErrorKind::Failed`].
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// [`ErrorKind::Usage`].
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// [`ErrorKind::NotConfirmed`].
    pub fn not_confirmed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotConfirmed, message)
    }

    /// [`ErrorKind::Environment`].
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Environment, message)
    }

    /// [`ErrorKind::NotFound`].
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// [`ErrorKind::Damaged`].
    pub fn damaged(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, message)
    }

    /// [`ErrorKind::SchemaMismatch`].
    pub fn schema_mismatch(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::SchemaMismatch, message)
    }

    /// Says what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds lines that are shown below the failure, each on its own: a small table, a list.
    #[must_use]
    pub fn with_details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.0.details.extend(details);
        self
    }

    /// Keeps the cause; it is shown below the failure.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The kind of this failure.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Lines to show below the failure.
    #[must_use]
    pub fn details(&self) -> &[String] {
        &self.0.details
    }

    /// What to do next, when that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The causes below this failure, outermost first, each as one line.
    pub fn causes(&self) -> impl Iterator<Item = String> {
        let first: Option<&(dyn StdError + 'static)> = self.source();
        std::iter::successors(first, |cause| (*cause).source()).map(ToString::to_string)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("what", &self.0.message)
            .field("details", &self.0.details)
            .field("hint", &self.0.hint)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}
