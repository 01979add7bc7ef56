//! Items through a transform, for whoever reads them: chunks go in on a thread of their own, results come out in order.
//!
//! Here, too, is what only the table can say of what comes out: whether the items have its key and are small enough, and whether
//! two that had different keys, or that stand for one item, now have the same.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;

use crate::backup::{KeyCollisionFinder, KeyCollisions};
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::item::{KeySchema, item_size};
use crate::limits::ITEM_BYTES;
use crate::place::LazyLinesFile;
use crate::transform::{Outcome, RejectReason, Transform, TransformOutput};

/// Items that go through a transform together.
pub(crate) const CHUNK_ITEMS: usize = 256;

/// Sends chunks through a transform. An error of `chunks` comes after the results of all chunks before it. Calls block.
///
/// # Errors
/// Threads or programs cannot be started.
pub(crate) fn through<T: Send + 'static>(
    transform: &Transform,
    reporter: &Arc<dyn Reporter>,
    chunks: impl Iterator<Item = Result<(Vec<Bytes>, T)>> + Send + 'static,
) -> Result<TransformOutput<T>> {
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let (feeder, results) = transform.start(threads, reporter)?;
    let feed = move || {
        for chunk in chunks {
            match chunk {
                Ok((items, tag)) => {
                    // The results say why it is refused.
                    if feeder.push(items, tag).is_err() {
                        return;
                    }
                }
                Err(error) => return feeder.fail(error),
            }
        }

        feeder.end();
    };

    let started = thread::Builder::new()
        .name("transform-feed".to_owned())
        .spawn(feed);
    started.map_err(|error| {
        Error::failed("a thread for the transform cannot be started").with_source(error)
    })?;

    Ok(results)
}

/// Limits an outcome to `most` items, at least one. Returns whether that dropped any.
pub(crate) fn cut_to(outcome: &mut Outcome, most: u64) -> bool {
    let Outcome::Several(items) = outcome else {
        return false;
    };

    let before = items.len();
    items.truncate(usize::try_from(most).unwrap_or(usize::MAX));

    items.len() < before
}

/// Bytes of the text of items.
pub(crate) fn bytes_of(items: &[Bytes]) -> u64 {
    items.iter().map(|item| item.len() as u64).sum()
}

/// How items, as they were read, are named in files and messages. Where values are masked, by their key alone, if that may be shown.
pub(crate) struct Naming {
    transform: Transform,
    key: KeySchema,
}

impl Naming {
    /// `key` is the key that the items have where they are read.
    pub(crate) fn new(transform: Transform, key: KeySchema) -> Self {
        Self { transform, key }
    }

    /// Adds a line `{"reason":…,"item":…}`; where values are masked, `{"reason":…,"key":…}`. If there is a transform, what it made of the
    /// item and the table refused follows as `"output":[…]`.
    pub(crate) fn list(
        &self,
        lines: &mut LazyLinesFile,
        reason: &str,
        item: &[u8],
        outputs: &[Bytes],
    ) -> Result<()> {
        let outputs =
            Some(outputs).filter(|outputs| !self.transform.is_empty() && !outputs.is_empty());
        if self.transform.masks().is_none() {
            return lines.append_with_reason(reason, "item", item, outputs);
        }

        let key = self.transform.displayable_key(item, &self.key);
        lines.append_with_reason(
            reason,
            "key",
            key.as_deref().unwrap_or("null").as_bytes(),
            outputs,
        )
    }

    /// Whether the key of an item must not be written.
    pub(crate) fn hides_key(&self, item: &[u8]) -> bool {
        self.transform.masks().is_some()
            && self.transform.displayable_key(item, &self.key).is_none()
    }

    /// The text to list in place of something that is not an item.
    pub(crate) fn unreadable(&self, text: &[u8]) -> String {
        if self.transform.masks().is_some() {
            return "null".to_owned();
        }

        serde_json::Value::from(String::from_utf8_lossy(text)).to_string()
    }

