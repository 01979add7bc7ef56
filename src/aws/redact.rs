//! Removes what a request was signed with from error messages. Servers echo requests in their errors: AWS itself lists the headers of
//! a request whose signature is wrong, the session token among them.

use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

/// Shorter texts, such as the key `test` of local engines, are not secret, and occur in other words.
const MIN_SECRET_LENGTH: usize = 8;

/// The secret parts of a signed request's headers.
#[derive(Clone, Default)]
pub(super) struct RequestSecrets(Vec<String>);

impl RequestSecrets {
    pub(super) fn from_request(request: &HttpRequest) -> Self {
        let headers = request.headers();
        let authorization = headers.get("authorization").unwrap_or_default();
        let access_key_id = after(authorization, "Credential=").split('/').next();
        let signature = after(authorization, "Signature=").split(',').next();

        let secrets = [
            headers.get("x-amz-security-token"),
            access_key_id,
            signature,
        ];
        let secrets = secrets.into_iter().flatten();
        let secrets = secrets.filter(|secret| secret.len() >= MIN_SECRET_LENGTH);

        Self(secrets.map(ToOwned::to_owned).collect())
    }

    pub(super) fn from_credentials(credentials: &Credentials) -> Self {
        let secrets = [
            Some(credentials.access_key_id()),
            Some(credentials.secret_access_key()),
            credentials.session_token(),
        ];

        Self(
            secrets
                .into_iter()
                .flatten()
                .map(ToOwned::to_owned)
                .collect(),
        )
    }

    /// `text` without these secrets.
    pub(super) fn redact(&self, text: &str) -> String {
        const HIDDEN: &str = "[hidden]";

        let mut redacted = text.to_owned();
        for secret in &self.0 {
            redacted = redacted.replace(secret, HIDDEN);
        }

        redacted
    }
}

/// What follows `name` in `text`; empty if it does not occur.
fn after<'a>(text: &'a str, name: &str) -> &'a str {
    text.split_once(name).map_or("", |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn keys_tokens_and_signatures_are_hidden_and_nothing_else() {
        let mut request = HttpRequest::new(SdkBody::empty());
        let headers = request.headers_mut();
        headers.insert("x-amz-security-token", "IQoJb3JpZ2luX2VjEXAMPLETOKEN");
        headers.insert(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/eu-central-1/dynamodb/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb",
        );

        let secrets = RequestSecrets::from_request(&request);
        let echoed = "AKIAIOSFODNN7EXAMPLE signed IQoJb3JpZ2luX2VjEXAMPLETOKEN as \
                      5d672d79c15b13162d9279b0855cfba6789a8edb on 20260101 in eu-central-1 with AWS4-HMAC-SHA256";
        assert_eq!(
            secrets.redact(echoed),
            "[hidden] signed [hidden] as [hidden] on 20260101 in eu-central-1 with AWS4-HMAC-SHA256"
        );
    }
}
