//! One copy of a program: threads that write to it, read from it, keep what it complains of, and watch its time.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::UNANSWERED_BYTES;
use super::answer::{self, printable};
use super::complaints::{Complaints, next_line};
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::item::{compact, has_line_breaks};
use crate::limits::ITEM_TEXT_BYTES;
use crate::transform::lane::{Job, Lane};
use crate::transform::outcome::Outcome;
use crate::transform::stage::Progress;

/// Characters of an item that name it where its key cannot.
const NAME_CHARS: usize = 80;

/// How long what is left of standard error may take to come, once the program is gone.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often the clock is looked at.
const WATCH: Duration = Duration::from_millis(100);

/// A running program.
pub(crate) struct Copy {
    shared: Arc<Shared>,
    input: Mutex<Option<Sender<Vec<u8>>>>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    command: super::Command,
    /// Its process group has the same number.
    pid: Pid,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Jobs that were sent, oldest first.
    pending: VecDeque<(u64, Job)>,
    /// Bytes that were sent and not answered.
    unanswered: usize,
    /// Nothing more will be sent.
    closed: bool,
    /// Somebody waits to send more.
    full: bool,
    /// When it last answered, or last had a reason not to.
    since: Instant,
    fate: Fate,
    /// Its number is no longer its own.
    reaped: bool,
}

/// How it stands with a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Runs,
    /// It ended by itself.
    Ended,
    /// It was killed because the run was given up, or because it went wrong.
    Killed,
    /// It was killed because it took too long.
    TimedOut,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waiting = self
            .changed
            .wait_while(self.lock(), |state| condition(state));
        waiting.unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills it and all it started, unless it is gone.
    fn kill(&self, state: &mut State, fate: Fate) {
        if !state.reaped {
            // It may be gone already, which is what is wanted.
            let _ = kill_process_group(self.pid, Signal::KILL);
        }

        if state.fate == Fate::Runs {
            state.fate = fate;
        }
    }

    /// Kills it and does not wait for its end: nobody reads its answers.
    fn give_up(&self) {
        let mut state = self.lock();
        self.kill(&mut state, Fate::Killed);
        state.reaped = true;
        drop(state);
        self.changed.notify_all();
    }

    /// Names an item in an error.
    fn name(&self, item: &[u8]) -> String {
        if self.command.is_quiet {
            return "(not shown while a mask is active)".to_owned();
        }

        let key = self
            .command
            .key
            .as_ref()
            .and_then(|key| key.extract(item).ok());

        key.map_or_else(
            || printable(&String::from_utf8_lossy(item), NAME_CHARS),
            |key| key.to_json(),
        )
    }
}

impl Copy {
    /// Starts it.
    pub(crate) fn start(
        command: &super::Command,
        lane: &Arc<Lane>,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<Self> {
        let mut child = spawn(&command.spec.line).map_err(|error| {
            Error::failed("the command of --transform-command cannot be started").with_source(error)
        })?;
        let pid = Pid::from_child(&child);
        let state = State {
            pending: VecDeque::new(),
            unanswered: 0,
            closed: false,
            full: false,
            since: Instant::now(),
            fate: Fate::Runs,
            reaped: false,
        };

        let shared = Arc::new(Shared {
            command: command.clone(),
            pid,
            state: Mutex::new(state),
            changed: Condvar::new(),
        });

        let (input, lines) = mpsc::channel();
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(Error::failed(
                "the command of --transform-command has no pipes",
            ));
        };

        let complaints = Complaints::new(command.is_quiet);
        let (last_words, ended) = mpsc::channel::<()>();
        let mut copy = Self {
            shared: Arc::clone(&shared),
            input: Mutex::new(Some(input)),
            threads: Vec::new(),
        };

        copy.thread(move || write(stdin, &lines))?;
        let (listener, reporter) = (complaints.clone(), Arc::clone(reporter));

        // Not joined: something that outlives the program may hold its standard error open.
        let listening = move || {
            listener.listen(stderr, &*reporter);
            drop(last_words);
        };
        thread::Builder::new()
            .name("transform-stderr".to_owned())
            .spawn(listening)
            .map_err(no_thread)?;
        let watched = Arc::clone(&shared);
        copy.thread(move || watch(&watched))?;
        let reading = Reading {
            shared,
            lane: Arc::clone(lane),
            child,
            complaints,
            ended,
        };

        let (lane, shared) = (Arc::clone(lane), Arc::clone(&copy.shared));
        copy.thread(move || {
            if catch_unwind(AssertUnwindSafe(|| reading.run(stdout))).is_err() {
                shared.give_up();
                lane.fail(Error::failed(
                    "reading the answers of --transform-command failed; this is a bug",
                ));
            }
        })?;

        Ok(copy)
    }

    fn thread(&mut self, run: impl FnOnce() + Send + 'static) -> Result<()> {
        let started = thread::Builder::new()
            .name("transform-command".to_owned())
            .spawn(run);
        self.threads.push(started.map_err(no_thread)?);
        Ok(())
    }

