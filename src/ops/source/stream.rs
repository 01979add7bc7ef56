//! The stream of chunks from a source to a sink, with an explicit end of each lane.
//!
//! A source that disappears without ending its lanes has failed: that is never taken for the end of its items.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::error::{Error, Result};
use crate::ops::chunk::Chunk;

/// A message from a source.
#[expect(clippy::large_enum_variant, reason = "nearly all messages are chunks")]
enum Message<P> {
    Chunk(Chunk<P>),
    /// One more lane was read to its end.
    LaneEnd,
    /// All lanes end before their last chunk: a limit was reached, or no more items are needed.
    Limit,
}

/// The sending half: one clone for each lane, or one for all of them.
pub(crate) struct ChunkSender<P>(mpsc::Sender<Result<Message<P>>>);

impl<P> Clone for ChunkSender<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// A place in the stream that is reserved for a chunk.
pub(crate) struct ChunkSlot<'a, P>(mpsc::Permit<'a, Result<Message<P>>>);

impl<P> ChunkSlot<'_, P> {
    pub(crate) fn send(self, chunk: Chunk<P>) {
        self.0.send(Ok(Message::Chunk(chunk)));
    }
}

impl<P> ChunkSender<P> {
    /// Waits until the stream has room for a chunk. `None` if the receiver is gone.
    pub(crate) async fn reserve(&self) -> Option<ChunkSlot<'_, P>> {
        self.0.reserve().await.ok().map(ChunkSlot)
    }

    /// Marks the end of one lane.
    pub(crate) async fn end_lane(&self) {
        // Without a receiver, the end of a lane does not matter.
        let _ = self.0.send(Ok(Message::LaneEnd)).await;
    }

    /// Reports that the source cannot be read.
    pub(crate) async fn fail(&self, error: Error) {
        let _ = self.0.send(Err(error)).await;
    }

    /// Sends a chunk from a thread. Returns whether the receiver still exists.
    pub(crate) fn blocking_send(&self, chunk: Chunk<P>) -> bool {
        self.0.blocking_send(Ok(Message::Chunk(chunk))).is_ok()
    }

    /// Whether the receiver is gone.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Waits until nobody receives chunks any more.
    pub(crate) async fn closed(&self) {
        self.0.closed().await;
    }

    /// [`end_lane`](Self::end_lane) for threads.
    pub(crate) fn blocking_end_lane(&self) {
        let _ = self.0.blocking_send(Ok(Message::LaneEnd));
    }

    /// Ends all lanes, because a limit was reached or no more items are needed.
    pub(crate) fn blocking_end_at_limit(&self) {
        let _ = self.0.blocking_send(Ok(Message::Limit));
    }

    /// [`fail`](Self::fail) for threads.
    pub(crate) fn blocking_fail(&self, error: Error) {
        let _ = self.0.blocking_send(Err(error));
    }
}

/// The chunks of a source, in the order of each lane.
pub(crate) struct ChunkStream<P> {
    messages: mpsc::Receiver<Result<Message<P>>>,
    /// Number of lanes that have not ended.
    open_lanes: usize,
    is_limited: bool,
    /// How long requests that are paid for are worth waiting for after an interruption.
    worth_waiting: Duration,
    /// The tasks that read, which end with the stream.
    tasks: JoinSet<()>,
}

impl<P> ChunkStream<P> {
    /// A stream of `lanes` lanes with room for `capacity` chunks.
    pub(crate) fn new(lanes: usize, capacity: usize) -> (ChunkSender<P>, Self) {
        let (sender, messages) = mpsc::channel(capacity);
        let stream = Self {
            messages,
            open_lanes: lanes,
            is_limited: false,
            worth_waiting: Duration::ZERO,
            tasks: JoinSet::new(),
        };

        (ChunkSender(sender), stream)
    }

    /// Runs the task that reads for as long as the stream exists.
    pub(crate) fn reads_in(mut self, task: impl Future<Output = ()> + Send + 'static) -> Self {
        self.tasks.spawn(task);
        self
    }

