//! Describes an environment's credentials and their source without fetching them: a plan must not
//! run a credential process or prompt for MFA.

use std::env;

use super::profile::ProfileChain;
use crate::environment::{Credentials, Endpoint, Environment, ValueSource};

/// Describes the credentials for plans and error messages, for example `profile default,
/// ~/.aws/credentials`.
pub(crate) async fn describe(environment: &Environment) -> String {
    if matches!(environment.endpoint(), Endpoint::Embedded { .. }) {
        return "none needed (embedded engine)".to_owned();
    }

    let base = match environment.credentials() {
        Credentials::Static { source, .. } => format!("static keys, {source}"),
        Credentials::Local => "test keys of a local endpoint".to_owned(),
        Credentials::Profile { .. } | Credentials::Chain => {
            // A profile that cannot be used is an error before anything is described.
            let profile = ProfileChain::of(environment).await.ok().flatten();
            match (profile, environment.credentials().source()) {
                (Some(profile), None | Some(ValueSource::Default)) => profile.description(),
                (Some(profile), Some(source)) => {
                    format!("{} (named by {source})", profile.description())
                }
                (None, _) => describe_host(),
            }
        }
    };

    match environment.role() {
        Some(role) => format!(
            "role {} (named by {}), assumed with {base}",
            role.arn.value,
            role.source()
        ),
        None => base,
    }
}

/// Describes the credentials that a container or instance provides.
pub(super) fn describe_host() -> String {
    without_profile(|key| env::var(key).ok().filter(|value| !value.is_empty()))
}

/// Describes the credentials that the rest of the default chain finds, in its order.
fn without_profile(variable: impl Fn(&str) -> Option<String>) -> String {
    const CONTAINER: [&str; 2] = [
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];

    if variable("AWS_WEB_IDENTITY_TOKEN_FILE").is_some() {
        let role =
            variable("AWS_ROLE_ARN").map_or_else(String::new, |role| format!(" for role {role}"));
        return format!("web identity token{role}, process environment");
    }

    match CONTAINER.into_iter().find(|key| variable(key).is_some()) {
        Some(key) => format!("container credentials, {key} in the process environment"),
        None => "EC2 instance metadata".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_profile_the_rest_of_the_chain_is_named_in_its_order() {
        let found = |set: &'static [(&str, &str)]| {
            without_profile(|key| {
                set.iter()
                    .find(|(name, _)| *name == key)
                    .map(|(_, value)| (*value).to_owned())
            })
        };

        assert_eq!(found(&[]), "EC2 instance metadata");
        let expected =
            "container credentials, AWS_CONTAINER_CREDENTIALS_FULL_URI in the process environment";
        assert_eq!(
            found(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "x")]),
            expected
        );
        let web = found(&[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "x"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/token"),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/ci"),
        ]);

        assert_eq!(
            web,
            "web identity token for role arn:aws:iam::123456789012:role/ci, process environment"
        );
    }
}
