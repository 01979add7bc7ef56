//! Runs a transform: chunks of items go in, results come out in the same order.
//!
//! The steps are adapters of one stream. Consecutive steps that process single items are applied on
//! several threads, and `buffered` keeps their results in order. Dropping the stream ends the run:
//! commands are killed, and threads end.

use std::future::ready;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt, TryStreamExt};

use super::command::{self, TransformCommand};
use super::item_step::{ItemStep, StepThreads};
use super::job::{ItemProgress, Job, Jobs};
use super::outcome::Outcome;
use super::step::TransformStep;
use crate::error::Result;
use crate::event::Reporter;

/// Jobs per thread: one being processed, the others waiting or finished early.
const JOBS_PER_THREAD: usize = 3;

/// A chunk of items for a transform. A few hundred items per chunk are efficient.
#[derive(Debug)]
pub struct ItemChunk<T> {
    /// Returned with the outcomes.
    pub tag: T,
    /// The items.
    pub items: Vec<Bytes>,
}

/// A chunk of items and their outcomes.
#[derive(Debug)]
pub struct TransformedChunk<T> {
    /// The tag of the chunk.
    pub tag: T,
    /// The items of the chunk.
    pub items: Vec<Bytes>,
    /// One outcome for each item.
    pub outcomes: Vec<Outcome>,
}

/// Connects the steps. Rejection reasons that may quote values are replaced if `hides_values`.
///
/// # Errors
/// Threads or commands cannot be started.
pub(crate) fn connect<T: Send + 'static>(
    steps: &[TransformStep],
    hides_values: bool,
    chunks: impl Stream<Item = Result<ItemChunk<T>>> + Send + 'static,
    threads: NonZeroUsize,
    reporter: &Arc<dyn Reporter>,
) -> Result<BoxStream<'static, Result<TransformedChunk<T>>>> {
    let jobs = chunks.map_ok(|chunk| Job::new(chunk.items, chunk.tag));
    let mut jobs: Jobs<T> = jobs.boxed();
    for group in step_groups(steps) {
        jobs = match group {
            StepGroup::PerItem(steps) => apply_in_parallel(jobs, &steps, threads.get())?,
            StepGroup::Command(command) => command::apply(command, jobs, threads, reporter)?,
        };
    }

    let results = jobs.map_ok(move |job| transformed(job, hides_values));

    // The first error is the last result.
    let results = results.scan(false, |has_failed, result| {
        let next = (!*has_failed).then_some(result);
        *has_failed = matches!(next, Some(Err(_)));
        ready(next)
    });

    Ok(results.boxed())
}

/// Consecutive steps that run together. Adjacent steps for single items share their threads.
enum StepGroup<'a> {
    PerItem(Arc<[Arc<dyn ItemStep>]>),
    Command(&'a TransformCommand),
}

fn step_groups(steps: &[TransformStep]) -> impl Iterator<Item = StepGroup<'_>> {
    let are_per_item = |left: &TransformStep, right: &TransformStep| {
        matches!(
            (left, right),
            (TransformStep::PerItem(_), TransformStep::PerItem(_))
        )
    };

    steps.chunk_by(are_per_item).map(|group| match group {
        [TransformStep::Command(command)] => StepGroup::Command(command),
        steps => {
            let steps = steps.iter().filter_map(|step| match step {
                TransformStep::PerItem(step) => Some(Arc::clone(step)),
                TransformStep::Command(_) => None,
            });
            StepGroup::PerItem(steps.collect())
        }
    })
}

/// Applies steps to several jobs at a time; the results are in the order of the jobs.
fn apply_in_parallel<T: Send + 'static>(
    jobs: Jobs<T>,
    steps: &Arc<[Arc<dyn ItemStep>]>,
    threads: usize,
) -> Result<Jobs<T>> {
    let step_threads = StepThreads::start(steps, threads)?;
    let results = jobs.map(move |job| {
        let queued = job.map(|job| (step_threads.apply(job.items), job.tag, job.originals));

        async move {
            let (items, tag, originals) = queued?;
            let items = items.await?;

            Ok(Job {
                tag,
                originals,
                items,
            })
        }
    });

    Ok(results.buffered(JOBS_PER_THREAD * threads).boxed())
}

fn transformed<T>(job: Job<T>, hides_values: bool) -> TransformedChunk<T> {
    let outcomes = job.items.into_iter().map(ItemProgress::into_outcome);
    let outcomes = outcomes.map(|outcome| match outcome {
        Outcome::Rejected(reason) if hides_values => {
            Outcome::Rejected(reason.without_external_text())
        }
        other => other,
    });

    TransformedChunk {
        tag: job.tag,
        items: job.originals,
        outcomes: outcomes.collect(),
    }
}
