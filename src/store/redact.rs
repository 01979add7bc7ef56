//! Removes secrets of a request from error messages. Servers repeat requests in their errors: AWS
//! returns the headers of a request whose signature is wrong, including the session token.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;

use super::error::RequestError;

/// Minimum length of a secret. Shorter parts of a header are not secret and may occur in other
/// words.
const MIN_SECRET_LENGTH: usize = 8;

/// The secrets that one request contains.
#[derive(Clone, Default)]
pub(crate) struct Redactor(Arc<Mutex<Vec<String>>>);

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor")
    }
}

impl Redactor {
    /// Collects the secrets from the headers of a request.
    pub(crate) fn from_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self(Arc::new(Mutex::new(secrets(headers))))
    }

    /// Removes the secrets from an error.
    pub(crate) fn redact(&self, error: RequestError) -> RequestError {
        let secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        secrets
            .iter()
            .fold(error, |error, secret| error.without_secret(secret))
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Redactor {
    fn name(&self) -> &'static str {
        "Redactor"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            secrets(context.request().headers().iter());
        Ok(())
    }
}

/// The secrets in the headers of a request.
fn secrets<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut secrets = Vec::new();
    for (name, value) in headers {
        match name {
            "x-amz-security-token" => secrets.push(value),
            // Names of algorithms and headers are public; the key and the signature are not.
            "authorization" => secrets.extend(value.split(['=', '/', ',', ' ']).filter(|part| {
                part.bytes()
                    .any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
                    && !part.starts_with("AWS4")
                    && !matches!(*part, "Credential" | "SignedHeaders" | "Signature")
            })),
            _ => {}
        }
    }

    secrets.retain(|part| part.len() >= MIN_SECRET_LENGTH && !is_date(part));

    secrets.into_iter().map(ToOwned::to_owned).collect()
}

/// Whether a part of the header is the date of the signature.
fn is_date(part: &str) -> bool {
    part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit())
}
