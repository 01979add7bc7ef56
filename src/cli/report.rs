//! The `--json` report: one object on standard output, also after an error. Field names are stable.

use serde::Serialize;
use serde_json::Value;

use super::exit;
use crate::error::{Error, ErrorKind, Result};

/// The outcome of a command that did not fail.
#[derive(Debug)]
pub(crate) enum CommandOutcome {
    /// Dry run: the plan, and what a trial of the transform has found.
    Planned(Value),
    /// The command ran to its end.
    Acted {
        summary: Value,
        /// Whether nothing was rejected, nothing differs and no setting failed.
        is_complete: bool,
    },
    /// The verified dump is damaged.
    Damaged(Value),
    /// Dry run of a command for several tables.
    PlannedTables { plan: Value, exit_code: u8 },
    /// A command for several tables ran to its end, or was interrupted. Each table has its own outcome.
    Tables { summary: Value, exit_code: u8 },
    /// A diagnosis, with the exit code of its first problem.
    Diagnosed { summary: Value, exit_code: u8 },
    /// The reader of standard output closed the pipe before the last item.
    Unread,
}

impl CommandOutcome {
    /// The outcome of a dry run without a trial.
    pub(crate) fn planned(plan: &impl Serialize) -> Result<Self> {
        Ok(Self::Planned(to_value(plan)?))
    }

    /// The outcome of a dry run that has read items; `trial` becomes a field of the plan.
    pub(crate) fn planned_with_trial(
        plan: &impl Serialize,
        trial: &impl Serialize,
    ) -> Result<Self> {
        let mut plan = to_value(plan)?;
        if let Value::Object(fields) = &mut plan {
            fields.insert("trial".to_owned(), to_value(trial)?);
        }

        Ok(Self::Planned(plan))
    }

    /// The outcome of a command that ran to its end.
    pub(crate) fn acted(summary: &impl Serialize, is_complete: bool) -> Result<Self> {
        Ok(Self::Acted {
            summary: to_value(summary)?,
            is_complete,
        })
    }

    /// The outcome of a diagnosis.
    pub(crate) fn diagnosed(summary: &impl Serialize, exit_code: u8) -> Result<Self> {
        Ok(Self::Diagnosed {
            summary: to_value(summary)?,
            exit_code,
        })
    }

    /// The outcome of a check that found damage.
    pub(crate) fn damaged(summary: &impl Serialize) -> Result<Self> {
        Ok(Self::Damaged(to_value(summary)?))
    }
}

pub(crate) fn to_value(part: &impl Serialize) -> Result<Value> {
    serde_json::to_value(part)
        .map_err(|error| Error::failed("the report cannot be written").with_source(error))
}

/// The exit code for an outcome.
pub(crate) fn exit_code(outcome: &Result<CommandOutcome>) -> u8 {
    match outcome {
        Ok(
            CommandOutcome::Planned(_)
            | CommandOutcome::Acted {
                is_complete: true, ..
            },
        ) => exit::DONE,
        Ok(CommandOutcome::Acted {
            is_complete: false, ..
        }) => exit::PARTIAL,
        Ok(CommandOutcome::Damaged(_)) => exit::DAMAGED,
        Ok(
            CommandOutcome::PlannedTables { exit_code, .. }
            | CommandOutcome::Tables { exit_code, .. }
            | CommandOutcome::Diagnosed { exit_code, .. },
        ) => *exit_code,
        Ok(CommandOutcome::Unread) => exit::FAILED,
        Err(error) => exit::of_error(error.kind()).code,
    }
}

/// The JSON object.
#[derive(Serialize)]
struct Report<'a> {
    command: &'a str,
    version: &'a str,
    /// `done`, `planned`, `partial`, `not-confirmed`, `interrupted` or `failed`.
    outcome: &'a str,
    exit_code: u8,
    /// All warnings, in the order in which they were printed.
    warnings: &'a [String],
    /// Only with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport<'a>>,
}

/// The error of a failed command.
#[derive(Serialize)]
struct ErrorReport<'a> {
    kind: &'a str,
    message: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    details: &'a [String],
    causes: Vec<String>,
    hint: Option<&'a str>,
}

