//! Checks of the configuration: every problem of the env file, and each value with its source.

use super::report::{CheckGroup, Checks, GroupChecks};
use crate::environment::{
    Environment, EnvironmentRequest, NamedSource, ProcessEnvironment, env_file_problems,
};
use crate::layout::sentence_case;
use crate::ops::guard;
use crate::store::diagnosis::RequestPath;
use crate::store::resolve_environment;

/// Checks the configuration. Returns the environment if requests may be sent to it.
pub(super) async fn check(
    checks: &mut Checks,
    request: &EnvironmentRequest,
    process: &ProcessEnvironment,
) -> Option<Environment> {
    let mut group = checks.group(CheckGroup::Configuration);
    let environment = match resolve_environment(request, process).await {
        Ok(environment) => environment,
        Err(error) => {
            // Of an env file with several broken lines, an error names the first.
            let problems = env_file_problems(request);
            if problems.is_empty() {
                group.problem("Environment", &error);
            }

            for problem in &problems {
                group.problem("Env file", problem);
            }

            return None;
        }
    };

    add_values(&mut group, &environment);
    match guard::check_connection(&environment) {
        Ok(warnings) => {
            for warning in warnings {
                group.warning("Connection", warning, "");
            }
            Some(environment)
        }
        Err(refusal) => {
            group.problem("Connection", &refusal);
            None
        }
    }
}

/// Adds a row for each value with its source.
fn add_values(group: &mut GroupChecks<'_>, environment: &Environment) {
    for NamedSource {
        name,
        value,
        source,
    } in environment.sources()
    {
        // The group of the credentials describes them.
        if let Some(value) = value {
            group.ok(&sentence_case(name), format!("{value} ({source})"));
        }
    }

    if let Some(account) = environment.account() {
        let finding = format!("{} is required ({})", account.value, account.source);
        group.ok("Account", finding);
    }

    let word = if environment.is_protected() {
        "on: a write must be confirmed with the name of the table"
    } else {
        "off"
    };
    let reason = environment.protection_reason();
    group.ok("Protection", format!("{word} ({reason})"));
}

/// Adds the region if the environment does not name it.
pub(super) fn check_region(checks: &mut Checks, environment: &Environment, path: &RequestPath) {
    if environment.region().is_none() {
        let mut group = checks.group(CheckGroup::Configuration);
        let finding = format!("{} (AWS configuration)", path.region());
        group.ok("Region", finding);
    }
}
