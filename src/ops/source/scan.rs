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
    page_size: Option<PageSize>,
    max_pages: usize,
}

/// The size of small pages. Items are spread over the partitions of a target only if the pages in memory are of many segments.
#[derive(Debug, Clone, Copy)]
struct PageSize {
    /// Text of a page, in bytes.
    bytes: u64,
    /// Average text of an item, in bytes.
    item_bytes: u64,
}

impl PageSize {
    /// The maximum number of items of the next page.
    fn items(self) -> u64 {
        (self.bytes / self.item_bytes.max(1)).max(1)
    }

    /// The size after a page: its items are probably like those of the next one.
    fn after(self, page: &ScanPage) -> Self {
        let items = page.items.len() as u64;
        let average = page.items.text_bytes().checked_div(items);

        Self {
            item_bytes: average.unwrap_or(self.item_bytes),
            ..self
        }
    }
}

impl<S: ScanPages> ScanSource<S> {
    /// The Scans of these segments.
    pub(crate) fn new(store: S, requests: Vec<ScanRequest>) -> Self {
        Self {
            store,
            requests,
            limit_hint: None,
            page_size: None,
            max_pages: MAX_PAGES,
        }
    }

    /// At most this many items are needed.
    pub(crate) fn with_limit_hint(self, limit_hint: Option<u64>) -> Self {
        Self { limit_hint, ..self }
    }

    /// Requests pages of about this many bytes, which the size of the first items (`item_bytes`) helps to estimate.
    pub(crate) fn in_pages_of(self, bytes: u64, item_bytes: u64) -> Self {
        let page_size = Some(PageSize { bytes, item_bytes });

        Self { page_size, ..self }
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
                    page_size: self.page_size,
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
    page_size: Option<PageSize>,
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

            self.request.limit = page_limit(&self.request, self.remaining, self.page_size);
            let Some(page) = next_page(&store, &self.request, &self.cancel).await else {
                return Ok(());
            };

            let mut page = page?;
            self.page_size = self.page_size.map(|size| size.after(&page));
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
fn page_limit(
    request: &ScanRequest,
    remaining: Option<u64>,
    page_size: Option<PageSize>,
) -> Option<u32> {
    if request.selection.filter().is_some() {
        return None;
    }

    let page_items = page_size.map(PageSize::items);
    let limit = [remaining, page_items].into_iter().flatten().min();

    limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX))
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
