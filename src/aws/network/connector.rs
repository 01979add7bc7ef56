//! Sends each request over the connection that its URL needs: direct or through a proxy, with or without TLS.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use super::super::timeouts::CONNECT_TIMEOUT;
use super::failure::{FailureKind, NetworkFailure, mentions};
use super::handshake::handshake_failure;
use super::local::LocalEndpoint;
use super::proxy::{Proxies, Proxy, is_https};
use super::tls_probe::speaks_tls;
use super::trust::TrustedCas;
use super::url::{address, authority, bare_host};
use crate::environment::{Address, Environment};
use crate::error::Result;

/// Proxies and trusted certificates of an environment, or the only endpoint of a local one.
#[derive(Debug, Clone)]
pub(in crate::aws) struct Network(Arc<Settings>);

#[derive(Debug)]
struct Settings {
    /// Set for a local environment.
    only: Option<LocalEndpoint>,
    proxies: Option<Proxies>,
    trusted: TrustedCas,
}

impl Network {
    /// Loads the settings. `url` is the endpoint of every service, which is the only one that a local environment calls.
    ///
    /// # Errors
    /// A CA bundle cannot be read.
    pub(in crate::aws) async fn load(environment: &Environment, url: Option<&str>) -> Result<Self> {
        let settings = if environment.is_local() {
            Settings {
                only: url.map(LocalEndpoint::new),
                proxies: None,
                trusted: TrustedCas::System,
            }
        } else {
            Settings {
                only: None,
                proxies: Some(Proxies::from_process()),
                trusted: TrustedCas::from_settings(environment).await?,
            }
        };

        Ok(Self(Arc::new(settings)))
    }

    /// A connector with a connection pool of its own.
    pub(in crate::aws) fn connector(&self) -> SharedHttpConnector {
        let settings = HttpConnectorSettings::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .build();

        self.connector_with(settings)
    }

    fn connector_with(&self, timeouts: HttpConnectorSettings) -> SharedHttpConnector {
        SharedHttpConnector::new(Router(Arc::new(Routes {
            network: self.clone(),
            timeouts,
            connectors: Default::default(),
            forwarded: Mutex::default(),
            is_checked: AtomicBool::new(false),
        })))
    }

    /// A client for the services that the SDK calls.
    pub(in crate::aws) fn client(&self) -> SharedHttpClient {
        SharedHttpClient::new(NetworkClient {
            network: self.clone(),
            connectors: Mutex::default(),
        })
    }

    /// The proxy for requests to `url`.
    pub(in crate::aws) fn proxy_for(&self, url: &str) -> Option<&Proxy> {
        let proxy = self.0.proxies.as_ref()?.for_url(url)?;
        let is_near = is_on_this_host(&address(url)?);

        (!is_near).then_some(proxy)
    }

    /// How requests to `url` travel.
    pub(in crate::aws) fn route(&self, url: &str) -> Route {
        if let Some(proxy) = self.proxy_for(url) {
            return Route::Proxy {
                name: proxy.to_string(),
                address: proxy.address().to_owned(),
            };
        }

        let proxies = self.0.proxies.as_ref();
        match proxies.and_then(|proxies| proxies.for_scheme(url)) {
            Some(proxy) => Route::AroundProxy(proxy.to_string()),
            None => Route::Direct,
        }
    }

    /// Where the trusted CA certificates come from.
    pub(in crate::aws) fn trusted(&self) -> String {
        self.0.trusted.source()
    }
}

/// How requests to a host travel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// No proxy is named.
    Direct,
    /// Through a proxy.
    Proxy {
        /// The proxy and the variable that names it.
        name: String,
        /// Host and port.
        address: String,
    },
    /// The host is near, or `NO_PROXY` excludes it from this proxy.
    AroundProxy(String),
}

/// Whether a proxy would reach another machine under this address: loopback, and link-local addresses, where EC2 and ECS offer
/// metadata and credentials.
fn is_on_this_host(address: &Address) -> bool {
    /// The network of the metadata and credential services in IPv6.
    const METADATA: [u16; 2] = [0xfd00, 0x0ec2];

    if address.is_loopback() {
        return true;
    }

    match bare_host(&address.host).parse() {
        Ok(IpAddr::V4(ip)) => Ipv4Addr::is_link_local(&ip),
        Ok(IpAddr::V6(ip)) => {
            Ipv6Addr::is_unicast_link_local(&ip) || ip.segments().starts_with(&METADATA)
        }
        Err(_) => false,
    }
}

/// Connectors by their timeouts for connecting and reading: the SDK asks for one with each request.
#[derive(Debug)]
struct NetworkClient {
    network: Network,
    connectors: Mutex<HashMap<[Option<Duration>; 2], SharedHttpConnector>>,
}

impl HttpClient for NetworkClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let key = [settings.connect_timeout(), settings.read_timeout()];
        let mut connectors = self
            .connectors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);

        connectors
            .entry(key)
            .or_insert_with(|| self.network.connector_with(settings.clone()))
            .clone()
    }
}

/// Selects the connector for each request.
#[derive(Debug)]
struct Router(Arc<Routes>);

struct Routes {
    network: Network,
    timeouts: HttpConnectorSettings,
    /// By scheme, then by whether there is a proxy. Built when needed, because TLS loads the certificates of this machine.
    connectors: [[OnceLock<Result<SharedHttpConnector, NetworkFailure>>; 2]; 2],
    /// Hosts that have answered through a proxy.
    forwarded: Mutex<HashSet<String>>,
    /// Whether a server has answered in HTTP, or was checked for TLS: once is enough.
    is_checked: AtomicBool,
}

