//! Parallel Scan of the table: each segment sends its pages through a channel to the writer.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::page::{Page, PageCost, PageEnd};
use super::plan::DumpPlan;
use crate::backup::{ScanProgress, SegmentProgress};
use crate::error::{Error, Result};
use crate::ops::scan_segments::{
    MAX_CONCURRENT_SEGMENTS, ScanPages, for_each_segment, spread_order,
};
use crate::store::{PageKey, ScanPage, ScanRequest};

/// Maximum number of pages from the request to the writer. Those that have arrived are also limited by
/// [`PageMemoryPermit`](crate::store::PageMemoryPermit).
pub(crate) const MAX_PAGES: usize = MAX_CONCURRENT_SEGMENTS as usize;

/// Timeout for in-flight requests after an interruption: far longer than a request takes, unless it is retried.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the scans, each from its start position to the end of its segment. Each stops after `limit` items.
///
/// # Errors
/// Those of the scans.
pub(crate) async fn scan_segments<S>(
    store: S,
    scans: Vec<ScanRequest>,
    limit: Option<u64>,
    pages: mpsc::Sender<Page>,
    cancel: CancellationToken,
) -> Result<()>
where
    S: ScanPages,
{
    // The closure owns the sender: the channel is closed when the last scan ends.
    let scan = move |request| {
        SegmentScan {
            request,
            remaining: limit,
            pages: pages.clone(),
            cancel: cancel.clone(),
        }
        .run(store.clone())
    };

    for_each_segment(scans, scan).await
}

/// The scans of all unfinished segments, each from the position in `progress`.
///
/// # Errors
/// The checkpoint contains an invalid key; the schema has no usable key.
pub(crate) fn remaining_scans(
    plan: &DumpPlan,
    progress: &ScanProgress,
) -> Result<Vec<ScanRequest>> {
    let mut requests = Vec::new();
    let key = Arc::new(plan.schema.key_schema()?);
    for segment in spread_order(plan.segments) {
        let start = match progress.segments.get(segment as usize) {
            Some(SegmentProgress::Done) => continue,
            Some(SegmentProgress::Next(key)) => {
                let key = PageKey::from_json(key);
                Some(key.ok_or_else(|| Error::damaged("the checkpoint holds a key that is none"))?)
            }
            Some(SegmentProgress::NotBegun) | None => None,
        };

        requests.push(ScanRequest {
            table: plan.source.table.clone(),
            segment,
            total_segments: plan.segments,
            consistent_read: plan.consistent_read,
            limit: None,
            start,
            selection: Arc::clone(&plan.selection),
            key: Arc::clone(&key),
            previous_keys: Arc::default(),
        });
    }

    Ok(requests)
}

/// The scan of one segment.
struct SegmentScan {
    request: ScanRequest,
    /// Number of items until the limit, if there is one.
    remaining: Option<u64>,
    pages: mpsc::Sender<Page>,
    cancel: CancellationToken,
}

impl SegmentScan {
    async fn run<S: ScanPages>(mut self, store: S) -> Result<()> {
        while self.remaining != Some(0) {
            // A slot is reserved before the request, so that at most `MAX_PAGES` are in memory. If the channel is closed, the writer has
            // failed, and returns the reason.
            let Ok(slot) = self.pages.reserve().await else {
                return Ok(());
            };

            if self.cancel.is_cancelled() {
                return Ok(());
            }

            // The limit of a Scan request counts items before the filter, so with a filter it would only make pages small.
            let limit = self
                .remaining
                .filter(|_| self.request.selection.filter().is_none());
            self.request.limit = limit.map(|limit| u32::try_from(limit).unwrap_or(u32::MAX));

            let Some(page) = self.next_page(&store).await else {
                return Ok(());
            };

            let ScanPage {
                mut items,
                keys,
                next,
                read_units,
                scanned: _,
                wire,
                memory_permit,
            } = page?;

            let before = items.len();
            if let Some(remaining) = &mut self.remaining {
                items.truncate(usize::try_from(*remaining).unwrap_or(usize::MAX));
                *remaining -= items.len() as u64;
            }

            // The key of the next page comes after the dropped items: a position that contains it would skip them.
            let is_whole = items.len() == before;
            let position = next.as_ref().map_or(SegmentProgress::Done, |key| {
                SegmentProgress::Next(key.as_json().to_owned())
            });
            let end = is_whole.then_some(PageEnd {
                segment: self.request.segment as usize,
                position,
            });
            slot.send(Page {
                items,
                cost: PageCost { read_units, wire },
                end,
                _memory_permit: memory_permit,
            });

            if next.is_none() {
                return Ok(());
            }

            self.request.start = next;
            self.request.previous_keys = keys;
        }

        Ok(())
    }

    /// Requests the next page. `None` after an interruption, if the request does not end in time.
    async fn next_page<S: ScanPages>(&self, store: &S) -> Option<Result<ScanPage>> {
        let mut call = Box::pin(store.scan(&self.request));
        tokio::select! {
            page = &mut call => return Some(page),
            () = self.cancel.cancelled() => {}
        }

        // The page is already paid for. It is worth waiting for, but not through retries.
        tokio::time::timeout(STOP_TIMEOUT, call).await.ok()
    }
}
