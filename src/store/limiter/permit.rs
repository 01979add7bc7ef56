//! Permission to send a request: one limiter per direction and table bounds the in-flight requests
//! and the units per second.
//!
//! Three bounds apply: the number of in-flight requests (one more after each round of successes,
//! unless that only lengthens a queue), the rate that the table was found to accept (see
//! `adaptive_rate`), and a cap set by the user (see `cap`). Where units are limited, requests
//! should be small: see [`RequestLimiter::acquire`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use super::adaptive_rate::AdaptiveRate;
use super::cap::{RateCap, TICK};
use super::write_ranges::{KeyRange, RangeRequest, RefusedBy, WriteRanges};
use crate::aws::error::{ErrorClass, RequestError, ThrottlingCause};

/// Maximum number of in-flight requests. 40,000 write units per second are 1,600 batches; with a
/// latency of 50 ms, 80 of them are in flight.
const MAX_IN_FLIGHT: usize = 128;
const INITIAL_IN_FLIGHT: usize = 8;

/// Requests whose latency exceeds this multiple of the minimum are queueing, and more of them would
/// only lengthen the queue. Differences below the second value are noise.
const QUEUEING_FACTOR: u32 = 4;
const LATENCY_NOISE: Duration = Duration::from_millis(20);

/// Interval at which a waiting request checks the rate again, as it may have changed.
const MAX_RECHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The limits on all tables together, which all limiters of one direction share.
pub(crate) struct SharedLimits {
    max_in_flight: usize,
    permits: Semaphore,
    /// The cap on the consumption of all tables.
    cap: Option<Arc<RateCap>>,
}

/// The limiter of one direction and table.
pub(crate) struct RequestLimiter {
    shared: Arc<SharedLimits>,
    cap: Mutex<Option<Arc<RateCap>>>,
    permits: Semaphore,
    state: Mutex<LimiterState>,
    ranges: WriteRanges,
    /// Requests leave in the order of their arrival, so that none starves.
    queue: tokio::sync::Mutex<()>,
}

struct LimiterState {
    limit: usize,
    /// Number of successes since the limit last changed.
    successes: usize,
    latency: Latency,
    rate: AdaptiveRate,
}

/// The latency of requests. Only requests with about as many units as the largest one are
/// comparable: the last page of a segment may be a tenth of a page, and takes less time.
#[derive(Default)]
struct Latency {
    /// Units of the requests that are compared.
    units: f64,
    shortest: Duration,
    average: Duration,
}

impl Latency {
    fn add(&mut self, units: f64, time: Duration) {
        if units > self.units * 2.0 || self.shortest.is_zero() {
            *self = Self {
                units,
                shortest: time,
                average: time,
            };
        } else if units * 2.0 >= self.units {
            self.shortest = self.shortest.min(time);
            self.average = (self.average * 7 + time) / 8;
        }
    }

    fn indicates_queueing(&self) -> bool {
        self.average > self.shortest * QUEUEING_FACTOR + LATENCY_NOISE
    }
}

/// A request whose cost is estimated before it is sent.
pub(crate) trait EstimatedCost {
    /// Estimated capacity units.
    fn units(&self) -> f64;
}

/// For requests without content to choose.
impl EstimatedCost for f64 {
    fn units(&self) -> f64 {
        *self
    }
}

/// Permission to send one request; released on drop.
pub(crate) struct RequestPermit<'a> {
    limiter: &'a RequestLimiter,
    _permits: [Option<SemaphorePermit<'a>>; 2],
    range: Option<RangeRequest>,
    sent: Instant,
    paid: f64,
}

impl SharedLimits {
    /// Creates limits with this maximum number of in-flight requests, and this cap on the units per second.
    pub(crate) fn new(max_in_flight: Option<usize>, cap: Option<u32>) -> Self {
        let max_in_flight = max_in_flight
            .unwrap_or(MAX_IN_FLIGHT)
            .clamp(1, Semaphore::MAX_PERMITS);
        Self {
            max_in_flight,
            permits: Semaphore::new(max_in_flight),
            cap: cap.map(|cap| Arc::new(RateCap::new(cap))),
        }
    }

