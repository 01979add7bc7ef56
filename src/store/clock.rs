//! A clock of running time, which stops while the process is suspended (Ctrl-Z, a closed laptop
//! lid, a paused virtual machine).
//!
//! The clock of the calls about the items of a table (see `retry`) also stops while Scans of the table wait for memory, because all
//! pages in memory wait for our own consumer (`dumpdb --output - | less`): no progress is possible then, and the endpoint is
//! not the cause. The clocks of other calls do not stop then.
//!
//! A task reads the clock once a second. If much more time has passed since the last reading, the
//! process was suspended, and only a small part of that time counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// Interval at which the clock is read.
const TICK: Duration = Duration::from_secs(1);

/// Maximum time that counts between two readings. Load on the machine delays a reading by less.
const LONGEST_GAP: Duration = Duration::from_secs(5);

/// A clock of the time during which this process has run.
pub(crate) struct RunningClock(Mutex<ClockState>);

/// The running time at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClockReading {
    /// Running time since the start.
    pub(crate) running: Duration,
    /// Running time when the process was last resumed after a suspension.
    pub(crate) last_resume: Option<Duration>,
}

struct ClockState {
    last_read: Instant,
    /// Running time at the last reading.
    running: Duration,
    /// Running time when the process was last resumed after a suspension.
    last_resume: Option<Duration>,
    /// Number of calls that wait for a page in memory to be consumed.
    waiting: usize,
    /// Number of calls that are receiving a page. If there are any, not all pages in memory wait
    /// for the consumer.
    receiving: usize,
}

/// The reason why a call holds an unread response.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PageWait {
    /// The call waits for a page in memory to be consumed.
    ForMemory,
    /// The call is receiving its body.
    ForBody,
}

/// Counts a call as waiting; ends on drop.
pub(crate) struct PageWaitGuard<'a> {
    clock: &'a RunningClock,
    kind: PageWait,
}

impl ClockState {
    fn enter(&mut self, kind: PageWait) -> &mut usize {
        match kind {
            PageWait::ForMemory => &mut self.waiting,
            PageWait::ForBody => &mut self.receiving,
        }
    }

    /// Advances the running time to now.
    fn advance(&mut self) {
        let now = Instant::now();
        let elapsed = now - self.last_read;
        let is_blocked = self.waiting > 0 && self.receiving == 0;

        self.last_read = now;
        if !is_blocked {
            self.running += elapsed.min(LONGEST_GAP);
        }

        // A reading was due every second, so the process did not run in between.
        if elapsed > LONGEST_GAP {
            self.last_resume = Some(self.running);
        }
    }
}

impl RunningClock {
    /// Starts a clock at zero. It runs until it is dropped.
    pub(crate) fn start() -> Arc<Self> {
        let state = ClockState {
            last_read: Instant::now(),
            running: Duration::ZERO,
            last_resume: None,
            waiting: 0,
            receiving: 0,
        };

        let clock = Arc::new(Self(Mutex::new(state)));
        // A weak reference lets the clock be dropped, which ends the task.
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

    /// The running time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.read().running
    }

    /// The running time since the start, and when the process was last resumed after a suspension.
    pub(crate) fn read(&self) -> ClockReading {
        let mut state = self.lock();
        state.advance();
        ClockReading {
            running: state.running,
            last_resume: state.last_resume,
        }
    }

    /// Counts a call as waiting for this reason until the guard is dropped.
    pub(crate) fn enter(&self, kind: PageWait) -> PageWaitGuard<'_> {
        let mut state = self.lock();
        state.advance();
        *state.enter(kind) += 1;

        PageWaitGuard { clock: self, kind }
    }

    fn lock(&self) -> MutexGuard<'_, ClockState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the output of `work`, or `None` if it takes longer than `limit` of running time.
    pub(crate) async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let deadline = self.now() + limit;
        self.until(deadline, work).await
    }

    /// Like [`within`](Self::within), with a deadline in running time.
    pub(crate) async fn until<T>(
        &self,
        deadline: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let expired = async {
            loop {
                let remaining = deadline.saturating_sub(self.now());
                if remaining.is_zero() {
                    return;
                }

                // Sleeps in short steps, because the monotonic clock may be slower than the wall clock.
                sleep(remaining.min(TICK)).await;
            }
        };

        tokio::select! {
            biased;
            done = work => Some(done),
            () = expired => None,
        }
    }
}

impl Drop for PageWaitGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.clock.lock();
        state.advance();
        *state.enter(self.kind) -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_in_which_only_our_own_consumer_is_waited_for_does_not_count() {
        let clock = RunningClock::start();
        let minute = Duration::from_mins(1);
        let receiving = clock.enter(PageWait::ForBody);
        let waiting = [
            clock.enter(PageWait::ForMemory),
            clock.enter(PageWait::ForMemory),
        ];
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
        assert_eq!(
            clock.read(),
            ClockReading {
                running: Duration::from_secs(100),
                last_resume: None,
            }
        );

        // Advancing the paused clock fires no timers, as during a suspension.
        tokio::time::advance(Duration::from_hours(1)).await;
        let resumed = clock.now();
        assert!(
            resumed <= Duration::from_secs(100) + LONGEST_GAP,
            "{resumed:?}"
        );
        sleep(Duration::from_secs(100)).await;
        assert_eq!(
            clock.read(),
            ClockReading {
                running: resumed + Duration::from_secs(100),
                last_resume: Some(resumed),
            }
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
