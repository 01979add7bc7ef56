//! Endpoints: AWS, a URL, or the embedded engine; and which of them are local.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::inputs::{Inputs, from_field};
use super::{ProfileSettings, Sourced, ValueSource, keys};
use crate::error::Result;
use crate::field::Field;

/// Maximum length of an endpoint URL, in bytes.
const URL_BYTES: usize = 2048;

const EMBEDDED: &str = "embedded:";

/// Target of all calls. `Display` is for plans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// No endpoint was given: the AWS endpoint of the region.
    Aws,
    /// A server.
    Url {
        /// `http` or `https`, a host, and optionally port and path; no user info, query or
        /// fragment.
        url: String,
        /// Whether the URL applies to all services, not only to DynamoDB.
        every_service: bool,
        /// Source of the URL.
        source: ValueSource,
    },
    /// The embedded engine.
    Embedded {
        /// Its database file; `None` keeps the database in memory.
        file: Option<PathBuf>,
        /// Source of the setting.
        source: ValueSource,
    },
}

impl Endpoint {
    /// Whether the endpoint is local: a loopback address, a host name that means this machine by
    /// convention, the embedded engine, or a container, which is an `http://` host without dots in
    /// `LOCAL_AWS_ENDPOINT`. A private address is not local.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Self::Aws => false,
            Self::Embedded { .. } => true,
            Self::Url { url, source, .. } => is_local_url(url, source),
        }
    }

    /// Whether requests leave this machine without encryption.
    #[must_use]
    pub fn is_plain_text(&self) -> bool {
        match self {
            Self::Aws | Self::Embedded { .. } => false,
            Self::Url { url, .. } => {
                let is_http = url
                    .split_once("://")
                    .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("http"));
                is_http && !self.is_local()
            }
        }
    }

    /// Whether the host belongs to AWS, including `PrivateLink`, FIPS, dual-stack and China
    /// endpoints. A custom domain of a VPC endpoint is not recognized.
    #[must_use]
    pub fn is_aws(&self) -> bool {
        match self {
            Self::Aws => true,
            Self::Embedded { .. } => false,
            Self::Url { url, .. } => host_of(url).is_ok_and(is_aws_host),
        }
    }

    /// The source of the endpoint, if one was given.
    #[must_use]
    pub fn source(&self) -> Option<&ValueSource> {
        match self {
            Self::Aws => None,
            Self::Url { source, .. } | Self::Embedded { source, .. } => Some(source),
        }
    }
}

/// Host and port of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Host in lower case. An IPv6 address has brackets.
    pub host: String,
    /// Port; the default port of the scheme if the URL has none.
    pub port: u16,
}

impl Address {
    /// Parses the address in an endpoint URL; `None` if the URL is not valid.
    #[must_use]
    pub fn from_url(url: &str) -> Option<Self> {
        let host = host_of(url).ok()?.to_ascii_lowercase();
        let (scheme, rest) = url.split_once("://")?;
        let (_, port) = split_port(
            rest.split_once('/')
                .map_or(rest, |(authority, _)| authority),
        );
        // The default ports of HTTPS and HTTP.
        let default = if scheme.eq_ignore_ascii_case("https") {
            443
        } else {
            80
        };

        Some(Self {
            host,
            port: port.map_or(Some(default), |port| port.parse().ok())?,
        })
    }

    /// Whether the host is in one of AWS's domains.
    #[must_use]
    pub fn is_aws(&self) -> bool {
        is_aws_host(&self.host)
    }

    /// Whether the host is the loopback interface of this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback_host(&self.host)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Aws => f.write_str("AWS"),
            Self::Url { url, .. } => f.write_str(url),
            Self::Embedded {
                file: Some(file), ..
            } => write!(f, "embedded engine in {}", file.display()),
            Self::Embedded { file: None, .. } => f.write_str("embedded engine in memory"),
        }
    }
}

/// The endpoint that a flag, the env file or `LOCAL_AWS_ENDPOINT` names. AWS's settings cannot switch it off.
pub(crate) fn explicit(inputs: &Inputs<'_>) -> Result<Option<Endpoint>> {
    let working_dir = inputs.request.working_dir.as_path();
    if let Some(named) = from_field(Field::EndpointUrl, inputs.request.endpoint_url.as_ref())? {
        return parse(named, false, working_dir).map(Some);
    }

    // In a file, the keys are synonyms. The first one that is set decides which services use the
    // URL.
    let in_file = inputs.agreed_in_file(&[
        keys::LOCAL_ENDPOINT,
        keys::ENDPOINT,
        keys::DYNAMODB_ENDPOINT,
    ])?;

    if let Some(named) = in_file.into_iter().next() {
        return parse_sourced(named, &inputs.project_dir).map(Some);
    }

    inputs
        .in_process(keys::LOCAL_ENDPOINT)?
        .map(|named| parse_sourced(named, working_dir))
        .transpose()
}

/// The endpoint that AWS's own settings name, in AWS's order: the process environment, then the
/// profile (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>).
pub(crate) fn configured(
    inputs: &Inputs<'_>,
    profile: Option<&ProfileSettings>,
) -> Result<Endpoint> {
    let is_ignored = match ignored_by_process(inputs)? {
        Some(is_ignored) => is_ignored,
        None => profile.is_some_and(|profile| profile.ignores_endpoint_urls),
    };
    if is_ignored {
        return Ok(Endpoint::Aws);
    }

    // The key for the service comes first.
    if let Some(named) = inputs.first_in_process(&[keys::DYNAMODB_ENDPOINT, keys::ENDPOINT])? {
        return parse_sourced(named, &inputs.request.working_dir);
    }

    match profile {
        Some(ProfileSettings {
            endpoint_url: Some(named),
            is_for_every_service,
            ..
        }) => parse_url(named.clone(), *is_for_every_service),
        _ => Ok(Endpoint::Aws),
    }
}

