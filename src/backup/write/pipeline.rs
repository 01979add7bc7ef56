//! Writes the blocks of a data file: compresses on a pool of threads, writes in order and hashes,
//! all in parallel.
//!
//! ```text
//! blocks ──┬────────────────────────────► write thread ──► hash thread     (uncompressed)
//!          └─► compression threads ─► (in the order of the blocks) ─┘      (one frame per block)
//! ```
//!
//! A file of one block needs no thread: they are started when there is a second one.
//!
//! All queues are bounded, so memory depends neither on the length of the file nor on the number of
//! cores: about eight blocks, or five per thread with compression. Tables that are dumped in parallel share
//! that: each has smaller blocks, or fewer threads with fewer blocks. The first error ends the threads; the next call receives
//! it.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::block_writer::{
    Block, BlockWriter, EncodedBlock, InitialState, SyncCallback, WrittenFile,
};
use super::compressor::Compressor;
use crate::backup::format::Compression;
use crate::limits::{MemoryShare, cores};
use crate::place::output::Output;

/// Size of an uncompressed block: large enough to make system calls negligible, small enough for
/// CPU caches.
const PLAIN_BLOCK_BYTES: usize = 512 * 1024;

/// Input size of a compressed frame. A restore decompresses frames from many places of the file in turn, so their size bounds its
/// memory. Frames of 2 MiB would be 3 % (zstd) or 4 % (gzip) smaller in total.
const FRAME_BYTES: usize = 128 * 1024;

/// Blocks queued for a thread that writes or hashes, and for each thread that compresses.
const QUEUED_BLOCKS: usize = 2;
const QUEUED_FRAMES: usize = 4;

/// Maximum number of compression threads, however many cores there are.
///
/// A dump may use 64 MB in all, of which about 16 MB belong to the program, its pages in flight and the open block. A thread takes up
/// to 8 MB: blocks of 128 KiB plus one item (up to [`QUEUED_FRAMES`], and one being compressed), their compressed frames, and 2 MB of
/// state of the compressor. Blocks without large items take a quarter of that.
const COMPRESSING_THREADS: usize = 4;

/// A block to compress.
struct CompressionJob {
    block: Block,
    reply: SyncSender<io::Result<EncodedBlock>>,
}

enum WriteCommand {
    Ready(EncodedBlock),
    Compressing(Receiver<io::Result<EncodedBlock>>),
    Sync(SyncCallback),
    End,
}

/// Writes the blocks of one data file. If dropped before it is finished, it syncs nothing.
pub(crate) struct WritePipeline {
    compression: Compression,
    block_bytes: usize,
    compressing_threads: usize,
    queued_frames: usize,
    stage: Stage,
}

/// A small file has one block, for which no thread is started.
enum Stage {
    /// At most one block was sent.
    Short {
        writer: BlockWriter,
        first: Option<Block>,
    },
    Threaded(Threads),
    /// It has failed or is finished.
    Ended,
}

impl WritePipeline {
    /// A pipeline whose threads are started when there is a second block.
    pub(crate) fn new(
        sink: Output,
        compression: Compression,
        memory: MemoryShare,
        begun: InitialState,
    ) -> Self {
        Self::on(cores().get(), sink, compression, memory, begun)
    }

    fn on(
        cores: usize,
        sink: Output,
        compression: Compression,
        memory: MemoryShare,
        begun: InitialState,
    ) -> Self {
        let (block_bytes, compressing_threads) = match compression {
            Compression::None => (memory.of(PLAIN_BLOCK_BYTES), 0),
            Compression::Gzip | Compression::Zstd => {
                (FRAME_BYTES, cores.min(memory.of(COMPRESSING_THREADS)))
            }
        };

        Self {
            compression,
            block_bytes,
            compressing_threads,
            queued_frames: memory.of(QUEUED_FRAMES),
            stage: Stage::Short {
                writer: BlockWriter::new(sink, begun),
                first: None,
            },
        }
    }

    /// Size at which a block should be sent.
    pub(crate) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// Sends a block of whole items and returns an empty one for reuse. Blocks while the queues are
    /// full.
    ///
    /// # Errors
    /// A thread cannot be started; the failure that ended the threads.
    pub(crate) fn send(&mut self, text: Vec<u8>, items: u64) -> io::Result<Vec<u8>> {
        let block = Block { text, items };
        if let Stage::Short { first, .. } = &mut self.stage
            && first.is_none()
        {
            *first = Some(block);
            return Ok(Vec::new());
        }

        self.threads()?.send(block)
    }

    /// Calls `then` when all blocks sent so far are synced. Does not wait.
    ///
    /// # Errors
    /// A thread cannot be started; the failure that ended the threads.
    pub(crate) fn when_synced(&mut self, then: SyncCallback) -> io::Result<()> {
        self.threads()?.enqueue(WriteCommand::Sync(then))
    }

