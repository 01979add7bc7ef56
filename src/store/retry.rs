//! The one owner of retries: how long to wait, when to give up, and when to warn that there is no
//! progress. `recovery` decides what can be corrected before a retry.
//!
//! Time during which the process was suspended does not count (see `clock`).
//!
//! The number of attempts is unlimited. A call about the items of a table gives up when no such
//! call has succeeded for `give_up_after`: a throttled table that still accepts one batch per second
//! is slow, not broken. Each table has its own progress and its own clock, so that one that fails does not retry for
//! as long as another one is busy, or as pages of another one wait for our own consumer. Other calls only have their own time.

mod progress;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

pub(crate) use progress::CallProgress;

use super::clock::{ClockReading, RunningClock};
use crate::aws::error::{RequestError, ThrottlingCause};
use crate::event::{Event, Reporter};

const MIN_DELAY: Duration = Duration::from_millis(50);
const MAX_DELAY: Duration = Duration::from_secs(10);

/// Maximum delay while other calls about the table succeed. The rate is limited elsewhere, and
/// others may wait for what a delayed caller holds.
const MAX_DELAY_WHILE_SUCCEEDING: Duration = Duration::from_secs(1);

/// Time without progress after which a warning is reported. Further warnings follow at growing
/// intervals.
const STALL_WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Number of requests that are throttled for the same cause before it is reported. A few are
/// nothing unusual.
const THROTTLED_BEFORE_REPORT: u32 = 50;

/// Minimum time before a warning, for runs that give up early.
const MIN_STALL_WARNING: Duration = Duration::from_secs(1);

/// Delays, warnings and the time limit of failed calls.
pub(crate) struct Retry {
    give_up_after: Duration,
    clock: Arc<RunningClock>,
    /// Whether any call about any table has succeeded yet.
    has_succeeded: AtomicBool,
    by_table: Mutex<HashMap<String, Arc<CallProgress>>>,
    /// The progress of all calls that create a table.
    creations: Arc<CallProgress>,
    reporter: Arc<dyn Reporter>,
}

/// Delays between attempts: exponential from 50 ms to 10 s, with jitter, without end.
pub(crate) struct Backoff(ExponentialBackoff);

impl Backoff {
    pub(crate) fn next_delay(&mut self) -> Duration {
        // Jitter may exceed the maximum delay.
        self.0.next().unwrap_or(MAX_DELAY).min(MAX_DELAY)
    }
}

impl Iterator for Backoff {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.next_delay())
    }
}

impl Retry {
    pub(crate) fn new(give_up_after: Duration, reporter: Arc<dyn Reporter>) -> Self {
        let clock = RunningClock::start();

        Self {
            give_up_after,
            creations: CallProgress::new(None, Arc::clone(&clock)),
            clock,
            has_succeeded: AtomicBool::new(false),
            by_table: Mutex::default(),
            reporter,
        }
    }

    /// The clock of all calls that are not about items.
    pub(crate) fn clock(&self) -> &RunningClock {
        &self.clock
    }

    /// Reports an event of a call that waits.
    pub(crate) fn report(&self, event: Event) {
        self.reporter.report(event);
    }

    /// The running time so far.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// The progress of all calls about the items of a table.
    pub(crate) fn table_progress(&self, table: &str) -> Arc<CallProgress> {
        let mut by_table = self.by_table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(progress) = by_table.get(table) {
            return Arc::clone(progress);
        }

        let progress = CallProgress::new(Some(table), RunningClock::start());
        by_table.insert(table.to_owned(), Arc::clone(&progress));

        progress
    }

    /// Discards the progress of the calls about the items of a table.
    pub(crate) fn forget(&self, table: &str) {
        let mut by_table = self.by_table.lock().unwrap_or_else(PoisonError::into_inner);
        by_table.remove(table);
    }

    /// The progress of a call that shares it with no other.
    pub(crate) fn call_progress(&self, table: Option<&str>) -> Arc<CallProgress> {
        CallProgress::new(table, Arc::clone(&self.clock))
    }

    /// The progress of all calls that create a table.
    pub(crate) fn creation_progress(&self) -> Arc<CallProgress> {
        Arc::clone(&self.creations)
    }

    /// The delays between the attempts of one call.
    pub(crate) fn backoff() -> Backoff {
        let delays = ExponentialBuilder::default()
            .with_min_delay(MIN_DELAY)
            .with_max_delay(MAX_DELAY)
            .with_jitter()
            .without_max_times()
            .build();

        Backoff(delays)
    }

