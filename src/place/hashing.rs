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

use super::digest::hex;

/// Bytes handed to the thread at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// Blocks that may wait for it.
const QUEUED_BLOCKS: usize = 4;

/// What has passed through a [`Hashing`] reader.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    bytes: u64,
    /// Bytes that no hasher has seen yet.
    block: Vec<u8>,
    hasher: Hasher,
}

enum Hasher {
    Here(Sha256),
    Beside(Beside),
}

/// A hasher on a thread of its own. Blocks come back empty, to be filled again.
struct Beside {
    blocks: SyncSender<Vec<u8>>,
    used: Receiver<Vec<u8>>,
    thread: JoinHandle<Sha256>,
}

impl Seen {
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
        state.hasher = Hasher::Here(hasher.clone());

        hex(hasher)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Self::Here(Sha256::new())
    }
}

impl Hasher {
    /// Takes a block, and gives an empty one in return.
    fn add(&mut self, mut block: Vec<u8>) -> Vec<u8> {
        if let Self::Here(hasher) = self {
            let Ok(beside) = Beside::start(hasher.clone()) else {
                // The system has no thread to spare.
                hasher.update(&block);
                block.clear();
                return block;
            };

            *self = Self::Beside(beside);
        }

        let Self::Beside(beside) = self else {
            return block;
        };

        // The thread lives as long as the queue is open.
        let _ = beside.blocks.send(block);

        beside.used.try_recv().unwrap_or_default()
    }

    /// The hasher when it has seen everything.
    fn end(self) -> Sha256 {
        match self {
            Self::Here(hasher) => hasher,
            Self::Beside(Beside {
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

impl Beside {
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
pub(crate) struct Hashing<R> {
    read: R,
    seen: Seen,
}

impl<R: Read> Hashing<R> {
    pub(crate) fn new(read: R, seen: Seen) -> Self {
        Self { read, seen }
    }
}

impl<R: Read> Read for Hashing<R> {
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
            let seen = Seen::default();
            let mut reader = Hashing::new(&content[..length], seen.clone());
            io::copy(&mut reader, &mut io::sink()).unwrap();
            assert_eq!(
                (seen.bytes(), seen.sha256()),
                (length as u64, hex_sha256(&content[..length])),
                "{length}"
            );

            let mut rest = Hashing::new(&content[length..], seen.clone());
            io::copy(&mut rest, &mut io::sink()).unwrap();
            assert_eq!(seen.sha256(), hex_sha256(&content), "{length}");
        }
    }
}
