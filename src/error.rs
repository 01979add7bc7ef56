//! The error type of this crate: what happened, the cause, and a hint.
//!
//! Messages are fragments in lower case without a full stop (`table "music" does not exist`),
//! because they follow `dumpdb: `. They never contain a secret or a line of an env file.

use std::error::Error as StdError;
use std::fmt;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Kind of an error. Each kind has an exit code of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Any other failure.
    Failed,
    /// Contradictory or invalid request, or one for something that does not exist.
    Usage,
    /// An item was rejected, and the run was told to stop in that case.
    Rejected,
    /// A question was answered with no, or not at all.
    NotConfirmed,
    /// Problem with env files, credentials, permissions or the account.
    Environment,
    /// Missing table or dump, or an endpoint that does not respond.
    NotFound,
    /// Damaged or incomplete dump, or one of a newer format.
    Damaged,
    /// Items that do not match the table's schema, or a missing schema.
    SchemaMismatch,
    /// Interrupted run, which can be repeated or resumed.
    Interrupted,
}

impl ErrorKind {
    /// All kinds, in the order of their exit codes.
    pub const ALL: [Self; 9] = [
        Self::Failed,
        Self::Usage,
        Self::Rejected,
        Self::NotConfirmed,
        Self::Environment,
        Self::NotFound,
        Self::Damaged,
        Self::SchemaMismatch,
        Self::Interrupted,
    ];
}

/// An error: what happened, its cause, and a hint for the user. The pointer keeps `Result` small.
pub struct Error(Box<ErrorInner>);

struct ErrorInner {
    kind: ErrorKind,
    message: String,
    details: Vec<String>,
    hint: Option<String>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates an error; `message` says what happened and where.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(ErrorInner {
            kind,
            message: message.into(),
            details: Vec::new(),
            hint: None,
            source: None,
        }))
    }

    /// Creates an [`ErrorKind::Failed`] error.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// Creates an [`ErrorKind::Usage`] error.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// Creates an [`ErrorKind::NotConfirmed`] error.
    pub fn not_confirmed(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotConfirmed, message)
    }

    /// Creates an [`ErrorKind::Environment`] error.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Environment, message)
    }

    /// Creates an [`ErrorKind::NotFound`] error.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// Creates an [`ErrorKind::Damaged`] error.
    pub fn damaged(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, message)
    }

    /// Creates an [`ErrorKind::SchemaMismatch`] error.
    pub fn schema_mismatch(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::SchemaMismatch, message)
    }

    /// Changes the kind.
    #[must_use]
    pub(crate) fn of_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Sets the hint, which says what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds several hints as one. Without any, the error stays as it is.
    pub(crate) fn with_hints(self, hints: impl IntoIterator<Item = String>) -> Self {
        let hints: Vec<_> = hints.into_iter().collect();
        if hints.is_empty() {
            return self;
        }

        self.with_hint(hints.join("; "))
    }

    /// Adds lines that are shown below the message, such as a small table or a list.
    #[must_use]
    pub fn with_details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.0.details.extend(details);
        self
    }

    /// Sets the cause, which is shown below the message.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Kind of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Lines that are shown below the message.
    #[must_use]
    pub fn details(&self) -> &[String] {
        &self.0.details
    }

    /// The next step for the user, if known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The chain of causes, outermost first, each as one line.
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
