//! Simulations of many capacities in many circumstances. `cargo test --lib scenarios -- --nocapture`
//! prints the figures.

use super::*;

/// A table, its clients, and the seconds that count.
#[derive(Clone)]
struct Scenario {
    units: f64,
    burst_seconds: f64,
    initial_seconds: f64,
    throttle_mode: ThrottleMode,
    latency: u64,
    callers: usize,
    batch: usize,
    changes: Vec<(u64, f64)>,
    other_client: Option<OtherClient>,
    /// Cap on the units per second of the limiter.
    cap: Option<u32>,
    /// Percentage of the calls that are throttled at random.
    random_percent: u64,
    counted: std::ops::Range<usize>,
}

/// Another client of the same table.
#[derive(Clone, Copy)]
struct OtherClient {
    /// Share of the table's units that it requests.
    share: f64,
    /// It is active for this long and then silent for as long; `None` if it is always active.
    period: Option<Duration>,
}

/// Calls of another client, each of one unit.
#[derive(Default)]
struct OtherCalls {
    /// Units accepted in each second.
    taken: Vec<f64>,
    calls: u32,
    throttled: u32,
}

impl OtherCalls {
    fn throttled_share(&self) -> f64 {
        f64::from(self.throttled) / f64::from(self.calls.max(1))
    }
}

impl Scenario {
    fn writes(units: f64, throttle_mode: ThrottleMode, latency: u64) -> Self {
        Self {
            units,
            burst_seconds: 1.0,
            initial_seconds: 1.0,
            throttle_mode,
            latency,
            callers: CALLERS,
            batch: ITEMS_PER_CALL,
            changes: Vec::new(),
            other_client: None,
            cap: None,
            random_percent: 0,
            counted: 20..60,
        }
    }

    /// Pages of up to 128 units, the cost of 1 MB that is read eventually consistently.
    fn reads(units: f64, latency: u64) -> Self {
        Self {
            callers: 32,
            batch: 128,
            ..Self::writes(units, ThrottleMode::Pages, latency)
        }
    }

    fn with_burst(self, burst_seconds: f64, initial_seconds: f64) -> Self {
        Self {
            burst_seconds,
            initial_seconds,
            ..self
        }
    }

    /// The capacity changes by this factor in second 40.
    fn scaled(self, factor: f64) -> Self {
        // Up to nine seconds until the next probe, and some more for it, where there are few calls.
        let follows = if self.units < 20.0 { 55 } else { 50 };
        Self {
            changes: vec![(40, self.units * factor)],
            counted: follows..90,
            ..self
        }
    }

    fn shared_with(self, share: f64, period: Option<Duration>) -> Self {
        Self {
            other_client: Some(OtherClient { share, period }),
            ..self
        }
    }

    /// Runs the scenario; returns the table and the calls of the other client.
    async fn simulate(&self) -> (Rc<RefCell<SimulatedTable>>, OtherCalls) {
        let bucket = Bucket::new(self.units, self.burst_seconds, self.initial_seconds);
        let latency = Duration::from_millis(self.latency);
        let mut table = SimulatedTable::new(bucket, self.throttle_mode, latency);
        if self.random_percent > 0 {
            table.random = Some(RandomThrottling::new(self.random_percent, 1.0));
        }

        let table = Rc::new(RefCell::new(table));
        let other_calls = RefCell::new(OtherCalls::default());
        let seconds = self.counted.end as u64;
        let limiter = RequestLimiter::new(None);
        if let Some(cap) = self.cap {
            limiter.cap(cap);
        }

        let run = write_with_limiter(
            Rc::new(limiter),
            (self.callers, self.batch),
            Rc::clone(&table),
            endless(),
            seconds,
            self.changes.clone(),
        );

        if let Some(other) = self.other_client {
            tokio::select! {
                () = run => {}
                () = other.run(&table, &other_calls) => {}
            }
        } else {
            run.await;
        }

        (table, other_calls.into_inner())
    }

