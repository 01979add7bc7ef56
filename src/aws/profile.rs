//! The profile of the shared AWS files that an environment uses: where its credentials come from, or what is wrong with it.
//!
//! `aws-config` reads the credentials. The checks here are needed because its errors name neither the file nor a remedy, and because
//! it continues with the credentials of the container or instance if a source profile does not exist. They follow the order in which
//! it reads the settings of a profile.

use aws_config::profile::{Profile, ProfileSet, load};

use super::shared_files::{
    config_file, config_file_with, credentials_file, default, file_of_profile, has_section,
};
use crate::environment::{Credentials, Endpoint, Environment, ValueSource};
use crate::error::{Error, Result};
use crate::similar::did_you_mean;

/// A profile, followed through its `source_profile` settings to the one that has credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProfileChain {
    /// Name of the profile that the environment uses.
    pub(super) name: String,
    /// Role that this profile assumes.
    pub(super) role: Option<String>,
    /// Name of the last profile, which is the same one without a `source_profile`.
    pub(super) base: String,
    pub(super) base_kind: CredentialKind,
    /// The first profile whose role requires MFA.
    pub(super) mfa_profile: Option<String>,
}

/// Where a profile without a `source_profile` gets its credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CredentialKind {
    StaticKeys,
    Sso,
    Process,
    WebIdentity,
    /// `EcsContainer` or `Ec2InstanceMetadata`.
    Host,
}

/// Why a profile cannot have credentials.
#[derive(Debug, PartialEq, Eq)]
enum Broken {
    Missing { profile: String },
    MissingSource { profile: String, source: String },
    NoSource { profile: String },
    Loop { profiles: Vec<String> },
    MissingSsoSession { profile: String, session: String },
    LoginSession { profile: String },
    NoCredentials { profile: String },
}

impl ProfileChain {
    /// The profile that an environment uses; `None` if it uses none. A profile that the process environment names, or the default
    /// profile, may lack credentials: the SDK then asks the container or instance for them.
    ///
    /// # Errors
    /// The profile does not exist, or cannot have credentials, or gets them from a service that a local endpoint does not have.
    pub(super) async fn of(environment: &Environment) -> Result<Option<Self>> {
        let (name, source) = match environment.credentials() {
            Credentials::Profile { name, source } => (name.as_str(), Some(source)),
            Credentials::Chain => (DEFAULT_PROFILE, None),
            Credentials::Static { .. } | Credentials::Local => return Ok(None),
        };
        let profiles = load(&default(), &default(), &default(), None)
            .await
            .map_err(|error| {
                Error::environment("the shared AWS configuration cannot be read").with_source(error)
            })?;

        let may_be_incomplete = matches!(source, None | Some(ValueSource::Process(_)));
        match follow(&profiles, name) {
            Ok(chain) if environment.is_local() => {
                chain.check_for_local(environment.endpoint(), source)?;
                Ok(Some(chain))
            }
            Ok(chain) => Ok(Some(chain)),
            Err(Broken::NoCredentials { profile }) if may_be_incomplete && profile == name => {
                Ok(None)
            }
            Err(Broken::Missing { profile }) if may_be_incomplete && profile == DEFAULT_PROFILE => {
                Ok(None)
            }
            Err(broken) => Err(broken.into_error(&profiles, name, source)),
        }
    }

    /// Checks that no service is needed that a local endpoint does not have.
    fn check_for_local(&self, endpoint: &Endpoint, source: Option<&ValueSource>) -> Result<()> {
        let provider = match self.base_kind {
            CredentialKind::Sso => "SSO",
            CredentialKind::Host => "a container or instance",
            // STS is called at the endpoint.
            CredentialKind::StaticKeys | CredentialKind::Process | CredentialKind::WebIdentity => {
                return Ok(());
            }
        };

        let named = source.map_or_else(String::new, |source| format!(" ({source})"));
        Err(Error::environment(format!(
            "{} gets its credentials from {provider}, but a local environment calls only its own endpoint ({endpoint})",
            self.located_base()
        ))
        .with_hint(format!(
            "remove profile {}{named} or use static keys: a local endpoint does not need AWS credentials",
            self.name
        )))
    }

