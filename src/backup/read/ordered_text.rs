//! The text of a data file in the order of the segments, which is the order of the table's partitions.
//!
//! A Scan of several segments appends their pages as they arrive. The extents of the metadata tell which parts of the text belong to
//! which segment. Sorted by segment, they are one text in hash order, and offsets refer to it. A file of one segment, or without
//! extents, is read in its own order.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use crate::backup::index::{Extent, Frame};
use crate::backup::metadata::FileEntry;
use crate::error::Result;
use crate::limits;
use crate::place::Compression;
use crate::place::local::files::io_error;
use crate::place::part::Part;

/// Bytes of a compressed file that are read at first: more than most frames have.
const FIRST_READ: u64 = 64 * 1024;

/// Bytes that are searched for the end of a line at a time.
const SEARCHED_BYTES: usize = 64 * 1024;

/// Maximum text of one frame: a frame is ended after some MiB, but its last item may be long.
const FRAME_TEXT_BYTES: u64 = 8 * 1024 * 1024 + limits::ITEM_TEXT_BYTES as u64;

/// The text of a data file in the order of the segments.
pub(crate) struct OrderedText {
    part: Part,
    pieces: Vec<Piece>,
    frames: Option<FrameDecoder>,
    is_in_hash_order: bool,
}

/// A range of whole lines of the text that is contiguous in the file.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// Offset in the ordered text.
    at: u64,
    bytes: u64,
    /// Offset of its bytes in the file, or of the entry of the frame index that contains it.
    file_at: u64,
    /// The entry that contains it; of no meaning without compression.
    entry: Frame,
    /// Bytes of the entry's text before it.
    skip: u64,
}

impl Piece {
    fn end(&self) -> u64 {
        self.at + self.bytes
    }
}

impl OrderedText {
    /// The text of a data file of a dump with this number of segments. `None` if there is no index to read it by.
    pub(crate) fn new(part: &Part, entry: &FileEntry, segments: u32) -> Option<Self> {
        let frames = match &entry.frames {
            Some(frames) if is_complete_index(frames, entry) => Some(frames.as_slice()),
            None if part.compression() == Compression::None => None,
            _ => return None,
        };

        let length = match frames {
            Some(frames) => frames.iter().map(|frame| frame.bytes).sum(),
            None => entry.bytes,
        };
        let whole = [Extent {
            segment: 0,
            bytes: length,
        }];
        let extents = entry.extents.as_deref().unwrap_or(&whole);
        let ranges = in_order(extents, length)?;
        let pieces = match frames {
            Some(frames) => frame_pieces(&ranges, frames),
            None => plain_pieces(&ranges),
        };

        Some(Self {
            part: part.clone(),
            pieces,
            frames: frames.map(|_| FrameDecoder::default()),
            is_in_hash_order: segments == 1 || entry.extents.is_some(),
        })
    }

    pub(crate) fn is_in_hash_order(&self) -> bool {
        self.is_in_hash_order
    }

    /// Its length in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.pieces.last().map_or(0, Piece::end)
    }

    /// Average text of an entry of the frame index, which a reader holds in memory; 0 without compression.
    pub(crate) fn entry_bytes(&self) -> u64 {
        let entries = self.pieces.len().max(1) as u64;
        self.frames.as_ref().map_or(0, |_| self.bytes() / entries)
    }

    /// The first offset at or after `wanted` at which a reader may begin: a frame or, without compression, a line.
    pub(crate) fn next_start(&self, wanted: u64) -> Result<u64> {
        let index = self.pieces.partition_point(|piece| piece.end() <= wanted);
        let Some(piece) = self.pieces.get(index) else {
            return Ok(self.bytes());
        };

        if self.frames.is_some() {
            return Ok(piece.end());
        }

        let from = piece.file_at + (wanted - piece.at);
        let line = next_line(&self.part, from)
            .map_err(|error| io_error("read", self.part.path(), error))?;

        Ok((wanted + (line - from)).min(piece.end()))
    }

    /// Reads the text between two offsets.
    pub(crate) fn read(self: &Arc<Self>, from: u64, end: u64) -> OrderedTextReader {
        OrderedTextReader {
            next: self.pieces.partition_point(|piece| piece.end() <= from),
            text: Arc::clone(self),
            position: from,
            end,
            entry: None,
        }
    }
}

