//! The one owner of retries: how long to wait, when to give up, and when to warn that there is no
//! progress. `recovery` decides what can be corrected before a retry.
//!
//! Time during which the process was suspended does not count (see `clock`).
//!
//! The number of attempts is unlimited. A run gives up when no call of any kind has succeeded for
//! `give_up_after`: a throttled table that still accepts one batch per second is slow, not broken.

use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use super::clock::{ClockReading, RunningClock};
use crate::aws::error::RequestError;
use crate::event::{Event, Reporter};

const MIN_DELAY: Duration = Duration::from_millis(50);
const MAX_DELAY: Duration = Duration::from_secs(10);

/// Maximum delay while other calls succeed. The rate is limited elsewhere, and others may wait for
/// what a delayed caller holds.
const MAX_DELAY_WHILE_SUCCEEDING: Duration = Duration::from_secs(1);

/// Time without progress after which a warning is reported. Further warnings follow at growing
/// intervals.
const STALL_WARNING_INTERVAL: Duration = Duration::from_secs(10);

/// Minimum time before a warning, for runs that give up early.
const MIN_STALL_WARNING: Duration = Duration::from_secs(1);

/// Delays, warnings and the time limit of failed calls.
pub(crate) struct Retry {
    give_up_after: Duration,
    clock: Arc<RunningClock>,
    state: Mutex<CallProgress>,
    reporter: Arc<dyn Reporter>,
}

/// The progress of all calls, in running time.
#[derive(Default)]
struct CallProgress {
    last_success: Option<Duration>,
    /// When the first call since the last success was sent. A cap may have delayed it, which is not
    /// a stall.
    first_call: Option<Duration>,
    /// When the next warning is due; `None` while there is progress.
    next_warning: Option<Duration>,
    /// Whether a warning was reported since the last success.
    is_warned: bool,
}

impl CallProgress {
    /// Start of the time without progress, for a caller whose own last progress was at `started`.
    fn stalled_since(&self, started: Duration) -> Duration {
        [self.last_success, self.first_call]
            .into_iter()
            .flatten()
            .fold(started, Duration::max)
    }
}

impl Retry {
    pub(crate) fn new(give_up_after: Duration, reporter: Arc<dyn Reporter>) -> Self {
        Self {
            give_up_after,
            clock: RunningClock::start(),
            state: Mutex::default(),
            reporter,
        }
    }

    /// The clock that measures the time without progress.
    pub(crate) fn clock(&self) -> &RunningClock {
        &self.clock
    }

