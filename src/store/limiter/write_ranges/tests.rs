//! Tests of the ranges' rates against a simulated table with partitions, in simulated time.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers of a simulation are small"
)]

use std::cell::RefCell;
use std::rc::Rc;

use tokio::task::LocalSet;

use super::*;
use crate::aws::error::RequestError;
use crate::store::limiter::permit::RequestLimiter;

const LANES: usize = 64;
/// Calls of a lane that are in flight, or wait for permission.
const CALLS_PER_LANE: usize = 2;
const UNITS_PER_CALL: f64 = 25.0;
const LATENCY: Duration = Duration::from_millis(5);
/// The steady state is measured after the first seconds.
const FIRST_SECONDS: u64 = 5;
const SECONDS: u64 = 20;

/// A table whose partitions are token buckets.
struct Partitions {
    buckets: Vec<Bucket>,
    calls: u32,
    throttled_calls: u32,
}

struct Bucket {
    units_per_second: f64,
    units: f64,
    filled: Instant,
    accepted: f64,
}

impl Bucket {
    /// Takes what is available, in whole units.
    fn take(&mut self, wanted: f64) -> f64 {
        let earned = self.filled.elapsed().as_secs_f64() * self.units_per_second;
        self.units = (self.units + earned).min(self.units_per_second / 2.0);
        self.filled = Instant::now();

        let accepted = wanted.min(self.units.floor());
        self.units -= accepted;
        self.accepted += accepted;

        accepted
    }
}

impl Partitions {
    fn new(capacities: &[f64]) -> Self {
        let bucket = |units_per_second: &f64| Bucket {
            units_per_second: *units_per_second,
            units: 0.0,
            filled: Instant::now(),
            accepted: 0.0,
        };

        Self {
            buckets: capacities.iter().map(bucket).collect(),
            calls: 0,
            throttled_calls: 0,
        }
    }

    /// Writes this many units at a place between 0 and 1. Returns the accepted ones.
    fn write(&mut self, place: f64, units: f64) -> f64 {
        let partition = (place * self.buckets.len() as f64) as usize;
        let accepted = self.buckets[partition].take(units);
        self.calls += 1;
        self.throttled_calls += u32::from(accepted < units);

        accepted
    }

    fn start_measuring(&mut self) {
        (self.calls, self.throttled_calls) = (0, 0);
        self.buckets
            .iter_mut()
            .for_each(|bucket| bucket.accepted = 0.0);
    }

    fn throttled_share(&self) -> f64 {
        f64::from(self.throttled_calls) / f64::from(self.calls)
    }

    /// Share of the capacity of partitions with at least this capacity that was used.
    fn used_share(&self, at_least: f64) -> f64 {
        let full = || {
            self.buckets
                .iter()
                .filter(|bucket| bucket.units_per_second >= at_least)
        };
        let accepted: f64 = full().map(|bucket| bucket.accepted).sum();
        let capacity: f64 = full().map(|bucket| bucket.units_per_second).sum();

        accepted / (capacity * SECONDS as f64)
    }
}

/// Writes one call's units until all are accepted.
async fn write_call(
    limiter: &RequestLimiter,
    table: &RefCell<Partitions>,
    range: KeyRange,
    place: f64,
) {
    let error = RequestError::throttled_by("TableWriteKeyRangeThroughputExceeded", "");
    let mut left = UNITS_PER_CALL;
    while left > 0.0 {
        let choose = |budget: Option<f64>| budget.unwrap_or(left).floor().clamp(1.0, left);
        let (permit, units) = limiter.acquire_in(Some(range), choose).await;
        sleep(LATENCY).await;

        let accepted = table.borrow_mut().write(place, units);
        left -= accepted;
        if accepted >= units {
            permit.succeeded(units);
            continue;
        }

        if accepted > 0.0 {
            permit.throttled(accepted, units - accepted);
        } else {
            permit.failed(&error);
        }

        sleep(Duration::from_millis(50)).await;
    }
}

