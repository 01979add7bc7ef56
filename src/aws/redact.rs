//! Removes what a request was signed with from error messages. Servers echo requests in their errors: AWS itself lists the headers of
//! a request whose signature is wrong, the session token among them.

use std::fmt;

use aws_credential_types::Credentials;

/// Shorter texts, such as the key `test` of local engines, are not secret, and occur in other words.
const MIN_SECRET_LENGTH: usize = 8;

/// The secrets in a signed request: the credentials and the signature.
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
            credentials
                .map(Credentials::access_key_id)
                .filter(|key| !is_account(key)),
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

/// Whether an access key is an account ID, by which some engines keep accounts apart: it is not secret, and ARNs contain it.
fn is_account(access_key_id: &str) -> bool {
    access_key_id.bytes().all(|byte| byte.is_ascii_digit())
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
    fn account_and_region_in_an_arn_are_never_hidden() {
        let arn = "arn:aws:dynamodb:eu-central-1:111122223333:table/films";
        let message = format!("User: arn:aws:iam::111122223333:user/eve may not read {arn}");
        for key in ["AKIAIOSFODNN7EXAMPLE", "111122223333"] {
            let credentials = Credentials::new(key, "wJalrXUtnFEMI", None, None, "test");
            let authorization = format!(
                "AWS4-HMAC-SHA256 Credential={key}/20260101/eu-central-1/dynamodb/aws4_request, SignedHeaders=host, \
                 Signature=5d672d79c15b1316"
            );

            let secrets = RequestSecrets::new(credentials, Some(&authorization));
            assert_eq!(secrets.redact(&message), message, "{key}");
        }
    }

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
