//! Where a command works: an env file (or `--no-env`), flags and the process environment, resolved into one [`Environment`].
//!
//! Each value comes from the first place that names it: flag, env file, process environment; what none names is left to the
//! AWS configuration chain. Every value keeps its source, so that a plan can show it. Half an environment may be the wrong
//! account: whatever is ambiguous, left over from an example or misspelt is an error, nothing is guessed.
//!
//! This module also decides whether a target is protected, and issues the [`Confirmation`] that a dangerous call must hold.
//! It reads files and values only: no network, no terminal, and the process environment is never changed. No secret and no
//! line of a file gets into an error or a `Debug` output.

mod confirmation;
mod credentials;
mod endpoint;
mod file;
mod inputs;
mod keys;
mod lines;
mod locate;
mod placeholder;
mod process;
mod protection;
mod request;
mod resolve;
mod role;
mod source;
mod table;

use std::path::{Path, PathBuf};

pub use confirmation::{Answers, Approval, Confirmation, Decision, Prompt, Question};
pub use credentials::{Credentials, Secret};
pub use endpoint::{Address, Endpoint};
pub use process::ProcessEnvironment;
pub use request::EnvironmentRequest;
pub use resolve::{LOCAL_REGION, NO_ENV_NAME};
pub use role::Role;
pub use source::{Sourced, ValueSource};

use crate::error::Result;

/// A place to dump from or restore to: endpoint, region, credentials, protection, table. Made by [`Environment::resolve`].
#[derive(Debug, Clone)]
pub struct Environment {
    name: String,
    file: Option<PathBuf>,
    table: Option<Sourced<String>>,
    region: Option<Sourced<String>>,
    endpoint: Endpoint,
    credentials: Credentials,
    role: Option<Role>,
    account: Option<Sourced<String>>,
    protected: bool,
    sample: Option<PathBuf>,
}

impl Environment {
    /// The name people know it by; [`NO_ENV_NAME`] when no env file is used.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The env file it was read from.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The table setting as it was written, which may be a list or a pattern; see [`Environment::single_table`].
    #[must_use]
    pub fn table(&self) -> Option<&Sourced<String>> {
        self.table.as_ref()
    }

    /// The one table this environment names, if it names any.
    ///
    /// # Errors
    /// The setting is a list, a pattern or an ARN, or no valid table name.
    pub fn single_table(&self) -> Result<Option<&str>> {
        self.table.as_ref().map(table::single).transpose()
    }

    /// The region; `None` leaves it to the profile or the AWS configuration chain.
    #[must_use]
    pub fn region(&self) -> Option<&Sourced<String>> {
        self.region.as_ref()
    }

    /// The endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The one set of credentials to use.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The role to assume with these credentials.
    #[must_use]
    pub fn role(&self) -> Option<&Role> {
        self.role.as_ref()
    }

    /// The AWS account (12 digits) the credentials must belong to.
    #[must_use]
    pub fn account(&self) -> Option<&Sourced<String>> {
        self.account.as_ref()
    }

    /// Whether writing here asks for the table's name to be typed.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.protected
    }

    /// The dump folder that the embedded engine is filled with while its database file does not exist yet.
    #[must_use]
    pub fn sample(&self) -> Option<&Path> {
        self.sample.as_deref()
    }

    /// Whether the endpoint is this machine or the engine inside this process; see [`Endpoint::is_local`].
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.endpoint.is_local()
    }
}

#[cfg(test)]
mod tests;
