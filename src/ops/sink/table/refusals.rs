//! Detection of an error that applies to every item: the restore stops instead of rejecting all items.

use crate::error::{Error, Result};

/// The restore stops after this many rejections in a row for the same reason, if no item has been accepted.
const MAX_REFUSALS: u32 = 100;

/// Counter of rejections in a row, before the first accepted item.
#[derive(Debug, Default)]
pub(crate) struct ConsecutiveRefusals {
    /// The last reason; `count` items in a row were rejected for it.
    reason: String,
    count: u32,
    is_any_accepted: bool,
}

impl ConsecutiveRefusals {
    /// Counts a rejected item.
    ///
    /// # Errors
    /// The endpoint rejects every item.
    pub(crate) fn add(&mut self, reason: &str) -> Result<()> {
        if self.reason != reason {
            reason.clone_into(&mut self.reason);
            self.count = 0;
        }

        self.count += 1;
        if !self.applies_to_all() {
            return Ok(());
        }

        Err(Error::failed(format!(
            "no item was accepted; {MAX_REFUSALS} in a row were refused: {reason}"
        ))
        .with_hint("fix the cause, then run the same command again"))
    }

    /// Records that the endpoint accepted an item, or found another item with its key.
    pub(crate) fn set_any_accepted(&mut self) {
        self.is_any_accepted = true;
    }

    /// Whether the error applies to every item.
    pub(crate) fn applies_to_all(&self) -> bool {
        self.count >= MAX_REFUSALS && !self.is_any_accepted
    }
}
