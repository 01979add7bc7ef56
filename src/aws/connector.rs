//! Builds the HTTP connectors and clients that carry requests, with TLS where a request needs it.

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};

use super::endpoint::is_plain_http;
use super::timeouts::CONNECT_TIMEOUT;

/// Builds an HTTP client for `url`. Plain HTTP skips TLS, because loading the system's root
/// certificates takes tens of milliseconds.
pub(super) fn http_client(url: Option<&str>) -> SharedHttpClient {
    let builder = aws_smithy_http_client::Builder::new();
    if is_plain_http(url) {
        builder.build_http()
    } else {
        builder
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https()
    }
}

/// Builds a connector with a connection pool of its own. TLS is left out if nothing needs it (see [`http_client`]).
pub(super) fn http_connector(is_plain_http: bool) -> SharedHttpConnector {
    let settings = HttpConnectorSettings::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .build();
    let builder = Connector::builder().connector_settings(settings);
    let connector = if is_plain_http {
        builder.build_http()
    } else {
        builder
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build()
    };

    SharedHttpConnector::new(connector)
}
