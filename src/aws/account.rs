//! Asks STS for the identity and the account that credentials belong to.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;

use super::context::RequestContext;
use super::error::RequestError;
use super::redact::RequestSecrets;

/// Longest wait for STS, which a network without internet access may not reach.
const STS_TIMEOUT: Duration = Duration::from_secs(3);

/// The identity of credentials.
#[derive(Debug, Clone)]
pub(crate) struct CallerIdentity {
    /// AWS account ID.
    pub(crate) account: String,
    /// ARN of the user or of the assumed role; empty if STS does not tell it.
    pub(crate) arn: String,
}

/// Asks STS for the identity of `credentials`.
///
/// # Errors
/// STS cannot be reached in time, or rejects the credentials.
pub(super) async fn from_sts(
    config: &SdkConfig,
    credentials: Credentials,
) -> Result<CallerIdentity, RequestError> {
    let secrets = RequestSecrets::new(credentials.clone(), None);
    let context = RequestContext::of_sts("GetCallerIdentity", secrets);
    let config = aws_sdk_sts::config::Builder::from(config)
        .credentials_provider(credentials)
        .build();
    let request = aws_sdk_sts::Client::from_conf(config)
        .get_caller_identity()
        .send();

    let identity = tokio::time::timeout(STS_TIMEOUT, Box::pin(request))
        .await
        .map_err(|_| RequestError::timeout())?
        .map_err(|error| RequestError::from_sts_error(&error, context))?;

    let account = identity
        .account
        .ok_or_else(|| RequestError::damaged_response("the response contains no account"))?;

    Ok(CallerIdentity {
        account,
        arn: identity.arn.unwrap_or_default(),
    })
}
