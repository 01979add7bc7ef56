//! A provider of credentials whose errors say what to do.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{
    ProvideCredentials, Result as ProviderResult, SharedCredentialsProvider, future,
};
use aws_sdk_sts::error::ProvideErrorMetadata;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;

use super::credentials_source::describe_host;
use super::error::{CredentialsProblem, causes, network_failure, root_cause};
use super::profile::{CredentialKind, ProfileChain};
use crate::field::Field;

/// Where credentials come from.
#[derive(Debug)]
pub(super) enum Origin {
    Profile(ProfileChain),
    /// Web identity, container or instance. `asked_before` says which sources have no credentials.
    Host {
        environment: String,
        asked_before: String,
    },
    /// A role that the environment names; `name` is how messages name it.
    Role {
        name: String,
    },
}

/// A provider whose errors are a [`CredentialsProblem`].
#[derive(Debug)]
pub(super) struct ExplainedProvider {
    pub(super) provider: SharedCredentialsProvider,
    pub(super) origin: Origin,
    /// The endpoint of a local environment, where roles are assumed too.
    pub(super) local_url: Option<String>,
}

impl ProvideCredentials for ExplainedProvider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.provide())
    }
}

impl ExplainedProvider {
    async fn provide(&self) -> ProviderResult {
        match self.provider.provide_credentials().await {
            // The network has explained its failure itself.
            Err(error) if network_failure(&error).is_none() => {
                Err(CredentialsError::provider_error(self.explain(&error)))
            }
            provided => provided,
        }
    }

    /// Says why there are no credentials.
    fn explain(&self, error: &CredentialsError) -> CredentialsProblem {
        // The keys that a role is assumed with have an origin of their own.
        if let Some(known) = CredentialsProblem::find(error) {
            return known.clone();
        }

        let problem = self.origin.explain(error);
        match &self.local_url {
            // With a refusal, there is an STS that has said why.
            Some(url) if self.origin.has_role() && Refusal::find(error).is_none() => {
                CredentialsProblem {
                    hint: format!(
                        "the role is assumed at {url}, because a local environment calls nothing else; if it has no STS, use static \
                         keys without a role, or no profile"
                    ),
                    ..problem
                }
            }
            _ => problem,
        }
    }
}

/// A response of STS that refuses a role.
struct Refusal {
    code: String,
    message: String,
}

impl Refusal {
    fn find(error: &(dyn StdError + 'static)) -> Option<Self> {
        let metadata = causes(error).find_map(|cause| {
            let role = cause.downcast_ref::<AssumeRoleError>();
            let web = cause.downcast_ref::<AssumeRoleWithWebIdentityError>();
            role.map(ProvideErrorMetadata::meta)
                .or(web.map(ProvideErrorMetadata::meta))
        })?;

        Some(Self {
            code: metadata.code()?.to_owned(),
            message: metadata.message().unwrap_or("no message").to_owned(),
        })
    }

    /// Whether the keys that asked for the role have expired.
    fn is_about_expired_keys(&self) -> bool {
        self.code == "ExpiredToken" || self.code == "ExpiredTokenException"
    }

    fn problem(&self, message: String, hint: impl Into<String>) -> CredentialsProblem {
        CredentialsProblem {
            message,
            hint: hint.into(),
            cause: Some(format!("{}: {}", self.code, self.message)),
            has_expired_keys: self.is_about_expired_keys(),
        }
    }
}

impl Origin {
    /// Whether STS was asked for a role with credentials that need no other program.
    fn has_role(&self) -> bool {
        match self {
            Self::Profile(chain) => {
                chain.role.is_some() && chain.base_kind != CredentialKind::Process
            }
            Self::Role { .. } => true,
            Self::Host { .. } => false,
        }
    }

