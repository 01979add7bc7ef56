//! Diagnosis of an environment: configuration, connection, credentials, table, permissions, files. Each check is one row with what was
//! found and what to do. Nothing is changed: only read operations are called, and each waits seconds at most.
//!
//! A check whose precondition failed is skipped with the reason, so that the first problem of each chain is the one to solve.

mod configuration;
mod connection;
mod credentials;
mod files;
mod interrupted;
mod permissions;
mod report;
mod table;

use std::path::PathBuf;
use std::sync::Arc;

pub use report::{Check, CheckGroup, CheckState, Diagnosis};

use self::report::Checks;
use super::set::SelectionOptions;
use crate::backup::{Compression, DumpTarget};
use crate::environment::{Endpoint, Environment, EnvironmentRequest, ProcessEnvironment};
use crate::event::Reporter;
use crate::store::diagnosis::RequestPath;

/// Inputs of a diagnosis: those of the dump that does not work.
pub struct DoctorRequest {
    /// The environment.
    pub environment: EnvironmentRequest,
    /// The tables, in addition to the table setting of the environment.
    pub selection: SelectionOptions,
    /// Where the dump would be written.
    pub target: DumpTarget,
    /// How the dump would be compressed.
    pub compression: Compression,
    /// Folder for journals, and for the database of the environment `demo`.
    pub state_dir: Option<PathBuf>,
    /// Receives what calls report while they are repeated.
    pub reporter: Arc<dyn Reporter>,
}

/// Runs all checks.
pub async fn diagnose(request: &DoctorRequest, process: &ProcessEnvironment) -> Diagnosis {
    let mut checks = Checks::default();
    let environment = configuration::check(&mut checks, &request.environment, process).await;
    let bytes = if let Some(environment) = &environment {
        Box::pin(check_remote(&mut checks, request, environment)).await
    } else {
        for group in [
            CheckGroup::Connection,
            CheckGroup::Credentials,
            CheckGroup::Table,
            CheckGroup::Permissions,
        ] {
            let mut group = checks.group(group);
            group.skipped("All", "the configuration has a problem");
        }
        None
    };
    files::check(&mut checks, request, bytes).await;

    Diagnosis::new(request.environment.environment_name(), checks)
}

/// Checks what is not on this machine, or is the embedded engine. Returns the size of the tables in bytes, as far as it is known.
async fn check_remote(
    checks: &mut Checks,
    request: &DoctorRequest,
    environment: &Environment,
) -> Option<u64> {
    if !matches!(environment.endpoint(), Endpoint::Embedded { .. }) {
        let blocked = match Box::pin(RequestPath::of(environment)).await {
            Ok(path) => check_path(checks, environment, &path).await,
            Err(error) => {
                let mut group = checks.group(CheckGroup::Configuration);
                group.problem("AWS configuration", &error);
                Some("the AWS configuration has a problem")
            }
        };
        if let Some(reason) = blocked {
            for group in [CheckGroup::Table, CheckGroup::Permissions] {
                checks.group(group).skipped("All", reason);
            }
            return None;
        }
    }

    table::check(checks, request, environment).await
}

/// Checks connection and credentials. Returns why nothing can be called.
async fn check_path(
    checks: &mut Checks,
    environment: &Environment,
    path: &RequestPath,
) -> Option<&'static str> {
    configuration::check_region(checks, environment, path);
    let is_connected = connection::check(checks, path).await;
    let has_credentials = credentials::check(checks, environment, path).await;
    if !is_connected {
        return Some("there is no connection to the endpoint");
    }

    (!has_credentials).then_some("there are no valid credentials")
}