impl<'a> ErrorReport<'a> {
    fn new(error: &'a Error) -> Self {
        Self {
            kind: exit::of_error(error.kind()).kind,
            message: error.to_string(),
            details: error.details(),
            causes: error.causes().collect(),
            hint: error.hint(),
        }
    }
}

/// An error as part of a summary.
pub(crate) fn error_report(error: &Error) -> Result<Value> {
    to_value(&ErrorReport::new(error))
}

/// The report as text with a trailing newline.
///
/// # Errors
/// Never in practice: all parts are JSON values already.
pub(crate) fn text(
    command: &str,
    outcome: &Result<CommandOutcome>,
    warnings: &[String],
) -> Result<String> {
    let mut report = Report {
        command,
        version: env!("CARGO_PKG_VERSION"),
        outcome: outcome_name(outcome),
        exit_code: exit_code(outcome),
        warnings,
        plan: None,
        summary: None,
        error: None,
    };

    match outcome {
        Ok(CommandOutcome::Planned(plan) | CommandOutcome::PlannedTables { plan, .. }) => {
            report.plan = Some(plan);
        }
        Ok(
            CommandOutcome::Acted { summary, .. }
            | CommandOutcome::Damaged(summary)
            | CommandOutcome::Diagnosed { summary, .. }
            | CommandOutcome::Tables { summary, .. },
        ) => {
            report.summary = Some(summary);
        }
        Ok(CommandOutcome::Unread) => {}
        Err(error) => report.error = Some(ErrorReport::new(error)),
    }

    let mut text = serde_json::to_string_pretty(&report)
        .map_err(|error| Error::failed("the report cannot be written").with_source(error))?;
    text.push('\n');

    Ok(text)
}

fn outcome_name(outcome: &Result<CommandOutcome>) -> &'static str {
    match outcome {
        Ok(CommandOutcome::Planned(_) | CommandOutcome::PlannedTables { .. }) => "planned",
        Ok(CommandOutcome::Tables { exit_code, .. }) => match *exit_code {
            exit::DONE => "done",
            exit::INTERRUPTED => "interrupted",
            _ => "partial",
        },
        Ok(
            CommandOutcome::Acted {
                is_complete: true, ..
            }
            | CommandOutcome::Diagnosed {
                exit_code: exit::DONE,
                ..
            },
        ) => "done",
        Ok(CommandOutcome::Acted {
            is_complete: false, ..
        }) => "partial",
        Ok(
            CommandOutcome::Damaged(_) | CommandOutcome::Diagnosed { .. } | CommandOutcome::Unread,
        ) => "failed",
        Err(error) => match error.kind() {
            // With `--strict`, a rejected item is an error, but some items may have been written.
            ErrorKind::Rejected => "partial",
            ErrorKind::NotConfirmed => "not-confirmed",
            ErrorKind::Interrupted => "interrupted",
            _ => "failed",
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(outcome: &Result<CommandOutcome>) -> Value {
        serde_json::from_str(&text("restoredb", outcome, &["look".to_owned()]).unwrap()).unwrap()
    }

    #[test]
    fn report_of_a_run_has_its_summary() {
        let report = report(&CommandOutcome::acted(
            &json!({ "items_written": 3 }),
            false,
        ));
        assert_eq!(
            report,
            json!({
                "command": "restoredb",
                "version": env!("CARGO_PKG_VERSION"),
                "outcome": "partial",
                "exit_code": 3,
                "warnings": ["look"],
                "summary": { "items_written": 3 },
            })
        );
    }

    #[test]
    fn report_of_an_error_has_its_causes_and_hint() {
        let error = Error::not_found("no answer")
            .with_source(std::io::Error::other("refused"))
            .with_hint("start it");
        let report = report(&Err(error));
        assert_eq!(report["outcome"], "failed");
        assert_eq!(report["exit_code"], 11);
        assert_eq!(
            report["error"],
            json!({ "kind": "not-found", "message": "no answer", "causes": ["refused"], "hint": "start it" })
        );
    }

    #[test]
    fn report_of_a_dry_run_has_a_plan_and_no_summary() {
        let report = report(&CommandOutcome::planned(&json!({ "items": 3 })));
        assert_eq!(
            (&report["outcome"], &report["exit_code"]),
            (&json!("planned"), &json!(0))
        );
        assert_eq!(
            (report.get("summary"), &report["plan"]["items"]),
            (None, &json!(3))
        );
    }
}
