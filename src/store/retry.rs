//! The one owner of retries: how long to wait, when to give up, and when to tell people that nothing goes forward. What can be
//! done about a fault before the next try is in `effort`.
//!
//! Time in which this process did not run counts for nothing here (see `clock`).
//!
//! There is no cap on attempts. A run gives up when no call of any kind has succeeded for `give_up_after`: a throttled table
//! that still takes one batch a second is slow, not broken.

use std::sync::Arc;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use super::clock::RunningClock;
use super::error::Fault;
use crate::event::{Event, Reporter};

const SHORTEST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The longest wait while other calls succeed. The rate of calls is the gate's business; and what one caller holds back, others come to
/// wait for.
const LONGEST_WAIT_AMID_SUCCESS: Duration = Duration::from_secs(1);

/// When nothing has gone forward for so long, people hear of it, and then again after each further such time and a half.
const SILENCE: Duration = Duration::from_secs(10);

/// Less is nobody's business: a run with so little patience is about to say more.
const SHORTEST_SILENCE: Duration = Duration::from_secs(1);

/// How failed calls are tried again.
pub(crate) struct Retry {
    give_up_after: Duration,
    clock: Arc<RunningClock>,
    state: Mutex<State>,
    reporter: Arc<dyn Reporter>,
}

/// All times are in running time.
#[derive(Default)]
struct State {
    last_success: Option<Duration>,
    /// When the first call after that was let out. A cap may have kept all of them waiting, which is nobody's failure.
    first_call: Option<Duration>,
    /// When people are told next that nothing goes forward; `None` while it does.
    next_word: Option<Duration>,
    /// Whether they have been told since the last success.
    told: bool,
}

