//! Leave to call, one gate per direction and table: how many calls are in flight, how many units per second are asked for.
//!
//! Three bounds, each adapting by itself or given: calls in flight (one more after each round of successes, as long as that
//! does not only lengthen a queue), the rate the table was found to take (see `rate`), and a cap that people set (see `pace`).
//! Where units are limited, calls should be small: [`RequestLimiter::acquire`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use super::adaptive_rate::AdaptiveRate;
use super::cap::{RateCap, TICK};

/// Calls in flight at most. 40,000 write units per second are 1,600 calls, of 50 ms each at the longest distance: 80.
const MAX_IN_FLIGHT: usize = 128;
const INITIAL_IN_FLIGHT: usize = 8;

/// Calls that take so many times the shortest wait in a queue; more of them would only make it longer. Below the second figure
/// it is noise.
const QUEUEING_FACTOR: u32 = 4;
const LATENCY_NOISE: Duration = Duration::from_millis(20);

/// A waiting call looks again after this time at the latest: the rate may have changed.
const MAX_RECHECK_INTERVAL: Duration = Duration::from_millis(100);

/// What the gates of one direction share: the bounds that people set.
pub(crate) struct SharedLimits {
    max_in_flight: usize,
    permits: Semaphore,
    cap: Mutex<Option<Arc<RateCap>>>,
}

/// The gate of one direction and table.
pub(crate) struct RequestLimiter {
    shared: Arc<SharedLimits>,
    permits: Semaphore,
    state: Mutex<LimiterState>,
    /// Calls leave in the order they came, so that none is passed over.
    queue: tokio::sync::Mutex<()>,
}

struct LimiterState {
    limit: usize,
    /// Successes since the limit last changed.
    successes: usize,
    latency: Latency,
    rate: AdaptiveRate,
}

/// How long calls take. Only those that brought about as much as the largest so far are comparable: the last page of a segment may
/// be a tenth of a page, and takes no longer than that.
#[derive(Default)]
struct Latency {
    /// Units of the calls that are compared.
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

/// Leave to make one call. A call that ends without an answer to its price drops it.
pub(crate) struct RequestPermit<'a> {
    limiter: &'a RequestLimiter,
    _permits: [Option<SemaphorePermit<'a>>; 2],
    sent: Instant,
    paid: f64,
}

impl SharedLimits {
    /// At most so many calls in flight.
    pub(crate) fn new(max_in_flight: Option<usize>) -> Self {
        let max_in_flight = max_in_flight
            .unwrap_or(MAX_IN_FLIGHT)
            .clamp(1, Semaphore::MAX_PERMITS);
        Self {
            max_in_flight,
            permits: Semaphore::new(max_in_flight),
            cap: Mutex::default(),
        }
    }

    /// Keeps the consumption below a cap from now on. Of several the lowest holds.
    pub(crate) fn cap(&self, units_per_second: u32) {
        let mut cap = self.cap.lock().unwrap_or_else(PoisonError::into_inner);
        if cap.as_ref().is_none_or(|cap| units_per_second < cap.cap()) {
            *cap = Some(Arc::new(RateCap::new(units_per_second)));
        }
    }

    fn current_cap(&self) -> Option<Arc<RateCap>> {
        self.cap
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl RequestLimiter {
    /// A gate within bounds that other gates may share.
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
            permits: Semaphore::new(first),
            state: Mutex::new(state),
            queue: tokio::sync::Mutex::default(),
        }
    }

    /// A gate by itself.
    #[cfg(test)]
    pub(crate) fn new(max_in_flight: Option<usize>) -> Self {
        Self::with_shared_limits(Arc::new(SharedLimits::new(max_in_flight)))
    }

    #[cfg(test)]
    pub(crate) fn with_rate(rate: AdaptiveRate) -> Self {
        let limiter = Self::new(None);
        limiter.state().rate = rate;
        limiter
    }

    /// Units that one call should cost at most, where units are limited.
    fn call_budget(&self) -> Option<f64> {
        let learned = self.state().rate.call_budget(Instant::now());
        let capped = self.shared.current_cap().map(|cap| cap.call_budget());
        match (learned, capped) {
            (Some(learned), Some(capped)) => Some(learned.min(capped)),
            (learned, capped) => learned.or(capped),
        }
    }

    /// Waits for leave to make a call. What it holds is decided when its turn has come: `choose` is given the units it should cost
    /// at most, where they are limited, and says what it holds and costs.
    pub(crate) async fn acquire<T>(
        &self,
        mut choose: impl FnMut(Option<f64>) -> (T, f64),
    ) -> (RequestPermit<'_>, T) {
        let permit = self.permits.acquire().await.ok();
        let queue = self.queue.lock().await;
        let (chosen, units) = loop {
            let (chosen, units) = choose(self.call_budget());
            let now = Instant::now();
            let taken = self.state().rate.take(units, now);
            let Err(wait) = taken else {
                break (chosen, units);
            };

            sleep(wait.clamp(TICK, MAX_RECHECK_INTERVAL)).await;
        };

        // Last, so that a table that is waited for keeps no other from being called.
        let shared = self.shared.permits.acquire().await.ok();
        if let Some(cap) = self.shared.current_cap() {
            cap.acquire(units).await;
        }

        drop(queue);
        (
            RequestPermit {
                limiter: self,
                _permits: [permit, shared],
                sent: Instant::now(),
                paid: units,
            },
            chosen,
        )
    }

    /// Calls that may be in flight, as things are: no more than use up the units there are, while others wait for their turn.
    pub(crate) fn useful_in_flight(&self) -> usize {
        let state = self.state();
        let learned = state.rate.allowed(Instant::now()).unwrap_or(f64::INFINITY);
        let capped = self
            .shared
            .current_cap()
            .map_or(f64::INFINITY, |cap| f64::from(cap.cap()));
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

    fn state(&self) -> MutexGuard<'_, LimiterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestPermit<'_> {
    /// The call was taken as a whole and cost so many units.
    pub(crate) fn succeeded(self, units: f64) {
        let now = Instant::now();
        let mut state = self.limiter.state();
        state.rate.record(self.sent, now, self.paid, units, 0.0);
        self.settle(units);
        state.latency.add(units, now - self.sent);
        state.successes += 1;
        let is_bounded =
            state.limit == self.limiter.shared.max_in_flight || state.latency.indicates_queueing();
        if state.successes < state.limit || is_bounded {
            return;
        }

        state.successes = 0;
        state.limit += 1;
        self.limiter.permits.add_permits(1);
    }

    /// The call was throttled: so many units were taken, so many refused.
    pub(crate) fn throttled(self, units: f64, refused: f64) {
        let refused = refused.max(f64::MIN_POSITIVE);
        self.limiter
            .state()
            .rate
            .record(self.sent, Instant::now(), self.paid, units, refused);
        self.settle(units);
    }

    fn settle(&self, units: f64) {
        if let Some(cap) = self.limiter.shared.current_cap() {
            cap.settle(self.paid, units);
        }
    }
}

#[cfg(test)]
mod tests;
