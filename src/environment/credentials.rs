//! Credentials: one complete set from one source, never a mix of two sources.
//!
//! The order is: flag, env file, process environment, AWS configuration chain. For a local endpoint
//! without credentials in flags or file, static keys of the process environment are used, because
//! `DynamoDB` Local keeps one database per access key; then those of the profile that names the
//! endpoint; otherwise placeholder credentials.
//! Every other `AWS_PROFILE` and the chain are ignored there: they would send tokens to a server that does not
//! need them, and might call AWS (SSO, STS) in a run that must stay on this machine.

use std::fmt;

use super::inputs::{Inputs, from_field};
use super::{ProfileSettings, Sourced, ValueSource, keys, role};
use crate::error::Result;
use crate::field::Field;

/// A secret text. `Debug` prints `[redacted]`, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for signing.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// One set of credentials, or where to get it.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Static keys.
    Static {
        /// Access key ID.
        access_key_id: String,
        /// Secret access key.
        secret_access_key: Secret,
        /// Session token of temporary keys.
        session_token: Option<Secret>,
        /// Account of the keys, if it was given.
        account_id: Option<String>,
        /// Source of the keys.
        source: ValueSource,
    },
    /// A profile of the shared AWS configuration: SSO, a role or a credential process.
    Profile {
        /// Name of the profile.
        name: String,
        /// Source of the profile name.
        source: ValueSource,
    },
    /// No credentials were given, and the endpoint is local: placeholder credentials (`test`).
    Local,
    /// No credentials were given: use the AWS configuration chain.
    Chain,
}

impl Credentials {
    /// The source of the credentials, if they were given.
    #[must_use]
    pub fn source(&self) -> Option<&ValueSource> {
        match self {
            Self::Static { source, .. } | Self::Profile { source, .. } => Some(source),
            Self::Local | Self::Chain => None,
        }
    }
}

impl fmt::Debug for Credentials {
    /// Omits all parts of the keys, even the ID: a user may have swapped it with the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static { source, .. } => f
                .debug_struct("Static")
                .field("source", source)
                .finish_non_exhaustive(),
            Self::Profile { name, source } => f
                .debug_struct("Profile")
                .field("name", name)
                .field("source", source)
                .finish(),
            Self::Local => f.write_str("Local"),
            Self::Chain => f.write_str("Chain"),
        }
    }
}

/// Name of the profile in the shared AWS configuration that applies: that of the flag, the env file or the process
/// environment, or AWS's default.
pub(crate) fn profile_name(inputs: &Inputs<'_>) -> Result<String> {
    let profile = inputs.flag_or_file(
        Field::Profile,
        inputs.request.profile.as_ref(),
        keys::PROFILE,
    )?;
    let profile = match profile {
        Some(profile) => Some(profile),
        None => inputs.in_process(keys::PROFILE)?,
    };

    Ok(profile.map_or_else(|| "default".to_owned(), |profile| profile.value))
}

/// Determines the credentials. `local`: whether the endpoint is local. `endpoint_profile`: the
/// profile that names the endpoint, if one does.
pub(crate) fn resolve(
    inputs: &Inputs<'_>,
    local: bool,
    endpoint_profile: Option<&ProfileSettings>,
) -> Result<Credentials> {
    let in_file = StaticKeys {
        id: inputs.in_file(keys::ACCESS_KEY_ID),
        secret: inputs.in_file(keys::SECRET_ACCESS_KEY),
        token: inputs.in_file(keys::SESSION_TOKEN),
        account: inputs.in_file(keys::ACCOUNT_ID),
    };

    // Checked even if a flag overrides them: a file that contradicts itself is not trusted at all.
    let file_keys = in_file.into_credentials()?;
    let file_profile = inputs.in_file(keys::PROFILE);
    if let (Some(static_keys), Some(profile)) = (&file_keys, &file_profile) {
        let line = match static_keys.source() {
            Some(ValueSource::File { line, .. }) => *line,
            _ => 0,
        };

        return Err(profile
            .source
            .error(format!(
                "is a second set of credentials, after the {} on line {line}",
                keys::ACCESS_KEY_ID
            ))
            .with_hint("keep the profile or the keys"));
    }

    if let Some(profile) =
        from_field(Field::Profile, inputs.request.profile.as_ref())?.or(file_profile)
    {
        return Ok(Credentials::Profile {
            name: profile.value,
            source: profile.source,
        });
    }

    if let Some(static_keys) = file_keys {
        return Ok(static_keys);
    }

    in_process(inputs, local, endpoint_profile)
}

