//! External program as a step: reads items as JSON Lines on standard input and prints one line for
//! each.
//!
//! Several processes of the program run in parallel and take the chunks in turn. Each is served by
//! one task, which writes its input (`input.rs`) and reads its answers (`output.rs`); the answers
//! are parsed on a thread, because tasks share few cores. Most programs buffer their output, so the
//! processes are sent up to [`UNANSWERED_BYTES`] before they answer. A process that has as much
//! input as it may have and prints nothing until the timeout is killed with its process group.

mod answer;
mod input;
mod output;
mod program;
mod program_job;
mod shell_line;
mod stderr;
#[cfg(test)]
mod tests;
mod user_program;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::sync::mpsc::{self, Sender, UnboundedReceiver, UnboundedSender};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::task::{JoinError, JoinSet};

use self::program::{ProcessGroup, Program};
use self::program_job::ProgramJob;
use self::shell_line::ShellLine;
use super::item_step::step_panicked;
use super::job::{ItemProgress, Job, Jobs};
use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::item::KeySchema;

pub(crate) use self::answer::{MESSAGE_CHARS, printable};
pub(crate) use self::user_program::{Answer, InvalidAnswer, UserProgram};

/// Maximum number of bytes that all processes of a program together are sent without an answer.
/// Programs that buffer their output, usually 4 to 64 KB, print nothing until the buffer is full.
const UNANSWERED_BYTES: usize = 8 * 1024 * 1024;

/// The same for one process, if there are very many.
const MIN_UNANSWERED_BYTES: usize = 256 * 1024;

/// Maximum number of jobs that a process holds without an answer. Pages of which a filter leaves
/// nothing are jobs of no bytes.
const MAX_PENDING_JOBS: usize = 32 * 1024;

/// Characters of an item that are shown if it has no usable key.
const NAME_CHARS: usize = 80;

/// Environment variable with the key of masks, which programs do not get.
pub(crate) const MASK_KEY_VARIABLE: &str = "DYNADUMP_MASK_KEY";

/// Default timeout.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

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

/// A program that can be started, and how it is run.
#[derive(Debug, Clone)]
pub(crate) struct TransformCommand {
    program: Arc<dyn UserProgram>,
    jobs: Option<NonZeroUsize>,
    timeout: Duration,
    /// Identifies items in errors; without it, the start of their JSON is shown.
    key: Option<KeySchema>,
    /// Whether values are masked, so that neither items nor the program's output are shown.
    hides_output: bool,
}

impl TransformCommand {
    /// Checks that the program of a command line exists, as far as possible without running it.
    pub(crate) fn new(spec: CommandSpec) -> Result<Self> {
        let program = Arc::new(ShellLine::new(spec.line)?);

        Ok(Self::of_program(program, spec.jobs, spec.timeout))
    }

    /// Runs `jobs` processes of a program, each with a timeout.
    pub(crate) fn of_program(
        program: Arc<dyn UserProgram>,
        jobs: Option<NonZeroUsize>,
        timeout: Duration,
    ) -> Self {
        Self {
            program,
            jobs,
            timeout,
            key: None,
            hides_output: false,
        }
    }

    /// Warnings after the last item.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.program.warnings()
    }

    /// Reports where the program failed for an item.
    fn report_traceback(&self, item: &[u8], traceback: &str, reporter: &dyn Reporter) {
        if !self.hides_output {
            let (name, item) = (self.program.field(), self.item_name(item));
            reporter.report(Event::Detail(format!("{name}, item {item}: {traceback}")));
        }
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

    /// Identifies an item in an error.
    fn item_name(&self, item: &[u8]) -> String {
        if self.hides_output {
            return "(not shown while a mask is active)".to_owned();
        }

        let key = self.key.as_ref().and_then(|key| key.extract(item).ok());

        key.map_or_else(
            || printable(&String::from_utf8_lossy(item), NAME_CHARS),
            |key| key.to_json(),
        )
    }
}

/// Sends jobs through processes of a command, and returns them in the same order.
///
/// # Errors
/// A process cannot be started.
pub(crate) fn apply<T: Send + 'static>(
    command: &TransformCommand,
    jobs: Jobs<T>,
    threads: NonZeroUsize,
    reporter: &Arc<dyn Reporter>,
) -> Result<Jobs<T>> {
    let count = command.jobs.unwrap_or(threads).get();
    let max_unanswered_bytes = (UNANSWERED_BYTES / count).max(MIN_UNANSWERED_BYTES);
    let (sender, sent) = mpsc::unbounded_channel();
    let (awaiting, is_awaited) = watch::channel(false);
    let mut output = CommandOutput {
        sent,
        awaiting,
        groups: Vec::with_capacity(count),
        feeder: JoinSet::new(),
        programs: JoinSet::new(),
    };
    let mut inputs = Vec::with_capacity(count);

    for _ in 0..count {
        let program = Program::start(command, reporter)?;
        let (input, program_jobs) = mpsc::channel(1);
        output.groups.push(program.group());
        output
            .programs
            .spawn(program.run(program_jobs, max_unanswered_bytes));
        inputs.push(input);
    }

    let budget = MemoryBudget::new(2 * count * max_unanswered_bytes, is_awaited);
    output.feeder.spawn(feed(jobs, inputs, sender, budget));

    Ok(stream::unfold(output, CommandOutput::next).boxed())
}

