//! Counts of items by properties that matter to the table that they are restored into.

use std::collections::BTreeMap;

use crate::item::{Expiry, IndexKeys};

/// Counts of items that have expired, and of items that violate the keys of indexes.
#[derive(Debug, Clone, Default)]
pub struct ItemCounter {
    expiry: Option<Expiry>,
    index_keys: IndexKeys,
    expired: u64,
    violations: Vec<u64>,
}

impl ItemCounter {
    /// A counter of items that have expired by `expiry`, and of items that violate one of `index_keys`.
    #[must_use]
    pub fn new(expiry: Option<Expiry>, index_keys: IndexKeys) -> Self {
        Self {
            expiry,
            violations: index_keys.zeros(),
            index_keys,
            expired: 0,
        }
    }

    /// Whether there is anything to count.
    pub(crate) fn is_needed(&self) -> bool {
        self.expiry.is_some() || !self.violations.is_empty()
    }

    /// Counts a valid item.
    pub(crate) fn count(&mut self, item: &[u8]) {
        if self
            .expiry
            .as_ref()
            .is_some_and(|expiry| expiry.is_past(item))
        {
            self.expired += 1;
        }

        // Only text that is not an item has no result.
        let _ = self.index_keys.count(item, &mut self.violations);
    }

    /// Number of items that have expired; `None` without a TTL.
    pub(crate) fn expired(&self) -> Option<u64> {
        self.expiry.as_ref().map(|_| self.expired)
    }

    /// Number of items that violate the key of each index; without zeros.
    pub(crate) fn index_violations(&self) -> BTreeMap<String, u64> {
        let names = self.index_keys.names().map(ToOwned::to_owned);
        let violations = names.zip(self.violations.iter().copied());
        violations.filter(|(_, items)| *items > 0).collect()
    }
}
