//! Tests of the limiter and its adaptive rate against a simulated table, in simulated time.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers of a simulation are small"
)]

use std::cell::RefCell;
use std::rc::Rc;

use tokio::task::LocalSet;
use tokio::time::sleep;

use super::*;
use crate::store::limiter::permit::RequestLimiter;

mod scenarios;

/// Number of items of one unit in a full call.
const ITEMS_PER_CALL: usize = 25;
/// Number of callers, each with at most one call in flight.
const CALLERS: usize = 128;

/// A token bucket.
struct Bucket {
    units_per_second: f64,
    burst_seconds: f64,
    units: f64,
    at: Instant,
}

impl Bucket {
    /// Creates a bucket with this capacity and this content, in seconds' worth of units.
    fn new(units_per_second: f64, burst_seconds: f64, initial_seconds: f64) -> Self {
        Self {
            units_per_second,
            burst_seconds,
            units: units_per_second * initial_seconds,
            at: Instant::now(),
        }
    }

    fn fill(&mut self) {
        let earned = self.at.elapsed().as_secs_f64() * self.units_per_second;
        self.units = (self.units + earned).min(self.units_per_second * self.burst_seconds);
        self.at = Instant::now();
    }

    fn take(&mut self, units: f64) -> bool {
        self.fill();
        let is_enough = self.units >= units;
        if is_enough {
            self.units -= units;
        }

        is_enough
    }

    fn is_usable(&mut self) -> bool {
        self.fill();
        self.units > 0.0
    }
}

/// The form in which a table throttles.
#[derive(Clone, Copy, PartialEq)]
enum ThrottleMode {
    /// Items that exceed the capacity are returned (`UnprocessedItems`).
    Items,
    /// A call is accepted or rejected as a whole (`ThrottlingException`).
    Calls,
    /// A call is accepted while the bucket is not empty. Its cost is known only afterwards, between
    /// half and one and a half times the estimate, and may exceed the content of the bucket (`Scan`).
    Pages,
}

/// Reproducible random numbers (xorshift).
struct RandomNumbers {
    seed: u64,
}

impl Default for RandomNumbers {
    fn default() -> Self {
        Self {
            seed: 88_172_645_463_325_252,
        }
    }
}

impl RandomNumbers {
    /// A number from zero to `end`, exclusive.
    fn next(&mut self, end: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % end
    }
}

/// Throttling that does not depend on the rate.
struct RandomThrottling {
    percent: u64,
    /// Share of a call's items that is throttled.
    share: f64,
    numbers: RandomNumbers,
}

impl RandomThrottling {
    fn new(percent: u64, share: f64) -> Self {
        Self {
            percent,
            share,
            numbers: RandomNumbers::default(),
        }
    }

    /// Number of items to throttle in a call with this many.
    fn refused(&mut self, items: usize) -> usize {
        if self.numbers.next(100) < self.percent {
            (items as f64 * self.share).ceil() as usize
        } else {
            0
        }
    }
}

/// A table with one or more partitions and a network delay.
struct SimulatedTable {
    random: Option<RandomThrottling>,
    /// The costs of pages.
    pages: RandomNumbers,
    bucket: Bucket,
    partitions: Vec<Bucket>,
    throttle_mode: ThrottleMode,
    latency: Duration,
    /// Units accepted, calls, and throttled calls of each second.
    seconds: Vec<(f64, u32, u32)>,
    began: Instant,
}

impl SimulatedTable {
    fn new(bucket: Bucket, throttle_mode: ThrottleMode, latency: Duration) -> Self {
        Self {
            random: None,
            pages: RandomNumbers::default(),
            bucket,
            partitions: Vec::new(),
            throttle_mode,
            latency,
            seconds: Vec::new(),
            began: Instant::now(),
        }
    }

    /// Writes items of these partitions; returns the accepted units and the items that are not
    /// accepted.
    fn call(&mut self, items: &[usize]) -> (f64, Vec<usize>) {
        let random = self
            .random
            .as_mut()
            .map_or(0, |random| random.refused(items.len()));
        let refused: Vec<usize> = match self.throttle_mode {
            _ if random > 0 => items[..random].to_vec(),
            ThrottleMode::Items => items
                .iter()
                .copied()
                .filter(|partition| !self.put(*partition))
                .collect(),
            ThrottleMode::Calls if self.bucket.take(items.len() as f64) => Vec::new(),
            ThrottleMode::Pages if self.bucket.is_usable() => Vec::new(),
            ThrottleMode::Calls | ThrottleMode::Pages => items.to_vec(),
        };

        let mut accepted = (items.len() - refused.len()) as f64;
        if self.throttle_mode == ThrottleMode::Pages {
            accepted *= 0.5 + self.pages.next(100) as f64 / 100.0;
            self.bucket.units -= accepted;
        }

        let second = self.began.elapsed().as_secs() as usize;
        self.seconds
            .resize(self.seconds.len().max(second + 1), (0.0, 0, 0));
        let statistics = &mut self.seconds[second];
        statistics.0 += accepted;
        statistics.1 += 1;
        statistics.2 += u32::from(!refused.is_empty());

        (accepted, refused)
    }

