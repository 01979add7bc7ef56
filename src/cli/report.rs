//! The report of `--json`: one object on standard output, whatever happened. Its names are stable.

use serde::Serialize;
use serde_json::Value;

use super::exit;
use crate::error::{Error, ErrorKind, Result};

/// How a command ended that did not fail.
#[derive(Debug)]
pub(crate) enum CommandOutcome {
    /// It showed its plan and stopped.
    Planned(Value),
    /// It acted.
    Acted {
        /// What it did.
        summary: Value,
        /// Whether nothing was rejected and nothing differs.
        whole: bool,
    },
    /// It found a dump that is not whole.
    Damaged(Value),
    /// The reader of its standard output has gone before the end.
    Unread,
}

impl CommandOutcome {
    /// The end of a `--dry-run`.
    pub(crate) fn planned(plan: &impl Serialize) -> Result<Self> {
        Ok(Self::Planned(value(plan)?))
    }

    /// The end of a `--dry-run` that has tried a transform.
    pub(crate) fn tried(plan: &impl Serialize, trial: &impl Serialize) -> Result<Self> {
        let mut plan = value(plan)?;
        if let Value::Object(fields) = &mut plan {
            fields.insert("trial".to_owned(), value(trial)?);
        }

        Ok(Self::Planned(plan))
    }

    /// The end of a run.
    pub(crate) fn acted(summary: &impl Serialize, whole: bool) -> Result<Self> {
        Ok(Self::Acted {
            summary: value(summary)?,
            whole,
        })
    }

    /// The end of a check that found damage.
    pub(crate) fn damaged(summary: &impl Serialize) -> Result<Self> {
        Ok(Self::Damaged(value(summary)?))
    }
}

fn value(part: &impl Serialize) -> Result<Value> {
    serde_json::to_value(part)
        .map_err(|error| Error::failed("the report cannot be written").with_source(error))
}

/// The exit code of an ended command.
pub(crate) fn exit_code(outcome: &Result<CommandOutcome>) -> u8 {
    match outcome {
        Ok(CommandOutcome::Planned(_) | CommandOutcome::Acted { whole: true, .. }) => exit::DONE,
        Ok(CommandOutcome::Acted { whole: false, .. }) => exit::PARTIAL,
        Ok(CommandOutcome::Damaged(_)) => exit::DAMAGED,
        Ok(CommandOutcome::Unread) => exit::FAILED,
        Err(error) => exit::exit_code(error.kind()),
    }
}

#[derive(Serialize)]
struct Report<'a> {
    command: &'a str,
    version: &'a str,
    /// `done`, `planned`, `partial`, `not-confirmed`, `interrupted` or `failed`.
    outcome: &'a str,
    exit_code: u8,
    /// Every warning of the run, in the order in which they were shown.
    warnings: &'a [String],
    /// With `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorReport<'a>>,
}

#[derive(Serialize)]
struct ErrorReport<'a> {
    kind: &'a str,
    message: String,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    details: &'a [String],
    causes: Vec<String>,
    hint: Option<&'a str>,
}

/// The text of the report, with its line end.
///
/// # Errors
/// Never in practice: all parts are JSON already.
pub(crate) fn text(
    command: &str,
    outcome: &Result<CommandOutcome>,
    warnings: &[String],
) -> Result<String> {
    let mut report = Report {
        command,
        version: env!("CARGO_PKG_VERSION"),
        outcome: word(outcome),
        exit_code: exit_code(outcome),
        warnings,
        plan: None,
        summary: None,
        error: None,
    };

    match outcome {
        Ok(CommandOutcome::Planned(plan)) => report.plan = Some(plan),
        Ok(CommandOutcome::Acted { summary, .. } | CommandOutcome::Damaged(summary)) => {
            report.summary = Some(summary);
        }
        Ok(CommandOutcome::Unread) => {}
        Err(error) => {
            report.error = Some(ErrorReport {
                kind: exit::kind_name(error.kind()),
                message: error.to_string(),
                details: error.details(),
                causes: error.causes().collect(),
                hint: error.hint(),
            });
        }
    }

    let mut text = serde_json::to_string_pretty(&report)
        .map_err(|error| Error::failed("the report cannot be written").with_source(error))?;
    text.push('\n');

    Ok(text)
}

fn word(outcome: &Result<CommandOutcome>) -> &'static str {
    match outcome {
        Ok(CommandOutcome::Planned(_)) => "planned",
        Ok(CommandOutcome::Acted { whole: true, .. }) => "done",
        Ok(CommandOutcome::Acted { whole: false, .. }) => "partial",
        Ok(CommandOutcome::Damaged(_) | CommandOutcome::Unread) => "failed",
        Err(error) => match error.kind() {
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
    fn a_run_reports_its_summary() {
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
    fn a_failure_reports_itself() {
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
    fn a_plan_is_no_summary() {
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