    /// Runs the scenario; returns the units used, as a share of the available ones, and the share
    /// of the calls that were throttled.
    async fn run(self) -> (f64, f64) {
        let (table, other_calls) = self.simulate().await;
        let table = table.borrow();
        let (used, throttled) = table.statistics(self.counted.clone());
        let units = table.bucket.units_per_second;
        let taken = other_calls
            .taken
            .iter()
            .skip(self.counted.start)
            .sum::<f64>()
            / self.counted.len() as f64;
        (used / (units - taken), throttled)
    }
}

impl OtherClient {
    async fn run(self, table: &RefCell<SimulatedTable>, calls: &RefCell<OtherCalls>) {
        const INTERVAL: Duration = Duration::from_millis(20);

        let began = Instant::now();
        let mut wanted = 0.0;
        loop {
            sleep(INTERVAL).await;
            let second = began.elapsed().as_secs() as usize;
            let calls = &mut *calls.borrow_mut();
            calls.taken.resize(second + 1, 0.0);
            let is_active = self.period.is_none_or(|period| {
                (began.elapsed().as_millis() / period.as_millis()).is_multiple_of(2)
            });
            if !is_active {
                continue;
            }

            let bucket = &mut table.borrow_mut().bucket;
            // It tries again, but not what it wanted seconds ago.
            wanted = (wanted + bucket.units_per_second * self.share * INTERVAL.as_secs_f64())
                .min(bucket.units_per_second * self.share);
            while wanted >= 1.0 {
                calls.calls += 1;
                if !bucket.take(1.0) {
                    calls.throttled += 1;
                    break;
                }

                wanted -= 1.0;
                calls.taken[second] += 1.0;
            }
        }
    }
}

/// Larger tables take long to simulate, and behave like the last of these.
const CAPACITIES: [f64; 4] = [5.0, 20.0, 100.0, 1000.0];

/// Runs a scenario and checks the share of the units used and the share of the calls throttled.
async fn assert_outcome(what: &str, scenario: Scenario, used: f64, throttled: f64) {
    // With five calls per second, one throttled call in ten seconds is already two percent.
    let throttled = if scenario.units < 20.0 {
        throttled.max(0.05)
    } else {
        throttled
    };

    let units = scenario.units;
    let outcome = scenario.run().await;
    print_figures(what, units, outcome);
    assert!(
        outcome.0 >= used && outcome.1 <= throttled,
        "{what}, {units} units: {} used, {} throttled",
        outcome.0,
        outcome.1
    );
}

#[expect(clippy::print_stdout, reason = "shown with --nocapture only")]
fn print_figures(what: &str, units: f64, (used, throttled): (f64, f64)) {
    println!(
        "{what}, {units} units: {:.1} % used, {:.1} % of the calls throttled",
        used * 100.0,
        throttled * 100.0
    );
}

/// Writes with a latency of 10 ms to a table that keeps unused units for one second.
fn plain(units: f64) -> Scenario {
    Scenario::writes(units, ThrottleMode::Items, 10)
}

#[tokio::test(start_paused = true)]
async fn writes_use_a_table_of_any_capacity() {
    for units in CAPACITIES.into_iter().chain([10_000.0, 40_000.0]) {
        let scenario = Scenario::writes(units, ThrottleMode::Items, 5);
        assert_outcome("writes, 5 ms, items", scenario, 0.98, 0.016).await;
        let scenario = Scenario::writes(units, ThrottleMode::Calls, 50);
        assert_outcome("writes, 50 ms, calls", scenario, 0.98, 0.016).await;
    }
}

#[tokio::test(start_paused = true)]
async fn writes_use_a_distant_table_of_any_capacity() {
    for units in CAPACITIES {
        // All calls that are in flight when the table throttles are throttled in part.
        let scenario = Scenario::writes(units, ThrottleMode::Items, 200);
        assert_outcome("writes, 200 ms, items", scenario, 0.98, 0.035).await;
    }
}

