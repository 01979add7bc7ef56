//! Keeps the consumption of capacity units at a cap that people set, so that production can live beside a dump or a restore.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Timers know no shorter time.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// The share of a second's units that one call is to cost at most. With many small calls an error in one price is small.
const CALL_SHARE: f64 = 0.05;

/// Units that are not used are kept for so long, in seconds. Over any ten seconds this is one in two hundred.
const BURST: f64 = 0.05;

/// The share of a cap that is used. Under a cap of one unit, eleven calls a second apart lie within ten seconds as soon as one of
/// them is early by a millisecond; so they are a little farther apart.
const USED_SHARE: f64 = 0.99;

/// A token bucket that starts empty (no burst at the start) and is paid before each call with what the call is thought to cost;
/// the difference is settled afterwards.
pub(crate) struct RateCap {
    cap: u32,
    units_per_second: f64,
    state: Mutex<Bucket>,
    /// Calls that cost less than was paid give back what others wait for.
    settled: Notify,
}

struct Bucket {
    units: f64,
    updated: Instant,
}

impl RateCap {
    pub(crate) fn new(cap: u32) -> Self {
        let state = Bucket {
            units: 0.0,
            updated: Instant::now(),
        };
        let units_per_second = f64::from(cap.max(1)) * USED_SHARE;
        Self {
            cap,
            units_per_second,
            state: Mutex::new(state),
            settled: Notify::new(),
        }
    }

    /// Units per second at most.
    pub(crate) fn cap(&self) -> u32 {
        self.cap
    }

    /// Units that one call should cost at most.
    pub(crate) fn call_budget(&self) -> f64 {
        self.units_per_second * CALL_SHARE
    }

    /// Pays for one call in advance, once the cap allows the call.
    pub(crate) async fn acquire(&self, units: f64) {
        {
            let mut state = self.state();
            self.refill(&mut state);
            state.units -= units;
        }

        // Other calls may settle meanwhile, for better or worse.
        loop {
            let owed = {
                let mut state = self.state();
                self.refill(&mut state);
                -state.units
            };

            if owed <= 0.0 {
                return;
            }

            let wait = Duration::from_secs_f64(owed / self.units_per_second).max(TICK);
            let _ = timeout(wait, self.settled.notified()).await;
        }
    }

    /// Settles the difference between what was paid and what the call cost.
    pub(crate) fn settle(&self, paid: f64, cost: f64) {
        let mut state = self.state();
        self.refill(&mut state);
        state.units += paid - cost;

        if cost < paid {
            self.settled.notify_waiters();
        }
    }

    fn refill(&self, state: &mut Bucket) {
        let now = Instant::now();
        let earned = (now - state.updated).as_secs_f64() * self.units_per_second;
        state.units = (state.units + earned).min(self.units_per_second * BURST);
        state.updated = now;
    }

    fn state(&self) -> MutexGuard<'_, Bucket> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `callers` at a time consume under a cap, each with the time; `costs` in turn, priced wrongly by `error`.
    async fn consumption(
        cap: u32,
        callers: usize,
        costs: &[f64],
        error: f64,
        seconds: u64,
    ) -> Vec<(f64, f64)> {
        let rate_cap = RateCap::new(cap);
        let began = Instant::now();
        let consumed = Mutex::new(Vec::new());
        let turn = tokio::sync::Mutex::new(0_usize);
        let call = async || {
            loop {
                let mut next = turn.lock().await;
                let cost = costs[*next % costs.len()];
                *next += 1;
                rate_cap.acquire(cost * error).await;
                drop(next);
                tokio::time::sleep(Duration::from_millis(7)).await;

                if began.elapsed() > Duration::from_secs(seconds) {
                    return;
                }

                consumed
                    .lock()
                    .unwrap()
                    .push((began.elapsed().as_secs_f64(), cost));
                rate_cap.settle(cost * error, cost);
            }
        };

        // Polled by one task, as the callers only wait.
        let mut calls: Vec<_> = (0..callers).map(|_| Box::pin(call())).collect();
        std::future::poll_fn(|context| {
            calls.retain_mut(|call| call.as_mut().poll(context).is_pending());
            if calls.is_empty() {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        })
        .await;

        drop(calls);

        consumed.into_inner().unwrap()
    }

    /// The most units consumed in any ten seconds.
    fn most_in_ten_seconds(consumed: &[(f64, f64)]) -> f64 {
        let starts = consumed.iter().map(|(start, _)| *start);
        let sums = starts.map(|start| {
            let within = consumed
                .iter()
                .filter(|(updated, _)| (start..start + 10.0).contains(updated));
            within.map(|(_, cost)| cost).sum::<f64>()
        });

        sums.fold(0.0, f64::max)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn any_ten_seconds_stay_within_two_of_a_hundred_of_the_cap(
            cap in 5_u32..2000,
            callers in 1_usize..9,
            shares in proptest::collection::vec(0.1_f64..1.0, 1..6),
            error in 0.8_f64..1.25,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            // Calls of the size that the store makes under a cap.
            let costs: Vec<f64> = shares.iter().map(|share| share * f64::from(cap) * CALL_SHARE).collect();
            let consumed = runtime.block_on(consumption(cap, callers, &costs, error, 30));
            let most = most_in_ten_seconds(&consumed);
            let allowed = 10.0 * f64::from(cap);
            prop_assert!(most <= allowed * 1.02, "{most} of {allowed}");
            let all: f64 = consumed.iter().map(|(_, cost)| cost).sum();
            prop_assert!(all >= 0.95 * allowed * 3.0 || callers == 1, "{all} of {allowed} three times: too little");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_no_burst_at_the_start() {
        let rate_cap = RateCap::new(64);
        let started = Instant::now();
        rate_cap.acquire(128.0).await;
        assert!(
            started.elapsed() >= Duration::from_secs(2),
            "{:?}",
            started.elapsed()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_smallest_caps_are_kept_by_calls_that_take_longer_or_shorter() {
        for cap in 1..=5 {
            let rate_cap = RateCap::new(cap);
            let began = Instant::now();
            let mut consumed = Vec::new();
            for call in 0..100_u64 {
                rate_cap.acquire(1.0).await;
                // On its way for 5 to 55 ms.
                let template = Duration::from_millis(5 + call * 37 % 51);
                consumed.push(((began.elapsed() + template).as_secs_f64(), 1.0));
            }

            let most = most_in_ten_seconds(&consumed);
            assert!(most <= 10.0 * f64::from(cap), "{most} under a cap of {cap}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_cost_more_than_was_thought_is_paid_for_by_the_next() {
        let rate_cap = RateCap::new(5);
        rate_cap.acquire(0.5).await;
        rate_cap.settle(0.5, 50.5);
        let started = Instant::now();
        rate_cap.acquire(0.5).await;
        assert!(
            started.elapsed() >= Duration::from_secs(10),
            "{:?}",
            started.elapsed()
        );
    }
}