    /// Whether only their owner can replace the keys that the credentials come from.
    pub(super) fn has_static_keys(&self) -> bool {
        self.base_kind == CredentialKind::StaticKeys
    }

    /// The profile as messages name it.
    pub(super) fn located(&self) -> String {
        located(&self.name)
    }

    /// The last profile as messages name it.
    pub(super) fn located_base(&self) -> String {
        located(&self.base)
    }

    /// Describes the profile for plans, for example `profile ops (SSO), ~/.aws/config`.
    pub(super) fn description(&self) -> String {
        let kind = match (&self.role, self.base_kind) {
            (Some(role), _) => format!(" (role {role})"),
            (None, CredentialKind::Sso) => " (SSO)".to_owned(),
            (None, CredentialKind::Process) => " (credential process)".to_owned(),
            (
                None,
                CredentialKind::StaticKeys | CredentialKind::WebIdentity | CredentialKind::Host,
            ) => String::new(),
        };

        format!(
            "profile {}{kind}, {}",
            self.name,
            file_of_profile(&self.name)
        )
    }
}

/// Name of the profile that is used if none is named.
pub(super) const DEFAULT_PROFILE: &str = "default";

/// A profile and the file with its settings, as messages name them.
pub(super) fn located(profile: &str) -> String {
    format!(
        "profile \"{profile}\" ({})",
        config_file_with(profile).display()
    )
}

/// Whether a profile has static keys and uses them.
pub(super) fn uses_static_keys(profiles: &ProfileSet, profile: &Profile) -> bool {
    assumed_role(profile).is_none()
        && credential_kind(profiles, profile) == Ok(CredentialKind::StaticKeys)
}

/// Follows the `source_profile` settings from `name`.
fn follow(profiles: &ProfileSet, name: &str) -> Result<ProfileChain, Broken> {
    let mut visited: Vec<String> = Vec::new();
    let mut mfa_profile = None;
    let mut current = name;
    let base_kind = loop {
        let Some(profile) = profiles.get_profile(current) else {
            return Err(match visited.pop() {
                None => Broken::Missing {
                    profile: current.to_owned(),
                },
                Some(profile) => Broken::MissingSource {
                    profile,
                    source: current.to_owned(),
                },
            });
        };

        let is_source = !visited.is_empty();
        let is_repeated = visited.iter().any(|name| name == current);
        visited.push(current.to_owned());
        if is_repeated {
            return Err(Broken::Loop { profiles: visited });
        }

        // A source profile with keys uses them, even if it has a role too.
        if is_source && has_keys(profile) {
            break CredentialKind::StaticKeys;
        }

        if assumed_role(profile).is_none() {
            break credential_kind(profiles, profile)?;
        }

        if mfa_profile.is_none() && profile.get("mfa_serial").is_some() {
            mfa_profile = Some(current.to_owned());
        }

        match (
            profile.get("source_profile"),
            profile.get("credential_source"),
        ) {
            (None, None) => {
                return Err(Broken::NoSource {
                    profile: current.to_owned(),
                });
            }
            (Some(source), None) if source != current => current = source,
            // The role is assumed with credentials of the same profile, or with a named source.
            _ => break credential_kind(profiles, profile)?,
        }
    };

    Ok(ProfileChain {
        name: name.to_owned(),
        role: profiles
            .get_profile(name)
            .and_then(|profile| profile.get("role_arn"))
            .map(ToOwned::to_owned),
        base: current.to_owned(),
        base_kind,
        mfa_profile,
    })
}

/// The role of a profile that is assumed with other credentials. A role with a web identity is not: the identity is its credential.
fn assumed_role(profile: &Profile) -> Option<&str> {
    let is_web_identity = profile.get("web_identity_token_file").is_some();

    profile.get("role_arn").filter(|_| !is_web_identity)
}

fn has_keys(profile: &Profile) -> bool {
    ["aws_access_key_id", "aws_secret_access_key"]
        .into_iter()
        .all(|key| profile.get(key).is_some())
}

