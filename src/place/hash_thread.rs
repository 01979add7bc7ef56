//! SHA-256 of a stream of blocks, on a separate thread if they are many.
//!
//! Hashing costs about as much CPU as reading or writing the items, so the two run on different cores. The queue of blocks is short,
//! which bounds memory.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;

use sha2::{Digest, Sha256};

/// A thread that hashes blocks in the order in which they are added. It ends when this is dropped; earlier only if it panics.
pub(crate) struct HashThread(SyncSender<HashCommand>);

enum HashCommand {
    Block(Vec<u8>),
    /// Requests the hasher that has seen all blocks so far.
    State(SyncSender<Sha256>),
}

impl HashThread {
    /// Starts a thread that continues with `hasher`. At most `queued_blocks` wait for it. Hashed blocks are emptied and sent to
    /// `used`, to be filled again.
    ///
    /// # Errors
    /// The thread cannot be started.
    pub(crate) fn start(
        hasher: Sha256,
        queued_blocks: usize,
        used: Option<Sender<Vec<u8>>>,
    ) -> io::Result<Self> {
        Self::start_with(queued_blocks, move |commands| {
            hash_blocks(hasher, commands, used.as_ref());
        })
    }

    fn start_with(
        queued_blocks: usize,
        work: impl FnOnce(Receiver<HashCommand>) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, commands) = mpsc::sync_channel(queued_blocks);
        thread::Builder::new()
            .name("hash".to_owned())
            .spawn(move || work(commands))?;

        Ok(Self(sender))
    }

    /// Adds a block. Waits while the queue is full.
    ///
    /// # Errors
    /// The thread panicked.
    pub(crate) fn add(&self, block: Vec<u8>) -> io::Result<()> {
        self.send(HashCommand::Block(block))
    }

    /// A hasher that has seen all blocks so far.
    ///
    /// # Errors
    /// The thread panicked.
    pub(crate) fn hasher(&self) -> io::Result<Sha256> {
        let (reply, hasher) = mpsc::sync_channel(1);
        self.send(HashCommand::State(reply))?;
        hasher.recv().map_err(|_| panicked())
    }

    fn send(&self, command: HashCommand) -> io::Result<()> {
        self.0.send(command).map_err(|_| panicked())
    }

    /// A thread that panics at its first block.
    #[cfg(test)]
    pub(crate) fn start_panicking() -> Self {
        let work = |commands: Receiver<_>| {
            drop(commands.recv());
            panic!("provoked")
        };

        Self::start_with(1, work).expect("a thread")
    }
}

/// SHA-256 of blocks, computed where they are added or on a separate thread.
pub(crate) enum BlockHasher {
    Inline(Sha256),
    Threaded(HashThread),
}

impl BlockHasher {
    /// Hashes further blocks on a separate thread; see [`HashThread::start`].
    ///
    /// # Errors
    /// The thread cannot be started. Blocks are then hashed where they are added.
    pub(crate) fn start_thread(
        &mut self,
        queued_blocks: usize,
        used: Option<Sender<Vec<u8>>>,
    ) -> io::Result<()> {
        if let Self::Inline(hasher) = self {
            let thread = HashThread::start(hasher.clone(), queued_blocks, used)?;
            *self = Self::Threaded(thread);
        }

        Ok(())
    }

    /// Adds a block. Returns it emptied, unless the thread has it.
    ///
    /// # Errors
    /// The thread panicked.
    pub(crate) fn add(&mut self, mut block: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        match self {
            Self::Inline(hasher) => {
                hasher.update(&block);
                block.clear();
                Ok(Some(block))
            }
            Self::Threaded(thread) => thread.add(block).map(|()| None),
        }
    }

    /// A hasher that has seen all blocks so far.
    ///
    /// # Errors
    /// The thread panicked.
    pub(crate) fn hasher(&self) -> io::Result<Sha256> {
        match self {
            Self::Inline(hasher) => Ok(hasher.clone()),
            Self::Threaded(thread) => thread.hasher(),
        }
    }
}

/// The error for a bug: the thread panicked, so there is no digest.
fn panicked() -> io::Error {
    io::Error::other("the thread that computes the SHA-256 panicked")
}

fn hash_blocks(
    mut hasher: Sha256,
    commands: Receiver<HashCommand>,
    used: Option<&Sender<Vec<u8>>>,
) {
    for command in commands {
        match command {
            HashCommand::Block(mut block) => {
                hasher.update(&block);
                block.clear();

                if let Some(used) = used {
                    // After the last block, the receiver is gone.
                    let _ = used.send(block);
                }
            }
            HashCommand::State(reply) => {
                // Sending fails only if the requester has failed in the meantime.
                let _ = reply.send(hasher.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::digest::{finalize_hex, hex_sha256};

    #[test]
    fn a_digest_covers_all_blocks_so_far() {
        let begun = Sha256::new_with_prefix(b"begun");
        let (sender, used) = mpsc::channel();
        let thread = HashThread::start(begun, 2, Some(sender)).unwrap();
        let mut text = b"begun".to_vec();

        for _ in 0..2 {
            for number in 0..10_u8 {
                text.push(number);
                thread.add(vec![number]).unwrap();
            }

            let digest = finalize_hex(thread.hasher().unwrap());
            assert_eq!(digest, hex_sha256(&text));
        }

        drop(thread);
        assert_eq!(used.iter().filter(Vec::is_empty).count(), 20);
    }

    #[test]
    fn a_thread_that_panics_is_an_error_and_never_a_digest() {
        const PANICKED: &str = "the thread that computes the SHA-256 panicked";
        let thread = HashThread::start_panicking();
        let mut results = std::iter::repeat_with(|| thread.add(b"block".to_vec()));
        let failure = results.find_map(Result::err).expect("the thread ends");
        assert_eq!(failure.to_string(), PANICKED);
        assert_eq!(thread.hasher().unwrap_err().to_string(), PANICKED);

        let thread = HashThread::start_panicking();
        assert_eq!(thread.hasher().unwrap_err().to_string(), PANICKED);
    }
}
