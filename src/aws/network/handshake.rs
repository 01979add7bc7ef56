//! Failures of a TLS handshake: a certificate that is not trusted, or a server that does not speak TLS.

use std::error::Error as StdError;

use super::super::error::cause::causes;
use super::failure::{FailureKind, NetworkFailure, mentions};
use super::proxy::Proxy;

/// The hint for a certificate that is not trusted.
const UNTRUSTED_HINT: &str = "check the endpoint's name; if its CA is your own, set AWS_CA_BUNDLE (for a local endpoint, \
    SSL_CERT_FILE) to a PEM file with the CA's certificate";

/// The hint for a server with a certificate of `openssl req -x509`, which makes those of authorities unless told otherwise.
const SERVER_CERTIFICATE_HINT: &str = "create a server certificate, for example with: openssl req -x509 -newkey rsa:2048 -nodes \
    -keyout key.pem -out cert.pem -days 365 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
    -addext basicConstraints=critical,CA:FALSE";

/// The failure in an error of a request to `server`, if its TLS handshake failed. The messages are those of rustls.
pub(super) fn handshake_failure(
    error: &(dyn StdError + 'static),
    server: &str,
    proxy: Option<&Proxy>,
) -> Option<NetworkFailure> {
    let failure = |message: String, hint: &str| {
        let cause = causes(error).last().unwrap_or(error);
        NetworkFailure::new(FailureKind::NotTrusted, message, hint).with_cause(cause.to_string())
    };

    if mentions(error, "CaUsedAsEndEntity") {
        let message = format!(
            "the certificate of {server} is the certificate of a certificate authority (CA)"
        );
        return Some(failure(message, SERVER_CERTIFICATE_HINT));
    }

    if mentions(error, "invalid peer certificate") {
        let message = format!("the certificate of {server} is not trusted");
        let hint = proxy.map(|proxy| {
            format!(
                "if the proxy {proxy} inspects TLS, set AWS_CA_BUNDLE to a PEM file with the certificate of its CA"
            )
        });
        return Some(failure(message, hint.as_deref().unwrap_or(UNTRUSTED_HINT)));
    }

    mentions(error, "received corrupt message of type InvalidContentType").then(|| {
        let hint = "an endpoint without TLS begins with http://, not https://";
        failure(format!("{server} does not speak TLS"), hint)
    })
}
