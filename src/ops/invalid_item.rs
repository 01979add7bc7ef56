//! Checks of transformed items that only the target table can define: its key, and DynamoDB's size limit.

use crate::error::Result;
use crate::item::{KeySchema, item_size};
use crate::limits::ITEM_BYTES;
use crate::ops::chunk::Chunk;
use crate::ops::transform_stage::Observer;
use crate::transform::{Outcome, RejectReason};

/// Reason why a table would refuse an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InvalidItem {
    /// The item has no usable key.
    Key(String),
    /// The item has this size in bytes, which is above DynamoDB's limit.
    TooLarge(u64),
}

impl InvalidItem {
    /// Checks an item that is to be written to a table with this key.
    pub(crate) fn check(item: &[u8], key: &KeySchema) -> Option<Self> {
        if let Err(error) = key.hash128(item) {
            return Some(Self::Key(error.to_string()));
        }

        // An item whose size cannot be calculated is left for DynamoDB to judge.
        item_size(item)
            .ok()
            .filter(|size| *size > ITEM_BYTES)
            .map(Self::TooLarge)
    }

    /// The first invalid output of a transform. An unchanged item is left for DynamoDB to judge.
    pub(crate) fn check_outputs(outcome: &Outcome, key: &KeySchema) -> Option<Self> {
        let outputs = match outcome {
            Outcome::Changed(item) => std::slice::from_ref(item),
            Outcome::Several(items) => items,
            Outcome::Unchanged | Outcome::Skipped | Outcome::Rejected(_) => &[],
        };

        outputs.iter().find_map(|item| Self::check(item, key))
    }

    /// The reason in words.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Key(error) => error.clone(),
            Self::TooLarge(bytes) => {
                format!("{bytes} bytes; the limit for an item is {ITEM_BYTES}")
            }
        }
    }

    /// The reason for a reject of a transformed item.
    pub(crate) fn reject_reason(&self) -> RejectReason {
        // The message may contain attribute names: the last step has already searched the item for masked values.
        RejectReason::internal(format!("after the transform: {}", self.message()))
    }
}

/// Rejects what a transform made of an item if a table cannot store all of it.
pub(crate) struct InvalidOutputs {
    key: KeySchema,
}

impl InvalidOutputs {
    /// For a table with this key.
    pub(crate) fn new(key: KeySchema) -> Self {
        Self { key }
    }
}

impl<P> Observer<P> for InvalidOutputs {
    fn observe(&mut self, chunk: &mut Chunk<P>) -> Result<()> {
        for outcome in chunk.outcomes.iter_mut().flatten() {
            if let Some(invalid) = InvalidItem::check_outputs(outcome, &self.key) {
                *outcome = Outcome::Rejected(invalid.reject_reason());
            }
        }

        Ok(())
    }
}
