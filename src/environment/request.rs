//! Request of the caller: which environment to resolve.

use std::path::PathBuf;

use super::SideInFile;

/// Name of the environment without an env file.
pub const NO_ENV_NAME: &str = "no-env";

/// Name of the default environment. It must have an endpoint, so that a command without options
/// never calls AWS.
pub(crate) const LOCAL: &str = "local";

/// Name of the built-in environment.
pub(crate) const DEMO: &str = "demo";

/// Flags of the command line that select or override an environment. `None`: the flag was not
/// given.
#[derive(Clone, Default)]
pub struct EnvironmentRequest {
    /// `--env`; without it and without `--no-env`: `local`.
    pub name: Option<String>,
    /// `--no-env`: read no env file.
    pub no_env: bool,
    /// `--envs-dir`: the folder of env files, relative to the working directory.
    pub envs_dir: Option<PathBuf>,
    /// The side of a copy in a file for both sides, instead of the env file of `name`.
    pub side: Option<SideInFile>,
    /// Where the search for the folder `envs` starts, and the base of relative paths in flags. Must
    /// be absolute, because the search goes up to the root.
    pub working_dir: PathBuf,
    /// Folder for the database of the built-in environment `demo`. Without it, the database is in memory.
    pub state_dir: Option<PathBuf>,
    /// `--table`.
    pub table: Option<String>,
    /// `--profile`.
    pub profile: Option<String>,
    /// `--region`.
    pub region: Option<String>,
    /// `--endpoint-url`.
    pub endpoint_url: Option<String>,
    /// `--role-arn`.
    pub role_arn: Option<String>,
    /// `--allow-insecure-endpoint`.
    pub allow_insecure_endpoint: bool,
}

impl EnvironmentRequest {
    /// Name of the requested environment.
    #[must_use]
    pub fn environment_name(&self) -> &str {
        if let Some(side) = &self.side {
            side.side.environment_name()
        } else if self.no_env {
            NO_ENV_NAME
        } else {
            self.name.as_deref().unwrap_or(LOCAL)
        }
    }
}
