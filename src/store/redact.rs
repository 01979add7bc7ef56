//! Keeps out of every message what a call was signed with. Servers echo requests in their errors: AWS itself tells the headers of
//! a request whose signature is wrong, the session token among them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;

use super::error::Fault;

/// Shorter parts of a header are no secrets, and stand in other words.
const SHORTEST: usize = 8;

/// What one call sends that nobody may read.
#[derive(Clone, Default)]
pub(crate) struct Hush(Arc<Mutex<Vec<String>>>);

impl fmt::Debug for Hush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hush")
    }
}

impl Hush {
    /// For a call with these headers.
    pub(crate) fn of_headers<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self(Arc::new(Mutex::new(secrets(headers))))
    }

    /// The same fault without what the call sent.
    pub(crate) fn kept_in(&self, fault: Fault) -> Fault {
        let secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        secrets
            .iter()
            .fold(fault, |fault, secret| fault.without(secret))
    }
}

#[aws_smithy_runtime_api::client::interceptors::dyn_dispatch_hint]
impl Intercept for Hush {
    fn name(&self) -> &'static str {
        "Hush"
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

/// What nobody may read of the headers of a call.
fn secrets<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<String> {
    let mut secrets = Vec::new();
    for (name, value) in headers {
        match name {
            "x-amz-security-token" => secrets.push(value),
            // Names of the scheme and of headers tell nothing; the key and the signature do.
            "authorization" => secrets.extend(value.split(['=', '/', ',', ' ']).filter(|part| {
                part.bytes()
                    .any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
                    && !part.starts_with("AWS4")
                    && !matches!(*part, "Credential" | "SignedHeaders" | "Signature")
            })),
            _ => {}
        }
    }

    secrets.retain(|part| part.len() >= SHORTEST && !is_date(part));

    secrets.into_iter().map(ToOwned::to_owned).collect()
}

/// Whether this is the day of a signature.
fn is_date(part: &str) -> bool {
    part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit())
}
