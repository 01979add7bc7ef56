//! The proxies that the process environment names, and failures that are theirs.

use std::env;
use std::error::Error as StdError;
use std::fmt;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use hyper_util::client::proxy::matcher::Matcher;

use super::super::error::cause::causes;
use super::failure::{FailureKind, NetworkFailure, mentions};
use super::zone::zone_hint;

/// The variables of each scheme in the order of the AWS SDK: capitals first.
const HTTPS: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const HTTP: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
const EXCLUDED: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// A variable that CGI sets. There, `HTTP_PROXY` is a header of the client: <https://httpoxy.org>.
const CGI: &str = "REQUEST_METHOD";

/// The proxies of a process.
pub(super) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    /// Matches every URL that is not excluded.
    included: Matcher,
}

/// A proxy and the variable that names it.
pub(in crate::aws) struct Proxy {
    variable: &'static str,
    /// Host and port.
    address: String,
    /// Whether the connection to the proxy itself uses TLS.
    pub(super) is_tls: bool,
    /// The settings for the connection, with user and password.
    config: Result<ProxyConfig, NetworkFailure>,
}

impl Proxies {
    /// Reads the variables of this process.
    pub(super) fn from_process() -> Self {
        Self::from_variables(|key| env::var(key).ok())
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |key| variable(key).filter(|value| !value.is_empty());
        let first = |keys: &[&'static str]| {
            let mut set = keys.iter().filter_map(|key| Some((*key, variable(key)?)));
            set.next().map(|(key, value)| Proxy::parse(key, &value))
        };
        let is_cgi = variable(CGI).is_some();
        let excluded = EXCLUDED.into_iter().find_map(variable).unwrap_or_default();

        Self {
            http: first(&HTTP).filter(|_| !is_cgi),
            https: first(&HTTPS).filter(|_| !is_cgi),
            included: Matcher::builder().all("http://proxy").no(excluded).build(),
        }
    }

    /// The proxy for requests to `url`.
    pub(super) fn for_url(&self, url: &str) -> Option<&Proxy> {
        let proxy = self.for_scheme(url)?;
        let is_included = self.included.intercept(&url.parse().ok()?).is_some();

        is_included.then_some(proxy)
    }

    /// The proxy for requests to URLs like `url`, whether or not the host is excluded.
    pub(super) fn for_scheme(&self, url: &str) -> Option<&Proxy> {
        let proxy = if is_https(url) {
            &self.https
        } else {
            &self.http
        };

        proxy.as_ref()
    }
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.http.iter().chain(&self.https))
            .finish()
    }
}

impl Proxy {
    fn parse(variable: &'static str, value: &str) -> Self {
        // As for curl and the SDK, a proxy without a scheme is one that speaks HTTP.
        let url = if value.contains("://") {
            value.to_owned()
        } else {
            format!("http://{value}")
        };

        let scheme = url.split("://").next().unwrap_or_default();
        let scheme = scheme.to_ascii_lowercase();
        let address = address(&url).unwrap_or_default();
        let named = format!("{address} ({variable})");
        let config = match scheme.as_str() {
            "http" | "https" => ProxyConfig::all(url.as_str()).ok(),
            _ => None,
        };
        let config = match config {
            Some(config) if !address.is_empty() => Ok(config),
            _ if scheme.starts_with("socks") => Err(NetworkFailure::new(
                FailureKind::Rejected,
                format!("the proxy {named} is a SOCKS proxy; only HTTP proxies are supported"),
                format!("set {variable} to an HTTP proxy, or list the host in NO_PROXY"),
            )),
            _ => Err(NetworkFailure::new(
                FailureKind::Rejected,
                format!("{variable} does not contain the URL of an HTTP proxy"),
                format!("for example {variable}=http://proxy.example.com:3128"),
            )),
        };

        Self {
            variable,
            address,
            is_tls: scheme == "https",
            config,
        }
    }

