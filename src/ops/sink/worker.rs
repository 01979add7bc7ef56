//! A sink whose work blocks, or takes a core for as long as the transfer runs: it runs on a thread of its own.

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::ops::chunk::Chunk;
use crate::ops::journal::{Settled, Settling};
use crate::ops::transfer::{Sink, SinkProgress};

/// Chunks that wait for the thread: enough to hide the time in which it gets one.
const MAX_CHUNKS: usize = 4;

/// Work that a thread does on the chunks of a transfer.
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

    /// Sends what is settled to `reply` when it is on disk. Drops it if there is nothing from which a later run could continue.
    ///
    /// # Errors
    /// The transfer must stop.
    fn settle(&mut self, _reply: SettledSender<P>) -> Result<()> {
        Ok(())
    }

    /// Ends the work before the last chunk. Returns what is settled, so that a later run can continue.
    ///
    /// # Errors
    /// The added items cannot be completed.
    fn stop(self) -> Result<Option<Settled<P>>> {
        Ok(None)
    }
}

/// Receives what a worker has settled.
pub(crate) type SettledSender<P> = oneshot::Sender<Settled<P>>;

enum Message<P> {
    Chunk(Box<Chunk<P>>),
    Settle(SettledSender<P>),
    End,
}

/// How a thread has ended.
enum WorkerEnd<P, T> {
    Finished(T),
    Stopped(Option<Settled<P>>),
}

type WorkerThread<P, T> = JoinHandle<Result<WorkerEnd<P, T>>>;

/// A sink that passes its chunks to a worker on a thread.
pub(crate) struct WorkerSink<P, W: ChunkWorker<P>> {
    /// The thread's task, for the error if it panics.
    name: &'static str,
    chunks: Option<mpsc::UnboundedSender<Message<P>>>,
    /// Number of chunks that are not processed.
    waiting: usize,
    settled: mpsc::UnboundedReceiver<SinkProgress>,
    thread: Option<WorkerThread<P, W::Output>>,
    output: Option<W::Output>,
    /// The settled state when the worker was stopped.
    last_settled: Option<Settled<P>>,
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
            last_settled: None,
        }
    }

    /// The result of the worker.
    ///
    /// # Errors
    /// The transfer did not end.
    pub(crate) fn into_output(self) -> Result<W::Output> {
        self.output
            .ok_or_else(|| Error::failed(format!("{} did not finish; this is a bug", self.name)))
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
        let end = joined.map_err(|error| {
            Error::failed(format!("{} stopped unexpectedly", self.name)).with_source(error)
        })??;
        match end {
            WorkerEnd::Finished(output) => self.output = Some(output),
            WorkerEnd::Stopped(settled) => self.last_settled = settled,
        }

        Ok(())
    }
}

impl<P: Send + 'static, W: ChunkWorker<P>> Sink<P> for WorkerSink<P, W> {
    fn has_room(&self) -> bool {
        self.waiting < MAX_CHUNKS
    }

    fn take(&mut self, chunk: Chunk<P>) -> Result<()> {
        self.waiting += 1;
        self.send(Message::Chunk(Box::new(chunk)));

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

    fn settle(&mut self) -> Result<Option<Settling<P>>> {
        if let Some(settled) = self.last_settled.take() {
            return Ok(Some(Box::new(|| Ok(Some(settled)))));
        }

        let (reply, settled) = oneshot::channel();
        self.send(Message::Settle(reply));

        // A worker that has nothing to save, or has ended, drops the sender.
        Ok(Some(Box::new(|| Ok(settled.blocking_recv().ok()))))
    }

    async fn stop(&mut self) -> Result<()> {
        // Without a message that says so, the end of the channel is not the end of the items.
        self.chunks = None;
        self.join().await
    }
}

/// Processes chunks until the end, or until the transfer stops before.
fn process<P, W: ChunkWorker<P>>(
    mut worker: W,
    mut messages: mpsc::UnboundedReceiver<Message<P>>,
    settled: &mpsc::UnboundedSender<SinkProgress>,
) -> Result<WorkerEnd<P, W::Output>> {
    while let Some(message) = messages.blocking_recv() {
        let chunk = match message {
            Message::Chunk(chunk) => *chunk,
            Message::Settle(reply) => {
                worker.settle(reply)?;
                continue;
            }
            Message::End => return worker.finish().map(WorkerEnd::Finished),
        };

        let progress = SinkProgress::Settled {
            items: chunk.items.len() as u64,
            bytes: chunk.items.text_bytes(),
        };

        worker.add(chunk)?;

        // Nobody listens any more if the transfer was dropped.
        let _ = settled.send(progress);
    }

    worker.stop().map(WorkerEnd::Stopped)
}
