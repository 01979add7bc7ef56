//! One process of a command, and the threads that serve its input, output and standard error and
//! watch its timeout.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use bytes::Bytes;
use rustix::process::Pid;

use super::output::OutputReader;
use super::shared::{ProcessState, RunState, SharedProcess};
use super::stderr::StderrLog;
use super::{MAX_PENDING_JOBS, TransformCommand};
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::item::{compact, has_line_breaks};
use crate::transform::job::{NumberedJob, TransformJob};
use crate::transform::ordered_queue::OrderedQueue;
use crate::transform::stage::ItemProgress;

/// A running process.
pub(crate) struct CommandProcess {
    shared: Arc<SharedProcess>,
    /// Text for the writer thread; `None` once the input has ended.
    input: Mutex<Option<Sender<Vec<u8>>>>,
    /// Maximum number of bytes without an answer.
    max_unanswered_bytes: usize,
    threads: Vec<JoinHandle<()>>,
}

impl CommandProcess {
    /// Starts the process and its threads.
    pub(crate) fn start(
        command: &TransformCommand,
        max_unanswered_bytes: usize,
        queue: &Arc<OrderedQueue>,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<Self> {
        let mut child = spawn(&command.spec.line).map_err(|error| {
            Error::failed("the command of --transform-command cannot be started").with_source(error)
        })?;

        let shared = Arc::new(SharedProcess::new(command.clone(), Pid::from_child(&child)));
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(Error::failed(
                "the command of --transform-command could not be connected",
            ));
        };

        let (input, lines) = mpsc::channel();
        let mut process = Self {
            shared: Arc::clone(&shared),
            input: Mutex::new(Some(input)),
            max_unanswered_bytes,
            threads: Vec::new(),
        };

        process.spawn_thread(move || write_input(stdin, &lines))?;

        let stderr_log = StderrLog::new(command.hides_output);
        let stderr_ended = spawn_stderr_thread(stderr, stderr_log.clone(), Arc::clone(reporter))?;

        let watched = Arc::clone(&shared);
        process.spawn_thread(move || watched.run_watchdog())?;

        let reader = OutputReader {
            shared,
            queue: Arc::clone(queue),
            child,
            stderr_log,
            stderr_ended,
        };
        process.spawn_reader(reader, stdout)?;

        Ok(process)
    }

    fn spawn_reader(&mut self, reader: OutputReader, stdout: ChildStdout) -> Result<()> {
        let (queue, shared) = (Arc::clone(&reader.queue), Arc::clone(&reader.shared));
        self.spawn_thread(move || {
            // Without this, a panic would leave the consumer waiting for a result that never comes.
            if catch_unwind(AssertUnwindSafe(|| reader.run(stdout))).is_err() {
                shared.abandon();
                queue.fail_next(Error::failed(
                    "reading the answers of --transform-command failed; this is a bug",
                ));
            }
        })
    }

    fn spawn_thread(&mut self, run: impl FnOnce() + Send + 'static) -> Result<()> {
        let started = thread::Builder::new()
            .name("transform-command".to_owned())
            .spawn(run);
        self.threads.push(started.map_err(thread_error)?);

        Ok(())
    }

    /// Sends a job. Blocks while too much is unanswered.
    pub(crate) fn send(&self, job: NumberedJob) {
        let text = input_lines(&job.job);
        // A single job may exceed the limit. It is sent when nothing else is unanswered.
        let fits = |state: &ProcessState| {
            let bytes = state.unanswered_bytes + text.len();
            state.unanswered_bytes == 0
                || bytes <= self.max_unanswered_bytes && state.pending.len() < MAX_PENDING_JOBS
        };
        let mut state = self.shared.lock();
        if state.run_state == RunState::Running && !fits(&state) {
            state.is_full = true;
            state.timeout_start = Instant::now();
            drop(state);

            // The watchdog may end the wait by killing the process.
            state = self
                .shared
                .wait_while(|state| state.run_state == RunState::Running && !fits(state));
            state.is_full = false;
        }

        // If the process has ended, its reader has reported the reason, and this job is never
        // pulled.
        state.unanswered_bytes += text.len();
        state.pending.push_back(job);
        drop(state);
        self.shared.changed.notify_all();

        if let Some(input) = &*self.input.lock().unwrap_or_else(PoisonError::into_inner) {
            // An error means that the writer thread has ended because the process has, which its
            // reader reports.
            let _ = input.send(text);
        }
    }

    /// Ends the input: standard input is closed once everything is written.
    pub(crate) fn close(&self) {
        drop(
            self.input
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );

        let mut state = self.shared.lock();
        state.is_closed = true;
        state.timeout_start = Instant::now();
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Kills the process group.
    pub(crate) fn kill(&self) {
        self.shared.kill(&mut self.shared.lock(), RunState::Killed);
        self.shared.changed.notify_all();
    }
}

impl Drop for CommandProcess {
    fn drop(&mut self) {
        self.close();
        self.kill();
        for thread in self.threads.drain(..) {
            // The threads report their errors through the queue.
            let _ = thread.join();
        }
    }
}

fn thread_error(error: io::Error) -> Error {
    Error::failed("a thread for the transform cannot be started").with_source(error)
}

/// Spawns the program in its own process group. It can then be killed with its children, and Ctrl-C
/// reaches only this program, which ends it after in-flight items. The mask key is removed from its
/// environment.
fn spawn(line: &str) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", line])
        .env_remove("DYNADUMP_MASK_KEY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
}

/// Starts the thread that reads standard error. The returned channel is closed when standard error
/// has ended.
///
/// The thread is never joined: a process that outlives the program may keep its standard error
/// open.
fn spawn_stderr_thread(
    stderr: ChildStderr,
    log: StderrLog,
    reporter: Arc<dyn Reporter>,
) -> Result<Receiver<()>> {
    let (sender, ended) = mpsc::channel::<()>();
    let read = move || {
        log.read(stderr, &*reporter);
        drop(sender);
    };

    thread::Builder::new()
        .name("transform-stderr".to_owned())
        .spawn(read)
        .map_err(thread_error)?;

    Ok(ended)
}

/// The items that the program must answer, one per line.
fn input_lines(job: &TransformJob) -> Vec<u8> {
    let mut text = Vec::new();
    for item in unfinished_items(job) {
        if has_line_breaks(item) {
            text.extend_from_slice(&compact(item));
        } else {
            text.extend_from_slice(item);
        }

        text.push(b'\n');
    }

    text
}

fn unfinished_items(job: &TransformJob) -> impl Iterator<Item = &Bytes> {
    job.iter().flat_map(|progress| match progress {
        ItemProgress::InProgress { items, .. } => &items[..],
        ItemProgress::Finished(_) => &[],
    })
}

fn write_input(mut stdin: ChildStdin, lines: &Receiver<Vec<u8>>) {
    while let Ok(text) = lines.recv() {
        if stdin.write_all(&text).is_err() {
            // The program has closed its input. Whether that is an error depends on what it has
            // answered.
            return;
        }
    }
}
