//! Which credentials: always one whole set from one place, never a key from here and its secret from there.
//!
//! The order is flag, env file, process environment, AWS's own chain. A local endpoint that neither flag nor file gives
//! credentials for takes static keys of the process (`DynamoDB` Local keeps a database per access key, so they matter there),
//! and otherwise throwaway ones: an `AWS_PROFILE` that happens to be exported, or the chain, would send tokens to a server that
//! has no use for them, and may call real AWS (SSO, STS) to get them, for a run that must not leave this machine.

use std::fmt;

use super::inputs::{Inputs, from_flag};
use super::{Sourced, ValueSource, keys};
use crate::error::Result;

/// A text that is never shown: its `Debug` is `[redacted]`, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for whoever signs with it.
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
        /// The id of the access key.
        access_key_id: String,
        /// Its secret.
        secret_access_key: Secret,
        /// The token that temporary keys come with.
        session_token: Option<Secret>,
        /// The place that named them.
        source: ValueSource,
    },
    /// A profile of the shared AWS configuration, whatever it stands for: SSO, a role, a credential process.
    Profile {
        /// The profile's name.
        name: String,
        /// The place that named it.
        source: ValueSource,
    },
    /// Nobody named any, and the endpoint is local: throwaway ones (`test`).
    Local,
    /// Nobody named any: whatever AWS's configuration chain finds by itself.
    Chain,
}

/// Shows no part of a key: somebody may have put the secret where the id belongs.
impl Credentials {
    /// The place that named them, unless nobody did.
    #[must_use]
    pub fn source(&self) -> Option<&ValueSource> {
        match self {
            Self::Static { source, .. } | Self::Profile { source, .. } => Some(source),
            Self::Local | Self::Chain => None,
        }
    }
}

impl fmt::Debug for Credentials {
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

/// The one set of credentials for an endpoint that is local or not.
pub(crate) fn resolve(inputs: &Inputs<'_>, local: bool) -> Result<Credentials> {
    let in_file = StaticKeys {
        id: inputs.in_file(keys::ACCESS_KEY_ID),
        secret: inputs.in_file(keys::SECRET_ACCESS_KEY),
        token: inputs.in_file(keys::SESSION_TOKEN),
    };

    // Looked at even if a flag decides: a file that contradicts itself is not trusted with the rest.
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
                "is a second set of credentials beside the {} on line {line}",
                keys::ACCESS_KEY_ID
            ))
            .with_hint("keep the profile or the keys"));
    }

    if let Some(profile) = from_flag("--profile", inputs.request.profile.as_ref())?.or(file_profile)
    {
        return Ok(Credentials::Profile {
            name: profile.value,
            source: profile.source,
        });
    }

    if let Some(static_keys) = file_keys {
        return Ok(static_keys);
    }

    in_process(inputs, local)
}

fn in_process(inputs: &Inputs<'_>, local: bool) -> Result<Credentials> {
    let process = StaticKeys {
        id: inputs.in_process(keys::ACCESS_KEY_ID)?,
        secret: inputs.in_process(keys::SECRET_ACCESS_KEY)?,
        token: inputs.in_process(keys::SESSION_TOKEN)?,
    };

    if let Some(static_keys) = process.into_credentials()? {
        return Ok(static_keys);
    }

    match inputs.in_process(keys::PROFILE)? {
        _ if local => Ok(Credentials::Local),
        Some(profile) => Ok(Credentials::Profile {
            name: profile.value,
            source: profile.source,
        }),
        None => refuse_empty_keys(inputs).map(|()| Credentials::Chain),
    }
}

/// A CI secret that does not exist becomes an empty variable. The chain would skip it and sign with other credentials.
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

/// What one place says about static keys.
struct StaticKeys {
    id: Option<Sourced<String>>,
    secret: Option<Sourced<String>>,
    token: Option<Sourced<String>>,
}

impl StaticKeys {
    /// The keys, if the place names any; half a set is an error.
    fn into_credentials(self) -> Result<Option<Credentials>> {
        let lacks = |has: &ValueSource, missing: &str| {
            has.error(format!("has no {missing} beside it"))
                .with_hint("credentials are taken as one set from one place")
        };
        match (self.id, self.secret, self.token) {
            (None, None, None) => Ok(None),
            (Some(id), Some(secret), token) => Ok(Some(Credentials::Static {
                access_key_id: id.value,
                secret_access_key: Secret(secret.value),
                session_token: token.map(|token| Secret(token.value)),
                source: id.source,
            })),
            (Some(id), None, _) => Err(lacks(&id.source, keys::SECRET_ACCESS_KEY)),
            (None, Some(secret), _) => Err(lacks(&secret.source, keys::ACCESS_KEY_ID)),
            (None, None, Some(token)) => Err(lacks(&token.source, keys::ACCESS_KEY_ID)),
        }
    }
}
