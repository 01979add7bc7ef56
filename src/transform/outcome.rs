//! Outcome of a transform for one item, and the reason if it was rejected.

use std::fmt;

use bytes::Bytes;

use crate::item::KeyError;

/// Outcome of a transform for one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Passed on, byte for byte.
    Unchanged,
    /// Replaced by this item.
    Changed(Bytes),
    /// Replaced by these items, in this order; at least two.
    Several(Vec<Bytes>),
    /// Left out on purpose.
    Skipped,
    /// Must not be passed on.
    Rejected(Reason),
}

impl Outcome {
    /// The items that are passed on in place of `item`.
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

/// Why an item was rejected (a fragment, as in [`Error`](crate::error::Error)).
///
/// The type, not the text, decides whether a reason may be shown while values are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Our own text: it names options, limits, rules and attributes that were searched for masked values, never a value.
    Own(String),
    /// Text that may quote the item: the message of a filter, a condition or a program, or a name that one of them made.
    Foreign(String),
}

impl Reason {
    /// Replaces foreign texts while a mask is active.
    const WITHHELD: &str = "a step before --mask, or the condition of a rule, rejected the item; its message may quote masked values and is not shown";

    /// Our own text.
    pub fn own(text: impl Into<String>) -> Self {
        Self::Own(text.into())
    }

    /// Why an item has no usable key. Errors within the item may name attributes that a filter made.
    #[must_use]
    pub fn of_key(error: &KeyError) -> Self {
        match error {
            KeyError::Item(_) => Self::Foreign(error.to_string()),
            KeyError::Missing { .. } | KeyError::WrongType { .. } | KeyError::Empty { .. } => {
                Self::Own(error.to_string())
            }
        }
    }

    /// The same reason, preceded by `prefix`.
    pub(crate) fn after(self, prefix: &str) -> Self {
        match self {
            Self::Own(text) => Self::Own(format!("{prefix}{text}")),
            Self::Foreign(text) => Self::Foreign(format!("{prefix}{text}")),
        }
    }

    /// The reason as it may be shown while values are masked.
    pub(crate) fn withheld(self) -> Self {
        match self {
            Self::Own(_) => self,
            Self::Foreign(_) => Self::own(Self::WITHHELD),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Own(text) | Self::Foreign(text)) = self;
        f.write_str(text)
    }
}

/// A text counts as foreign unless [`Reason::own`] says otherwise.
impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self::Foreign(text)
    }
}
