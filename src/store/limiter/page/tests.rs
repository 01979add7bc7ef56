//! Simulated dumps of a table whose partitions throttle.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the numbers of a simulation are small"
)]

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::{Instant, sleep, timeout};

use super::*;

const PARTITIONS: usize = 40;
const WORKERS: usize = 64;
const SEGMENTS: u32 = 1024;
/// Read units per second of each partition, and seconds for which it keeps unused ones.
const PARTITION_UNITS: f64 = 300.0;
const BURST_SECONDS: f64 = 0.5;
/// Read units of an item of 540 bytes, and of a full page.
const ITEM_UNITS: f64 = 540.0 / 8192.0;
const PAGE_UNITS: f64 = 128.0;
/// Seconds that reading the whole table takes at full capacity, those that are simulated, and those that count.
const TABLE_SECONDS: f64 = 30.0;
const SIMULATED: Duration = Duration::from_secs(25);
const COUNTED: Range<usize> = 5..25;

struct Partition {
    units_per_second: f64,
    units: f64,
    updated: Instant,
}

/// A table, and its calls: second, partition, units that were accepted.
struct SimulatedTable {
    partitions: Vec<Partition>,
    calls: Vec<(usize, usize, Option<f64>)>,
    began: Instant,
    in_flight: usize,
    max_in_flight: usize,
}

impl SimulatedTable {
    fn new(units_per_second: impl Fn(usize) -> f64) -> Self {
        let now = Instant::now();
        let partition = |number| Partition {
            units_per_second: units_per_second(number),
            units: units_per_second(number) * BURST_SECONDS,
            updated: now,
        };

        Self {
            partitions: (0..PARTITIONS).map(partition).collect(),
            calls: Vec::new(),
            began: now,
            in_flight: 0,
            max_in_flight: 0,
        }
    }

    /// Reads items at a place of the table, from 0 to 1, if the partition has units left.
    fn read(&mut self, place: f64, units: f64) -> bool {
        let number = ((place * PARTITIONS as f64) as usize).min(PARTITIONS - 1);
        let partition = &mut self.partitions[number];
        let earned = partition.updated.elapsed().as_secs_f64() * partition.units_per_second;
        let max_units = partition.units_per_second * BURST_SECONDS;
        partition.units = (partition.units + earned).min(max_units);
        partition.updated = Instant::now();

        let is_accepted = partition.units > 0.0;
        if is_accepted {
            partition.units -= units;
        }

        let second = self.began.elapsed().as_secs() as usize;
        self.calls
            .push((second, number, is_accepted.then_some(units)));

        is_accepted
    }

    /// Share of the capacity of these partitions that was used, and share of the calls that were throttled.
    fn statistics(&self, counts: impl Fn(usize) -> bool) -> (f64, f64) {
        let calls: Vec<_> = self
            .calls
            .iter()
            .filter(|(second, number, _)| COUNTED.contains(second) && counts(*number))
            .collect();
        let used: f64 = calls.iter().filter_map(|(_, _, units)| *units).sum();
        let throttled = calls.iter().filter(|call| call.2.is_none()).count();
        let capacity = (0..PARTITIONS).filter(|number| counts(*number)).count() as f64
            * PARTITION_UNITS
            * COUNTED.len() as f64;

        (used / capacity, throttled as f64 / calls.len() as f64)
    }
}

/// A dump with one worker for each part of the table. One that has finished takes half of the longest remaining part.
struct Dump {
    table: RefCell<SimulatedTable>,
    limiter: RequestLimiter,
    scans: ScanLimiter,
    page_cost: PageCostEstimate,
    parts: RefCell<Vec<Range<f64>>>,
}

impl Dump {
    fn new(table: SimulatedTable) -> Self {
        let bound = |worker: usize| worker as f64 / WORKERS as f64;
        let parts = (0..WORKERS).map(|worker| bound(worker)..bound(worker + 1));

        Self {
            table: RefCell::new(table),
            limiter: RequestLimiter::new(None),
            scans: ScanLimiter::default(),
            page_cost: PageCostEstimate::default(),
            parts: RefCell::new(parts.collect()),
        }
    }

