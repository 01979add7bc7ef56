//! Lanes: parts of one data file that are read in parallel.
//!
//! A Scan returns items in hash order, so writing them in file order loads one partition of the table after another. Reading lanes
//! in turn spreads the writes over many partitions. Offsets refer to the text in the order of its segments (see `ordered_text`). It is
//! split at line ends, a compressed file at frames.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::errors::damaged_hint;
use super::item_reader::LineReader;
use super::ordered_text::{OrderedText, OrderedTextReader};
use super::source::{Source, SourceKind};
use crate::backup::format::JSON_HEAD;
use crate::error::{Error, Result};
use crate::item::{ItemError, KeyMembers, KeySchema, ShapeCache, check_object};

/// Minimum size of a lane: smaller ones do not justify a reader of their own.
const LEAST_BYTES: u64 = 256 * 1024;

/// Bytes read at a time for each lane.
const BLOCK_BYTES: usize = 64 * 1024;

/// A range of a data file's uncompressed text, from the beginning of a line to the end of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// An item of a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneItem {
    /// Its JSON text, on one line.
    pub text: Bytes,
    /// Offset after its line: where reading continues.
    pub end: u64,
    /// 128-bit hash of its key, if it was found while the item was checked.
    pub key_hash: Option<u128>,
}

/// Reads the items of a lane.
pub struct LaneReader {
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

/// The text of a data file that can be read in lanes.
pub struct LaneText {
    text: Arc<OrderedText>,
    shown: String,
}

impl Source {
    /// The text of the data file, if it can be read in lanes. `None` if it is not known to have one item per line: files of other
    /// tools, streams, compressed files without an index.
    #[must_use]
    pub fn lane_text(&self) -> Option<LaneText> {
        let [part] = self.parts() else {
            return None;
        };

        let metadata = self
            .metadata()
            .filter(|_| self.kind() == SourceKind::OwnDump)?;
        let entry = metadata.files.get(part.name())?;
        let text = OrderedText::new(part, entry, metadata.segments)?;

        Some(LaneText {
            text: Arc::new(text),
            shown: self.display_name(),
        })
    }
}

impl LaneText {
    /// Splits the text into at most `most` lanes.
    ///
    /// # Errors
    /// An I/O error.
    pub fn lanes(&self, most: u64) -> Result<Vec<Lane>> {
        let bytes = self.text.bytes();
        let mut lanes: Vec<Lane> = Vec::new();
        let mut start = 0;
        for wanted in wanted_ends(bytes, lane_count(bytes, most)) {
            let end = self.text.next_start(wanted)?;
            if start < end && end < bytes {
                lanes.push(Lane { start, end });
                start = end;
            }
        }

        lanes.push(Lane { start, end: bytes });

        Ok(lanes)
    }

    /// Whether lanes are ranges of the partition key's hash, in order.
    #[must_use]
    pub fn is_in_hash_order(&self) -> bool {
        self.text.is_in_hash_order()
    }

    /// Approximate memory of the reader of a lane in bytes, apart from its items.
    #[must_use]
    pub fn reader_bytes(&self) -> u64 {
        BLOCK_BYTES as u64 + self.text.entry_bytes()
    }

    /// Reads the items of a lane from an offset, which is its start or the end of one of its items. With a `key`, the key's hash
    /// is computed in the same pass as the validation, if possible.
    #[must_use]
    pub fn read(&self, lane: Lane, from: u64, key: Option<&KeySchema>) -> LaneReader {
        let text = self.text.read(from, lane.end);
        LaneReader {
            lines: LineReader::new(text, BLOCK_BYTES),
            base: from,
            shape_cache: ShapeCache::new(key.cloned(), Arc::default()),
            key: key.cloned(),
            identity: Vec::new(),
            shown: self.shown.clone(),
        }
    }
}

impl LaneReader {
    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged): a line is not an item; I/O errors.
    pub fn next_item(&mut self) -> Result<Option<LaneItem>> {
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

                return Ok(Some(LaneItem {
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
        Error::damaged(what).with_hint(damaged_hint())
    }
}

/// Number of lanes for this many bytes.
fn lane_count(bytes: u64, most: u64) -> u64 {
    (bytes / LEAST_BYTES).clamp(1, most.max(1))
}

/// Ideal ends of all lanes but the last.
fn wanted_ends(bytes: u64, count: u64) -> impl Iterator<Item = u64> {
    (1..count).map(move |number| bytes / count * number)
}

#[cfg(test)]
mod tests;
