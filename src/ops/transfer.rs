//! The one loop between a source and a sink.
//!
//! Every command is a source, an optional transform and a sink. The loop waits for three things: an interruption, work of the sink
//! that has ended, and the next chunk while the sink has room. Whichever side ends first ends the other.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::chunk::Chunk;
use super::journal::{Journal, Position, Settling};
use super::source::ChunkStream;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Reporter};

/// Takes the chunks of a source: a dump, a table, a digest, a count.
pub(crate) trait Sink<P>: Send {
    /// Whether the next chunk can be taken.
    fn has_room(&self) -> bool;

    /// Takes a chunk. There must be room for it.
    ///
    /// # Errors
    /// The sink has failed.
    fn take(&mut self, chunk: Chunk<P>) -> Result<()>;

    /// Notes that no chunk follows.
    ///
    /// # Errors
    /// The sink has failed.
    fn end(&mut self) -> Result<()>;

    /// Waits until some work has ended; for ever if there is none. Can be cancelled without losing anything.
    ///
    /// # Errors
    /// The sink has failed.
    fn progress(&mut self) -> impl Future<Output = Result<SinkProgress>> + Send;

    /// Starts to make durable what is settled. `None` if there is nothing from which a later run could continue.
    ///
    /// # Errors
    /// The items or their state cannot be written.
    fn settle(&mut self) -> Result<Option<Settling<P>>> {
        Ok(None)
    }

    /// Stops before the end, after a failure or an interruption: completes what is in flight within a limited time, so that a later
    /// run can continue.
    ///
    /// # Errors
    /// The state needed to continue cannot be saved.
    fn stop(&mut self) -> impl Future<Output = Result<()>> + Send;
}

/// Work of a sink that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SinkProgress {
    /// Items were settled.
    Settled { items: u64, bytes: u64 },
    /// Everything that was taken before the end is settled.
    Finished,
}

/// One transfer from a source to a sink.
pub(crate) struct Transfer<'a> {
    pub(crate) reporter: &'a Arc<dyn Reporter>,
    pub(crate) cancel: &'a CancellationToken,
    /// The error after an interruption.
    pub(crate) interrupted: fn() -> Error,
    /// Where the progress is saved, if a later run can continue.
    pub(crate) journal: Option<&'a mut Journal>,
}

impl Transfer<'_> {
    /// Passes chunks to the sink until the stream ends, and waits until all of them are settled. After a failure or an interruption,
    /// stops the sink. Saves the progress at the end, unless the transfer was short and has succeeded.
    ///
    /// # Errors
    /// The first failure of the sink or the source; [`ErrorKind::Interrupted`] if the sink could then be stopped.
    pub(crate) async fn run<P: Position, K: Sink<P>>(
        mut self,
        chunks: &mut ChunkStream<P>,
        sink: &mut K,
    ) -> Result<()> {
        if let Some(journal) = &mut self.journal {
            journal.begin_transfer();
        }

        let result = self.run_until_end(chunks, sink).await;
        let result = match result {
            Ok(()) => {
                chunks.close();
                Ok(())
            }
            Err(error) => Err(self.stop(error, chunks, sink).await),
        };

        let is_saved = result.is_err()
            || self
                .journal
                .as_ref()
                .is_some_and(|journal| journal.is_worth_saving());
        let saved = if is_saved {
            self.save(sink).await
        } else {
            Ok(())
        };
        if let Some(journal) = self.journal {
            journal.wait().await;
        }

        result.and(saved)
    }

    /// Stops source and sink after an error. Returns the error to report.
    async fn stop<P: Position, K: Sink<P>>(
        &mut self,
        error: Error,
        chunks: &mut ChunkStream<P>,
        sink: &mut K,
    ) -> Error {
        if error.kind() == ErrorKind::Interrupted {
            self.take_chunks_in_flight(chunks, sink).await;
        }

        // The source ends before the sink: nothing that it still reads can be needed.
        chunks.close();

        match sink.stop().await {
            Err(failed) if error.kind() == ErrorKind::Interrupted => failed,
            _ => error,
        }
    }

    async fn run_until_end<P: Position, K: Sink<P>>(
        &mut self,
        chunks: &mut ChunkStream<P>,
        sink: &mut K,
    ) -> Result<()> {
        let mut has_ended = false;
        loop {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err((self.interrupted)()),
                progress = sink.progress() => {
                    if self.report(progress?) {
                        return Ok(());
                    }

                    if self.journal.as_ref().is_some_and(|journal| journal.is_due()) {
                        self.save(sink).await?;
                    }
                }
                chunk = chunks.next(), if !has_ended && sink.has_room() => {
                    if let Some(chunk) = chunk {
                        sink.take(chunk?)?;
                    } else {
                        has_ended = true;
                        sink.end()?;
                    }
                }
            }
        }
    }

    /// Starts to save the progress.
    async fn save<P: Position, K: Sink<P>>(&mut self, sink: &mut K) -> Result<()> {
        if let Some(journal) = &mut self.journal
            && let Some(settling) = sink.settle()?
        {
            journal.save(settling).await;
        }

        Ok(())
    }

    /// Reports progress. Returns whether the sink has finished.
    fn report(&self, progress: SinkProgress) -> bool {
        match progress {
            SinkProgress::Settled { items: 0, bytes: 0 } => false,
            SinkProgress::Settled { items, bytes } => {
                self.reporter.report(Event::Progress { items, bytes });
                false
            }
            SinkProgress::Finished => true,
        }
    }

    /// Takes the chunks whose requests are in flight, if the source is worth waiting for: they are paid for. A failure does not
    /// matter any more.
    async fn take_chunks_in_flight<P, K: Sink<P>>(
        &self,
        chunks: &mut ChunkStream<P>,
        sink: &mut K,
    ) {
        let deadline = Instant::now() + chunks.time_worth_waiting();
        while Instant::now() < deadline {
            let step = async {
                tokio::select! {
                    biased;
                    progress = sink.progress() => progress.map(|progress| Some(self.report(progress))),
                    chunk = chunks.next(), if sink.has_room() => match chunk {
                        Some(Ok(chunk)) => sink.take(chunk).map(|()| Some(false)),
                        Some(Err(_)) | None => Ok(None),
                    },
                }
            };

            match timeout_at(deadline, step).await {
                Ok(Ok(Some(false))) => {}
                _ => return,
            }
        }
    }
}

/// The error after an interruption, for callers that say themselves what it means.
pub(crate) fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted")
}

#[cfg(test)]
mod tests;
