//! The one owner of retries: how long to wait, when to give up, and when to warn that there is no
//! progress. `recovery` decides what can be corrected before a retry.
//!
//! Time during which the process was suspended does not count (see `clock`).
//!
//! The number of attempts is unlimited. A call about the items of a table gives up when no such
//! call has succeeded for `give_up_after`: a throttled table that still accepts one batch per second
//! is slow, not broken. Each table has its own progress, so that one that fails does not retry for
//! as long as another one is busy. Other calls only have their own time.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

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

/// The progress of all calls about the items of one table, or of one other call, in running time.
pub(crate) struct CallProgress {
    /// The table that warnings name.
    table: Option<String>,
    state: Mutex<ProgressState>,
}

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
    /// The progress of a call that shares it with no other.
    pub(crate) fn of_one_call(table: Option<&str>) -> Arc<Self> {
        Arc::new(Self {
            table: table.map(ToOwned::to_owned),
            state: Mutex::default(),
        })
    }

    /// Start of the time without progress, for a caller whose own last progress was at `started`.
    fn stalled_since(&self, started: Duration) -> Duration {
        let state = self.lock();
        [state.last_success, state.first_call]
            .into_iter()
            .flatten()
            .fold(started, Duration::max)
    }

    fn lock(&self) -> MutexGuard<'_, ProgressState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Retry {
    pub(crate) fn new(give_up_after: Duration, reporter: Arc<dyn Reporter>) -> Self {
        Self {
            give_up_after,
            clock: RunningClock::start(),
            has_succeeded: AtomicBool::new(false),
            by_table: Mutex::default(),
            creations: CallProgress::of_one_call(None),
            reporter,
        }
    }

    /// The clock that measures the time without progress.
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

        let progress = CallProgress::of_one_call(Some(table));
        by_table.insert(table.to_owned(), Arc::clone(&progress));

        progress
    }

    /// Discards the progress of the calls about the items of a table.
    pub(crate) fn forget(&self, table: &str) {
        let mut by_table = self.by_table.lock().unwrap_or_else(PoisonError::into_inner);
        by_table.remove(table);
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

    /// Records that a request is sent.
    pub(crate) fn record_call(&self, progress: &CallProgress) {
        let now = self.now();
        progress.lock().first_call.get_or_insert(now);
    }

    /// Records that a request succeeded.
    pub(crate) fn record_success(&self, progress: &CallProgress) {
        self.has_succeeded.store(true, Ordering::Relaxed);

        let now = self.now();
        // The lock is released before reporting, which may block.
        let is_warned = {
            let mut state = progress.lock();
            state.last_success = Some(now);
            state.first_call = None;
            state.next_warning = None;
            std::mem::take(&mut state.is_warned)
        };

        if is_warned {
            self.inform(match &progress.table {
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
    pub(crate) fn next_delay(&self, progress: &CallProgress, delays: &mut Backoff) -> Duration {
        let last = progress.lock().last_success;
        let is_succeeding = last.is_some_and(|last| self.since(last) < MAX_DELAY_WHILE_SUCCEEDING);
        let max_delay = if is_succeeding {
            MAX_DELAY_WHILE_SUCCEEDING
        } else {
            MAX_DELAY
        };

        delays.next_delay().min(max_delay)
    }

    /// Waits before the next attempt, or returns the error if it is time to give up. `started` is
    /// when the caller last made progress.
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
        } = self.clock.read();
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
        let wait = self.next_delay(progress, delays);
        self.sleep_before_retry(&error, wait).await;

        Ok(())
    }

    /// Reports once for each table and cause that many requests are throttled for a reason other than
    /// the provisioned capacity, which the rate adapts to.
    fn report_cause(&self, progress: &CallProgress, error: &RequestError) {
        let (Some(cause), Some(advice), Some(table)) = (
            error.throttling_cause(),
            error.throttling_advice(),
            &progress.table,
        ) else {
            return;
        };

        if cause == ThrottlingCause::ProvisionedCapacity {
            return;
        }

        let count = {
            let mut state = progress.lock();
            let count = state.throttled.entry(cause).or_insert(0_u32);
            *count = count.saturating_add(1);
            *count
        };

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
        {
            let mut state = progress.lock();
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

        let target = match &progress.table {
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

    /// Delays that have grown to their maximum.
    fn late_backoff() -> Backoff {
        let mut delays = Retry::backoff();
        delays.nth(20);

        delays
    }

    /// Fails until the calls about the table give up.
    async fn fail_until_given_up(retry: &Retry, table: &str) -> Result<(), RequestError> {
        let progress = retry.table_progress(table);
        let started = retry.now();
        let mut delays = Retry::backoff();
        loop {
            retry
                .wait_or_give_up(
                    &progress,
                    RequestError::for_test("ThrottlingException", 400, "slow down"),
                    started,
                    &mut delays,
                )
                .await?;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn giving_up_depends_on_time_and_not_on_the_number_of_calls() {
        let events = Arc::new(RecordedEvents::default());
        let retry = Retry::new(Duration::from_mins(5), events.clone());
        let started = Instant::now();
        let error = fail_until_given_up(&retry, "films").await.unwrap_err();
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
    async fn a_creation_that_is_throttled_waits_as_long_as_other_tables_are_created() {
        let events = Arc::new(RecordedEvents::default());
        let retry = Retry::new(Duration::from_mins(5), events.clone());
        let progress = retry.creation_progress();
        let started = retry.now();
        let message = "Only 10 tables can be created, updated, or deleted simultaneously";
        let mut delays = Retry::backoff();
        let mut wait = async || {
            let error = RequestError::for_test("LimitExceededException", 400, message);
            retry
                .wait_or_give_up(&progress, error, started, &mut delays)
                .await
        };

        let began = Instant::now();
        while began.elapsed() < Duration::from_mins(30) {
            retry.record_success(&retry.creation_progress());
            wait().await.expect("other tables are created");
        }

        let last_success = Instant::now();
        while wait().await.is_ok() {}
        let waited = last_success.elapsed().as_secs();
        assert!((290..=310).contains(&waited), "{waited} s");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_small_cap_is_not_a_stall() {
        let events = Arc::new(RecordedEvents::default());
        let retry = Retry::new(Duration::from_mins(5), events.clone());
        let progress = retry.table_progress("films");
        let error = || RequestError::for_test("InternalServerError", 500, "provoked");
        for _ in 0..3 {
            // An item of 400 KB waits this long under a cap of one unit.
            let started = retry.now();
            tokio::time::sleep(Duration::from_secs(400)).await;
            retry.record_call(&progress);
            retry
                .wait_or_give_up(&progress, error(), started, &mut Retry::backoff())
                .await
                .expect("one fault is no reason");
            retry.record_success(&progress);
        }

        assert_eq!(events.warnings(), 0, "calls succeed as often as they may");
        let gave_up = fail_until_given_up(&retry, "films").await.unwrap_err();
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
        let progress = retry.table_progress("films");
        let error = || RequestError::timeout();
        let started = retry.now();
        tokio::time::advance(Duration::from_hours(1)).await;
        retry
            .wait_or_give_up(&progress, error(), started, &mut Retry::backoff())
            .await
            .expect("the call is made again");
        assert_eq!(events.warnings(), 0, "nothing has failed for long");

        // The endpoint stays away: the run gives up after its time limit, a part of which had
        // passed before.
        let gave_up = fail_until_given_up(&retry, "films").await.unwrap_err();
        assert!(
            gave_up.code_and_message().contains("300s"),
            "{}",
            gave_up.code_and_message()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_made_again_after_every_pause_of_the_process() {
        let retry = Retry::new(Duration::from_mins(5), Arc::new(RecordedEvents::default()));
        let progress = retry.table_progress("films");
        let started = retry.now();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(299)).await;
            tokio::time::advance(Duration::from_hours(1)).await;
            let again = retry
                .wait_or_give_up(
                    &progress,
                    RequestError::timeout(),
                    started,
                    &mut Retry::backoff(),
                )
                .await;
            again.expect("the call is made again");
        }

        tokio::time::sleep(Duration::from_secs(299)).await;
        let again = retry
            .wait_or_give_up(
                &progress,
                RequestError::timeout(),
                started,
                &mut Retry::backoff(),
            )
            .await;
        assert!(again.is_err(), "without a pause the run gives up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_after_a_long_wait_for_our_own_consumer_is_retried() {
        let events = Arc::new(RecordedEvents::default());
        let retry = Retry::new(Duration::from_mins(5), events.clone());
        let progress = retry.table_progress("films");
        retry.record_success(&progress);
        let started = retry.now();
        retry.record_call(&progress);
        let waiting = retry.clock().enter(PageWait::ForMemory);
        tokio::time::sleep(Duration::from_mins(20)).await;
        drop(waiting);
        let error = RequestError::for_test(
            "InternalServerError",
            500,
            "the connection was closed meanwhile",
        );

        retry
            .wait_or_give_up(&progress, error, started, &mut Retry::backoff())
            .await
            .expect("it is the first fault");
        assert_eq!(events.warnings(), 0);
        let gave_up = fail_until_given_up(&retry, "films").await.unwrap_err();
        assert!(
            gave_up.code_and_message().contains("300s"),
            "{}",
            gave_up.code_and_message()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_delay_is_at_most_a_second_while_other_calls_succeed() {
        let retry = Retry::new(Duration::from_mins(5), Arc::new(RecordedEvents::default()));
        let progress = retry.table_progress("films");
        let mut delays = late_backoff();
        let mut sleeps = async |succeeds: bool| {
            if succeeds {
                retry.record_success(&progress);
            }

            let began = Instant::now();
            let wait = retry.next_delay(&progress, &mut delays);
            retry
                .sleep_before_retry(&RequestError::unprocessed(1, 1), wait)
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
        let progress = retry.table_progress("films");
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let retry = Arc::clone(&retry);
                tokio::spawn(async move { drop(fail_until_given_up(&retry, "films").await) })
            })
            .collect();

        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(events.warnings(), 0, "a short hitch is nobody's business");
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!(events.warnings(), 1);
        retry.record_success(&progress);
        retry.record_success(&progress);
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

    #[tokio::test(start_paused = true)]
    async fn each_table_gives_up_independently_of_the_others() {
        let events = Arc::new(RecordedEvents::default());
        let retry = Arc::new(Retry::new(Duration::from_mins(5), events.clone()));
        let healthy = {
            let retry = Arc::clone(&retry);
            tokio::spawn(async move {
                let progress = retry.table_progress("healthy");
                loop {
                    retry.record_call(&progress);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    retry.record_success(&progress);
                }
            })
        };

        let started = Instant::now();
        let broken = tokio::time::timeout(
            Duration::from_mins(10),
            fail_until_given_up(&retry, "broken"),
        );
        let error = broken.await.expect("it gives up").unwrap_err();
        assert!(error.message.contains("300s"), "{}", error.message);
        let took = started.elapsed().as_secs();
        assert!((300..=310).contains(&took), "{took} s");
        assert!(events.warnings() > 0, "nobody was warned");
        healthy.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn other_tables_do_not_shorten_the_delays_of_a_table_that_fails() {
        let retry = Retry::new(Duration::from_mins(5), Arc::new(RecordedEvents::default()));
        retry.record_success(&retry.table_progress("healthy"));
        let wait = retry.next_delay(&retry.table_progress("broken"), &mut late_backoff());
        assert_eq!(wait, MAX_DELAY);
        assert!(retry.has_succeeded(), "the endpoint has answered");
    }

    #[tokio::test(start_paused = true)]
    async fn calls_about_no_table_have_only_their_own_time() {
        let retry = Retry::new(Duration::from_mins(5), Arc::new(RecordedEvents::default()));
        let (progress, other) = (
            CallProgress::of_one_call(None),
            CallProgress::of_one_call(None),
        );
        let (started, mut delays) = (retry.now(), Retry::backoff());
        let error = loop {
            retry.record_success(&other);
            let waited = retry
                .wait_or_give_up(&progress, RequestError::timeout(), started, &mut delays)
                .await;
            if let Err(error) = waited {
                break error;
            }

            assert!(retry.since(started) < Duration::from_mins(10));
        };
        assert!(error.message.contains("300s"), "{}", error.message);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hot_partition_is_reported_once_and_named_by_warnings() {
        let events = Arc::new(RecordedEvents::default());
        let retry = Retry::new(Duration::from_mins(5), events.clone());
        let progress = retry.table_progress("films");
        let error = || {
            RequestError::throttled_by(
                "TableWriteKeyRangeThroughputExceeded",
                "arn:aws:dynamodb:r:a:table/films",
            )
        };
        let (started, mut delays) = (retry.now(), Retry::backoff());
        for _ in 0..3 * THROTTLED_BEFORE_REPORT {
            retry.record_success(&progress);
            retry
                .wait_or_give_up(&progress, error(), started, &mut delays)
                .await
                .expect("there is progress");
        }

        let mentions = |events: &RecordedEvents,
                        kind: for<'a> fn(&'a Event) -> Option<&'a String>| {
            let events = events.0.lock().unwrap();
            let texts = events.iter().filter_map(kind);
            texts
                .filter(|text| text.contains("a partition of the table"))
                .count()
        };
        assert_eq!(
            mentions(&events, |event| match event {
                Event::Info(text) => Some(text),
                _ => None,
            }),
            1
        );

        tokio::time::sleep(Duration::from_mins(1)).await;
        retry
            .wait_or_give_up(&progress, error(), started, &mut delays)
            .await
            .expect("it is not time to give up");
        assert_eq!(
            mentions(&events, |event| match event {
                Event::Warning(text) => Some(text),
                _ => None,
            }),
            1
        );
    }
}
