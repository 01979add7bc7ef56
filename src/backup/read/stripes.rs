//! Stripes: parts of one data file that are read in parallel.
//!
//! A Scan returns items in hash order, so writing them in file order loads one partition of the table after another. Reading stripes
//! in turn spreads the writes over many partitions. Offsets refer to the text in the order of its segments (see `ordered_text`). It is
//! split at line ends, a compressed file at frames.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::errors::DAMAGED_HINT;
use super::item_reader::LineReader;
use super::ordered_text::{OrderedText, OrderedTextReader};
use super::source::{Source, SourceKind};
use crate::backup::format::JSON_HEAD;
use crate::error::{Error, Result};
use crate::item::{ItemError, KeyMembers, KeySchema, ShapeCache, check_object};

/// Minimum size of a stripe: smaller ones do not justify a reader of their own.
const LEAST_BYTES: u64 = 256 * 1024;

/// Items of at least this size are copied, so that they do not keep their block in memory.
const LARGE_ITEM: usize = 16 * 1024;

/// Bytes read at a time for each stripe.
const BLOCK_BYTES: usize = 64 * 1024;

/// A range of a data file's uncompressed text, from the beginning of a line to the end of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stripe {
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// An item of a stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StripedItem {
    /// Its JSON text, on one line.
    pub text: Bytes,
    /// Offset after its line: where reading continues.
    pub end: u64,
    /// 128-bit hash of its key, if it was found while the item was checked.
    pub key_hash: Option<u128>,
}

/// Reads the items of a stripe.
pub struct StripeReader {
    lines: LineReader<OrderedTextReader>,
    /// Offset of the first line.
    base: u64,
    shape_cache: ShapeCache,
    /// The key to look for while items are checked.
    key: Option<KeySchema>,
    /// Reused memory for the canonical text of a key.
    identity: Vec<u8>,
    shown: String,
}

/// The text of a data file that can be read in stripes.
pub struct StripedText {
    text: Arc<OrderedText>,
    shown: String,
}

impl Source {
    /// The text of the data file, if it can be read in stripes. `None` if it is not known to have one item per line: files of other
    /// tools, streams, compressed files without an index.
    #[must_use]
    pub fn striped_text(&self) -> Option<StripedText> {
        let [part] = self.parts() else {
            return None;
        };

        let metadata = self
            .metadata()
            .filter(|_| self.kind() == SourceKind::OwnDump)?;
        let entry = metadata.files.get(part.name())?;
        let text = OrderedText::new(part, entry, metadata.segments)?;

        Some(StripedText {
            text: Arc::new(text),
            shown: self.display_name(),
        })
    }
}

impl StripedText {
    /// Splits the text into at most `most` stripes.
    ///
    /// # Errors
    /// An I/O error.
    pub fn stripes(&self, most: u64) -> Result<Vec<Stripe>> {
        let bytes = self.text.bytes();
        let mut stripes: Vec<Stripe> = Vec::new();
        let mut start = 0;
        for wanted in wanted_ends(bytes, stripe_count(bytes, most)) {
            let end = self.text.next_start(wanted)?;
            if start < end && end < bytes {
                stripes.push(Stripe { start, end });
                start = end;
            }
        }

        stripes.push(Stripe { start, end: bytes });

        Ok(stripes)
    }

    /// Whether stripes are ranges of the partition key's hash, in order.
    #[must_use]
    pub fn is_in_hash_order(&self) -> bool {
        self.text.is_in_hash_order()
    }

    /// Approximate memory of the reader of a stripe in bytes, apart from its items.
    #[must_use]
    pub fn reader_bytes(&self) -> u64 {
        BLOCK_BYTES as u64 + self.text.entry_bytes()
    }

    /// Reads the items of a stripe from an offset, which is its start or the end of one of its items. With a `key`, the key's hash
    /// is computed in the same pass as the validation, if possible.
    #[must_use]
    pub fn read(&self, stripe: Stripe, from: u64, key: Option<&KeySchema>) -> StripeReader {
        let text = self.text.read(from, stripe.end);
        StripeReader {
            lines: LineReader::new(text, BLOCK_BYTES),
            base: from,
            shape_cache: ShapeCache::new(key.cloned()),
            key: key.cloned(),
            identity: Vec::new(),
            shown: self.shown.clone(),
        }
    }
}

impl StripeReader {
    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged): a line is not an item; I/O errors.
    pub fn next_item(&mut self) -> Result<Option<StripedItem>> {
        while let Some(line) = self.lines.next_line()? {
            let end = self.base + line.end;
            let mut text = line.text;
            let length = text.strip_suffix(b",").unwrap_or(&text).len();
            text.truncate(length);

            if text.starts_with(b"{") && text.ends_with(b"}") {
                // The bytes become part of a request, so this must be exactly one item, whatever
                // the checksums say.
                let key_hash = self
                    .check(&text)
                    .map_err(|error| self.not_an_item(end, &error))?;

                let text = if length > LARGE_ITEM {
                    Bytes::copy_from_slice(&text)
                } else {
                    text
                };

                return Ok(Some(StripedItem {
                    text,
                    end,
                    key_hash,
                }));
            }

            // The beginning and the end of the file may be in the middle of the ordered text.
            if *text != *JSON_HEAD.trim_ascii_end() && !text.starts_with(b"]") {
                return Err(self.not_an_item(end, &"it is not a JSON object"));
            }
        }

        Ok(None)
    }

    /// Checks that `text` is exactly one JSON object, and returns the hash of its key if the fast
    /// path has seen the key.
    fn check(&mut self, text: &[u8]) -> Result<Option<u128>, ItemError> {
        let mut members = KeyMembers::default();
        if self.shape_cache.item_length_and_key(text, &mut members) != Some(text.len()) {
            check_object(text)?;
            return Ok(None);
        }

        let hash = self
            .key
            .as_ref()
            .and_then(|key| key.hash_members(members, &mut self.identity).ok());
        Ok(hash)
    }

    /// The error for the line that ends at `end`.
    fn not_an_item(&self, end: u64, what: &dyn Display) -> Error {
        let what = format!(
            "{}: the line before byte {end} is not an item: {what}",
            self.shown
        );
        Error::damaged(what).with_hint(DAMAGED_HINT)
    }
}

/// Number of stripes for this many bytes.
fn stripe_count(bytes: u64, most: u64) -> u64 {
    (bytes / LEAST_BYTES).clamp(1, most.max(1))
}

/// Ideal ends of all stripes but the last.
fn wanted_ends(bytes: u64, count: u64) -> impl Iterator<Item = u64> {
    (1..count).map(move |number| bytes / count * number)
}

#[cfg(test)]
mod tests;
