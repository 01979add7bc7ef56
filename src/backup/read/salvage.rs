//! Reads the undamaged part of a dump.
//!
//! The data file is a sequence of pieces: items, and what cannot be read. A file with one item per
//! line is read line by line; a compressed file with an index, frame by frame, skipping damaged
//! frames and finding later frames if bytes were lost or inserted. Any other file is read up to the
//! damage. Damage that leaves an item well-formed is visible only in the checksum of the whole file.
//! The same file always has the same pieces, so the number of a piece is a position.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::damage::Damage;
use super::item_reader::{ItemReader, LineReader};
use super::source::Source;
use crate::backup::check::results::{CheckSummary, PROGRESS_ITEMS};
use crate::backup::format::JSON_HEAD;
use crate::backup::index::Frame;
use crate::backup::item_counter::ItemCounter;
use crate::error::{Error, ErrorKind, Result};
use crate::item::validate;
use crate::limits;
use crate::place::compression::{ByteStream, decompress};
use crate::place::part::Part;

/// Bytes read at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// Maximum text of one frame: a frame is closed after some MiB, but its last item may be long.
const FRAME_TEXT_BYTES: u64 = 8 * 1024 * 1024 + limits::ITEM_TEXT_BYTES as u64;

/// Lines inspected at the beginning of a file to determine its layout.
const LINES_LOOKED_AT: usize = 16;

/// Unreadable pieces listed in a plan.
const LISTED: usize = 10;

/// A part of a data file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its bytes, if it is a line of text.
    pub bytes: Bytes,
    /// Position and error.
    pub reason: String,
}

/// A piece of a damaged data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SalvagePiece {
    /// The JSON text of an item, on one line. It is valid.
    Item(Bytes),
    /// Something else.
    Unreadable(Unreadable),
}

/// Reads the pieces of a damaged data file in order.
pub struct SalvageReader(PieceReader);

impl SalvageReader {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// I/O errors.
    pub fn next_piece(&mut self) -> Result<Option<SalvagePiece>> {
        self.0.next()
    }
}

impl Source {
    /// Reads the pieces of a damaged data file; `None` for a source that is read normally.
    ///
    /// # Errors
    /// I/O errors.
    pub fn pieces(&self) -> Result<Option<SalvageReader>> {
        let (Some(damage), [part]) = (&self.damage, self.parts()) else {
            return Ok(None);
        };

        PieceReader::new(part, damage).map(SalvageReader).map(Some)
    }

    /// The known damage; `None` for a source that is read normally.
    #[must_use]
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_deref()
    }
}

