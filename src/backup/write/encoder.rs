//! Items become the bytes of a data file: the frame around them, one item per line.
//!
//! Item text is not touched: [`Items`] are each on one line already. Blocks end where an item's line ends, so every compressed frame
//! but the first begins with an item at column 0.

use std::io::{self, Write};

use sha2::Sha256;

use super::pipeline::{DataOutput, InitialState, WritePipeline, WrittenFile};
use crate::backup::checkpoint::DataFileState;
use crate::backup::format::{Compression, DataFile, DataFormat, JSON_HEAD};
use crate::item::Items;

/// Writes one data file.
pub(crate) struct DataFileEncoder {
    kind: DataFile,
    pipeline: WritePipeline,
    block: Vec<u8>,
    block_items: u64,
    items: u64,
    text_bytes: u64,
}

/// A data file that is on disk.
#[derive(Debug)]
pub(crate) struct EncodedDataFile {
    /// Items in it.
    pub(crate) items: u64,
    /// Bytes of their text.
    pub(crate) text_bytes: u64,
    /// The file.
    pub(crate) file: WrittenFile,
}

impl DataFileEncoder {
    pub(crate) fn new(sink: DataOutput, kind: DataFile) -> io::Result<Self> {
        let frames = (kind.compression != Compression::None).then(Vec::new);
        let pipeline = WritePipeline::start(
            sink,
            kind.compression,
            InitialState {
                frames,
                ..InitialState::default()
            },
        )?;

        let mut block = Vec::new();
        if kind.format == DataFormat::Json {
            block.extend_from_slice(JSON_HEAD);
        }

        Ok(Self {
            kind,
            pipeline,
            block,
            block_items: 0,
            items: 0,
            text_bytes: 0,
        })
    }

    /// Goes on where an earlier run has made a checkpoint. The sink stands behind the bytes it counts, which `hasher` has seen.
    pub(crate) fn resume(
        sink: DataOutput,
        kind: DataFile,
        hasher: Sha256,
        counted: DataFileState,
        tail: Vec<u8>,
    ) -> io::Result<Self> {
        let DataFileState {
            file_bytes: bytes,
            frames,
            items,
            text_bytes,
            tail_items,
            ..
        } = counted;

        let pipeline = WritePipeline::start(
            sink,
            kind.compression,
            InitialState {
                bytes,
                hasher,
                frames,
            },
        )?;

        Ok(Self {
            kind,
            pipeline,
            block: tail,
            block_items: tail_items,
            items,
            text_bytes,
        })
    }

    /// Does something once all items added so far can be counted: they are on disk or in the tail, which is handed over. Bytes
    /// that would be compressed are not sent for that: the frames do not depend on when this is called.
    pub(crate) fn when_synced(
        &mut self,
        then: impl FnOnce(DataFileState, Vec<u8>) + Send + 'static,
    ) -> io::Result<()> {
        if self.kind.compression == Compression::None && !self.block.is_empty() {
            let block = std::mem::take(&mut self.block);
            self.block = self
                .pipeline
                .send(block, std::mem::take(&mut self.block_items))?;
        }

        let tail = self.block.clone();
        let (items, text_bytes, tail_items) = (self.items, self.text_bytes, self.block_items);
        self.pipeline.when_synced(Box::new(move |synced| {
            let counted = DataFileState {
                file_bytes: synced.bytes,
                sha256: synced.sha256.clone(),
                frames: synced.frames.map(<[_]>::to_vec),
                items,
                text_bytes,
                tail_bytes: tail.len() as u64,
                tail_items,
            };

            then(counted, tail);
        }))
    }

    /// Adds items in their order.
    pub(crate) fn append(&mut self, items: &Items) -> io::Result<()> {
        for item in items.iter() {
            self.end_line(b",\n")?;
            self.block.extend_from_slice(item);
            self.block_items += 1;
            self.items += 1;
            self.text_bytes += item.len() as u64;
        }

        Ok(())
    }

    /// Ends the data and waits until it is on disk.
    pub(crate) fn finish(mut self) -> io::Result<EncodedDataFile> {
        self.end_line(b"\n")?;
        if self.kind.format == DataFormat::Json {
            writeln!(
                self.block,
                "],\"Count\":{0},\"ScannedCount\":{0}}}",
                self.items
            )?;
        }

        let block = std::mem::take(&mut self.block);
        self.pipeline.send(block, self.block_items)?;
        let file = self.pipeline.finish()?;
        Ok(EncodedDataFile {
            items: self.items,
            text_bytes: self.text_bytes,
            file,
        })
    }

    /// Waits until all that was sent is on disk, and leaves the data without its end.
    pub(crate) fn stop(self) -> io::Result<()> {
        self.pipeline.finish().map(drop)
    }

    /// Ends the line of the item before, if there is one; only then is it known whether a comma belongs there.
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

        if self.block.len() >= self.pipeline.block_bytes() {
            let block = std::mem::take(&mut self.block);
            self.block = self
                .pipeline
                .send(block, std::mem::take(&mut self.block_items))?;
        }

        Ok(())
    }
}