    /// Writes and syncs everything.
    ///
    /// # Errors
    /// The output cannot be written; the failure that ended the threads.
    pub(crate) fn finish(mut self) -> io::Result<WrittenFile> {
        match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Short { mut writer, first } => {
                if let Some(block) = first {
                    writer.write(self.encode(block)?)?;
                }

                writer.finish()
            }
            Stage::Threaded(mut threads) => {
                threads.enqueue(WriteCommand::End)?;
                threads.join()
            }
            Stage::Ended => Err(ended_early()),
        }
    }

    fn encode(&self, block: Block) -> io::Result<EncodedBlock> {
        match Compressor::new(self.compression)? {
            Some(mut compressor) => block.encode(&mut compressor),
            None => Ok(EncodedBlock {
                bytes: block.text,
                frame: None,
            }),
        }
    }

    /// The threads. Starts them if necessary, with the first block if there is one.
    fn threads(&mut self) -> io::Result<&mut Threads> {
        let stage = match std::mem::replace(&mut self.stage, Stage::Ended) {
            Stage::Short { writer, first } => {
                let mut threads = Threads::start(self, writer)?;
                if let Some(block) = first {
                    threads.send(block)?;
                }

                Stage::Threaded(threads)
            }
            stage @ (Stage::Threaded(_) | Stage::Ended) => stage,
        };

        self.stage = stage;
        match &mut self.stage {
            Stage::Threaded(threads) => Ok(threads),
            Stage::Short { .. } | Stage::Ended => Err(ended_early()),
        }
    }
}

/// The threads and the queues between them. If dropped before the end is announced, they write the queued blocks.
struct Threads {
    queue: Option<SyncSender<WriteCommand>>,
    /// `None` without compression.
    jobs: Option<Sender<CompressionJob>>,
    used: Receiver<Vec<u8>>,
    writer: Option<JoinHandle<io::Result<WrittenFile>>>,
    pool: Vec<JoinHandle<()>>,
}

impl Threads {
    fn start(pipeline: &WritePipeline, mut writer: BlockWriter) -> io::Result<Self> {
        let (recycle, used) = mpsc::channel();
        let (sender, receiver) = mpsc::channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let mut pool = Vec::new();
        for _ in 0..pipeline.compressing_threads {
            if let Some(compressor) = Compressor::new(pipeline.compression)? {
                let (receiver, recycle) = (Arc::clone(&receiver), recycle.clone());
                pool.push(spawn("compress", move || {
                    compress_blocks(&receiver, &recycle, compressor);
                })?);
            }
        }

        // With compression, the pool returns the blocks; the hash thread then drops the frames.
        let recycle = pool.is_empty().then_some(recycle);
        writer.start_hash_thread(QUEUED_BLOCKS, recycle)?;

        let (queue, commands) =
            mpsc::sync_channel(QUEUED_BLOCKS.max(pool.len() * pipeline.queued_frames));
        let writer = spawn("write", move || write_blocks(writer, &commands))?;

        Ok(Self {
            queue: Some(queue),
            jobs: (!pool.is_empty()).then_some(sender),
            used,
            writer: Some(writer),
            pool,
        })
    }

    fn send(&mut self, block: Block) -> io::Result<Vec<u8>> {
        if self.jobs.is_none() {
            self.enqueue(WriteCommand::Ready(EncodedBlock {
                bytes: block.text,
                frame: None,
            }))?;
        } else {
            let (reply, encoded) = mpsc::sync_channel(1);
            self.enqueue(WriteCommand::Compressing(encoded))?;
            if let Some(jobs) = &self.jobs {
                // If the pool has ended, the reply's sender is dropped here, and the write thread
                // reports it.
                let _ = jobs.send(CompressionJob { block, reply });
            }
        }

        Ok(self.used.try_recv().unwrap_or_default())
    }

    fn enqueue(&mut self, next: WriteCommand) -> io::Result<()> {
        let sent = self
            .queue
            .as_ref()
            .is_some_and(|queue| queue.send(next).is_ok());
        if sent {
            Ok(())
        } else {
            self.join().and(Err(ended_early()))
        }
    }

    fn join(&mut self) -> io::Result<WrittenFile> {
        self.queue = None;
        self.jobs = None;
        let written = self
            .writer
            .take()
            .map_or_else(|| Err(ended_early()), joined);
        for thread in self.pool.drain(..) {
            thread.join().map_err(|_| panicked("compresses"))?;
        }

        written
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // No thread may write after the dump's lock is released. Errors of an abandoned dump are of
        // no interest.
        let _ = self.join();
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(name.to_owned()).spawn(work)
}

fn joined<T>(thread: JoinHandle<io::Result<T>>) -> io::Result<T> {
    thread.join().unwrap_or_else(|_| Err(panicked("writes")))
}

/// The error for a bug: a thread of the pipeline panicked. `action` is what it does to the dump.
fn panicked(action: &str) -> io::Error {
    io::Error::other(format!("the thread that {action} the dump panicked"))
}

fn ended_early() -> io::Error {
    io::Error::other("the threads that write the dump ended early")
}

/// Writes blocks in order until the end is announced. A queue that closes earlier means an
/// abandoned dump.
fn write_blocks(
    mut writer: BlockWriter,
    commands: &Receiver<WriteCommand>,
) -> io::Result<WrittenFile> {
    loop {
        match commands.recv().map_err(|_| ended_early())? {
            WriteCommand::Ready(block) => writer.write(block)?,
            // Compressing threads end early only if they panic.
            WriteCommand::Compressing(reply) => {
                let encoded = reply.recv().map_err(|_| panicked("compresses"))?;
                writer.write(encoded?)?;
            }
            WriteCommand::Sync(then) => writer.sync(then)?,
            WriteCommand::End => return writer.finish(),
        }
    }
}

fn compress_blocks(
    jobs: &Mutex<Receiver<CompressionJob>>,
    recycle: &Sender<Vec<u8>>,
    mut compressor: Compressor,
) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(CompressionJob { mut block, reply }) = job else {
            return;
        };

        let encoded = block.encode(&mut compressor);
        block.text.clear();

        // Both receivers may be gone if the dump is abandoned.
        let _ = recycle.send(block.text);
        let _ = reply.send(encoded);
    }
}

#[cfg(test)]
mod tests;
