//! A token bucket: a table of so many units per second, with one second's worth kept for bursts.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Units of capacity that come in at a steady rate.
pub struct Bucket {
    units_per_second: f64,
    state: Mutex<(f64, Instant)>,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(units_per_second: f64) -> Self {
        Self { units_per_second, state: Mutex::new((units_per_second, Instant::now())) }
    }

    /// Takes units while there are any; the last call may overdraw, as a Scan of unknown price does.
    pub fn take(&self, units: f64) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let earned = (now - state.1).as_secs_f64() * self.units_per_second;
        *state = ((state.0 + earned).min(self.units_per_second), now);
        let allowed = state.0 > 0.0;
        if allowed {
            state.0 -= units;
        }

        allowed
    }
}
