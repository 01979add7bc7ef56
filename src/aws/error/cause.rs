//! The causes of an error.

use std::error::Error as StdError;
use std::fmt;

/// An error and its causes, outermost first.
pub(in crate::aws) fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |cause| (*cause).source())
}

/// The message of the innermost cause of an error.
pub(in crate::aws) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    causes(error).last().unwrap_or(error).to_string()
}

/// The innermost cause of an error. The outer layers only say "dispatch failure".
#[derive(Debug)]
pub(super) struct RootCause(pub(super) String);

impl RootCause {
    pub(super) fn from_error(error: &(dyn StdError + 'static)) -> Self {
        Self(root_cause(error))
    }
}

impl fmt::Display for RootCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for RootCause {}
