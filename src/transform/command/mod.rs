//! External program as a step: reads items as JSON Lines on standard input and prints one line for
//! each.
//!
//! Several processes of the program run in parallel. Chunk `n` goes to process `n` modulo their
//! number, which keeps the order without coordination. Most programs buffer their output, so the
//! processes are sent up to [`UNANSWERED_BYTES`] before they answer. A process that has as much
//! input as it may have and prints nothing until the timeout is killed with its process group.

mod answer;
mod output;
mod process;
mod shared;
mod stderr;
#[cfg(test)]
mod tests;

use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use self::process::CommandProcess;
use super::job::{JobProcessor, NumberedJob, TransformJob};
use super::ordered_queue::OrderedQueue;
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::item::KeySchema;

/// Maximum number of bytes that all processes of a program together are sent without an answer.
/// Programs that buffer their output, usually 4 to 64 KB, print nothing until the buffer is full.
const UNANSWERED_BYTES: usize = 8 * 1024 * 1024;

/// The same for one process, if there are very many.
const MIN_UNANSWERED_BYTES: usize = 256 * 1024;

/// Maximum number of jobs that a process holds without an answer. Pages of which a filter leaves
/// nothing are jobs of no bytes.
const MAX_PENDING_JOBS: usize = 32 * 1024;

/// Default timeout.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

/// Shell script that fails if there is no program with the name in `$1`.
const PROGRAM_EXISTS_SCRIPT: &str = "command -v -- \"$1\" >/dev/null 2>&1";

/// A program to send items through.
#[derive(Debug, Clone)]
pub struct CommandSpec {
    /// Command line for `sh -c`: quotes, variables and pipes work as in a terminal.
    pub line: String,
    /// Number of parallel processes; one per thread if `None`.
    pub jobs: Option<NonZeroUsize>,
    /// How long a process may go without an answer while it has as much input as it may have.
    pub timeout: Duration,
}

impl CommandSpec {
    /// A command line with one process per thread and a timeout of one minute.
    pub fn new(line: impl Into<String>) -> Self {
        Self {
            line: line.into(),
            jobs: None,
            timeout: DEFAULT_TIMEOUT,
        }
    }
}

/// A command whose program exists.
#[derive(Debug, Clone)]
pub(crate) struct TransformCommand {
    spec: Arc<CommandSpec>,
    /// Identifies items in errors; without it, the start of their JSON is shown.
    key: Option<KeySchema>,
    /// Whether values are masked, so that neither items nor the program's output are shown.
    hides_output: bool,
}

impl TransformCommand {
    /// Checks that the program exists, as far as possible without running it.
    pub(crate) fn new(spec: CommandSpec) -> Result<Self> {
        let word = spec.line.split_whitespace().next().unwrap_or_default();
        if word.is_empty() {
            return Err(Error::usage("--transform-command is empty")
                .with_hint("name a program, as in 'python3 t.py'"));
        }

        // Anything else, such as `FOO=1` or a quote, is shell syntax, which only the shell can
        // judge.
        let is_plain = word
            .chars()
            .all(|c| c.is_alphanumeric() || "/._+-".contains(c));
        if is_plain && !program_exists(word)? {
            return Err(
                Error::usage(format!("--transform-command: program not found: `{word}`"))
                    .with_hint(
                        "check its spelling, that it is in PATH, and that it may be executed",
                    ),
            );
        }

        Ok(Self {
            spec: Arc::new(spec),
            key: None,
            hides_output: false,
        })
    }

    /// This command, with the key that identifies items in errors.
    pub(crate) fn with_key(&self, key: Option<&KeySchema>) -> Self {
        Self {
            key: key.cloned(),
            ..self.clone()
        }
    }

    /// This command; with `hides_output`, neither items nor the program's output are shown.
    pub(crate) fn hiding_output(self, hides_output: bool) -> Self {
        Self {
            hides_output,
            ..self
        }
    }
}

/// Whether the shell finds a program, builtin or function with this name.
fn program_exists(name: &str) -> Result<bool> {
    let status = Command::new("sh")
        .args(["-c", PROGRAM_EXISTS_SCRIPT, "sh", name])
        .stdin(Stdio::null())
        .status();
    status.map(|status| status.success()).map_err(|error| {
        Error::failed("--transform-command needs a shell, and sh cannot be run").with_source(error)
    })
}

/// The running processes of one command.
pub(crate) struct CommandPool {
    queue: Arc<OrderedQueue>,
    processes: Vec<CommandProcess>,
    next: AtomicUsize,
}

impl CommandPool {
    pub(crate) fn start(
        command: &TransformCommand,
        threads: NonZeroUsize,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<Self> {
        let jobs = command.spec.jobs.unwrap_or(threads).get();

        // The queue is not limited: bytes without an answer are, for each process. A small limit of
        // jobs could starve a program that prints nothing until its buffer is full.
        let queue = Arc::new(OrderedQueue::new(u64::MAX, jobs));
        let max_unanswered_bytes = (UNANSWERED_BYTES / jobs).max(MIN_UNANSWERED_BYTES);
        let processes = (0..jobs)
            .map(|_| CommandProcess::start(command, max_unanswered_bytes, &queue, reporter))
            .collect::<Result<_>>()?;

        Ok(Self {
            queue,
            processes,
            next: AtomicUsize::new(0),
        })
    }
}

impl JobProcessor for CommandPool {
    fn push(&self, job: Result<TransformJob>) -> bool {
        let Some(number) = self.queue.reserve() else {
            return false;
        };

        match job {
            Ok(job) => {
                let process = self.next.fetch_add(1, Ordering::Relaxed) % self.processes.len();
                self.processes[process].send(NumberedJob { number, job });
            }
            Err(error) => self.queue.complete(number, Err(error)),
        }

        true
    }

    fn close(&self) {
        // The processes first: once the queue is closed, its end is due as soon as all of them have
        // finished.
        self.processes.iter().for_each(CommandProcess::close);
        self.queue.close();
    }

    fn pull(&self) -> Option<Result<TransformJob>> {
        self.queue.next_result()
    }

    fn cancel(&self) {
        self.queue.cancel();
        self.processes.iter().for_each(CommandProcess::kill);
    }
}
