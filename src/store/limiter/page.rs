//! Permission to request one page of a Scan, whose size is chosen by what the table and the range of its keys accept.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::capacity_estimate::{PageCostEstimate, PlannedPage};
use super::permit::{RequestLimiter, RequestPermit};
use super::read_ranges::{KeyRangeRequest, KeyRanges};
use crate::aws::error::RequestError;
use crate::limits::MemoryShare;

/// Maximum number of pages that are requested at a time. 40,000 read units per second are 312 eventually consistent pages of 1 MB per
/// second, each of which takes up to 100 ms. More requests would only buffer more data: up to twice 400 KB for each connection.
const MAX_PAGES_IN_FLIGHT: u32 = 32;

/// The limits on the Scans of one table, in addition to those on all its reads.
pub(crate) struct ScanLimiter {
    key_ranges: KeyRanges,
    pages: Semaphore,
}

/// Permission to request one page; released on drop.
pub(crate) struct PagePermit<'a> {
    key_range: KeyRangeRequest<'a>,
    request: RequestPermit<'a>,
    _page: Option<SemaphorePermit<'a>>,
}

impl Default for ScanLimiter {
    fn default() -> Self {
        Self {
            key_ranges: KeyRanges::default(),
            pages: Semaphore::new(MAX_PAGES_IN_FLIGHT as usize),
        }
    }
}

impl ScanLimiter {
    /// Waits for permission to request a page of a segment, with at most `max_items` items.
    pub(crate) async fn acquire<'a>(
        &'a self,
        limiter: &'a RequestLimiter,
        page_cost: &PageCostEstimate,
        (segment, segments): (u32, u32),
        max_items: Option<u32>,
        memory: MemoryShare,
    ) -> (PagePermit<'a>, PlannedPage) {
        // First, so that segments in a throttled partition occupy nothing that other segments wait for.
        let range = self.key_ranges.of_segment(segment, segments);
        let choose = |budget| page_cost.plan_page(budget, max_items);
        let (key_range, affordable) = range.acquire(choose).await;

        let page = self.pages.acquire_many(permits_of_page(memory)).await.ok();
        let choose = |budget| page_cost.plan_page(budget, affordable.limit);
        let (request, planned) = limiter.acquire(choose).await;
        let permit = PagePermit {
            key_range,
            request,
            _page: page,
        };

        (permit, planned)
    }
}

impl PagePermit<'_> {
    /// Records that the page was read, at this cost.
    pub(crate) fn succeeded(self, units: f64) {
        self.key_range.succeeded(units);
        self.request.succeeded(units);
    }

    /// Records that the request failed.
    pub(crate) fn failed(self, error: &RequestError) {
        self.key_range.failed(error);
        self.request.failed(error);
    }
}

/// Number of permits that a page takes: all if each of many tables may only request one. Several tables together request half as many pages
/// as one, because each has other buffers, too.
fn permits_of_page(memory: MemoryShare) -> u32 {
    match memory.tables().get() {
        1 => 1,
        tables => u32::try_from(2 * tables).map_or(MAX_PAGES_IN_FLIGHT, |permits| {
            permits.min(MAX_PAGES_IN_FLIGHT)
        }),
    }
}

#[cfg(test)]
mod tests;
