//! SHA-256 of what is read, computed beside the reading: the digest of a file costs about as much as looking at all its items,
//! so the two share the cores.
//!
//! Blocks go to a thread of their own through a short queue, so memory is bounded. A small file needs no thread.

use std::io::{self, Read};
use std::mem;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use sha2::{Digest, Sha256};

use super::digest::finalize_hex;

/// Bytes handed to the thread at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// Blocks that may wait for it.
const QUEUED_BLOCKS: usize = 4;

/// What has passed through a [`HashingReader`] reader.
#[derive(Clone, Default)]
pub(crate) struct StreamHash(Arc<Mutex<HashState>>);

#[derive(Default)]
struct HashState {
    bytes: u64,
    /// Bytes that no hasher has seen yet.
    block: Vec<u8>,
    hasher: Hasher,
}

enum Hasher {
    Inline(Sha256),
    Threaded(HashThread),
}

/// A hasher on a thread of its own. Blocks come back empty, to be filled again.
struct HashThread {
    blocks: SyncSender<Vec<u8>>,
    used: Receiver<Vec<u8>>,
    thread: JoinHandle<Sha256>,
}

impl StreamHash {
    fn add(&self, bytes: &[u8]) {
        let mut state = self.state();
        state.bytes += bytes.len() as u64;
        state.block.extend_from_slice(bytes);

        if state.block.len() >= BLOCK_BYTES {
            let block = mem::take(&mut state.block);
            state.block = state.hasher.add(block);
        }
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.state().bytes
    }

    /// Their SHA-256, in hex.
    pub(crate) fn sha256(&self) -> String {
        let mut state = self.state();
        let mut hasher = mem::take(&mut state.hasher).end();
        hasher.update(&state.block);
        state.block.clear();
        state.hasher = Hasher::Inline(hasher.clone());

        finalize_hex(hasher)
    }

    fn state(&self) -> MutexGuard<'_, HashState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::Inline(Sha256::new())
    }
}

impl Hasher {
    /// Takes a block, and gives an empty one in return.
    fn add(&mut self, mut block: Vec<u8>) -> Vec<u8> {
        if let Self::Inline(hasher) = self {
            let Ok(beside) = HashThread::start(hasher.clone()) else {
                // The system has no thread to spare.
                hasher.update(&block);
                block.clear();
                return block;
            };

            *self = Self::Threaded(beside);
        }

        let Self::Threaded(beside) = self else {
            return block;
        };

        // The thread lives as long as the queue is open.
        let _ = beside.blocks.send(block);

        beside.used.try_recv().unwrap_or_default()
    }

    /// The hasher when it has seen everything.
    fn end(self) -> Sha256 {
        match self {
            Self::Inline(hasher) => hasher,
            Self::Threaded(HashThread {
                blocks,
                used,
                thread,
            }) => {
                drop((blocks, used));
                thread.join().unwrap_or_default()
            }
        }
    }
}

impl HashThread {
    fn start(mut hasher: Sha256) -> io::Result<Self> {
        let (blocks, queue) = mpsc::sync_channel::<Vec<u8>>(QUEUED_BLOCKS);
        let (recycle, used) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("hash".to_owned())
            .spawn(move || {
                for mut block in queue {
                    hasher.update(&block);
                    block.clear();

                    // Nobody takes blocks any more once the last one is sent.
                    let _ = recycle.send(block);
                }

                hasher
            })?;

        Ok(Self {
            blocks,
            used,
            thread,
        })
    }
}

/// Hashes what is read through it.
pub(crate) struct HashingReader<R> {
    read: R,
    seen: StreamHash,
}

impl<R: Read> HashingReader<R> {
    pub(crate) fn new(read: R, seen: StreamHash) -> Self {
        Self { read, seen }
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.read.read(buffer)?;
        self.seen.add(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::digest::hex_sha256;
    use super::*;

    #[test]
    fn the_digest_is_of_every_byte_in_its_order_and_can_go_on() {
        let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
        for length in [0, 5, BLOCK_BYTES - 1, BLOCK_BYTES, content.len()] {
            let seen = StreamHash::default();
            let mut reader = HashingReader::new(&content[..length], seen.clone());
            io::copy(&mut reader, &mut io::sink()).unwrap();
            assert_eq!(
                (seen.bytes(), seen.sha256()),
                (length as u64, hex_sha256(&content[..length])),
                "{length}"
            );

            let mut rest = HashingReader::new(&content[length..], seen.clone());
            io::copy(&mut rest, &mut io::sink()).unwrap();
            assert_eq!(seen.sha256(), hex_sha256(&content), "{length}");
        }
    }
}
