//! Reader of a process's standard output: matches its lines with the items that were sent, and
//! reaps the process.

use std::io::{self, BufRead, BufReader};
use std::process::{Child, ChildStdout, ExitStatus};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::io::retry_on_intr;
use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::answer::{self, InvalidAnswer, printable};
use super::shared::{NAME_CHARS, RunState, SharedProcess};
use super::stderr::{StderrLog, next_line};
use crate::error::Error;
use crate::item::{compact, has_line_breaks};
use crate::limits::ITEM_TEXT_BYTES;
use crate::transform::job::{NumberedJob, TransformJob};
use crate::transform::ordered_queue::OrderedQueue;
use crate::transform::outcome::Outcome;

/// How long to wait for the rest of standard error after the program has ended.
const STDERR_GRACE_PERIOD: Duration = Duration::from_secs(1);

/// Reads the answers of one process until it ends.
pub(crate) struct OutputReader {
    pub(crate) shared: Arc<SharedProcess>,
    pub(crate) queue: Arc<OrderedQueue>,
    pub(crate) child: Child,
    pub(crate) stderr_log: StderrLog,
    /// Closed when standard error has ended.
    pub(crate) stderr_ended: Receiver<()>,
}

/// Why an item has no usable answer.
enum OutputError {
    /// The output ended before the answer for this item.
    Missing(Bytes),
    /// The answer for this item is not a JSON object.
    Invalid { item: Bytes, line: Vec<u8> },
    /// The program printed more lines than it was sent items.
    ExtraLine,
    /// The output cannot be read.
    Unreadable(io::Error),
}

impl OutputReader {
    pub(crate) fn run(mut self, stdout: ChildStdout) {
        let mut stdout = BufReader::with_capacity(64 * 1024, stdout);
        let mut failed_job = None;
        let error = loop {
            let mut state = self.shared.wait_while(|state| {
                state.pending.is_empty() && !state.is_closed && state.run_state == RunState::Running
            });
            let next = state.pending.pop_front();
            drop(state);

            let Some(NumberedJob { number, job }) = next else {
                break self.expect_end(&mut stdout).err();
            };

            match self.read_job(job, &mut stdout) {
                Ok(job) => self.queue.complete(number, Ok(job)),
                Err(error) => {
                    failed_job = Some(number);
                    break Some(error);
                }
            }
        };

        self.finish(failed_job, error);
    }

    fn read_job(
        &self,
        job: TransformJob,
        stdout: &mut impl BufRead,
    ) -> Result<TransformJob, OutputError> {
        let mut error = None;
        let mut read = |item: &Bytes| match error {
            Some(_) => Outcome::Skipped,
            None => self.read_answer(item, stdout).unwrap_or_else(|found| {
                error = Some(found);
                Outcome::Skipped
            }),
        };

        // Every item was sent, so every answer must be read, even after a rejection.
        let job = job
            .into_iter()
            .map(|progress| progress.apply_to_all(&mut read))
            .collect();

        error.map_or(Ok(job), Err)
    }

    fn read_answer(&self, item: &Bytes, stdout: &mut impl BufRead) -> Result<Outcome, OutputError> {
        let line = next_line(stdout, ITEM_TEXT_BYTES).map_err(OutputError::Unreadable)?;
        let Some(line) = line else {
            return Err(OutputError::Missing(item.clone()));
        };

        let mut state = self.shared.lock();

        // The same length as in `input_lines`, which adds a line feed.
        let length = if has_line_breaks(item) {
            compact(item).len()
        } else {
            item.len()
        };

        state.unanswered_bytes = state.unanswered_bytes.saturating_sub(length + 1);
        state.timeout_start = Instant::now();
        let sender_waits = state.is_full;
        drop(state);

        if sender_waits {
            self.shared.changed.notify_all();
        }

        answer::outcome(item, &line).map_err(|InvalidAnswer| OutputError::Invalid {
            item: item.clone(),
            line,
        })
    }