/// A job that a process works on, or the error that ends the jobs.
type SentJob<T> = Result<PendingJob<T>>;

struct PendingJob<T> {
    tag: T,
    originals: Vec<Bytes>,
    answer: oneshot::Receiver<Result<Vec<ItemProgress>>>,
    _memory: Option<OwnedSemaphorePermit>,
}

/// Limit of the bytes of items in all jobs of a command, so that results do not pile up if nobody takes them.
struct MemoryBudget {
    bytes: Arc<Semaphore>,
    max_job_bytes: u32,
    /// Whether somebody waits for the next result. The process that it comes from may need more input for it, so the limit does not apply:
    /// that of bytes without an answer does.
    is_awaited: watch::Receiver<bool>,
}

impl MemoryBudget {
    fn new(max_bytes: usize, is_awaited: watch::Receiver<bool>) -> Self {
        let max_bytes = max_bytes.min(Semaphore::MAX_PERMITS);

        Self {
            bytes: Arc::new(Semaphore::new(max_bytes)),
            max_job_bytes: u32::try_from(max_bytes / 2).unwrap_or(u32::MAX),
            is_awaited,
        }
    }

    /// Waits until there is room for the items, or a result is awaited. A job that is larger than half of the limit counts as half.
    async fn acquire(&mut self, items: &[ItemProgress]) -> Option<OwnedSemaphorePermit> {
        let current = items.iter().flat_map(ItemProgress::current);
        let bytes = u32::try_from(current.map(Bytes::len).sum::<usize>()).unwrap_or(u32::MAX);
        let bytes = bytes.min(self.max_job_bytes);

        tokio::select! {
            biased;
            permit = Arc::clone(&self.bytes).acquire_many_owned(bytes) => permit.ok(),
            _ = self.is_awaited.wait_for(|is_awaited| *is_awaited) => None,
        }
    }
}

/// Hands the jobs to the processes in turn.
async fn feed<T>(
    mut jobs: Jobs<T>,
    inputs: Vec<Sender<ProgramJob>>,
    sent: UnboundedSender<SentJob<T>>,
    mut budget: MemoryBudget,
) {
    for input in inputs.iter().cycle() {
        let Some(job) = jobs.next().await else {
            return;
        };

        let Job {
            tag,
            originals,
            items,
        } = match job {
            Ok(job) => job,
            Err(error) => {
                // Without a receiver, nobody needs the error.
                let _ = sent.send(Err(error));
                return;
            }
        };

        let memory = budget.acquire(&items).await;
        let (reply, answer) = oneshot::channel();
        let pending = PendingJob {
            tag,
            originals,
            answer,
            _memory: memory,
        };

        if sent.send(Ok(pending)).is_err() {
            return;
        }

        // If the process has ended, an earlier job of it has the reason.
        let _ = input.send(ProgramJob { items, reply }).await;
    }
}

/// The results of a command, and the tasks that make them.
struct CommandOutput<T> {
    /// Jobs in order.
    sent: UnboundedReceiver<SentJob<T>>,
    awaiting: watch::Sender<bool>,
    groups: Vec<Arc<ProcessGroup>>,
    feeder: JoinSet<()>,
    programs: JoinSet<Result<()>>,
}

impl<T> CommandOutput<T> {
    /// The next result in order, and after the last one the errors of processes that have answered everything.
    async fn next(mut self) -> Option<(Result<Job<T>>, Self)> {
        if let Some(sent) = self.sent.recv().await {
            self.awaiting.send_replace(true);
            let job = answered(sent).await;
            self.awaiting.send_replace(false);

            return Some((job, self));
        }

        if let Some(Err(error)) = self.feeder.join_next().await {
            return Some((Err(task_failed(error)), self));
        }

        while let Some(ended) = self.programs.join_next().await {
            if let Err(error) = ended.unwrap_or_else(|error| Err(task_failed(error))) {
                return Some((Err(error), self));
            }
        }

        None
    }
}

impl<T> Drop for CommandOutput<T> {
    fn drop(&mut self) {
        // The tasks would kill them, too, but only when the runtime drops the tasks.
        self.groups.iter().for_each(|group| group.kill());
    }
}

async fn answered<T>(sent: SentJob<T>) -> Result<Job<T>> {
    let PendingJob {
        tag,
        originals,
        answer,
        _memory,
    } = sent?;
    let answer = answer
        .await
        .map_err(|_| Error::failed("reading the answers of a program failed; this is a bug"));

    Ok(Job {
        tag,
        originals,
        items: answer??,
    })
}

/// The error of a task that panicked.
fn task_failed(error: JoinError) -> Error {
    step_panicked().with_source(error)
}
