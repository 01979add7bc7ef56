//! Running time: a clock that stops while this process does not run (Ctrl-Z, a closed laptop lid, a paused virtual machine).
//!
//! A task looks at the clock once a second. If much more time than that has passed since the last look, the process did not run, and
//! only a small part of the time counts.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How often the clock is looked at while the process runs.
const TICK: Duration = Duration::from_secs(1);

/// The most that counts between two looks. A machine under load delays a look by less.
const LONGEST_GAP: Duration = Duration::from_secs(5);

/// Time during which this process has run.
pub(super) struct RunningClock(Mutex<State>);

struct State {
    looked: Instant,
    running: Duration,
    resumed: Option<Duration>,
}

impl RunningClock {
    /// Starts at zero and runs until it is dropped.
    pub(super) fn start() -> Arc<Self> {
        let clock =
            Arc::new(Self(Mutex::new(State { looked: Instant::now(), running: Duration::ZERO, resumed: None })));
        let ticking = Arc::downgrade(&clock);
        tokio::spawn(async move {
            loop {
                sleep(TICK).await;
                let Some(clock) = ticking.upgrade() else { return };
                clock.now();
            }
        });
        clock
    }

    /// The running time so far.
    pub(super) fn now(&self) -> Duration {
        self.look().0
    }

    /// The running time so far, and when the process was last resumed after a pause.
    pub(super) fn look(&self) -> (Duration, Option<Duration>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let passed = now - state.looked;

        state.looked = now;
        state.running += passed.min(LONGEST_GAP);
        if passed > LONGEST_GAP {
            state.resumed = Some(state.running);
        }
        (state.running, state.resumed)
    }

    /// The result of `work`, or `None` if it takes longer than `limit` of running time.
    pub(super) async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let deadline = self.now() + limit;
        self.until(deadline, work).await
    }

    /// The same with a deadline in running time.
    pub(super) async fn until<T>(&self, deadline: Duration, work: impl Future<Output = T>) -> Option<T> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_time_in_which_the_process_ran_counts() {
        let clock = RunningClock::start();
        sleep(Duration::from_secs(100)).await;
        assert_eq!(clock.look(), (Duration::from_secs(100), None));

        // No timer fires in between.
        tokio::time::advance(Duration::from_hours(1)).await;
        let resumed = clock.now();
        assert!(resumed <= Duration::from_secs(100) + LONGEST_GAP, "{resumed:?}");
        sleep(Duration::from_secs(100)).await;
        assert_eq!(clock.look(), (resumed + Duration::from_secs(100), Some(resumed)));
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
        assert_eq!(clock.within(limit, sleep(Duration::from_secs(61))).await, None);
    }
}
