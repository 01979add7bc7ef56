//! The limiters of one direction, one per table: each table has its own capacity and indexes, and
//! throttling of one must not slow down another. A cap applies to one table, too; the maximum number
//! of in-flight requests and the total cap apply to all tables of the environment together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::capacity_estimate::{PageCostEstimate, WriteCostEstimate};
use super::page::ScanLimiter;
use super::permit::{RequestLimiter, SharedLimits};
use crate::store::page_memory::TablePageMemory;

/// The limiters of one direction.
pub(crate) struct TableLimiters {
    shared: Arc<SharedLimits>,
    by_table: Mutex<BTreeMap<String, Arc<TableThroughput>>>,
}

/// The limiter and the cost estimates of one table.
pub(crate) struct TableThroughput {
    pub(crate) limiter: RequestLimiter,
    pub(crate) page_cost: PageCostEstimate,
    pub(crate) write_cost: WriteCostEstimate,
    /// Limits on Scans.
    pub(crate) scans: ScanLimiter,
    pub(crate) page_memory: TablePageMemory,
}

impl TableLimiters {
    /// Creates limiters that share this maximum number of in-flight requests, and this cap on the units per second.
    pub(crate) fn new(max_in_flight: Option<usize>, total_cap: Option<u32>) -> Self {
        Self {
            shared: Arc::new(SharedLimits::new(max_in_flight, total_cap)),
            by_table: Mutex::default(),
        }
    }

    /// Caps the consumption of a table from now on. The lowest of several caps applies.
    pub(crate) fn cap(&self, table: &str, units_per_second: u32) {
        self.for_table(table).limiter.cap(units_per_second);
    }

    /// The cap on all tables together, in units per second.
    pub(crate) fn total_cap(&self) -> Option<u32> {
        self.shared.total_cap()
    }

    /// Discards what was learned about a table, and its cap.
    pub(crate) fn forget(&self, table: &str) {
        let mut by_table = self.by_table.lock().unwrap_or_else(PoisonError::into_inner);
        by_table.remove(table);
    }

