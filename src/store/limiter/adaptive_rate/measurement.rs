//! Measurements of what a table accepts and throttles.

use std::time::Duration;

use tokio::time::Instant;

/// Number of calls that a decision needs: a measured rate is then off by a call in ten at most.
pub(super) const ENOUGH_CALLS: u32 = 10;

/// Minimum duration of a measurement, so that it is not decided by one burst of calls, and the
/// duration after which fewer calls are enough.
pub(super) const MIN_DURATION: Duration = Duration::from_millis(100);
pub(super) const FULL_DURATION: Duration = Duration::from_secs(3);

/// Older measurements say nothing about the present: capacity changes, and so does what other
/// clients use of it.
pub(super) const MAX_AGE: Duration = Duration::from_secs(10);

/// Responses since a point in time.
#[derive(Debug)]
pub(super) struct Measurement {
    pub(super) since: Instant,
    pub(super) accepted: f64,
    refused: f64,
    pub(super) calls: u32,
    /// Number of calls that were accepted, and throttled, at least in part.
    accepted_calls: u32,
    pub(super) throttled_calls: u32,
}

impl Measurement {
    pub(super) fn new(since: Instant) -> Self {
        Self {
            since,
            accepted: 0.0,
            refused: 0.0,
            calls: 0,
            accepted_calls: 0,
            throttled_calls: 0,
        }
    }

    pub(super) fn add(&mut self, accepted: f64, refused: f64) {
        self.accepted += accepted;
        self.refused += refused;
        self.calls += 1;
        self.accepted_calls += u32::from(accepted > 0.0);
        self.throttled_calls += u32::from(refused > 0.0);
    }

    /// Share of the units that was refused.
    pub(super) fn refused_share(&self) -> f64 {
        self.refused / (self.accepted + self.refused).max(f64::MIN_POSITIVE)
    }

    /// Share of the calls that was throttled at least in part.
    pub(super) fn throttled_share(&self) -> f64 {
        f64::from(self.throttled_calls) / f64::from(self.calls.max(1))
    }

    /// Accepted units per second; `None` until there is enough to measure.
    pub(super) fn rate(&self, now: Instant) -> Option<f64> {
        let time = now - self.since;
        let is_enough = self.accepted_calls >= ENOUGH_CALLS || time >= FULL_DURATION;
        (is_enough && time >= MIN_DURATION).then(|| self.accepted / time.as_secs_f64())
    }
}
