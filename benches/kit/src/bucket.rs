//! A token bucket: capacity units that refill at a steady rate and can be saved for bursts.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Capacity units per second, of which unused ones are kept for a limited time.
pub struct Bucket {
    units_per_second: f64,
    most: f64,
    state: Mutex<(f64, Instant)>,
}

impl Bucket {
    /// A full bucket, which keeps the units of at most this many seconds.
    #[must_use]
    pub fn new(units_per_second: f64, burst_seconds: f64) -> Self {
        let most = units_per_second * burst_seconds;
        Self { units_per_second, most, state: Mutex::new((most, Instant::now())) }
    }

    /// Takes units while there are any; the last call may overdraw, as a Scan of unknown price does.
    pub fn take(&self, units: f64) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = (now - state.1).as_secs_f64() * self.units_per_second;
        *state = ((state.0 + earned).min(self.most), now);
        let allowed = state.0 > 0.0;
        if allowed {
            state.0 -= units;
        }

        allowed
    }

    /// Whether the next call is accepted.
    pub fn has_units(&self) -> bool {
        self.take(0.0)
    }
}