    /// Sends a job; waits while too much is unanswered.
    pub(crate) fn send(&self, place: u64, job: Job) {
        let text = lines(&job);
        let fits = |state: &State| {
            state.unanswered == 0 || state.unanswered + text.len() <= UNANSWERED_BYTES
        };
        let mut state = self.shared.lock();
        if state.fate == Fate::Runs && !fits(&state) {
            state.full = true;
            state.since = Instant::now();
            drop(state);
            state = self
                .shared
                .wait_while(|state| state.fate == Fate::Runs && !fits(state));
            state.full = false;
        }

        // Where it no longer runs, its reader has told why, and nobody asks for this job any more.
        state.unanswered += text.len();
        state.pending.push_back((place, job));
        drop(state);
        self.shared.changed.notify_all();

        if let Some(input) = &*self.input.lock().unwrap_or_else(PoisonError::into_inner) {
            // A writer that is gone means a program that is gone, which its reader notices.
            let _ = input.send(text);
        }
    }

    /// Nothing more will be sent: closes its standard input once all is written.
    pub(crate) fn close(&self) {
        drop(
            self.input
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );

        let mut state = self.shared.lock();
        state.closed = true;
        state.since = Instant::now();
        drop(state);
        self.shared.changed.notify_all();
    }

    /// Kills it and all it started.
    pub(crate) fn kill(&self) {
        self.shared.kill(&mut self.shared.lock(), Fate::Killed);
        self.shared.changed.notify_all();
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.close();
        self.kill();
        for thread in self.threads.drain(..) {
            // What they had to say went into the lane.
            let _ = thread.join();
        }
    }
}

fn no_thread(error: io::Error) -> Error {
    Error::failed("a thread for the transform cannot be started").with_source(error)
}

/// In a process group of its own, so that it can be killed whole, and so that Ctrl-C reaches this program alone, which then ends
/// it in order. The key of masks is no business of its.
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

/// The items that are to be answered, one per line.
fn lines(job: &Job) -> Vec<u8> {
    let mut text = Vec::new();
    for item in going(job) {
        if has_line_breaks(item) {
            text.extend_from_slice(&compact(item));
        } else {
            text.extend_from_slice(item);
        }

        text.push(b'\n');
    }

    text
}

fn going(job: &Job) -> impl Iterator<Item = &Bytes> {
    job.iter().flat_map(|progress| match progress {
        Progress::Going { items, .. } => &items[..],
        Progress::Ended(_) => &[],
    })
}

fn write(mut stdin: ChildStdin, lines: &Receiver<Vec<u8>>) {
    while let Ok(text) = lines.recv() {
        if stdin.write_all(&text).is_err() {
            // It takes no more; whether that is a fault shows in what it has answered.
            return;
        }
    }
}

/// Kills a program that has all it can want, owes something, and gives nothing for too long.
fn watch(shared: &Shared) {
    let mut state = shared.lock();
    while !state.reaped {
        let has_all = state.closed || state.full;
        if !has_all {
            state.since = Instant::now();
        } else if state.fate == Fate::Runs && state.since.elapsed() > shared.command.spec.timeout {
            shared.kill(&mut state, Fate::TimedOut);
            shared.changed.notify_all();
        }

        state = match shared
            .changed
            .wait_timeout(state, WATCH.min(shared.command.spec.timeout / 4))
        {
            Ok((state, _)) => state,
            Err(poisoned) => poisoned.into_inner().0,
        };
    }
}

/// The reader's side of a copy.
struct Reading {
    shared: Arc<Shared>,
    lane: Arc<Lane>,
    child: Child,
    complaints: Complaints,
    /// Closed when standard error has ended.
    ended: Receiver<()>,
}

/// Why there is no answer.
enum Fault {
    /// Its output ended before this item.
    Ended(Bytes),
    /// It answered this item with no JSON object.
    Garbage(Bytes, Vec<u8>),
    /// It answered more than it was asked.
    Surplus,
    /// Its output cannot be read.
    Unreadable(io::Error),
}

impl Reading {
    fn run(mut self, stdout: ChildStdout) {
        let mut stdout = BufReader::with_capacity(64 * 1024, stdout);
        let mut at = None;
        let fault = loop {
            let mut state = self.shared.wait_while(|state| {
                state.pending.is_empty() && !state.closed && state.fate == Fate::Runs
            });
            let next = state.pending.pop_front();
            drop(state);
            let Some((place, job)) = next else {
                break self.rest(&mut stdout).err();
            };

            match self.answers(job, &mut stdout) {
                Ok(job) => self.lane.finish(place, Ok(job)),
                Err(fault) => {
                    at = Some(place);
                    break Some(fault);
                }
            }
        };

        self.finish(at, fault);
    }

    fn answers(&self, job: Job, stdout: &mut impl BufRead) -> std::result::Result<Job, Fault> {
        let mut fault = None;
        let mut each = |item: &Bytes| match fault {
            Some(_) => Outcome::Skipped,
            None => self.answer(item, stdout).unwrap_or_else(|found| {
                fault = Some(found);
                Outcome::Skipped
            }),
        };

        // Every item of a job is asked for, so every one is read, whatever becomes of the others.
        let job = job
            .into_iter()
            .map(|progress| progress.step_all(&mut each))
            .collect();

        fault.map_or(Ok(job), Err)
    }

