//! Sends a stream of items through a transform: chunks are fed from a separate thread, and results come out in the same order.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::transform::{Transform, TransformOutput};

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