    /// The cap on all tables, in units per second.
    pub(super) fn total_cap(&self) -> Option<u32> {
        self.cap.as_ref().map(|cap| cap.cap())
    }
}

impl RequestLimiter {
    /// Creates a limiter with limits that others may share.
    pub(crate) fn with_shared_limits(shared: Arc<SharedLimits>) -> Self {
        let first = INITIAL_IN_FLIGHT.min(shared.max_in_flight);
        let state = LimiterState {
            limit: first,
            successes: 0,
            latency: Latency::default(),
            rate: AdaptiveRate::new(Instant::now()),
        };

        Self {
            shared,
            cap: Mutex::default(),
            permits: Semaphore::new(first),
            state: Mutex::new(state),
            ranges: WriteRanges::new(Instant::now()),
            queue: tokio::sync::Mutex::default(),
        }
    }

    /// Creates a limiter of its own.
    #[cfg(test)]
    pub(crate) fn new(max_in_flight: Option<usize>) -> Self {
        Self::with_shared_limits(Arc::new(SharedLimits::new(max_in_flight, None)))
    }

    #[cfg(test)]
    pub(crate) fn with_rate(rate: AdaptiveRate) -> Self {
        let limiter = Self::new(None);
        limiter.lock().rate = rate;
        limiter
    }

    /// Caps the consumption from now on. The lowest of several caps applies.
    pub(crate) fn cap(&self, units_per_second: u32) {
        let mut cap = self.cap.lock().unwrap_or_else(PoisonError::into_inner);
        if cap.as_ref().is_none_or(|cap| units_per_second < cap.cap()) {
            *cap = Some(Arc::new(RateCap::new(units_per_second)));
        }
    }

    /// The caps in force: that of the table, then that of all tables.
    fn current_caps(&self) -> impl Iterator<Item = Arc<RateCap>> + use<> {
        let cap = self.cap.lock().unwrap_or_else(PoisonError::into_inner);

        cap.clone().into_iter().chain(self.shared.cap.clone())
    }

    /// Whether the consumption is capped.
    #[cfg(feature = "embedded")]
    pub(crate) fn is_capped(&self) -> bool {
        self.current_caps().next().is_some()
    }

    /// Maximum units that one request should cost; `None` if units are not limited.
    fn call_budget(&self) -> Option<f64> {
        let learned = self.lock().rate.call_budget(Instant::now());
        let budgets = self.current_caps().map(|cap| Some(cap.call_budget()));
        budgets.fold(learned, smaller)
    }

    /// Waits for permission to send a request to a range of keys, or to any keys.
    pub(crate) async fn acquire_in<T: EstimatedCost>(
        &self,
        range: Option<KeyRange>,
        mut choose: impl FnMut(Option<f64>) -> T,
    ) -> (RequestPermit<'_>, T) {
        let Some(range) = range else {
            return self.acquire(choose).await;
        };

        // Before anything that other ranges wait for, too.
        let request = self
            .ranges
            .acquire(range, |budget| choose(budget).units())
            .await;
        let range_budget = request.budget;
        let (permit, chosen) = self
            .acquire(|budget| choose(smaller(budget, range_budget)))
            .await;

        let permit = RequestPermit {
            range: Some(request),
            ..permit
        };

        (permit, chosen)
    }

    /// Waits for permission to send a request. The request is chosen when its turn has come:
    /// `choose` gets the maximum units, if they are limited.
    pub(crate) async fn acquire<T: EstimatedCost>(
        &self,
        mut choose: impl FnMut(Option<f64>) -> T,
    ) -> (RequestPermit<'_>, T) {
        let permit = self.permits.acquire().await.ok();
        let queue = self.queue.lock().await;
        let (chosen, units) = loop {
            // Chosen again after each wait, because the budget may have changed.
            let chosen = choose(self.call_budget());
            let units = chosen.units();
            let now = Instant::now();
            let Err(wait) = self.lock().rate.take(units, now) else {
                break (chosen, units);
            };

            sleep(wait.clamp(TICK, MAX_RECHECK_INTERVAL)).await;
        };

        for cap in self.current_caps() {
            cap.acquire(units).await;
        }

        // Acquired last, so that waiting for one table does not block requests to others.
        let shared = self.shared.permits.acquire().await.ok();
        drop(queue);
        (
            RequestPermit {
                limiter: self,
                _permits: [permit, shared],
                range: None,
                sent: Instant::now(),
                paid: units,
            },
            chosen,
        )
    }

