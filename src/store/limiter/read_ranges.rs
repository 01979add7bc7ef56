//! The rates that the ranges of a table's keys accept.
//!
//! A partition stores a range of the hashes of partition keys, and has a limit of its own: 3,000 read units per second. Throttling
//! of one partition says nothing about the others (see [`RequestLimiter`](super::permit::RequestLimiter)), so it only slows down
//! requests to its range. Where the partitions begin is not known. The ranges therefore have equal sizes, and each learns its rate.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::adaptive_rate::AdaptiveRate;
use super::permit::EstimatedCost;
use crate::aws::error::{RequestError, ThrottlingCause};

/// Number of ranges of a table. Partitions may be smaller: 64 ranges that are limited by one partition each still use 192,000 read
/// units per second, which is more than an account's default quota.
const RANGES: u32 = 64;

/// Bounds of the wait before a request checks the rate again, as it may have changed.
const MIN_WAIT: Duration = Duration::from_millis(1);
const MAX_WAIT: Duration = Duration::from_millis(100);

/// The rates of all ranges of one table.
pub(crate) struct KeyRanges(Vec<KeyRangeRate>);

/// The rate that one range of keys accepts.
pub(crate) struct KeyRangeRate(Mutex<AdaptiveRate>);

/// A request to one range of keys. Requests without an outcome do not count.
pub(crate) struct KeyRangeRequest<'a> {
    range: &'a KeyRangeRate,
    sent: Instant,
    paid: f64,
}

impl Default for KeyRanges {
    fn default() -> Self {
        Self((0..RANGES).map(|_| KeyRangeRate::new()).collect())
    }
}

impl KeyRanges {
    /// The range in which a segment of a Scan begins.
    pub(crate) fn of_segment(&self, segment: u32, segments: u32) -> &KeyRangeRate {
        let range = u64::from(segment) * u64::from(RANGES) / u64::from(segments.max(1));
        let last = self.0.len() - 1;

        &self.0[usize::try_from(range).map_or(last, |range| range.min(last))]
    }
}

impl KeyRangeRate {
    fn new() -> Self {
        Self(Mutex::new(AdaptiveRate::of_scan_range(Instant::now())))
    }

    /// Waits until the range accepts a request. `choose` gets the maximum units of the request, if they are limited.
    pub(crate) async fn acquire<T: EstimatedCost>(
        &self,
        mut choose: impl FnMut(Option<f64>) -> T,
    ) -> (KeyRangeRequest<'_>, T) {
        loop {
            let now = Instant::now();
            let budget = self.lock().call_budget(now);
            let chosen = choose(budget);
            let paid = chosen.units();

            let Err(wait) = self.lock().take(paid, now) else {
                let request = KeyRangeRequest {
                    range: self,
                    sent: now,
                    paid,
                };

                return (request, chosen);
            };

            sleep(wait.clamp(MIN_WAIT, MAX_WAIT)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, AdaptiveRate> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyRangeRequest<'_> {
    /// Records that the request was accepted, at this cost.
    pub(crate) fn succeeded(self, units: f64) {
        self.record(units, 0.0);
    }

    /// Records that the request failed. Only throttling of a partition counts.
    pub(crate) fn failed(self, error: &RequestError) {
        if error.throttling_cause() == Some(ThrottlingCause::KeyRange) {
            let refused = self.paid.max(f64::MIN_POSITIVE);
            self.record(0.0, refused);
        }
    }

    fn record(&self, accepted: f64, refused: f64) {
        let now = Instant::now();
        self.range
            .lock()
            .record(self.sent, now, self.paid, accepted, refused);
    }
}
