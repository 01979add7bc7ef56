//! The one owner of retries: passing faults go round with jittered backoff for as long as anything makes progress.
//!
//! There is no cap on attempts. A run gives up when no call of any kind has succeeded for `give_up_after`: a throttled table
//! that still takes one batch a second is slow, not broken.

use std::future::Future;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::Instant;

use super::fault::{Class, Fault};
use crate::event::{Event, Reporter};

const SHORTEST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How failed calls are tried again.
pub(super) struct Retry {
    give_up_after: Duration,
    last_success: Mutex<Option<Instant>>,
    reporter: Arc<dyn Reporter>,
}

impl Retry {
    pub(super) fn new(give_up_after: Duration, reporter: Arc<dyn Reporter>) -> Self {
        Self { give_up_after, last_success: Mutex::new(None), reporter }
    }

    /// Waits between attempts: exponential from 50 ms to 10 s, jittered, without end.
    pub(super) fn waits() -> impl Iterator<Item = Duration> + Send {
        ExponentialBuilder::default()
            .with_min_delay(SHORTEST_WAIT)
            .with_max_delay(LONGEST_WAIT)
            .with_jitter()
            .without_max_times()
            .build()
            .map(|wait| wait.min(LONGEST_WAIT))
    }

    /// Notes that a call succeeded.
    pub(super) fn succeeded(&self) {
        if let Ok(mut last) = self.last_success.lock() {
            *last = Some(Instant::now());
        }
    }

    /// Makes `attempt` until it succeeds, fails for good, or nothing has succeeded for too long.
    pub(super) async fn run<T, F>(&self, operation: &str, mut attempt: impl FnMut() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let started = Instant::now();
        let mut waits = Self::waits();
        loop {
            let fault = match attempt().await {
                Ok(value) => {
                    self.succeeded();
                    return Ok(value);
                }
                Err(fault) => fault,
            };
            if !fault.is_passing() || self.is_hopeless(&fault) {
                return Err(fault);
            }
            self.pause(operation, &fault.words(), started, &mut waits).await.map_err(|GaveUp| fault)?;
        }
    }

    /// Makes `attempt` until it succeeds or is refused: for `busy` at most while the table is busy, for `faults` at most while the
    /// endpoint fails. That other calls succeed meanwhile says nothing here.
    pub(super) async fn run_for<T, F>(
        &self,
        operation: &str,
        faults: Duration,
        busy: Duration,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let started = Instant::now();
        let mut waits = Self::waits();
        loop {
            let fault = match attempt().await {
                Ok(value) => return Ok(value),
                Err(fault) => fault,
            };
            let patience = if fault.is_busy() { busy } else { faults };
            if !(fault.is_passing() || fault.is_busy()) || started.elapsed() > patience {
                return Err(fault);
            }
            self.rest(operation, &fault.words(), &mut waits).await;
        }
    }

    /// Waits before the next attempt, and says why.
    pub(super) async fn rest(
        &self,
        operation: &str,
        reason: &str,
        waits: &mut (impl Iterator<Item = Duration> + Send),
    ) {
        let wait = waits.next().unwrap_or(LONGEST_WAIT);
        self.reporter.report(Event::Retry { reason: format!("{operation}: {reason}"), wait });
        tokio::time::sleep(wait).await;
    }

    /// Waits before the next attempt, or says that it is time to give up.
    pub(super) async fn pause(
        &self,
        operation: &str,
        reason: &str,
        started: Instant,
        waits: &mut (impl Iterator<Item = Duration> + Send),
    ) -> Result<(), GaveUp> {
        let since = self.last_success.lock().ok().and_then(|last| *last).map_or(started, |last| last.max(started));
        if since.elapsed() >= self.give_up_after {
            return Err(GaveUp);
        }
        self.rest(operation, reason, waits).await;
        Ok(())
    }

    /// An endpoint that has never answered is not going to: say so at once.
    fn is_hopeless(&self, fault: &Fault) -> bool {
        fault.class == Class::Unreachable && self.last_success.lock().map_or(true, |last| last.is_none())
    }
}

/// Nothing has succeeded for too long.
#[derive(Debug)]
pub(super) struct GaveUp;
