//! Events that an operation reports while it runs. Operations print nothing; the receiver of the
//! events does.

use std::time::Duration;

/// A phase of an operation that takes noticeable time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Waiting for the endpoint to respond.
    Connecting,
    /// Waiting until DynamoDB has made a backup.
    BackingUp,
    /// Reading items from the table into a dump.
    Dumping,
    /// Checking a dump for completeness and damage.
    Checking,
    /// Reading items and transforming them without writing.
    DryRun,
    /// Deleting the table that will be replaced.
    Deleting,
    /// Waiting until the table and its indexes are `ACTIVE`.
    Creating,
    /// Waiting for a capacity change before or after the items are written.
    Boosting,
    /// Writing items to the table.
    Writing,
    /// Comparing the table with the dump.
    Verifying,
    /// Restoring settings. Each call counts as one item of progress, and `items` is the number of
    /// calls.
    Settings,
}

/// One event of a running operation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A phase starts and the previous one has ended. Totals are exact if the source is a checked
    /// dump; otherwise they are estimates, because DynamoDB updates its own counts about every six
    /// hours.
    Phase {
        /// The phase that starts.
        phase: Phase,
        /// Expected number of items, if known.
        items: Option<u64>,
        /// Expected bytes of item text, if known.
        bytes: Option<u64>,
    },
    /// Progress within the current phase, as increments.
    Progress {
        /// Items processed since the last event.
        items: u64,
        /// Bytes of item text processed since the last event.
        bytes: u64,
    },
    /// Information for the log.
    Info(String),
    /// Information that only helps to find the cause of a problem.
    Detail(String),
    /// A problem that does not stop the operation.
    Warning(String),
    /// A call failed and will be retried.
    Retry {
        /// The DynamoDB operation and the reason of the failure.
        reason: String,
        /// Delay before the next attempt.
        wait: Duration,
    },
}

/// Receives the events of an operation. Several tasks may call it concurrently, and it must return
/// quickly.
pub trait Reporter: Send + Sync {
    /// Receives one event.
    fn report(&self, event: Event);
}

/// A reporter that discards all events.
#[derive(Debug, Clone, Copy, Default)]
pub struct SilentReporter;

impl Reporter for SilentReporter {
    fn report(&self, _event: Event) {}
}