    /// The running time since `start`.
    pub(crate) fn since(&self, start: Duration) -> Duration {
        self.now().saturating_sub(start)
    }

    /// The maximum time without a successful call.
    pub(crate) fn give_up_after(&self) -> Duration {
        self.give_up_after
    }

    /// Reports a message.
    pub(crate) fn inform(&self, text: String) {
        self.reporter.report(Event::Info(text));
    }

    /// Records that a request succeeded.
    pub(crate) fn record_success(&self, progress: &CallProgress) {
        self.has_succeeded.store(true, Ordering::Relaxed);

        if progress.record_success() {
            self.inform(match progress.table() {
                Some(table) => format!("Requests to table {table} are succeeding again"),
                None => "Requests are succeeding again".to_owned(),
            });
        }
    }

    /// Whether any request has succeeded yet: the endpoint and the credentials are the same for all
    /// tables.
    pub(crate) fn has_succeeded(&self) -> bool {
        self.has_succeeded.load(Ordering::Relaxed)
    }

    /// Reports the retry and waits before it.
    pub(crate) async fn sleep_before_retry(&self, error: &RequestError, wait: Duration) {
        self.reporter.report(Event::Retry {
            reason: error.operation_and_reason() + &error.request_id_note(),
            wait,
        });
        tokio::time::sleep(wait).await;
    }

    /// The next delay, which is shorter while other calls about the table succeed.
    pub(crate) fn next_delay(progress: &CallProgress, delays: &mut Backoff) -> Duration {
        let max_delay = if progress.has_succeeded_within(MAX_DELAY_WHILE_SUCCEEDING) {
            MAX_DELAY_WHILE_SUCCEEDING
        } else {
            MAX_DELAY
        };

        delays.next_delay().min(max_delay)
    }

    /// Waits before the next attempt, or returns the error if it is time to give up. `started` is
    /// when the caller last made progress, by the clock of `progress`.
    pub(crate) async fn wait_or_give_up(
        &self,
        progress: &CallProgress,
        error: RequestError,
        started: Duration,
        delays: &mut Backoff,
    ) -> Result<(), RequestError> {
        let ClockReading {
            running: now,
            last_resume,
        } = progress.clock().read();
        // After a suspension, at least half of the time remains: calls that timed out because of it
        // are repeated.
        let started = last_resume.map_or(started, |resumed| {
            started.max(resumed.saturating_sub(self.give_up_after / 2))
        });
        let stalled = now.saturating_sub(progress.stalled_since(started));
        if stalled >= self.give_up_after {
            return Err(error.after_stall(self.give_up_after));
        }

        self.report_cause(progress, &error);
        self.warn_if_stalled(progress, &error, now, stalled);
        let wait = Self::next_delay(progress, delays);
        self.sleep_before_retry(&error, wait).await;

        Ok(())
    }

    /// Reports once for each table and cause that many requests are throttled for a reason other than
    /// the provisioned capacity, which the rate adapts to.
    fn report_cause(&self, progress: &CallProgress, error: &RequestError) {
        let (Some(cause), Some(advice), Some(table)) = (
            error.throttling_cause(),
            error.throttling_advice(),
            progress.table(),
        ) else {
            return;
        };

        if cause == ThrottlingCause::ProvisionedCapacity {
            return;
        }

        let count = progress.count_throttled(cause);
        if count == THROTTLED_BEFORE_REPORT {
            self.inform(format!(
                "{count} requests to table {table} have been throttled: {advice}"
            ));
        }
    }

    /// Reports a warning from time to time while there is no progress, whichever in-flight call
    /// notices it.
    fn warn_if_stalled(
        &self,
        progress: &CallProgress,
        error: &RequestError,
        now: Duration,
        stalled: Duration,
    ) {
        let first = STALL_WARNING_INTERVAL
            .min(self.give_up_after / 2)
            .max(MIN_STALL_WARNING);
        if !progress.takes_warning(now, stalled, (first, STALL_WARNING_INTERVAL)) {
            return;
        }

        let target = match progress.table() {
            Some(table) => format!(" on table {table}"),
            None => String::new(),
        };

        let reason = error.operation_and_reason();
        let advice = error
            .throttling_advice()
            .map_or_else(String::new, |advice| format!("; {advice}"));
        self.reporter.report(Event::Warning(format!(
            "No progress{target} for {} s: {}{advice}. Giving up after {:?} without progress",
            stalled.as_secs(),
            reason.trim_end_matches('.'),
            self.give_up_after,
        )));
    }
}

#[cfg(test)]
mod tests;
