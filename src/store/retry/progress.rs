//! The progress of calls: when one last succeeded, and what was reported about those that failed since.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::aws::error::ThrottlingCause;
use crate::store::clock::RunningClock;

/// The progress of all calls about the items of one table, or of one other call.
pub(crate) struct CallProgress {
    /// The table that warnings name.
    table: Option<String>,
    clock: Arc<RunningClock>,
    state: Mutex<ProgressState>,
}

/// Times are those of the clock.
#[derive(Default)]
struct ProgressState {
    last_success: Option<Duration>,
    /// When the first call since the last success was sent. A cap may have delayed it, which is not
    /// a stall.
    first_call: Option<Duration>,
    /// When the next warning is due; `None` while there is progress.
    next_warning: Option<Duration>,
    /// Whether a warning was reported since the last success.
    is_warned: bool,
    /// Number of throttled calls by cause, where the error names it.
    throttled: HashMap<ThrottlingCause, u32>,
}

impl CallProgress {
    pub(super) fn new(table: Option<&str>, clock: Arc<RunningClock>) -> Arc<Self> {
        Arc::new(Self {
            table: table.map(ToOwned::to_owned),
            clock,
            state: Mutex::default(),
        })
    }

    /// The table that warnings name.
    pub(super) fn table(&self) -> Option<&str> {
        self.table.as_deref()
    }

    /// The clock that measures the time without progress.
    pub(crate) fn clock(&self) -> &RunningClock {
        &self.clock
    }

    /// Records that a request is sent.
    pub(crate) fn record_call(&self) {
        let now = self.clock.now();
        self.lock().first_call.get_or_insert(now);
    }

    /// Records that a request succeeded. Returns whether a warning has said that none does.
    pub(super) fn record_success(&self) -> bool {
        let now = self.clock.now();
        let mut state = self.lock();
        state.last_success = Some(now);
        state.first_call = None;
        state.next_warning = None;

        std::mem::take(&mut state.is_warned)
    }

    /// Whether a request has succeeded within this time.
    pub(super) fn has_succeeded_within(&self, time: Duration) -> bool {
        let last = self.lock().last_success;
        last.is_some_and(|last| self.clock.now().saturating_sub(last) < time)
    }

    /// Start of the time without progress, for a caller whose own last progress was at `started`.
    pub(super) fn stalled_since(&self, started: Duration) -> Duration {
        let state = self.lock();
        [state.last_success, state.first_call]
            .into_iter()
            .flatten()
            .fold(started, Duration::max)
    }

    /// Counts a throttled request, and returns the number of those with this cause.
    pub(super) fn count_throttled(&self, cause: ThrottlingCause) -> u32 {
        let mut state = self.lock();
        let count = state.throttled.entry(cause).or_insert(0_u32);
        *count = count.saturating_add(1);

        *count
    }

    /// Whether a warning about this time without progress is due: the first after `first`. The interval to the next one grows by
    /// `interval` and with the stall, so that a long one does not fill the log.
    pub(super) fn takes_warning(
        &self,
        now: Duration,
        stalled: Duration,
        (first, interval): (Duration, Duration),
    ) -> bool {
        let mut state = self.lock();
        let due = now.saturating_sub(stalled) + first;
        if now < *state.next_warning.get_or_insert(due) {
            return false;
        }

        state.next_warning = Some(now + stalled / 2 + interval);
        state.is_warned = true;

        true
    }

    fn lock(&self) -> MutexGuard<'_, ProgressState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
