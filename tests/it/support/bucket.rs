//! Capacity of a table as a token bucket in real time, with a log of consumption.

#![expect(
    clippy::cast_precision_loss,
    reason = "calls and items of a test are few"
)]

use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

/// A bucket that holds one second's worth, and starts full.
#[derive(Debug)]
pub(crate) struct Bucket {
    units_per_second: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    units: f64,
    filled: Instant,
    first: Option<Instant>,
    calls: Vec<Call>,
}

/// A call that was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    /// Seconds since the first call.
    pub(crate) at: f64,
    /// Units it consumed.
    pub(crate) units: f64,
    /// Whether anything of it was refused.
    pub(crate) throttled: bool,
}

impl Bucket {
    pub(crate) fn new(units_per_second: f64) -> Self {
        let state = State {
            units: units_per_second,
            filled: Instant::now(),
            first: None,
            calls: Vec::new(),
        };

        Self {
            units_per_second,
            state: Mutex::new(state),
        }
    }

    /// Takes as many items of one unit each as there is capacity for.
    pub(crate) fn take_items(&self, items: usize) -> usize {
        let mut state = self.filled();
        let taken = (1..=items)
            .take_while(|taken| *taken as f64 <= state.units)
            .last()
            .unwrap_or(0);
        state.note(taken as f64, taken < items);

        taken
    }

    /// Whether a page may be read. What it costs is known later, and may be owed.
    pub(crate) fn has_any(&self) -> bool {
        let mut state = self.filled();
        let any = state.units > 0.0;
        if !any {
            state.note(0.0, true);
        }

        any
    }

    /// Charges a page.
    pub(crate) fn charge(&self, units: f64) {
        self.filled().note(units, false);
    }

    /// Every call so far; times count from the first.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.filled().calls.clone()
    }

    /// Units per second, and the share of calls throttled, of what was answered from second `from` on until the last call but
    /// for its last second.
    pub(crate) fn settled(&self, from: f64) -> (f64, f64) {
        let calls = self.calls();
        let to = calls.last().map_or(0.0, |last| last.at - 1.0);
        assert!(
            to > from + 5.0,
            "it took {to} s, which is too short to judge"
        );
        let seen: Vec<_> = calls
            .iter()
            .filter(|call| (from..to).contains(&call.at))
            .collect();
        let units: f64 = seen.iter().map(|call| call.units).sum();
        let throttled = seen.iter().filter(|call| call.throttled).count();

        (units / (to - from), throttled as f64 / seen.len() as f64)
    }

    /// The most units consumed in any ten seconds.
    pub(crate) fn most_in_ten_seconds(&self) -> f64 {
        let calls = self.calls();
        let sums = calls.iter().map(|first| {
            let within = calls
                .iter()
                .filter(|call| (first.at..first.at + 10.0).contains(&call.at));
            within.map(|call| call.units).sum::<f64>()
        });

        sums.fold(0.0, f64::max)
    }

    /// A cap that was kept over any ten seconds. If the machine stops for a while, the calls of that time arrive together after it.
    #[track_caller]
    pub(crate) fn assert_kept(&self, cap: f64) {
        const LONGEST_STOP: f64 = 3.0;

        let most = self.most_in_ten_seconds();
        let all: f64 = self.calls().iter().map(|call| call.units).sum();
        let allowed = (10.0 + LONGEST_STOP) * cap;
        assert!(all > allowed, "too few to judge: {all} units");
        assert!(most <= allowed, "{most} units in ten seconds");
    }

    fn filled(&self) -> MutexGuard<'_, State> {
        let mut state = self
            .state
            .lock()
            .expect("no task panics while it holds the bucket");
        let now = Instant::now();
        let earned = (now - state.filled).as_secs_f64() * self.units_per_second;
        state.units = (state.units + earned).min(self.units_per_second);
        state.filled = now;

        state
    }
}

impl State {
    fn note(&mut self, units: f64, throttled: bool) {
        self.units -= units;
        let first = *self.first.get_or_insert(self.filled);
        let at = (self.filled - first).as_secs_f64();
        self.calls.push(Call {
            at,
            units,
            throttled,
        });
    }
}