impl State {
    /// Since when nothing goes forward, for a caller that made progress at `started`.
    fn silent_since(&self, started: Duration) -> Duration {
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

    /// The clock by which the time without progress is measured.
    pub(crate) fn clock(&self) -> &RunningClock {
        &self.clock
    }

    /// The running time so far.
    pub(crate) fn now(&self) -> Duration {
        self.clock.now()
    }

    /// Waits between attempts: exponential from 50 ms to 10 s, jittered, without end.
    pub(crate) fn waits() -> impl Iterator<Item = Duration> + Send + use<> {
        ExponentialBuilder::default()
            .with_min_delay(SHORTEST_WAIT)
            .with_max_delay(LONGEST_WAIT)
            .with_jitter()
            .without_max_times()
            .build()
            .map(|wait| wait.min(LONGEST_WAIT))
    }

    /// The running time since `start`.
    pub(crate) fn since(&self, start: Duration) -> Duration {
        self.now().saturating_sub(start)
    }

    /// How long nothing may succeed.
    pub(crate) fn give_up_after(&self) -> Duration {
        self.give_up_after
    }

    /// Says something worth a line.
    pub(crate) fn inform(&self, text: String) {
        self.reporter.report(Event::Info(text));
    }

    /// Notes that a call goes out.
    pub(crate) fn called(&self) {
        let now = self.now();
        self.state().first_call.get_or_insert(now);
    }

    /// Notes that a call succeeded.
    pub(crate) fn succeeded(&self) {
        let now = self.now();
        let told = {
            let mut state = self.state();
            state.last_success = Some(now);
            state.first_call = None;
            state.next_word = None;
            std::mem::take(&mut state.told)
        };

        if told {
            self.reporter
                .report(Event::Info("calls succeed again".to_owned()));
        }
    }

    /// Whether any call has succeeded yet.
    pub(crate) fn has_worked(&self) -> bool {
        self.state().last_success.is_some()
    }

    /// Waits before the next attempt, and says why to those who ask for every retry.
    pub(crate) async fn rest(
        &self,
        operation: &str,
        reason: &str,
        waits: &mut (impl Iterator<Item = Duration> + Send),
    ) {
        let wait = waits
            .next()
            .unwrap_or(LONGEST_WAIT)
            .min(self.longest_wait());
        self.reporter.report(Event::Retry {
            reason: format!("{operation}: {reason}"),
            wait,
        });
        tokio::time::sleep(wait).await;
    }

    fn longest_wait(&self) -> Duration {
        let (now, last) = (self.now(), self.state().last_success);
        let is_amid_success =
            last.is_some_and(|last| now.saturating_sub(last) < LONGEST_WAIT_AMID_SUCCESS);
        if is_amid_success {
            LONGEST_WAIT_AMID_SUCCESS
        } else {
            LONGEST_WAIT
        }
    }

    /// Waits before the next attempt after `fault`, or gives it back when it is time to give up. `started` is when the caller
    /// last made progress by itself.
    pub(crate) async fn pause(
        &self,
        operation: &str,
        fault: Fault,
        started: Duration,
        waits: &mut (impl Iterator<Item = Duration> + Send),
    ) -> Result<(), Fault> {
        let (now, resumed) = self.clock.look();
        // After a pause, half of the time remains at least: calls that timed out because of the pause are made again.
        let started = resumed.map_or(started, |resumed| {
            started.max(resumed.saturating_sub(self.give_up_after / 2))
        });
        let since = self.state().silent_since(started);
        let silence = now.saturating_sub(since);
        if silence >= self.give_up_after {
            return Err(fault.given_up(self.give_up_after));
        }

        let words = fault.words();
        self.tell_of_silence(operation, &words, now, silence);
        self.rest(operation, &words, waits).await;

        Ok(())
    }

    /// Says once in a while that nothing goes forward, whichever of the calls in flight notices it.
    fn tell_of_silence(&self, operation: &str, reason: &str, now: Duration, silence: Duration) {
        {
            let mut state = self.state();
            let first = SILENCE.min(self.give_up_after / 2).max(SHORTEST_SILENCE);
            let next = *state
                .next_word
                .get_or_insert(now.saturating_sub(silence) + first);
            if now < next {
                return;
            }

            state.next_word = Some(now + silence / 2 + SILENCE);
            state.told = true;
        }

        let text = format!(
            "nothing has gone forward for {} s ({operation}: {reason}); the run gives up after {:?}",
            silence.as_secs(),
            self.give_up_after,
        );

        self.reporter.report(Event::Warning(text));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::store::clock::Busy;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Event>>);

    impl Reporter for Heard {
        fn report(&self, event: Event) {
            self.0.lock().unwrap().push(event);
        }
    }

    impl Heard {
        fn warnings(&self) -> usize {
            self.0
                .lock()
                .unwrap()
                .iter()
                .filter(|event| matches!(event, Event::Warning(_)))
                .count()
        }
    }

    async fn fails(retry: &Retry) -> Result<(), Fault> {
        let started = retry.now();
        let mut waits = Retry::waits();
        loop {
            retry
                .pause(
                    "Scan",
                    Fault::for_test("ThrottlingException", 400, "slow down"),
                    started,
                    &mut waits,
                )
                .await?;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_gives_up_after_its_patience_and_not_after_a_number_of_calls() {
        let heard = Arc::new(Heard::default());
        let retry = Retry::new(Duration::from_mins(5), heard.clone());
        let started = Instant::now();
        let fault = fails(&retry).await.unwrap_err();
        assert!(
            fault.words().contains("slow down") && fault.words().contains("300s"),
            "{}",
            fault.words()
        );

        let took = started.elapsed();
        assert!((300..=310).contains(&took.as_secs()), "{took:?}");
        assert!(
            (3..=8).contains(&heard.warnings()),
            "{} warnings in five minutes",
            heard.warnings()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_for_a_small_cap_is_not_a_time_without_progress() {
        let heard = Arc::new(Heard::default());
        let retry = Retry::new(Duration::from_mins(5), heard.clone());
        let fault = || Fault::for_test("InternalServerError", 500, "provoked");
        for _ in 0..3 {
            // An item of 400 KB under a cap of one unit waits so long before it goes out.
            let started = retry.now();
            tokio::time::sleep(Duration::from_secs(400)).await;
            retry.called();
            retry
                .pause("PutItem", fault(), started, &mut Retry::waits())
                .await
                .expect("one fault is no reason");
            retry.succeeded();
        }

        assert_eq!(heard.warnings(), 0, "calls succeed as often as they may");
        let gave_up = fails(&retry).await.unwrap_err();
        assert!(gave_up.words().contains("300s"), "{}", gave_up.words());
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_process_was_paused_is_not_time_without_progress() {
        let heard = Arc::new(Heard::default());
        let retry = Retry::new(Duration::from_mins(5), heard.clone());
        let fault = || Fault::timeout();
        let started = retry.now();
        tokio::time::advance(Duration::from_hours(1)).await;
        retry
            .pause("Scan", fault(), started, &mut Retry::waits())
            .await
            .expect("the call is made again");
        assert_eq!(heard.warnings(), 0, "nothing has failed for long");

        // The endpoint stays away: the run gives up after its patience, a part of which had passed before.
        let gave_up = fails(&retry).await.unwrap_err();
        assert!(gave_up.words().contains("300s"), "{}", gave_up.words());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_made_again_after_every_pause_of_the_process() {
        let retry = Retry::new(Duration::from_mins(5), Arc::new(Heard::default()));
        let started = retry.now();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(299)).await;
            tokio::time::advance(Duration::from_hours(1)).await;
            let again = retry
                .pause("Scan", Fault::timeout(), started, &mut Retry::waits())
                .await;
            again.expect("the call is made again");
        }

        tokio::time::sleep(Duration::from_secs(299)).await;
        let again = retry
            .pause("Scan", Fault::timeout(), started, &mut Retry::waits())
            .await;
        assert!(again.is_err(), "without a pause the run gives up");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_after_a_long_wait_for_our_own_consumer_is_retried() {
        let heard = Arc::new(Heard::default());
        let retry = Retry::new(Duration::from_mins(5), heard.clone());
        retry.succeeded();
        let started = retry.now();
        retry.called();
        let waiting = retry.clock().count(Busy::Waiting);
        tokio::time::sleep(Duration::from_mins(20)).await;
        drop(waiting);
        let fault = Fault::for_test(
            "InternalServerError",
            500,
            "the connection was closed meanwhile",
        );

        retry
            .pause("Scan", fault, started, &mut Retry::waits())
            .await
            .expect("it is the first fault");
        assert_eq!(heard.warnings(), 0);
        let gave_up = fails(&retry).await.unwrap_err();
        assert!(gave_up.words().contains("300s"), "{}", gave_up.words());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_refused_again_and_again_while_others_succeed_waits_a_second_at_most() {
        let retry = Retry::new(Duration::from_mins(5), Arc::new(Heard::default()));
        let mut waits = Retry::waits().skip(20);
        let mut rests = async |succeeds: bool| {
            if succeeds {
                retry.succeeded();
            }

            let began = Instant::now();
            retry.rest("BatchWriteItem", "slow down", &mut waits).await;
            began.elapsed()
        };

        assert_eq!(rests(true).await, LONGEST_WAIT_AMID_SUCCESS);
        assert_eq!(rests(true).await, LONGEST_WAIT_AMID_SUCCESS);
        assert_eq!(
            rests(false).await,
            LONGEST_WAIT,
            "nobody has succeeded meanwhile"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn people_hear_once_that_nothing_goes_forward_and_once_that_it_does_again() {
        let heard = Arc::new(Heard::default());
        let retry = Arc::new(Retry::new(Duration::from_mins(5), heard.clone()));
        let calls: Vec<_> = (0..8)
            .map(|_| {
                let retry = Arc::clone(&retry);
                tokio::spawn(async move { drop(fails(&retry).await) })
            })
            .collect();

        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(heard.warnings(), 0, "a short hitch is nobody's business");
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert_eq!(heard.warnings(), 1);
        retry.succeeded();
        retry.succeeded();
        let infos = heard
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
