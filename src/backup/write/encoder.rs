//! Encodes items into a data file: one item per line, with separators.
//!
//! Item text is not changed: [`Items`] are on one line already. Blocks end with a line, so every
//! compressed frame but the first begins with an item.

use std::io::{self, Write};

use sha2::Sha256;

use super::block_writer::{InitialState, WrittenFile};
use super::extents::ExtentRecorder;
use super::pipeline::WritePipeline;
use crate::backup::format::{Compression, DataFile, DataFormat, JSON_HEAD};
use crate::backup::index::Extent;
use crate::backup::progress::DataFileState;
use crate::item::Items;
use crate::limits::MemoryShare;
use crate::place::output::Output;

/// Writes one data file.
pub(crate) struct DataFileEncoder {
    kind: DataFile,
    pipeline: WritePipeline,
    block: Vec<u8>,
    block_items: u64,
    items: u64,
    text_bytes: u64,
    /// Length of the blocks that were sent.
    sent_bytes: u64,
    /// `None` if those of an interrupted dump are not known.
    extents: Option<ExtentRecorder>,
}

/// A complete data file.
#[derive(Debug)]
pub(crate) struct EncodedDataFile {
    /// Items in it.
    pub(crate) items: u64,
    /// Bytes of their text.
    pub(crate) text_bytes: u64,
    /// The file.
    pub(crate) file: WrittenFile,
    /// The segments of its items, if there are several.
    pub(crate) extents: Option<Vec<Extent>>,
}

impl DataFileEncoder {
    pub(crate) fn new(sink: Output, kind: DataFile, memory: MemoryShare) -> Self {
        let frames = (kind.compression != Compression::None).then(Vec::new);
        let pipeline = WritePipeline::new(
            sink,
            kind.compression,
            memory,
            InitialState {
                frames,
                ..InitialState::default()
            },
        );

        let mut block = Vec::new();
        if kind.format == DataFormat::Json {
            block.extend_from_slice(JSON_HEAD);
        }

        Self {
            kind,
            pipeline,
            block,
            block_items: 0,
            items: 0,
            text_bytes: 0,
            sent_bytes: 0,
            extents: Some(ExtentRecorder::new()),
        }
    }

    /// Resumes after saved progress. The output is positioned after the counted bytes, which `hasher`
    /// has seen.
    pub(crate) fn resume(
        sink: Output,
        (kind, memory): (DataFile, MemoryShare),
        hasher: Sha256,
        counted: DataFileState,
        tail: Vec<u8>,
    ) -> Self {
        let DataFileState {
            file_bytes: bytes,
            frames,
            extents,
            items,
            text_bytes,
            tail_items,
            ..
        } = counted;

        let sent_bytes = match (kind.compression, &frames) {
            (Compression::None, _) => Some(bytes),
            (_, frames) => frames
                .as_ref()
                .and_then(|frames| text_length(frames.iter().map(|frame| frame.bytes))),
        };
        let extents = extents.zip(sent_bytes).and_then(|(extents, sent_bytes)| {
            let length = sent_bytes.checked_add(tail.len() as u64)?;
            ExtentRecorder::resume(extents, length)
        });

        let pipeline = WritePipeline::new(
            sink,
            kind.compression,
            memory,
            InitialState {
                bytes,
                hasher,
                frames,
            },
        );

        Self {
            kind,
            pipeline,
            block: tail,
            block_items: tail_items,
            items,
            text_bytes,
            sent_bytes: sent_bytes.unwrap_or_default(),
            extents,
        }
    }