    /// Continues another stream: the tasks that read for it end with this one.
    pub(crate) fn continues<Q>(self, source: &mut ChunkStream<Q>) -> Self {
        Self {
            worth_waiting: source.worth_waiting,
            tasks: std::mem::take(&mut source.tasks),
            ..self
        }
    }

    /// After an interruption, waits this long for requests that are in flight.
    pub(crate) fn worth_waiting(self, time: Duration) -> Self {
        Self {
            worth_waiting: time,
            ..self
        }
    }

    pub(crate) fn time_worth_waiting(&self) -> Duration {
        self.worth_waiting
    }

    /// Whether a limit has ended the stream.
    pub(crate) fn is_limited(&self) -> bool {
        self.is_limited
    }

    /// Ends what reads, and drops the chunks not yet received: they hold memory that others may wait for.
    pub(crate) fn close(&mut self) {
        // What a task sends before it notices is dropped with the channel.
        let (_, closed) = mpsc::channel(1);
        self.messages = closed;
        self.open_lanes = 0;
        self.tasks.abort_all();
    }

    /// The next chunk; `None` when all lanes have ended. Can be cancelled without losing a chunk.
    pub(crate) async fn next(&mut self) -> Option<Result<Chunk<P>>> {
        while self.open_lanes > 0 {
            let received = self.messages.recv().await;
            if let Some(chunk) = self.accept(received) {
                return Some(chunk);
            }
        }

        None
    }

    /// The chunk or failure of a message; `None` at the end of a lane.
    fn accept(&mut self, received: Option<Result<Message<P>>>) -> Option<Result<Chunk<P>>> {
        match received {
            Some(Ok(Message::Chunk(chunk))) => Some(Ok(chunk)),
            Some(Ok(Message::LaneEnd)) => {
                self.open_lanes -= 1;
                None
            }
            Some(Ok(Message::Limit)) => {
                self.open_lanes = 0;
                self.is_limited = true;
                None
            }
            Some(Err(error)) => Some(Err(error)),
            None => Some(Err(Error::failed(
                "reading the source ended unexpectedly; this is a bug",
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Items;

    fn chunk(lane: usize) -> Chunk<u64> {
        Chunk::new(lane, Items::default(), 1)
    }

    #[tokio::test]
    async fn a_stream_ends_when_each_lane_has_ended() {
        let (sender, mut stream) = ChunkStream::new(2, 8);
        sender.reserve().await.expect("room").send(chunk(0));
        sender.end_lane().await;
        sender.reserve().await.expect("room").send(chunk(1));
        sender.end_lane().await;

        assert_eq!(stream.next().await.expect("a chunk").expect("read").lane, 0);
        assert_eq!(stream.next().await.expect("a chunk").expect("read").lane, 1);
        assert!(stream.next().await.is_none());
        assert!(stream.next().await.is_none(), "the end is final");
    }

    #[tokio::test]
    async fn a_source_that_disappears_is_not_the_end() {
        let (sender, mut stream) = ChunkStream::<u64>::new(2, 8);
        sender.end_lane().await;
        drop(sender);

        let error = stream
            .next()
            .await
            .expect("a failure")
            .expect_err("no chunk");
        assert!(error.to_string().contains("ended unexpectedly"), "{error}");
    }

    #[tokio::test]
    async fn what_reads_ends_with_the_stream() {
        struct OnDrop(Option<tokio::sync::oneshot::Sender<()>>);

        impl Drop for OnDrop {
            fn drop(&mut self) {
                let _ = self.0.take().expect("dropped once").send(());
            }
        }

        let (ended, wait_for_end) = tokio::sync::oneshot::channel();
        let (_sender, stream) = ChunkStream::<u64>::new(1, 1);
        let guard = OnDrop(Some(ended));
        let stream = stream.reads_in(async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        });

        drop(stream);
        wait_for_end.await.expect("the task was dropped");
    }
}
