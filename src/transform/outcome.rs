//! What became of items: one outcome for each.

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
