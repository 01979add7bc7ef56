//! The request that an error is about, as the client sent it: errors take their names from here, not from callers.

use std::sync::Arc;

use aws_smithy_runtime_api::http::Headers;

use super::operation::ApiOperation;
use super::redact::RequestSecrets;

/// Longest request ID. DynamoDB's have 52 characters.
const MAX_REQUEST_ID_CHARS: usize = 128;

/// The operation that was called, and the service's name for it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// Name of the service for people.
    pub(super) service: &'static str,
    /// Service in the names of IAM actions.
    pub(super) action_prefix: &'static str,
    /// Operation in the AWS API.
    pub(super) operation: &'static str,
    /// URL that was really called, after all endpoint rules; `None` if there was none.
    pub(super) endpoint: Option<Arc<str>>,
    /// The service's ID of the request; `None` without a response.
    pub(super) request_id: Option<String>,
}

/// A request: what its errors are completed with, and what they must not contain.
#[derive(Debug, Clone)]
pub(crate) struct RequestContext {
    pub(super) call: Call,
    pub(super) secrets: RequestSecrets,
}

impl RequestContext {
    /// A request that has not been signed or sent.
    pub(crate) fn new(operation: ApiOperation) -> Self {
        Self {
            call: Call {
                service: operation.service.name(),
                action_prefix: operation.service.signing_name(),
                operation: operation.name,
                endpoint: None,
                request_id: None,
            },
            secrets: RequestSecrets::default(),
        }
    }

    /// An unsigned request to the root of an endpoint of DynamoDB.
    pub(super) fn of_root(endpoint: &str) -> Self {
        Self {
            call: Call {
                service: "DynamoDB",
                action_prefix: "dynamodb",
                operation: "GET",
                endpoint: Some(Arc::from(endpoint)),
                request_id: None,
            },
            secrets: RequestSecrets::default(),
        }
    }

    /// A request to STS, which the SDK sends.
    pub(super) fn of_sts(operation: &'static str, secrets: RequestSecrets) -> Self {
        Self {
            call: Call {
                service: "STS",
                action_prefix: "sts",
                operation,
                endpoint: None,
                request_id: None,
            },
            secrets,
        }
    }
}

impl Call {
    /// The endpoint, as error messages name it.
    pub(super) fn endpoint(&self) -> &str {
        self.endpoint.as_deref().unwrap_or(self.service)
    }
}

/// The service's ID of a request, which AWS Support asks for. Anything that is not an ID is ignored: servers choose this text.
pub(super) fn request_id(headers: &Headers) -> Option<String> {
    let id = headers
        .get("x-amzn-requestid")
        .or_else(|| headers.get("x-amz-request-id"))?;
    let is_id = (1..=MAX_REQUEST_ID_CHARS).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');

    is_id.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_short_and_of_plain_characters() {
        let id_in = |name: &'static str, value: &str| {
            let mut headers = Headers::new();
            headers.insert(name, value.to_owned());
            request_id(&headers)
        };

        let of_dynamodb = "BT2JCLSEHU4QJ5F5NO9ACJMA33VV4KQNSO5AEMVJF66Q9ASUAAJG";
        let uuid = "0e6b6a3c-7c44-4a2d-9a7e-5a36a2d1d4a1";
        for id in [of_dynamodb, uuid] {
            assert_eq!(id_in("x-amzn-requestid", id).as_deref(), Some(id));
            assert_eq!(id_in("x-amz-request-id", id).as_deref(), Some(id));
        }

        for text in ["", "two words", "x)", "\u{9b}31m", &"A".repeat(129)] {
            assert_eq!(id_in("x-amzn-requestid", text), None, "{text:?}");
        }

        assert_eq!(request_id(&Headers::new()), None);
    }
}
