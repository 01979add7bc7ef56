//! Pipeline that runs a transform on several threads: chunks of items go in, results come out in
//! the same order.
//!
//! [`TransformInput`] and [`TransformOutput`] are meant for two threads, because both block.
//! Dropping the output ends the run: commands are killed and all threads are joined.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use bytes::Bytes;

use super::command::{CommandPool, TransformCommand};
use super::job::JobProcessor;
use super::outcome::Outcome;
use super::stage::{ItemProgress, Stage};
use super::step::TransformStep;
use super::thread_pool::ThreadPool;
use crate::error::{Error, Result};
use crate::event::Reporter;

/// A chunk of items and their outcomes.
#[derive(Debug)]
pub struct TransformedChunk<T> {
    /// The tag that was pushed with the chunk.
    pub tag: T,
    /// The items that were pushed.
    pub items: Vec<Bytes>,
    /// One outcome for each item.
    pub outcomes: Vec<Outcome>,
}

/// A chunk in progress, as it was pushed.
struct PendingChunk<T> {
    tag: T,
    items: Vec<Bytes>,
}

/// Chunks in progress, oldest first. Each part of the pipeline keeps the order, so the next result
/// belongs to the first.
type PendingChunks<T> = Arc<Mutex<VecDeque<PendingChunk<T>>>>;

/// Input of a running transform.
///
/// Dropping it before [`end`](Self::end) makes the run fail, because the thread that feeds it may
/// have panicked.
pub struct TransformInput<T> {
    first: Arc<dyn JobProcessor>,
    pending: PendingChunks<T>,
    has_ended: bool,
}

/// Results of a running transform, in the order of the input. Iterate to get them.
pub struct TransformOutput<T> {
    processors: Vec<Arc<dyn JobProcessor>>,
    pumps: Vec<JoinHandle<()>>,
    pending: PendingChunks<T>,
    has_ended: bool,
    /// Whether values are masked, so that rejection reasons that may quote values are replaced.
    hides_values: bool,
}

/// Starts a run.
///
/// # Errors
/// Threads or commands cannot be started.
pub(crate) fn start<T>(
    steps: &[TransformStep],
    hides_values: bool,
    threads: NonZeroUsize,
    reporter: &Arc<dyn Reporter>,
) -> Result<(TransformInput<T>, TransformOutput<T>)> {
    let mut processors: Vec<Arc<dyn JobProcessor>> = Vec::new();
    for group in step_groups(steps) {
        processors.push(match group {
            StepGroup::Stages(stages) => Arc::new(ThreadPool::start(&stages, threads.get())?),
            StepGroup::Command(command) => {
                Arc::new(CommandPool::start(command, threads, reporter)?)
            }
        });
    }

    // Created before its pumps, so that dropping it on an error stops those that have started.
    let mut output = TransformOutput {
        processors: processors.clone(),
        pumps: Vec::new(),
        pending: PendingChunks::default(),
        has_ended: false,
        hides_values,
    };

    for pair in processors.windows(2) {
        let (from, to) = (Arc::clone(&pair[0]), Arc::clone(&pair[1]));
        let started = thread::Builder::new()
            .name("transform-pump".to_owned())
            .spawn(move || pump(&*from, &*to));
        let thread = started.map_err(|error| {
            Error::failed("a thread for the transform cannot be started").with_source(error)
        })?;

        output.pumps.push(thread);
    }

    let input = TransformInput {
        first: Arc::clone(&processors[0]),
        pending: Arc::clone(&output.pending),
        has_ended: false,
    };

    Ok((input, output))
}

/// Consecutive steps that one processor handles. Adjacent stages share their threads.
enum StepGroup<'a> {
    Stages(Arc<[Arc<dyn Stage>]>),
    Command(&'a TransformCommand),
}

/// Groups the steps; at least one group, so that the pipeline has a processor.
fn step_groups(steps: &[TransformStep]) -> Vec<StepGroup<'_>> {
    let mut groups = Vec::new();
    let are_stages = |left: &TransformStep, right: &TransformStep| {
        matches!(
            (left, right),
            (TransformStep::Stage(_), TransformStep::Stage(_))
        )
    };

    for group in steps.chunk_by(are_stages) {
        match group {
            [TransformStep::Command(command)] => groups.push(StepGroup::Command(command)),
            stages => {
                let stages = stages.iter().filter_map(|step| match step {
                    TransformStep::Stage(stage) => Some(Arc::clone(stage)),
                    TransformStep::Command(_) => None,
                });
                groups.push(StepGroup::Stages(stages.collect()));
            }
        }
    }

    if groups.is_empty() {
        groups.push(StepGroup::Stages(Arc::new([])));
    }

    groups
}

/// Moves jobs from one processor to the next until the first has no more.
fn pump(from: &dyn JobProcessor, to: &dyn JobProcessor) {
    while let Some(job) = from.pull() {
        // If the next one is cancelled, so is everything before it.
        if !to.push(job) {
            from.cancel();
        }
    }

    to.close();
}

impl<T> TransformInput<T> {
    /// Sends a chunk of items. Blocks while too many chunks are in progress. A few hundred items
    /// per chunk are efficient.
    ///
    /// # Errors
    /// The run has ended; [`TransformOutput`] has the reason.
    pub fn push(&self, items: Vec<Bytes>, tag: T) -> Result<()> {
        let job = items
            .iter()
            .map(|item| ItemProgress::new(item.clone()))
            .collect();

        // Added before the job is pushed, because its result may be pulled before `push` returns.
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(PendingChunk { tag, items });

        if self.first.push(Ok(job)) {
            Ok(())
        } else {
            Err(Error::failed("the transform has ended"))
        }
    }

    /// Marks the end of the input. The results end after the last chunk.
    pub fn end(mut self) {
        self.has_ended = true;
    }

    /// Reports that the source of the chunks failed. The error follows the results of all chunks
    /// that were pushed.
    pub fn fail(mut self, error: Error) {
        self.has_ended = true;
        // If the run has already ended, its output has the reason.
        let _ = self.first.push(Err(error));
    }
}

impl<T> Drop for TransformInput<T> {
    fn drop(&mut self) {
        if !self.has_ended {
            // As in `fail`.
            let _ = self.first.push(Err(Error::failed(
                "reading the items ended unexpectedly; this is a bug",
            )));
        }

        self.first.close();
    }
}

impl<T> Iterator for TransformOutput<T> {
    type Item = Result<TransformedChunk<T>>;

    /// The next chunk, in the order of the input. An error is the last item.
    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }

        let result = self.processors.last().and_then(|last| last.pull());
        let Some(Ok(job)) = result else {
            self.stop();
            return result.map(|result| result.and(Err(Error::failed("the transform has ended"))));
        };

        let chunk = self
            .pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front();

        let PendingChunk { tag, items } = chunk?;
        let outcomes =
            job.into_iter()
                .map(ItemProgress::into_outcome)
                .map(|outcome| match outcome {
                    Outcome::Rejected(reason) if self.hides_values => {
                        Outcome::Rejected(reason.without_external_text())
                    }
                    other => other,
                });

        Some(Ok(TransformedChunk {
            tag,
            items,
            outcomes: outcomes.collect(),
        }))
    }
}

impl<T> TransformOutput<T> {
    fn stop(&mut self) {
        self.has_ended = true;
        self.processors
            .iter()
            .for_each(|processor| processor.cancel());
    }
}

impl<T> Drop for TransformOutput<T> {
    fn drop(&mut self) {
        self.stop();
        for pump in self.pumps.drain(..) {
            // A pump has no result: it only moves jobs.
            let _ = pump.join();
        }
    }
}
