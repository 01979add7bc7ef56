//! The rows of a diagnosis, and what they mean for its exit code.

use serde::Serialize;

use crate::error::{Error, ErrorKind};

/// Result of a diagnosis.
#[derive(Debug, Clone, Serialize)]
pub struct Diagnosis {
    /// Name of the environment.
    pub environment: String,
    /// Number of problems.
    pub problems: usize,
    /// Number of warnings.
    pub warnings: usize,
    /// The checks, by group.
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What it is about.
    pub group: CheckGroup,
    /// Name of the check within its group.
    pub name: String,
    /// Its result.
    pub state: CheckState,
    /// What was found, or why the check was skipped.
    pub finding: String,
    /// What to do.
    pub hint: Option<String>,
    /// Kind of a problem.
    #[serde(skip)]
    kind: Option<ErrorKind>,
}

/// The subject of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckGroup {
    /// Values and their sources.
    Configuration,
    /// Proxy, host name, port, TLS, clock.
    Connection,
    /// Credentials, identity and account.
    Credentials,
    /// The tables.
    Table,
    /// IAM actions.
    Permissions,
    /// State directory, interrupted commands, output folder.
    Files,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckState {
    /// As it should be.
    Ok,
    /// A dump works, but something is missing or unusual.
    Warning,
    /// A dump fails.
    Problem,
    /// Not checked.
    Skipped,
}

/// The checks so far.
#[derive(Debug, Default)]
pub(super) struct Checks(Vec<Check>);

/// The checks of one group.
pub(super) struct GroupChecks<'a> {
    group: CheckGroup,
    checks: &'a mut Vec<Check>,
}

impl Checks {
    pub(super) fn group(&mut self, group: CheckGroup) -> GroupChecks<'_> {
        GroupChecks {
            group,
            checks: &mut self.0,
        }
    }
}

impl GroupChecks<'_> {
    pub(super) fn ok(&mut self, name: &str, finding: impl Into<String>) {
        self.add(name, CheckState::Ok, finding.into(), None);
    }

    pub(super) fn warning(
        &mut self,
        name: &str,
        finding: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let hint = Some(hint.into()).filter(|hint| !hint.is_empty());
        self.add(name, CheckState::Warning, finding.into(), hint);
    }

    pub(super) fn problem(&mut self, name: &str, error: &Error) {
        let hint = error.hint().map(ToOwned::to_owned);
        self.add(name, CheckState::Problem, finding(error), hint);
        if let Some(added) = self.checks.last_mut() {
            added.kind = Some(error.kind());
        }
    }

    pub(super) fn skipped(&mut self, name: &str, reason: impl AsRef<str>) {
        let finding = format!("not checked: {}", reason.as_ref());
        self.add(name, CheckState::Skipped, finding, None);
    }

    /// Like [`skipped`](Self::skipped), with what to do.
    pub(super) fn skipped_with_hint(&mut self, name: &str, reason: &str, hint: impl Into<String>) {
        self.skipped(name, reason);
        if let Some(added) = self.checks.last_mut() {
            added.hint = Some(hint.into());
        }
    }

    fn add(&mut self, name: &str, state: CheckState, finding: String, hint: Option<String>) {
        self.checks.push(Check {
            group: self.group,
            name: name.to_owned(),
            state,
            finding,
            hint,
            kind: None,
        });
    }
}

impl Diagnosis {
    pub(super) fn new(environment: &str, checks: Checks) -> Self {
        let Checks(mut checks) = checks;
        // The sort is stable, so checks keep their order within a group.
        checks.sort_by_key(|check| check.group);
        let count = |state| checks.iter().filter(|check| check.state == state).count();

        Self {
            environment: environment.to_owned(),
            problems: count(CheckState::Problem),
            warnings: count(CheckState::Warning),
            checks,
        }
    }

    /// What is wrong, by the first problem: [`NotFound`](ErrorKind::NotFound) for a table, a folder or an endpoint, otherwise
    /// [`Environment`](ErrorKind::Environment). `None` without a problem.
    #[must_use]
    pub fn failure(&self) -> Option<ErrorKind> {
        let kind = self.checks.iter().find_map(|check| check.kind)?;

        Some(match kind {
            ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Environment,
        })
    }
}

/// An error and its innermost cause on one line.
pub(super) fn finding(error: &Error) -> String {
    let message = error.to_string();
    match error.causes().last() {
        Some(cause) if !message.contains(&cause) => format!("{message}: {cause}"),
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_problem_decides_and_warnings_do_not() {
        let kinds = |errors: &[Error]| {
            let mut checks = Checks::default();
            checks.group(CheckGroup::Files).warning("state", "odd", "");
            for error in errors {
                checks.group(CheckGroup::Table).problem("films", error);
            }

            Diagnosis::new("dev", checks).failure()
        };

        assert_eq!(kinds(&[]), None);
        for (errors, kind) in [
            (vec![Error::not_found("a")], ErrorKind::NotFound),
            (vec![Error::failed("a")], ErrorKind::Environment),
            (
                vec![Error::environment("a"), Error::not_found("b")],
                ErrorKind::Environment,
            ),
        ] {
            assert_eq!(kinds(&errors), Some(kind));
        }
    }

    #[test]
    fn a_cause_is_part_of_the_finding_unless_the_message_has_it() {
        let error = Error::not_found("no response").with_source(std::io::Error::other("refused"));
        assert_eq!(finding(&error), "no response: refused");

        let error = Error::failed("it was refused").with_source(std::io::Error::other("refused"));
        assert_eq!(finding(&error), "it was refused");
    }
}
