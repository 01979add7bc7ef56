//! Keeps the consumption of read units below a cap, so that production can live beside a dump.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Read units of a page of 1 MB, strongly consistent: 256 blocks of 4 KB. No page costs more.
const DEAREST_PAGE: f64 = 256.0;

/// A token bucket that starts empty (no burst at the start), holds at most a second's worth, and is paid before each call
/// with the price of the last one; the difference is settled afterwards.
pub(super) struct Pace {
    units_per_second: f64,
    state: Mutex<State>,
}

struct State {
    units: f64,
    at: Instant,
    last_price: f64,
}

impl Pace {
    /// A cap; `first_price` is what the first call is thought to cost.
    pub(super) fn new(units_per_second: u32, first_price: f64) -> Self {
        let state = State { units: 0.0, at: Instant::now(), last_price: first_price.clamp(0.0, DEAREST_PAGE) };
        Self { units_per_second: f64::from(units_per_second.max(1)), state: Mutex::new(state) }
    }

    /// Pays for one call in advance; returns what was paid once the cap allows the call.
    pub(super) async fn pay(&self) -> f64 {
        let (price, wait) = {
            let mut state = self.state();
            self.refill(&mut state);
            let price = state.last_price;
            state.units -= price;
            (price, Duration::from_secs_f64((-state.units / self.units_per_second).max(0.0)))
        };
        tokio::time::sleep(wait).await;
        price
    }

    /// Settles the difference between what was paid and what the call cost.
    pub(super) fn settle(&self, paid: f64, cost: f64) {
        let mut state = self.state();
        self.refill(&mut state);
        state.units += paid - cost;
        if cost > 0.0 {
            state.last_price = cost;
        }
    }

    fn refill(&self, state: &mut State) {
        let now = Instant::now();
        let earned = (now - state.at).as_secs_f64() * self.units_per_second;
        state.units = (state.units + earned).min(self.units_per_second);
        state.at = now;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn consumption_stays_at_the_cap_with_many_callers() {
        let pace = Pace::new(100, 128.0);
        let started = Instant::now();
        let mut consumed = 0.0;
        for call in 0..50 {
            let cost = if call % 2 == 0 { 128.0 } else { 20.0 };
            let paid = pace.pay().await;
            pace.settle(paid, cost);
            consumed += cost;
        }
        let rate = consumed / started.elapsed().as_secs_f64();
        assert!((90.0..=110.0).contains(&rate), "{rate} units per second");
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_no_burst_at_the_start() {
        let pace = Pace::new(64, 128.0);
        let started = Instant::now();
        pace.pay().await;
        assert_eq!(started.elapsed(), Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_small_table_does_not_pay_for_a_large_page() {
        let pace = Pace::new(2, 4.0);
        let started = Instant::now();
        pace.pay().await;
        assert_eq!(started.elapsed(), Duration::from_secs(2));
    }
}
