//! The specification of the guard: each row has facts and options, and the findings that follow from them.

mod connection;
mod dump;
mod restore;
mod resume;
mod verify;

use super::Findings;
use crate::error::Result;

/// The findings as text: `refused (Usage): …`, `warning: …`, `question: …`.
fn lines(findings: Result<Findings>) -> Vec<String> {
    let findings = match findings {
        Ok(findings) => findings,
        Err(error) => return vec![format!("refused ({:?}): {error}", error.kind())],
    };

    let warnings = findings.warnings.iter();
    let questions = findings.questions.iter();
    warnings
        .map(|warning| format!("warning: {warning}"))
        .chain(questions.map(|question| format!("question: {question}")))
        .collect()
}
