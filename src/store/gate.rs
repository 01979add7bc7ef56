//! How many writes may be in flight: one more after each round of successes, half as many after a throttle.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

/// Calls in flight at most. More would only cost memory: each can hold 25 items of 400 KB.
const MOST: usize = 32;
const FIRST: usize = 8;

/// Additive increase, multiplicative decrease, over a semaphore.
pub(super) struct Gate {
    permits: Semaphore,
    state: Mutex<State>,
}

struct State {
    limit: usize,
    /// Successes since the limit last changed.
    successes: usize,
    /// Permits still held by calls that are to be taken away when they end.
    surplus: usize,
    /// Number of decreases so far: one burst of throttles counts once.
    epoch: u64,
}

/// Leave to make one call.
pub(super) struct Pass<'a> {
    gate: &'a Gate,
    permit: Option<SemaphorePermit<'a>>,
    epoch: u64,
}

impl Gate {
    pub(super) fn new() -> Self {
        let state = State { limit: FIRST, successes: 0, surplus: 0, epoch: 0 };
        Self { permits: Semaphore::new(FIRST), state: Mutex::new(state) }
    }

    /// Waits for leave to make a call.
    pub(super) async fn pass(&self) -> Pass<'_> {
        let permit = self.permits.acquire().await.ok();
        Pass { gate: self, permit, epoch: self.state().epoch }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The call was taken as a whole.
    pub(super) fn taken(&self) {
        let mut state = self.gate.state();
        state.successes += 1;
        if state.successes < state.limit || state.limit == MOST {
            return;
        }
        state.successes = 0;
        state.limit += 1;
        if state.surplus > 0 {
            state.surplus -= 1;
        } else {
            self.gate.permits.add_permits(1);
        }
    }

    /// The call was throttled, wholly or in part.
    pub(super) fn throttled(&self) {
        let mut state = self.gate.state();
        if self.epoch != state.epoch || state.limit == 1 {
            return;
        }
        let fewer = state.limit - state.limit / 2;
        state.epoch += 1;
        state.successes = 0;
        state.limit -= fewer;
        state.surplus += fewer - self.gate.permits.forget_permits(fewer);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        if state.surplus > 0 {
            state.surplus -= 1;
            if let Some(permit) = self.permit.take() {
                permit.forget();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_of_throttles_halves_once_and_successes_grow_it_again() {
        let gate = Gate::new();
        let mut passes = Vec::new();
        for _ in 0..FIRST {
            passes.push(gate.pass().await);
        }
        passes.iter().for_each(Pass::throttled);
        drop(passes);
        assert_eq!(gate.permits.available_permits(), FIRST / 2);
        for _ in 0..FIRST / 2 {
            gate.pass().await.taken();
        }
        assert_eq!(gate.permits.available_permits(), FIRST / 2 + 1);
    }

    #[tokio::test]
    async fn one_call_is_always_allowed() {
        let gate = Gate::new();
        for _ in 0..20 {
            gate.pass().await.throttled();
        }
        assert_eq!(gate.permits.available_permits(), 1);
    }

    #[tokio::test]
    async fn growth_ends_at_the_bound() {
        let gate = Gate::new();
        for _ in 0..MOST * MOST {
            gate.pass().await.taken();
        }
        assert_eq!(gate.permits.available_permits(), MOST);
    }
}
