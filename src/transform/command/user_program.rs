//! A program of the user: how it is started, named in messages, and how its answers are read.

use std::fmt;
use std::process::Command;

use bytes::Bytes;

use crate::field::Field;
use crate::transform::outcome::Outcome;

/// A program that answers items on its standard output.
pub(crate) trait UserProgram: fmt::Debug + Send + Sync {
    /// The command that starts a process of it.
    fn command(&self) -> Command;

    /// The field that names it; starts the lines of its standard error.
    fn field(&self) -> Field;

    /// Its name in errors.
    fn name(&self) -> String;

    /// The answer in a line for `item`.
    ///
    /// # Errors
    /// The line is not an answer, so the lines after it cannot be trusted either.
    fn parse_answer(&self, item: &Bytes, line: &[u8]) -> Result<Answer, InvalidAnswer>;

    /// What to do if a line is not an answer, or if there are too many lines.
    fn output_hint(&self) -> &'static str;

    /// What to do if it does not answer in time.
    fn timeout_hint(&self) -> String;

    /// Warnings after the last item.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Answer of a program to an item.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    /// Where the program failed, if the item was rejected and the user wants to see that.
    pub(crate) traceback: Option<String>,
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            traceback: None,
        }
    }
}

/// A line that is not an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidAnswer;
