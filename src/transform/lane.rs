//! Jobs in order through workers that finish in any order: a bounded queue on one side, what is done in sequence on the other.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::stage::Progress;
use crate::error::{Error, Result};

/// Items on their way, as they came in together.
pub(crate) type Job = Vec<Progress>;

/// The state of a lane that several threads share.
pub(crate) struct Lane {
    state: Mutex<State>,
    changed: Condvar,
    /// Jobs that may be in the lane.
    window: u64,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(u64, Job)>,
    done: BTreeMap<u64, Result<Job>>,
    pushed: u64,
    pulled: u64,
    closed: bool,
    cancelled: bool,
    /// What went wrong behind the last job.
    failure: Option<Error>,
    /// Those who may still report such a failure.
    open_ends: usize,
}

impl Lane {
    /// An empty lane. It ends only once [`end`](Self::end) was called `open_ends` times.
    pub(crate) fn new(window: u64, open_ends: usize) -> Self {
        Self {
            state: Mutex::new(State {
                open_ends,
                ..State::default()
            }),
            changed: Condvar::new(),
            window,
        }
    }

    /// Nobody panics while holding the lock, and if so, the state is whole all the same.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waiting = self
            .changed
            .wait_while(self.lock(), |state| !state.cancelled && condition(state));
        waiting.unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place in the sequence; waits while the lane is full. `None` when it was cancelled.
    pub(crate) fn place(&self) -> Option<u64> {
        let mut state = self.wait_while(|state| state.pushed - state.pulled >= self.window);
        state.pushed += 1;
        (!state.cancelled).then_some(state.pushed - 1)
    }

    /// Leaves a job for the workers; waits while the lane is full. False when it was cancelled.
    pub(crate) fn push(&self, job: Job) -> bool {
        let Some(place) = self.place() else {
            return false;
        };

        self.lock().waiting.push_back((place, job));
        self.changed.notify_all();

        true
    }

    /// The next job for a worker; waits for one. `None` when none comes any more.
    pub(crate) fn take(&self) -> Option<(u64, Job)> {
        let mut state = self.wait_while(|state| state.waiting.is_empty() && !state.closed);
        if state.cancelled {
            None
        } else {
            state.waiting.pop_front()
        }
    }

    /// Brings the result of the job at `place`.
    pub(crate) fn finish(&self, place: u64, result: Result<Job>) {
        self.lock().done.insert(place, result);
        self.changed.notify_all();
    }

    /// A worker cannot continue with the jobs that it holds: the next result is this error.
    pub(crate) fn fail(&self, error: Error) {
        let mut state = self.lock();
        let next = state.pulled;
        state.done.insert(next, Err(error));
        drop(state);
        self.changed.notify_all();
    }

    /// No job comes any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// One of the open ends is done, well or not.
    pub(crate) fn end(&self, result: Result<()>) {
        let mut state = self.lock();
        state.open_ends = state.open_ends.saturating_sub(1);
        if let Err(error) = result {
            state.failure.get_or_insert(error);
        }

        drop(state);
        self.changed.notify_all();
    }

    /// The result of the next job in sequence; waits for it. `None` behind the last one.
    pub(crate) fn pull(&self) -> Option<Result<Job>> {
        let ready = |state: &State| {
            state.done.contains_key(&state.pulled)
                || state.closed && state.pulled == state.pushed && state.open_ends == 0
        };
        let mut state = self.wait_while(|state| !ready(state));
        if state.cancelled {
            return None;
        }

        let place = state.pulled;
        let Some(result) = state.done.remove(&place) else {
            return state.failure.take().map(Err);
        };

        state.pulled += 1;
        drop(state);
        self.changed.notify_all();

        Some(result)
    }

    /// Ends everything as soon as possible; what is under way is lost.
    pub(crate) fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = true;
        state.waiting.clear();
        state.done.clear();
        drop(state);
        self.changed.notify_all();
    }
}
