//! Stripes: parts of one data file that are read in parallel.
//!
//! A Scan returns items in hash order, so writing them in file order loads one partition of the
//! table after another. Reading stripes in turn spreads the writes over many partitions. A file is
//! split at line ends, a compressed file at frames of the index in the metadata. Offsets refer to
//! the text before compression.

use std::fmt::Display;
use std::io::{self, Read};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::errors::DAMAGED_HINT;
use super::item_reader::LineReader;
use super::source::{Source, SourceKind};
use crate::backup::format::JSON_HEAD;
use crate::backup::metadata::{FileEntry, Frame};
use crate::error::{Error, Result};
use crate::item::{ItemError, KeyMembers, KeySchema, ShapeCache, check_object};
use crate::place::Compression;
use crate::place::local::files::io_error;
use crate::place::part::Part;

/// Minimum size of a stripe: smaller ones do not justify a reader of their own.
const LEAST_BYTES: u64 = 256 * 1024;

/// Stripes of a compressed file: each needs a decompression window, about 2 MiB for zstd.
const PACKED_STRIPES: u64 = 2;

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
    lines: LineReader<Box<dyn Read + Send>>,
    /// Offset of the first line.
    base: u64,
    shape_cache: ShapeCache,
    /// The key to look for while items are checked.
    key: Option<KeySchema>,
    /// Reused memory for the canonical text of a key.
    identity: Vec<u8>,
    shown: String,
}

impl Source {
    /// Splits the data file into at most `most` stripes. `None` if it is not known to have one item
    /// per line: files of other tools, streams, compressed files without an index.
    ///
    /// # Errors
    /// An I/O error.
    pub fn stripes(&self, most: u64) -> Result<Option<Vec<Stripe>>> {
        let Some((part, entry)) = self.own_part() else {
            return Ok(None);
        };

        let ends = match &entry.frames {
            Some(frames) if is_complete_index(frames, entry) => {
                frame_ends(frames, most.min(PACKED_STRIPES))
            }
            None if part.compression() == Compression::None => line_ends(part, most)?,
            _ => return Ok(None),
        };

        let starts = std::iter::once(0).chain(ends.iter().copied());
        Ok(Some(
            starts
                .zip(&ends)
                .map(|(start, end)| Stripe { start, end: *end })
                .collect(),
        ))
    }

    /// Reads the items of a stripe from an offset, which is its start or the end of one of its
    /// items. With a `key`, the key's hash is computed in the same pass as the validation, if
    /// possible.
    ///
    /// # Errors
    /// The source has no stripes; I/O errors.
    pub fn stripe(
        &self,
        stripe: Stripe,
        from: u64,
        key: Option<&KeySchema>,
    ) -> Result<StripeReader> {
        let no_stripes =
            || Error::failed(format!("{} cannot be read in stripes", self.display_name()));
        let (part, entry) = self.own_part().ok_or_else(no_stripes)?;
        let read: Box<dyn Read + Send> = match &entry.frames {
            Some(frames) => decompress_from(part, frames, from)?,
            None => Box::new(part.read_from(from)),
        };
        let read = Box::new(read.take(stripe.end.saturating_sub(from)));
        Ok(StripeReader {
            lines: LineReader::new(read, BLOCK_BYTES),
            base: from,
            shape_cache: ShapeCache::new(key.cloned()),
            key: key.cloned(),
            identity: Vec::new(),
            shown: self.display_name(),
        })
    }

    /// The only part of a dump of this format.
    fn own_part(&self) -> Option<(&Part, &FileEntry)> {
        let [part] = self.parts() else {
            return None;
        };

        let metadata = self
            .metadata()
            .filter(|_| self.kind() == SourceKind::OwnDump)?;

        Some((part, metadata.files.get(part.name())?))
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

            if text.starts_with(b"]") {
                return Ok(None);
            }

            if *text != *JSON_HEAD.trim_ascii_end() {
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

/// Whether the index covers the whole file.
fn is_complete_index(frames: &[Frame], entry: &FileEntry) -> bool {
    let compressed = frames
        .iter()
        .try_fold(0_u64, |sum, frame| sum.checked_add(frame.compressed));
    let plain = frames
        .iter()
        .try_fold(0_u64, |sum, frame| sum.checked_add(frame.bytes));
    compressed == Some(entry.bytes) && plain.is_some()
}

/// Number of stripes for this many bytes.
fn stripe_count(bytes: u64, most: u64) -> u64 {
    (bytes / LEAST_BYTES).clamp(1, most.max(1))
}

/// Ideal ends of all stripes but the last.
fn wanted_ends(bytes: u64, count: u64) -> impl Iterator<Item = u64> {
    (1..count).map(move |number| bytes / count * number)
}

fn frame_ends(frames: &[Frame], most: u64) -> Vec<u64> {
    let bytes = frames.iter().map(|frame| frame.bytes).sum();
    let mut ends: Vec<u64> = Vec::new();
    let mut wanted = wanted_ends(bytes, stripe_count(bytes, most)).peekable();
    let mut at = 0;
    for frame in frames {
        at += frame.bytes;
        if wanted.peek().is_some_and(|wanted| *wanted <= at) && at < bytes {
            ends.push(at);
            while wanted.next_if(|wanted| *wanted <= at).is_some() {}
        }
    }

    ends.push(bytes);

    ends
}

fn line_ends(part: &Part, most: u64) -> Result<Vec<u64>> {
    let bytes = part.bytes();
    let mut ends: Vec<u64> = Vec::new();
    for wanted in wanted_ends(bytes, stripe_count(bytes, most)) {
        let end = next_line(part, wanted).map_err(|error| io_error("read", part.path(), error))?;
        if end < bytes && ends.last().is_none_or(|last| *last < end) {
            ends.push(end);
        }
    }

    ends.push(bytes);

    Ok(ends)
}

/// The offset of the first line after `at`, or the end of the file.
fn next_line(part: &Part, mut at: u64) -> io::Result<u64> {
    let mut read = part.read_from(at);
    let mut block = vec![0; BLOCK_BYTES];
    loop {
        let count = read.read(&mut block)?;
        if let Some(found) = memchr::memchr(b'\n', &block[..count]) {
            return Ok(at + found as u64 + 1);
        }

        if count == 0 {
            return Ok(at);
        }

        at += count as u64;
    }
}

/// Reads the text of a compressed file from an offset.
fn decompress_from(part: &Part, frames: &[Frame], from: u64) -> Result<Box<dyn Read + Send>> {
    // Skip whole frames without decompressing them, then the rest of one frame.
    let (mut text, mut packed) = (0, 0);
    for frame in frames {
        if text + frame.bytes > from {
            break;
        }

        text += frame.bytes;
        packed += frame.compressed;
    }

    let failed = |error| io_error("read", part.path(), error);
    let mut read = part.text_from(packed).map_err(failed)?;
    io::copy(&mut read.by_ref().take(from - text), &mut io::sink()).map_err(failed)?;

    Ok(read)
}

#[cfg(test)]
mod tests;
