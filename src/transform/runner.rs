//! Runs a transform on several threads: chunks of items go in, results come out in the same order.
//!
//! Two halves, for two threads: a [`Feeder`] that waits while too much is under way, and [`Results`] that waits for what is next.
//! Dropping either ends the run, kills commands and joins all threads. Calls block; call them from a thread that may.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use super::command::{Command, Commands};
use super::lane::Job;
use super::outcome::Outcome;
use super::pool::Pool;
use super::stage::{Progress, Stage};
use super::transform::{Step, Transform};
use crate::error::{Error, Result};
use crate::event::Reporter;

/// A part of the run that takes jobs and gives them back in the same order.
pub(crate) trait Segment: Send + Sync {
    /// Takes a job, or an error that stands for one; waits while there are too many. False when cancelled.
    fn push(&self, job: Result<Job>) -> bool;
    /// No job comes any more.
    fn close(&self);
    /// The next job in order; `None` behind the last one, or when cancelled.
    fn pull(&self) -> Option<Result<Job>>;
    /// Ends as soon as possible.
    fn cancel(&self);
}

/// What became of one chunk.
#[derive(Debug)]
pub struct Transformed<T> {
    /// What the caller sent along.
    pub tag: T,
    /// The items as they came in.
    pub items: Vec<Bytes>,
    /// One outcome for each of them.
    pub outcomes: Vec<Outcome>,
}

/// Chunks under way: their items and tags. Order is kept everywhere, so that the next result is the oldest chunk's.
type UnderWay<T> = Arc<Mutex<VecDeque<(T, Vec<Bytes>)>>>;

/// Where chunks go in. A feeder that is dropped before it [ends](Self::end) is a failure of the run: its thread may have panicked.
pub struct Feeder<T> {
    first: Arc<dyn Segment>,
    under_way: UnderWay<T>,
    ended: bool,
}

/// Where results come out.
pub struct Results<T> {
    segments: Vec<Arc<dyn Segment>>,
    pumps: Vec<JoinHandle<()>>,
    under_way: UnderWay<T>,
    ended: bool,
    /// Whether values are masked, so that reasons that may quote them are not passed on.
    withholds: bool,
}

/// Starts a run.
///
/// # Errors
/// Threads or commands cannot be started.
pub(crate) fn start<T>(
    transform: &Transform,
    threads: NonZeroUsize,
    reporter: &Arc<dyn Reporter>,
) -> Result<(Feeder<T>, Results<T>)> {
    let mut segments: Vec<Arc<dyn Segment>> = Vec::new();
    for part in parts(&transform.steps()) {
        segments.push(match part {
            Part::Stages(stages) => Arc::new(Pool::start(&stages, threads.get())?),
            Part::Command(command) => Arc::new(Commands::start(command, threads, reporter)?),
        });
    }

    let mut results = Results {
        segments: segments.clone(),
        pumps: Vec::new(),
        under_way: UnderWay::default(),
        ended: false,
        withholds: transform.masks().is_some(),
    };

    for pair in segments.windows(2) {
        let (from, to) = (Arc::clone(&pair[0]), Arc::clone(&pair[1]));
        let pump = thread::Builder::new()
            .name("transform-pump".to_owned())
            .spawn(move || pump(&*from, &*to));
        results.pumps.push(pump.map_err(|error| {
            Error::failed("a thread for the transform cannot be started").with_source(error)
        })?);
    }

    let first = Arc::clone(&segments[0]);
    Ok((
        Feeder {
            first,
            under_way: Arc::clone(&results.under_way),
            ended: false,
        },
        results,
    ))
}

/// Stages that follow each other share their threads.
enum Part<'a> {
    Stages(Arc<[Arc<dyn Stage>]>),
    Command(&'a Command),
}

fn parts(steps: &[Step]) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    for group in
        steps.chunk_by(|left, right| matches!((left, right), (Step::Stage(_), Step::Stage(_))))
    {
        match group {
            [Step::Command(command)] => parts.push(Part::Command(command)),
            stages => {
                let stages = stages.iter().filter_map(|step| match step {
                    Step::Stage(stage) => Some(Arc::clone(stage)),
                    Step::Command(_) => None,
                });
                parts.push(Part::Stages(stages.collect()));
            }
        }
    }

    if parts.is_empty() {
        parts.push(Part::Stages(Arc::new([])));
    }

    parts
}

fn pump(from: &dyn Segment, to: &dyn Segment) {
    while let Some(job) = from.pull() {
        if !to.push(job) {
            from.cancel();
        }
    }

    to.close();
}

impl<T> Feeder<T> {
    /// Sends a chunk; waits while too much is under way. Some hundred items to a chunk are good.
    ///
    /// # Errors
    /// The run has ended; [`Results`] knows why.
    pub fn push(&self, items: Vec<Bytes>, tag: T) -> Result<()> {
        let job = items
            .iter()
            .map(|item| Progress::new(item.clone()))
            .collect();
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back((tag, items));
        if self.first.push(Ok(job)) {
            Ok(())
        } else {
            Err(Error::failed("the transform has ended"))
        }
    }

    /// All chunks were sent. The results end after the last one.
    pub fn end(mut self) {
        self.ended = true;
    }

    /// The source of the chunks has failed. The error comes after the results of all chunks that were sent.
    pub fn fail(mut self, error: Error) {
        self.ended = true;
        // If the run has ended already, its results say why.
        let _ = self.first.push(Err(error));
    }
}

impl<T> Drop for Feeder<T> {
    fn drop(&mut self) {
        if !self.ended {
            // As in `fail`.
            let _ = self.first.push(Err(Error::failed(
                "reading the items ended unexpectedly; this is a bug",
            )));
        }

        self.first.close();
    }
}

impl<T> Iterator for Results<T> {
    type Item = Result<Transformed<T>>;

    /// The next chunk, in the order in which they were pushed. Nothing comes behind an error.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }

        let result = self.segments.last().and_then(|last| last.pull());
        let Some(Ok(job)) = result else {
            self.stop();
            return result.map(|result| result.and(Err(Error::failed("the transform has ended"))));
        };

        let under_way = self
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();

        let (tag, items) = under_way?;
        let outcomes = job
            .into_iter()
            .map(Progress::outcome)
            .map(|outcome| match outcome {
                Outcome::Rejected(reason) if self.withholds => Outcome::Rejected(reason.withheld()),
                other => other,
            });

        Some(Ok(Transformed {
            tag,
            items,
            outcomes: outcomes.collect(),
        }))
    }
}

impl<T> Results<T> {
    fn stop(&mut self) {
        self.ended = true;
        self.segments.iter().for_each(|segment| segment.cancel());
    }
}

impl<T> Drop for Results<T> {
    fn drop(&mut self) {
        self.stop();
        for pump in self.pumps.drain(..) {
            // It only hands jobs on.
            let _ = pump.join();
        }
    }
}
