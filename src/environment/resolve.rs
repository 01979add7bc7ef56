//! Resolves an [`Environment`] from flags, env file, process environment and AWS profile.

use super::demo::built_in;
use super::file::EnvFile;
use super::inputs::{Inputs, from_field};
use super::keys::KeySet;
use super::locate::{EnvFileLocation, locate};
use super::request::{DEMO, LOCAL};
use super::{
    Credentials, Endpoint, Environment, EnvironmentRequest, ProcessEnvironment, ProfileSettings,
    Sample, Sourced, ValueSource,
};
use super::{credentials, endpoint, keys, protection, role};
use crate::error::{Error, Result};
use crate::field::Field;

/// Region for a local endpoint without a region, as in AWS's own local tools.
pub const LOCAL_REGION: &str = "us-east-1";

/// Maximum length of a region, in bytes: it becomes one label of a host name.
const REGION_BYTES: usize = 63;

/// An environment whose endpoint may depend on a profile of the shared AWS configuration.
pub(crate) struct UnresolvedEnvironment<'a> {
    name: &'a str,
    located: Option<EnvFileLocation>,
    inputs: Inputs<'a>,
    /// The endpoint, if no profile can change it.
    endpoint: Option<Endpoint>,
}

impl<'a> UnresolvedEnvironment<'a> {
    /// Reads the env file.
    ///
    /// # Errors
    /// [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) for contradictory or invalid flags,
    /// [`ErrorKind::Environment`](crate::error::ErrorKind::Environment) for an env file or variable
    /// that is missing, invalid, ambiguous or incomplete. Errors name the flag, or the file, line
    /// and key, and never quote a value.
    pub(crate) fn read(
        request: &'a EnvironmentRequest,
        process: &'a ProcessEnvironment,
    ) -> Result<Self> {
        check_flags(request)?;
        let name = request.environment_name();
        let located = locate_file(request, name)?;
        let keys = key_set(request);
        let file = located
            .as_ref()
            .map(|found| match found.built_in {
                Some(text) => EnvFile::parse(text, &found.display_path, keys),
                None => EnvFile::read_keys(&found.path, &found.display_path, keys),
            })
            .transpose()?;
        let project_dir = located
            .as_ref()
            .map(|found| found.project_dir.clone())
            .unwrap_or_default();
        let inputs = Inputs::new(request, file, project_dir, process);
        let endpoint = endpoint::explicit(&inputs)?;

        Ok(Self {
            name,
            located,
            inputs,
            endpoint,
        })
    }

    /// The profile that decides the endpoint; `None` if it is decided without one.
    ///
    /// # Errors
    /// A flag or variable is not valid.
    pub(crate) fn profile_to_read(&self) -> Result<Option<String>> {
        if self.endpoint.is_some() || endpoint::ignored_by_process(&self.inputs)? == Some(true) {
            return Ok(None);
        }

        credentials::profile_name(&self.inputs).map(Some)
    }

    /// Completes the environment with the settings of [`profile_to_read`](Self::profile_to_read).
    ///
    /// # Errors
    /// See [`UnresolvedEnvironment::read`].
    pub(crate) fn resolve(self, profile: Option<&ProfileSettings>) -> Result<Environment> {
        let Self {
            name,
            located,
            inputs,
            endpoint,
        } = self;

        let endpoint = match endpoint {
            Some(endpoint) => endpoint,
            None => endpoint::configured(&inputs, profile)?,
        };
        if let (Some(located), LOCAL, Endpoint::Aws) = (&located, name, &endpoint) {
            return Err(local_without_endpoint(located));
        }

        let local = endpoint.is_local();
        // At a remote endpoint, a value that was not filled in may mean another account or table.
        if !local {
            inputs.refuse_empty_in_file()?;
        }

        // Region and keys belong to the endpoint next to them.
        let endpoint_profile = match endpoint.source() {
            Some(ValueSource::Profile { .. }) => profile,
            _ => None,
        };
        let credentials = credentials::resolve(&inputs, local, endpoint_profile)?;
        let has_default_region = local && !matches!(credentials, Credentials::Profile { .. });
        Ok(Environment {
            name: name.to_owned(),
            table: table(&inputs)?,
            region: region(&inputs, endpoint_profile, has_default_region)?,
            credentials,
            role: role::resolve(&inputs, &endpoint)?,
            account: role::account(&inputs)?,
            protected: protection::resolve(&inputs, name, local)?,
            allows_insecure_endpoint: inputs.request.allow_insecure_endpoint,
            sample: sample(&inputs, &endpoint, located.as_ref())?,
            endpoint,
            file: located.map(|found| found.display_path),
        })
    }
}

#[cfg(test)]
impl Environment {
    /// Resolves the requested environment without the shared AWS configuration.
    pub(crate) fn resolve(
        request: &EnvironmentRequest,
        process: &ProcessEnvironment,
    ) -> Result<Self> {
        UnresolvedEnvironment::read(request, process)?.resolve(None)
    }
}

/// Every problem of the env file of the requested environment; empty if it cannot be found.
pub(crate) fn env_file_problems(request: &EnvironmentRequest) -> Vec<Error> {
    let keys = key_set(request);
    match locate_file(request, request.environment_name()) {
        Ok(Some(found)) if found.built_in.is_none() => {
            EnvFile::problems(&found.path, &found.display_path, keys)
        }
        _ => Vec::new(),
    }
}

