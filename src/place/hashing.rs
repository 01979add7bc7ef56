//! A reader that computes SHA-256 of everything read through it, on a separate thread. A small file is
//! hashed without a thread.

use std::io::{self, Read};
use std::mem;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use super::digest::finalize_hex;
use super::hash_thread::BlockHasher;

/// Bytes sent to the hash thread at a time.
const BLOCK_BYTES: usize = 256 * 1024;

/// Blocks queued for the hash thread.
const QUEUED_BLOCKS: usize = 4;

/// Running size and SHA-256 of the bytes read through a [`HashingReader`].
#[derive(Clone, Default)]
pub(crate) struct StreamHash(Arc<Mutex<HashState>>);

struct HashState {
    bytes: u64,
    /// Bytes not passed to the hasher yet.
    block: Vec<u8>,
    hasher: BlockHasher,
    /// Blocks that the hash thread has hashed, to be filled again. `None` without the thread.
    used: Option<Receiver<Vec<u8>>>,
}

impl StreamHash {
    fn add(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.bytes += bytes.len() as u64;
        state.block.extend_from_slice(bytes);

        if state.block.len() >= BLOCK_BYTES {
            state.hash_block()?;
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
        let state = self.state();
        let mut hasher = state.hasher.hasher()?;
        hasher.update(&state.block);

        Ok(finalize_hex(hasher))
    }

    fn state(&self) -> MutexGuard<'_, HashState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HashState {
    /// Passes the block to the hasher, and begins another one.
    fn hash_block(&mut self) -> io::Result<()> {
        if self.used.is_none() {
            let (sender, used) = mpsc::channel();

            // If no thread can be started, it continues on this one.
            let started = self.hasher.start_thread(QUEUED_BLOCKS, Some(sender));
            self.used = started.is_ok().then_some(used);
        }

        let block = mem::take(&mut self.block);
        let emptied = self.hasher.add(block)?;
        self.block = emptied
            .or_else(|| self.used.as_ref()?.try_recv().ok())
            .unwrap_or_default();

        Ok(())
    }
}

impl Default for HashState {
    fn default() -> Self {
        Self {
            bytes: 0,
            block: Vec::new(),
            hasher: BlockHasher::Inline(Sha256::new()),
            used: None,
        }
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
    use super::super::hash_thread::HashThread;
    use super::*;

    #[test]
    fn the_digest_covers_every_byte_in_order_and_can_be_continued() {
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

    #[test]
    fn a_hash_thread_that_panics_is_an_error_and_never_a_digest() {
        const PANICKED: &str = "the thread that computes the SHA-256 panicked";
        let seen = StreamHash::default();
        let (_, used) = mpsc::channel();
        let thread = HashThread::start_panicking();
        seen.state().hasher = BlockHasher::Threaded(thread);
        seen.state().used = Some(used);

        let content = io::repeat(b'x');
        let mut reader = HashingReader::new(content, seen.clone());
        let failure = io::copy(&mut reader, &mut io::sink()).unwrap_err();
        assert_eq!(failure.to_string(), PANICKED);

        for _ in 0..2 {
            assert_eq!(seen.sha256().unwrap_err().to_string(), PANICKED);
        }
    }
}