    /// Host and port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The settings for a connection.
    ///
    /// # Errors
    /// The variable names something other than an HTTP proxy.
    pub(super) fn config(&self) -> Result<ProxyConfig, NetworkFailure> {
        self.config.clone()
    }

    /// The failure in an error of a request to `host`, if it is the proxy's. `has_worked` is whether the proxy has forwarded requests.
    pub(super) fn failure(
        &self,
        error: &(dyn StdError + 'static),
        host: &str,
        has_worked: bool,
    ) -> Option<NetworkFailure> {
        let says = |words| mentions(error, words);

        if says("tunnel error: proxy authorization required") {
            return Some(self.wants_credentials());
        }

        if says("HTTP connect timeout") {
            let message = format!("no connection to {host} through the proxy {self} in time");
            return Some(self.unreachable(message));
        }

        let is_tunnel = says("tunnel error");
        if says("tunnel error: failed to create underlying connection")
            || (!is_tunnel && says("client error (Connect)") && !says("TLS handshake failed"))
        {
            let cause = causes(error).last().unwrap_or(error);
            let message = format!("no connection to the proxy {self}: {cause}");
            return Some(self.unreachable(message));
        }

        is_tunnel.then(|| self.refused(host, has_worked))
    }

    /// The failure in a response to a request that was not tunnelled, if it is the proxy's.
    pub(super) fn failure_of_response(
        &self,
        response: &HttpResponse,
        host: &str,
        has_worked: bool,
    ) -> Option<NetworkFailure> {
        let is_answered = response.headers().get("x-amzn-requestid").is_some();
        match response.status().as_u16() {
            407 => Some(self.wants_credentials()),
            403 if !is_answered => Some(self.refused(host, has_worked)),
            // Perhaps passed on from the host.
            status @ 502..=504 if !is_answered => Some(self.failed(host, status)),
            _ => None,
        }
    }

    fn wants_credentials(&self) -> NetworkFailure {
        NetworkFailure::new(
            FailureKind::Rejected,
            format!("the proxy {self} requires a valid user name and password (HTTP 407)"),
            format!(
                "set {0}=http://USER:PASSWORD@{1}, with special characters percent-encoded",
                self.variable, self.address
            ),
        )
    }

    fn refused(&self, host: &str, has_worked: bool) -> NetworkFailure {
        // A proxy that forwarded requests before may have lost its own connection for a moment.
        let kind = if has_worked {
            FailureKind::Transient
        } else {
            FailureKind::Rejected
        };

        let hint = zone_hint(host).unwrap_or_else(|| {
            "check the host's name, and whether the proxy allows it; hosts in NO_PROXY are connected to directly".to_owned()
        });

        NetworkFailure::new(
            kind,
            format!("the proxy {self} refused to connect to {host}"),
            hint,
        )
    }

    fn failed(&self, host: &str, status: u16) -> NetworkFailure {
        NetworkFailure::new(
            FailureKind::Transient,
            format!("the proxy {self} answered HTTP {status} for {host}"),
            "check the host's name, and whether the proxy can connect to it",
        )
    }

    fn unreachable(&self, message: String) -> NetworkFailure {
        NetworkFailure::new(
            FailureKind::Unreachable,
            message,
            format!(
                "check {}; hosts in NO_PROXY are connected to directly",
                self.variable
            ),
        )
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.address.is_empty() {
            return f.write_str(self.variable);
        }

        write!(f, "{} ({})", self.address, self.variable)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

pub(super) fn is_https(url: &str) -> bool {
    url.get(..8)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

/// Host and port in the URL of a proxy, without user and password.
fn address(url: &str) -> Option<String> {
    let matcher = Matcher::builder().all(url).build();
    let proxy = matcher.intercept(&"http://host/".parse().ok()?)?;

    proxy.uri().authority().map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(set: &'static [(&str, &str)]) -> Proxies {
        Proxies::from_variables(|key| {
            let found = set.iter().find(|(name, _)| *name == key);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn named(set: &'static [(&str, &str)], url: &str) -> Option<String> {
        proxies(set).for_url(url).map(ToString::to_string)
    }

    #[test]
    fn the_scheme_of_the_endpoint_selects_the_variable_and_all_proxy_is_the_default() {
        const SECURE: &str = "https://dynamodb.eu-central-1.amazonaws.com/";
        const PLAIN: &str = "http://dynamodb.example.test:8000/";

        let both = &[("HTTPS_PROXY", "http://s:1"), ("http_proxy", "p:2")][..];
        assert_eq!(named(both, SECURE).as_deref(), Some("s:1 (HTTPS_PROXY)"));
        assert_eq!(named(both, PLAIN).as_deref(), Some("p:2 (http_proxy)"));

        let all = &[("all_proxy", "http://a:3"), ("HTTPS_PROXY", "")][..];
        assert_eq!(named(all, SECURE).as_deref(), Some("a:3 (all_proxy)"));
        assert_eq!(named(all, PLAIN).as_deref(), Some("a:3 (all_proxy)"));

        let capitals = &[("https_proxy", "http://l:1"), ("HTTPS_PROXY", "http://u:1")][..];
        assert_eq!(
            named(capitals, SECURE).as_deref(),
            Some("u:1 (HTTPS_PROXY)")
        );
        assert_eq!(named(&[("HTTP_PROXY", "http://p:1")], SECURE), None);
        assert_eq!(
            named(
                &[("HTTP_PROXY", "http://p:1"), ("REQUEST_METHOD", "GET")],
                PLAIN
            ),
            None
        );
    }

    #[test]
    fn excluded_hosts_are_connected_to_directly() {
        for (excluded, is_excluded) in [
            ("amazonaws.com", true),
            (".amazonaws.com, other.example", true),
            ("*", true),
            ("example.com", false),
            ("", false),
        ] {
            let proxies = Proxies::from_variables(|key| match key {
                "HTTPS_PROXY" => Some("http://p:1".to_owned()),
                "no_proxy" => Some(excluded.to_owned()),
                _ => None,
            });
            let proxy = proxies.for_url("https://dynamodb.us-east-1.amazonaws.com/");
            assert_eq!(proxy.is_none(), is_excluded, "{excluded:?}");
        }
    }

    #[test]
    fn a_proxy_never_shows_its_user_and_password() {
        for value in [
            "http://user:pa%40ss@p:1",
            "user:pa%40ss@p:1",
            "socks5://user:pa%40ss@p:1",
            "ftp://user:pa%40ss@p:1",
            "http://user:pa%40ss@:::",
        ] {
            let proxy = Proxy::parse("HTTPS_PROXY", value);
            let failure = proxy.config().err();
            let failure = failure.map(|it| format!("{it} {it:?}")).unwrap_or_default();
            let shown = format!("{proxy} {proxy:?} {failure}");
            assert!(
                !shown.contains("user") && !shown.contains("pa%40ss"),
                "{shown}"
            );
        }
    }

    #[test]
    fn only_http_proxies_are_used() {
        for (value, expected) in [
            ("http://p:1", None),
            ("https://p", None),
            ("p:1", None),
            (
                "socks5h://p:1",
                Some("the proxy p:1 (ALL_PROXY) is a SOCKS proxy; only HTTP proxies are supported"),
            ),
            (
                "ftp://p:1",
                Some("ALL_PROXY does not contain the URL of an HTTP proxy"),
            ),
            (
                "http://",
                Some("ALL_PROXY does not contain the URL of an HTTP proxy"),
            ),
        ] {
            let failure = Proxy::parse("ALL_PROXY", value).config().err();
            assert_eq!(
                failure.map(|it| it.to_string()).as_deref(),
                expected,
                "{value}"
            );
        }
    }
}
