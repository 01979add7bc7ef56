//! Reads the settings of a profile in the shared AWS configuration that decide where calls go.

use aws_config::profile::{Profile, load};
use aws_config::{BehaviorVersion, Region};
use aws_types::service_config::ServiceConfigKey;

use super::profile::uses_static_keys;
use super::shared_files::{config_file_with, default};
use crate::environment::{LOCAL_REGION, ProfileSettings, Sourced, ValueSource};
use crate::error::{Error, Result};

const ENDPOINT_URL: &str = "endpoint_url";

/// Prefix of environment variables that are never set: the process environment has been searched before.
const NO_VARIABLE: &str = "DYNADUMP_UNSET";

/// Reads the profile. One that does not exist has no settings; the error is reported when its credentials are needed.
///
/// # Errors
/// The shared AWS configuration cannot be parsed.
pub(crate) async fn read(name: &str) -> Result<ProfileSettings> {
    let selected = Some(name.to_owned().into());
    let profiles = load(&default(), &default(), &default(), selected)
        .await
        .map_err(|error| {
            Error::environment("the shared AWS configuration cannot be read").with_source(error)
        })?;
    let Some(profile) = profiles.get_profile(name) else {
        return Ok(ProfileSettings {
            name: name.to_owned(),
            ..ProfileSettings::default()
        });
    };

    let own_url = profile.get(ENDPOINT_URL);
    let (url, setting) = match of_services(profile).await {
        // Without a URL in the section, the SDK returns that of the profile.
        Some((url, services)) if Some(url.as_str()) != own_url => (
            Some(url),
            format!("dynamodb {ENDPOINT_URL} of services {services} (profile {name})"),
        ),
        _ => (
            own_url.map(ToOwned::to_owned),
            format!("{ENDPOINT_URL} of profile {name}"),
        ),
    };

    let sourced = |value: String, setting: String| Sourced {
        value,
        source: ValueSource::Profile {
            setting,
            file: config_file_with(name),
        },
    };
    let is_set = |url: &String| !url.is_empty();
    let region = profile.get("region").map(ToOwned::to_owned);
    Ok(ProfileSettings {
        name: name.to_owned(),
        is_for_every_service: url.as_deref() == own_url,
        endpoint_url: url.filter(is_set).map(|url| sourced(url, setting)),
        ignores_endpoint_urls: profile
            .get("ignore_configured_endpoint_urls")
            .is_some_and(|value| value.eq_ignore_ascii_case("true")),
        region: region
            .filter(is_set)
            .map(|region| sourced(region, format!("region of profile {name}"))),
        has_static_keys: uses_static_keys(&profiles, profile),
    })
}

/// The URL of DynamoDB according to the `services` section that the profile names, and the name of the section.
async fn of_services(profile: &Profile) -> Option<(String, String)> {
    let services = profile.get("services")?;
    // Only the SDK's own loader has access to these sections.
    let config = aws_config::defaults(BehaviorVersion::latest())
        .profile_name(profile.name())
        .region(Region::new(LOCAL_REGION))
        .no_credentials()
        .load()
        .await;

    let key = ServiceConfigKey::builder()
        .service_id("DynamoDB")
        .env(NO_VARIABLE)
        .profile(ENDPOINT_URL)
        .build()
        .ok()?;
    let url = config.service_config()?.load_config(key)?;

    Some((url, services.to_owned()))
}