    /// The limiter and the estimates of a table, created on first use.
    pub(crate) fn for_table(&self, table: &str) -> Arc<TableThroughput> {
        let mut by_table = self.by_table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(throughput) = by_table.get(table) {
            return Arc::clone(throughput);
        }

        let limiter = RequestLimiter::with_shared_limits(Arc::clone(&self.shared));
        let throughput = Arc::new(TableThroughput {
            limiter,
            page_cost: PageCostEstimate::default(),
            write_cost: WriteCostEstimate::default(),
            scans: ScanLimiter::default(),
            page_memory: TablePageMemory::default(),
        });

        by_table.insert(table.to_owned(), Arc::clone(&throughput));

        throughput
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::{Instant, timeout};

    use super::*;

    const NO_WAIT: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn calls_in_flight_are_bounded_for_all_tables_together() {
        let write_limiters = TableLimiters::new(Some(2), None);
        let (one, other) = (
            write_limiters.for_table("one"),
            write_limiters.for_table("other"),
        );
        let _first = one.limiter.acquire(|_| 1.0).await;
        let second = other.limiter.acquire(|_| 1.0).await;
        assert!(
            timeout(NO_WAIT, one.limiter.acquire(|_| 1.0))
                .await
                .is_err()
        );

        drop(second);
        assert!(timeout(NO_WAIT, one.limiter.acquire(|_| 1.0)).await.is_ok());
    }

    /// Seconds that a table takes to consume this many units in one call.
    async fn seconds_for(limiters: &TableLimiters, table: &str, units: f64) -> f64 {
        let began = Instant::now();
        let throughput = limiters.for_table(table);
        let (permit, _) = throughput.limiter.acquire(|_| units).await;
        permit.succeeded(units);

        began.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn each_table_has_its_own_cap() {
        let write_limiters = TableLimiters::new(None, None);
        write_limiters.cap("small", 10);
        write_limiters.cap("large", 1000);

        let took = seconds_for(&write_limiters, "small", 20.0).await;
        assert!((2.0..2.1).contains(&took), "{took} s for 20 units");
        for table in ["large", "uncapped"] {
            let took = seconds_for(&write_limiters, table, 20.0).await;
            assert!(took < 0.1, "{table}: {took} s for 20 units");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_lowest_of_several_caps_of_a_table_applies() {
        let write_limiters = TableLimiters::new(None, None);
        for cap in [1000, 10, 100] {
            write_limiters.cap("films", cap);
        }

        let took = seconds_for(&write_limiters, "films", 20.0).await;
        assert!((2.0..2.1).contains(&took), "{took} s for 20 units");
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_that_waits_for_its_cap_does_not_delay_another() {
        let write_limiters = Arc::new(TableLimiters::new(Some(1), None));
        write_limiters.cap("small", 1);
        let waiting = tokio::spawn({
            let write_limiters = Arc::clone(&write_limiters);
            async move { seconds_for(&write_limiters, "small", 400.0).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;

        let took = seconds_for(&write_limiters, "large", 1.0).await;
        assert!(took < 0.1, "{took} s");
        waiting.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn all_tables_together_keep_to_the_total_cap_and_share_it_fairly() {
        const CAP: f64 = 100.0;

        let limiters = Arc::new(TableLimiters::new(None, Some(100)));
        limiters.cap("capped", 10);
        let consumed = Arc::new(Mutex::new(BTreeMap::new()));

        // Four requests in flight for each of two large tables, one for each of the others.
        let tables = [
            "large", "large", "large", "large", "larger", "larger", "larger", "larger", "small",
            "capped",
        ];
        let calls: JoinSet<()> = tables
            .into_iter()
            .map(|table| {
                let (limiters, consumed) = (Arc::clone(&limiters), Arc::clone(&consumed));
                async move {
                    let end = Instant::now() + Duration::from_secs(20);
                    while Instant::now() < end {
                        let throughput = limiters.for_table(table);
                        let (permit, units) = throughput
                            .limiter
                            .acquire(|budget| budget.unwrap_or(128.0))
                            .await;
                        permit.succeeded(units);
                        *consumed.lock().unwrap().entry(table).or_insert(0.0) += units;
                    }
                }
            })
            .collect();
        calls.join_all().await;

        let consumed = consumed.lock().unwrap();
        let total: f64 = consumed.values().sum();
        assert!(
            (0.95 * 20.0 * CAP..1.05 * 20.0 * CAP).contains(&total),
            "{total} units in 20 s"
        );
        // A small table has the same share as a large one, and a cap of its own still applies.
        assert!(consumed["small"] > 0.25 * total, "{consumed:?}");
        assert!(consumed["capped"] < 1.05 * 200.0, "{consumed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cap_is_kept_where_each_segment_ends_with_a_short_page() {
        const CAP: u32 = 4000;

        let write_limiters = TableLimiters::new(None, None);
        write_limiters.cap("films", CAP);
        let began = Instant::now();
        let consumed = Arc::new(Mutex::new(Vec::new()));

        // Thirty-two segments at a time, one after another, of a table with a high latency.
        let segments: JoinSet<()> = (0..32)
            .map(|segment| {
                let (throughput, consumed) =
                    (write_limiters.for_table("films"), Arc::clone(&consumed));
                async move {
                    let costs = [128.0, 128.0, 4.0].into_iter().cycle().skip(segment % 3);
                    for cost in costs.take_while(|_| began.elapsed().as_secs() < 40) {
                        let choose = |budget| throughput.page_cost.plan_page(budget, None);
                        let (permit, planned) = throughput.limiter.acquire(choose).await;
                        consumed
                            .lock()
                            .unwrap()
                            .push((began.elapsed().as_secs_f64(), cost));
                        tokio::time::sleep(Duration::from_millis(150 + 37 * segment as u64 % 101))
                            .await;
                        throughput.page_cost.record(1000, cost, planned.limit);
                        permit.succeeded(cost);
                    }
                }
            })
            .collect();

        segments.join_all().await;
        let consumed = consumed.lock().unwrap();
        let all = |from: f64, to: f64| {
            let within = consumed.iter().filter(|(at, _)| (from..to).contains(at));
            within.map(|(_, cost)| cost).sum::<f64>()
        };
        let peak = consumed
            .iter()
            .map(|(at, _)| all(*at, at + 10.0))
            .fold(0.0, f64::max);
        assert!(peak <= 10.2 * f64::from(CAP), "{peak} units in ten seconds");
        assert!(
            all(5.0, 40.0) >= 35.0 * 0.97 * f64::from(CAP),
            "{} units from 5 s on",
            all(5.0, 40.0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_that_refuses_does_not_slow_another() {
        let write_limiters = TableLimiters::new(None, None);
        let poor = write_limiters.for_table("poor");
        let budget = async |table: &str| {
            let mut allowed = None;
            let choose = |budget| {
                allowed = budget;
                1.0
            };
            let throughput = write_limiters.for_table(table);
            drop(throughput.limiter.acquire(choose).await);

            allowed
        };

        // A bucket that accepts one unit every ten milliseconds, while two are requested.
        let began = Instant::now();
        while budget("poor").await.is_none() {
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "nothing was learned"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
            poor.limiter.acquire(|_| 2.0).await.0.throttled(1.0, 1.0);
        }

        assert_eq!(budget("rich").await, None);
    }
}
