//! Writes the blocks of a data file in order, counts and hashes them, and syncs the file.

use std::io;
use std::sync::mpsc::Sender;

use sha2::Sha256;

use super::compressor::Compressor;
use crate::backup::index::{BoundedIndex, Frame};
use crate::place::digest::finalize_hex;
use crate::place::hash_thread::BlockHasher;
use crate::place::output::Output;

/// A complete output.
#[derive(Debug)]
pub(crate) struct WrittenFile {
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// SHA-256 of the file, in hex.
    pub(crate) sha256: String,
    /// Index of the frames of a compressed file.
    pub(crate) frames: Option<Vec<Frame>>,
}

/// State of the output before the first block: empty, or as an earlier run left it.
#[derive(Default)]
pub(crate) struct InitialState {
    /// Its length. The output is positioned at its end.
    pub(crate) bytes: u64,
    /// A hasher that has seen them.
    pub(crate) hasher: Sha256,
    /// Their frames, if they are compressed.
    pub(crate) frames: Option<Vec<Frame>>,
}

/// The synced part of a file that is still being written.
#[derive(Debug)]
pub(crate) struct SyncedData<'a> {
    /// Its length in bytes.
    pub(crate) bytes: u64,
    /// SHA-256 of these bytes, in hex.
    pub(crate) sha256: String,
    /// Their frames, if they are compressed.
    pub(crate) frames: Option<&'a [Frame]>,
}

/// Called when all earlier blocks are synced.
pub(crate) type SyncCallback = Box<dyn FnOnce(&SyncedData<'_>) + Send>;

/// Whole items for the output, not compressed yet.
pub(super) struct Block {
    pub(super) text: Vec<u8>,
    pub(super) items: u64,
}

impl Block {
    /// The bytes to write: compressed, if there is a compressor.
    pub(super) fn encode(&self, compressor: &mut Compressor) -> io::Result<EncodedBlock> {
        let bytes = compressor.compress(&self.text)?;
        let frame = Frame {
            bytes: self.text.len() as u64,
            compressed: bytes.len() as u64,
            items: self.items,
        };

        Ok(EncodedBlock {
            bytes,
            frame: Some(frame),
        })
    }
}

/// A block as it is written.
pub(super) struct EncodedBlock {
    pub(super) bytes: Vec<u8>,
    /// `None` without compression.
    pub(super) frame: Option<Frame>,
}

/// The output, and what is known of the blocks in it.
pub(super) struct BlockWriter {
    sink: Output,
    bytes: u64,
    hasher: BlockHasher,
    frames: Option<BoundedIndex<Frame>>,
}

impl BlockWriter {
    pub(super) fn new(sink: Output, begun: InitialState) -> Self {
        Self {
            sink,
            bytes: begun.bytes,
            hasher: BlockHasher::Inline(begun.hasher),
            frames: begun.frames.map(BoundedIndex::new),
        }
    }

    /// From now on, hashes on a separate thread, for which at most `queued_blocks` wait. It returns hashed blocks to `used`.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(super) fn start_hash_thread(
        &mut self,
        queued_blocks: usize,
        used: Option<Sender<Vec<u8>>>,
    ) -> io::Result<()> {
        self.hasher.start_thread(queued_blocks, used)
    }

    pub(super) fn write(&mut self, block: EncodedBlock) -> io::Result<()> {
        self.sink.write_all(&block.bytes)?;
        self.bytes += block.bytes.len() as u64;

        if let (Some(index), Some(frame)) = (&mut self.frames, block.frame) {
            index.push(frame);
        }

        self.hasher.add(block.bytes).map(drop)
    }

    /// Syncs everything written so far, and passes its state to `then`.
    pub(super) fn sync(&mut self, then: SyncCallback) -> io::Result<()> {
        self.sink.sync()?;
        then(&SyncedData {
            bytes: self.bytes,
            sha256: self.sha256()?,
            frames: self.frames.as_ref().map(BoundedIndex::entries),
        });

        Ok(())
    }

    /// Syncs everything.
    pub(super) fn finish(mut self) -> io::Result<WrittenFile> {
        self.sink.sync()?;

        Ok(WrittenFile {
            bytes: self.bytes,
            sha256: self.sha256()?,
            frames: self.frames.map(BoundedIndex::into_entries),
        })
    }

    fn sha256(&self) -> io::Result<String> {
        Ok(finalize_hex(self.hasher.hasher()?))
    }
}
