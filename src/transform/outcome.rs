//! What became of items: one outcome for each, and counts that add up.

use bytes::Bytes;

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on as the very bytes it came as.
    Unchanged,
    /// It goes on as this.
    Changed(Bytes),
    /// It goes on as these, in this order; at least two.
    Several(Vec<Bytes>),
    /// It was left out on purpose.
    Skipped,
    /// It must not go on, for this reason (a fragment, as in [`Error`](crate::error::Error)).
    Rejected(String),
}

impl Outcome {
    /// What goes on in place of `item`.
    #[must_use]
    pub fn items<'a>(&'a self, item: &'a Bytes) -> &'a [Bytes] {
        match self {
            Self::Unchanged => std::slice::from_ref(item),
            Self::Changed(changed) => std::slice::from_ref(changed),
            Self::Several(items) => items,
            Self::Skipped | Self::Rejected(_) => &[],
        }
    }
}

/// How many items came in and what became of them: `read = unchanged + changed + skipped + rejected`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Items that came in.
    pub read: u64,
    /// Items that went on as they were.
    pub unchanged: u64,
    /// Items in whose place one or several others went on.
    pub changed: u64,
    /// Items left out on purpose.
    pub skipped: u64,
    /// Items that could not go on.
    pub rejected: u64,
    /// Items that went on.
    pub written: u64,
}

impl Tally {
    /// Counts one outcome.
    pub fn add(&mut self, outcome: &Outcome) {
        self.read += 1;
        let (count, written) = match outcome {
            Outcome::Unchanged => (&mut self.unchanged, 1),
            Outcome::Changed(_) => (&mut self.changed, 1),
            Outcome::Several(items) => (&mut self.changed, items.len() as u64),
            Outcome::Skipped => (&mut self.skipped, 0),
            Outcome::Rejected(_) => (&mut self.rejected, 0),
        };
        *count += 1;
        self.written += written;
    }
}