/// Reads a part of an ordered text.
pub(crate) struct OrderedTextReader {
    text: Arc<OrderedText>,
    /// Index of the piece that contains `position`.
    next: usize,
    position: u64,
    end: u64,
    /// The piece that is being decompressed.
    entry: Option<EntryReader>,
}

impl Read for OrderedTextReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.text.pieces.get(self.next).copied() else {
            return Ok(0);
        };

        let left = self.end.min(piece.end()).saturating_sub(self.position);
        let most = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }

        let buffer = &mut buffer[..most];
        let offset = self.position - piece.at;
        let count = match &self.text.frames {
            None => self
                .text
                .part
                .read_from(piece.file_at + offset)
                .read(buffer)?,
            Some(decoder) => self
                .entry
                .get_or_insert_with(|| EntryReader::new(&piece, offset))
                .read(buffer, decoder, &self.text.part)?,
        };

        if count == 0 {
            return Err(damaged("unexpected end"));
        }

        self.position += count as u64;
        if self.position == piece.end() {
            // Otherwise, the rest of the line would be taken for a part of another one.
            if buffer[count - 1] != b'\n' {
                return Err(damaged("an extent ends within a line"));
            }

            self.next += 1;
            self.entry = None;
        }

        Ok(count)
    }
}

/// Decompresses an entry of the frame index, one frame at a time.
struct EntryReader {
    /// Offset of the next frame in the file.
    file_at: u64,
    /// Bytes of the entry that have not been decompressed.
    left: Frame,
    /// Bytes of text to skip.
    skip: u64,
    /// The text of the last frame, and the offset of its unread rest.
    text: Vec<u8>,
    read: usize,
}

impl EntryReader {
    fn new(piece: &Piece, offset: u64) -> Self {
        Self {
            file_at: piece.file_at,
            left: piece.entry,
            skip: piece.skip + offset,
            text: Vec::new(),
            read: 0,
        }
    }

    fn read(
        &mut self,
        buffer: &mut [u8],
        decoder: &FrameDecoder,
        part: &Part,
    ) -> io::Result<usize> {
        while self.read == self.text.len() {
            if self.left.compressed == 0 {
                return Ok(0);
            }

            let compressed = decoder.decode(part, self.file_at, &self.left, &mut self.text)?;
            self.file_at += compressed;
            self.left.compressed -= compressed;
            self.left.bytes -= self.text.len() as u64;

            let skipped = self.skip.min(self.text.len() as u64);
            self.skip -= skipped;
            self.read = usize::try_from(skipped).map_err(io::Error::other)?;
        }

        let unread = &self.text[self.read..];
        let count = buffer.len().min(unread.len());
        buffer[..count].copy_from_slice(&unread[..count]);
        self.read += count;

        Ok(count)
    }
}

/// Decompresses single frames. Its memory is shared by all readers of a file.
#[derive(Default)]
struct FrameDecoder(Mutex<DecoderState>);

#[derive(Default)]
struct DecoderState {
    zstd: Option<zstd::bulk::Decompressor<'static>>,
    compressed: Vec<u8>,
}

impl FrameDecoder {
    /// Decompresses the frame at an offset of the file into `text`. `left` bounds its size. Returns its compressed length.
    fn decode(&self, part: &Part, at: u64, left: &Frame, text: &mut Vec<u8>) -> io::Result<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut length = left.compressed.min(FIRST_READ);

        loop {
            let wanted = usize::try_from(length).map_err(io::Error::other)?;
            state.compressed.resize(wanted, 0);
            part.read_from(at).read_exact(&mut state.compressed)?;

            text.clear();
            let most = left.bytes.min(FRAME_TEXT_BYTES);
            if let Some(compressed) = state.decode(most, text)? {
                return Ok(compressed as u64);
            }

            if length == left.compressed {
                return Err(damaged("a frame is incomplete"));
            }

            length = left.compressed.min(length * 4);
        }
    }
}

