//! Converts failures to get credentials.

use std::error::Error as StdError;
use std::fmt;

use super::cause::{RootCause, causes};
use super::from_connection::network_failure;
use super::{ErrorClass, RequestError};

/// Why there are no credentials, and what to do.
#[derive(Debug, Clone)]
pub(in crate::aws) struct CredentialsProblem {
    pub(in crate::aws) message: String,
    pub(in crate::aws) hint: String,
    /// The innermost error, if it says more.
    pub(in crate::aws) cause: Option<String>,
    /// Whether the keys that new credentials are requested with have expired.
    pub(in crate::aws) has_expired_keys: bool,
}

impl CredentialsProblem {
    /// The problem that caused an error, if it was recognized where it occurred.
    pub(in crate::aws) fn find<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Self> {
        causes(error).find_map(<dyn StdError>::downcast_ref)
    }
}

impl fmt::Display for CredentialsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for CredentialsProblem {}

impl RequestError {
    /// The error for a request that could not be signed because there are no credentials.
    pub(in crate::aws) fn from_credentials_error(error: &(dyn StdError + 'static)) -> Self {
        if let Some(failure) = network_failure(error) {
            return Self::from_network_failure(failure);
        }

        match CredentialsProblem::find(error) {
            Some(problem) => {
                Self::new(ErrorClass::Denied, problem.message.clone()).with_source(problem.clone())
            }
            None => Self::new(ErrorClass::Denied, "no usable AWS credentials")
                .with_source(RootCause::from_error(error)),
        }
    }

    /// Whether the message and the hint say why there are no credentials.
    pub(crate) fn is_explained(&self) -> bool {
        self.credentials_problem().is_some()
    }

    /// Whether new credentials were refused because the keys that request them have expired.
    pub(super) fn has_expired_source(&self) -> bool {
        self.credentials_problem()
            .is_some_and(|problem| problem.has_expired_keys)
    }

    /// Why there are no credentials, if that is known.
    pub(super) fn credentials_problem(&self) -> Option<&CredentialsProblem> {
        self.source.as_ref()?.downcast_ref()
    }
}
