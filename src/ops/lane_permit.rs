//! Permits of lanes: how many chunks of each lane may be read ahead or in flight.
//!
//! Without them, the slowest partition would soon hold all chunks in flight, and the others would wait.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::store::KeyRange;

/// Time in which more permits are returned after one was waited for. To wake up for each of them would cost more than to read a chunk.
const GATHERING_TIME: Duration = Duration::from_micros(500);

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
    /// Whether one was returned since the last attempt to take one.
    has_returned: bool,
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
                has_returned: false,
                is_awaited: false,
            }),
            returned: Condvar::new(),
        }))
    }

    /// Takes a permit of the first of `lanes` that has one.
    pub(crate) fn take(
        &self,
        mut lanes: impl Iterator<Item = (usize, Option<KeyRange>)>,
    ) -> Option<Arc<LanePermit>> {
        let mut state = self.0.lock();
        state.has_returned = false;
        let (lane, key_range) = lanes.find(|(lane, _)| state.counts[*lane] > 0)?;
        state.counts[lane] -= 1;

        Some(Arc::new(LanePermit {
            available: Arc::clone(&self.0),
            lane,
            key_range,
        }))
    }

    /// Waits until a permit was returned since the last attempt to take one, but for `time` at most.
    pub(crate) fn wait(&self, time: Duration) {
        let mut state = self.0.lock();
        if !state.has_returned {
            state.is_awaited = true;
            let waited = self.0.returned.wait_timeout(state, time);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
            state.is_awaited = false;
        }

        drop(state);
        thread::sleep(GATHERING_TIME);
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
        state.has_returned = true;
        let is_awaited = std::mem::take(&mut state.is_awaited);
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
        let take = |lanes: [usize; 2]| permits.take(lanes.into_iter().map(|lane| (lane, None)));

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

    #[test]
    fn a_thread_that_waits_continues_when_a_permit_is_returned_before_or_during_the_wait() {
        const FOREVER: Duration = Duration::from_hours(1);

        let permits = LanePermits::new(1, 1);
        let take = || permits.take(std::iter::once((0, None)));

        let permit = take().unwrap();
        assert!(take().is_none());
        drop(permit);
        permits.wait(FOREVER);

        let permit = take().unwrap();
        assert!(take().is_none());
        thread::scope(|scope| {
            scope.spawn(|| drop(permit));
            permits.wait(FOREVER);
        });

        assert!(take().is_some());
    }
}
