//! The table side of a comparison.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::side::{RereadItems, Side, SideRecords};
use super::{CompareContext, digest};
use crate::backup::SegmentProgress;
use crate::error::{Error, Result};
use crate::event::Reporter;
use crate::item::KeySchema;
use crate::ops::scan_segments::ScanPages;
use crate::ops::sink::ChunkLocation;
use crate::ops::source::ScanSource;
use crate::store::{PageKey, ScanRequest};

/// The items of a live table, which are read with a parallel Scan.
pub(crate) struct TableSide<S> {
    pub(crate) store: S,
    pub(crate) table: String,
    pub(crate) segments: u32,
    /// Maximum number of pages that are requested or wait for their records. The memory of received pages is limited by
    /// [`PageMemoryPermit`](crate::store::PageMemoryPermit).
    pub(crate) pages: usize,
    pub(crate) consistent_read: bool,
}

impl<S: ScanPages> TableSide<S> {
    fn scan_request(
        &self,
        segment: u32,
        start: Option<PageKey>,
        key: &Arc<KeySchema>,
    ) -> ScanRequest {
        ScanRequest {
            table: self.table.clone(),
            segment,
            total_segments: self.segments,
            consistent_read: self.consistent_read,
            limit: None,
            start,
            selection: Arc::default(),
            key: Arc::clone(key),
            index_keys: Arc::default(),
            previous_keys: Arc::default(),
        }
    }

    /// The request for the page of a chunk.
    fn reread_request(
        &self,
        location: &ChunkLocation<SegmentProgress>,
        key: &Arc<KeySchema>,
    ) -> ScanRequest {
        let start = match &location.start {
            Some(SegmentProgress::Next(start)) => PageKey::from_json(start),
            Some(SegmentProgress::Done | SegmentProgress::NotBegun) | None => None,
        };

        self.scan_request(u32::try_from(location.lane).unwrap_or(0), start, key)
    }
}

impl<S: ScanPages> TableSide<S> {
    /// Reads the wanted items of one chunk again.
    pub(crate) async fn reread_chunk(
        &self,
        location: &ChunkLocation<SegmentProgress>,
        wanted: &HashMap<u128, u32>,
        context: &CompareContext,
        scan_key: &Arc<KeySchema>,
        reread: &mut RereadItems,
    ) -> Result<()> {
        let mut request = self.reread_request(location, scan_key);
        let mut remaining = location.items;

        // With a limit on read units, the same items may now arrive in several smaller pages.
        loop {
            let page = self.store.scan(&request).await?;
            reread.read_units += page.read_units;
            reread.wire += page.wire;

            for item in page.items.iter() {
                let key = hash_key(&context.key, item, &self.table)?;
                if wanted.contains_key(&key) {
                    // Copied, because a slice would keep the memory of the whole page.
                    reread.items.insert(key, Bytes::copy_from_slice(item));
                }
            }

            remaining = remaining.saturating_sub(page.items.len());

            match page.next {
                Some(next) if remaining > 0 => {
                    request.start = Some(next);
                    request.previous_keys = page.keys;
                }
                _ => return Ok(()),
            }
        }
    }
}

impl<S: ScanPages> Side for TableSide<S> {
    type Position = SegmentProgress;

    async fn read_records(
        &self,
        context: &CompareContext,
        reporter: &Arc<dyn Reporter>,
    ) -> Result<SideRecords<SegmentProgress>> {
        let key = Arc::new(context.key.clone());
        let requests = (0..self.segments)
            .map(|segment| self.scan_request(segment, None, &key))
            .collect();

        let chunks = ScanSource::new(self.store.clone(), requests)
            .with_max_pages(self.pages)
            .start(&CancellationToken::new());

        let source = digest(chunks, context.digest_options(Some(&self.table)), reporter).await?;

        Ok(SideRecords {
            source,
            rejected: None,
        })
    }

    async fn reread_items(
        &self,
        wanted: &HashMap<u128, u32>,
        chunks: &[ChunkLocation<SegmentProgress>],
        context: &CompareContext,
    ) -> Result<RereadItems> {
        let mut reread = RereadItems::default();
        let scan_key = Arc::new(context.key.clone());

        // Several items may share a page, which is then read only once.
        let numbers: BTreeSet<u32> = wanted.values().copied().collect();
        let locations = numbers
            .into_iter()
            .filter_map(|number| chunks.get(usize::try_from(number).ok()?));

        for location in locations {
            self.reread_chunk(location, wanted, context, &scan_key, &mut reread)
                .await?;
        }

        Ok(reread)
    }
}

/// The hash of an item's key.
fn hash_key(key: &KeySchema, item: &[u8], table: &str) -> Result<u128> {
    key.hash128(item).map_err(|error| {
        Error::failed(format!("table {table} returned an item without its key")).with_source(error)
    })
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::event::SilentReporter;
    use crate::ops::compare::compare;
    use crate::ops::testing::{Answer, DEADLINE, Scripted, key};

    type Script = fn(&ScanRequest) -> Answer;

    fn context() -> CompareContext {
        CompareContext {
            key: key(),
            keys_only: false,
            sample: None,
            reporter: Arc::new(SilentReporter),
        }
    }

    fn side(script: Script, segments: u32, pages: usize) -> TableSide<Scripted> {
        let store = Scripted::new(12, script);
        TableSide {
            store,
            table: "films".to_owned(),
            segments,
            pages,
            consistent_read: false,
        }
    }

    /// Failures at the second page of the first segment, each with the expected error message.
    fn scripts() -> [(Script, &'static str); 3] {
        fn is_second_page(request: &ScanRequest) -> bool {
            request.segment == 0 && request.start.is_some()
        }

        [
            (
                |request| {
                    if is_second_page(request) {
                        Answer::Fails
                    } else {
                        Answer::Page
                    }
                },
                "the scan fails",
            ),
            (
                |request| {
                    if is_second_page(request) {
                        Answer::Panics
                    } else {
                        Answer::Page
                    }
                },
                "a scan stopped unexpectedly",
            ),
            (
                |request| {
                    if is_second_page(request) {
                        Answer::Keyless
                    } else {
                        Answer::Page
                    }
                },
                "table films returned an item without its key",
            ),
        ]
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_failed_scan_ends_the_digest_and_the_reverse() {
        for (segments, pages) in [1, 8, 9, 32]
            .into_iter()
            .flat_map(|segments| [(segments, 1), (segments, 32)])
        {
            let case = format!("{segments} segments, room for {pages}");
            for (script, message) in scripts() {
                let side = side(script, segments, pages);
                let context = context();
                let records = side.read_records(&context, &context.reporter);
                let error = timeout(DEADLINE, records)
                    .await
                    .unwrap_or_else(|_| panic!("hangs: {case}, {message}"))
                    .err();
                assert_eq!(error.expect(&case).to_string(), message, "{case}");
                side.store.all_rooms_return();
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_side_that_fails_ends_the_other_side() {
        for segments in [1, 8, 9, 32] {
            for (script, message) in scripts() {
                let never_ends: Script = |request| {
                    if request.start.is_some() {
                        Answer::Never
                    } else {
                        Answer::Page
                    }
                };

                for (source, target) in [(script, never_ends), (never_ends, script)] {
                    let source = side(source, segments, 1);
                    let target = side(target, segments, 1);

                    let compared = timeout(DEADLINE, compare(source, target, &context())).await;
                    let error = compared
                        .unwrap_or_else(|_| panic!("hangs: {segments} segments, {message}"))
                        .err();
                    assert_eq!(error.expect("a side fails").to_string(), message);
                }
            }
        }
    }
}
