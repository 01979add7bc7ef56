//! Items become the bytes of a data file: the frame around them, one item per line.
//!
//! Item text is not touched: [`Items`] are each on one line already. Blocks end where an item's line ends, so every compressed frame
//! but the first begins with an item at column 0.

use std::io::{self, Write};

use super::format::{DataFile, DataFormat, JSON_HEAD};
use super::pipeline::{Pipeline, Sink, Written};
use crate::item::Items;

/// Writes one data file.
pub(super) struct Encoder {
    format: DataFormat,
    pipeline: Pipeline,
    block: Vec<u8>,
    block_items: u64,
    items: u64,
    text_bytes: u64,
}

/// A data file that is on disk.
#[derive(Debug)]
pub(super) struct Encoded {
    /// Items in it.
    pub(super) items: u64,
    /// Bytes of their text.
    pub(super) text_bytes: u64,
    /// The file.
    pub(super) file: Written,
}

impl Encoder {
    pub(super) fn new(sink: Sink, kind: DataFile) -> io::Result<Self> {
        let pipeline = Pipeline::start(sink, kind.compression)?;
        let mut block = Vec::new();
        if kind.format == DataFormat::Json {
            block.extend_from_slice(JSON_HEAD);
        }
        Ok(Self { format: kind.format, pipeline, block, block_items: 0, items: 0, text_bytes: 0 })
    }

    /// Adds items in their order.
    pub(super) fn append(&mut self, items: &Items) -> io::Result<()> {
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
    pub(super) fn finish(mut self) -> io::Result<Encoded> {
        self.end_line(b"\n")?;
        if self.format == DataFormat::Json {
            writeln!(self.block, "],\"Count\":{0},\"ScannedCount\":{0}}}", self.items)?;
        }
        let block = std::mem::take(&mut self.block);
        self.pipeline.send(block, self.block_items)?;
        let file = self.pipeline.finish()?;
        Ok(Encoded { items: self.items, text_bytes: self.text_bytes, file })
    }

    /// Ends the line of the item before, if there is one; only then is it known whether a comma belongs there.
    fn end_line(&mut self, json_ending: &[u8]) -> io::Result<()> {
        if self.items == 0 {
            return Ok(());
        }
        self.block.extend_from_slice(if self.format == DataFormat::Json { json_ending } else { b"\n" });
        if self.block.len() >= self.pipeline.block_bytes() {
            let block = std::mem::take(&mut self.block);
            self.block = self.pipeline.send(block, std::mem::take(&mut self.block_items))?;
        }
        Ok(())
    }
}
