//! Queue that returns results in input order although workers finish jobs in any order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::job::{NumberedJob, TransformJob};
use crate::error::{Error, Result};

/// A bounded queue of jobs, and their results in order.
pub(crate) struct OrderedQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
    /// Maximum number of jobs from `push` to `next_result`.
    capacity: u64,
}

#[derive(Default)]
struct QueueState {
    /// Jobs that no worker has taken yet.
    waiting: VecDeque<NumberedJob>,
    /// Results that were not pulled yet, by job number.
    done: BTreeMap<u64, Result<TransformJob>>,
    pushed: u64,
    pulled: u64,
    is_closed: bool,
    is_cancelled: bool,
    /// An error that a worker reported after its last job.
    failure: Option<Error>,
    /// Workers that may still report such an error.
    running_workers: usize,
}

impl OrderedQueue {
    /// Creates an empty queue. It ends only after `workers` calls of
    /// [`worker_finished`](Self::worker_finished).
    pub(crate) fn new(capacity: u64, workers: usize) -> Self {
        Self {
            state: Mutex::new(QueueState {
                running_workers: workers,
                ..QueueState::default()
            }),
            changed: Condvar::new(),
            capacity,
        }
    }

    /// Locks the state. A poisoned lock is ignored: each critical section leaves the state
    /// consistent.
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `condition` is false or the queue is cancelled.
    fn wait_while(&self, condition: impl Fn(&QueueState) -> bool) -> MutexGuard<'_, QueueState> {
        let waiting = self
            .changed
            .wait_while(self.lock(), |state| !state.is_cancelled && condition(state));
        waiting.unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves the next job number. Blocks while the queue is full. `None` if cancelled.
    pub(crate) fn reserve(&self) -> Option<u64> {
        let mut state = self.wait_while(|state| state.pushed - state.pulled >= self.capacity);
        state.pushed += 1;

        (!state.is_cancelled).then_some(state.pushed - 1)
    }

    /// Adds a job for the workers. Blocks while the queue is full. Returns false if cancelled.
    pub(crate) fn push(&self, job: TransformJob) -> bool {
        let Some(number) = self.reserve() else {
            return false;
        };

        self.lock().waiting.push_back(NumberedJob { number, job });
        self.changed.notify_all();

        true
    }

    /// Waits for the next job of a worker. `None` if the queue is closed and empty, or cancelled.
    pub(crate) fn next_job(&self) -> Option<NumberedJob> {
        let mut state = self.wait_while(|state| state.waiting.is_empty() && !state.is_closed);
        if state.is_cancelled {
            None
        } else {
            state.waiting.pop_front()
        }
    }

    /// Sets the result of a job.
    pub(crate) fn complete(&self, number: u64, result: Result<TransformJob>) {
        self.lock().done.insert(number, result);
        self.changed.notify_all();
    }

    /// Makes `error` the next result, for a worker that cannot continue with the jobs that it
    /// holds.
    pub(crate) fn fail_next(&self, error: Error) {
        let mut state = self.lock();
        let next = state.pulled;
        state.done.insert(next, Err(error));
        drop(state);
        self.changed.notify_all();
    }

    /// Marks the end of the input: no job follows.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Reports that a worker has finished, with the error that occurred after its last job, if any.
    pub(crate) fn worker_finished(&self, result: Result<()>) {
        let mut state = self.lock();
        state.running_workers = state.running_workers.saturating_sub(1);
        if let Err(error) = result {
            state.failure.get_or_insert(error);
        }

        drop(state);
        self.changed.notify_all();
    }

    /// Waits for the next result in order. `None` after the last one, or if cancelled.
    pub(crate) fn next_result(&self) -> Option<Result<TransformJob>> {
        let is_ready = |state: &QueueState| {
            state.done.contains_key(&state.pulled)
                || state.is_closed && state.pulled == state.pushed && state.running_workers == 0
        };
        let mut state = self.wait_while(|state| !is_ready(state));
        if state.is_cancelled {
            return None;
        }

        let number = state.pulled;
        let Some(result) = state.done.remove(&number) else {
            // All jobs were pulled. An error of a worker comes after them, once.
            return state.failure.take().map(Err);
        };

        state.pulled += 1;
        drop(state);
        self.changed.notify_all();

        Some(result)
    }

    /// Stops as soon as possible and discards all jobs and results.
    pub(crate) fn cancel(&self) {
        let mut state = self.lock();
        state.is_cancelled = true;
        state.waiting.clear();
        state.done.clear();
        drop(state);
        self.changed.notify_all();
    }
}
