//! Sends a stream of items through a transform: chunks are fed from a separate thread, and results come out in the same order.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::transform::{Outcome, Transform, TransformOutput};

/// Number of items that go through a transform together.
pub(crate) const CHUNK_ITEMS: usize = 256;

/// Sends chunks through a transform. An error of `chunks` is returned after the results of all chunks before it. Both iterators block.
///
/// # Errors
/// A thread or program cannot be started.
pub(crate) fn transform_stream<T: Send + 'static>(
    transform: &Transform,
    reporter: &Arc<dyn Reporter>,
    chunks: impl Iterator<Item = Result<(Vec<Bytes>, T)>> + Send + 'static,
) -> Result<TransformOutput<T>> {
    let threads = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let (feeder, results) = transform.start(threads, reporter)?;

    let feed = move || {
        for chunk in chunks {
            match chunk {
                Ok((items, tag)) => {
                    // The transform has stopped. The caller gets the reason from the results.
                    if feeder.push(items, tag).is_err() {
                        return;
                    }
                }
                Err(error) => return feeder.fail(error),
            }
        }

        feeder.end();
    };

    // Feeding blocks while too many items are in progress, so the thread that reads the results cannot feed.
    let started = thread::Builder::new()
        .name("transform-feed".to_owned())
        .spawn(feed);
    started.map_err(|error| {
        Error::failed("a thread for the transform cannot be started").with_source(error)
    })?;

    Ok(results)
}

/// Limits an outcome to `limit` items, at least one. Returns true if items were dropped.
pub(crate) fn truncate_outcome(outcome: &mut Outcome, limit: u64) -> bool {
    let Outcome::Several(items) = outcome else {
        return false;
    };

    let before = items.len();
    items.truncate(usize::try_from(limit).unwrap_or(usize::MAX));

    items.len() < before
}

/// Size of the text of items, in bytes.
pub(crate) fn text_bytes(items: &[Bytes]) -> u64 {
    items.iter().map(|item| item.len() as u64).sum()
}
