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

/// A token bucket that starts empty, so that there is no initial burst. Each call reserves its
/// estimated units when it arrives, and leaves as soon as all units up to the end of its
/// reservation have been earned: calls that arrive later do not delay it. The difference from the
/// true cost is settled after the response, and moves all calls that wait.
pub(crate) struct RateCap {
    cap: u32,
    units_per_second: f64,
    bucket: Mutex<Bucket>,
    /// Notified when a call cost less than was reserved, as others may wait for the difference.
    settled: Notify,
}

/// Both counts of units start at zero and only their difference has a meaning.
struct Bucket {
    /// Units earned since the start, corrected by the true cost of calls.
    earned: f64,
    /// Units reserved since the start.
    reserved: f64,
    updated: Instant,
}

impl RateCap {
    pub(crate) fn new(cap: u32) -> Self {
        let bucket = Bucket {
            earned: 0.0,
            reserved: 0.0,
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

    /// Reserves the units of one call and waits until the cap allows it.
    pub(crate) async fn acquire(&self, units: f64) {
        let end = {
            let mut bucket = self.refilled();
            bucket.reserved += units;
            bucket.reserved
        };

        // Earlier calls that settle in the meantime move the reservation in either direction.
        loop {
            let owed = end - self.refilled().earned;
            if owed <= 0.0 {
                return;
            }

            let wait = Duration::from_secs_f64(owed / self.units_per_second).max(TICK);
            let _ = timeout(wait, self.settled.notified()).await;
        }
    }

    /// Settles the difference between the reservation of a call and its true cost.
    pub(crate) fn settle(&self, reserved: f64, cost: f64) {
        self.refilled().earned += reserved - cost;
        if cost < reserved {
            self.settled.notify_waiters();
        }
    }

    fn refilled(&self) -> MutexGuard<'_, Bucket> {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = (now - bucket.updated).as_secs_f64() * self.units_per_second;
        let max_earned = bucket.reserved + self.units_per_second * BURST;
        bucket.earned = (bucket.earned + earned).min(max_earned);
        bucket.updated = now;

        bucket
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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

    /// The seconds at which callers leave that arrive in this order at these times, with these units.
    async fn departures(rate_cap: &Arc<RateCap>, arrivals: &[(f64, f64)]) -> Vec<(usize, f64)> {
        let began = Instant::now();
        let departures = Arc::new(Mutex::new(Vec::new()));
        let calls: tokio::task::JoinSet<()> = arrivals
            .iter()
            .copied()
            .enumerate()
            .map(|(index, (at, units))| {
                let (rate_cap, departures) = (Arc::clone(rate_cap), Arc::clone(&departures));
                async move {
                    tokio::time::sleep(Duration::from_secs_f64(at)).await;
                    rate_cap.acquire(units).await;
                    let departure = (index, began.elapsed().as_secs_f64());
                    departures.lock().unwrap().push(departure);
                }
            })
            .collect();
        calls.join_all().await;
        let mut departures = departures.lock().unwrap();

        std::mem::take(&mut *departures)
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_wait_leave_in_order_although_more_arrive_all_the_time() {
        // Twice as many units are requested as the cap allows, for twenty seconds.
        let rate_cap = Arc::new(RateCap::new(10));
        let arrivals: Vec<_> = (0..400).map(|call| (f64::from(call) * 0.05, 1.0)).collect();
        let departures = departures(&rate_cap, &arrivals).await;

        let mut left = 0.0;
        for (expected, (index, at)) in departures.into_iter().enumerate() {
            assert_eq!(index, expected, "left at {at} s");
            let gap = at - left;
            assert!((0.09..0.12).contains(&gap), "call {index}: {gap} s apart");
            left = at;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_true_cost_of_a_call_moves_those_that_wait() {
        for (paid, cost, expected) in [(400.0, 0.0, 0.0), (1.0, 51.0, 5.1)] {
            let rate_cap = Arc::new(RateCap::new(10));
            let settled = {
                let rate_cap = Arc::clone(&rate_cap);
                tokio::spawn(async move {
                    rate_cap.acquire(paid).await;
                    rate_cap.settle(paid, cost);
                    Instant::now()
                })
            };
            tokio::task::yield_now().await;

            rate_cap.acquire(1.0).await;
            let waited = (Instant::now() - settled.await.unwrap()).as_secs_f64();
            assert!(
                (expected..expected + 0.1).contains(&waited),
                "{waited} s after a call of {cost} units"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_cap_allows_no_burst() {
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
