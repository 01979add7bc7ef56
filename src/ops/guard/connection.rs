//! Rules about an environment that a command connects to.

use super::{Finding, warning};
use crate::environment::{Endpoint, Environment};

/// The connection of an environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connection {
    pub(crate) environment: String,
    pub(crate) endpoint: String,
    /// Whether it is an embedded database without a file.
    pub(crate) is_in_memory: bool,
    /// The setting that names the endpoint, if it is meant for local engines and the environment is one of production.
    pub(crate) misplaced_endpoint: Option<String>,
}

/// The rules for every command.
pub(super) const RULES: &[fn(&Connection) -> Option<Finding>] = &[production_at_a_local_endpoint];

impl Connection {
    /// The connection of an environment.
    pub(crate) fn new(environment: &Environment) -> Self {
        Self {
            environment: environment.name().to_owned(),
            endpoint: environment.endpoint().to_string(),
            is_in_memory: matches!(
                environment.endpoint(),
                Endpoint::Embedded { file: None, .. }
            ),
            misplaced_endpoint: environment.misplaced_endpoint(),
        }
    }
}

fn production_at_a_local_endpoint(facts: &Connection) -> Option<Finding> {
    let (name, endpoint) = (&facts.environment, &facts.endpoint);
    let setting = facts.misplaced_endpoint.as_ref()?;
    warning(format!(
        "The endpoint of environment {name} is {endpoint} ({setting}). This variable is for local engines: remove it if {name} is \
         an environment on AWS."
    ))
}
