//! State of one process that its threads share, and the watchdog that enforces the timeout.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::TransformCommand;
use super::answer::printable;
use crate::transform::job::NumberedJob;

/// Characters of an item that are shown if it has no usable key.
pub(crate) const NAME_CHARS: usize = 80;

/// Maximum interval between two checks of the timeout.
const WATCHDOG_INTERVAL: Duration = Duration::from_millis(100);

/// A process, as its threads see it.
pub(crate) struct SharedProcess {
    pub(crate) command: TransformCommand,
    /// ID of the process and of its process group.
    pub(crate) pid: Pid,
    state: Mutex<ProcessState>,
    pub(crate) changed: Condvar,
}

/// The items sent so far, and whether the process still runs.
pub(crate) struct ProcessState {
    /// Jobs that were sent and not yet answered, oldest first.
    pub(crate) pending: VecDeque<NumberedJob>,
    /// Bytes that were sent and not yet answered.
    pub(crate) unanswered_bytes: usize,
    /// Whether the input has ended.
    pub(crate) is_closed: bool,
    /// Whether a sender waits because too much is unanswered.
    pub(crate) is_full: bool,
    /// Start of the current timeout: the last answer, or the last time when the process may have
    /// lacked input.
    pub(crate) timeout_start: Instant,
    pub(crate) run_state: RunState,
    /// Whether the exit status was collected. After that, the PID may belong to another process.
    pub(crate) is_reaped: bool,
}

/// Whether a process runs, or why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunState {
    Running,
    /// It exited by itself.
    Exited,
    /// It was killed because the run was cancelled, or because its output was invalid.
    Killed,
    /// It was killed because it exceeded the timeout.
    TimedOut,
}

impl SharedProcess {
    pub(crate) fn new(command: TransformCommand, pid: Pid) -> Self {
        let state = ProcessState {
            pending: VecDeque::new(),
            unanswered_bytes: 0,
            is_closed: false,
            is_full: false,
            timeout_start: Instant::now(),
            run_state: RunState::Running,
            is_reaped: false,
        };

        Self {
            command,
            pid,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ProcessState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `condition` is false.
    pub(crate) fn wait_while(
        &self,
        condition: impl Fn(&ProcessState) -> bool,
    ) -> MutexGuard<'_, ProcessState> {
        let waiting = self
            .changed
            .wait_while(self.lock(), |state| condition(state));
        waiting.unwrap_or_else(PoisonError::into_inner)
    }

    /// Kills the process group, unless its leader was reaped, and records the first reason.
    pub(crate) fn kill(&self, state: &mut ProcessState, reason: RunState) {
        if !state.is_reaped {
            // An error means that the group no longer exists, which is the goal.
            let _ = kill_process_group(self.pid, Signal::KILL);
        }

        if state.run_state == RunState::Running {
            state.run_state = reason;
        }
    }

    /// Kills the process group without waiting for its end, because nobody reads its answers any
    /// more.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        self.kill(&mut state, RunState::Killed);
        // Ends the watchdog.
        state.is_reaped = true;
        drop(state);
        self.changed.notify_all();
    }

    /// Kills a process that has as much input as it may have and prints nothing until the timeout.
    /// Returns once it is reaped.
    pub(crate) fn run_watchdog(&self) {
        let timeout = self.command.spec.timeout;
        let mut state = self.lock();
        while !state.is_reaped {
            // Until then the process may be waiting for more input, for example to fill its output
            // buffer.
            let has_all_input = state.is_closed || state.is_full;
            if !has_all_input {
                state.timeout_start = Instant::now();
            } else if state.run_state == RunState::Running
                && state.timeout_start.elapsed() > timeout
            {
                self.kill(&mut state, RunState::TimedOut);
                self.changed.notify_all();
            }

            state = match self
                .changed
                .wait_timeout(state, WATCHDOG_INTERVAL.min(timeout / 4))
            {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Identifies an item in an error.
    pub(crate) fn item_name(&self, item: &[u8]) -> String {
        if self.command.hides_output {
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
