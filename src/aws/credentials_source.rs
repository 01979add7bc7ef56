//! Describes an environment's credentials and their source without fetching them: a plan must not
//! run a credential process or prompt for MFA.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use aws_config::profile::{Profile, load};

use crate::environment::{Credentials, Endpoint, Environment};

/// Maximum number of lines of a shared file that are searched for a profile.
const SHARED_FILE_LINES: usize = 100_000;

/// Describes the credentials for plans and error messages, for example `profile default,
/// ~/.aws/credentials`.
pub(crate) async fn describe(environment: &Environment) -> String {
    if matches!(environment.endpoint(), Endpoint::Embedded { .. }) {
        return "none needed (embedded engine)".to_owned();
    }

    let base = match environment.credentials() {
        Credentials::Static { source, .. } => format!("static keys, {source}"),
        Credentials::Profile { name, source } => {
            let profile = describe_profile(name)
                .await
                .unwrap_or_else(|| format!("profile {name}"));
            format!("{profile} (named by {source})")
        }
        Credentials::Local => "test keys of a local endpoint".to_owned(),
        Credentials::Chain => match describe_profile("default").await {
            Some(profile) => profile,
            None => without_profile(|key| env::var(key).ok().filter(|value| !value.is_empty())),
        },
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

/// Describes a profile with its kind of credentials and its file; `None` if it has no credentials
/// or cannot be read.
async fn describe_profile(name: &str) -> Option<String> {
    let profiles = load(&default(), &default(), &default(), None).await.ok()?;
    let profile = profiles.get_profile(name)?;
    let kind = credential_kind(profile)?;
    let kind = if kind.is_empty() {
        kind
    } else {
        format!(" ({kind})")
    };

    Some(format!("profile {name}{kind}, {}", shared_file_with(name)))
}

/// Creates a value of a type that `aws-config` takes but does not export.
pub(super) fn default<T: Default>() -> T {
    T::default()
}

/// The kind of a profile's credentials, checked in the order that `aws-config` uses; empty for
/// static keys.
fn credential_kind(profile: &Profile) -> Option<String> {
    if let Some(role) = profile.get("role_arn") {
        return Some(format!("role {role}"));
    }

    let is_set = |key| profile.get(key).is_some();
    if is_set("sso_session") || is_set("sso_start_url") {
        return Some("SSO".to_owned());
    }

    if is_set("credential_process") {
        return Some("credential process".to_owned());
    }

    is_set("aws_access_key_id").then(String::new)
}

/// Whether the credentials of the profile are static keys.
pub(super) fn has_static_keys(profile: &Profile) -> bool {
    credential_kind(profile).is_some_and(|kind| kind.is_empty())
}

/// The shared file that contains the profile. If both do, the credentials file takes precedence.
fn shared_file_with(name: &str) -> String {
    let credentials = credentials_file();
    let found = if has_profile(&credentials, name) {
        credentials
    } else {
        config_file()
    };

    found.display().to_string()
}

/// The shared file that contains the settings of the profile. If both do, the configuration file takes precedence.
pub(super) fn config_file_with(name: &str) -> PathBuf {
    let (config, credentials) = (config_file(), credentials_file());
    let is_in_config = has_profile(&config, &format!("profile {name}"))
        || (name == "default" && has_profile(&config, name));
    if !is_in_config && has_profile(&credentials, name) {
        credentials
    } else {
        config
    }
}

fn config_file() -> PathBuf {
    shared_file("AWS_CONFIG_FILE", "config")
}

fn credentials_file() -> PathBuf {
    shared_file("AWS_SHARED_CREDENTIALS_FILE", "credentials")
}

/// The path in the variable, or else the default one.
fn shared_file(variable: &str, default: &str) -> PathBuf {
    match env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => Path::new("~/.aws").join(default),
    }
}

fn has_profile(file: &Path, name: &str) -> bool {
    let path = match (file.strip_prefix("~"), env::home_dir()) {
        (Ok(below), Some(home)) => home.join(below),
        _ => file.to_owned(),
    };
    let is_header = |line: &str| {
        let header = line
            .trim()
            .strip_prefix('[')
            .and_then(|rest| rest.split(']').next())
            .map(str::trim);

        header == Some(name)
    };

    fs::read_to_string(path).is_ok_and(|text| text.lines().take(SHARED_FILE_LINES).any(is_header))
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

    #[test]
    fn a_profile_belongs_to_the_file_with_its_section() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("credentials");
        std::io::Write::write_all(
            &mut fs::File::create(&path).unwrap(),
            b"# [c]\n[a]\n [ b ] ; x\nx = [d]\n",
        )
        .unwrap();

        for (name, expected) in [("a", true), ("b", true), ("c", false), ("d", false)] {
            assert_eq!(has_profile(&path, name), expected, "{name}");
        }

        assert!(!has_profile(&folder.path().join("absent"), "a"));
    }
}