#[tokio::test(start_paused = true)]
async fn reads_use_a_table_of_any_capacity() {
    for units in CAPACITIES {
        for latency in [5, 100] {
            let what = format!("reads, {latency} ms");
            assert_outcome(&what, Scenario::reads(units, latency), 0.97, 0.03).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_saves_units_for_five_minutes_is_used() {
    for units in CAPACITIES {
        for saved in [0.0, 10.0] {
            let what = format!("burst 300 s, {saved} s saved");
            let scenario = plain(units).with_burst(300.0, saved);
            assert_outcome(&what, scenario, 0.98, 0.016).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_of_capacity_is_followed_within_ten_seconds() {
    for units in CAPACITIES {
        for factor in [0.1, 0.5, 2.0, 10.0] {
            // Tables with less than five units are not a case.
            if units * factor < 2.5 {
                continue;
            }

            let what = format!("{factor} times the capacity");
            assert_outcome(&what, plain(units).scaled(factor), 0.97, 0.02).await;
            let what = format!("{what}, burst 300 s");
            let saving = plain(units).with_burst(300.0, 0.0);
            if factor < 10.0 {
                assert_outcome(&what, saving.scaled(factor), 0.97, 0.02).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_another_client_does_not_take_is_used() {
    for units in CAPACITIES {
        let scenario = plain(units).shared_with(0.4, None);
        assert_outcome("another client takes 40 %", scenario, 0.97, 0.02).await;
        // While the other client is silent, a third of the units is to be found again.
        let scenario = plain(units).shared_with(0.4, Some(Duration::from_secs(15)));
        let used = if units < 20.0 { 0.8 } else { 0.9 };
        assert_outcome("it is silent half of the time", scenario, used, 0.07).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_also_throttles_at_random_is_used() {
    for units in CAPACITIES {
        // One percent is told from a bucket that is empty, at least in large tables. With five
        // percent, the limit is suspended most of the time, and throttled calls are retried.
        for (random_percent, used, throttled) in [(1, 0.75, 0.04), (5, 0.7, 0.95)] {
            let scenario = Scenario {
                random_percent,
                ..plain(units)
            };
            let what = format!("{random_percent} % throttled at random");
            assert_outcome(&what, scenario, used, throttled).await;
        }
    }
}

/// Ten minutes next to another client that always takes 40 % of the units, and notices it if they are used up.
fn next_to_other_client(scenario: Scenario) -> Scenario {
    Scenario {
        counted: 0..600,
        ..scenario.shared_with(0.4, None)
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_cap_of_half_the_capacity_another_client_is_not_throttled() {
    let saving = Scenario::writes(100.0, ThrottleMode::Items, 10).with_burst(300.0, 0.0);
    let of_any_capacity = CAPACITIES.into_iter().flat_map(|units| {
        [
            Scenario::writes(units, ThrottleMode::Items, 10),
            Scenario::writes(units, ThrottleMode::Calls, 100),
            Scenario::reads(units, 10),
            Scenario::reads(units, 100),
        ]
    });

    for scenario in of_any_capacity.chain([saving]) {
        let units = scenario.units;
        let cap = (units / 2.0) as u32;
        let scenario = Scenario {
            cap: Some(cap),
            ..next_to_other_client(scenario)
        };
        let (table, other_calls) = scenario.simulate().await;
        let (used, _) = table.borrow().statistics(scenario.counted);
        let throttled = other_calls.throttled_share();
        print_figures("half, next to 40 %", units, (used / units, throttled));
        assert!(
            throttled < 0.01 && used <= f64::from(cap) && used >= 0.9 * f64::from(cap),
            "{units} units: {used} used; {throttled} of the other client's calls throttled"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_cap_another_client_is_throttled() {
    for scenario in [plain(100.0), Scenario::reads(100.0, 10)] {
        let (_, other_calls) = next_to_other_client(scenario).simulate().await;
        assert!(other_calls.throttled > 0);
    }
}
