//! The Scan of a table as a source: one lane for each segment, many of them at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::stream::{ChunkSender, ChunkStream};
use crate::backup::SegmentProgress;
use crate::error::Result;
use crate::limits;
use crate::ops::chunk::Chunk;
use crate::ops::scan_segments::{MAX_CONCURRENT_SEGMENTS, ScanPages, for_each_segment};
use crate::store::{ScanPage, ScanRequest};

/// Maximum number of pages from the request to the sink. Those that have arrived are also limited by
/// [`PageMemoryPermit`](crate::store::PageMemoryPermit).
const MAX_PAGES: usize = MAX_CONCURRENT_SEGMENTS as usize;

/// How long requests in flight are worth waiting for after an interruption: far longer than a request takes, unless it is retried.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Items of the first small page of a segment, and bounds of those of the others.
const FIRST_PAGE_ITEMS: u64 = 50;
const MIN_PAGE_ITEMS: u64 = limits::BATCH_WRITE_ITEMS as u64;
const MAX_PAGE_ITEMS: u64 = 512;

/// Maximum growth of small pages from one to the next.
const MAX_PAGE_GROWTH: u64 = 4;

/// Time after which small pages that are waiting for the sink become smaller.
const MAX_PAGE_TIME: Duration = Duration::from_secs(4);

/// Maximum number of small pages that a segment reads ahead.
const MAX_SEGMENT_PAGES: usize = 8;

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
///
/// The first page has few items, because the size of items is only estimated, and because nothing is known about the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PageSize {
    /// Text of a page, in bytes.
    bytes: u64,
    /// Maximum number of items of the next page, before a filter.
    items: u64,
}

impl PageSize {
    fn first(bytes: u64, item_bytes: u64) -> Self {
        let items = (bytes / item_bytes.max(1)).clamp(1, FIRST_PAGE_ITEMS);

        Self { bytes, items }
    }

    /// The size after a page: its items are probably like those of the next one.
    fn after(self, page: &ScanPage) -> Self {
        let returned = page.items.len() as u64;
        let scanned = page.scanned.max(returned);
        let ratio = |most: u64, of: u64| (most * scanned).checked_div(of).unwrap_or(u64::MAX);
        let by_bytes = ratio(self.bytes, page.items.text_bytes());
        let by_count = ratio(MAX_PAGE_ITEMS, returned);
        let most = self.items.saturating_mul(MAX_PAGE_GROWTH);

        Self {
            items: by_bytes.min(by_count).min(most).max(1),
            ..self
        }
    }

    /// The size after it took this time to write a page. The position of a segment moves only after a whole page.
    fn after_wait(self, time: Duration) -> Self {
        if time <= MAX_PAGE_TIME {
            return self;
        }

        let fewer = u128::from(self.items) * MAX_PAGE_TIME.as_millis() / time.as_millis();
        let fewer = u64::try_from(fewer).unwrap_or(u64::MAX);

        Self {
            items: fewer.max(MIN_PAGE_ITEMS).min(self.items),
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

    /// Requests pages of about this many bytes, which the size of the first items (`item_bytes`) helps to estimate. A segment of many
    /// requests a page when the sink has taken the one before, so that the pages in memory are of all segments.
    pub(crate) fn in_pages_of(self, bytes: u64, item_bytes: u64) -> Self {
        let page_size = Some(PageSize::first(bytes, item_bytes));

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
        let segment_pages = (MAX_PAGES / self.requests.len().max(1)).clamp(1, MAX_SEGMENT_PAGES);
        let scan_all = async move {
            let scan = |request| {
                SegmentScan {
                    request,
                    remaining: self.limit_hint,
                    page_size: self.page_size,
                    pages: Arc::new(Semaphore::new(segment_pages)),
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
    /// Small pages that may be requested or waiting for the sink.
    pages: Arc<Semaphore>,
    chunks: ChunkSender<SegmentProgress>,
    cancel: CancellationToken,
}

impl SegmentScan {
    async fn run<S: ScanPages>(mut self, store: S) -> Result<()> {
        while self.remaining != Some(0) {
            let segment_permit = self.wait_for_sink().await;

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
            slot.send(Chunk {
                segment_permit: segment_permit.map(Arc::new),
                ..Chunk::of_page(self.request.segment as usize, page, position)
            });

            let Some(next) = next else {
                break;
            };

            self.request.start = Some(next);
            self.request.previous_keys = keys;
        }

        self.chunks.end_lane().await;

        Ok(())
    }

    /// Waits until the sink has taken enough of the segment, if its pages are small.
    async fn wait_for_sink(&mut self) -> Option<OwnedSemaphorePermit> {
        let size = self.page_size?;
        let since = Instant::now();
        let permit = Arc::clone(&self.pages).acquire_owned().await.ok();
        self.page_size = Some(size.after_wait(since.elapsed()));

        permit
    }
}

/// The `Limit` of the next page. It counts items before the filter, so with a filter a maximum number of items would only make pages small.
fn page_limit(
    request: &ScanRequest,
    remaining: Option<u64>,
    page_size: Option<PageSize>,
) -> Option<u32> {
    let remaining = remaining.filter(|_| request.selection.filter().is_none());
    let page_items = page_size.map(|size| size.items);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::Items;

    fn after(size: PageSize, scanned: u64, items: u64, bytes: usize) -> PageSize {
        let text = bytes::Bytes::from(format!(r#"{{"id":{{"S":"{}"}}}}"#, "x".repeat(bytes - 15)));
        let texts = vec![text; usize::try_from(items).unwrap()];

        size.after(&ScanPage {
            items: Items::concat(&texts).unwrap(),
            keys: Arc::default(),
            index_key_violations: Vec::new(),
            next: None,
            read_units: 1.0,
            scanned,
            wire: crate::store::WireBytes::default(),
            memory_permit: crate::store::PageMemoryPermit::default(),
        })
    }

    #[test]
    fn a_page_grows_to_its_size_and_shrinks_if_it_waits_for_the_target() {
        const KIB: u64 = 1024;

        let first = PageSize::first(256 * KIB, 0);
        assert_eq!(first.items, FIRST_PAGE_ITEMS);
        assert_eq!(PageSize::first(256 * KIB, 100 * KIB).items, 2);
        assert_eq!(PageSize::first(256 * KIB, 400 * KIB).items, 1);

        let second = after(first, 50, 50, 1024);
        assert_eq!(second.items, 200);
        let third = after(second, 200, 200, 1024);
        assert_eq!(third.items, 256, "256 KB");
        assert_eq!(after(third, 256, 256, 2048).items, 128);
        assert_eq!(after(third, 256, 256, 100).items, MAX_PAGE_ITEMS);

        // With a filter, the limit counts the items before it.
        assert_eq!(after(third, 256, 64, 1024).items, 1024);
        assert_eq!(after(third, 256, 0, 1024).items, 1024);

        assert_eq!(third.after_wait(MAX_PAGE_TIME), third);
        assert_eq!(third.after_wait(MAX_PAGE_TIME * 2).items, 128);
        assert_eq!(third.after_wait(MAX_PAGE_TIME * 99).items, MIN_PAGE_ITEMS);
        let large = PageSize::first(256 * KIB, 400 * KIB);
        assert_eq!(large.after_wait(MAX_PAGE_TIME * 99).items, 1);
    }
}
