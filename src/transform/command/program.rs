//! One process of a command: its process group, its pipes and its end.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::answer::printable;
use super::input::{UnansweredBytes, write_jobs};
use super::output::{AnswerReader, OutputError};
use super::program_job::{ProgramJob, Reply};
use super::stderr::StderrLog;
use super::{MASK_KEY_VARIABLE, MAX_PENDING_JOBS, NAME_CHARS, TransformCommand};
use crate::error::{Error, Result};
use crate::event::Reporter;

/// How long to wait for the rest of standard error after the program has ended.
const STDERR_GRACE_PERIOD: Duration = Duration::from_secs(1);

/// The process group of a program. `None` after its leader was reaped: the ID may then belong to
/// other processes.
pub(crate) struct ProcessGroup(Mutex<Option<Pid>>);

impl ProcessGroup {
    /// Kills all processes of the group.
    pub(crate) fn kill(&self) {
        if let Some(group) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // An error means that the group no longer exists, which is the goal.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Kills all processes of the group, for the last time.
    fn end(&self) {
        self.kill();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A running process. Dropping it kills its process group.
pub(crate) struct Program {
    command: TransformCommand,
    reporter: Arc<dyn Reporter>,
    child: Child,
    pid: Pid,
    group: Arc<ProcessGroup>,
    stderr_log: StderrLog,
    /// The task that reads standard error. A process that outlives the program may keep it open.
    stderr: JoinSet<()>,
}

impl Drop for Program {
    fn drop(&mut self) {
        self.group.end();
    }
}

/// How a process ended.
enum ProgramEnd {
    Exited(ExitStatus),
    /// It was killed, because nothing more can be expected from it.
    Killed,
    /// It was killed, because it did not end in time.
    TimedOut,
}

impl Program {
    /// Starts a process.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(command: &TransformCommand, reporter: &Arc<dyn Reporter>) -> Result<Self> {
        let mut child = spawn(command.program.command()).map_err(|error| {
            Error::failed(format!("{} cannot be started", command.program.name()))
                .with_source(error)
        })?;

        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let (Some(pid), Some(stderr)) = (pid.and_then(Pid::from_raw), child.stderr.take()) else {
            return Err(no_pipes(command));
        };

        let stderr_log = StderrLog::new(command.program.field(), command.hides_output);
        let (log, stderr_reporter) = (stderr_log.clone(), Arc::clone(reporter));
        let mut stderr_task = JoinSet::new();
        stderr_task.spawn(async move { log.read(stderr, &*stderr_reporter).await });

        Ok(Self {
            command: command.clone(),
            reporter: Arc::clone(reporter),
            child,
            pid,
            group: Arc::new(ProcessGroup(Mutex::new(Some(pid)))),
            stderr_log,
            stderr: stderr_task,
        })
    }

    pub(crate) fn group(&self) -> Arc<ProcessGroup> {
        Arc::clone(&self.group)
    }

    /// Sends jobs to the process and replies with its answers. Then waits for its end.
    ///
    /// # Errors
    /// The process failed after the last answer. An earlier failure is the reply of its job.
    pub(crate) async fn run(
        mut self,
        jobs: Receiver<ProgramJob>,
        max_unanswered_bytes: usize,
    ) -> Result<()> {
        let (Some(stdin), Some(stdout)) = (self.child.stdin.take(), self.child.stdout.take())
        else {
            return Err(no_pipes(&self.command));
        };

        let (failed_job, error) = self.serve(stdin, stdout, jobs, max_unanswered_bytes).await;
        let result = self.finish(error).await;

        match failed_job {
            Some(reply) => {
                // Nobody may wait for the reply any more.
                let _ = reply.send(result.and(Ok(Vec::new())));
                Ok(())
            }
            None => result,
        }
    }

    /// Writes the input and reads the answers until either all jobs are answered and the output ends, or an error occurs, which belongs to
    /// the returned job, if any.
    async fn serve(
        &self,
        stdin: ChildStdin,
        stdout: ChildStdout,
        jobs: Receiver<ProgramJob>,
        max_unanswered_bytes: usize,
    ) -> (Option<Reply>, Option<OutputError>) {
        let unanswered = UnansweredBytes::new(max_unanswered_bytes);
        let (pending_sender, mut pending) = mpsc::channel(MAX_PENDING_JOBS);
        let (waiting_sender, waiting_since) = watch::channel(None);
        let (command, reporter) = (self.command.clone(), Arc::clone(&self.reporter));
        let mut reader = AnswerReader::new(command, reporter, stdout, waiting_since);

        let write = write_jobs(stdin, jobs, pending_sender, &unanswered, waiting_sender);
        let read = async {
            while let Some(ProgramJob { items, reply }) = pending.recv().await {
                match reader.read_job(items, &unanswered).await {
                    // The result may have been dropped meanwhile.
                    Ok(items) => drop(reply.send(Ok(items))),
                    Err(error) => return (Some(reply), Some(error)),
                }
            }

            (None, reader.expect_end().await.err())
        };

        // The writer may end first; the reader decides.
        tokio::pin!(write, read);
        tokio::select! {
            result = &mut read => return result,
            () = &mut write => {}
        }

        read.await
    }

    /// Waits for the process to end, and returns the error, if there is one.
    async fn finish(mut self, error: Option<OutputError>) -> Result<()> {
        // A process whose output has ended is exiting; any other process would continue.
        let is_ending = matches!(error, None | Some(OutputError::Missing(_)));
        let end = self.end(is_ending).await;

        // An elapsed timeout means that another process keeps standard error open.
        let _ = timeout(STDERR_GRACE_PERIOD, self.stderr.join_next()).await;

        match (error, end) {
            (Some(error), end) => Err(self.output_error(error, end)),
            (None, ProgramEnd::TimedOut) => {
                Err(self.timeout_error("it answered every item but did not exit"))
            }
            (None, ProgramEnd::Exited(status)) if !status.success() => {
                Err(self.command_error("answered every item, then failed", Some(status)))
            }
            (None, ProgramEnd::Exited(_) | ProgramEnd::Killed) => Ok(()),
        }
    }

    /// Waits for the process to end if `is_ending`, and kills what is left of its process group.
    async fn end(&mut self, is_ending: bool) -> ProgramEnd {
        let mut has_timed_out = false;
        if is_ending {
            // NOWAIT does not collect the exit status, so that the PID is not reused before the group is killed.
            let pid = self.pid;
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let exited =
                spawn_blocking(move || retry_on_intr(|| waitid(WaitId::Pid(pid), options)));
            has_timed_out = timeout(self.command.timeout, exited).await.is_err();
        }

        self.group.end();

        // Waiting for our own child cannot fail.
        match self.child.wait().await {
            _ if has_timed_out => ProgramEnd::TimedOut,
            Ok(status) if is_ending => ProgramEnd::Exited(status),
            _ => ProgramEnd::Killed,
        }
    }

    fn output_error(&self, error: OutputError, end: ProgramEnd) -> Error {
        let name = |item: &[u8]| self.command.item_name(item);

        match (error, end) {
            (OutputError::TimedOut(Some(item)), _)
            | (OutputError::Missing(item), ProgramEnd::TimedOut) => {
                self.timeout_error(&format!("the next item is {}", name(&item)))
            }
            (OutputError::TimedOut(None), _) => {
                self.timeout_error("it answered every item but did not exit")
            }
            (OutputError::Missing(item), end) => {
                let status = match end {
                    ProgramEnd::Exited(status) => Some(status),
                    ProgramEnd::Killed | ProgramEnd::TimedOut => None,
                };
                let name = name(&item);
                self.command_error(
                    &format!("ended without an answer for the item {name}"),
                    status,
                )
            }
            (OutputError::Invalid { item, line }, _) => {
                let line = printable(&String::from_utf8_lossy(&line), NAME_CHARS);
                let line = if self.command.hides_output {
                    String::new()
                } else {
                    format!(": {line:?}")
                };
                let name = name(&item);
                self.command_error(
                    &format!("did not answer the item {name} with a JSON object{line}"),
                    None,
                )
                .with_hint(self.command.program.output_hint())
            }
            (OutputError::ExtraLine, _) => self
                .command_error("printed more lines than it received items", None)
                .with_hint(self.command.program.output_hint()),
            (OutputError::Unreadable(error), _) => self
                .command_error("printed output that cannot be read", None)
                .with_source(error),
        }
    }

    /// An error about the command, with its exit status and the last lines of its standard error.
    fn command_error(&self, what: &str, status: Option<ExitStatus>) -> Error {
        let status = status
            .map(|status| format!(" ({status})"))
            .unwrap_or_default();
        let error = Error::failed(format!("{} {what}{status}", self.command.program.name()));

        let last_lines = self.stderr_log.last_lines();
        let heading = (!last_lines.is_empty()).then(|| "the end of its standard error:".to_owned());

        error.with_details(heading.into_iter().chain(last_lines))
    }

    fn timeout_error(&self, what: &str) -> Error {
        let timeout = self.command.timeout.as_secs_f64();
        self.command_error(&format!("did not answer for {timeout} s: {what}"), None)
            .with_hint(self.command.program.timeout_hint())
    }
}

fn no_pipes(command: &TransformCommand) -> Error {
    Error::failed(format!("{} could not be connected", command.program.name()))
}

/// Spawns the program in its own process group. It can then be killed with its children, and Ctrl-C
/// reaches only this program, which ends it after in-flight items. The mask key is removed from its
/// environment.
fn spawn(command: std::process::Command) -> io::Result<Child> {
    Command::from(command)
        .env_remove(MASK_KEY_VARIABLE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
}
