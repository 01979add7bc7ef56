//! Protection of environments: writing to a protected one must be confirmed with the name of the
//! table.
//!
//! Protected by default are all names with the word `prod` or `production` (`dev-prod`, `PROD2`,
//! but not `pre-prod`), and all names at a remote endpoint except `local` and those that start with
//! the word `dev`, `test` or `staging`. Words are separated by `-`, `.` and `_` and may end with
//! digits.
//!
//! `DYNADUMP_PROTECTED` in the env file overrides the default. In the process environment it can
//! only add protection, because one exported variable must not unprotect all environments.

use super::inputs::Inputs;
use super::{Endpoint, Sourced, ValueSource, keys};
use crate::error::Result;
use crate::field::Field;

/// Whether the environment `name` is protected, and the setting that decides it.
pub(crate) fn resolve(inputs: &Inputs<'_>, name: &str, local: bool) -> Result<Sourced<bool>> {
    let set = |setting: Sourced<String>| {
        Ok(Sourced {
            value: yes_or_no(&setting)?,
            source: setting.source,
        })
    };
    // The file belongs to one environment, so it may also remove protection.
    if let Some(setting) = inputs.in_file(keys::PROTECTED) {
        return set(setting);
    }

    let by_default = by_default(name, local);
    let Some(setting) = inputs.in_process(keys::PROTECTED)? else {
        return Ok(Sourced {
            value: by_default,
            source: ValueSource::Default,
        });
    };

    let wanted = yes_or_no(&setting)?;
    // Ignoring the variable would be confusing: an error says why it has no effect.
    if by_default && !wanted {
        let what =
            format!("cannot remove the protection of environment {name:?}; only an env file can");
        return Err(setting.source.error(what).with_hint(format!(
            "unset it, and answer a restore with {confirm} <table>",
            confirm = Field::Confirm
        )));
    }

    set(setting)
}

/// Why an environment is protected or not, in words.
pub(crate) fn reason(name: &str, local: bool, source: &ValueSource) -> String {
    match source {
        ValueSource::File { path, line, key } => format!("{key} in {} line {line}", path.display()),
        ValueSource::Default if is_production(name) => "its name is one of production".to_owned(),
        ValueSource::Default if local => "the endpoint is local".to_owned(),
        ValueSource::Default if is_for_tests(name) => {
            "its name is one of development or tests".to_owned()
        }
        ValueSource::Default => "the endpoint is not local".to_owned(),
        source => source.to_string(),
    }
}

/// The source of `LOCAL_AWS_ENDPOINT`, which is meant for local engines, if it names the endpoint of a production environment.
pub(crate) fn misplaced_endpoint(name: &str, endpoint: &Endpoint) -> Option<String> {
    let source = endpoint.source()?;
    if !is_production(name) || !source.is_key(keys::LOCAL_ENDPOINT) {
        return None;
    }

    Some(match source {
        ValueSource::File { path, line, key } => format!("{key} in {} line {line}", path.display()),
        source => source.to_string(),
    })
}

fn yes_or_no(setting: &Sourced<String>) -> Result<bool> {
    match setting.value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(setting.source.error("must be true or false")),
    }
}

fn by_default(name: &str, local: bool) -> bool {
    is_production(name) || !(local || is_for_tests(name))
}

/// Whether a word of the name is `prod` or `production` and the word before it does not negate it.
fn is_production(name: &str) -> bool {
    let words: Vec<String> = words(name).map(str::to_ascii_lowercase).collect();
    let is_negated =
        |before: Option<&String>| before.is_some_and(|word| matches!(word.as_str(), "non" | "pre"));
    (0..words.len()).any(|at| {
        let before = at.checked_sub(1).and_then(|before| words.get(before));
        matches!(words[at].as_str(), "prod" | "production") && !is_negated(before)
    })
}

/// Whether the name is `local` or its first word means development, tests or staging. Letter case
/// matters: in doubt, an environment is protected.
fn is_for_tests(name: &str) -> bool {
    const WORDS: [&str; 8] = [
        "dev",
        "devel",
        "develop",
        "development",
        "test",
        "tests",
        "testing",
        "staging",
    ];

    name == "local"
        || words(name)
            .next()
            .is_some_and(|first| WORDS.contains(&first))
}

/// The words of a name, without digits at their ends.
fn words(name: &str) -> impl Iterator<Item = &str> {
    name.split(['-', '.', '_'])
        .map(|word| word.trim_end_matches(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_protected_by_default() {
        for (name, at_local_endpoint, elsewhere) in [
            ("prod", true, true),
            ("production-eu", true, true),
            ("PROD", true, true),
            ("prod2", true, true),
            ("dev-prod", true, true),
            ("test-production", true, true),
            ("eu.Prod.orders", true, true),
            ("my_PRODUCTION", true, true),
            ("pre-prod-prod", true, true),
            ("pre-prod", false, true),
            ("Non_Prod", false, true),
            ("nonprod", false, true),
            ("dev-nonprod", false, false),
            ("dev-non-prod", false, false),
            ("products", false, true),
            ("reproduction", false, true),
            ("local", false, false),
            ("locals", false, true),
            ("local-anna", false, true),
            ("dev", false, false),
            ("dev-anna", false, false),
            ("dev2", false, false),
            ("development", false, false),
            ("develop.eu", false, false),
            ("devices", false, true),
            ("testimonials", false, true),
            ("test2", false, false),
            ("testing", false, false),
            ("staging-eu", false, false),
            ("stage", false, true),
            ("stagings", false, true),
            ("eu-dev", false, true),
            ("qa", false, true),
            ("Dev", false, true),
            ("no-env", false, true),
        ] {
            assert_eq!(
                (by_default(name, true), by_default(name, false)),
                (at_local_endpoint, elsewhere),
                "{name}"
            );
        }
    }
}