/// Restores into a table with these partitions from lanes that each hold a range of the keys.
async fn simulate(capacities: &[f64]) -> Partitions {
    let limiter = Rc::new(RequestLimiter::new(None));
    let table = Rc::new(RefCell::new(Partitions::new(capacities)));
    let seconds = FIRST_SECONDS + SECONDS;
    let average = capacities.iter().sum::<f64>() / LANES as f64;
    let calls = (average * seconds as f64 * 1.2 / UNITS_PER_CALL).ceil() as usize;

    let all = LocalSet::new();
    for lane in 0..LANES {
        let next = Rc::new(RefCell::new(0));
        for _ in 0..CALLS_PER_LANE {
            let (limiter, table, next) = (limiter.clone(), table.clone(), next.clone());
            all.spawn_local(async move {
                let range = KeyRange {
                    index: lane,
                    count: LANES,
                };

                loop {
                    let call = next.replace_with(|call| *call + 1);
                    if call >= calls {
                        return;
                    }

                    let place = (lane as f64 + call as f64 / calls as f64) / LANES as f64;
                    write_call(&limiter, &table, range, place).await;
                }
            });
        }
    }

    all.run_until(sleep(Duration::from_secs(FIRST_SECONDS)))
        .await;
    table.borrow_mut().start_measuring();
    all.run_until(sleep(Duration::from_secs(SECONDS))).await;
    drop(all);

    Rc::into_inner(table).expect("no task is left").into_inner()
}

#[tokio::test(start_paused = true)]
async fn all_partitions_are_used_and_few_calls_throttled() {
    for partitions in [40, 20, 8] {
        let table = simulate(&vec![1000.0; partitions]).await;
        let (used, throttled) = (table.used_share(0.0), table.throttled_share());
        assert!(used >= 0.9, "{partitions} partitions: {used:.3} used");
        assert!(
            throttled < 0.02,
            "{partitions} partitions: {throttled:.3} throttled"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_of_few_partitions_is_used_as_well() {
    for partitions in [4, 1] {
        let table = simulate(&vec![1000.0; partitions]).await;
        let used = table.used_share(0.0);
        assert!(used >= 0.9, "{partitions} partitions: {used:.3} used");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hot_partition_does_not_slow_down_the_others() {
    let mut capacities = [1000.0; 40];
    capacities[20] = 100.0;
    let table = simulate(&capacities).await;
    let used = table.used_share(1000.0);
    assert!(used >= 0.8, "{used:.3} used");
}

#[tokio::test(start_paused = true)]
async fn the_ranges_of_a_table_together_stay_within_its_cap() {
    let limiter = RequestLimiter::new(None);
    limiter.cap(100);
    let began = Instant::now();
    for index in 0..40 {
        let range = KeyRange {
            index: index % LANES,
            count: LANES,
        };
        let (permit, units) = limiter
            .acquire_in(Some(range), |budget| budget.unwrap_or(25.0).min(25.0))
            .await;
        permit.succeeded(units);
        assert!(units <= 5.0, "{units} units in one call");
    }

    let took = began.elapsed().as_secs_f64();
    assert!((1.9..2.2).contains(&took), "200 units in {took} s");
}

#[tokio::test(start_paused = true)]
async fn unprocessed_items_count_for_what_has_last_refused_a_request() {
    let range = KeyRange { index: 0, count: 1 };
    for (reason, is_of_range) in [
        (None, false),
        (Some("TableWriteProvisionedThroughputExceeded"), false),
        (Some("TableWriteKeyRangeThroughputExceeded"), true),
    ] {
        let limiter = RequestLimiter::new(None);
        let (permit, _) = limiter.acquire_in(Some(range), |_| 1.0).await;
        match reason {
            Some(reason) => permit.failed(&RequestError::throttled_by(reason, "")),
            None => permit.succeeded(1.0),
        }

        let mut budgets = (None, None);
        for _ in 0..500 {
            let (permit, _) = limiter.acquire_in(Some(range), |_| 1.0).await;
            sleep(Duration::from_millis(10)).await;
            permit.throttled(0.5, 0.5);

            let of_range = limiter.acquire_in(Some(range), |budget| budget.unwrap_or(f64::MAX));
            let of_table = limiter.acquire(|budget| budget.unwrap_or(f64::MAX));
            budgets = (Some(of_table.await.1), Some(of_range.await.1));
            if budgets.1 < Some(f64::MAX) {
                break;
            }
        }

        let (of_table, of_range) = budgets;
        assert!(of_range < Some(f64::MAX), "{reason:?}: nothing is limited");
        assert_eq!(of_table == Some(f64::MAX), is_of_range, "{reason:?}");
    }
}
