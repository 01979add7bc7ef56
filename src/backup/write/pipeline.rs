//! Writes the blocks of a data file: compresses on a pool of threads, writes in order and hashes,
//! all in parallel.
//!
//! ```text
//! blocks ──┬────────────────────────────► write thread ──► hash thread     (uncompressed)
//!          └─► compression threads ─► (in the order of the blocks) ─┘      (one frame per block)
//! ```
//!
//! All queues are bounded, so memory depends neither on the length of the file nor on the number of
//! cores: about eight blocks, or five per thread with compression. Tables that are dumped in parallel share
//! that: each has smaller blocks, or fewer threads with fewer blocks. The first error ends the threads; the next call receives
//! it.

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use flate2::write::GzEncoder;
use sha2::Sha256;

use crate::backup::format::Compression;
use crate::backup::index::{BoundedIndex, Frame};
use crate::limits::MemoryShare;
use crate::place::digest::finalize_hex;
use crate::place::hash_thread::HashThread;
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

/// The default level of zstd.
const ZSTD_LEVEL: i32 = 3;

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

/// A block to compress.
struct CompressionJob {
    block: Vec<u8>,
    items: u64,
    reply: SyncSender<io::Result<OutputBlock>>,
}

/// A block ready to be written.
struct OutputBlock {
    bytes: Vec<u8>,
    frame: Option<Frame>,
}

enum WriteCommand {
    Ready(OutputBlock),
    Compressing(Receiver<io::Result<OutputBlock>>),
    Sync(SyncCallback),
    End,
}

/// The threads and the queues between them. If dropped before it is finished, it writes the queued
/// blocks without a sync.
pub(crate) struct WritePipeline {
    compression: Compression,
    block_bytes: usize,
    queue: Option<SyncSender<WriteCommand>>,
    jobs: Option<Sender<CompressionJob>>,
    used: Receiver<Vec<u8>>,
    writer: Option<JoinHandle<io::Result<WrittenFile>>>,
    pool: Vec<JoinHandle<()>>,
}

