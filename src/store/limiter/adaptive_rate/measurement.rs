//! Measurements of what a table accepts and throttles.

use std::time::Duration;

use tokio::time::Instant;

/// A measurement needs the short window and this many calls that were accepted at least in part, or
/// the long window and fewer calls.
pub(super) const SHORT_WINDOW: Duration = Duration::from_millis(100);
const SHORT_WINDOW_CALLS: u32 = 10;
const LONG_WINDOW: Duration = Duration::from_secs(1);
const LONG_WINDOW_CALLS: u32 = 3;

/// The rate is limited after this many throttled calls within this time, if they are at least this
/// share of all calls.
const MIN_THROTTLED_CALLS: u32 = 8;
const TOLERATED_SHARE: f64 = 0.02;
pub(super) const OBSERVATION_TIME: Duration = Duration::from_secs(10);

/// Responses since the bucket was last empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measurement {
    pub(super) since: Instant,
    pub(super) accepted: f64,
    pub(super) refused: f64,
    /// Number of calls that were accepted, and throttled, at least in part.
    pub(super) accepted_calls: u32,
    pub(super) throttled_calls: u32,
    pub(super) calls: u32,
}

/// Accepted units of the most recent quarter of a second.
#[derive(Debug)]
pub(super) struct RecentThroughput {
    pub(super) since: Instant,
    pub(super) units: f64,
    pub(super) rate: f64,
}

impl Measurement {
    pub(super) fn new(since: Instant) -> Self {
        Self {
            since,
            accepted: 0.0,
            refused: 0.0,
            accepted_calls: 0,
            throttled_calls: 0,
            calls: 0,
        }
    }

    pub(super) fn add(&mut self, accepted: f64, refused: f64) {
        self.accepted += accepted;
        self.refused += refused;
        self.calls += 1;
        self.accepted_calls += u32::from(accepted > 0.0);
        self.throttled_calls += u32::from(refused > 0.0);
    }

    pub(super) fn refused_share(&self) -> f64 {
        self.refused / (self.accepted + self.refused).max(f64::MIN_POSITIVE)
    }

    /// Whether enough calls were throttled to justify a lower rate.
    pub(super) fn is_throttled(&self) -> bool {
        let share = f64::from(self.throttled_calls) / f64::from(self.calls.max(1));
        self.throttled_calls >= MIN_THROTTLED_CALLS && share >= TOLERATED_SHARE
    }

    /// Accepted units per second; `None` until there are enough calls for a measurement.
    pub(super) fn rate(&self, now: Instant) -> Option<f64> {
        let time = now - self.since;
        let is_enough = (time >= SHORT_WINDOW && self.accepted_calls >= SHORT_WINDOW_CALLS)
            || (time >= LONG_WINDOW && self.accepted_calls >= LONG_WINDOW_CALLS);
        is_enough.then(|| self.accepted / time.as_secs_f64())
    }
}

impl RecentThroughput {
    pub(super) fn add(&mut self, units: f64, now: Instant) {
        let time = (now - self.since).as_secs_f64();
        if time >= 0.25 {
            *self = Self {
                since: now,
                units: 0.0,
                rate: self.units / time,
            };
        }

        self.units += units;
    }

    /// Accepted units per second during the last quarter of a second.
    pub(super) fn rate(&self, now: Instant) -> f64 {
        let time = (now - self.since).as_secs_f64();
        if time < 0.1 && self.rate > 0.0 {
            self.rate
        } else {
            self.units / time.max(0.01)
        }
    }
}
