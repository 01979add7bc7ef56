//! The Scan of a table as a source: one lane for each segment, many of them at a time.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::stream::{ChunkSender, ChunkStream};
use crate::backup::SegmentProgress;
use crate::error::Result;
use crate::ops::chunk::Chunk;
use crate::ops::scan_segments::{MAX_CONCURRENT_SEGMENTS, ScanPages, for_each_segment};
use crate::store::{ScanPage, ScanRequest};

/// Maximum number of pages from the request to the sink. Those that have arrived are also limited by
/// [`PageMemoryPermit`](crate::store::PageMemoryPermit).
const MAX_PAGES: usize = MAX_CONCURRENT_SEGMENTS as usize;

/// How long requests in flight are worth waiting for after an interruption: far longer than a request takes, unless it is retried.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The segments of a table that are to be read, each from its position to its end.
pub(crate) struct ScanSource<S> {
    store: S,
    requests: Vec<ScanRequest>,
    /// Maximum number of items that are needed; it also limits the page size.
    limit_hint: Option<u64>,
    max_pages: usize,
}

impl<S: ScanPages> ScanSource<S> {
    /// The Scans of these segments.
    pub(crate) fn new(store: S, requests: Vec<ScanRequest>) -> Self {
        Self {
            store,
            requests,
            limit_hint: None,
            max_pages: MAX_PAGES,
        }
    }

    /// At most this many items are needed.
    pub(crate) fn with_limit_hint(self, limit_hint: Option<u64>) -> Self {
        Self { limit_hint, ..self }
    }

    /// Requests at most this many pages at a time.
    pub(crate) fn with_max_pages(self, max_pages: usize) -> Self {
        Self { max_pages, ..self }
    }

    /// Starts the Scans. When `cancel` fires, each ends after the page that is in flight.
    pub(crate) fn start(self, cancel: &CancellationToken) -> ChunkStream<SegmentProgress> {
        let (sender, stream) = ChunkStream::new(self.requests.len(), self.max_pages);
        let cancel = cancel.clone();
        let scan_all = async move {
            let scan = |request| {
                SegmentScan {
                    request,
                    remaining: self.limit_hint,
                    chunks: sender.clone(),
                    cancel: cancel.clone(),
                }
                .run(self.store.clone())
            };

            if let Err(error) = for_each_segment(self.requests, scan).await {
                sender.fail(error).await;
            }
        };

        stream.reads_in(scan_all).worth_waiting(STOP_TIMEOUT)
    }
}

/// The Scan of one segment.
struct SegmentScan {
    request: ScanRequest,
    /// Number of items until the limit, if there is one.
    remaining: Option<u64>,
    chunks: ChunkSender<SegmentProgress>,
    cancel: CancellationToken,
}

impl SegmentScan {
    async fn run<S: ScanPages>(mut self, store: S) -> Result<()> {
        while self.remaining != Some(0) {
            // Reserved before the request, so that at most `MAX_PAGES` are in memory.
            let Some(slot) = self.chunks.reserve().await else {
                return Ok(());
            };

            if self.cancel.is_cancelled() {
                return Ok(());
            }

            self.request.limit = page_limit(&self.request, self.remaining);
            let Some(page) = next_page(&store, &self.request, &self.cancel).await else {
                return Ok(());
            };

            let mut page = page?;
            let next = page.next.take();
            let keys = std::mem::take(&mut page.keys);
            let position = next.as_ref().map_or(SegmentProgress::Done, |key| {
                SegmentProgress::Next(key.as_json().to_owned())
            });

            self.remaining = self
                .remaining
                .map(|remaining| remaining.saturating_sub(page.items.len() as u64));
            slot.send(Chunk::of_page(
                self.request.segment as usize,
                page,
                position,
            ));

            let Some(next) = next else {
                break;
            };

            self.request.start = Some(next);
            self.request.previous_keys = keys;
        }

        self.chunks.end_lane().await;

        Ok(())
    }
}

/// The `Limit` of the next page. It counts items before the filter, so with a filter it would only make pages small.
fn page_limit(request: &ScanRequest, remaining: Option<u64>) -> Option<u32> {
    if request.selection.filter().is_some() {
        return None;
    }

    remaining.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX))
}

/// Requests a page. `None` after an interruption, if the request does not end in time.
async fn next_page<S: ScanPages>(
    store: &S,
    request: &ScanRequest,
    cancel: &CancellationToken,
) -> Option<Result<ScanPage>> {
    let mut call = Box::pin(store.scan(request));
    tokio::select! {
        page = &mut call => return Some(page),
        () = cancel.cancelled() => {}
    }

    // The page is already paid for. It is worth waiting for, but not through retries.
    tokio::time::timeout(STOP_TIMEOUT, call).await.ok()
}
