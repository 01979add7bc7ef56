//! A sink whose work blocks, or takes a core for as long as the transfer runs: it runs on a thread of its own.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::ops::chunk::Chunk;
use crate::ops::transfer::{Sink, SinkProgress};

/// Chunks that wait for the thread: enough to hide the time in which it gets one.
const MAX_CHUNKS: usize = 4;

/// What a thread does with the chunks of a transfer.
pub(crate) trait ChunkWorker<P>: Send + Sized + 'static {
    /// The result after the last chunk.
    type Output: Send + 'static;

    /// Processes one chunk.
    ///
    /// # Errors
    /// The transfer must stop.
    fn add(&mut self, chunk: Chunk<P>) -> Result<()>;

    /// Completes the work after the last chunk.
    ///
    /// # Errors
    /// The work cannot be completed.
    fn finish(self) -> Result<Self::Output>;

    /// Ends the work before the last chunk, so that a later run can continue.
    ///
    /// # Errors
    /// What is needed to continue cannot be saved.
    fn stop(self) -> Result<()> {
        Ok(())
    }
}

enum Message<P> {
    Chunk(Chunk<P>),
    End,
}

/// A sink that passes its chunks to a worker on a thread.
pub(crate) struct WorkerSink<P, W: ChunkWorker<P>> {
    /// What the thread does, for the error if it panics.
    name: &'static str,
    chunks: Option<mpsc::UnboundedSender<Message<P>>>,
    /// Number of chunks that are not processed.
    waiting: usize,
    settled: mpsc::UnboundedReceiver<SinkProgress>,
    thread: Option<JoinHandle<Result<Option<W::Output>>>>,
    output: Option<W::Output>,
}

impl<P: Send + 'static, W: ChunkWorker<P>> WorkerSink<P, W> {
    /// Starts the thread. `name` says what it does, as in "writing the dump".
    pub(crate) fn start(name: &'static str, worker: W) -> Self {
        let (chunks, received) = mpsc::unbounded_channel();
        let (sender, settled) = mpsc::unbounded_channel();
        let thread = tokio::task::spawn_blocking(move || process(worker, received, &sender));

        Self {
            name,
            chunks: Some(chunks),
            waiting: 0,
            settled,
            thread: Some(thread),
            output: None,
        }
    }

    /// The result of the worker.
    ///
    /// # Errors
    /// The transfer did not end.
    pub(crate) fn into_output(self) -> Result<W::Output> {
        self.output.ok_or_else(|| {
            Error::failed(format!(
                "{} did not come to its end; this is a bug",
                self.name
            ))
        })
    }

    fn send(&self, message: Message<P>) {
        if let Some(chunks) = &self.chunks {
            // A thread that has failed says why when it is joined.
            let _ = chunks.send(message);
        }
    }

    /// Waits until the thread has ended.
    async fn join(&mut self) -> Result<()> {
        let Some(thread) = &mut self.thread else {
            return Ok(());
        };

        let joined = thread.await;
        self.thread = None;
        self.output = joined.map_err(|error| {
            Error::failed(format!("{} was cut off", self.name)).with_source(error)
        })??;

        Ok(())
    }
}

impl<P: Send + 'static, W: ChunkWorker<P>> Sink<P> for WorkerSink<P, W> {
    fn has_room(&self) -> bool {
        self.waiting < MAX_CHUNKS
    }

    fn take(&mut self, chunk: Chunk<P>) -> Result<()> {
        self.waiting += 1;
        self.send(Message::Chunk(chunk));

        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.send(Message::End);
        Ok(())
    }

    async fn progress(&mut self) -> Result<SinkProgress> {
        if let Some(settled) = self.settled.recv().await {
            self.waiting -= 1;
            return Ok(settled);
        }

        // The thread has ended: it is done, or it has failed.
        self.join().await?;

        Ok(SinkProgress::Finished)
    }

    async fn stop(&mut self) -> Result<()> {
        // Without a message that says so, the end of the channel is not the end of the items.
        self.chunks = None;
        self.join().await
    }
}

/// Processes chunks until the end. `None` if the transfer stops before.
fn process<P, W: ChunkWorker<P>>(
    mut worker: W,
    mut messages: mpsc::UnboundedReceiver<Message<P>>,
    settled: &mpsc::UnboundedSender<SinkProgress>,
) -> Result<Option<W::Output>> {
    while let Some(message) = messages.blocking_recv() {
        let Message::Chunk(chunk) = message else {
            return worker.finish().map(Some);
        };

        let progress = SinkProgress::Settled {
            items: chunk.items.len() as u64,
            bytes: chunk.items.text_bytes(),
        };

        worker.add(chunk)?;

        // Nobody listens any more if the transfer was dropped.
        let _ = settled.send(progress);
    }

    worker.stop()?;

    Ok(None)
}