    /// Says why there are no credentials.
    fn explain(&self, error: &CredentialsError) -> CredentialsProblem {
        let refusal = Refusal::find(error);
        let other = |message: String, hint: String| CredentialsProblem {
            message,
            hint,
            cause: Some(root_cause(error)),
            has_expired_keys: false,
        };
        match (self, refusal) {
            (Self::Profile(chain), Some(refusal)) => refused_profile(chain, &refusal),
            (Self::Profile(chain), None) => {
                let (message, hint) = failed_profile(chain, error);
                other(message, hint)
            }
            (Self::Role { name }, Some(refusal)) if refusal.is_about_expired_keys() => refusal
                .problem(
                    format!("the keys that assume {name} have expired"),
                    "replace them where this environment names them",
                ),
            (Self::Role { name }, Some(refusal)) => refusal.problem(
                format!("cannot assume {name}"),
                "check the trust policy of the role, and the permission sts:AssumeRole of the credentials",
            ),
            (Self::Role { name }, None) => other(
                format!("cannot assume {name}"),
                "check the network, and the region of this environment: STS is called there".to_owned(),
            ),
            (
                Self::Host {
                    environment,
                    asked_before,
                },
                None,
            ) if matches!(error, CredentialsError::CredentialsNotLoaded(_)) => {
                none_found(environment, asked_before)
            }
            (Self::Host { .. }, refusal) => {
                let message = format!("cannot get AWS credentials from the {}", describe_host());
                let hint = format!(
                    "name a profile with {} or AWS_PROFILE to use other credentials",
                    Field::Profile
                );
                match refusal {
                    Some(refusal) => refusal.problem(message, &hint),
                    None => other(message, hint),
                }
            }
        }
    }
}

/// The problem if nothing names credentials.
fn none_found(environment: &str, asked_before: &str) -> CredentialsProblem {
    CredentialsProblem {
        message: format!(
            "environment {environment} has no AWS credentials: {asked_before}, and no container or instance provides any"
        ),
        hint: format!(
            "log in with `aws configure sso`, or store keys with `aws configure`; name a profile other than `default` with \
             {} or AWS_PROFILE",
            Field::Profile
        ),
        cause: None,
        has_expired_keys: false,
    }
}

/// The problem if STS refuses the role of a profile.
fn refused_profile(chain: &ProfileChain, refusal: &Refusal) -> CredentialsProblem {
    let base = chain.located_base();
    if refusal.is_about_expired_keys() {
        let message = format!("the keys of {base} have expired");
        return refusal.problem(
            message,
            format!("replace the keys of profile {}", chain.base),
        );
    }

    if let Some(mfa) = &chain.mfa_profile
        && refusal.code == "AccessDenied"
    {
        let message = format!(
            "{} requires an MFA code (mfa_serial of profile \"{mfa}\"), and prompting for it is not supported",
            chain.located()
        );
        let name = &chain.name;
        return refusal.problem(
            message,
            format!(
                "start a session with `eval \"$(aws configure export-credentials --profile {name} --format env)\"`, \
                 then run the command without the profile"
            ),
        );
    }

    let role = chain.role.as_deref().unwrap_or("its role");
    refusal.problem(
        format!("{} cannot assume {role}", chain.located()),
        format!("check the trust policy of the role, and the permission sts:AssumeRole of {base}"),
    )
}

/// Message and hint if a profile has no credentials for another reason.
fn failed_profile(chain: &ProfileChain, error: &CredentialsError) -> (String, String) {
    let base = &chain.base;
    match chain.base_kind {
        CredentialKind::Sso if is_logged_out(error) => (
            format!(
                "{} is not logged in to SSO, or the login has expired",
                chain.located_base()
            ),
            format!("aws sso login --profile {base}"),
        ),
        CredentialKind::Process => (
            format!("the credential_process of {} failed", chain.located_base()),
            "run its command in a shell to see why".to_owned(),
        ),
        CredentialKind::Sso
        | CredentialKind::StaticKeys
        | CredentialKind::WebIdentity
        | CredentialKind::Host => (
            format!("{} provides no credentials", chain.located()),
            format!(
                "`aws sts get-caller-identity --profile {}` checks it",
                chain.name
            ),
        ),
    }
}

/// Whether there is no valid SSO token. The types of these errors are not public, so their messages are compared.
fn is_logged_out(error: &CredentialsError) -> bool {
    const MESSAGES: [&str; 3] = ["SSO token", "sso/cache", "UnauthorizedException"];

    causes(error).any(|cause| {
        let text = cause.to_string();
        MESSAGES.iter().any(|message| text.contains(message))
    })
}