fn key_set(request: &EnvironmentRequest) -> KeySet {
    let side = request.side.as_ref();
    side.map_or(KeySet::Environment, |side| side.side.keys())
}

/// The env file of the requested environment, if it has one.
fn locate_file(request: &EnvironmentRequest, name: &str) -> Result<Option<EnvFileLocation>> {
    if let Some(side) = &request.side {
        return Ok(Some(EnvFileLocation {
            path: request.working_dir.join(&side.path),
            display_path: side.path.clone(),
            project_dir: request.working_dir.clone(),
            built_in: None,
        }));
    }

    if request.no_env {
        return Ok(None);
    }

    let located = locate(name, request.envs_dir.as_deref(), &request.working_dir);

    located.map(Some).or_else(|error| match name {
        DEMO => Ok(Some(built_in(request.state_dir.as_deref()))),
        _ => Err(error),
    })
}

fn check_flags(request: &EnvironmentRequest) -> Result<()> {
    if request.no_env && request.name.is_some() {
        return Err(Error::usage(format!(
            "{no_env} and {environment} cannot be used together",
            no_env = Field::NoEnv,
            environment = Field::Environment
        ))
        .with_hint("keep one of the two"));
    }

    // Without a selected environment, the default one is local.
    let nothing_names_a_place = request.name.is_none()
        && request.side.is_none()
        && !request.no_env
        && request.endpoint_url.is_none();
    let meant_for_aws = [
        (Field::Profile, &request.profile),
        (Field::Region, &request.region),
        (Field::RoleArn, &request.role_arn),
    ];

    match meant_for_aws.iter().find(|(_, value)| value.is_some()) {
        Some((flag, _)) if nothing_names_a_place => Err(Error::usage(format!(
            "{flag} without {environment} or {no_env} would use the local endpoint", environment = Field::Environment, no_env = Field::NoEnv
        ))
        .with_hint(format!(
            "for AWS itself add {no_env}, for the environment of an env file {environment}=<name> ({environment}={LOCAL} too)", no_env = Field::NoEnv, environment = Field::Environment
        ))),
        _ => Ok(()),
    }
}

fn local_without_endpoint(located: &EnvFileLocation) -> Error {
    Error::environment(format!("{} does not set an endpoint ({})", located.display_path.display(), keys::LOCAL_ENDPOINT)).with_hint(
        format!(
            "add {key}=http://localhost:4566 (LocalStack) or {key}=embedded:local.db, which needs no server",
            key = keys::LOCAL_ENDPOINT
        ),
    )
}

fn table(inputs: &Inputs<'_>) -> Result<Option<Sourced<String>>> {
    match from_field(Field::Table, inputs.request.table.as_ref())? {
        None => inputs.file_or_process(keys::TABLE),
        flag => Ok(flag),
    }
}

/// Determines the region. `endpoint_profile` is the profile that names the endpoint. `by_default`:
/// whether to use [`LOCAL_REGION`] if none is given; other profiles have their own region.
fn region(
    inputs: &Inputs<'_>,
    endpoint_profile: Option<&ProfileSettings>,
    by_default: bool,
) -> Result<Option<Sourced<String>>> {
    // Both keys mean the same to AWS; a file that sets both must agree.
    const KEYS: [&str; 2] = [keys::REGION, keys::DEFAULT_REGION];

    let mut region = from_field(Field::Region, inputs.request.region.as_ref())?;
    if region.is_none() {
        region = inputs.agreed_in_file(&KEYS)?.into_iter().next();
    }

    if region.is_none() {
        region = inputs.first_in_process(&KEYS)?;
    }

    if region.is_none() {
        region = endpoint_profile.and_then(|profile| profile.region.clone());
    }

    if let Some(region) = &region {
        // The region becomes part of a host name, so nothing else may get into it.
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.value.len() > REGION_BYTES || !region.value.bytes().all(allowed) {
            return Err(region
                .source
                .error("is not a valid region")
                .with_hint("for example eu-central-1"));
        }
    }

    let default = || Sourced {
        value: LOCAL_REGION.to_owned(),
        source: ValueSource::Default,
    };

    Ok(region.or_else(|| by_default.then(default)))
}

/// Determines the sample dump of the embedded engine. It belongs to the endpoint in the same file,
/// so it is not used if a flag sets another endpoint.
fn sample(
    inputs: &Inputs<'_>,
    endpoint: &Endpoint,
    located: Option<&EnvFileLocation>,
) -> Result<Option<Sample>> {
    let is_of_file = matches!(
        endpoint,
        Endpoint::Embedded {
            source: ValueSource::File { .. },
            ..
        }
    );
    if located.is_some_and(|found| found.built_in.is_some()) {
        return Ok(is_of_file.then_some(Sample::BuiltIn));
    }

    let Some(sample) = inputs.in_file(keys::SAMPLE) else {
        return Ok(None);
    };

    if is_of_file {
        return Ok(Some(Sample::Folder(inputs.project_dir.join(sample.value))));
    }

    if inputs.request.endpoint_url.is_some() {
        return Ok(None);
    }

    Err(sample
        .source
        .error("needs an embedded endpoint in the same file")
        .with_hint(format!(
            "add {}=embedded:<file>, or delete the line",
            keys::LOCAL_ENDPOINT
        )))
}
