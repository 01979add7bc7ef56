//! Removes what a request was signed with from error messages. Servers echo requests in their errors: AWS itself lists the headers of
//! a request whose signature is wrong, the session token among them.

use std::fmt;

use aws_credential_types::Credentials;

/// Shorter texts, such as the key `test` of local engines, are not secret, and occur in other words.
const MIN_SECRET_LENGTH: usize = 8;

/// What a request was signed with: the credentials and the signature.
#[derive(Clone, Default)]
pub(super) struct RequestSecrets {
    credentials: Option<Credentials>,
    authorization: Option<String>,
}

impl RequestSecrets {
    /// The secrets of a request with these credentials and this header `authorization`.
    pub(super) fn new(credentials: Credentials, authorization: Option<&str>) -> Self {
        Self {
            credentials: Some(credentials),
            authorization: authorization.map(ToOwned::to_owned),
        }
    }

    /// `text` without these secrets.
    pub(super) fn redact(&self, text: &str) -> String {
        const HIDDEN: &str = "[hidden]";

        let mut redacted = text.to_owned();
        for secret in self.texts() {
            redacted = redacted.replace(secret, HIDDEN);
        }

        redacted
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let credentials = self.credentials.as_ref();
        let authorization = self.authorization.as_deref();
        let secrets = [
            credentials.map(Credentials::access_key_id),
            credentials.map(Credentials::secret_access_key),
            credentials.and_then(Credentials::session_token),
            authorization
                .and_then(|authorization| authorization.split_once("Signature="))
                .map(|(_, signature)| signature),
        ];

        secrets
            .into_iter()
            .flatten()
            .filter(|secret| secret.len() >= MIN_SECRET_LENGTH)
    }
}

impl fmt::Debug for RequestSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tokens_and_signatures_are_hidden_and_nothing_else() {
        let credentials = Credentials::new(
            "AKIAIOSFODNN7EXAMPLE",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            Some("IQoJb3JpZ2luX2VjEXAMPLETOKEN".to_owned()),
            None,
            "test",
        );
        let authorization = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/eu-central-1/dynamodb/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb";

        let secrets = RequestSecrets::new(credentials, Some(authorization));
        let echoed = "AKIAIOSFODNN7EXAMPLE signed IQoJb3JpZ2luX2VjEXAMPLETOKEN as \
                      5d672d79c15b13162d9279b0855cfba6789a8edb on 20260101 in eu-central-1 with AWS4-HMAC-SHA256";
        assert_eq!(
            secrets.redact(echoed),
            "[hidden] signed [hidden] as [hidden] on 20260101 in eu-central-1 with AWS4-HMAC-SHA256"
        );
    }
}
