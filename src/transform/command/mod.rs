//! A program of the user's as a step: JSON lines of items on its standard input, one line for each on its standard output.
//!
//! Several copies run side by side; chunk `n` goes to copy `n` modulo their number, so that order costs nothing. Programs hold
//! their output back in buffers, so each copy is sent more before it has answered, up to [`UNANSWERED_BYTES`]. One that has all
//! it can want and answers nothing for the time-out is killed, with all it started. What it prints on standard error is told.

mod answer;
mod child;
mod complaints;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use self::child::Copy;
use super::lane::{Job, Lane};
use super::runner::Segment;
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::item::KeySchema;

/// Bytes of items that one copy may owe answers for. Programs that buffer their output (4 to 64 KB, as a rule) answer only when
/// that is full.
const UNANSWERED_BYTES: usize = 16 * 1024 * 1024;

/// Time-out unless told.
const TIMEOUT: Duration = Duration::from_mins(1);

/// What the shell answers when there is no such program.
const NOT_FOUND: &str = "command -v -- \"$1\" >/dev/null 2>&1";

/// A program to send items through.
#[derive(Debug, Clone)]
pub struct CommandSpec {
    /// A line for `sh -c`: quotes, variables and pipes work as in a terminal.
    pub line: String,
    /// Copies to run side by side; one for each thread if `None`.
    pub jobs: Option<NonZeroUsize>,
    /// How long a copy that has all it can want may go without an answer.
    pub timeout: Duration,
}

impl CommandSpec {
    /// This line, with as many copies as threads, and a time-out of a minute.
    pub fn new(line: impl Into<String>) -> Self {
        Self {
            line: line.into(),
            jobs: None,
            timeout: TIMEOUT,
        }
    }
}

/// A checked command.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    spec: Arc<CommandSpec>,
    /// Names items in errors by their key; by their beginning if `None`.
    key: Option<KeySchema>,
    /// Whether values are masked, so that neither items nor what the program prints are shown.
    is_quiet: bool,
}

impl Command {
    /// Checks that there is such a program, as far as that can be told without running it.
    pub(crate) fn new(spec: CommandSpec) -> Result<Self> {
        let word = spec.line.split_whitespace().next().unwrap_or_default();
        if word.is_empty() {
            return Err(Error::usage("--transform-command is empty")
                .with_hint("name a program, as in 'python3 t.py'"));
        }

        let plain = word
            .chars()
            .all(|c| c.is_alphanumeric() || "/._+-".contains(c));
        if plain && !exists(word)? {
            return Err(
                Error::usage(format!("--transform-command: there is no program `{word}`"))
                    .with_hint(
                        "check its spelling, that it is in PATH, and that it may be executed",
                    ),
            );
        }

        Ok(Self {
            spec: Arc::new(spec),
            key: None,
            is_quiet: false,
        })
    }

    /// The same, whose errors name items by their key.
    pub(crate) fn named_by(&self, key: Option<&KeySchema>) -> Self {
        Self {
            key: key.cloned(),
            ..self.clone()
        }
    }

    /// The same; with `is_quiet`, neither items nor what the program prints are shown.
    pub(crate) fn quiet(self, is_quiet: bool) -> Self {
        Self { is_quiet, ..self }
    }
}

/// Asks the shell.
fn exists(word: &str) -> Result<bool> {
    let asked = process::Command::new("sh")
        .args(["-c", NOT_FOUND, "sh", word])
        .stdin(process::Stdio::null())
        .status();
    asked.map(|status| status.success()).map_err(|error| {
        Error::failed("--transform-command needs a shell, and sh cannot be run").with_source(error)
    })
}

/// The running copies.
pub(crate) struct Commands {
    lane: Arc<Lane>,
    copies: Vec<Copy>,
    next: AtomicUsize,
}

impl Commands {
    pub(crate) fn start(
        command: &Command,
        threads: NonZeroUsize,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<Self> {
        let jobs = command.spec.jobs.unwrap_or(threads).get();
        // What is under way is bounded by what the copies owe, not by chunks: a copy that holds answers back needs more of them.
        let lane = Arc::new(Lane::new(u64::MAX, jobs));
        let copies = (0..jobs)
            .map(|_| Copy::start(command, &lane, reporter))
            .collect::<Result<_>>()?;
        Ok(Self {
            lane,
            copies,
            next: AtomicUsize::new(0),
        })
    }
}

impl Segment for Commands {
    fn push(&self, job: Result<Job>) -> bool {
        let Some(place) = self.lane.place() else {
            return false;
        };

        match job {
            Ok(job) => {
                let copy = self.next.fetch_add(1, Ordering::Relaxed) % self.copies.len();
                self.copies[copy].send(place, job);
            }
            Err(error) => self.lane.finish(place, Err(error)),
        }

        true
    }

    fn close(&self) {
        self.copies.iter().for_each(Copy::close);
        self.lane.close();
    }

    fn pull(&self) -> Option<Result<Job>> {
        self.lane.pull()
    }

    fn cancel(&self) {
        self.lane.cancel();
        self.copies.iter().for_each(Copy::kill);
    }
}
