//! Unit of work of a running transform, and the interface of the parts that process it.

use super::stage::ItemProgress;
use crate::error::Result;

/// Items that were pushed together, and travel together.
pub(crate) type TransformJob = Vec<ItemProgress>;

/// A job and its position in the sequence.
pub(crate) struct NumberedJob {
    pub(crate) number: u64,
    pub(crate) job: TransformJob,
}

/// A part of the pipeline: takes jobs and returns them in the same order.
pub(crate) trait JobProcessor: Send + Sync {
    /// Takes a job, or an error in its place. Blocks while too many jobs are in progress. Returns
    /// false if cancelled.
    fn push(&self, job: Result<TransformJob>) -> bool;

    /// Marks the end of the input: no job follows.
    fn close(&self);

    /// Returns the next job in order; `None` after the last one, or if cancelled.
    fn pull(&self) -> Option<Result<TransformJob>>;

    /// Stops as soon as possible.
    fn cancel(&self);
}
