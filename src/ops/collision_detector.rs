//! Detection of items that have the same key after a transform.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::backup::{KeyCollisionFinder, KeyCollisions};
use crate::error::Result;
use crate::item::KeySchema;
use crate::ops::chunk::Chunk;
use crate::ops::transform_stage::Observer;
use crate::transform::Outcome;

/// Finds different items that have the same key after a transform.
pub(crate) struct CollisionDetector {
    source_key: KeySchema,
    target_key: KeySchema,
    /// Whether each item that is read is an item of its own, as in a Scan. In other sources, items with the same key are versions of
    /// one item.
    is_scan: bool,
    keys: KeyCollisionFinder,
    /// Number of items so far.
    number: u64,
    /// Number of items without a key.
    without_key: u64,
}

impl CollisionDetector {
    /// A detector that has seen no items.
    ///
    /// # Errors
    /// A temporary file cannot be created.
    pub(crate) fn new(source_key: KeySchema, target_key: KeySchema, is_scan: bool) -> Result<Self> {
        Ok(Self {
            source_key,
            target_key,
            is_scan,
            keys: KeyCollisionFinder::new()?,
            number: 0,
            without_key: 0,
        })
    }

    /// Adds the output of the transform for one item. An output without a key collides with no other.
    ///
    /// # Errors
    /// The disk is full.
    pub(crate) fn add(&mut self, item: &Bytes, outcome: &Outcome) -> Result<()> {
        let source_hash = self.source_key.hash128(item);
        let mut siblings = HashSet::new();

        for output in outcome.items(item) {
            self.number += 1;
            let Ok(target_hash) = self.target_key.hash128(output) else {
                self.without_key += 1;
                continue;
            };

            let source_hash = *source_hash.as_ref().unwrap_or(&target_hash);

            // Two outputs of one item are not versions of it: if they share a key, the second counts as another item.
            let is_version = siblings.insert(target_hash) && !self.is_scan;
            let identity = if is_version {
                source_hash
            } else {
                source_hash ^ u128::from(self.number)
            };

            self.keys.add(target_hash, identity, self.number)?;
        }

        Ok(())
    }

    /// A warning about outputs without a usable key, if there are any.
    pub(crate) fn warning(&self) -> Option<String> {
        if self.without_key == 0 {
            return None;
        }

        let key = self.target_key.names().collect::<Vec<_>>().join(", ");
        let (noun, verb) = if self.without_key == 1 {
            ("item", "has")
        } else {
            ("items", "have")
        };

        Some(format!(
            "{} {noun} that came out {verb} not the table's key ({key}): to restore this dump name the new one with --key-schema",
            self.without_key
        ))
    }

    /// Finds the collisions among all items added so far.
    ///
    /// # Errors
    /// The temporary file cannot be read.
    pub(crate) fn find(&self) -> Result<KeyCollisions> {
        self.keys.finish()
    }
}
/// What a [`CollisionObserver`] has found.
#[derive(Debug, Clone, Default)]
pub(crate) struct CollisionReport {
    pub(crate) collisions: KeyCollisions,
    /// A warning about items without a usable key.
    pub(crate) warning: Option<String>,
}

/// Looks for collisions among the items of a transfer.
pub(crate) struct CollisionObserver {
    detector: CollisionDetector,
    /// Set when all items were seen.
    found: Arc<OnceLock<CollisionReport>>,
}

impl CollisionObserver {
    /// An observer that leaves what it has found in `found`.
    pub(crate) fn new(detector: CollisionDetector, found: Arc<OnceLock<CollisionReport>>) -> Self {
        Self { detector, found }
    }
}

impl<P> Observer<P> for CollisionObserver {
    fn observe(&mut self, chunk: &mut Chunk<P>) -> Result<()> {
        for (index, item) in chunk.original_items().iter().enumerate() {
            self.detector.add(item, chunk.outcome(index))?;
        }

        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let report = CollisionReport {
            collisions: self.detector.find()?,
            warning: self.detector.warning(),
        };

        // A transfer ends once, so nothing is set yet.
        let _ = self.found.set(report);

        Ok(())
    }
}
