//! Stages on several threads: each job goes through all of them on the thread that takes it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::jq::STACK_BYTES;
use super::lane::{Job, Lane};
use super::runner::Segment;
use super::stage::Stage;
use crate::error::{Error, Result};

/// Jobs in a pool for each of its threads: one under way, one waiting or done early.
const JOBS_PER_THREAD: u64 = 3;

/// Threads that apply the same stages.
pub(crate) struct Pool {
    lane: Arc<Lane>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts so many threads.
    pub(crate) fn start(stages: &Arc<[Arc<dyn Stage>]>, threads: usize) -> Result<Self> {
        let lane = Arc::new(Lane::new(JOBS_PER_THREAD * threads as u64, 0));
        let mut pool = Self {
            lane,
            threads: Vec::with_capacity(threads),
        };
        for _ in 0..threads {
            let (lane, stages) = (Arc::clone(&pool.lane), Arc::clone(stages));
            let started = thread::Builder::new()
                .name("transform".to_owned())
                .stack_size(STACK_BYTES)
                .spawn(move || work(&lane, &stages));
            let started = started.map_err(|error| {
                Error::failed("a thread for the transform cannot be started").with_source(error)
            })?;
            pool.threads.push(started);
        }

        Ok(pool)
    }
}

fn work(lane: &Lane, stages: &[Arc<dyn Stage>]) {
    let mut workers: Option<Vec<_>> = None;
    while let Some((place, job)) = lane.take() {
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let workers =
                workers.get_or_insert_with(|| stages.iter().map(|stage| stage.worker()).collect());
            let through = |progress,
                           worker: &mut Box<dyn super::stage::Worker + '_>|
             -> super::stage::Progress {
                super::stage::Progress::step(progress, |item, read| worker.apply(item, read))
            };

            job.into_iter()
                .map(|progress| workers.iter_mut().fold(progress, through))
                .collect()
        }));

        lane.finish(
            place,
            applied.map_err(|_| Error::failed("the transform itself failed; this is a bug")),
        );
    }
}

impl Segment for Pool {
    fn push(&self, job: Result<Job>) -> bool {
        match job {
            Ok(job) => self.lane.push(job),
            Err(error) => self
                .lane
                .place()
                .map(|place| self.lane.finish(place, Err(error)))
                .is_some(),
        }
    }

    fn close(&self) {
        self.lane.close();
    }

    fn pull(&self) -> Option<Result<Job>> {
        self.lane.pull()
    }

    fn cancel(&self) {
        self.lane.cancel();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.lane.cancel();
        for thread in self.threads.drain(..) {
            // A worker's panic was caught and told.
            let _ = thread.join();
        }
    }
}
