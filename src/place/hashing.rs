//! A reader that computes SHA-256 of everything read through it, on a separate thread.
//!
//! Hashing costs about as much CPU as scanning the items, so the two run on different cores. Blocks
//! pass through a short queue, which bounds memory. A small file is hashed without a thread.

use std::io::{self, Read};
use std::mem;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use sha2::{Digest, Sha256};

use super::digest::finalize_hex;

/// Bytes sent to the hash thread at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// Blocks queued for the hash thread.
const QUEUED_BLOCKS: usize = 4;

/// Running size and SHA-256 of the bytes read through a [`HashingReader`].
#[derive(Clone, Default)]
pub(crate) struct StreamHash(Arc<Mutex<HashState>>);

#[derive(Default)]
struct HashState {
    bytes: u64,
    /// Bytes not passed to the hasher yet.
    block: Vec<u8>,
    hasher: Hasher,
}

enum Hasher {
    Inline(Sha256),
    Threaded(HashThread),
    /// The thread panicked. Its state is lost, so there is no digest.
    Failed,
}

/// A hasher on a separate thread. Blocks are returned empty, to be reused.
struct HashThread {
    blocks: SyncSender<Vec<u8>>,
    used: Receiver<Vec<u8>>,
    thread: JoinHandle<Sha256>,
}

impl StreamHash {
    fn add(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.bytes += bytes.len() as u64;
        state.block.extend_from_slice(bytes);

        if state.block.len() >= BLOCK_BYTES {
            let block = mem::take(&mut state.block);
            state.block = state.hasher.add(block)?;
        }

        Ok(())
    }

    /// Bytes read so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.state().bytes
    }

    /// SHA-256 of the bytes read so far, in hex.
    ///
    /// # Errors
    /// The thread that computes it panicked.
    pub(crate) fn sha256(&self) -> io::Result<String> {
        let mut state = self.state();
        let mut hasher = mem::replace(&mut state.hasher, Hasher::Failed).end()?;
        hasher.update(&state.block);
        state.block.clear();
        state.hasher = Hasher::Inline(hasher.clone());

        Ok(finalize_hex(hasher))
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
    /// Hashes a block and returns an empty one for reuse.
    fn add(&mut self, mut block: Vec<u8>) -> io::Result<Vec<u8>> {
        if let Self::Inline(hasher) = self {
            let Ok(hash_thread) = HashThread::start(hasher.clone()) else {
                // No thread can be started: hash on this one.
                hasher.update(&block);
                block.clear();
                return Ok(block);
            };

            *self = Self::Threaded(hash_thread);
        }

        let Self::Threaded(hash_thread) = self else {
            return Err(hash_thread_panicked());
        };

        // The thread ends before its queue does only if it panics.
        hash_thread
            .blocks
            .send(block)
            .map_err(|_| hash_thread_panicked())?;

        Ok(hash_thread.used.try_recv().unwrap_or_default())
    }

    /// Waits for the thread and returns the hasher.
    fn end(self) -> io::Result<Sha256> {
        match self {
            Self::Inline(hasher) => Ok(hasher),
            Self::Threaded(HashThread {
                blocks,
                used,
                thread,
            }) => {
                drop((blocks, used));
                thread.join().map_err(|_| hash_thread_panicked())
            }
            Self::Failed => Err(hash_thread_panicked()),
        }
    }
}

fn hash_thread_panicked() -> io::Error {
    io::Error::other("the thread that computes its SHA-256 panicked")
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

                    // The reader no longer takes blocks back after its last one.
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

/// A reader that hashes the bytes it passes on.
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
        self.seen.add(&buffer[..count])?;
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
                (seen.bytes(), seen.sha256().unwrap()),
                (length as u64, hex_sha256(&content[..length])),
                "{length}"
            );

            let mut rest = HashingReader::new(&content[length..], seen.clone());
            io::copy(&mut rest, &mut io::sink()).unwrap();
            assert_eq!(seen.sha256().unwrap(), hex_sha256(&content), "{length}");
        }
    }

    /// A hash whose thread has panicked.
    fn failed() -> StreamHash {
        let (blocks, queue) = mpsc::sync_channel(QUEUED_BLOCKS);
        let (_, used) = mpsc::channel();
        let thread = thread::spawn(move || -> Sha256 {
            drop(queue);
            panic!("provoked")
        });
        while !thread.is_finished() {
            thread::yield_now();
        }

        let seen = StreamHash::default();
        seen.state().hasher = Hasher::Threaded(HashThread {
            blocks,
            used,
            thread,
        });

        seen
    }

    #[test]
    fn a_hash_thread_that_panics_is_an_error_and_never_a_digest() {
        const PANICKED: &str = "the thread that computes its SHA-256 panicked";
        let seen = failed();
        for _ in 0..2 {
            assert_eq!(seen.sha256().unwrap_err().to_string(), PANICKED);
        }

        let content = vec![b'x'; BLOCK_BYTES];
        let read = |seen: StreamHash| {
            io::copy(&mut HashingReader::new(&content[..], seen), &mut io::sink())
        };
        assert_eq!(read(seen).unwrap_err().to_string(), PANICKED);
        assert_eq!(read(failed()).unwrap_err().to_string(), PANICKED);
    }
}
