//! The guard: every refusal, warning and question before a command changes something.
//!
//! It is a pure function from facts and the options of the command to findings. Facts arrive in stages: the environment, the table, the
//! planned changes, the checked dump. Until then they are [`Unknown`](Fact::Unknown). Each plan consults the guard after each stage. It
//! refuses as soon as a refusal is certain; after the last stage, its warnings and questions are complete. The questions are then
//! asked together, and [`Approval`](crate::environment::Approval) turns the answers into a confirmation.
//!
//! A finding is a rule: one function in the file of its subject, in the list of the commands that it applies to. Findings are shown in
//! the order of these lists. `tests/` specifies each rule as rows of facts, options and the finding.

mod connection;
mod dump;
mod restore;
mod resume;
#[cfg(test)]
mod tests;
mod verify;

pub(crate) use connection::{Connection, check_connection};
pub(crate) use dump::{DumpFacts, DumpedTable, dump};
pub(crate) use restore::{
    BoostChange, CheckedSource, RestoreFacts, Resume, TableChanges, Target, restore, stuck,
};
pub(crate) use resume::{
    asks_to_resume_dump, asks_to_resume_restore, asks_to_resume_set_dump, discarded_dump,
    question as resume_question, set_question as resume_set_question,
};
pub(crate) use verify::{ComparedDump, ComparedTables, ComparisonFacts, compare};

use crate::environment::Question;
use crate::error::{Error, Result};

/// A fact, which may not be known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fact<T> {
    /// A later stage finds it out.
    #[default]
    Unknown,
    /// Known, and final.
    Known(T),
}

impl<T> Fact<T> {
    /// The fact, if it is known.
    fn known(&self) -> Option<&T> {
        match self {
            Self::Unknown => None,
            Self::Known(fact) => Some(fact),
        }
    }
}

/// Result of one rule.
#[derive(Debug)]
enum Finding {
    /// The command must not continue.
    Refusal(Error),
    /// The user should know this.
    Warning(String),
    /// The user must accept this risk.
    Question(Question),
}

/// A warning.
fn warning(text: impl Into<String>) -> Finding {
    Finding::Warning(text.into())
}

/// The findings of a command that is not refused, in the order in which they are shown.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) warnings: Vec<String>,
    pub(crate) questions: Vec<Question>,
    /// What the command does, as the beginning of a question; `None` if it changes nothing that must be confirmed.
    pub(crate) action: Option<String>,
}

impl Findings {
    /// Applies rules to facts. A rule whose facts are unknown finds nothing.
    ///
    /// # Errors
    /// The first refusal.
    fn extend<F>(&mut self, facts: &F, rules: &[fn(&F) -> Option<Finding>]) -> Result<()> {
        for rule in rules {
            match rule(facts) {
                None => {}
                Some(Finding::Refusal(error)) => return Err(error),
                Some(Finding::Warning(text)) => self.warnings.push(text),
                Some(Finding::Question(question)) => self.questions.push(question),
            }
        }

        Ok(())
    }
}