    /// Checks that the output ends after the last answer.
    fn expect_end(&self, stdout: &mut impl BufRead) -> Result<(), OutputError> {
        if self.shared.lock().run_state != RunState::Running {
            return Ok(());
        }

        match next_line(stdout, ITEM_TEXT_BYTES) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(OutputError::ExtraLine),
            Err(error) => Err(OutputError::Unreadable(error)),
        }
    }

    /// Waits for the process to end and reports the error, if any: as the result of `failed_job`,
    /// or after the last job.
    fn finish(&mut self, failed_job: Option<u64>, error: Option<OutputError>) {
        // A process whose output has ended is exiting; any other process would continue.
        if !matches!(error, None | Some(OutputError::Missing(_))) {
            self.shared.kill(&mut self.shared.lock(), RunState::Killed);
        }

        let status = self.reap();
        let run_state = self.shared.lock().run_state;

        // Nothing is ever sent; the channel closes when standard error ends.
        let _ = self.stderr_ended.recv_timeout(STDERR_GRACE_PERIOD);

        let error = match error {
            Some(error) => Some(self.output_error(error, status, run_state)),
            None if run_state == RunState::Killed => None,
            None if run_state == RunState::TimedOut => {
                Some(self.timeout_error("it answered every item but did not exit"))
            }
            None if status.is_some_and(|status| status.success()) => None,
            None => Some(self.command_error("answered every item, then failed", status)),
        };

        match (failed_job, error) {
            (Some(number), Some(error)) => {
                self.queue.complete(number, Err(error));
                self.queue.worker_finished(Ok(()));
            }
            (_, error) => self.queue.worker_finished(error.map_or(Ok(()), Err)),
        }
    }

    /// Waits for the process to end, then kills the rest of its process group.
    fn reap(&mut self) -> Option<ExitStatus> {
        // NOWAIT leaves the exit status uncollected, so that the PID is not reused before the group
        // is killed.
        let wait = || {
            waitid(
                WaitId::Pid(self.shared.pid),
                WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
            )
        };

        // Waiting for our own child can fail only because of a signal.
        let _ = retry_on_intr(wait);

        let mut state = self.shared.lock();
        self.shared.kill(&mut state, RunState::Exited);
        let status = self.child.wait().ok();
        state.is_reaped = true;
        drop(state);
        self.shared.changed.notify_all();

        status
    }

    fn output_error(
        &self,
        error: OutputError,
        status: Option<ExitStatus>,
        run_state: RunState,
    ) -> Error {
        match error {
            OutputError::Missing(item) if run_state == RunState::TimedOut => self
                .timeout_error(&format!("the next item is {}", self.shared.item_name(&item))),
            OutputError::Missing(item) => {
                let name = self.shared.item_name(&item);
                self.command_error(&format!("ended without an answer for the item {name}"), status)
            }
            OutputError::Invalid { item, line } => {
                let line = printable(&String::from_utf8_lossy(&line), NAME_CHARS);
                let line = if self.shared.command.hides_output { String::new() } else { format!(": {line:?}") };
                let name = self.shared.item_name(&item);
                self.command_error(&format!("did not answer the item {name} with a JSON object{line}"), None).with_hint(
                    "it must print one line for each line it reads: an item, {\"skip\":true} or {\"error\":\"…\"}; messages belong on standard error",
                )
            }
            OutputError::ExtraLine => self
                .command_error("printed more lines than it received items", None)
                .with_hint("it must print one line for each line it reads; messages belong on standard error"),
            OutputError::Unreadable(error) => self.command_error("printed output that cannot be read", None).with_source(error),
        }
    }

    /// An error about the command, with its exit status and the last lines of its standard error.
    fn command_error(&self, what: &str, status: Option<ExitStatus>) -> Error {
        let status = status
            .map(|status| format!(" ({status})"))
            .unwrap_or_default();
        let error = Error::failed(format!("the command of --transform-command {what}{status}"));

        let last_lines = self.stderr_log.last_lines();
        let heading = (!last_lines.is_empty()).then(|| "the end of its standard error:".to_owned());

        error.with_details(heading.into_iter().chain(last_lines))
    }

    fn timeout_error(&self, what: &str) -> Error {
        let timeout = self.shared.command.spec.timeout.as_secs_f64();
        self.command_error(&format!("did not answer for {timeout} s: {what}"), None).with_hint(
            "if it needs longer, raise --transform-timeout; if it buffers its output, make it flush each line (python3 -u, jq --unbuffered)",
        )
    }
}
