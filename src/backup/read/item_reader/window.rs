//! The part of the input that is in memory: blocks, sliced without copying.
//!
//! Indices are relative to the consumed bytes, so they stay valid when more is read. The window
//! grows to the longest single value, at most [`limits::ITEM_TEXT_BYTES`], and shrinks to one block
//! after it.

use crate::error::{Error, ErrorKind, Result};
use crate::item::{JsonScanner, ScanStatus};
use crate::limits;
use bytes::{Bytes, BytesMut};
use std::io::{ErrorKind as IoErrorKind, Read};

/// Bytes of the first block: small files need no more, and each block is zeroed.
const FIRST_BLOCK_BYTES: usize = 8 * 1024;

const CUT_SHORT: &str = "unexpected end of text";

/// A window over the input.
pub(crate) struct InputWindow<R> {
    source: R,
    block_bytes: usize,
    block: Bytes,
    /// Index in `block` of the first unconsumed byte.
    start: usize,
    /// Offset of that byte in the input.
    offset: u64,
    /// Its line, from 1.
    line: u64,
    ended: bool,
}

impl<R: Read> InputWindow<R> {
    pub(crate) fn new(source: R, block_bytes: usize) -> Self {
        Self {
            source,
            block_bytes,
            block: Bytes::new(),
            start: 0,
            offset: 0,
            line: 1,
            ended: false,
        }
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// The unconsumed bytes in memory.
    #[inline]
    pub(crate) fn rest(&self) -> &[u8] {
        &self.block[self.start..]
    }

    /// Reads more; `false` at the end of the input.
    fn read_more(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }

        let kept = self.rest().len();
        let block_bytes = if self.block.is_empty() {
            self.block_bytes.min(FIRST_BLOCK_BYTES)
        } else {
            self.block_bytes
        };
        let length = if kept <= block_bytes / 2 {
            block_bytes
        } else {
            2 * kept
        };

        let mut block = self.take_block(length);
        let (count, read) = fill(&mut self.source, &mut block[kept..]);
        block.truncate(kept + count);
        self.block = block.freeze();
        read.map_err(|error| self.read_error(error))?;
        self.ended = kept + count < length;

        Ok(count > 0)
    }

    /// Returns a block of this length that begins with the unconsumed bytes. The old block is
    /// reused unless a slice of it exists: a new one must be zeroed.
    fn take_block(&mut self, length: usize) -> BytesMut {
        let start = std::mem::take(&mut self.start);
        let old = match std::mem::take(&mut self.block).try_into_mut() {
            Ok(mut block) if block.len() == length => {
                block.copy_within(start.., 0);
                return block;
            }
            Ok(block) => block.freeze(),
            Err(shared) => shared,
        };

        let mut block = BytesMut::zeroed(length);
        block[..old.len() - start].copy_from_slice(&old[start..]);

        block
    }

    /// Classifies a read error: decompressors report damage as one of three kinds of I/O errors.
    fn read_error(&self, error: std::io::Error) -> Error {
        let damaged = matches!(
            error.kind(),
            IoErrorKind::InvalidData | IoErrorKind::InvalidInput | IoErrorKind::UnexpectedEof
        );
        let kind = if damaged {
            ErrorKind::Damaged
        } else {
            ErrorKind::Failed
        };

        Error::new(
            kind,
            format!(
                "cannot read the items after line {}, byte {}",
                self.line, self.offset
            ),
        )
        .with_source(error)
    }

    /// The byte at index `at`; `None` at the end of the input.
    #[inline]
    pub(crate) fn peek(&mut self, at: usize) -> Result<Option<u8>> {
        loop {
            if let Some(byte) = self.block.get(self.start + at) {
                return Ok(Some(*byte));
            }

            if !self.read_more()? {
                return Ok(None);
            }
        }
    }

    /// The index and value of the first byte from `at` on that is not whitespace.
    pub(crate) fn peek_non_blank_at(&mut self, mut at: usize) -> Result<(usize, Option<u8>)> {
        loop {
            match self.peek(at)? {
                Some(b' ' | b'\t' | b'\n' | b'\r') => at += 1,
                byte => return Ok((at, byte)),
            }
        }
    }