impl DecoderState {
    /// Decompresses the first frame. Returns its compressed length; `None` if it is incomplete.
    fn decode(&mut self, most: u64, text: &mut Vec<u8>) -> io::Result<Option<usize>> {
        if self.compressed.starts_with(&[0x1f, 0x8b]) {
            return gunzip(&self.compressed, most, text);
        }

        let Ok(length) = zstd::zstd_safe::find_frame_compressed_size(&self.compressed) else {
            return Ok(None);
        };

        let frame = &self.compressed[..length];
        let declared = zstd::zstd_safe::get_frame_content_size(frame)
            .ok()
            .flatten();
        let size = declared.unwrap_or(most).min(most);
        text.reserve_exact(usize::try_from(size).map_err(io::Error::other)?);

        let decompressor = match &mut self.zstd {
            Some(decompressor) => decompressor,
            none => none.insert(zstd::bulk::Decompressor::new()?),
        };
        decompressor
            .decompress_to_buffer(frame, text)
            .map_err(|error| damaged(&error.to_string()))?;

        Ok(Some(length))
    }
}

/// Decompresses the first gzip member. Returns its compressed length; `None` if it is incomplete.
fn gunzip(compressed: &[u8], most: u64, text: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut gzip = flate2::bufread::GzDecoder::new(compressed);
    // One byte more than allowed shows that the text is too long.
    match gzip.by_ref().take(most + 1).read_to_end(text) {
        Ok(_) if text.len() as u64 > most => Err(damaged("a frame is longer than its entry")),
        Ok(_) => Ok(Some(compressed.len() - gzip.into_inner().len())),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(damaged(&error.to_string())),
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the data is damaged: {what}"),
    )
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

/// The ranges of the text, start and end, in the order of their segments. `None` unless they cover exactly its length.
fn in_order(extents: &[Extent], length: u64) -> Option<Vec<(u64, u64)>> {
    let mut end = 0_u64;
    let mut ranges = Vec::with_capacity(extents.len());
    for extent in extents {
        let start = end;
        end = start.checked_add(extent.bytes)?;
        ranges.push((extent.segment, (start, end)));
    }

    // A stable sort: the ranges of a segment stay in their order.
    ranges.sort_by_key(|(segment, _)| *segment);

    (end == length).then(|| ranges.into_iter().map(|(_, range)| range).collect())
}

fn plain_pieces(ranges: &[(u64, u64)]) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(ranges.len());
    let mut at = 0;
    for (start, end) in ranges.iter().filter(|(start, end)| start < end) {
        pieces.push(Piece {
            at,
            bytes: end - start,
            file_at: *start,
            entry: Frame::from([0, 0, 0]),
            skip: 0,
        });
        at += end - start;
    }

    pieces
}

fn frame_pieces(ranges: &[(u64, u64)], frames: &[Frame]) -> Vec<Piece> {
    // Where each entry begins, in the text and in the file.
    let mut starts = Vec::with_capacity(frames.len());
    let (mut text, mut file) = (0, 0);
    for frame in frames {
        starts.push((text, file));
        text += frame.bytes;
        file += frame.compressed;
    }

    let mut pieces = Vec::with_capacity(frames.len());
    let mut at = 0;
    for (start, end) in ranges {
        let first = starts
            .partition_point(|(text, _)| text <= start)
            .saturating_sub(1);
        for ((text, file_at), entry) in starts.iter().zip(frames).skip(first) {
            if text >= end {
                break;
            }

            let (from, to) = ((*start).max(*text), (*end).min(text + entry.bytes));
            if from < to {
                pieces.push(Piece {
                    at,
                    bytes: to - from,
                    file_at: *file_at,
                    entry: *entry,
                    skip: from - text,
                });
                at += to - from;
            }
        }
    }

    pieces
}

/// The offset of the first line after `at`, or the end of the file.
fn next_line(part: &Part, mut at: u64) -> io::Result<u64> {
    let mut read = part.read_from(at);
    let mut block = vec![0; SEARCHED_BYTES];
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
