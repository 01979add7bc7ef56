//! Settings of a profile in the shared AWS configuration that decide where calls go.

use super::Sourced;

/// Endpoint, region and kind of credentials of one profile in the shared AWS configuration. This module does not read that
/// configuration: the caller passes it in.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProfileSettings {
    /// Name of the profile.
    pub(crate) name: String,
    /// URL of `DynamoDB`: in the `services` section of the profile, or else `endpoint_url` of the profile itself.
    pub(crate) endpoint_url: Option<Sourced<String>>,
    /// Whether the URL applies to every service, not only to `DynamoDB`.
    pub(crate) is_for_every_service: bool,
    /// `ignore_configured_endpoint_urls`.
    pub(crate) ignores_endpoint_urls: bool,
    /// Region.
    pub(crate) region: Option<Sourced<String>>,
    /// Whether the credentials are static keys, which no service has to be asked for.
    pub(crate) has_static_keys: bool,
}