impl HttpConnector for Router {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let routes = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move { routes.send(request).await })
    }
}

impl Routes {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = match &self.network.0.only {
            Some(endpoint) => endpoint.confine(request).map_err(into_connector_error)?,
            None => request,
        };

        let url = request.uri().to_owned();
        let proxy = self.network.proxy_for(&url);
        let connector = self.connector(&url, proxy).map_err(into_connector_error)?;
        let answer = connector.call(request).await;

        let failure = match proxy {
            Some(proxy) => self.failure_of_proxy(proxy, &url, &answer),
            None => self.failure_of_scheme(&url, &answer).await,
        };
        let failure = failure.or_else(|| {
            let server = format!("https://{}", authority(&url));
            handshake_failure(answer.as_ref().err()?, &server, proxy)
        });

        match failure {
            Some(failure) => Err(into_connector_error(failure)),
            None => answer,
        }
    }

    fn connector(
        &self,
        url: &str,
        proxy: Option<&Proxy>,
    ) -> Result<&SharedHttpConnector, NetworkFailure> {
        let slot = &self.connectors[usize::from(is_https(url))][usize::from(proxy.is_some())];
        let connector = slot.get_or_init(|| self.build(is_https(url), proxy));

        connector.as_ref().map_err(Clone::clone)
    }

    fn build(
        &self,
        is_https: bool,
        proxy: Option<&Proxy>,
    ) -> Result<SharedHttpConnector, NetworkFailure> {
        let mut builder = Connector::builder().connector_settings(self.timeouts.clone());
        if let Some(proxy) = proxy {
            builder.set_proxy_config(Some(proxy.config()?));
        }

        let connector = if is_https || proxy.is_some_and(|proxy| proxy.is_tls) {
            builder
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(self.network.0.trusted.tls_context()?)
                .build()
        } else {
            builder.build_http()
        };

        Ok(SharedHttpConnector::new(connector))
    }

    fn failure_of_proxy(
        &self,
        proxy: &Proxy,
        url: &str,
        answer: &Result<HttpResponse, ConnectorError>,
    ) -> Option<NetworkFailure> {
        let host = address(url)?.host;
        let mut forwarded = self
            .forwarded
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let has_worked = forwarded.contains(&host);

        let failure = match answer {
            Err(error) => return proxy.failure(error, &host, has_worked),
            Ok(response) if !is_https(url) => {
                proxy.failure_of_response(response, &host, has_worked)
            }
            Ok(_) => None,
        };
        if failure.is_none() && !has_worked {
            forwarded.insert(host);
        }

        failure
    }

    /// The failure of a plain HTTP request to a server that speaks TLS.
    async fn failure_of_scheme(
        &self,
        url: &str,
        answer: &Result<HttpResponse, ConnectorError>,
    ) -> Option<NetworkFailure> {
        if is_https(url) || self.is_checked.load(Ordering::Relaxed) {
            return None;
        }

        let is_suspect = match answer {
            Ok(response) => is_foreign_rejection(response),
            // Connected, but the answer is not HTTP.
            Err(error) => !error.is_timeout() && !mentions(error, "client error (Connect)"),
        };
        let is_decided = is_suspect || answer.is_ok();
        if !is_decided || self.is_checked.swap(true, Ordering::Relaxed) || !is_suspect {
            return None;
        }

        let address = address(url)?;
        if !speaks_tls(bare_host(&address.host), address.port).await {
            return None;
        }

        let Address { host, port } = address;
        Some(NetworkFailure::new(
            FailureKind::Rejected,
            format!("{host}:{port} speaks TLS, but its URL begins with http://"),
            format!("use https://{host}:{port} as the endpoint"),
        ))
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes")
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

/// Whether a web server, not a service of AWS, rejected a request as malformed: so do servers that expect TLS.
fn is_foreign_rejection(response: &HttpResponse) -> bool {
    let content_type = response.headers().get("content-type");

    response.status().as_u16() == 400 && !content_type.is_some_and(|it| it.contains("json"))
}

fn into_connector_error(failure: NetworkFailure) -> ConnectorError {
    match failure.kind {
        // The SDK retries these by itself.
        FailureKind::Transient => ConnectorError::io(Box::new(failure)),
        FailureKind::Rejected | FailureKind::NotTrusted | FailureKind::Unreachable => {
            ConnectorError::user(Box::new(failure))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_services_and_this_machine_are_never_reached_through_a_proxy() {
        for (url, is_near) in [
            ("http://169.254.169.254/latest/api/token", true),
            ("http://169.254.170.2/v2/credentials", true),
            ("http://[fd00:ec2::254]/latest/api/token", true),
            ("http://[fd00:ec2::23]/v1/credentials", true),
            ("http://127.0.0.1:4566/", true),
            ("https://localhost:4566/", true),
            ("http://[::1]:8000/", true),
            ("https://dynamodb.eu-central-1.amazonaws.com/", false),
            ("http://10.0.0.1:8000/", false),
            ("http://[fd00:ec3::1]/", false),
        ] {
            let address = Address::from_url(url).expect(url);
            assert_eq!(is_on_this_host(&address), is_near, "{url}");
        }
    }
}
