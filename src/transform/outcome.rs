//! Outcome of a transform for one item, and the reason if it was rejected.

use std::fmt;

use bytes::Bytes;

use crate::field::Field;
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
    /// Left out, as the transform specifies.
    Skipped,
    /// Must not be passed on.
    Rejected(RejectReason),
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

    /// Number of items that are passed on.
    #[must_use]
    pub fn output_count(&self) -> u64 {
        match self {
            Self::Unchanged | Self::Changed(_) => 1,
            Self::Several(items) => items.len() as u64,
            Self::Skipped | Self::Rejected(_) => 0,
        }
    }

    /// Keeps the first `most` items that are passed on, at least one. Returns whether any were
    /// dropped.
    pub fn truncate(&mut self, most: u64) -> bool {
        let Self::Several(items) = self else {
            return false;
        };

        let before = items.len();
        items.truncate(usize::try_from(most).unwrap_or(usize::MAX));

        items.len() < before
    }
}

/// Why an item was rejected (a fragment, as in [`Error`](crate::error::Error)).
///
/// The type, not the text, decides whether a reason may be shown while values are masked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RejectReason {
    /// Text of this program. It never contains a value, and only names of attributes that were
    /// checked for masked values.
    Internal(String),
    /// Text that may quote the item: a message of a filter, a condition or a program, or an
    /// attribute name that one of them created.
    External(String),
}

impl RejectReason {
    /// A reason in the words of this program.
    pub fn internal(text: impl Into<String>) -> Self {
        Self::Internal(text.into())
    }

    /// An item without a usable key. Errors inside the item may contain attribute names that a
    /// filter created.
    #[must_use]
    pub fn from_key_error(error: &KeyError) -> Self {
        match error {
            KeyError::Item(_) => Self::External(error.to_string()),
            KeyError::Missing { .. } | KeyError::WrongType { .. } | KeyError::Empty { .. } => {
                Self::Internal(error.to_string())
            }
        }
    }

    /// This reason, with the step or rule that gave it.
    pub(crate) fn with_context(self, context: impl fmt::Display) -> Self {
        match self {
            Self::Internal(text) => Self::Internal(format!("{context}: {text}")),
            Self::External(text) => Self::External(format!("{context}: {text}")),
        }
    }

    /// This reason for display while values are masked: external text is replaced.
    pub(crate) fn without_external_text(self) -> Self {
        match self {
            Self::Internal(_) => self,
            Self::External(_) => Self::Internal(format!(
                "a step before {}, or the condition of a rule, rejected the item; its message may quote masked values and is not shown",
                Field::Mask
            )),
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Internal(text) | Self::External(text)) = self;
        f.write_str(text)
    }
}

/// Text is external unless it is marked as [`RejectReason::internal`].
impl From<String> for RejectReason {
    fn from(text: String) -> Self {
        Self::External(text)
    }
}