    /// Calls `then` when all items added so far are on disk or in the tail, which it receives. An
    /// incomplete block is not compressed for this, so frames do not depend on when progress is
    /// saved.
    pub(crate) fn when_synced(
        &mut self,
        then: impl FnOnce(DataFileState, Vec<u8>) + Send + 'static,
    ) -> io::Result<()> {
        if self.kind.compression == Compression::None && !self.block.is_empty() {
            self.send_block()?;
        }

        // A compressed block is still open: its items are stored uncompressed.
        let tail = self.block.clone();
        let (items, text_bytes, tail_items) = (self.items, self.text_bytes, self.block_items);
        let end = self.offset();
        let extents = self.extents.as_ref().map(|extents| extents.until(end));
        self.pipeline.when_synced(Box::new(move |synced| {
            let counted = DataFileState {
                file_bytes: synced.bytes,
                sha256: synced.sha256.clone(),
                frames: synced.frames.map(<[_]>::to_vec),
                extents,
                items,
                text_bytes,
                tail_bytes: tail.len() as u64,
                tail_items,
            };

            then(counted, tail);
        }))
    }

    /// Adds items of a segment in order.
    pub(crate) fn append(&mut self, items: &Items, segment: usize) -> io::Result<()> {
        for item in items.iter() {
            self.end_line(b",\n")?;
            self.begin_extent(segment as u64)?;
            self.block.extend_from_slice(item);
            self.block_items += 1;
            self.items += 1;
            self.text_bytes += item.len() as u64;
        }

        Ok(())
    }

    /// Begins an extent if the next item needs one.
    fn begin_extent(&mut self, segment: u64) -> io::Result<()> {
        let offset = self.offset();
        let Some(extents) = &mut self.extents else {
            return Ok(());
        };

        if !extents.needs_extent(segment, offset) {
            return Ok(());
        }

        // An extent of a compressed file begins with a frame.
        let is_compressed = self.kind.compression != Compression::None;
        if self.items == 0 || !is_compressed || self.block.is_empty() {
            extents.begin(segment, offset);
        } else if ExtentRecorder::may_end_frame(self.block.len()) {
            extents.begin(segment, offset);
            self.send_block()?;
        }

        Ok(())
    }

    /// Offset of the end of the text so far.
    fn offset(&self) -> u64 {
        self.sent_bytes + self.block.len() as u64
    }

    /// Ends the file and syncs it.
    pub(crate) fn finish(mut self) -> io::Result<EncodedDataFile> {
        self.end_line(b"\n")?;
        if self.kind.format == DataFormat::Json {
            writeln!(
                self.block,
                "],\"Count\":{0},\"ScannedCount\":{0}}}",
                self.items
            )?;
        }

        let end = self.offset();
        let extents = self.extents.as_ref().map(|extents| extents.until(end));

        self.send_block()?;
        let file = self.pipeline.finish()?;
        Ok(EncodedDataFile {
            items: self.items,
            text_bytes: self.text_bytes,
            file,
            extents: extents.filter(|extents| extents.len() > 1),
        })
    }

    /// Syncs what was sent, without ending the file.
    pub(crate) fn stop(self) -> io::Result<()> {
        self.pipeline.finish().map(drop)
    }

    /// Ends the previous item's line. Only now is it known whether a comma follows.
    fn end_line(&mut self, json_ending: &[u8]) -> io::Result<()> {
        if self.items == 0 {
            return Ok(());
        }

        self.block
            .extend_from_slice(if self.kind.format == DataFormat::Json {
                json_ending
            } else {
                b"\n"
            });

        let block_bytes = self.pipeline.block_bytes();
        if self.block.len() >= block_bytes {
            self.send_block()?;
            // A block that grew as needed would be twice as large: it ends with the item that exceeds its size.
            self.block.reserve(block_bytes + block_bytes / 8);
        }

        Ok(())
    }

    fn send_block(&mut self) -> io::Result<()> {
        let block = std::mem::take(&mut self.block);
        self.sent_bytes += block.len() as u64;
        self.block = self
            .pipeline
            .send(block, std::mem::take(&mut self.block_items))?;

        Ok(())
    }
}

/// The sum of lengths; `None` if it overflows.
fn text_length(mut lengths: impl Iterator<Item = u64>) -> Option<u64> {
    lengths.try_fold(0_u64, u64::checked_add)
}