    /// Consumes whitespace and returns the next byte without consuming it.
    #[inline]
    pub(crate) fn skip_blanks(&mut self) -> Result<Option<u8>> {
        loop {
            let byte = self.peek(0)?;
            match byte {
                Some(b' ' | b'\t' | b'\r') => {}
                Some(b'\n') => self.line += 1,
                _ => return Ok(byte),
            }

            self.skip(1);
        }
    }

    /// The index after the value that begins at index `at`.
    #[inline]
    pub(crate) fn value_end(&mut self, at: usize) -> Result<usize> {
        let mut scanner = JsonScanner::new();
        let mut seen = at;
        loop {
            let found = scanner.feed(self.rest().get(seen..).unwrap_or_default());
            match found {
                Ok(ScanStatus::Complete(length))
                    if seen + length - at <= limits::ITEM_TEXT_BYTES =>
                {
                    return Ok(seen + length);
                }
                Ok(ScanStatus::Incomplete)
                    if self.rest().len().saturating_sub(at) <= limits::ITEM_TEXT_BYTES => {}
                Ok(_) => return Err(too_long(&self.position(at))),
                Err(error) => {
                    return Err(self.damage_at(
                        seen + error.at,
                        self.within(at, seen + error.at, error.what),
                    ));
                }
            }

            seen = self.rest().len().max(at);

            if !self.read_more()? {
                return Err(self.cut_short(self.within(at, self.rest().len(), CUT_SHORT)));
            }
        }
    }

    /// Describes an error at index `at`, with the line on which the surrounding value begins if
    /// that differs: a damaged item often seems to extend over the lines after it.
    fn within(&self, value: usize, at: usize, what: &str) -> String {
        let feeds = |to: usize| line_feeds(&self.rest()[..to.min(self.rest().len())]);
        match feeds(value) {
            begin if begin < feeds(at) => format!(
                "{what}, in a value that starts on line {}",
                self.line + begin
            ),
            _ => what.to_owned(),
        }
    }

    /// Consumes `length` bytes without a line feed.
    #[inline]
    pub(crate) fn skip(&mut self, length: usize) {
        self.start += length;
        self.offset += length as u64;
    }

    /// Consumes `length` bytes.
    pub(crate) fn consume(&mut self, length: usize) -> Bytes {
        let taken = self.block.slice(self.start..self.start + length);
        self.line += line_feeds(&taken);
        self.skip(length);

        taken
    }

    /// Consumes `length` bytes without a line feed.
    #[inline]
    pub(crate) fn consume_line(&mut self, length: usize) -> Bytes {
        let taken = self.block.slice(self.start..self.start + length);
        self.skip(length);
        taken
    }

    /// Line and byte of index `at`, for messages.
    fn position(&self, at: usize) -> String {
        let before = &self.rest()[..at.min(self.rest().len())];
        format!(
            "line {}, byte {}",
            self.line + line_feeds(before),
            self.offset + at as u64
        )
    }

    /// The error for damage at index `at`.
    pub(crate) fn damage_at(&self, at: usize, what: impl std::fmt::Display) -> Error {
        Error::damaged(format!("{}: {what}", self.position(at)))
    }

    /// The error for input that ends too early.
    pub(crate) fn truncated(&self) -> Error {
        self.cut_short(CUT_SHORT)
    }

    fn cut_short(&self, what: impl std::fmt::Display) -> Error {
        self.damage_at(self.rest().len(), what)
            .with_hint("the file is truncated: copy it again or dump the table again")
    }
}

/// Reads until `block` is full or the input ends. Returns the number of bytes read and the result.
fn fill(source: &mut impl Read, block: &mut [u8]) -> (usize, std::io::Result<()>) {
    let mut count = 0;
    while count < block.len() {
        match source.read(&mut block[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == IoErrorKind::Interrupted => {}
            Err(error) => return (count, Err(error)),
        }
    }

    (count, Ok(()))
}

fn too_long(place: &str) -> Error {
    Error::damaged(format!(
        "{place}: a value of more than {} MiB",
        limits::ITEM_TEXT_BYTES >> 20
    ))
    .with_hint("no DynamoDB item is that long; the file must contain one object per item")
}

fn line_feeds(text: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', text).count() as u64
}
