//! What an operation reports while it runs. Operations are silent but for these; who listens decides how they look.

use std::time::Duration;

/// A step of an operation that takes noticeable time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Waiting until the endpoint answers.
    Connecting,
    /// Reading items from the table into a dump.
    Dumping,
    /// Reading a dump to see that it is whole.
    Checking,
    /// Sending items through a transform to see what it would do.
    DryRun,
    /// Deleting the table that is to be replaced.
    Deleting,
    /// Waiting until the table and its indexes are `ACTIVE`.
    Creating,
    /// Waiting until the table's capacity is raised for the items, or as it is to be after them.
    Boosting,
    /// Writing items into the table.
    Writing,
    /// Comparing the table with the dump.
    Verifying,
    /// Bringing settings back; `items` is the number of calls, and each is one item of progress.
    Settings,
}

/// One report from a running operation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A phase begins; the one before it is over. Totals are estimates (DynamoDB refreshes its own counts about every six
    /// hours) or exact where the source is a checked dump.
    Phase {
        /// The phase that begins.
        phase: Phase,
        /// Items it will handle, where known.
        items: Option<u64>,
        /// Bytes of item text it will handle, where known.
        bytes: Option<u64>,
    },
    /// Progress within the current phase, as increments.
    Progress {
        /// Items handled since the last report.
        items: u64,
        /// Bytes of item text handled since the last report.
        bytes: u64,
    },
    /// Something worth a line in a log.
    Info(String),
    /// Something that deserves attention, though the operation goes on.
    Warning(String),
    /// A call failed and will be tried again.
    Retry {
        /// The DynamoDB operation and the reason.
        reason: String,
        /// How long it waits before the next try.
        wait: Duration,
    },
}

/// Receives the events of an operation. Called from several tasks at once; must return quickly.
pub trait Reporter: Send + Sync {
    /// Takes one event.
    fn report(&self, event: Event);
}

/// Drops every event.
#[derive(Debug, Clone, Copy, Default)]
pub struct SilentReporter;

impl Reporter for SilentReporter {
    fn report(&self, _event: Event) {}
}