/// Where a profile gets its own credentials, checked in the order that `aws-config` uses.
fn credential_kind(profiles: &ProfileSet, profile: &Profile) -> Result<CredentialKind, Broken> {
    const SSO: [&str; 5] = [
        "sso_session",
        "sso_start_url",
        "sso_account_id",
        "sso_role_name",
        "sso_region",
    ];
    const KEYS: [&str; 3] = [
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
    ];

    let has_any = |keys: &[&str]| keys.iter().any(|key| profile.get(key).is_some());
    let name = || profile.name().to_owned();
    if let Some(source) = profile.get("credential_source") {
        let is_environment = source.eq_ignore_ascii_case("Environment");
        return Ok(if is_environment {
            CredentialKind::StaticKeys
        } else {
            CredentialKind::Host
        });
    }

    if has_any(&["web_identity_token_file"]) {
        return Ok(CredentialKind::WebIdentity);
    }

    if has_any(&SSO) {
        return match profile.get("sso_session") {
            Some(session) if profiles.sso_session(session).is_none() => {
                Err(Broken::MissingSsoSession {
                    profile: name(),
                    session: session.to_owned(),
                })
            }
            _ => Ok(CredentialKind::Sso),
        };
    }

    if has_any(&["login_session"]) {
        return Err(Broken::LoginSession { profile: name() });
    }

    if has_any(&["credential_process"]) {
        return Ok(CredentialKind::Process);
    }

    if has_any(&KEYS) {
        return Ok(CredentialKind::StaticKeys);
    }

    Err(Broken::NoCredentials { profile: name() })
}

impl Broken {
    /// The error that users see. `name` and `source`: the profile that the environment uses, and where it is named.
    fn into_error(self, profiles: &ProfileSet, name: &str, source: Option<&ValueSource>) -> Error {
        let named = |profile: &str| match source {
            Some(source) if profile == name => format!("profile \"{profile}\" ({source})"),
            _ => format!("profile \"{profile}\""),
        };
        let config = config_file().display().to_string();
        let files = format!("{config} or {}", credentials_file().display());
        match self {
            Self::Missing { profile } => {
                Error::environment(format!("{} does not exist in {files}", named(&profile)))
                    .with_hint(missing_hint(&profile, profiles))
            }
            Self::MissingSource { profile, source } => {
                let hint = missing_hint(&source, profiles);
                let profile = located(&profile);
                Error::environment(format!(
                    "{profile} names source_profile \"{source}\", which does not exist in {files}"
                ))
                .with_hint(hint)
            }
            Self::NoSource { profile } => Error::environment(format!(
                "{} has a role_arn, but neither source_profile nor credential_source",
                located(&profile)
            ))
            .with_hint("add source_profile = <profile that may assume the role>"),
            Self::Loop { profiles } => Error::environment(format!(
                "the source_profile settings form a loop in {config}: {}",
                profiles.join(" → ")
            ))
            .with_hint("the last source_profile must have credentials of its own"),
            Self::MissingSsoSession { profile, session } => Error::environment(format!(
                "{} names sso_session \"{session}\", which does not exist",
                located(&profile)
            ))
            .with_hint(
                did_you_mean(&session, profiles.sso_sessions())
                    .unwrap_or_else(|| format!("`aws configure sso-session` adds it to {config}")),
            ),
            Self::LoginSession { profile } => Error::environment(format!(
                "{} uses `aws login` (login_session), which is not supported",
                located(&profile)
            ))
            .with_hint(format!(
                "use a profile with the line: credential_process = aws configure export-credentials --profile {profile}"
            )),
            Self::NoCredentials { profile } => {
                let file = config_file_with(&profile);
                let file = file.display();
                Error::environment(format!("{} has no credentials in {file}", named(&profile)))
                .with_hint(format!(
                    "`aws configure --profile {profile}` adds keys, `aws configure sso --profile {profile}` an SSO login"
                ))
            }
        }
    }
}

/// The hint for a profile that does not exist.
fn missing_hint(name: &str, profiles: &ProfileSet) -> String {
    let config = config_file();
    if has_section(&config, name) {
        return format!(
            "write [profile {name}] instead of [{name}] in {}",
            config.display()
        );
    }

    match did_you_mean(name, profiles.profiles()) {
        Some(similar) => {
            format!("{similar} `aws configure list-profiles` lists all profiles")
        }
        None => format!(
            "`aws configure list-profiles` lists the profiles; `aws configure sso --profile {name}` adds this one"
        ),
    }
}