    async fn run(self) -> SimulatedTable {
        let dump = Rc::new(self);
        let local = LocalSet::new();
        for worker in 0..WORKERS {
            let dump = Rc::clone(&dump);
            local.spawn_local(async move { dump.read_parts(worker).await });
        }

        let _ = timeout(SIMULATED, local).await;

        Rc::into_inner(dump)
            .expect("all workers have ended")
            .table
            .into_inner()
    }

    async fn read_parts(&self, worker: usize) {
        let whole = PARTITION_UNITS * PARTITIONS as f64 * TABLE_SECONDS;
        while let Some(place) = self.next_place(worker) {
            let mut wait = Duration::from_millis(50);
            let units = loop {
                match self.read_page(place).await {
                    Some(units) => break units,
                    None => sleep(wait).await,
                }

                wait = (wait * 2).min(Duration::from_secs(1));
            };

            self.parts.borrow_mut()[worker].start += units / whole;
        }
    }

    /// Requests a page once. Returns its units; `None` if it is throttled.
    async fn read_page(&self, place: f64) -> Option<f64> {
        let segment = (place * f64::from(SEGMENTS)) as u32;
        let (permit, planned) = self
            .scans
            .acquire(
                &self.limiter,
                &self.page_cost,
                (segment, SEGMENTS),
                None,
                MemoryShare::WHOLE,
            )
            .await;
        let units = planned.limit.map_or(PAGE_UNITS, |items| {
            (f64::from(items) * ITEM_UNITS).min(PAGE_UNITS)
        });

        {
            let mut table = self.table.borrow_mut();
            table.in_flight += 1;
            table.max_in_flight = table.max_in_flight.max(table.in_flight);
        }
        sleep(Duration::from_millis(5)).await;
        self.table.borrow_mut().in_flight -= 1;

        let is_accepted = self.table.borrow_mut().read(place, units);
        if !is_accepted {
            let reason = "TableReadKeyRangeThroughputExceeded";
            permit.failed(&RequestError::throttled_by(reason, ""));
            return None;
        }

        let items = (units / ITEM_UNITS) as u64;
        self.page_cost.record(items, units, planned.limit);
        permit.succeeded(units);

        Some(units)
    }

    fn next_place(&self, worker: usize) -> Option<f64> {
        let mut parts = self.parts.borrow_mut();
        if parts[worker].is_empty() {
            let length = |part: &Range<f64>| part.end - part.start;
            let longest = parts
                .iter_mut()
                .max_by(|one, other| length(one).total_cmp(&length(other)))?;
            let end = longest.end;
            let half = f64::midpoint(longest.start, end);
            if longest.is_empty() || end - half < 1e-4 {
                return None;
            }

            longest.end = half;
            parts[worker] = half..end;
        }

        Some(parts[worker].start)
    }
}

#[tokio::test(start_paused = true)]
async fn a_dump_uses_the_capacity_of_all_partitions_and_few_calls_are_throttled() {
    let table = Dump::new(SimulatedTable::new(|_| PARTITION_UNITS))
        .run()
        .await;
    let (used, throttled) = table.statistics(|_| true);
    assert!(
        used >= 0.85 && throttled <= 0.08,
        "{used} used, {throttled} throttled"
    );
    assert!(
        table.max_in_flight <= MAX_PAGES_IN_FLIGHT as usize,
        "{} in flight",
        table.max_in_flight
    );
}

#[tokio::test(start_paused = true)]
async fn one_partition_with_less_capacity_does_not_slow_down_the_others() {
    const HOT: usize = PARTITIONS / 2;

    let units = |number| PARTITION_UNITS * if number == HOT { 0.1 } else { 1.0 };
    let table = Dump::new(SimulatedTable::new(units)).run().await;
    let (used, throttled) = table.statistics(|number| number != HOT);
    assert!(
        used >= 0.85 && throttled <= 0.08,
        "{used} used, {throttled} throttled"
    );
}

#[test]
fn tables_in_parallel_divide_the_pages_in_flight() {
    let pages_of_a_table = [1, 2, 3, 8, 16, 1000].map(|tables| {
        let memory = MemoryShare::one_of(NonZeroUsize::new(tables).unwrap());
        MAX_PAGES_IN_FLIGHT / permits_of_page(memory)
    });
    assert_eq!(pages_of_a_table, [32, 8, 5, 2, 1, 1]);
}
