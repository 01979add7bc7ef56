//! The step between a source and a sink: a transform, a limit, and observers that look at each chunk in passing.
//!
//! The limit counts items after the transform. Observers come after it: they see exactly what the sink gets.

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, Stream, StreamExt, TryStreamExt};
use tokio::runtime::Handle;

use super::chunk::Chunk;
use super::source::{ChunkSender, ChunkStream};
use crate::error::Result;
use crate::event::Reporter;
use crate::limits::cores;
use crate::transform::{ItemChunk, Transform};

/// Maximum number of items that go through the transform together, so that all cores work on one page.
const PART_ITEMS: usize = 256;

/// Number of chunks that wait for the sink.
const MAX_CHUNKS: usize = 8;

/// Looks at each chunk after the transform, in order, and may change its outcomes.
pub(crate) trait Observer<P>: Send {
    /// Looks at a chunk.
    ///
    /// # Errors
    /// The transfer must stop.
    fn observe(&mut self, chunk: &mut Chunk<P>) -> Result<()>;

    /// Whether no further chunk can matter: the transfer then ends as at a limit.
    fn has_seen_enough(&self) -> bool {
        false
    }

    /// Notes that all chunks were seen. It is not called if the transfer fails or is interrupted.
    ///
    /// # Errors
    /// The transfer has failed after all.
    fn end(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The transform and the observers of a transfer.
pub(crate) struct TransformStage<P> {
    transform: Transform,
    /// Maximum number of items that the sink gets.
    limit: Option<u64>,
    observers: Vec<Box<dyn Observer<P>>>,
}

impl<P: Send + 'static> TransformStage<P> {
    pub(crate) fn new(transform: Transform) -> Self {
        Self {
            transform,
            limit: None,
            observers: Vec::new(),
        }
    }

    /// Ends the stream after this number of items.
    pub(crate) fn with_limit(self, limit: Option<u64>) -> Self {
        Self { limit, ..self }
    }

    /// Adds an observer, which sees the chunks after those that were added before.
    pub(crate) fn observed_by(mut self, observer: impl Observer<P> + 'static) -> Self {
        self.observers.push(Box::new(observer));
        self
    }

    /// Connects the stage to a source. With nothing to do, the stream stays as it is.
    ///
    /// # Errors
    /// A thread or a program cannot be started.
    pub(crate) fn connect(
        self,
        mut source: ChunkStream<P>,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<ChunkStream<P>> {
        let has_work =
            !self.transform.is_empty() || self.limit.is_some() || !self.observers.is_empty();
        if !has_work {
            return Ok(source);
        }

        let (sender, stream) = ChunkStream::new(1, MAX_CHUNKS);
        let stream = stream.continues(&mut source);
        let chunks = if self.transform.is_empty() {
            chunks_of(source).boxed()
        } else {
            transformed(&self.transform, source, reporter)?
        };

        let forwarding = Forwarding {
            remaining: self.limit,
            observers: self.observers,
            sender,
        };
        tokio::task::spawn_blocking(move || forwarding.run(chunks));

        Ok(stream)
    }
}

/// The transfer has ended, so no chunk is needed.
struct NobodyReceives;

/// The thread between the transform and the sink.
struct Forwarding<P> {
    /// Number of items until the limit, if there is one.
    remaining: Option<u64>,
    observers: Vec<Box<dyn Observer<P>>>,
    sender: ChunkSender<P>,
}

impl<P> Forwarding<P> {
    /// Passes chunks on until they end, the limit is reached, an observer has seen enough, they cannot be read, or the receiver is gone.
    fn run(mut self, mut chunks: BoxStream<'static, Result<Chunk<P>>>) {
        let runtime = Handle::current();

        while !self.ends_early() {
            let next = runtime.block_on(async {
                tokio::select! {
                    biased;
                    () = self.sender.closed() => Err(NobodyReceives),
                    next = chunks.next() => Ok(next),
                }
            });

            let chunk = match next {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return self.end(false),
                Err(NobodyReceives) => return,
            };

            let is_received = match chunk.and_then(|chunk| self.prepare(chunk)) {
                Ok(chunk) => self.sender.blocking_send(chunk),
                Err(error) => return self.sender.blocking_fail(error),
            };

            if !is_received {
                return;
            }
        }

        // What reads further ends before the observers do their last work.
        drop(chunks);
        self.end(true);
    }

    /// Whether no further chunk is needed.
    fn ends_early(&self) -> bool {
        let is_limited = self.remaining == Some(0);
        let mut observers = self.observers.iter();

        is_limited || observers.any(|observer| observer.has_seen_enough())
    }

    /// Applies the limit to a chunk and shows it to the observers.
    fn prepare(&mut self, mut chunk: Chunk<P>) -> Result<Chunk<P>> {
        if let Some(remaining) = &mut self.remaining {
            chunk.truncate_outputs(*remaining);
            *remaining -= chunk.output_count();
        }

        for observer in &mut self.observers {
            observer.observe(&mut chunk)?;
        }

        Ok(chunk)
    }

    fn end(mut self, is_early: bool) {
        for observer in &mut self.observers {
            if let Err(error) = observer.end() {
                return self.sender.blocking_fail(error);
            }
        }

        if is_early {
            self.sender.blocking_end_at_limit();
        } else {
            self.sender.blocking_end_lane();
        }
    }
}

fn chunks_of<P: Send + 'static>(
    source: ChunkStream<P>,
) -> impl Stream<Item = Result<Chunk<P>>> + Send {
    stream::unfold(source, async |mut source| {
        let chunk = source.next().await?;
        Some((chunk, source))
    })
}

/// Sends the chunks of a source through a transform. An error of the source is returned after the results of all chunks before it.
fn transformed<P: Send + 'static>(
    transform: &Transform,
    source: ChunkStream<P>,
    reporter: &Arc<dyn Reporter>,
) -> Result<BoxStream<'static, Result<Chunk<P>>>> {
    let threads = cores();
    let has_commands = transform.has_commands();

    let parts = chunks_of(source).map_ok(move |mut chunk| {
        // A program may need many small pages before it answers the first. It limits the bytes in memory itself.
        if has_commands {
            chunk.memory_permit = Arc::default();
            chunk.segment_permit = None;
        }

        stream::iter(chunk.split(PART_ITEMS)).map(Ok)
    });
    let parts = parts.try_flatten().map_ok(|part| ItemChunk {
        items: part.original_items(),
        tag: part,
    });

    let results = transform.apply(parts, threads, reporter)?;
    let chunks = results.map_ok(|result| Chunk {
        outcomes: Some(result.outcomes),
        ..result.tag
    });

    Ok(chunks.boxed())
}
