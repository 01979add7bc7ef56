//! Thread pool for stages: the thread that takes a job applies all stages to it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::job::{JobProcessor, NumberedJob, TransformJob};
use super::jq::STACK_BYTES;
use super::ordered_queue::OrderedQueue;
use super::stage::{ItemProgress, Stage, StageWorker};
use crate::error::{Error, Result};

/// Jobs in the queue per thread: one being processed, the others waiting or finished early.
const JOBS_PER_THREAD: u64 = 3;

/// Threads that apply the same stages.
pub(crate) struct ThreadPool {
    queue: Arc<OrderedQueue>,
    threads: Vec<JoinHandle<()>>,
}

impl ThreadPool {
    /// Starts `threads` threads.
    pub(crate) fn start(stages: &Arc<[Arc<dyn Stage>]>, threads: usize) -> Result<Self> {
        let queue = Arc::new(OrderedQueue::new(JOBS_PER_THREAD * threads as u64, 0));
        // Created before its threads, so that dropping it on an error stops those that have
        // started.
        let mut pool = Self {
            queue,
            threads: Vec::with_capacity(threads),
        };

        for _ in 0..threads {
            let (queue, stages) = (Arc::clone(&pool.queue), Arc::clone(stages));
            let started = thread::Builder::new()
                .name("transform".to_owned())
                .stack_size(STACK_BYTES)
                .spawn(move || process_jobs(&queue, &stages));
            let thread = started.map_err(|error| {
                Error::failed("a thread for the transform cannot be started").with_source(error)
            })?;

            pool.threads.push(thread);
        }

        Ok(pool)
    }
}

fn process_jobs(queue: &OrderedQueue, stages: &[Arc<dyn Stage>]) {
    // Created inside `catch_unwind`, because creating a worker may panic, too.
    let mut workers: Option<Vec<_>> = None;
    while let Some(NumberedJob { number, job }) = queue.next_job() {
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let workers =
                workers.get_or_insert_with(|| stages.iter().map(|stage| stage.worker()).collect());
            job.into_iter()
                .map(|progress| workers.iter_mut().fold(progress, apply))
                .collect()
        }));

        let result = applied.map_err(|_| Error::failed("the transform panicked; this is a bug"));
        queue.complete(number, result);
    }
}

fn apply(progress: ItemProgress, worker: &mut Box<dyn StageWorker + '_>) -> ItemProgress {
    progress.apply(|item, original| worker.apply(item, original))
}

impl JobProcessor for ThreadPool {
    fn push(&self, job: Result<TransformJob>) -> bool {
        match job {
            Ok(job) => self.queue.push(job),
            Err(error) => {
                let Some(number) = self.queue.reserve() else {
                    return false;
                };

                self.queue.complete(number, Err(error));

                true
            }
        }
    }

    fn close(&self) {
        self.queue.close();
    }

    fn pull(&self) -> Option<Result<TransformJob>> {
        self.queue.next_result()
    }

    fn cancel(&self) {
        self.queue.cancel();
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.queue.cancel();
        for thread in self.threads.drain(..) {
            // A panic of a worker was caught and became the result of its job.
            let _ = thread.join();
        }
    }
}
