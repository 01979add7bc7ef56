//! Copies the items of the table into the dump: one scan for each segment, one thread that writes.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::interrupted;
use super::page_writer::{CopyState, PageWriter};
use super::plan::DumpPlan;
use super::scan::{MAX_PAGES, remaining_scans, scan_segments};
use super::transformed::TransformStage;
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::ops::run_blocking;
use crate::store::Reader;

/// Copies the remaining items of the table into the writer. After each page, `is_checkpoint_due` is asked for a checkpoint.
///
/// # Errors
/// The table cannot be read to its end, the target cannot be written, interrupted. A last checkpoint is written if possible.
pub(crate) async fn copy(
    store: &Reader,
    plan: &DumpPlan,
    state: CopyState,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
    is_checkpoint_due: impl FnMut() -> bool + Send + 'static,
) -> Result<CopyState> {
    let resumed_items = plan.resumed_size().items;
    let remaining = plan.limit.map(|limit| limit.saturating_sub(resumed_items));
    let transform = TransformStage::new(plan, &state.progress.changes)?;

    // The limit counts items after the transform, whose number the scan does not know.
    let scan_limit = remaining.filter(|_| transform.is_none());
    let (sender, pages) = mpsc::channel(MAX_PAGES);
    let reading = scan_segments(
        store.clone(),
        remaining_scans(plan, &state.progress)?,
        scan_limit,
        sender,
        cancel.clone(),
    );

    let writer = PageWriter::new(state, remaining, Arc::clone(reporter));
    let write = move || match transform {
        Some(transform) => writer.run_transformed(pages, is_checkpoint_due, transform),
        None => writer.run(pages, is_checkpoint_due),
    };
    let (read, copied) = until_both_end(reading, run_blocking("writing the dump", write)).await;

    // The error of the writer comes first: if it failed, the scans ended because of that.
    let copied = copied?;

    // A request that fails during an interruption is not the cause.
    if copied.is_none() && cancel.is_cancelled() {
        return Err(interrupted());
    }

    read?;

    copied.ok_or_else(|| Error::failed("the scans ended before the table did"))
}

/// Runs the scans and the consumer of their pages until both have ended. If the consumer ends first, because it failed or needs no more
/// pages, the scans are dropped: pages that are still in the channel occupy memory ([`PageMemoryPermit`](crate::store::PageMemoryPermit)) that other scans wait for.
pub(crate) async fn until_both_end<T>(
    reading: impl Future<Output = Result<()>>,
    consuming: impl Future<Output = Result<T>>,
) -> (Result<()>, Result<T>) {
    let (mut reading, mut consuming) = (Box::pin(reading), Box::pin(consuming));

    let read = tokio::select! {
        consumed = &mut consuming => return (Ok(()), consumed),
        read = &mut reading => read,
    };

    // The senders are dropped with the scans, which ends the consumer.
    drop(reading);

    (read, consuming.await)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::super::page::Page;
    use super::*;
    use crate::ops::testing::{Answer, DEADLINE, ROOMS, Scripted, scans, until};
    use crate::store::ScanRequest;

    /// Number of pages of each segment.
    const PAGES_PER_SEGMENT: u32 = 12;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Consumer {
        TakesAll,
        HasEnough,
        Fails,
        Panics,
    }

    /// Lets the scans run until they are blocked, then consumes pages. Returns their number.
    fn consume(
        consumer: Consumer,
        store: &Scripted,
        segments: u32,
        mut pages: mpsc::Receiver<Page>,
    ) -> Result<u32> {
        let capacity = u32::try_from(pages.max_capacity()).unwrap();
        let fits = capacity.min(segments * PAGES_PER_SEGMENT);
        let stuck = capacity.saturating_sub(ROOMS).min(segments);
        until("the scans are stuck", || {
            store.answered() >= fits.min(ROOMS) && store.waiting() >= stuck
        });

        match consumer {
            Consumer::TakesAll => {
                let mut count = 0;
                while pages.blocking_recv().is_some() {
                    count += 1;
                }

                Ok(count)
            }
            Consumer::HasEnough => Ok(pages.blocking_recv().map_or(0, |_| 1)),
            Consumer::Fails => Err(Error::failed("the consumer fails")),
            Consumer::Panics => panic!("provoked"),
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_consumer_that_ends_first_ends_the_scans() {
        for (segments, capacity) in [1, 8, 9, 32]
            .into_iter()
            .flat_map(|segments| [(segments, 1), (segments, MAX_PAGES)])
        {
            for consumer in [
                Consumer::TakesAll,
                Consumer::HasEnough,
                Consumer::Fails,
                Consumer::Panics,
            ] {
                let store = Scripted::new(PAGES_PER_SEGMENT, |_| Answer::Page);
                let (sender, pages) = mpsc::channel(capacity);
                let reading = scan_segments(
                    store.clone(),
                    scans(segments),
                    None,
                    sender,
                    CancellationToken::new(),
                );

                let seen = store.clone();
                let consuming = run_blocking("consuming", move || {
                    consume(consumer, &seen, segments, pages)
                });
                let ended = timeout(DEADLINE, until_both_end(reading, consuming)).await;
                let case = format!("{segments} segments, room for {capacity}, {consumer:?}");
                let (read, consumed) = ended.unwrap_or_else(|_| panic!("hangs: {case}"));
                let expected = match consumer {
                    Consumer::TakesAll => Ok(segments * PAGES_PER_SEGMENT),
                    Consumer::HasEnough => Ok(1),
                    Consumer::Fails => Err("the consumer fails".to_owned()),
                    Consumer::Panics => Err("consuming was cut off".to_owned()),
                };

                assert_eq!(
                    consumed.map_err(|error| error.to_string()),
                    expected,
                    "{case}"
                );

                assert!(read.is_ok(), "{case}");
                store.all_rooms_return();
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_scan_that_ends_first_ends_the_consumer() {
        let scripts: [fn(&ScanRequest) -> Answer; 2] = [
            |request| {
                if request.segment == 0 && request.start.is_some() {
                    Answer::Fails
                } else {
                    Answer::Page
                }
            },
            |request| {
                if request.segment == 0 && request.start.is_some() {
                    Answer::Panics
                } else {
                    Answer::Page
                }
            },
        ];

        for (segments, capacity) in [1, 8, 9, 32]
            .into_iter()
            .flat_map(|segments| [(segments, 1), (segments, MAX_PAGES)])
        {
            for (script, words) in scripts
                .into_iter()
                .zip(["the scan fails", "a scan was cut off"])
            {
                let store = Scripted::new(PAGES_PER_SEGMENT, script);
                let (sender, mut pages) = mpsc::channel(capacity);
                let reading = scan_segments(
                    store.clone(),
                    scans(segments),
                    None,
                    sender,
                    CancellationToken::new(),
                );

                let seen = store.clone();
                let slowly = move || {
                    until("pages were read", || seen.answered() >= 1);
                    let mut count = 0;
                    while pages.blocking_recv().is_some() {
                        count += 1;
                    }

                    Ok(count)
                };

                let ended = timeout(
                    DEADLINE,
                    until_both_end(reading, run_blocking("consuming", slowly)),
                )
                .await;

                let (read, consumed) =
                    ended.unwrap_or_else(|_| panic!("hangs: {segments} segments, {words}"));
                assert_eq!(read.unwrap_err().to_string(), words);
                assert!((1..segments * PAGES_PER_SEGMENT).contains(&consumed.unwrap()));
                store.all_rooms_return();
            }
        }
    }
}
