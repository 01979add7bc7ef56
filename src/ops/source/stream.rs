//! The stream of chunks from a source to a sink, with an explicit end of each lane.
//!
//! A source that disappears without ending its lanes has failed: that is never taken for the end of its items.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::task::JoinSet;

use super::lane_queues::LaneQueues;
use crate::error::{Error, Result};
use crate::ops::chunk::Chunk;

/// A message from a source.
enum Message<P> {
    Chunks(VecDeque<Chunk<P>>),
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
        self.0.send(Ok(Message::Chunks(VecDeque::from([chunk]))));
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
        self.blocking_send_all(VecDeque::from([chunk]))
    }

    /// Sends chunks from a thread, in one message. Returns whether somebody receives them.
    pub(crate) fn blocking_send_all(&self, chunks: VecDeque<Chunk<P>>) -> bool {
        self.0.blocking_send(Ok(Message::Chunks(chunks))).is_ok()
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

/// Chunks that were received and not returned.
enum Received<P> {
    /// The rest of the last message.
    InOrder(VecDeque<Chunk<P>>),
    /// All that have arrived.
    ByLane(LaneQueues<P>),
}

impl<P> Received<P> {
    fn add(&mut self, chunks: VecDeque<Chunk<P>>) {
        match self {
            Self::InOrder(rest) => rest.extend(chunks),
            Self::ByLane(queues) => chunks.into_iter().for_each(|chunk| queues.add(chunk)),
        }
    }

    fn next(&mut self) -> Option<Chunk<P>> {
        match self {
            Self::InOrder(rest) => rest.pop_front(),
            Self::ByLane(queues) => queues.next(),
        }
    }

    fn has_room(&self) -> bool {
        match self {
            Self::InOrder(rest) => rest.is_empty(),
            Self::ByLane(queues) => queues.has_room(),
        }
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::InOrder(rest) => rest.is_empty(),
            Self::ByLane(queues) => queues.is_empty(),
        }
    }
}

/// The chunks of a source, in the order of each lane.
pub(crate) struct ChunkStream<P> {
    messages: mpsc::Receiver<Result<Message<P>>>,
    received: Received<P>,
    /// Returned after the chunks that were received before it.
    failure: Option<Error>,
    /// Number of lanes that have not ended.
    open_lanes: usize,
    is_limited: bool,
    /// How long requests that are paid for are worth waiting for after an interruption.
    worth_waiting: Duration,
    /// The tasks that read, which end with the stream.
    tasks: JoinSet<()>,
}

