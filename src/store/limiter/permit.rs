//! Leave to call, one gate per direction and table: how many calls are in flight, how many units per second are asked for.
//!
//! Three bounds, each adapting by itself or given: calls in flight (one more after each round of successes, as long as that
//! does not only lengthen a queue), the rate the table was found to take (see `rate`), and a cap that people set (see `pace`).
//! Where units are limited, calls should be small: [`Gate::pass_with`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use super::adaptive_rate::Rate;
use super::cap::Pace;

/// Calls in flight at most. 40,000 write units per second are 1,600 calls, of 50 ms each at the longest distance: 80.
const MOST: usize = 128;
const FIRST: usize = 8;

/// Calls that take so many times the shortest wait in a queue; more of them would only make it longer. Below the second figure
/// it is noise.
const QUEUEING: u32 = 4;
const NOISE: Duration = Duration::from_millis(20);

/// Timers know no shorter time.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// A waiting call looks again after this time at the latest: the rate may have changed.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What the gates of one direction share: the bounds that people set.
pub(crate) struct Shared {
    most: usize,
    permits: Semaphore,
    cap: Mutex<Option<Arc<Pace>>>,
}

/// The gate of one direction and table.
pub(crate) struct Gate {
    shared: Arc<Shared>,
    permits: Semaphore,
    state: Mutex<State>,
    /// Calls leave in the order they came, so that none is passed over.
    turn: tokio::sync::Mutex<()>,
}

struct State {
    limit: usize,
    /// Successes since the limit last changed.
    successes: usize,
    times: Times,
    rate: Rate,
}

/// How long calls take. Only those that brought about as much as the largest so far are comparable: the last page of a segment may
/// be a tenth of a page, and takes no longer than that.
#[derive(Default)]
struct Times {
    /// Units of the calls that are compared.
    units: f64,
    shortest: Duration,
    usual: Duration,
}

impl Times {
    fn add(&mut self, units: f64, time: Duration) {
        if units > self.units * 2.0 || self.shortest.is_zero() {
            *self = Self {
                units,
                shortest: time,
                usual: time,
            };
        } else if units * 2.0 >= self.units {
            self.shortest = self.shortest.min(time);
            self.usual = (self.usual * 7 + time) / 8;
        }
    }

    fn are_of_a_queue(&self) -> bool {
        self.usual > self.shortest * QUEUEING + NOISE
    }
}

/// Leave to make one call. A call that ends without an answer to its price drops it.
pub(crate) struct Pass<'a> {
    gate: &'a Gate,
    _permits: [Option<SemaphorePermit<'a>>; 2],
    sent: Instant,
    paid: f64,
}

impl Shared {
    /// At most so many calls in flight.
    pub(crate) fn new(most: Option<usize>) -> Self {
        let most = most.unwrap_or(MOST).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            most,
            permits: Semaphore::new(most),
            cap: Mutex::default(),
        }
    }

    /// Keeps the consumption below a cap from now on. Of several the lowest holds.
    pub(crate) fn cap(&self, units_per_second: u32) {
        let mut cap = self.cap.lock().unwrap_or_else(PoisonError::into_inner);
        if cap.as_ref().is_none_or(|cap| units_per_second < cap.cap()) {
            *cap = Some(Arc::new(Pace::new(units_per_second)));
        }
    }

    fn pace(&self) -> Option<Arc<Pace>> {
        self.cap
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Gate {
    /// A gate within bounds that other gates may share.
    pub(crate) fn sharing(shared: Arc<Shared>) -> Self {
        let first = FIRST.min(shared.most);
        let state = State {
            limit: first,
            successes: 0,
            times: Times::default(),
            rate: Rate::new(Instant::now()),
        };

        Self {
            shared,
            permits: Semaphore::new(first),
            state: Mutex::new(state),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// A gate by itself.
    #[cfg(test)]
    pub(crate) fn new(most: Option<usize>) -> Self {
        Self::sharing(Arc::new(Shared::new(most)))
    }

    #[cfg(test)]
    pub(crate) fn with_rate(rate: Rate) -> Self {
        let gate = Self::new(None);
        gate.state().rate = rate;
        gate
    }

    /// Units that one call should cost at most, where units are limited.
    fn call_budget(&self) -> Option<f64> {
        let learned = self.state().rate.call_budget(Instant::now());
        let capped = self.shared.pace().map(|pace| pace.call_budget());
        match (learned, capped) {
            (Some(learned), Some(capped)) => Some(learned.min(capped)),
            (learned, capped) => learned.or(capped),
        }
    }

    /// Waits for leave to make a call. What it holds is decided when its turn has come: `choose` is given the units it should cost
    /// at most, where they are limited, and says what it holds and costs.
    pub(crate) async fn pass_with<T>(
        &self,
        mut choose: impl FnMut(Option<f64>) -> (T, f64),
    ) -> (Pass<'_>, T) {
        let permit = self.permits.acquire().await.ok();
        let turn = self.turn.lock().await;
        let (chosen, units) = loop {
            let (chosen, units) = choose(self.call_budget());
            let now = Instant::now();
            let taken = self.state().rate.take(units, now);
            let Err(wait) = taken else {
                break (chosen, units);
            };

            sleep(wait.clamp(TICK, LOOK_AGAIN)).await;
        };

        // Last, so that a table that is waited for keeps no other from being called.
        let shared = self.shared.permits.acquire().await.ok();
        if let Some(cap) = self.shared.pace() {
            cap.pay(units).await;
        }

        drop(turn);
        (
            Pass {
                gate: self,
                _permits: [permit, shared],
                sent: Instant::now(),
                paid: units,
            },
            chosen,
        )
    }

    /// Calls that may be in flight, as things are: no more than use up the units there are, while others wait for their turn.
    pub(crate) fn calls(&self) -> usize {
        let state = self.state();
        let learned = state.rate.allowed(Instant::now()).unwrap_or(f64::INFINITY);
        let capped = self
            .shared
            .pace()
            .map_or(f64::INFINITY, |pace| f64::from(pace.cap()));
        let in_flight =
            learned.min(capped) / state.rate.call_units() * state.times.usual.as_secs_f64();
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The call was taken as a whole and cost so many units.
    pub(crate) fn taken(self, units: f64) {
        let now = Instant::now();
        let mut state = self.gate.state();
        state.rate.answered(self.sent, now, self.paid, units, 0.0);
        self.settle(units);
        state.times.add(units, now - self.sent);
        state.successes += 1;
        let is_bounded = state.limit == self.gate.shared.most || state.times.are_of_a_queue();
        if state.successes < state.limit || is_bounded {
            return;
        }

        state.successes = 0;
        state.limit += 1;
        self.gate.permits.add_permits(1);
    }

    /// The call was throttled: so many units were taken, so many refused.
    pub(crate) fn throttled(self, units: f64, refused: f64) {
        let refused = refused.max(f64::MIN_POSITIVE);
        self.gate
            .state()
            .rate
            .answered(self.sent, Instant::now(), self.paid, units, refused);
        self.settle(units);
    }

    fn settle(&self, units: f64) {
        if let Some(cap) = self.gate.shared.pace() {
            cap.settle(self.paid, units);
        }
    }
}

#[cfg(test)]
mod tests;
