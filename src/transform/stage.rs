//! One step of a transform that works on each item by itself.

use bytes::Bytes;

use super::outcome::Outcome;

/// A step that judges or changes items one by one. It is shared by all threads; each of them takes a worker of its own.
pub(crate) trait Stage: Send + Sync {
    /// What applies this stage on one thread, which has a stack of [`STACK_BYTES`](super::jq::STACK_BYTES).
    fn worker(&self) -> Box<dyn Worker + '_>;
}

/// Applies a stage. May hold what must not leave its thread.
pub(crate) trait Worker {
    /// The outcome for `item`, which earlier steps made of the item `read` from the source.
    fn apply(&mut self, item: &Bytes, read: &Bytes) -> Outcome;
}

/// An item on its way through the stages.
#[derive(Debug, Clone)]
pub(crate) enum Progress {
    /// The items in its place, whether they differ from it, and the item as it was read.
    Going {
        items: Vec<Bytes>,
        touched: bool,
        read: Bytes,
    },
    /// It goes no further.
    Ended(Outcome),
}

impl Progress {
    pub(crate) fn new(item: Bytes) -> Self {
        Self::Going {
            items: vec![item.clone()],
            touched: false,
            read: item,
        }
    }

    /// Goes one step on. Where several items stand for one, a rejection of one rejects them all: half of them would be worse
    /// than none.
    pub(crate) fn step(self, mut each: impl FnMut(&Bytes, &Bytes) -> Outcome) -> Self {
        let Self::Going {
            items,
            mut touched,
            read,
        } = self
        else {
            return self;
        };

        let mut next = Vec::with_capacity(items.len());
        for item in items {
            match each(&item, &read) {
                Outcome::Unchanged => next.push(item),
                Outcome::Changed(changed) => {
                    touched = true;
                    next.push(changed);
                }
                Outcome::Several(several) => {
                    touched = true;
                    next.extend(several);
                }
                Outcome::Skipped => {}
                rejected @ Outcome::Rejected(_) => return Self::Ended(rejected),
            }
        }

        if next.is_empty() {
            Self::Ended(Outcome::Skipped)
        } else {
            Self::Going {
                items: next,
                touched,
                read,
            }
        }
    }

    /// Like [`step`](Self::step), but asks for every item, even behind a rejection.
    pub(crate) fn step_all(self, mut each: impl FnMut(&Bytes) -> Outcome) -> Self {
        let Self::Going {
            items,
            touched,
            read,
        } = self
        else {
            return self;
        };

        let mut outcomes: Vec<_> = items.iter().map(&mut each).collect();
        outcomes.reverse();
        Self::Going {
            items,
            touched,
            read,
        }
        .step(|_, _| outcomes.pop().unwrap_or(Outcome::Skipped))
    }

    /// What became of it in the end.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Self::Ended(outcome) => outcome,
            Self::Going { touched: false, .. } => Outcome::Unchanged,
            Self::Going { mut items, .. } => match items.len() {
                1 => Outcome::Changed(items.remove(0)),
                _ => Outcome::Several(items),
            },
        }
    }
}