    /// Names an item that has this key, for an error.
    pub(crate) fn name(&self, item: &[u8], key: &KeySchema) -> String {
        const CHARACTERS: usize = 200;

        let beginning = || match self.transform.masks() {
            Some(_) => "(key not shown: it contains masked values)".to_owned(),
            None => String::from_utf8_lossy(item)
                .chars()
                .take(CHARACTERS)
                .collect(),
        };

        self.transform
            .displayable_key(item, key)
            .unwrap_or_else(beginning)
    }
}

/// Why a table does not take an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// It has no usable key.
    Key(String),
    /// It has so many bytes by DynamoDB's count.
    Size(u64),
}

impl Misfit {
    /// What is wrong with an item that a table with this key is to take.
    pub(crate) fn of(item: &[u8], key: &KeySchema) -> Option<Self> {
        if let Err(error) = key.hash128(item) {
            return Some(Self::Key(error.to_string()));
        }

        item_size(item)
            .ok()
            .filter(|size| *size > ITEM_BYTES)
            .map(Self::Size)
    }

    /// The first misfit of what a transform made. An item that it has not changed is the table's to judge.
    pub(crate) fn of_made(outcome: &Outcome, key: &KeySchema) -> Option<Self> {
        let made = match outcome {
            Outcome::Changed(item) => std::slice::from_ref(item),
            Outcome::Several(items) => items,
            Outcome::Unchanged | Outcome::Skipped | Outcome::Rejected(_) => &[],
        };

        made.iter().find_map(|item| Self::of(item, key))
    }

    /// What is wrong, in words.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Key(what) => what.clone(),
            Self::Size(bytes) => format!("{bytes} bytes; the limit for an item is {ITEM_BYTES}"),
        }
    }

    pub(crate) fn reason(&self) -> RejectReason {
        // The last step has searched the item for masked values, so that its names may be shown.
        RejectReason::internal(format!("after the transform: {}", self.words()))
    }
}

/// Finds items that come out with the same key although they are different items.
pub(crate) struct Meetings {
    from: KeySchema,
    to: KeySchema,
    /// Whether each item that is read is an item of its own, as in a Scan. In other sources, items with the same key are versions of
    /// one item.
    is_scan: bool,
    keys: KeyCollisionFinder,
    /// Items so far.
    number: u64,
    /// Of those, items without a key.
    keyless: u64,
}

impl Meetings {
    /// # Errors
    /// A temporary file cannot be made.
    pub(crate) fn new(from: KeySchema, to: KeySchema, is_scan: bool) -> Result<Self> {
        Ok(Self {
            from,
            to,
            is_scan,
            keys: KeyCollisionFinder::new()?,
            number: 0,
            keyless: 0,
        })
    }

    /// Takes what came out in place of an item. One without a key meets no other.
    ///
    /// # Errors
    /// The disk is full.
    pub(crate) fn take(&mut self, item: &Bytes, outcome: &Outcome) -> Result<()> {
        let before = self.from.hash128(item);
        let mut siblings = HashSet::new();
        for made in outcome.items(item) {
            self.number += 1;
            let Ok(key) = self.to.hash128(made) else {
                self.keyless += 1;
                continue;
            };

            let before = *before.as_ref().unwrap_or(&key);

            // Two outputs of one item are not versions of it: if they share a key, the second counts as another item.
            let is_version = siblings.insert(key) && !self.is_scan;
            let before = if is_version {
                before
            } else {
                before ^ u128::from(self.number)
            };

            self.keys.take(key, before, self.number)?;
        }

        Ok(())
    }

    /// What to tell of items that came out without a usable key, if any did.
    pub(crate) fn warning(&self) -> Option<String> {
        let key = self.to.names().collect::<Vec<_>>().join(", ");
        let (what, verb) = if self.keyless == 1 {
            ("item", "has")
        } else {
            ("items", "have")
        };

        let words = format!(
            "{} {what} that came out {verb} not the table's key ({key})",
            self.keyless
        );
        (self.keyless > 0)
            .then(|| format!("{words}: to restore this dump name the new one with --key-schema"))
    }

    /// # Errors
    /// The temporary file cannot be read.
    pub(crate) fn judge(&self) -> Result<KeyCollisions> {
        self.keys.judge()
    }
}
