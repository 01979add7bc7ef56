//! Steps of a transform that process each item on its own, and the threads that apply them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::job::ItemProgress;
use super::jq::STACK_BYTES;
use super::outcome::Outcome;
use crate::error::{Error, Result};

/// A step that selects or changes items one by one. All threads share it; each thread creates its
/// own worker.
pub(crate) trait ItemStep: Send + Sync {
    /// Creates the worker of one thread. The thread needs a stack of [`STACK_BYTES`].
    fn worker(&self) -> Box<dyn ItemWorker + '_>;
}

/// Applies a step on one thread. It may hold state that must not be shared between threads.
pub(crate) trait ItemWorker {
    /// The outcome for `item`, which earlier steps made from `original`, the item as read from the
    /// source.
    fn apply(&mut self, item: &Bytes, original: &Bytes) -> Outcome;
}

/// Threads that apply a sequence of steps. They end when this is dropped.
pub(crate) struct StepThreads(Sender<QueuedItems>);

/// Items for the next thread that is free.
struct QueuedItems {
    items: Vec<ItemProgress>,
    reply: oneshot::Sender<Vec<ItemProgress>>,
}

impl StepThreads {
    /// Starts the threads.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(steps: &Arc<[Arc<dyn ItemStep>]>, threads: usize) -> Result<Self> {
        let (sender, queue) = mpsc::channel();
        let queue = Arc::new(Mutex::new(queue));

        for _ in 0..threads {
            let (queue, steps) = (Arc::clone(&queue), Arc::clone(steps));
            thread::Builder::new()
                .name("transform".to_owned())
                .stack_size(STACK_BYTES)
                .spawn(move || apply_to_queue(&queue, &steps))
                .map_err(|error| {
                    Error::failed("a thread for the transform cannot be started").with_source(error)
                })?;
        }

        Ok(Self(sender))
    }

    /// Queues items. The future returns them after all steps; its caller limits how many are queued.
    ///
    /// # Errors
    /// A step panicked.
    pub(crate) fn apply(
        &self,
        items: Vec<ItemProgress>,
    ) -> impl Future<Output = Result<Vec<ItemProgress>>> + Send + use<> {
        let (reply, applied) = oneshot::channel();

        // If no thread is left, the reply is dropped.
        let _ = self.0.send(QueuedItems { items, reply });

        async { applied.await.map_err(|_| step_panicked()) }
    }
}

/// The error for a bug: a step panicked.
pub(crate) fn step_panicked() -> Error {
    Error::failed("the transform panicked; this is a bug")
}

/// Applies the steps to queued items until there are no more. Items whose step panics are dropped with their reply, which is an error
/// for whoever waits.
fn apply_to_queue(queue: &Mutex<Receiver<QueuedItems>>, steps: &[Arc<dyn ItemStep>]) {
    let mut workers: Option<Vec<_>> = None;

    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(QueuedItems { items, reply }) = next else {
            return;
        };

        // Nobody waits for the result any more.
        if reply.is_closed() {
            continue;
        }

        // Creating a worker may panic, too.
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let workers =
                workers.get_or_insert_with(|| steps.iter().map(|step| step.worker()).collect());
            let items = items.into_iter();
            items
                .map(|item| workers.iter_mut().fold(item, apply))
                .collect()
        }));

        if let Ok(items) = applied {
            // It may have been dropped meanwhile.
            let _ = reply.send(items);
        }
    }
}

fn apply(item: ItemProgress, worker: &mut Box<dyn ItemWorker + '_>) -> ItemProgress {
    item.apply(|item, original| worker.apply(item, original))
}
