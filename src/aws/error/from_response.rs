//! Converts error responses: finds the error code and the message in the headers and the JSON body.

use aws_smithy_runtime_api::http::Headers;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::classify::{classify, is_unsupported_code};
use super::throttling::Throttling;
use super::{CONDITION_FAILED, ErrorClass, RequestError};

/// The members of an error body that are read.
#[derive(Default, Deserialize)]
struct ErrorBody<'a> {
    /// The code, in the protocol that DynamoDB uses: `com.amazonaws.dynamodb.v20120810#ThrottlingException`.
    #[serde(rename = "__type")]
    type_name: Option<String>,
    code: Option<String>,
    #[serde(alias = "Message", alias = "errorMessage")]
    message: Option<String>,
    /// The limits that a throttled request exceeded.
    #[serde(rename = "ThrottlingReasons", borrow)]
    throttling_reasons: Option<&'a RawValue>,
}

impl RequestError {
    /// The error in a response with this status; `body` is decompressed.
    pub(in crate::aws) fn from_response(status: u16, headers: &Headers, body: Bytes) -> Self {
        let parsed: ErrorBody<'_> = serde_json::from_slice(&body).unwrap_or_default();
        let code = headers
            .get("x-amzn-errortype")
            .or(parsed.type_name.as_deref())
            .or(parsed.code.as_deref())
            .map(bare_code)
            .filter(|code| !code.is_empty())
            .map(ToOwned::to_owned);

        let message = match parsed.message {
            Some(message) => message,
            None if is_unsupported_code(code.as_deref()) => {
                "the endpoint does not offer this operation".to_owned()
            }
            None if code.is_some() => "no message".to_owned(),
            None => format!("HTTP status {status} without a DynamoDB error"),
        };

        let class = classify(code.as_deref(), status, &message);
        let throttling = parsed
            .throttling_reasons
            .filter(|_| class == ErrorClass::Throttled)
            .and_then(Throttling::from_reasons)
            .map(Box::new);

        Self {
            class,
            throttling,
            is_unrecognized: code.is_none(),
            // Other bodies may repeat what the request was signed with.
            existing_item_body: if code.as_deref() == Some(CONDITION_FAILED) {
                body
            } else {
                Bytes::new()
            },
            code,
            ..Self::new(class, message)
        }
    }
}

/// The code without the namespace before it and the URL that some services append.
fn bare_code(code: &str) -> &str {
    let code = code.rsplit('#').next().unwrap_or(code);
    code.split(':').next().unwrap_or(code).trim()
}

#[cfg(test)]
mod tests {
    use super::super::ThrottlingCause;
    use super::*;

    fn error(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> RequestError {
        let mut all = Headers::new();
        for (name, value) in headers {
            all.insert(*name, *value);
        }

        RequestError::from_response(status, &all, Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn the_code_is_found_wherever_services_put_it() {
        const HEADER: (&str, &str) = (
            "x-amzn-errortype",
            "ThrottlingException:http://internal.amazon.com/coral/",
        );

        for (headers, body) in [
            (
                &[][..],
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}"#,
            ),
            (
                &[],
                r#"{"code":"ThrottlingException","Message":"slow down"}"#,
            ),
            (&[HEADER], r#"{"message":"slow down"}"#),
            (
                &[HEADER],
                r#"{"__type":"Other","errorMessage":"slow down"}"#,
            ),
        ] {
            let error = error(400, headers, body);
            assert_eq!(
                error.code_and_message(),
                "ThrottlingException: slow down",
                "{body}"
            );
            assert_eq!(error.class, ErrorClass::Throttled);
        }
    }

    #[test]
    fn a_body_that_is_not_an_aws_error_is_named_by_its_status() {
        for body in [
            "",
            "<html>Bad gateway</html>",
            "{}",
            "[1]",
            "{\"message\":7}",
        ] {
            let error = error(502, &[], body);
            assert_eq!(error.class, ErrorClass::Transient, "{body}");
            assert!(
                error.message.contains("HTTP status 502"),
                "{body}: {}",
                error.message
            );
        }
    }

    #[test]
    fn the_limit_that_was_exceeded_is_read_and_its_form_does_not_matter_for_the_rest() {
        let body = |reasons: &str| {
            format!(
                r#"{{"__type":"x#ThrottlingException","message":"slow down","ThrottlingReasons":{reasons}}}"#
            )
        };
        let hot = r#"[{"reason":"TableWriteKeyRangeThroughputExceeded","resource":"arn:aws:dynamodb:r:a:table/t"}]"#;
        for (reasons, is_hot) in [(hot, true), ("null", false), ("7", false), ("[{}]", false)] {
            let error = error(400, &[], &body(reasons));
            assert_eq!(error.code_and_message(), "ThrottlingException: slow down");
            assert_eq!(error.class, ErrorClass::Throttled);
            let cause = error.throttling_cause();
            assert_eq!(cause, is_hot.then_some(ThrottlingCause::KeyRange));
        }
    }
}