impl WritePipeline {
    /// Starts the threads.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(
        sink: Output,
        compression: Compression,
        memory: MemoryShare,
        begun: InitialState,
    ) -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, usize::from);

        Self::start_on(cores, sink, compression, memory, begun)
    }

    fn start_on(
        cores: usize,
        sink: Output,
        compression: Compression,
        memory: MemoryShare,
        begun: InitialState,
    ) -> io::Result<Self> {
        let (recycle, used) = mpsc::channel();
        let threads = match compression {
            Compression::None => 0,
            Compression::Gzip | Compression::Zstd => cores.min(memory.of(COMPRESSING_THREADS)),
        };

        let (sender, receiver) = mpsc::channel();
        let receiver = Arc::new(Mutex::new(receiver));
        let mut pool = Vec::new();
        for _ in 0..threads {
            if let Some(compressor) = Compressor::new(compression)? {
                let (receiver, recycle) = (Arc::clone(&receiver), recycle.clone());
                pool.push(spawn("compress", move || {
                    compress_blocks(&receiver, &recycle, compressor);
                })?);
            }
        }

        // With compression, the pool returns the blocks; the hash thread then drops the frames.
        let recycle = (compression == Compression::None).then_some(recycle);
        let (queue, blocks) =
            mpsc::sync_channel(QUEUED_BLOCKS.max(threads * memory.of(QUEUED_FRAMES)));
        let writer = Some(spawn("write", move || {
            write_blocks(sink, &blocks, recycle, begun)
        })?);
        Ok(Self {
            compression,
            block_bytes: match compression {
                Compression::None => memory.of(PLAIN_BLOCK_BYTES),
                Compression::Gzip | Compression::Zstd => FRAME_BYTES,
            },
            queue: Some(queue),
            jobs: (threads > 0).then_some(sender),
            used,
            writer,
            pool,
        })
    }

    /// Size at which a block should be sent.
    pub(crate) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// Sends a block of whole items and returns an empty one for reuse. Blocks while the queues are
    /// full.
    ///
    /// # Errors
    /// The failure that ended the threads.
    pub(crate) fn send(&mut self, block: Vec<u8>, items: u64) -> io::Result<Vec<u8>> {
        if self.compression == Compression::None {
            self.enqueue(WriteCommand::Ready(OutputBlock {
                bytes: block,
                frame: None,
            }))?;
        } else {
            let (reply, packed) = mpsc::sync_channel(1);
            self.enqueue(WriteCommand::Compressing(packed))?;
            if let Some(jobs) = &self.jobs {
                // If the pool has ended, the reply's sender is dropped here, and the write thread
                // reports it.
                let _ = jobs.send(CompressionJob {
                    block,
                    items,
                    reply,
                });
            }
        }

        Ok(self.used.try_recv().unwrap_or_default())
    }

    /// Calls `then` when all blocks sent so far are synced. Does not wait.
    ///
    /// # Errors
    /// The failure that ended the threads.
    pub(crate) fn when_synced(&mut self, then: SyncCallback) -> io::Result<()> {
        self.enqueue(WriteCommand::Sync(then))
    }

    /// Writes and syncs everything.
    ///
    /// # Errors
    /// The failure that ended the threads.
    pub(crate) fn finish(mut self) -> io::Result<WrittenFile> {
        self.enqueue(WriteCommand::End)?;
        self.join()
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

impl Drop for WritePipeline {
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
    mut sink: Output,
    blocks: &Receiver<WriteCommand>,
    recycle: Option<Sender<Vec<u8>>>,
    begun: InitialState,
) -> io::Result<WrittenFile> {
    let InitialState {
        mut bytes,
        hasher,
        frames,
    } = begun;
    let mut frames = frames.map(BoundedIndex::new);

    let hash = HashThread::start(hasher, QUEUED_BLOCKS, recycle)?;
    loop {
        let packed = match blocks.recv().map_err(|_| ended_early())? {
            WriteCommand::Ready(packed) => packed,
            // Compressing threads end early only if they panic.
            WriteCommand::Compressing(reply) => {
                reply.recv().map_err(|_| panicked("compresses"))??
            }
            WriteCommand::Sync(then) => {
                sink.sync()?;
                let sha256 = finalize_hex(hash.hasher()?);
                then(&SyncedData {
                    bytes,
                    sha256,
                    frames: frames.as_ref().map(BoundedIndex::entries),
                });

                continue;
            }
            WriteCommand::End => break,
        };

        sink.write_all(&packed.bytes)?;
        bytes += packed.bytes.len() as u64;

        if let (Some(index), Some(frame)) = (&mut frames, packed.frame) {
            index.push(frame);
        }

        hash.add(packed.bytes)?;
    }

    sink.sync()?;
    let sha256 = finalize_hex(hash.hasher()?);
    Ok(WrittenFile {
        bytes,
        sha256,
        frames: frames.map(BoundedIndex::into_entries),
    })
}

fn compress_blocks(
    jobs: &Mutex<Receiver<CompressionJob>>,
    recycle: &Sender<Vec<u8>>,
    mut compressor: Compressor,
) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(CompressionJob {
            mut block,
            items,
            reply,
        }) = job
        else {
            return;
        };

        let packed = compressor.compress(&block).map(|bytes| {
            let frame = Frame {
                bytes: block.len() as u64,
                compressed: bytes.len() as u64,
                items,
            };

            OutputBlock {
                bytes,
                frame: Some(frame),
            }
        });

        block.clear();

        // Both receivers may be gone if the dump is abandoned.
        let _ = recycle.send(block);
        let _ = reply.send(packed);
    }
}

/// Compresses frames: gzip without a timestamp, zstd with a checksum. Equal items give equal bytes, and damage is detected.
enum Compressor {
    Gzip,
    /// Its state is reused: it is larger than a frame.
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    /// `None` without compression.
    fn new(compression: Compression) -> io::Result<Option<Self>> {
        Ok(match compression {
            Compression::None => None,
            Compression::Gzip => Some(Self::Gzip),
            Compression::Zstd => {
                let mut zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
                zstd.include_checksum(true)?;
                Some(Self::Zstd(zstd))
            }
        })
    }

    fn compress(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        let mut frame = match self {
            Self::Gzip => {
                let packed = Vec::with_capacity(block.len() / 4);
                let mut gzip = GzEncoder::new(packed, flate2::Compression::default());
                gzip.write_all(block)?;
                gzip.finish()?
            }
            Self::Zstd(zstd) => zstd.compress(block)?,
        };

        frame.shrink_to_fit();

        Ok(frame)
    }
}

#[cfg(test)]
mod tests;