fn in_process(
    inputs: &Inputs<'_>,
    local: bool,
    endpoint_profile: Option<&ProfileSettings>,
) -> Result<Credentials> {
    let process = StaticKeys {
        id: inputs.in_process(keys::ACCESS_KEY_ID)?,
        secret: inputs.in_process(keys::SECRET_ACCESS_KEY)?,
        token: inputs.in_process(keys::SESSION_TOKEN)?,
        account: inputs.in_process(keys::ACCOUNT_ID)?,
    };

    if let Some(static_keys) = process.into_credentials()? {
        return Ok(static_keys);
    }

    // An invalid profile variable is an error even at a local endpoint, which does not use it.
    match inputs.in_process(keys::PROFILE)? {
        profile if local => Ok(match endpoint_profile {
            Some(settings) if settings.has_static_keys => Credentials::Profile {
                name: settings.name.clone(),
                source: profile.map_or(ValueSource::Default, |profile| profile.source),
            },
            _ => Credentials::Local,
        }),
        Some(profile) => Ok(Credentials::Profile {
            name: profile.value,
            source: profile.source,
        }),
        None => refuse_empty_keys(inputs).map(|()| Credentials::Chain),
    }
}

/// Refuses empty key variables. A CI secret that does not exist becomes an empty variable, which
/// the chain would skip and then sign with other credentials.
fn refuse_empty_keys(inputs: &Inputs<'_>) -> Result<()> {
    match [keys::ACCESS_KEY_ID, keys::SECRET_ACCESS_KEY]
        .into_iter()
        .find(|key| inputs.is_empty_in_process(key))
    {
        None => Ok(()),
        Some(key) => Err(ValueSource::Process(key)
            .error("is empty")
            .with_hint(format!(
                "set {key}, or unset it to use the standard AWS configuration"
            ))),
    }
}

/// The static keys that one source defines.
struct StaticKeys {
    id: Option<Sourced<String>>,
    secret: Option<Sourced<String>>,
    token: Option<Sourced<String>>,
    /// Only read together with keys: other tools use the variable for other purposes.
    account: Option<Sourced<String>>,
}

impl StaticKeys {
    /// The credentials, if the source defines any.
    ///
    /// # Errors
    /// The set is incomplete.
    fn into_credentials(self) -> Result<Option<Credentials>> {
        // Completing the set from another source would mix two identities.
        let lacks = |has: &ValueSource, missing: &str| {
            has.error(format!("requires {missing} too"))
                .with_hint("all credentials must come from the same place")
        };
        match (self.id, self.secret, self.token) {
            (None, None, None) => Ok(None),
            (Some(id), Some(secret), token) => Ok(Some(Credentials::Static {
                access_key_id: id.value,
                secret_access_key: Secret(secret.value),
                session_token: token.map(|token| Secret(token.value)),
                account_id: self
                    .account
                    .map(role::checked_account)
                    .transpose()?
                    .map(|account| account.value),
                source: id.source,
            })),
            (Some(id), None, _) => Err(lacks(&id.source, keys::SECRET_ACCESS_KEY)),
            (None, Some(secret), _) => Err(lacks(&secret.source, keys::ACCESS_KEY_ID)),
            (None, None, Some(token)) => Err(lacks(&token.source, keys::ACCESS_KEY_ID)),
        }
    }
}
