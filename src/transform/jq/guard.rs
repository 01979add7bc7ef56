//! Limits on the execution of a filter for one item: steps, time, stack and string length.
//!
//! jq programs may loop and recurse without end, and the interpreter sets no limit.
//! [`instrument`](super::instrument) adds calls of a tick, which checks these limits. A filter that
//! does not end thus becomes an error of one item, the same on every machine, instead of a hang or
//! a crash. Natives that create one huge value in a single step (`"x" * 1000000000000`) are not
//! limited, because the filter is the user's own program.

use std::cell::Cell;
use std::time::{Duration, Instant};

use jaq_json::Val;

/// Error of a filter.
pub(crate) type JqError = jaq_core::Error<Val>;

/// Maximum number of ticks per item: about a second of work, or several passes over the longest
/// list that fits into an item.
const MAX_TICKS: u32 = 2_000_000;

/// Maximum time per item, for filters with slow steps.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Number of ticks between two checks of the time.
const TICKS_PER_TIME_CHECK: u32 = 256;

/// Maximum length of a string in a filter, in bytes; far more than an item can contain.
const MAX_STRING_BYTES: usize = 64 * 1024 * 1024;

/// Stack size of a thread that runs filters. The memory is reserved, but not used unless a filter
/// recurses.
pub(crate) const STACK_BYTES: usize = 256 * 1024 * 1024;

/// Maximum stack for recursion. The rest is for the calls between two ticks, and for dropping
/// nested values.
const MAX_RECURSION_BYTES: usize = STACK_BYTES / 4;

/// Remaining budget of the run for one item.
#[derive(Debug)]
pub(crate) struct Guard {
    remaining_ticks: Cell<u32>,
    /// Position of the stack at the start of the run.
    stack_start: Cell<usize>,
    recursion_bytes: usize,
    started_at: Cell<Instant>,
    time_limit: Duration,
}

impl Guard {
    /// A guard for threads with a stack of [`STACK_BYTES`].
    pub(crate) fn new() -> Self {
        Self::with_time_limit(TIME_LIMIT)
    }

    /// A guard with another time limit.
    pub(crate) fn with_time_limit(time_limit: Duration) -> Self {
        Self {
            remaining_ticks: Cell::new(0),
            stack_start: Cell::new(0),
            recursion_bytes: MAX_RECURSION_BYTES,
            started_at: Cell::new(Instant::now()),
            time_limit,
        }
    }

    /// Resets the budget for the next item.
    pub(crate) fn start_item(&self) {
        self.remaining_ticks.set(MAX_TICKS);
        self.started_at.set(Instant::now());
        self.stack_start.set(stack_position());
    }

    /// Counts one step and checks all limits.
    pub(crate) fn tick(&self, value: &Val) -> Result<(), JqError> {
        let remaining = self.remaining_ticks.get();
        if remaining == 0 {
            return Err(JqError::str(format!(
                "it does not terminate: stopped after {MAX_TICKS} steps"
            )));
        }

        self.remaining_ticks.set(remaining - 1);

        // Reading the clock is slow compared with a step.
        if remaining.is_multiple_of(TICKS_PER_TIME_CHECK)
            && self.started_at.get().elapsed() > self.time_limit
        {
            return Err(JqError::str(format!(
                "it does not terminate: stopped after {} s",
                self.time_limit.as_secs()
            )));
        }

        // The distance of two positions is the depth, in whichever direction the stack grows.
        if self.stack_start.get().abs_diff(stack_position()) > self.recursion_bytes {
            return Err(JqError::str("it recurses too deeply"));
        }

        match value {
            Val::TStr(text) | Val::BStr(text) if text.len() > MAX_STRING_BYTES => {
                Err(JqError::str(format!(
                    "it creates a string of more than {MAX_STRING_BYTES} bytes"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Approximate position of the end of the stack.
#[inline(never)]
fn stack_position() -> usize {
    let marker = 0u8;
    (&raw const marker).addr()
}