impl<P> ChunkStream<P> {
    /// A stream of `lanes` lanes with room for `capacity` messages: chunks, or groups of chunks that are sent together.
    pub(crate) fn new(lanes: usize, capacity: usize) -> (ChunkSender<P>, Self) {
        let (sender, messages) = mpsc::channel(capacity);
        let stream = Self {
            messages,
            received: Received::InOrder(VecDeque::new()),
            failure: None,
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

    /// Returns a few items of each lane in turn.
    pub(crate) fn by_lane(self, queues: LaneQueues<P>) -> Self {
        Self {
            received: Received::ByLane(queues),
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
        self.received = Received::InOrder(VecDeque::new());
        self.failure = None;
        self.open_lanes = 0;
        self.tasks.abort_all();
    }

    /// The next chunk; `None` when all lanes have ended. Can be cancelled without losing a chunk.
    pub(crate) async fn next(&mut self) -> Option<Result<Chunk<P>>> {
        loop {
            self.receive_ready();
            if let Some(chunk) = self.received.next() {
                return Some(Ok(chunk));
            }

            if self.received.is_empty() {
                if let Some(error) = self.failure.take() {
                    return Some(Err(error));
                }

                if self.open_lanes == 0 {
                    return None;
                }
            } else if self.open_lanes == 0 || !self.received.has_room() {
                // Only the sink returns the permits of lanes. It is asked again afterwards.
                return std::future::pending().await;
            }

            let message = self.messages.recv().await;
            self.accept(message);
        }
    }

    /// Receives all chunks that have arrived, if they are returned by lane: then they are of as many lanes as possible.
    fn receive_ready(&mut self) {
        let is_by_lane = matches!(self.received, Received::ByLane(_));
        while is_by_lane && self.open_lanes > 0 && self.received.has_room() {
            match self.messages.try_recv() {
                Ok(message) => self.accept(Some(message)),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => self.accept(None),
            }
        }
    }

    /// Takes over what a message contains.
    fn accept(&mut self, message: Option<Result<Message<P>>>) {
        match message {
            Some(Ok(Message::Chunks(chunks))) => self.received.add(chunks),
            Some(Ok(Message::LaneEnd)) => self.open_lanes -= 1,
            Some(Ok(Message::Limit)) => {
                self.open_lanes = 0;
                self.is_limited = true;
            }
            Some(Err(error)) => self.fail(error),
            None => self.fail(Error::failed(
                "reading the source ended unexpectedly; this is a bug",
            )),
        }
    }

    /// Ends the stream with an error.
    fn fail(&mut self, error: Error) {
        self.open_lanes = 0;
        self.failure = Some(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Items;
    use crate::limits::MemoryShare;

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
    async fn chunks_that_are_sent_together_come_one_by_one_before_the_end_of_their_lane() {
        let (sender, mut stream) = ChunkStream::new(1, 8);
        let reading = tokio::task::spawn_blocking(move || {
            assert!(sender.blocking_send_all([chunk(0), chunk(1)].into()));
            sender.blocking_end_lane();
        });

        for expected in [0, 1] {
            let next = stream.next().await.expect("a chunk").expect("read");
            assert_eq!(next.lane, expected);
        }

        assert!(stream.next().await.is_none());
        reading.await.expect("all was sent");
    }

    #[tokio::test]
    async fn a_closed_stream_drops_the_chunks_that_nobody_has_taken() {
        let (sender, mut stream) = ChunkStream::new(1, 8);
        let sending = move || sender.blocking_send_all([chunk(0), chunk(1)].into());
        assert!(tokio::task::spawn_blocking(sending).await.expect("sent"));
        assert_eq!(stream.next().await.expect("a chunk").expect("read").lane, 0);

        stream.close();
        assert!(stream.next().await.is_none());
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
    async fn chunks_by_lane_are_those_of_the_lanes_with_permits_before_the_failure_of_the_source() {
        let (sender, stream) = ChunkStream::new(2, 8);
        let mut stream = stream.by_lane(LaneQueues::new(2, 25, true, MemoryShare::WHOLE));
        for lane in [0, 0, 0, 1] {
            sender.reserve().await.expect("room").send(chunk(lane));
        }

        sender.fail(Error::failed("provoked")).await;
        let mut held = Vec::new();
        for lane in [0, 1, 0] {
            let next = stream.next().await.expect("a chunk").expect("read");
            assert_eq!(next.lane, lane);
            held.push(next.lane_permit);
        }

        assert!(held.iter().all(Option::is_some));
        held.clear();
        assert_eq!(stream.next().await.expect("a chunk").expect("read").lane, 0);
        let failure = stream.next().await.expect("a failure");
        assert_eq!(failure.expect_err("no chunk").to_string(), "provoked");
        assert!(stream.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_chunks_are_received_than_may_wait() {
        const MIB: usize = 1024 * 1024;

        let (sender, stream) = ChunkStream::new(1, 8);
        let mut stream = stream.by_lane(LaneQueues::new(1, 25, false, MemoryShare::WHOLE));
        let text = bytes::Bytes::from(format!(r#"{{"id":{{"S":"{}"}}}}"#, "x".repeat(MIB)));
        let page = || Chunk::new(0, Items::concat([&text]).expect("an item"), 1_u64);
        let sent = std::cell::Cell::new(0);
        let source = async {
            while sent.get() < 100 {
                sender.reserve().await.expect("room").send(page());
                sent.set(sent.get() + 1);
            }
        };
        let sink = async {
            // Nothing is written.
            let mut held = Vec::new();
            while let Some(chunk) = stream.next().await {
                held.push(chunk.expect("read"));
            }
        };
        let waiting = std::time::Duration::from_secs(1);
        let both = async { tokio::join!(source, sink) };
        assert!(tokio::time::timeout(waiting, both).await.is_err());
        assert!(sent.get() < 60, "{} pages of 1 MiB in memory", sent.get());
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
