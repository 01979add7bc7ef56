//! Keeps the requests of a local environment at its endpoint.
//!
//! `aws-config` calls STS, SSO and metadata services at URLs that it takes from the process environment and the shared AWS files, and it
//! has no setting that replaces them.

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use super::failure::{FailureKind, NetworkFailure};
use super::url::{address, authority};
use crate::environment::Address;

/// The content type of STS. The other services that provide credentials use JSON or GET.
const QUERY_PROTOCOL: &str = "application/x-www-form-urlencoded";

/// The only endpoint that a local environment calls.
#[derive(Debug)]
pub(super) struct LocalEndpoint {
    url: String,
    /// `None` for a URL that cannot be called either.
    address: Option<Address>,
}

impl LocalEndpoint {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            address: address(url),
        }
    }

    /// Redirects a request to this endpoint if it is for STS at another host.
    ///
    /// # Errors
    /// The request is for another service at another host.
    pub(super) fn confine(&self, mut request: HttpRequest) -> Result<HttpRequest, NetworkFailure> {
        if address(request.uri()) == self.address {
            return Ok(request);
        }

        let host = authority(request.uri()).to_owned();
        let headers = request.headers();
        let content_type = headers.get("content-type").unwrap_or_default();
        if !content_type.starts_with(QUERY_PROTOCOL) {
            return Err(self.refusal(&host));
        }

        // The signature covers the header `host`, which the HTTP client would derive from the new URL.
        let headers = request.headers_mut();
        if headers.get("host").is_none() {
            headers
                .try_insert("host", host.clone())
                .map_err(|_| self.refusal(&host))?;
        }

        request
            .uri_mut()
            .set_endpoint(&self.url)
            .map_err(|_| self.refusal(&host))?;

        Ok(request)
    }

    fn refusal(&self, host: &str) -> NetworkFailure {
        NetworkFailure::new(
            FailureKind::Rejected,
            format!(
                "{host} was not called: {} is a local endpoint, so no other host is called",
                self.url
            ),
            "use static keys, or no profile: a local endpoint does not need AWS credentials",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, url: &str, content_type: Option<&str>) -> HttpRequest {
        let mut request = HttpRequest::empty();
        request.set_method(method).expect("a method");
        request.set_uri(url).expect("a URL");
        if let Some(content_type) = content_type {
            let headers = request.headers_mut();
            headers.insert("content-type", content_type.to_owned());
        }

        request
    }

    fn confined(request: HttpRequest) -> Result<HttpRequest, NetworkFailure> {
        LocalEndpoint::new("http://localhost:4566/").confine(request)
    }

    #[test]
    fn calls_of_sts_go_to_the_local_endpoint_with_the_host_that_was_signed() {
        for url in [
            "https://sts.eu-west-3.amazonaws.com/",
            "http://localhost:4567/",
        ] {
            let sent = confined(request("POST", url, Some(QUERY_PROTOCOL))).expect(url);
            assert_eq!(sent.uri(), "http://localhost:4566/");
            assert_eq!(sent.headers().get("host"), Some(authority(url)));
        }
    }

    #[test]
    fn calls_of_the_local_endpoint_are_not_changed() {
        let json = Some("application/x-amz-json-1.0");
        for content_type in [json, Some(QUERY_PROTOCOL), None] {
            for url in [
                "http://localhost:4566/",
                "http://LOCALHOST:4566/path?query=/",
            ] {
                let sent = confined(request("POST", url, content_type)).expect(url);
                assert_eq!((sent.uri(), sent.headers().get("host")), (url, None));
            }
        }
    }

    #[test]
    fn calls_of_services_that_a_local_engine_does_not_have_are_refused() {
        for (method, url, content_type) in [
            (
                "GET",
                "https://portal.sso.us-east-1.amazonaws.com/federation/credentials?role_name=x",
                None,
            ),
            (
                "POST",
                "https://oidc.us-east-1.amazonaws.com/token",
                Some("application/json"),
            ),
            ("PUT", "http://169.254.169.254/latest/api/token", None),
            ("GET", "http://127.0.0.1:4567/credentials", None),
        ] {
            let failure = confined(request(method, url, content_type)).expect_err(url);
            let message = failure.to_string();
            let start = format!("{} was not called", authority(url));
            assert!(message.starts_with(&start), "{message}");
        }
    }
}
