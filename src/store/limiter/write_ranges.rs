//! The rates at which ranges of a table's keys accept writes.
//!
//! A partition stores a range of the hashes of partition keys, and accepts at most 1,000 write units per second. Where partitions
//! begin is not known. The keys are therefore divided into ranges of equal size, somewhat more than there are partitions, and each
//! range learns its rate: a hot partition only slows down the ranges that it serves.
//!
//! Unprocessed items come without a reason. They count for their range if the last request that was refused with a reason was
//! refused by a partition, otherwise for the table. An engine that never gives a reason has no partitions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

use super::adaptive_rate::AdaptiveRate;
use super::cap::TICK;

/// Write units per second that a partition accepts.
const PARTITION_UNITS: f64 = 1000.0;

/// Number of ranges for each partition. If both numbers were equal, most ranges would lie in two partitions.
const RANGES_PER_PARTITION: f64 = 1.6;

/// Bounds of the number of ranges. An on-demand table has at least four partitions. More ranges than lanes are of no use.
const MIN_RANGES: usize = 4;
const MAX_RANGES: usize = 64;

/// Time over which the accepted units are measured, from which the number of partitions is estimated.
const MEASURED_TIME: Duration = Duration::from_secs(1);

/// Maximum number of in-flight requests to a range whose rate is limited: enough for a partition at a latency of 0.1 s. All of them
/// are throttled when the partition is exhausted.
const MAX_IN_FLIGHT: usize = 4;

/// Interval at which a waiting request checks the rate again, as it may have changed.
const MAX_RECHECK_INTERVAL: Duration = Duration::from_millis(100);

/// One of several ranges of equal size of a table's keys, in the order of their hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyRange {
    /// Its number, from 0.
    pub index: usize,
    /// The number of ranges.
    pub count: usize,
}

/// The ranges of one table.
#[derive(Debug)]
pub(super) struct WriteRanges(Mutex<State>);

#[derive(Debug)]
struct State {
    rates: Vec<Arc<RangeRate>>,
    /// The limit named by the last refusal with a reason; `None` before the first one.
    refused_by: Option<RefusedBy>,
    /// Units that all ranges have accepted since a point in time.
    measured: f64,
    since: Instant,
}

/// The limit that refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusedBy {
    Partition,
    /// The table, an index or the account.
    Table,
}

/// The rate of one range.
#[derive(Debug)]
struct RangeRate {
    rate: Mutex<AdaptiveRate>,
    /// Requests leave in the order of their arrival, so that none starves.
    queue: tokio::sync::Mutex<()>,
    permits: Arc<Semaphore>,
}

/// A request to one range.
#[derive(Debug)]
pub(super) struct RangeRequest {
    rate: Arc<RangeRate>,
    sent: Instant,
    paid: f64,
    /// Maximum units of the request; `None` if they are not limited.
    pub(super) budget: Option<f64>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl WriteRanges {
    pub(super) fn new(now: Instant) -> Self {
        Self(Mutex::new(State {
            rates: ranges(MIN_RANGES, now),
            refused_by: None,
            measured: 0.0,
            since: now,
        }))
    }

    /// Waits until a range accepts a request. `units` are those of a request within a budget.
    pub(super) async fn acquire(
        &self,
        range: KeyRange,
        mut units: impl FnMut(Option<f64>) -> f64,
    ) -> RangeRequest {
        let rate = self.lock().rate_of(range);
        let _turn = rate.queue.lock().await;
        let mut permit = None;
        loop {
            let is_limited = rate.lock().allowed(Instant::now()).is_some();
            if is_limited && permit.is_none() {
                permit = Arc::clone(&rate.permits).acquire_owned().await.ok();
            }

            let now = Instant::now();
            let budget = rate.lock().call_budget(now);
            let paid = units(budget);
            let Err(wait) = rate.lock().take(paid, now) else {
                return RangeRequest {
                    rate: Arc::clone(&rate),
                    sent: now,
                    paid,
                    budget,
                    _permit: permit,
                };
            };

            sleep(wait.clamp(TICK, MAX_RECHECK_INTERVAL)).await;
        }
    }

    /// Whether unprocessed items count for their range.
    pub(super) fn is_partition_limited(&self) -> bool {
        self.lock().refused_by == Some(RefusedBy::Partition)
    }

    /// Records the reason of a refusal. Returns whether it is the first one.
    pub(super) fn refused(&self, by: RefusedBy) -> bool {
        self.lock().refused_by.replace(by).is_none()
    }

    /// Records the response to a request.
    pub(super) fn record(&self, request: &RangeRequest, accepted: f64, refused: f64) {
        let now = Instant::now();
        request
            .rate
            .lock()
            .record(request.sent, now, request.paid, accepted, refused);
        self.lock().measure(accepted, now);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn rate_of(&self, range: KeyRange) -> Arc<RangeRate> {
        let index = range.index * self.rates.len() / range.count.max(1);

        Arc::clone(&self.rates[index.min(self.rates.len() - 1)])
    }

    /// Increases the number of ranges if more units were accepted than their partitions could accept.
    fn measure(&mut self, accepted: f64, now: Instant) {
        self.measured += accepted;
        let time = now - self.since;
        if time < MEASURED_TIME {
            return;
        }

        let partitions = self.measured / time.as_secs_f64() / PARTITION_UNITS;
        (self.measured, self.since) = (0.0, now);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float saturates"
        )]
        let useful = (partitions * RANGES_PER_PARTITION).ceil() as usize;
        let count = useful.clamp(MIN_RANGES, MAX_RANGES).next_power_of_two();
        if count > self.rates.len() {
            self.rates = ranges(count, now);
        }
    }
}

impl RangeRate {
    fn lock(&self) -> MutexGuard<'_, AdaptiveRate> {
        self.rate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ranges(count: usize, now: Instant) -> Vec<Arc<RangeRate>> {
    let new = || {
        Arc::new(RangeRate {
            rate: Mutex::new(AdaptiveRate::of_key_range(now)),
            queue: tokio::sync::Mutex::default(),
            permits: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
        })
    };

    std::iter::repeat_with(new).take(count).collect()
}

#[cfg(test)]
mod tests;
