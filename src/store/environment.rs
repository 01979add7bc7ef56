//! Resolves environments, including the endpoint that a profile of the shared AWS configuration names.

use crate::aws::shared_profile;
use crate::environment::{
    Environment, EnvironmentRequest, ProcessEnvironment, UnresolvedEnvironment,
};
use crate::error::Result;

/// Resolves the requested environment. The shared AWS configuration is read only if neither a flag nor the env file
/// names an endpoint.
///
/// # Errors
/// [`ErrorKind::Usage`](crate::error::ErrorKind::Usage) for contradictory or invalid flags,
/// [`ErrorKind::Environment`](crate::error::ErrorKind::Environment) for an env file, variable or profile that is missing,
/// invalid, ambiguous or incomplete. Errors name the flag, or the file and key, and never quote a value.
pub async fn resolve_environment(
    request: &EnvironmentRequest,
    process: &ProcessEnvironment,
) -> Result<Environment> {
    let unresolved = UnresolvedEnvironment::read(request, process)?;
    let profile = match unresolved.profile_to_read()? {
        Some(name) => Some(shared_profile::read(&name).await?),
        None => None,
    };

    unresolved.resolve(profile.as_ref())
}
