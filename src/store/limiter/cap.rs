//! Enforces a cap on consumed capacity units that the user has set, so that production traffic is
//! not affected by a dump or a restore.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// Resolution of timers.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Maximum share of a second's units for one call: with many small calls, an error in one estimate
/// is small.
const CALL_SHARE: f64 = 0.05;

/// Seconds for which unused units are kept. Over any ten seconds, this is half a percent.
const BURST: f64 = 0.05;

/// Share of the cap that is used. Under a cap of one unit, eleven calls one second apart would fall
/// within ten seconds as soon as one of them is a millisecond early.
const USED_SHARE: f64 = 0.99;

/// A token bucket that starts empty, so that there is no initial burst. The estimated cost of a
/// call is paid in advance; the difference is settled after the response.
pub(crate) struct RateCap {
    cap: u32,
    units_per_second: f64,
    bucket: Mutex<Bucket>,
    /// Notified when a call cost less than was paid, as others may wait for the difference.
    settled: Notify,
}

struct Bucket {
    units: f64,
    updated: Instant,
}

impl RateCap {
    pub(crate) fn new(cap: u32) -> Self {
        let bucket = Bucket {
            units: 0.0,
            updated: Instant::now(),
        };
        let units_per_second = f64::from(cap.max(1)) * USED_SHARE;
        Self {
            cap,
            units_per_second,
            bucket: Mutex::new(bucket),
            settled: Notify::new(),
        }
    }

    /// The cap in units per second.
    pub(crate) fn cap(&self) -> u32 {
        self.cap
    }

    /// Maximum units that one call should cost.
    pub(crate) fn call_budget(&self) -> f64 {
        self.units_per_second * CALL_SHARE
    }

    /// Pays for one call in advance and waits until the cap allows it.
    pub(crate) async fn acquire(&self, units: f64) {
        {
            let mut bucket = self.lock();
            self.refill(&mut bucket);
            // Paid before waiting: the balance becomes negative, which queues the callers in order.
            bucket.units -= units;
        }

        // Calls that settle meanwhile change the balance in either direction.
        loop {
            let owed = {
                let mut bucket = self.lock();
                self.refill(&mut bucket);
                -bucket.units
            };

            if owed <= 0.0 {
                return;
            }

            let wait = Duration::from_secs_f64(owed / self.units_per_second).max(TICK);
            let _ = timeout(wait, self.settled.notified()).await;
        }
    }

    /// Settles the difference between what was paid and the actual cost.
    pub(crate) fn settle(&self, paid: f64, cost: f64) {
        let mut bucket = self.lock();
        self.refill(&mut bucket);
        bucket.units += paid - cost;

        if cost < paid {
            self.settled.notify_waiters();
        }
    }

    fn refill(&self, bucket: &mut Bucket) {
        let now = Instant::now();
        let earned = (now - bucket.updated).as_secs_f64() * self.units_per_second;
        bucket.units = (bucket.units + earned).min(self.units_per_second * BURST);
        bucket.updated = now;
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The units that concurrent callers consume under a cap, with their times. The costs are used
    /// in turn, and estimated wrongly by the factor `error`.
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
        let next_call = tokio::sync::Mutex::new(0_usize);
        let call = async || {
            loop {
                let mut next = next_call.lock().await;
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

        // Polled by one task, because the callers only wait.
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

    /// The maximum units consumed in any ten seconds.
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
            // Calls of the size that the store uses under a cap.
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
                // In flight for 5 to 55 ms.
                let latency = Duration::from_millis(5 + call * 37 % 51);
                consumed.push(((began.elapsed() + latency).as_secs_f64(), 1.0));
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