/// Whether `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS` switches off AWS's settings for endpoints. It has precedence over the
/// setting of a profile.
pub(crate) fn ignored_by_process(inputs: &Inputs<'_>) -> Result<Option<bool>> {
    let setting = inputs.in_process(keys::IGNORE_ENDPOINTS)?;
    Ok(setting.map(|setting| setting.value.eq_ignore_ascii_case("true")))
}

fn parse_sourced(named: Sourced<String>, base: &Path) -> Result<Endpoint> {
    let is_for_every_service = !named.source.is_key(keys::DYNAMODB_ENDPOINT);
    parse(named, is_for_every_service, base)
}

fn parse(named: Sourced<String>, every_service: bool, base: &Path) -> Result<Endpoint> {
    match named.value.strip_prefix(EMBEDDED) {
        Some(file) => Ok(Endpoint::Embedded {
            // An embedded endpoint without a file is a database in memory.
            file: (!file.is_empty()).then(|| base.join(file)),
            source: named.source,
        }),
        None => parse_url(named, every_service),
    }
}

fn parse_url(named: Sourced<String>, every_service: bool) -> Result<Endpoint> {
    let Sourced { value, source } = named;
    match host_of(&value) {
        // A local environment must not send calls of other services elsewhere.
        Ok(_) => {
            let every_service = every_service || is_local_url(&value, &source);
            Ok(Endpoint::Url {
                url: value,
                every_service,
                source,
            })
        }
        Err(reason) => {
            let hint = match source {
                ValueSource::Profile { .. } => "for example http://localhost:4566",
                _ => {
                    "for example http://localhost:4566, or embedded:demo.db, which needs no server"
                }
            };
            Err(source.error(reason).with_hint(hint))
        }
    }
}

/// Extracts the host of an endpoint URL. The error is a fragment that follows the key.
fn host_of(url: &str) -> Result<&str, &'static str> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or("must be an http:// or https:// URL")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err("must be an http:// or https:// URL");
    }

    if url.len() > URL_BYTES {
        return Err("is too long for a URL");
    }

    if rest.contains(['?', '#']) {
        return Err("must have neither a query nor a fragment");
    }

    let (authority, _) = rest.split_once('/').unwrap_or((rest, ""));
    // User info could disguise the host (`http://localhost@example.com`), and it would be a secret
    // in plans.
    if authority.contains('@') {
        return Err("must not have a user name or password in its URL");
    }

    if rest.contains(|c: char| !c.is_ascii_graphic() || c == '\\') {
        return Err("contains a character that is not valid in a URL");
    }

    let (host, port) = split_port(authority);
    if port.is_some_and(|port| !is_port(port)) {
        return Err("has an invalid port (1 to 65535)");
    }

    if is_host(host) {
        Ok(host)
    } else {
        Err("has no valid host in its URL")
    }
}

fn split_port(authority: &str) -> (&str, Option<&str>) {
    // The colons inside the brackets belong to an IPv6 address.
    let after_brackets = authority.rfind(']').map_or(0, |end| end + 1);
    match authority[after_brackets..].rfind(':') {
        Some(colon) => (
            &authority[..after_brackets + colon],
            Some(&authority[after_brackets + colon + 1..]),
        ),
        None => (authority, None),
    }
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn is_host(host: &str) -> bool {
    if host.starts_with('[') {
        return v6(host).is_some();
    }

    let label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };

    // Maximum length of a DNS name (RFC 1035).
    host.len() <= 253 && host.split('.').all(label)
}

fn v6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

fn is_local_url(url: &str, source: &ValueSource) -> bool {
    let is_container = || {
        let is_plain_http = url
            .get(..7)
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://"));
        source.is_key(keys::LOCAL_ENDPOINT)
            && is_plain_http
            && host_of(url).is_ok_and(is_container_name)
    };

    host_of(url).is_ok_and(is_own_host) || is_container()
}

/// Whether the host is a name of one label. One that starts with a digit may be an IPv4 address in
/// another notation (`2130706433`).
fn is_container_name(host: &str) -> bool {
    !host.contains(['.', ':']) && host.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// Whether the host has a DNS suffix of an AWS partition.
///
/// <https://docs.aws.amazon.com/general/latest/gr/rande.html>
fn is_aws_host(host: &str) -> bool {
    const SUFFIXES: [&str; 10] = [
        ".amazonaws.com",
        ".amazonaws.com.cn",
        ".amazonaws.eu",
        ".api.aws",
        ".api.amazonwebservices.com.cn",
        ".api.amazonwebservices.eu",
        ".c2s.ic.gov",
        ".sc2s.sgov.gov",
        ".cloud.adc-e.uk",
        ".csp.hci.ic.gov",
    ];

    let host = host.to_ascii_lowercase();
    SUFFIXES.iter().any(|suffix| host.ends_with(suffix))
}

/// Whether the host is this machine, including the name that containers use for it.
fn is_own_host(host: &str) -> bool {
    host.eq_ignore_ascii_case("host.docker.internal") || is_loopback_host(host)
}

fn is_loopback_host(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    // IPv4-mapped addresses (`::ffff:127.0.0.1`) are not loopback here, so they count as remote.
    if let Some(address) = v6(&host) {
        return address.is_loopback();
    }

    matches!(host.as_str(), "localhost" | "localhost.localstack.cloud")
        || host.ends_with(".localhost")
        || host.ends_with(".localhost.localstack.cloud")
        || host
            .parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
