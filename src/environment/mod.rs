//! Resolution of an [`Environment`] from flags, an env file and the process environment.
//!
//! Each value has the first source that defines it: flag, env file, process environment, and then
//! the AWS configuration chain. It keeps its source, so that plans and errors can show it. If
//! nothing before it names an endpoint, a profile of the shared AWS configuration may; it is
//! passed in, because this module does not read that configuration. An
//! incomplete environment may mean the wrong account, so ambiguous, misspelled and placeholder
//! values are errors; nothing is guessed.
//!
//! This module also decides whether a target is protected, and issues the [`Confirmation`] that a
//! dangerous call requires. It reads files and values only: it uses neither network nor terminal
//! and never changes the process environment. Errors and `Debug` output contain no secret and no
//! line of an env file.

mod confirmation;
mod copy_file;
mod credentials;
mod demo;
mod described;
mod endpoint;
mod file;
mod inputs;
mod keys;
mod lines;
mod locate;
mod placeholder;
mod process;
mod profile;
mod protection;
mod question;
mod request;
mod resolve;
mod role;
mod sample;
mod source;
mod table;

use std::path::{Path, PathBuf};

pub use confirmation::{Answers, Approval, Confirmation, Decision, Prompt};
pub use copy_file::{CopyFile, CopySide, SideInFile};
pub use credentials::{Credentials, Secret};
pub use described::NamedSource;
pub use endpoint::{Address, Endpoint};
pub use process::ProcessEnvironment;
pub(crate) use profile::ProfileSettings;
pub use question::{Question, QuestionGroup};
pub use request::{EnvironmentRequest, NO_ENV_NAME};
pub use resolve::LOCAL_REGION;
pub(crate) use resolve::{UnresolvedEnvironment, env_file_problems};
pub use role::Role;
pub use sample::Sample;
pub use source::{Sourced, ValueSource};
pub(crate) use table::{is_table_name, table_error};

use crate::error::Result;
use crate::field::Field;

/// Connection settings of one environment: endpoint, region, credentials, protection, table.
/// Created by [`resolve_environment`](crate::store::resolve_environment).
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
    protected: Sourced<bool>,
    allows_insecure_endpoint: bool,
    sample: Option<Sample>,
}

impl Environment {
    /// Name of the environment; [`NO_ENV_NAME`] without an env file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Path of the env file, relative to the working directory if it is below it.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The table setting as written, which may be a list or a pattern; see
    /// [`Environment::single_table`].
    #[must_use]
    pub fn table(&self) -> Option<&Sourced<String>> {
        self.table.as_ref()
    }

    /// The table that this environment names, if any.
    ///
    /// # Errors
    /// The setting is a list, a pattern, an ARN or not a valid table name.
    pub fn single_table(&self) -> Result<Option<&str>> {
        self.table.as_ref().map(table::single).transpose()
    }

    /// Region; `None` leaves it to the profile or the AWS configuration chain.
    #[must_use]
    pub fn region(&self) -> Option<&Sourced<String>> {
        self.region.as_ref()
    }

    /// Endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Credentials.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Role to assume with these credentials.
    #[must_use]
    pub fn role(&self) -> Option<&Role> {
        self.role.as_ref()
    }

    /// AWS account ID (12 digits) that the credentials must belong to.
    #[must_use]
    pub fn account(&self) -> Option<&Sourced<String>> {
        self.account.as_ref()
    }

    /// Whether a write must be confirmed with the name of the table.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.protected.value
    }

    /// Why a write must be confirmed with the name of the table, or not.
    #[must_use]
    pub fn protection_reason(&self) -> String {
        protection::reason(&self.name, self.is_local(), &self.protected.source)
    }

    /// The values that were given, with their sources, in the order of importance. They include no secrets.
    #[must_use]
    pub fn sources(&self) -> Vec<NamedSource> {
        described::sources(self)
    }

    /// Whether the environment may be used through a connection without encryption although it is protected.
    #[must_use]
    pub fn allows_insecure_endpoint(&self) -> bool {
        self.allows_insecure_endpoint
    }

    /// The setting that names the endpoint, if it is meant for local engines and this is an environment of production.
    pub(crate) fn misplaced_endpoint(&self) -> Option<String> {
        protection::misplaced_endpoint(&self.name, &self.endpoint)
    }

    /// Dump from which the embedded engine creates a missing database.
    #[must_use]
    pub fn sample(&self) -> Option<&Sample> {
        self.sample.as_ref()
    }

    /// The command that answers a question about this environment: `dumpdb --env=prod --doctor`. `None` if it has no env file of its
    /// own, so that the command would need more options.
    pub(crate) fn dump_command(&self, option: Field) -> Option<String> {
        let name = &self.name;
        let has_own_file = || {
            let file = self.file.as_ref()?.file_name()?.to_str()?;
            Some(file == locate::file_name(name))
        };

        (name == request::DEMO || has_own_file() == Some(true))
            .then(|| format!("`dumpdb {}={name} {option}`", Field::Environment))
    }

    /// Whether there is another environment of this name next to it.
    pub(crate) fn has_neighbour(&self, name: &str) -> bool {
        let file = self.file.as_ref();
        let neighbour = file.map(|file| file.with_file_name(locate::file_name(name)));

        name != self.name && neighbour.is_some_and(|path| path.is_file())
    }

    /// Whether the endpoint is local; see [`Endpoint::is_local`].
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.endpoint.is_local()
    }
}

#[cfg(test)]
mod tests;
