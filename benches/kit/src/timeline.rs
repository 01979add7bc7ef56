//! Calls, throttled calls and capacity units of each second.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

/// The seconds since the first call.
#[derive(Default)]
pub struct Timeline(Mutex<Seconds>);

#[derive(Default)]
struct Seconds {
    began: Option<Instant>,
    seconds: Vec<Second>,
}

#[derive(Default, Clone)]
struct Second {
    calls: u64,
    throttled: u64,
    /// Units accepted by each partition.
    units: Vec<f64>,
}

impl Timeline {
    /// Records a call: whether any part of it was throttled, and the units that partitions accepted.
    pub fn record(&self, is_throttled: bool, accepted: impl IntoIterator<Item = (usize, f64)>) {
        let mut timeline = self.lock();
        let began = *timeline.began.get_or_insert_with(Instant::now);
        let index = usize::try_from(began.elapsed().as_secs()).unwrap_or(usize::MAX - 1);
        if timeline.seconds.len() <= index {
            timeline.seconds.resize(index + 1, Second::default());
        }

        let second = &mut timeline.seconds[index];
        second.calls += 1;
        second.throttled += u64::from(is_throttled);
        for (partition, units) in accepted {
            if second.units.len() <= partition {
                second.units.resize(partition + 1, 0.0);
            }

            second.units[partition] += units;
        }
    }

    /// All seconds as JSON.
    #[must_use]
    pub fn report(&self) -> Value {
        let seconds = &self.lock().seconds;
        seconds
            .iter()
            .map(|second| json!({"calls": second.calls, "throttled": second.throttled, "units": second.units}))
            .collect()
    }

    /// Starts again with the next call.
    pub fn forget(&self) {
        *self.lock() = Seconds::default();
    }

    fn lock(&self) -> MutexGuard<'_, Seconds> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
