//! Check of the digest over all items, which does not depend on their order.

use crate::backup::read::errors::DAMAGED_HINT;
use crate::backup::read::source::Source;
use crate::error::{Error, Result};
use crate::item::{SetDigest, item_digest};

/// Compares the order-independent digest of the items with the metadata.
pub(crate) struct SetDigestCheck {
    found: SetDigest,
    expected: String,
}

impl SetDigestCheck {
    pub(crate) fn new(expected: String) -> Self {
        Self {
            found: SetDigest::default(),
            expected,
        }
    }

    /// Adds an item. Invalid items are reported elsewhere.
    pub(crate) fn add(&mut self, item: &[u8]) {
        if let Ok(digest) = item_digest(item) {
            self.found.add(digest);
        }
    }

    pub(crate) fn finish(&self, source: &Source) -> Result<()> {
        if self.found.to_string() == self.expected {
            return Ok(());
        }

        let shown = source.display_name();
        Err(Error::damaged(format!(
            "the items of {shown} are not those that were dumped: digest mismatch"
        ))
        .with_hint(DAMAGED_HINT))
    }
}
