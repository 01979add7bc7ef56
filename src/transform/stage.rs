//! Steps of a transform that process each item on its own.

use bytes::Bytes;

use super::outcome::Outcome;

/// A step that selects or changes items one by one. All threads share it; each thread creates its
/// own worker.
pub(crate) trait Stage: Send + Sync {
    /// Creates the worker of one thread. The thread needs a stack of
    /// [`STACK_BYTES`](super::jq::STACK_BYTES).
    fn worker(&self) -> Box<dyn StageWorker + '_>;
}

/// Applies a stage on one thread. It may hold state that must not be shared between threads.
pub(crate) trait StageWorker {
    /// The outcome for `item`, which earlier steps made from `original`, the item as read from the
    /// source.
    fn apply(&mut self, item: &Bytes, original: &Bytes) -> Outcome;
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
