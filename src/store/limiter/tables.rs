//! The gates of one direction, one for each table, as each table has its own capacity and its own indexes: what one refuses must
//! not slow the other. What people set, a cap and the number of calls in flight, holds for all tables of the environment together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::capacity_estimate::{PagePrice, WritePrice};
use super::permit::{Gate, Shared};

/// The gates of one direction.
pub(crate) struct Gates {
    shared: Arc<Shared>,
    of: Mutex<BTreeMap<String, Arc<Lane>>>,
}

/// The way to one table.
pub(crate) struct Lane {
    pub(crate) gate: Gate,
    pub(crate) page_price: PagePrice,
    pub(crate) write_price: WritePrice,
}

impl Gates {
    /// Gates for at most so many calls in flight.
    pub(crate) fn new(most: Option<usize>) -> Self {
        Self {
            shared: Arc::new(Shared::new(most)),
            of: Mutex::default(),
        }
    }

    /// Keeps the consumption of all tables together below a cap from now on. Of several the lowest holds.
    pub(crate) fn cap(&self, units_per_second: u32) {
        self.shared.cap(units_per_second);
    }

    pub(crate) fn of(&self, table: &str) -> Arc<Lane> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lane) = of.get(table) {
            return Arc::clone(lane);
        }

        let gate = Gate::sharing(Arc::clone(&self.shared));
        let lane = Arc::new(Lane {
            gate,
            page_price: PagePrice::default(),
            write_price: WritePrice::default(),
        });

        of.insert(table.to_owned(), Arc::clone(&lane));

        lane
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::{Instant, timeout};

    use super::*;

    const NOTHING: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn calls_in_flight_are_bounded_for_all_tables_together() {
        let gates = Gates::new(Some(2));
        let (one, other) = (gates.of("one"), gates.of("other"));
        let _first = one.gate.pass_with(|_| ((), 1.0)).await;
        let second = other.gate.pass_with(|_| ((), 1.0)).await;
        assert!(
            timeout(NOTHING, one.gate.pass_with(|_| ((), 1.0)))
                .await
                .is_err()
        );

        drop(second);
        assert!(
            timeout(NOTHING, one.gate.pass_with(|_| ((), 1.0)))
                .await
                .is_ok()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_cap_is_kept_by_all_tables_together() {
        let gates = Gates::new(None);
        gates.cap(100);
        let began = Instant::now();
        for table in ["one", "other", "one", "other"] {
            gates
                .of(table)
                .gate
                .pass_with(|_| ((), 50.0))
                .await
                .0
                .taken(50.0);
        }

        let took = began.elapsed().as_secs_f64();
        assert!((2.0..2.1).contains(&took), "{took} s for 200 units");
    }

    #[tokio::test(start_paused = true)]
    async fn of_the_caps_of_two_tables_the_lower_holds() {
        let gates = Gates::new(None);
        gates.cap(1000);
        gates.cap(10);
        gates.cap(100);
        let began = Instant::now();
        gates
            .of("poor")
            .gate
            .pass_with(|_| ((), 20.0))
            .await
            .0
            .taken(20.0);

        let took = began.elapsed().as_secs_f64();
        assert!((2.0..2.1).contains(&took), "{took} s for 20 units");
    }

    #[tokio::test(start_paused = true)]
    async fn a_cap_is_kept_where_each_segment_ends_with_a_short_page() {
        const CAP: u32 = 4000;

        let gates = Gates::new(None);
        gates.cap(CAP);
        let began = Instant::now();
        let consumed = Arc::new(Mutex::new(Vec::new()));

        // Thirty-two segments at a time, one after another, of a table that is far away.
        let segments: JoinSet<()> = (0..32)
            .map(|segment| {
                let (lane, consumed) = (gates.of("films"), Arc::clone(&consumed));
                async move {
                    let costs = [128.0, 128.0, 4.0].into_iter().cycle().skip(segment % 3);
                    for cost in costs.take_while(|_| began.elapsed().as_secs() < 40) {
                        let choose = |budget| {
                            let quote = lane.page_price.quote(budget, None);
                            (quote.limit, quote.units)
                        };
                        let (pass, limit) = lane.gate.pass_with(choose).await;
                        consumed
                            .lock()
                            .unwrap()
                            .push((began.elapsed().as_secs_f64(), cost));
                        tokio::time::sleep(Duration::from_millis(150 + 37 * segment as u64 % 101))
                            .await;
                        lane.page_price.learn(1000, cost, limit);
                        pass.taken(cost);
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
        let most = consumed
            .iter()
            .map(|(at, _)| all(*at, at + 10.0))
            .fold(0.0, f64::max);
        assert!(most <= 10.2 * f64::from(CAP), "{most} units in ten seconds");
        assert!(
            all(5.0, 40.0) >= 35.0 * 0.97 * f64::from(CAP),
            "{} units from 5 s on",
            all(5.0, 40.0)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_that_refuses_does_not_slow_another() {
        let gates = Gates::new(None);
        let poor = gates.of("poor");
        let budget = async |table: &str| {
            gates
                .of(table)
                .gate
                .pass_with(|budget| (budget, 1.0))
                .await
                .1
        };

        // A bucket that takes one unit in ten milliseconds, and is asked for two.
        let began = Instant::now();
        while budget("poor").await.is_none() {
            assert!(
                began.elapsed() < Duration::from_secs(5),
                "nothing was learned"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
            poor.gate
                .pass_with(|_| ((), 2.0))
                .await
                .0
                .throttled(1.0, 1.0);
        }

        assert_eq!(budget("rich").await, None);
    }
}
