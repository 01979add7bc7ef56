//! Running time: a clock that stops while this process does not run (Ctrl-Z, a closed laptop lid, a paused virtual machine).
//!
//! It also stops while every page in memory waits for our own consumer (`dumpdb --output - | less`) and calls wait for memory: nothing
//! can go forward then, and the endpoint is not to blame.
//!
//! A task looks at the clock once a second. If much more time than that has passed since the last look, the process did not run, and
//! only a small part of the time counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often the clock is looked at while the process runs.
const TICK: Duration = Duration::from_secs(1);

/// The most that counts between two looks. A machine under load delays a look by less.
const LONGEST_GAP: Duration = Duration::from_secs(5);

/// Time during which this process has run.
pub(crate) struct RunningClock(Mutex<State>);

struct State {
    looked: Instant,
    running: Duration,
    resumed: Option<Duration>,
    /// Calls that wait until a page in memory is consumed.
    waiting: usize,
    /// Calls that are receiving a page. While there are any, not all pages in memory wait for the consumer.
    receiving: usize,
}

/// What a call that holds an answer does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Busy {
    /// It waits until a page in memory is consumed.
    Waiting,
    /// It receives its page.
    Receiving,
}

/// A call that is busy until this is dropped.
pub(crate) struct Counted<'a> {
    clock: &'a RunningClock,
    busy: Busy,
}

impl State {
    fn count(&mut self, busy: Busy) -> &mut usize {
        match busy {
            Busy::Waiting => &mut self.waiting,
            Busy::Receiving => &mut self.receiving,
        }
    }

    fn look(&mut self) {
        let now = Instant::now();
        let passed = now - self.looked;
        let is_blocked = self.waiting > 0 && self.receiving == 0;

        self.looked = now;
        if !is_blocked {
            self.running += passed.min(LONGEST_GAP);
        }

        if passed > LONGEST_GAP {
            self.resumed = Some(self.running);
        }
    }
}

impl RunningClock {
    /// Starts at zero and runs until it is dropped.
    pub(crate) fn start() -> Arc<Self> {
        let state = State {
            looked: Instant::now(),
            running: Duration::ZERO,
            resumed: None,
            waiting: 0,
            receiving: 0,
        };

        let clock = Arc::new(Self(Mutex::new(state)));
        let ticking = Arc::downgrade(&clock);
        tokio::spawn(async move {
            loop {
                sleep(TICK).await;
                let Some(clock) = ticking.upgrade() else {
                    return;
                };

                clock.now();
            }
        });

        clock
    }

    /// The running time so far.
    pub(crate) fn now(&self) -> Duration {
        self.look().0
    }

    /// The running time so far, and when the process was last resumed after a pause.
    pub(crate) fn look(&self) -> (Duration, Option<Duration>) {
        let mut state = self.state();
        state.look();
        (state.running, state.resumed)
    }

    /// Counts a call as busy.
    pub(crate) fn count(&self, busy: Busy) -> Counted<'_> {
        let mut state = self.state();
        state.look();
        *state.count(busy) += 1;

        Counted { clock: self, busy }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The result of `work`, or `None` if it takes longer than `limit` of running time.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let deadline = self.now() + limit;
        self.until(deadline, work).await
    }

    /// The same with a deadline in running time.
    pub(crate) async fn until<T>(
        &self,
        deadline: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let expired = async {
            loop {
                let left = deadline.saturating_sub(self.now());
                if left.is_zero() {
                    return;
                }

                sleep(left.min(TICK)).await;
            }
        };

        tokio::select! {
            biased;
            done = work => Some(done),
            () = expired => None,
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut state = self.clock.state();
        state.look();
        *state.count(self.busy) -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_in_which_only_our_own_consumer_is_waited_for_does_not_count() {
        let clock = RunningClock::start();
        let minute = Duration::from_mins(1);
        let receiving = clock.count(Busy::Receiving);
        let waiting = [clock.count(Busy::Waiting), clock.count(Busy::Waiting)];
        sleep(minute).await;
        assert_eq!(clock.now(), minute, "a page is being received");

        drop(receiving);
        sleep(10 * minute).await;
        assert_eq!(clock.now(), minute, "all pages wait for the consumer");

        let [first, second] = waiting;
        drop(first);
        sleep(minute).await;
        assert_eq!(clock.now(), minute, "one call waits still");
        drop(second);
        sleep(minute).await;
        assert_eq!(clock.now(), 2 * minute);
    }

    #[tokio::test(start_paused = true)]
    async fn only_time_in_which_the_process_ran_counts() {
        let clock = RunningClock::start();
        sleep(Duration::from_secs(100)).await;
        assert_eq!(clock.look(), (Duration::from_secs(100), None));

        // No timer fires in between.
        tokio::time::advance(Duration::from_hours(1)).await;
        let resumed = clock.now();
        assert!(
            resumed <= Duration::from_secs(100) + LONGEST_GAP,
            "{resumed:?}"
        );
        sleep(Duration::from_secs(100)).await;
        assert_eq!(
            clock.look(),
            (resumed + Duration::from_secs(100), Some(resumed))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_does_not_expire_while_the_process_is_paused() {
        let clock = RunningClock::start();
        let limit = Duration::from_mins(1);
        let work = async {
            tokio::time::advance(Duration::from_hours(1)).await;
            sleep(Duration::from_secs(30)).await;
        };
        assert_eq!(clock.within(limit, work).await, Some(()));
        assert_eq!(
            clock.within(limit, sleep(Duration::from_secs(61))).await,
            None
        );
    }
}
