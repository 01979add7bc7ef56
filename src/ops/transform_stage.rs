//! The step between a source and a sink: a transform, a limit, and observers that look at each chunk in passing.
//!
//! The limit counts items after the transform. Observers come after it: they see exactly what the sink gets.

use std::iter;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use super::chunk::Chunk;
use super::source::{ChunkSender, ChunkStream};
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::transform::{Transform, TransformInput, TransformOutput};

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
        let chunks: Box<dyn Iterator<Item = Result<Chunk<P>>> + Send> = if self.transform.is_empty()
        {
            Box::new(blocking_chunks(source))
        } else {
            let outputs = start_transform(&self.transform, source, reporter)?;
            Box::new(outputs)
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

/// The thread between the transform and the sink.
struct Forwarding<P> {
    /// Number of items until the limit, if there is one.
    remaining: Option<u64>,
    observers: Vec<Box<dyn Observer<P>>>,
    sender: ChunkSender<P>,
}

impl<P> Forwarding<P> {
    /// Passes chunks on until they end, the limit is reached, an observer has seen enough, they cannot be read, or the receiver is gone.
    fn run(mut self, mut chunks: impl Iterator<Item = Result<Chunk<P>>>) {
        while !self.ends_early() {
            let Some(chunk) = chunks.next() else {
                return self.end(false);
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

fn blocking_chunks<P>(mut source: ChunkStream<P>) -> impl Iterator<Item = Result<Chunk<P>>> {
    iter::from_fn(move || source.blocking_next())
}

/// Sends the chunks of a source through a transform. An error of the source is returned after the results of all chunks before it.
fn start_transform<P: Send + 'static>(
    transform: &Transform,
    source: ChunkStream<P>,
    reporter: &Arc<dyn Reporter>,
) -> Result<impl Iterator<Item = Result<Chunk<P>>> + Send + use<P>> {
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let has_commands = transform.has_commands();
    let (input, outputs): (TransformInput<Chunk<P>>, TransformOutput<Chunk<P>>) =
        transform.start(threads, reporter)?;

    // Feeding blocks while too many items are in progress, so the thread that reads the results cannot feed.
    thread::Builder::new()
        .name("transform-feed".to_owned())
        .spawn(move || feed(source, input, has_commands))
        .map_err(|error| {
            Error::failed("a thread for the transform cannot be started").with_source(error)
        })?;

    Ok(outputs.map(|output| {
        output.map(|output| Chunk {
            outcomes: Some(output.outcomes),
            ..output.tag
        })
    }))
}

fn feed<P: Send + 'static>(
    mut source: ChunkStream<P>,
    input: TransformInput<Chunk<P>>,
    has_commands: bool,
) {
    while let Some(chunk) = source.blocking_next() {
        let mut chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return input.fail(error),
        };

        // A program may need many small pages before it answers the first. It limits the bytes in memory itself.
        if has_commands {
            chunk.memory_permit = Arc::default();
        }

        for part in chunk.split(PART_ITEMS) {
            // The transform has stopped. Its results say why.
            if input.push(part.original_items(), part).is_err() {
                return;
            }
        }
    }

    input.end();
}
