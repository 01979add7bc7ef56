//! The role to assume, from the env file or `--role-arn`. In the process environment the same keys
//! belong to web identity federation and are left to the AWS configuration chain.

use super::inputs::Inputs;
use super::{Endpoint, Sourced, ValueSource, keys};
use crate::error::Result;
use crate::field::Field;

/// A role to assume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// ARN of the role.
    pub arn: Sourced<String>,
    /// External ID that the trust policy may require.
    pub external_id: Option<String>,
    /// Session name, which identifies the session in the audit logs of the account.
    pub session_name: Option<String>,
}

/// Determines the role.
pub(crate) fn resolve(inputs: &Inputs<'_>, endpoint: &Endpoint) -> Result<Option<Role>> {
    // Read before the ARN, so that they are refused without one.
    let external_id = inputs.in_file(keys::ROLE_EXTERNAL_ID);
    let session_name = inputs.in_file(keys::ROLE_SESSION_NAME);
    let Some(arn) = inputs.flag_or_file(
        Field::RoleArn,
        inputs.request.role_arn.as_ref(),
        keys::ROLE_ARN,
    )?
    else {
        return match external_id.or(session_name) {
            None => Ok(None),
            Some(orphan) => Err(orphan
                .source
                .error(format!("requires {} too", keys::ROLE_ARN))),
        };
    };

    if !is_role_arn(&arn.value) {
        return Err(arn
            .source
            .error("is not the ARN of a role")
            .with_hint("for example arn:aws:iam::123456789012:role/dump"));
    }

    // The embedded engine has no STS to assume a role with.
    if let Endpoint::Embedded { source, .. } = endpoint {
        return Err(arn.source.error(format!(
            "names a role, but the embedded engine ({source}) has none"
        )));
    }

    Ok(Some(Role {
        arn,
        external_id: external_id.map(value),
        session_name: session_name.map(value),
    }))
}

fn value(sourced: Sourced<String>) -> String {
    sourced.value
}

fn is_role_arn(arn: &str) -> bool {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [scheme, partition, service, region, account, resource] = parts[..] else {
        return false;
    };

    let name = resource.strip_prefix("role/").unwrap_or_default();
    scheme == "arn"
        && partition.starts_with("aws")
        && service == "iam"
        && region.is_empty()
        && is_account(account)
        && !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&byte))
}

/// Whether the text has the form of an AWS account ID.
fn is_account(id: &str) -> bool {
    id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit())
}

/// Determines the account that the credentials must belong to.
pub(crate) fn account(inputs: &Inputs<'_>) -> Result<Option<Sourced<String>>> {
    let account = inputs.file_or_process(keys::ACCOUNT)?;
    account.map(checked_account).transpose()
}

/// Checks that a value has the form of an AWS account ID.
pub(crate) fn checked_account(account: Sourced<String>) -> Result<Sourced<String>> {
    if is_account(&account.value) {
        Ok(account)
    } else {
        Err(account
            .source
            .error("is not an AWS account id of 12 digits"))
    }
}

impl Role {
    /// Source of the ARN.
    #[must_use]
    pub fn source(&self) -> &ValueSource {
        &self.arn.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_arns() {
        for arn in [
            "arn:aws:iam::123456789012:role/dump",
            "arn:aws-cn:iam::123456789012:role/a/b/c@d",
        ] {
            assert!(is_role_arn(arn), "{arn}");
        }

        for arn in [
            "dump",
            "arn:aws:iam::123456789012:user/dump",
            "arn:aws:iam::12345678901:role/dump",
            "arn:aws:iam:eu-west-1:123456789012:role/dump",
            "arn:aws:sts::123456789012:role/dump",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/a b",
        ] {
            assert!(!is_role_arn(arn), "{arn}");
        }
    }
}