    /// The number of in-flight requests that makes sense now: enough to use the available units
    /// while others wait for their turn.
    pub(crate) fn useful_in_flight(&self) -> usize {
        let state = self.lock();
        let learned = state.rate.allowed(Instant::now()).unwrap_or(f64::INFINITY);
        let caps = self.current_caps().map(|cap| f64::from(cap.cap()));
        let capped = caps.fold(f64::INFINITY, f64::min);
        let in_flight =
            learned.min(capped) / state.rate.call_units() * state.latency.average.as_secs_f64();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float saturates"
        )]
        let useful = in_flight.ceil() as usize;
        if learned.min(capped).is_finite() {
            state.limit.min(useful.saturating_add(1))
        } else {
            state.limit
        }
    }

    fn lock(&self) -> MutexGuard<'_, LimiterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The smaller of two limits, each of which may be absent.
fn smaller(first: Option<f64>, second: Option<f64>) -> Option<f64> {
    match (first, second) {
        (Some(first), Some(second)) => Some(first.min(second)),
        (first, second) => first.or(second),
    }
}

impl RequestPermit<'_> {
    /// Records that the request was accepted entirely, at this cost.
    pub(crate) fn succeeded(self, units: f64) {
        let now = Instant::now();
        self.record_range(units, 0.0);
        let mut state = self.limiter.lock();
        state.rate.record(self.sent, now, self.paid, units, 0.0);
        self.settle(units);
        state.latency.add(units, now - self.sent);
        state.successes += 1;
        // More requests would only wait, in our limiter or in a queue at the server.
        let is_bounded =
            state.limit == self.limiter.shared.max_in_flight || state.latency.indicates_queueing();
        if state.successes < state.limit || is_bounded {
            return;
        }

        state.successes = 0;
        state.limit += 1;
        self.limiter.permits.add_permits(1);
    }

    /// Records that the request failed. A partition that is throttled says nothing about the rate of
    /// the table: the request consumed nothing, and only it is retried later.
    pub(crate) fn failed(self, error: &RequestError) {
        match error.throttling_cause() {
            Some(ThrottlingCause::KeyRange) => {
                if self.limiter.ranges.refused(RefusedBy::Partition) {
                    // What was learned from unprocessed items is not a rate of the table.
                    self.limiter.lock().rate = AdaptiveRate::new(Instant::now());
                }

                self.record_range(0.0, self.paid.max(f64::MIN_POSITIVE));
                self.settle(0.0);
            }
            cause if error.class == ErrorClass::Throttled => {
                if cause.is_some() {
                    self.limiter.ranges.refused(RefusedBy::Table);
                }

                let refused = self.paid;
                self.throttled(0.0, refused);
            }
            _ => drop(self),
        }
    }

    /// Records that the request was throttled: units that were accepted, and units that were not.
    pub(crate) fn throttled(self, units: f64, refused: f64) {
        // A throttled request counts even if its cost is unknown.
        let mut refused = refused.max(f64::MIN_POSITIVE);
        if self.range.is_some() && self.limiter.ranges.is_partition_limited() {
            self.record_range(units, refused);
            refused = 0.0;
        }

        self.limiter
            .lock()
            .rate
            .record(self.sent, Instant::now(), self.paid, units, refused);
        self.settle(units);
    }

    fn record_range(&self, accepted: f64, refused: f64) {
        if let Some(range) = &self.range {
            self.limiter.ranges.record(range, accepted, refused);
        }
    }

    fn settle(&self, units: f64) {
        for cap in self.limiter.current_caps() {
            cap.settle(self.paid, units);
        }
    }
}

#[cfg(test)]
mod tests;