/// Reads a salvaged source completely and counts readable and unreadable pieces.
pub(crate) fn check_salvaged(
    source: &Source,
    mut counter: ItemCounter,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<CheckSummary> {
    let Some(mut pieces) = source.pieces()? else {
        return Err(Error::failed(
            "the dump is not damaged: there is nothing to salvage",
        ));
    };

    let (mut items, mut text_bytes, mut unreadable) = (0, 0, 0);
    let (mut reported_items, mut reported_bytes) = (0, 0);
    let mut warnings = source.warnings().to_vec();
    warnings.extend(
        source
            .damage()
            .into_iter()
            .flat_map(|damage| damage.findings.iter().cloned()),
    );

    while let Some(piece) = pieces.next_piece()? {
        match piece {
            SalvagePiece::Item(text) => {
                items += 1;
                text_bytes += text.len() as u64;
                counter.count(&text);
            }
            SalvagePiece::Unreadable(piece) => {
                unreadable += 1;
                if unreadable <= LISTED as u64 {
                    warnings.push(piece.reason);
                }
            }
        }

        if items - reported_items >= PROGRESS_ITEMS {
            progress(items - reported_items, text_bytes - reported_bytes);
            (reported_items, reported_bytes) = (items, text_bytes);
        }
    }

    progress(items - reported_items, text_bytes - reported_bytes);

    if unreadable > LISTED as u64 {
        warnings.push(format!(
            "… and {} more unreadable entries",
            unreadable - LISTED as u64
        ));
    }

    Ok(CheckSummary {
        items,
        text_bytes,
        unreadable,
        expired: counter.expired(),
        index_violations: counter.index_violations(),
        data_sha256: source.data_sha256()?,
        warnings,
    })
}

/// The two methods of reading pieces.
enum PieceReader {
    /// Each line is an item.
    Lines(Box<LinePieceReader>),
    /// Another layout, read up to the damage.
    Items {
        items: Box<ItemReader<ByteStream>>,
        is_over: bool,
    },
}

struct LinePieceReader {
    frames: FrameReader,
    lines: Option<LineReader<ByteStream>>,
    /// Damage after the current lines.
    damage_after: Option<String>,
    /// Lines so far.
    line: u64,
}

impl PieceReader {
    fn new(part: &Part, damage: &Damage) -> Result<Self> {
        let mut frames = FrameReader::new(part, damage.frames.as_deref());
        if damage.frames.is_none() && !has_an_item_on_each_line(part)? {
            let (read, _) = frames
                .next()
                .unwrap_or_else(|| (Box::new(io::empty()), None));
            return Ok(Self::Items {
                items: Box::new(ItemReader::new(read)),
                is_over: false,
            });
        }

        Ok(Self::Lines(Box::new(LinePieceReader {
            frames,
            lines: None,
            damage_after: None,
            line: 0,
        })))
    }

    fn next(&mut self) -> Result<Option<SalvagePiece>> {
        match self {
            Self::Lines(lines) => lines.next(),
            Self::Items { is_over: true, .. } => Ok(None),
            Self::Items { items, is_over } => match items.next_item() {
                Ok(item) => Ok(item.map(|item| item_or_unreadable(item.line, item.text))),
                Err(error) if error.kind() == ErrorKind::Damaged => {
                    *is_over = true;
                    let reason = format!("nothing after this point can be read: {error}");
                    Ok(Some(SalvagePiece::Unreadable(Unreadable {
                        bytes: Bytes::new(),
                        reason,
                    })))
                }
                Err(error) => Err(error),
            },
        }
    }
}

impl LinePieceReader {
    fn next(&mut self) -> Result<Option<SalvagePiece>> {
        loop {
            let Some(lines) = &mut self.lines else {
                if let Some(reason) = self.damage_after.take() {
                    return Ok(Some(SalvagePiece::Unreadable(Unreadable {
                        bytes: Bytes::new(),
                        reason,
                    })));
                }

                let Some((read, damage_after)) = self.frames.next() else {
                    return Ok(None);
                };

                self.lines = Some(LineReader::new(read, BLOCK_BYTES));
                self.damage_after = damage_after;
                continue;
            };

            if let Some(line) = lines.next_line()? {
                self.line += 1;
                if let Some(piece) = piece(self.line, &line.text) {
                    return Ok(Some(piece));
                }
            } else {
                self.lines = None;
                // Damage of a stream without an index is known only at its end.
                self.damage_after = self.damage_after.take().or_else(|| self.frames.damage());
            }
        }
    }
}

/// Classifies a line; `None` for separators around the items.
fn piece(number: u64, line: &Bytes) -> Option<SalvagePiece> {
    let text = line.slice(..line.strip_suffix(b",").unwrap_or(line).len());
    if text.trim_ascii().is_empty()
        || *text == *JSON_HEAD.trim_ascii_end()
        || text.starts_with(b"],\"Count\":")
    {
        return None;
    }

    Some(item_or_unreadable(number, text))
}

/// The piece for a text that should be an item.
fn item_or_unreadable(line: u64, text: Bytes) -> SalvagePiece {
    match validate(&text) {
        Ok(()) => SalvagePiece::Item(text),
        Err(error) => SalvagePiece::Unreadable(Unreadable {
            // Copied: it may be kept for longer than the block that it was read with.
            bytes: Bytes::copy_from_slice(&text),
            reason: format!("line {line}: not an item: {error}"),
        }),
    }
}

/// Reads the frames of a part that can be read independently; the whole part without an index.
struct FrameReader {
    part: Part,
    /// Frames not read yet, if there is an index.
    frames: Option<VecDeque<Frame>>,
    /// Number of the next frame, from 1.
    number: u64,
    /// Offset of the next frame in the part.
    at: u64,
    /// Length of the file minus the length of all frames: bytes that were inserted, or lost if
    /// negative.
    shift: i64,
    is_read: bool,
    /// The error that ended a stream without an index.
    ended_by: Arc<Mutex<Option<String>>>,
}

impl FrameReader {
    fn new(part: &Part, frames: Option<&[Frame]>) -> Self {
        let counted = frames.into_iter().flatten().fold(0, |bytes: u64, frame| {
            bytes.saturating_add(frame.compressed)
        });
        let shift = part.bytes().checked_signed_diff(counted).unwrap_or(0);
        let frames = frames.map(|frames| frames.iter().copied().collect());
        Self {
            part: part.clone(),
            frames,
            number: 1,
            at: 0,
            shift,
            is_read: false,
            ended_by: Arc::default(),
        }
    }

    /// Returns the text of the next frame, and the damage after it.
    fn next(&mut self) -> Option<(ByteStream, Option<String>)> {
        let Some(frames) = &mut self.frames else {
            if std::mem::replace(&mut self.is_read, true) {
                return None;
            }

            let read: ByteStream = match self.part.text() {
                Ok(read) => Box::new(UntilDamage {
                    read,
                    ended_by: Arc::clone(&self.ended_by),
                }),
                Err(_) => Box::new(io::empty()),
            };

            return Some((read, None));
        };

        let frame = frames.pop_front()?;
        let text = self.frame(frame);
        self.at = self.at.saturating_add(frame.compressed);
        self.number += 1;

        Some(text)
    }

    fn damage(&self) -> Option<String> {
        self.ended_by
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Reads a frame at its offset, or at the offset shifted by the lost or inserted bytes.
    fn frame(&self, frame: Frame) -> (ByteStream, Option<String>) {
        let found = self.frame_at(self.at, frame);
        let moved = self
            .at
            .checked_add_signed(self.shift)
            .filter(|at| found.1.is_some() && *at != self.at);
        moved
            .map(|at| self.frame_at(at, frame))
            .filter(|moved| moved.1.is_none())
            .unwrap_or(found)
    }

    /// Reads the frame at an offset. A frame with a wrong checksum is dropped; of a truncated one,
    /// the complete lines are kept.
    fn frame_at(&self, at: u64, frame: Frame) -> (ByteStream, Option<String>) {
        let there = self.part.bytes().saturating_sub(at);
        let packed = self.part.read_from(at).take(frame.compressed);
        let mut text = Vec::new();
        let read = decompress(Box::new(packed)).and_then(|read| {
            read.take(FRAME_TEXT_BYTES.min(frame.bytes.saturating_add(1)))
                .read_to_end(&mut text)
        });
        let name = format!("frame {} of the data file (from byte {at})", self.number);
        let damage = match read {
            Ok(_) if text.len() as u64 == frame.bytes => {
                return (Box::new(io::Cursor::new(text)), None);
            }
            Ok(_) => "its length is wrong".to_owned(),
            Err(error) => error.to_string(),
        };

        // A complete frame with a wrong checksum: any of its lines may be damaged.
        if there >= frame.compressed {
            let lost = format!("{name} is damaged ({} items): {damage}", frame.items);
            return (Box::new(io::empty()), Some(lost));
        }

        // A truncated frame: its last line may be incomplete.
        text.truncate(memchr::memrchr(b'\n', &text).map_or(0, |end| end + 1));
        let lost = format!(
            "{name} is truncated: {there} of {} bytes, {} items",
            frame.compressed, frame.items
        );

        (Box::new(io::Cursor::new(text)), Some(lost))
    }
}

/// Treats damage as the end of the input, and keeps the error.
struct UntilDamage {
    read: ByteStream,
    ended_by: Arc<Mutex<Option<String>>>,
}

impl Read for UntilDamage {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.read.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let reason = format!("nothing after this point can be read: {error}");
                *self.ended_by.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                self.read = Box::new(io::empty());
                Ok(0)
            }
            other => other,
        }
    }
}

