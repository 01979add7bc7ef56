//! Keeps out of every message what a call was signed with. Servers echo requests in their errors: AWS itself tells the headers of
//! a request whose signature is wrong, the session token among them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;

use super::fault::Fault;

/// Shorter parts of a header are no secrets, and stand in other words.
const SHORTEST: usize = 8;

/// What one call sends that nobody may read.
#[derive(Clone, Default)]
pub(super) struct Hush(Arc<Mutex<Vec<String>>>);

impl fmt::Debug for Hush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hush")
    }
}

impl Hush {
    /// The same fault without what the call sent.
    pub(super) fn kept_in(&self, fault: Fault) -> Fault {
        let secrets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().fold(fault, |fault, secret| fault.without(secret))
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
        let headers = context.request().headers();
        let token = headers.get("x-amz-security-token").into_iter();
        let signed = headers.get("authorization").into_iter().flat_map(|header| header.split(['=', '/', ',', ' ']));
        // Names of the scheme and of headers tell nothing; the key and the signature do.
        let telling = signed.filter(|part| part.bytes().any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()));
        let telling = telling
            .filter(|part| !part.starts_with("AWS4") && !matches!(*part, "Credential" | "SignedHeaders" | "Signature"));
        let secrets = token.chain(telling).filter(|part| part.len() >= SHORTEST && !is_date(part));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = secrets.map(ToOwned::to_owned).collect();
        Ok(())
    }
}

/// Whether this is the day of a signature.
fn is_date(part: &str) -> bool {
    part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_digit())
}
