//! An error that applies to every item: a restore stops instead of listing each of them.

use crate::error::{Error, Result};

/// Items that the endpoint must refuse for the same reason, before it has accepted any, for the run to stop.
const REFUSALS: u32 = 100;

/// Finds an error that applies to every item, such as a table whose key cannot be used.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    /// The last reason, and how many items in a row were refused for it.
    reason: String,
    count: u32,
    is_any_accepted: bool,
}

impl Refusals {
    /// Counts an item that the endpoint refused.
    ///
    /// # Errors
    /// It refuses every item.
    pub(crate) fn refused(&mut self, reason: &str) -> Result<()> {
        if self.reason != reason {
            reason.clone_into(&mut self.reason);
            self.count = 0;
        }

        self.count += 1;
        if !self.applies_to_all() {
            return Ok(());
        }

        Err(Error::failed(format!(
            "no item was accepted; {REFUSALS} in a row were refused: {reason}"
        ))
        .with_hint("fix the cause, then run the same command again"))
    }

    /// Notes that the endpoint accepted an item, or found another item with its key.
    pub(crate) fn accepted(&mut self) {
        self.is_any_accepted = true;
    }

    /// Whether the error applies to every item.
    pub(crate) fn applies_to_all(&self) -> bool {
        self.count >= REFUSALS && !self.is_any_accepted
    }
}