/// Whether a file has one item per line, judging by its name or beginning.
fn has_an_item_on_each_line(part: &Part) -> Result<bool> {
    if part.name().contains(".jsonl") {
        return Ok(true);
    }

    let beginning = || {
        FrameReader::new(part, None)
            .next()
            .map_or_else(|| Box::new(io::empty()) as ByteStream, |(read, _)| read)
    };

    let mut lines = LineReader::new(beginning(), BLOCK_BYTES);
    let Some(first) = lines.next_line()? else {
        return Ok(false);
    };

    if *first.text == *JSON_HEAD.trim_ascii_end() || is_item(&first.text) {
        return Ok(true);
    }

    // If the first line is damaged, the next lines decide. Other layouts have no item there.
    match ItemReader::new(beginning()).next_item() {
        Err(error) if error.kind() == ErrorKind::Damaged => {}
        Err(error) => return Err(error),
        Ok(_) => return Ok(false),
    }

    for _ in 1..LINES_LOOKED_AT {
        let Some(line) = lines.next_line()? else {
            break;
        };

        if is_item(line.text.strip_suffix(b",").unwrap_or(&line.text)) {
            return Ok(true);
        }
    }

    Ok(false)
}

fn is_item(line: &[u8]) -> bool {
    validate(line).is_ok_and(|()| !line.starts_with(b"{}"))
}

#[cfg(test)]
mod tests;
