//! Rules about an environment that a command connects to.

use super::{Finding, Findings, warning};
use crate::environment::{Endpoint, Environment};
use crate::error::{Error, Result};
use crate::field::Field;

/// The connection of an environment.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent fact")]
pub(crate) struct Connection {
    pub(crate) environment: String,
    pub(crate) endpoint: String,
    pub(crate) is_protected: bool,
    /// Whether requests leave this machine without encryption.
    pub(crate) is_plain_text: bool,
    /// `--allow-insecure-endpoint`.
    pub(crate) allows_plain_text: bool,
    /// Whether it is an embedded database without a file.
    pub(crate) is_in_memory: bool,
    /// The setting that names the endpoint, if it is meant for local engines and the environment is one of production.
    pub(crate) misplaced_endpoint: Option<String>,
}

/// The rules for every command.
pub(super) const RULES: &[fn(&Connection) -> Option<Finding>] =
    &[unencrypted, production_at_a_local_endpoint];

impl Connection {
    /// The connection of an environment.
    pub(crate) fn new(environment: &Environment) -> Self {
        Self {
            environment: environment.name().to_owned(),
            endpoint: environment.endpoint().to_string(),
            is_protected: environment.is_protected(),
            is_plain_text: environment.endpoint().is_plain_text(),
            allows_plain_text: environment.allows_insecure_endpoint(),
            is_in_memory: matches!(
                environment.endpoint(),
                Endpoint::Embedded { file: None, .. }
            ),
            misplaced_endpoint: environment.misplaced_endpoint(),
        }
    }
}

/// Applies the rules to an environment before the first request to it, and returns the warnings.
///
/// # Errors
/// The connection is refused.
pub(crate) fn check_connection(environment: &Environment) -> Result<Vec<String>> {
    let mut findings = Findings::default();
    findings.extend(&Connection::new(environment), RULES)?;

    Ok(findings.warnings)
}

/// Without encryption, others on the network can read the items and the session token, and change what is written.
fn unencrypted(facts: &Connection) -> Option<Finding> {
    let (name, endpoint) = (&facts.environment, &facts.endpoint);
    if !facts.is_plain_text {
        return None;
    }

    if facts.is_protected && !facts.allows_plain_text {
        let error = Error::environment(format!(
            "the connection to the protected environment {name} would not be encrypted: {endpoint}"
        ))
        .with_hint(format!(
            "use an https:// endpoint; in a network that you trust, pass {}",
            Field::AllowInsecureEndpoint
        ));
        return Some(Finding::Refusal(error));
    }

    Some(warning(format!(
        "The connection to {endpoint} is not encrypted. Others on the network can read and change items, and reuse the session token."
    )))
}

fn production_at_a_local_endpoint(facts: &Connection) -> Option<Finding> {
    let (name, endpoint) = (&facts.environment, &facts.endpoint);
    let setting = facts.misplaced_endpoint.as_ref()?;
    Some(warning(format!(
        "The endpoint of environment {name} is {endpoint} ({setting}). This variable is for local engines: remove it if {name} is \
         an environment on AWS."
    )))
}
