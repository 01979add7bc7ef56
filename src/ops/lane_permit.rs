//! Permits of lanes: how many chunks of each lane may be read ahead or in flight.
//!
//! Without them, the slowest partition would soon hold all chunks in flight, and the others would wait.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::store::KeyRange;

/// The permits of all lanes of a source.
#[derive(Debug)]
pub(crate) struct LanePermits(Arc<Available>);

#[derive(Debug)]
struct Available {
    state: Mutex<PermitState>,
    returned: Condvar,
}

#[derive(Debug)]
struct PermitState {
    /// Number of permits of each lane.
    counts: Vec<usize>,
    /// Whether a thread waits for one. A notification is a system call even if there is none.
    is_awaited: bool,
}

/// Permission to hold one chunk of a lane; returned when the last clone of its `Arc` is dropped.
#[derive(Debug)]
pub(crate) struct LanePermit {
    available: Arc<Available>,
    lane: usize,
    /// The keys of the lane, if they are a range.
    key_range: Option<KeyRange>,
}

impl LanePermits {
    pub(crate) fn new(lanes: usize, for_each: usize) -> Self {
        Self(Arc::new(Available {
            state: Mutex::new(PermitState {
                counts: vec![for_each; lanes],
                is_awaited: false,
            }),
            returned: Condvar::new(),
        }))
    }

    /// Takes a permit of the first of `lanes` that has one. Waits for `time` at most.
    pub(crate) fn take(
        &self,
        lanes: &(impl Iterator<Item = (usize, Option<KeyRange>)> + Clone),
        time: Duration,
    ) -> Option<Arc<LanePermit>> {
        let mut state = self.0.lock();
        let find = |state: &PermitState| lanes.clone().find(|(lane, _)| state.counts[*lane] > 0);

        let mut found = find(&state);
        if found.is_none() {
            state.is_awaited = true;
            let waited = self.0.returned.wait_timeout(state, time);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.is_awaited = false;
            found = find(&state);
        }

        let (lane, key_range) = found?;
        state.counts[lane] -= 1;

        Some(Arc::new(LanePermit {
            available: Arc::clone(&self.0),
            lane,
            key_range,
        }))
    }
}

impl LanePermit {
    pub(crate) fn lane(&self) -> usize {
        self.lane
    }

    pub(crate) fn key_range(&self) -> Option<KeyRange> {
        self.key_range
    }
}

impl Drop for LanePermit {
    fn drop(&mut self) {
        let mut state = self.available.lock();
        state.counts[self.lane] += 1;
        let is_awaited = state.is_awaited;
        drop(state);

        if is_awaited {
            self.available.returned.notify_one();
        }
    }
}

impl Available {
    fn lock(&self) -> MutexGuard<'_, PermitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_whose_permits_are_in_use_is_passed_over_until_one_is_returned() {
        let permits = LanePermits::new(2, 1);
        let take = |lanes: [usize; 2]| {
            permits.take(&lanes.into_iter().map(|lane| (lane, None)), Duration::ZERO)
        };

        let first = take([0, 1]).unwrap();
        let chunk = Arc::clone(&first);
        let second = take([0, 1]).unwrap();
        assert_eq!((first.lane(), second.lane()), (0, 1));
        assert!(take([0, 1]).is_none());

        drop(first);
        assert!(take([0, 1]).is_none(), "a clone is still in use");
        drop(chunk);
        assert_eq!(take([0, 1]).unwrap().lane(), 0);
    }
}
