//! Parts of the URLs of requests.

use crate::environment::Address;

/// Host and port of a URL that may have a query.
pub(in crate::aws) fn address(url: &str) -> Option<Address> {
    Address::from_url(url.split(['?', '#']).next()?)
}

/// Host and port as the URL spells them.
pub(super) fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

/// The host without the brackets of an IPv6 address.
pub(in crate::aws) fn bare_host(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}