    fn put(&mut self, partition: usize) -> bool {
        if self
            .partitions
            .get_mut(partition)
            .is_some_and(|partition| !partition.take(1.0))
        {
            return false;
        }

        self.bucket.take(1.0)
    }

    /// Units per second, and the share of throttled calls, during these seconds.
    fn statistics(&self, seconds: std::ops::Range<usize>) -> (f64, f64) {
        let length = seconds.len() as f64;
        let statistics = &self.seconds[seconds.start..seconds.end.min(self.seconds.len())];
        let (units, calls, throttled) = statistics.iter().fold((0.0, 0, 0), |sum, second| {
            (sum.0 + second.0, sum.1 + second.1, sum.2 + second.2)
        });
        (
            units / length,
            f64::from(throttled) / f64::from(calls.max(1)),
        )
    }
}

/// Writes for this many seconds. `next` returns the partition of the next item, or `None` at the
/// end. Each change sets the capacity of the table at a given second.
async fn write(
    table: Rc<RefCell<SimulatedTable>>,
    next: Rc<RefCell<dyn FnMut() -> Option<usize>>>,
    seconds: u64,
    changes: Vec<(u64, f64)>,
) {
    write_with_limiter(
        Rc::new(RequestLimiter::new(None)),
        (CALLERS, ITEMS_PER_CALL),
        table,
        next,
        seconds,
        changes,
    )
    .await;
}

async fn write_with_limiter(
    limiter: Rc<RequestLimiter>,
    (callers, batch): (usize, usize),
    table: Rc<RefCell<SimulatedTable>>,
    next: Rc<RefCell<dyn FnMut() -> Option<usize>>>,
    seconds: u64,
    changes: Vec<(u64, f64)>,
) {
    let local = LocalSet::new();
    for _ in 0..callers {
        let (table, limiter, next) = (Rc::clone(&table), Rc::clone(&limiter), Rc::clone(&next));
        local.spawn_local(async move {
            loop {
                let mut group: Vec<usize> = (0..batch).map_while(|_| next.borrow_mut()()).collect();
                if group.is_empty() {
                    return;
                }

                caller(&table, &limiter, &mut group).await;
            }
        });
    }

    let changing_table = Rc::clone(&table);
    local.spawn_local(async move {
        let began = Instant::now();
        for (second, units_per_second) in changes {
            tokio::time::sleep_until(began + Duration::from_secs(second)).await;
            let bucket = &mut changing_table.borrow_mut().bucket;
            bucket.fill();
            bucket.units_per_second = units_per_second;
            bucket.fill();
        }
    });

    let _ = tokio::time::timeout(Duration::from_secs(seconds), local).await;
}

/// Writes one batch as the store does.
async fn caller(table: &RefCell<SimulatedTable>, limiter: &RequestLimiter, group: &mut Vec<usize>) {
    let mut wait = Duration::from_millis(50);
    while !group.is_empty() {
        let choose = |budget: Option<f64>| {
            (budget.unwrap_or(f64::INFINITY) as usize).clamp(1, group.len()) as f64
        };
        let (permit, units) = limiter.acquire(choose).await;
        let part = units as usize;
        let latency = table.borrow().latency;
        sleep(latency / 2).await;
        let (accepted, refused) = table.borrow_mut().call(&group[..part]);
        sleep(latency / 2).await;
        let throttled = refused.len();
        group.splice(..part, refused);

        if throttled == 0 {
            wait = Duration::from_millis(50);
            permit.succeeded(accepted);
        } else {
            permit.throttled(accepted, throttled as f64);
            sleep(wait).await;
            wait = if accepted > 0.0 {
                Duration::from_millis(50)
            } else {
                (wait * 2).min(Duration::from_secs(10))
            };
        }
    }
}

fn endless() -> Rc<RefCell<dyn FnMut() -> Option<usize>>> {
    Rc::new(RefCell::new(|| Some(0)))
}

/// Simulates writes to a table with this capacity and these changes, and returns the table.
async fn simulate(
    (units, burst_seconds, initial_seconds): (f64, f64, f64),
    throttle_mode: ThrottleMode,
    latency: u64,
    seconds: u64,
    changes: Vec<(u64, f64)>,
) -> Rc<RefCell<SimulatedTable>> {
    let bucket = Bucket::new(units, burst_seconds, initial_seconds);
    let table = Rc::new(RefCell::new(SimulatedTable::new(
        bucket,
        throttle_mode,
        Duration::from_millis(latency),
    )));

    write(Rc::clone(&table), endless(), seconds, changes).await;

    table
}