    fn answer(
        &self,
        item: &Bytes,
        stdout: &mut impl BufRead,
    ) -> std::result::Result<Outcome, Fault> {
        let line = next_line(stdout, ITEM_TEXT_BYTES).map_err(Fault::Unreadable)?;
        let Some(line) = line else {
            return Err(Fault::Ended(item.clone()));
        };

        let mut state = self.shared.lock();

        // As `lines` counted it: with its line feed.
        let length = if has_line_breaks(item) {
            compact(item).len()
        } else {
            item.len()
        };

        state.unanswered = state.unanswered.saturating_sub(length + 1);
        state.since = Instant::now();
        let waited_for = state.full;
        drop(state);

        if waited_for {
            self.shared.changed.notify_all();
        }

        answer::outcome(item, &line).map_err(|answer::Garbage| Fault::Garbage(item.clone(), line))
    }

    /// Nothing is left to answer, so nothing must come.
    fn rest(&self, stdout: &mut impl BufRead) -> std::result::Result<(), Fault> {
        if self.shared.lock().fate != Fate::Runs {
            return Ok(());
        }

        match next_line(stdout, ITEM_TEXT_BYTES) {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(Fault::Surplus),
            Err(error) => Err(Fault::Unreadable(error)),
        }
    }

    /// Sees the program out, and says what was wrong: at the job of that place, or behind the last one.
    fn finish(&mut self, at: Option<u64>, fault: Option<Fault>) {
        if !matches!(fault, None | Some(Fault::Ended(_))) {
            self.shared.kill(&mut self.shared.lock(), Fate::Killed);
        }

        let status = self.reap();
        let fate = self.shared.lock().fate;

        // Only its end is waited for; nothing is ever sent.
        let _ = self.ended.recv_timeout(LAST_WORDS);
        let error = match fault {
            Some(fault) => Some(self.error(fault, status, fate)),
            None if fate == Fate::Killed => None,
            None if fate == Fate::TimedOut => {
                Some(self.late("it answered every item and did not end"))
            }
            None if status.is_some_and(|status| status.success()) => None,
            None => Some(self.told("answered every item, and then failed", status)),
        };

        match (at, error) {
            (Some(place), Some(error)) => {
                self.lane.finish(place, Err(error));
                self.lane.end(Ok(()));
            }
            (_, error) => self.lane.end(error.map_or(Ok(()), Err)),
        }
    }

    /// Waits for the program's end, then kills what it has left behind.
    fn reap(&mut self) -> Option<ExitStatus> {
        // Without taking its status, so that its number stays its own until the group is killed.
        let gone = || {
            waitid(
                WaitId::Pid(self.shared.pid),
                WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
            )
        };

        // It is our child, so that waiting cannot fail but by a signal.
        let _ = retry_on_intr(gone);
        let mut state = self.shared.lock();
        self.shared.kill(&mut state, Fate::Ended);
        let status = self.child.wait().ok();
        state.reaped = true;
        drop(state);
        self.shared.changed.notify_all();

        status
    }

    fn error(&self, fault: Fault, status: Option<ExitStatus>, fate: Fate) -> Error {
        match fault {
            Fault::Ended(item) if fate == Fate::TimedOut => {
                self.late(&format!("the next item is {}", self.shared.name(&item)))
            }
            Fault::Ended(item) => {
                let what = format!("ended without an answer for the item {}", self.shared.name(&item));
                self.told(&what, status)
            }
            Fault::Garbage(item, line) => {
                let line = printable(&String::from_utf8_lossy(&line), NAME_CHARS);
                let line = if self.shared.command.is_quiet { String::new() } else { format!(": {line:?}") };
                let what = format!("answered the item {} with no JSON object{line}", self.shared.name(&item));
                self.told(&what, None).with_hint(
                    "it has to print one line for each line it reads: an item, {\"skip\":true} or {\"error\":\"…\"}; messages belong on standard error",
                )
            }
            Fault::Surplus => self
                .told("printed more lines than it was given items", None)
                .with_hint("it has to print one line for each line it reads; messages belong on standard error"),
            Fault::Unreadable(error) => self.told("printed what cannot be read", None).with_source(error),
        }
    }

    fn told(&self, what: &str, status: Option<ExitStatus>) -> Error {
        let status = status
            .map(|status| format!(" ({status})"))
            .unwrap_or_default();
        let error = Error::failed(format!("the command of --transform-command {what}{status}"));
        let last = self.complaints.last();
        let heading = (!last.is_empty()).then(|| "its last words on standard error:".to_owned());

        error.with_details(heading.into_iter().chain(last))
    }

    fn late(&self, what: &str) -> Error {
        let timeout = self.shared.command.spec.timeout.as_secs_f64();
        self.told(&format!("gave no answer for {timeout} s: {what}"), None).with_hint(
            "if it needs longer, raise --transform-timeout; if it holds its output back, let it flush each line (python3 -u, jq --unbuffered)",
        )
    }
}
