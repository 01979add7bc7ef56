//! Builds and signs the HTTP request of an operation: AWS Signature Version 4, see
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use std::sync::Arc;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use super::error::RequestError;
use super::operation::ApiOperation;

/// Where a request goes, and the scope of its signature.
#[derive(Debug)]
pub(super) struct Destination {
    pub(super) url: String,
    /// The URL, as error messages name it.
    pub(super) name: Arc<str>,
    pub(super) region: String,
}

/// The signed request of `operation` with this body.
///
/// # Errors
/// The URL is not one, or the signature cannot be computed.
pub(super) fn signed_request(
    operation: ApiOperation,
    destination: &Destination,
    credentials: &Credentials,
    now: SystemTime,
    body: &Bytes,
) -> Result<HttpRequest, RequestError> {
    let mut request = HttpRequest::new(SdkBody::from(body.clone()));
    let not_a_url = |error: &dyn std::fmt::Display| {
        RequestError::invalid_request(format!("{} is not a URL: {error}", destination.url))
    };
    request
        .set_method("POST")
        .map_err(|error| not_a_url(&error))?;
    request
        .set_uri(destination.url.as_str())
        .map_err(|error| not_a_url(&error))?;

    let headers = request.headers_mut();
    headers.insert("content-type", operation.service.content_type());
    headers.insert("x-amz-target", operation.target());
    headers.insert("content-length", body.len().to_string());

    let identity = Identity::from(credentials.clone());
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(&destination.region)
        .name(operation.service.signing_name())
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| RequestError::invalid_request(error.to_string()))?
        .into();

    let cannot_sign = |error: aws_sigv4::http_request::SigningError| {
        RequestError::invalid_request("the request cannot be signed").with_source(error)
    };
    let signable = SignableRequest::new(
        request.method(),
        request.uri(),
        request.headers().iter(),
        SignableBody::Bytes(body),
    )
    .map_err(cannot_sign)?;
    let (instructions, _) = sign(signable, &params).map_err(cannot_sign)?.into_parts();

    let (signing_headers, _) = instructions.into_parts();
    for header in signing_headers {
        request
            .headers_mut()
            .insert(header.name(), header.value().to_owned());
    }

    Ok(request)
}