/// Checks the share of the units used and the share of the calls throttled.
#[track_caller]
fn assert_settled(table: &SimulatedTable, units: f64, seconds: std::ops::Range<usize>) {
    // With five calls per second, one throttled call in ten seconds is already two percent.
    let throttled_at_most = if units < 20.0 { 0.1 } else { 0.02 };
    let (used, throttled) = table.statistics(seconds.clone());
    let what = format!(
        "{units} units, {:?}, seconds {seconds:?}: {used} used",
        table.latency
    );
    assert!(used >= 0.97 * units, "{what}");
    assert!(
        throttled <= throttled_at_most,
        "{what}, {throttled} throttled"
    );
}

async fn assert_settles_and_follows(units: f64, factor: f64) {
    for latency in [2, 50] {
        for throttle_mode in [ThrottleMode::Items, ThrottleMode::Calls] {
            let later = units * factor;
            let table = simulate(
                (units, 1.0, 1.0),
                throttle_mode,
                latency,
                90,
                vec![(40, later)],
            )
            .await;
            assert_settled(&table.borrow(), units, 10..40);

            // Up to nine seconds until the next probe, and some more for it, where there are few
            // calls.
            let follows = if units < 20.0 { 15 } else { 10 };
            assert_settled(&table.borrow(), later, 40 + follows..90);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_smallest_tables() {
    assert_settles_and_follows(5.0, 2.0).await;
    assert_settles_and_follows(10.0, 0.5).await;
}

#[tokio::test(start_paused = true)]
async fn a_small_table_that_doubles_or_halves() {
    assert_settles_and_follows(100.0, 2.0).await;
    assert_settles_and_follows(100.0, 0.5).await;
}

#[tokio::test(start_paused = true)]
async fn a_larger_table_that_doubles_or_halves() {
    assert_settles_and_follows(1500.0, 2.0).await;
    assert_settles_and_follows(1500.0, 0.5).await;
}

#[tokio::test(start_paused = true)]
async fn a_table_with_the_default_quota_of_an_account() {
    for (latency, throttle_mode) in [(2, ThrottleMode::Items), (50, ThrottleMode::Calls)] {
        let table = simulate((40_000.0, 1.0, 1.0), throttle_mode, latency, 25, vec![]).await;
        assert_settled(&table.borrow(), 40_000.0, 10..25);
    }
}

#[tokio::test(start_paused = true)]
async fn saved_burst_capacity_is_used_immediately() {
    let table = simulate((100.0, 300.0, 300.0), ThrottleMode::Items, 10, 60, vec![]).await;
    let table = table.borrow();
    let saved_and_earned = 100.0 * (300.0 + 10.0);
    assert!(
        table.statistics(0..10).0 * 10.0 > 0.97 * saved_and_earned,
        "{:?}",
        &table.seconds[..12]
    );

    assert_settled(&table, 100.0, 20..60);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_scales_up_step_by_step() {
    const STEP: u32 = 30;

    let steps = (1..=5_u32).map(|step| {
        (
            u64::from(step * STEP),
            200.0 * 1.4_f64.powi(step.cast_signed()),
        )
    });

    let seconds = u64::from(6 * STEP);
    let table = simulate(
        (200.0, 1.0, 1.0),
        ThrottleMode::Items,
        10,
        seconds,
        steps.clone().collect(),
    )
    .await;

    for (second, units) in steps {
        let second = usize::try_from(second).unwrap();
        assert_settled(&table.borrow(), units, second + 10..second + 30);
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_accepts_nothing_for_a_while() {
    let table = simulate(
        (1000.0, 1.0, 1.0),
        ThrottleMode::Calls,
        10,
        90,
        vec![(20, 0.0), (40, 1000.0)],
    )
    .await;

    assert_settled(&table.borrow(), 1000.0, 60..90);
}

/// Partitions of 1,000 write units each, like DynamoDB's, in a table with enough capacity for all
/// of them.
const PARTITIONS: usize = 8;
const PARTITION_UNITS: f64 = 1000.0;

/// Writes items to the partitions that `partition_of` returns for their numbers, for 30 seconds;
/// returns the units per second of the last 15.
async fn partitioned(partition_of: impl Fn(usize) -> usize + 'static) -> f64 {
    let mut table = SimulatedTable::new(
        Bucket::new(40_000.0, 1.0, 1.0),
        ThrottleMode::Items,
        Duration::from_millis(10),
    );

    table.partitions = (0..PARTITIONS)
        .map(|_| Bucket::new(PARTITION_UNITS, 1.0, 1.0))
        .collect();
    let table = Rc::new(RefCell::new(table));
    let mut number = 0;
    let next = move || {
        number += 1;
        Some(partition_of(number - 1))
    };
    write(Rc::clone(&table), Rc::new(RefCell::new(next)), 30, vec![]).await;

    table.borrow().statistics(15..30).0
}

#[tokio::test(start_paused = true)]
async fn items_spread_over_the_partitions_use_all_of_them() {
    let in_order = partitioned(|number| number / 40_000 % PARTITIONS).await;
    let spread = partitioned(|number| number % PARTITIONS).await;
    let all = PARTITION_UNITS * 8.0;
    assert!(
        in_order < all / 4.0,
        "one partition after the other: {in_order}"
    );
    assert!(spread > all * 0.9, "all partitions at once: {spread}");
}

#[tokio::test(start_paused = true)]
async fn a_hot_partition_does_not_slow_down_the_others() {
    // Three of ten items belong to one partition, so no order can exceed 3,333 units per second.
    let hot = partitioned(|number| {
        if number % 10 < 3 {
            0
        } else {
            1 + number % (PARTITIONS - 1)
        }
    })
    .await;

    assert!(hot > 2_700.0, "{hot}");
}

/// A rate that ignores throttling.
fn rate_without_limit() -> AdaptiveRate {
    let now = Instant::now();
    let mut rate = AdaptiveRate::new(now);
    rate.state = State::Suspended {
        until: now + Duration::from_hours(1),
    };

    rate
}

/// Units per second during the first 30 seconds of a table that throttles this percentage of the
/// calls at random.
async fn throughput_under_random_throttling(
    limiter: RequestLimiter,
    percent: u64,
    share: f64,
    latency: u64,
) -> f64 {
    let mut table = SimulatedTable::new(
        Bucket::new(1e9, 1.0, 1.0),
        ThrottleMode::Calls,
        Duration::from_millis(latency),
    );

    table.random = Some(RandomThrottling::new(percent, share));
    let table = Rc::new(RefCell::new(table));
    write_with_limiter(
        Rc::new(limiter),
        (32, ITEMS_PER_CALL),
        Rc::clone(&table),
        endless(),
        30,
        vec![],
    )
    .await;

    table.borrow().statistics(0..30).0
}

#[tokio::test(start_paused = true)]
async fn random_throttling_does_not_slow_down_a_run() {
    for (percent, at_least) in [(1, 0.9), (5, 0.8), (20, 0.7), (50, 0.4), (80, 0.4)] {
        for (share, latency) in [(1.0, 5), (0.4, 5), (1.0, 300), (0.4, 300)] {
            let free = throughput_under_random_throttling(
                RequestLimiter::with_rate(rate_without_limit()),
                percent,
                share,
                latency,
            )
            .await;
            let learning = throughput_under_random_throttling(
                RequestLimiter::new(None),
                percent,
                share,
                latency,
            )
            .await;
            let what = format!("{percent} % of the calls, {share} of each, {latency} ms");
            assert!(
                learning >= at_least * free,
                "{what}: {learning} units per second, not {free}"
            );
        }
    }
}

/// Duration of a run of 50 calls, a fifth of which is throttled at random.
async fn small_run_duration(
    limiter: RequestLimiter,
    callers: usize,
    latency: u64,
    seed: u64,
) -> Duration {
    let mut table = SimulatedTable::new(
        Bucket::new(1e9, 1.0, 1.0),
        ThrottleMode::Calls,
        Duration::from_millis(latency),
    );

    table.random = Some(RandomThrottling {
        numbers: RandomNumbers { seed },
        ..RandomThrottling::new(20, 1.0)
    });
    let table = Rc::new(RefCell::new(table));
    let mut remaining = 50;
    let next = move || {
        remaining -= 1;
        (remaining >= 0).then_some(0)
    };
    let began = Instant::now();
    write_with_limiter(
        Rc::new(limiter),
        (callers, 1),
        table,
        Rc::new(RefCell::new(next)),
        60,
        vec![],
    )
    .await;

    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_small_run_with_random_throttling_is_hardly_slower() {
    for (callers, latency) in [(1, 2), (1, 100), (4, 2), (4, 100), (32, 2), (32, 300)] {
        for seed in (1..=20).map(|seed| u64::wrapping_mul(seed, 88_172_645_463_325_253)) {
            let free = small_run_duration(
                RequestLimiter::with_rate(rate_without_limit()),
                callers,
                latency,
                seed,
            )
            .await;
            let learning =
                small_run_duration(RequestLimiter::new(None), callers, latency, seed).await;
            let what = format!("{callers} callers, {latency} ms, seed {seed}");
            assert!(
                learning < free * 2 + Duration::from_secs(6),
                "{what}: {learning:?}, not {free:?}"
            );
        }
    }
}
