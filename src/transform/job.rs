//! Unit of work of a running transform: a chunk of items on its way through the steps.

use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::outcome::Outcome;
use crate::error::Result;

/// Jobs in order. The first error ends them.
pub(crate) type Jobs<T> = BoxStream<'static, Result<Job<T>>>;

/// Items that travel together.
pub(crate) struct Job<T> {
    /// Belongs to the caller.
    pub(crate) tag: T,
    /// The items as read from the source.
    pub(crate) originals: Vec<Bytes>,
    /// One for each original.
    pub(crate) items: Vec<ItemProgress>,
}

impl<T> Job<T> {
    pub(crate) fn new(originals: Vec<Bytes>, tag: T) -> Self {
        let items = originals.iter().cloned().map(ItemProgress::new).collect();

        Self {
            tag,
            originals,
            items,
        }
    }
}

/// An item on its way through the steps.
#[derive(Debug, Clone)]
pub(crate) enum ItemProgress {
    /// More steps may follow.
    InProgress {
        /// The items that replace the original so far.
        items: Vec<Bytes>,
        /// Whether `items` differs from the original.
        is_changed: bool,
        /// The item as read from the source.
        original: Bytes,
    },
    /// The item was skipped or rejected.
    Finished(Outcome),
}

impl ItemProgress {
    pub(crate) fn new(item: Bytes) -> Self {
        Self::InProgress {
            items: vec![item.clone()],
            is_changed: false,
            original: item,
        }
    }

    /// The items that the next step gets.
    pub(crate) fn current(&self) -> &[Bytes] {
        match self {
            Self::InProgress { items, .. } => items,
            Self::Finished(_) => &[],
        }
    }

    /// Applies one step to each item.
    pub(crate) fn apply(self, mut step: impl FnMut(&Bytes, &Bytes) -> Outcome) -> Self {
        let Self::InProgress {
            items,
            mut is_changed,
            original,
        } = self
        else {
            return self;
        };

        let mut next = Vec::with_capacity(items.len());
        for item in items {
            match step(&item, &original) {
                Outcome::Unchanged => next.push(item),
                Outcome::Changed(changed) => {
                    is_changed = true;
                    next.push(changed);
                }
                Outcome::Several(several) => {
                    is_changed = true;
                    next.extend(several);
                }
                Outcome::Skipped => {}
                // One rejection rejects the original: writing only some of its replacements would
                // be worse than writing none.
                rejected @ Outcome::Rejected(_) => return Self::Finished(rejected),
            }
        }

        if next.is_empty() {
            Self::Finished(Outcome::Skipped)
        } else {
            Self::InProgress {
                items: next,
                is_changed,
                original,
            }
        }
    }

    /// Like [`apply`](Self::apply), but calls `step` for every item, even after a rejection.
    pub(crate) fn apply_to_all(self, step: impl FnMut(&Bytes) -> Outcome) -> Self {
        let Self::InProgress {
            items,
            is_changed,
            original,
        } = self
        else {
            return self;
        };

        let mut outcomes: Vec<_> = items.iter().map(step).collect();
        // `apply` takes them from the end.
        outcomes.reverse();

        Self::InProgress {
            items,
            is_changed,
            original,
        }
        .apply(|_, _| outcomes.pop().unwrap_or(Outcome::Skipped))
    }

    /// The outcome after the last step.
    pub(crate) fn into_outcome(self) -> Outcome {
        match self {
            Self::Finished(outcome) => outcome,
            Self::InProgress {
                is_changed: false, ..
            } => Outcome::Unchanged,
            Self::InProgress { mut items, .. } => match items.len() {
                1 => Outcome::Changed(items.remove(0)),
                _ => Outcome::Several(items),
            },
        }
    }
}
