//! Puts an [`Environment`] together from flags, env file and process environment.

use std::path::PathBuf;

use super::file::EnvFile;
use super::inputs::{Inputs, from_flag};
use super::locate::{EnvFileLocation, locate};
use super::{
    Credentials, Endpoint, Environment, EnvironmentRequest, ProcessEnvironment, Sourced,
    ValueSource,
};
use super::{credentials, endpoint, keys, protection, role};
use crate::error::{Error, Result};

/// The name of the environment that is used without an env file.
pub const NO_ENV_NAME: &str = "no-env";

/// The environment of a command line that names none. It must have an endpoint: a command without options never goes to AWS.
const LOCAL: &str = "local";

/// What AWS's own local tools take when nobody names a region.
pub const LOCAL_REGION: &str = "us-east-1";

/// Characters of a region: it becomes one label of a host name.
const REGION_BYTES: usize = 63;

impl Environment {
    /// Resolves what the command line asks for.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) for flags that contradict each other or are not valid,
    /// [`ErrorKind::Environment`](crate::error::ErrorKind::Environment) for an env file or variable that is missing, broken,
    /// ambiguous or incomplete. Both name flag or file, line and key, and quote no value.
    pub fn resolve(request: &EnvironmentRequest, process: &ProcessEnvironment) -> Result<Self> {
        check_flags(request)?;
        let name = if request.no_env {
            NO_ENV_NAME
        } else {
            request.name.as_deref().unwrap_or(LOCAL)
        };

        let located = if request.no_env {
            None
        } else {
            Some(locate(
                name,
                request.envs_dir.as_deref(),
                &request.working_dir,
            )?)
        };

        let file = located
            .as_ref()
            .map(|found| EnvFile::read(&found.path, &found.display_path))
            .transpose()?;
        let project_dir = located
            .as_ref()
            .map(|found| found.project_dir.clone())
            .unwrap_or_default();
        let inputs = Inputs::new(request, file, project_dir, process);

        let endpoint = endpoint::resolve(&inputs)?;
        if let (Some(located), LOCAL, Endpoint::Aws) = (&located, name, &endpoint) {
            return Err(local_without_endpoint(located));
        }

        let local = endpoint.is_local();
        if !local {
            inputs.refuse_empty_in_file()?;
        }

        let credentials = credentials::resolve(&inputs, local)?;
        Ok(Self {
            name: name.to_owned(),
            table: table(&inputs)?,
            region: region(
                &inputs,
                local && !matches!(credentials, Credentials::Profile { .. }),
            )?,
            credentials,
            role: role::resolve(&inputs, &endpoint)?,
            account: role::account(&inputs)?,
            protected: protection::resolve(&inputs, name, local)?,
            sample: sample(&inputs, &endpoint)?,
            endpoint,
            file: located.map(|found| found.path),
        })
    }
}

fn check_flags(request: &EnvironmentRequest) -> Result<()> {
    if request.no_env && request.name.is_some() {
        return Err(Error::usage("--no-env and --env contradict each other")
            .with_hint("keep one of the two"));
    }

    let nothing_names_a_place =
        request.name.is_none() && !request.no_env && request.endpoint_url.is_none();
    let meant_for_aws = [
        ("--profile", &request.profile),
        ("--region", &request.region),
        ("--role-arn", &request.role_arn),
    ];

    match meant_for_aws.iter().find(|(_, value)| value.is_some()) {
        Some((flag, _)) if nothing_names_a_place => Err(Error::usage(format!(
            "{flag} without --env or --no-env would end up at the local endpoint"
        ))
        .with_hint(format!(
            "for AWS itself add --no-env, for the environment of an env file --env=<name> (--env={LOCAL} too)"
        ))),
        _ => Ok(()),
    }
}

fn local_without_endpoint(located: &EnvFileLocation) -> Error {
    Error::environment(format!("{} names no endpoint ({})", located.display_path.display(), keys::LOCAL_ENDPOINT)).with_hint(
        format!(
            "add {key}=http://localhost:4566 (LocalStack) or {key}=embedded:local.db, which needs no server",
            key = keys::LOCAL_ENDPOINT
        ),
    )
}

fn table(inputs: &Inputs<'_>) -> Result<Option<Sourced<String>>> {
    match from_flag("--table", inputs.request.table.as_ref())? {
        None => inputs.file_or_process(keys::TABLE),
        flag => Ok(flag),
    }
}

/// The region; `by_default`: where nobody names one, that of local tools. A profile has its own.
fn region(inputs: &Inputs<'_>, by_default: bool) -> Result<Option<Sourced<String>>> {
    const KEYS: [&str; 2] = [keys::REGION, keys::DEFAULT_REGION];

    let mut region = from_flag("--region", inputs.request.region.as_ref())?;
    if region.is_none() {
        region = inputs.agreed_in_file(&KEYS)?.into_iter().next();
    }

    if region.is_none() {
        region = inputs.first_in_process(&KEYS)?;
    }

    if let Some(region) = &region {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.value.len() > REGION_BYTES || !region.value.bytes().all(allowed) {
            return Err(region
                .source
                .error("is no region")
                .with_hint("for example eu-central-1"));
        }
    }

    let default = || Sourced {
        value: LOCAL_REGION.to_owned(),
        source: ValueSource::Default,
    };

    Ok(region.or_else(|| by_default.then(default)))
}

/// The sample belongs to the embedded engine of the same file; a flag that names another endpoint puts it out of use.
fn sample(inputs: &Inputs<'_>, endpoint: &Endpoint) -> Result<Option<PathBuf>> {
    let Some(sample) = inputs.in_file(keys::SAMPLE) else {
        return Ok(None);
    };

    match endpoint {
        Endpoint::Embedded {
            source: ValueSource::File { .. },
            ..
        } => Ok(Some(inputs.project_dir.join(sample.value))),
        _ if inputs.request.endpoint_url.is_some() => Ok(None),
        _ => Err(sample
            .source
            .error("needs an embedded endpoint in the same file")
            .with_hint(format!(
                "add {}=embedded:<file>, or delete the line",
                keys::LOCAL_ENDPOINT
            ))),
    }
}
