//! Memory for the pages of Scans that have arrived and are not consumed yet, about 1 MB each.

use std::num::NonZeroUsize;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Maximum number of pages in memory of one table, or of several large ones together. Of more tables, each may hold one.
const MAX_PAGES: usize = 8;

/// Permission to hold one page in memory; released on drop. Responses without a permit wait on
/// their connections, so the number of pages in memory does not depend on that of the requests in flight.
#[derive(Debug, Default)]
pub struct PageMemoryPermit(
    #[expect(dead_code, reason = "released on drop")] Option<OwnedSemaphorePermit>,
);

#[cfg(test)]
impl PageMemoryPermit {
    pub(crate) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Some(permit))
    }
}

/// Memory that the tables share. Each table has room for one page of its own in addition, so that none waits until another one is
/// consumed, which may take long if its target throttles.
pub(crate) struct PageMemory(RwLock<Arc<Semaphore>>);

/// The memory of one table.
pub(crate) struct TablePageMemory(Arc<Semaphore>);

impl PageMemory {
    /// Divides the memory among this number of large tables.
    pub(crate) fn share(&self, tables: NonZeroUsize) {
        let shared = Self::shared_by(tables);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = shared;
    }

    fn shared_by(tables: NonZeroUsize) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(MAX_PAGES.saturating_sub(tables.get())))
    }

    /// Waits until the table may hold one more page.
    pub(crate) async fn acquire(&self, table: &TablePageMemory) -> PageMemoryPermit {
        let shared = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        let permit = tokio::select! {
            biased;
            permit = Arc::clone(&table.0).acquire_owned() => permit,
            permit = shared.acquire_owned() => permit,
        };

        PageMemoryPermit(permit.ok())
    }
}

impl Default for PageMemory {
    fn default() -> Self {
        Self(RwLock::new(Self::shared_by(NonZeroUsize::MIN)))
    }
}

impl Default for TablePageMemory {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    async fn take_all(memory: &PageMemory, table: &TablePageMemory) -> Vec<PageMemoryPermit> {
        let mut permits = Vec::new();
        while let Ok(permit) = timeout(Duration::from_millis(1), memory.acquire(table)).await {
            permits.push(permit);
        }

        permits
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_has_room_for_a_page_however_many_pages_of_another_wait() {
        let memory = PageMemory::default();
        let (throttled, other) = (TablePageMemory::default(), TablePageMemory::default());
        let mut held = take_all(&memory, &throttled).await;
        assert_eq!(held.len(), MAX_PAGES);

        let page = memory.acquire(&other).await;
        drop(page);
        let _page = memory.acquire(&other).await;
        assert_eq!(take_all(&memory, &other).await.len(), 0);

        held.truncate(MAX_PAGES / 2);
        assert_eq!(take_all(&memory, &other).await.len(), MAX_PAGES / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn several_large_tables_hold_as_many_pages_as_one_or_one_each() {
        for (tables, most) in [(1, MAX_PAGES), (3, MAX_PAGES), (8, 8), (20, 20)] {
            let memory = PageMemory::default();
            memory.share(NonZeroUsize::new(tables).unwrap());
            let tables: Vec<_> = (0..tables).map(|_| TablePageMemory::default()).collect();
            let mut held = Vec::new();
            for table in &tables {
                held.extend(take_all(&memory, table).await);
            }

            assert_eq!(held.len(), most);
        }
    }
}