    /// The running time so far.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Delays between attempts: exponential from 50 ms to 10 s, with jitter, without end.
    pub(crate) fn backoff() -> impl Iterator<Item = Duration> + Send + use<> {
        ExponentialBuilder::default()
            .with_min_delay(MIN_DELAY)
            .with_max_delay(MAX_DELAY)
            .with_jitter()
            .without_max_times()
            .build()
            // Jitter may exceed the maximum delay.
            .map(|wait| wait.min(MAX_DELAY))
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

    /// Records that a request is sent.
    pub(crate) fn record_call(&self) {
        let now = self.now();
        self.lock().first_call.get_or_insert(now);
    }

    /// Records that a request succeeded.
    pub(crate) fn record_success(&self) {
        let now = self.now();
        // The lock is released before reporting, which may block.
        let is_warned = {
            let mut state = self.lock();
            state.last_success = Some(now);
            state.first_call = None;
            state.next_warning = None;
            std::mem::take(&mut state.is_warned)
        };

        if is_warned {
            self.reporter
                .report(Event::Info("calls succeed again".to_owned()));
        }
    }

    /// Whether any request has succeeded yet.
    pub(crate) fn has_succeeded(&self) -> bool {
        self.lock().last_success.is_some()
    }

    /// Reports the retry and waits before it.
    pub(crate) async fn sleep_before_retry(
        &self,
        error: &RequestError,
        delays: &mut (impl Iterator<Item = Duration> + Send),
    ) {
        let wait = delays.next().unwrap_or(MAX_DELAY).min(self.max_delay());
        self.reporter.report(Event::Retry {
            reason: error.operation_and_reason() + &error.request_id_note(),
            wait,
        });
        tokio::time::sleep(wait).await;
    }

    fn max_delay(&self) -> Duration {
        let (now, last) = (self.now(), self.lock().last_success);
        let is_succeeding =
            last.is_some_and(|last| now.saturating_sub(last) < MAX_DELAY_WHILE_SUCCEEDING);
        if is_succeeding {
            MAX_DELAY_WHILE_SUCCEEDING
        } else {
            MAX_DELAY
        }
    }

    /// Waits before the next attempt, or returns the error if it is time to give up. `started` is
    /// when the caller last made progress.
    pub(crate) async fn wait_or_give_up(
        &self,
        error: RequestError,
        started: Duration,
        delays: &mut (impl Iterator<Item = Duration> + Send),
    ) -> Result<(), RequestError> {
        let ClockReading {
            running: now,
            last_resume,
        } = self.clock.read();
        // After a suspension, at least half of the time remains: calls that timed out because of it
        // are repeated.
        let started = last_resume.map_or(started, |resumed| {
            started.max(resumed.saturating_sub(self.give_up_after / 2))
        });
        let since = self.lock().stalled_since(started);
        let stalled = now.saturating_sub(since);
        if stalled >= self.give_up_after {
            return Err(error.after_stall(self.give_up_after));
        }

        self.warn_if_stalled(&error, now, stalled);
        self.sleep_before_retry(&error, delays).await;

        Ok(())
    }

    /// Reports a warning from time to time while there is no progress, whichever in-flight call
    /// notices it.
    fn warn_if_stalled(&self, error: &RequestError, now: Duration, stalled: Duration) {
        {
            let mut state = self.lock();
            let first = STALL_WARNING_INTERVAL
                .min(self.give_up_after / 2)
                .max(MIN_STALL_WARNING);
            let next = *state
                .next_warning
                .get_or_insert(now.saturating_sub(stalled) + first);
            if now < next {
                return;
            }

            // The interval grows with the stall, so that a long one does not fill the log.
            state.next_warning = Some(now + stalled / 2 + STALL_WARNING_INTERVAL);
            state.is_warned = true;
        }

        let text = format!(
            "nothing has gone forward for {} s ({}); the run gives up after {:?}",
            stalled.as_secs(),
            error.operation_and_reason(),
            self.give_up_after,
        );

        self.reporter.report(Event::Warning(text));
    }

    fn lock(&self) -> MutexGuard<'_, CallProgress> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::store::clock::PageWait;

    #[derive(Default)]
    struct RecordedEvents(Mutex<Vec<Event>>);

    impl Reporter for RecordedEvents {
        fn report(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }

    impl RecordedEvents {
        fn warnings(&self) -> usize {
            self.0
                .lock()
                .unwrap()
                .iter()
                .filter(|event| matches!(event, Event::Warning(_)))
                .count()
        }
    }

    async fn fail_until_given_up(retry: &Retry) -> Result<(), RequestError> {
        let started = retry.now();
        let mut delays = Retry::backoff();
        loop {
            retry
                .wait_or_give_up(
                    RequestError::for_test("ThrottlingException", 400, "slow down"),
                    started,
                    &mut delays,
                )
                .await?;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_gives_up_after_a_time_and_not_after_a_number_of_calls() {
        let events = Arc::new(RecordedEvents::default());
        let retry = Retry::new(Duration::from_mins(5), events.clone());
        let started = Instant::now();
        let error = fail_until_given_up(&retry).await.unwrap_err();
        assert!(
            error.code_and_message().contains("slow down")
                && error.code_and_message().contains("300s"),
            "{}",
            error.code_and_message()
        );

        let took = started.elapsed();
        assert!((300..=310).contains(&took.as_secs()), "{took:?}");
        assert!(
            (3..=8).contains(&events.warnings()),
            "{} warnings in five minutes",
            events.warnings()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_small_cap_is_not_a_stall() {
        let events = Arc::new(RecordedEvents::default());
        let retry = Retry::new(Duration::from_mins(5), events.clone());
        let error = || RequestError::for_test("InternalServerError", 500, "provoked");
        for _ in 0..3 {
            // An item of 400 KB waits this long under a cap of one unit.
            let started = retry.now();
            tokio::time::sleep(Duration::from_secs(400)).await;
            retry.record_call();
            retry
                .wait_or_give_up(error(), started, &mut Retry::backoff())
                .await
                .expect("one fault is no reason");
            retry.record_success();
        }

        assert_eq!(events.warnings(), 0, "calls succeed as often as they may");
        let gave_up = fail_until_given_up(&retry).await.unwrap_err();
        assert!(
            gave_up.code_and_message().contains("300s"),
            "{}",
            gave_up.code_and_message()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_process_was_paused_is_not_a_stall() {
        let events = Arc::new(RecordedEvents::default());
        let retry = Retry::new(Duration::from_mins(5), events.clone());
        let error = || RequestError::timeout();
        let started = retry.now();
        tokio::time::advance(Duration::from_hours(1)).await;
        retry
            .wait_or_give_up(error(), started, &mut Retry::backoff())
            .await
            .expect("the call is made again");
        assert_eq!(events.warnings(), 0, "nothing has failed for long");

        // The endpoint stays away: the run gives up after its time limit, a part of which had
        // passed before.
        let gave_up = fail_until_given_up(&retry).await.unwrap_err();
        assert!(
            gave_up.code_and_message().contains("300s"),
            "{}",
            gave_up.code_and_message()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_made_again_after_every_pause_of_the_process() {
        let retry = Retry::new(Duration::from_mins(5), Arc::new(RecordedEvents::default()));
        let started = retry.now();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(299)).await;
            tokio::time::advance(Duration::from_hours(1)).await;
            let again = retry
                .wait_or_give_up(RequestError::timeout(), started, &mut Retry::backoff())
                .await;
            again.expect("the call is made again");
        }

        tokio::time::sleep(Duration::from_secs(299)).await;
        let again = retry
            .wait_or_give_up(RequestError::timeout(), started, &mut Retry::backoff())
            .await;
        assert!(again.is_err(), "without a pause the run gives up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_after_a_long_wait_for_our_own_consumer_is_retried() {
        let events = Arc::new(RecordedEvents::default());
        let retry = Retry::new(Duration::from_mins(5), events.clone());
        retry.record_success();
        let started = retry.now();
        retry.record_call();
        let waiting = retry.clock().enter(PageWait::ForMemory);
        tokio::time::sleep(Duration::from_mins(20)).await;
        drop(waiting);
        let error = RequestError::for_test(
            "InternalServerError",
            500,
            "the connection was closed meanwhile",
        );

        retry
            .wait_or_give_up(error, started, &mut Retry::backoff())
            .await
            .expect("it is the first fault");
        assert_eq!(events.warnings(), 0);
        let gave_up = fail_until_given_up(&retry).await.unwrap_err();
        assert!(
            gave_up.code_and_message().contains("300s"),
            "{}",
            gave_up.code_and_message()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_is_at_most_a_second_while_other_calls_succeed() {
        let retry = Retry::new(Duration::from_mins(5), Arc::new(RecordedEvents::default()));
        let mut delays = Retry::backoff().skip(20);
        let mut sleeps = async |succeeds: bool| {
            if succeeds {
                retry.record_success();
            }

            let began = Instant::now();
            retry
                .sleep_before_retry(&RequestError::unprocessed(1, 1), &mut delays)
                .await;
            began.elapsed()
        };

        assert_eq!(sleeps(true).await, MAX_DELAY_WHILE_SUCCEEDING);
        assert_eq!(sleeps(true).await, MAX_DELAY_WHILE_SUCCEEDING);
        assert_eq!(
            sleeps(false).await,
            MAX_DELAY,
            "nobody has succeeded meanwhile"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_and_its_end_are_reported_once_each() {
        let events = Arc::new(RecordedEvents::default());
        let retry = Arc::new(Retry::new(Duration::from_mins(5), events.clone()));
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let retry = Arc::clone(&retry);
                tokio::spawn(async move { drop(fail_until_given_up(&retry).await) })
            })
            .collect();

        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(events.warnings(), 0, "a short hitch is nobody's business");
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!(events.warnings(), 1);
        retry.record_success();
        retry.record_success();
        let infos = events
            .0
            .lock()
            .unwrap()
            .iter()
            .filter(|event| matches!(event, Event::Info(_)))
            .count();

        assert_eq!(infos, 1);
        calls.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
