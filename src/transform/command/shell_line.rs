//! A command line as a program.

use std::process::{Command, Stdio};

use bytes::Bytes;

use super::answer;
use super::user_program::{Answer, InvalidAnswer, UserProgram};
use crate::error::{Error, Result};
use crate::field::Field;

/// Shell script that fails if there is no program with the name in `$1`.
const PROGRAM_EXISTS_SCRIPT: &str = "command -v -- \"$1\" >/dev/null 2>&1";

/// A line for `sh -c` whose program exists.
#[derive(Debug)]
pub(crate) struct ShellLine(String);

impl ShellLine {
    /// Checks that the program exists, as far as possible without running it.
    pub(crate) fn new(line: String) -> Result<Self> {
        let word = line.split_whitespace().next().unwrap_or_default();
        if word.is_empty() {
            return Err(Error::usage(format!("{} is empty", Field::Command))
                .with_hint("name a program, as in 'python3 t.py'"));
        }

        // Anything else, such as `FOO=1` or a quote, is shell syntax, which only the shell can
        // judge.
        let is_plain = word
            .chars()
            .all(|c| c.is_alphanumeric() || "/._+-".contains(c));
        if is_plain && !program_exists(word)? {
            return Err(
                Error::usage(format!("{}: program not found: `{word}`", Field::Command)).with_hint(
                    "check its spelling, that it is in PATH, and that it may be executed",
                ),
            );
        }

        Ok(Self(line))
    }
}

impl UserProgram for ShellLine {
    fn command(&self) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", &self.0]);
        command
    }

    fn field(&self) -> Field {
        Field::Command
    }

    fn name(&self) -> String {
        format!("the command of {}", Field::Command)
    }

    fn parse_answer(&self, item: &Bytes, line: &[u8]) -> Result<Answer, InvalidAnswer> {
        answer::outcome(item, line).map(Answer::from)
    }

    fn output_hint(&self) -> &'static str {
        "it must print one line for each line it reads: an item, {\"skip\":true} or {\"error\":\"…\"}; messages belong on standard error"
    }

    fn timeout_hint(&self) -> String {
        format!(
            "if it needs longer, raise {}; if it buffers its output, make it flush each line (python3 -u, jq --unbuffered)",
            Field::CommandTimeout
        )
    }
}

/// Whether the shell finds a program, builtin or function with this name.
fn program_exists(name: &str) -> Result<bool> {
    let status = Command::new("sh")
        .args(["-c", PROGRAM_EXISTS_SCRIPT, "sh", name])
        .stdin(Stdio::null())
        .status();
    status.map(|status| status.success()).map_err(|error| {
        Error::failed(format!(
            "{} needs a shell, and sh cannot be run",
            Field::Command
        ))
        .with_source(error)
    })
}
