//! The table side of a comparison.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::side::{PageLocation, RecordOptions, RereadItems, Side, SideRecords};
use super::{COMPARISON, CompareContext};
use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::item::{Items, KeySchema};
use crate::ops::run_blocking;
use crate::ops::scan_segments::{ScanPages, for_each_segment, spread_order};
use crate::store::{PageKey, PageMemoryPermit, ScanPage, ScanRequest, WireBytes};

/// The items of a live table, which are read with a parallel Scan.
pub(crate) struct TableSide<S> {
    pub(crate) store: S,
    pub(crate) table: String,
    pub(crate) segments: u32,
    /// Maximum number of pages that are requested or wait for their records. The memory of received pages is limited by
    /// [`PageMemoryPermit`].
    pub(crate) pages: usize,
    pub(crate) consistent_read: bool,
}

/// A page that a Scan returned, and its cost.
struct ScannedPage {
    location: PageLocation,
    items: Items,
    read_units: f64,
    wire: WireBytes,
    memory_permit: PageMemoryPermit,
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
            previous_keys: Arc::default(),
        }
    }
}

impl<S: ScanPages> Side for TableSide<S> {
    async fn read_records(
        &self,
        context: &CompareContext,
        reporter: Option<&Arc<dyn Reporter>>,
    ) -> Result<SideRecords> {
        let (page_sender, page_receiver) = mpsc::channel::<ScannedPage>(self.pages);
        let reporter = reporter.map(Arc::clone);
        let key = context.key.clone();
        let options = RecordOptions::new(context);
        let table = self.table.clone();

        // Digests take a core for as long as the scan runs, so they do not run on a thread of the async runtime.
        let recording = run_blocking(COMPARISON, move || {
            make_records(page_receiver, &table, &key, &options, reporter.as_deref())
        });

        let scan_key = Arc::new(context.key.clone());
        let scan_one = move |segment| {
            scan_segment(
                self.store.clone(),
                self.scan_request(segment, None, &scan_key),
                page_sender.clone(),
            )
        };

        let scanning = for_each_segment(spread_order(self.segments), scan_one);

        // Both end in any case: if recording fails, it closes the channel; if a scan fails, all senders are dropped.
        let (records, ()) = tokio::try_join!(recording, scanning)?;

        Ok(records)
    }

    async fn reread_items(
        &self,
        wanted: &HashMap<u128, u32>,
        pages: &[PageLocation],
        context: &CompareContext,
    ) -> Result<RereadItems> {
        let mut reread = RereadItems::default();
        let scan_key = Arc::new(context.key.clone());

        // Several items may share a page, which is then read only once.
        let numbers: BTreeSet<u32> = wanted.values().copied().collect();
        let locations = numbers
            .into_iter()
            .filter_map(|number| pages.get(usize::try_from(number).ok()?));

        for location in locations {
            let mut request =
                self.scan_request(location.segment, location.start.clone(), &scan_key);
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
                    _ => break,
                }
            }
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

/// Scans one segment completely.
async fn scan_segment<S: ScanPages>(
    store: S,
    mut request: ScanRequest,
    pages: mpsc::Sender<ScannedPage>,
) -> Result<()> {
    loop {
        // Reserved before the request, so that no more pages are requested than the channel can take. A closed channel means that
        // recording has failed, and its error is the one to report.
        let Ok(slot) = pages.reserve().await else {
            return Ok(());
        };

        let page = store.scan(&request).await?;
        let location = PageLocation {
            segment: request.segment,
            start: request.start.clone(),
            items: page.items.len(),
        };

        let ScanPage {
            items,
            keys,
            next,
            read_units,
            wire,
            memory_permit,
            scanned: _,
        } = page;

        slot.send(ScannedPage {
            location,
            items,
            read_units,
            wire,
            memory_permit,
        });

        let Some(next) = next else {
            return Ok(());
        };

        request.start = Some(next);
        request.previous_keys = keys;
    }
}

/// Makes records of the items of all pages that arrive.
fn make_records(
    mut pages: mpsc::Receiver<ScannedPage>,
    table: &str,
    key: &KeySchema,
    options: &RecordOptions,
    reporter: Option<&dyn Reporter>,
) -> Result<SideRecords> {
    let mut records = SideRecords::new()?;

    // The permit is dropped at the end of each iteration, together with the items whose memory it stands for.
    while let Some(ScannedPage {
        location,
        items,
        read_units,
        wire,
        memory_permit: _memory_permit,
    }) = pages.blocking_recv()
    {
        let number = u32::try_from(records.pages.len()).map_err(|error| {
            Error::failed("the table has more pages than can be counted").with_source(error)
        })?;

        for item in items.iter() {
            records.push(hash_key(key, item, table)?, item, number, options)?;
        }

        records.items += items.len() as u64;
        records.read_units += read_units;
        records.wire += wire;
        records.pages.push(location);

        if let Some(reporter) = reporter {
            reporter.report(Event::Progress {
                items: items.len() as u64,
                bytes: items.text_bytes(),
            });
        }
    }

    Ok(records)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::ops::compare::compare;
    use crate::ops::testing::{Answer, DEADLINE, Scripted, key};

    type Script = fn(&ScanRequest) -> Answer;

    /// A reporter that panics on an event if `panics` is set.
    struct Listener {
        panics: bool,
    }

    impl Reporter for Listener {
        fn report(&self, _event: Event) {
            assert!(!self.panics, "provoked");
        }
    }

    fn context(panics: bool) -> CompareContext {
        CompareContext {
            key: key(),
            keys_only: false,
            sample: None,
            reporter: Arc::new(Listener { panics }),
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
                "a scan was cut off",
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
    async fn a_failed_scan_ends_recording_and_the_reverse() {
        for (segments, pages) in [1, 8, 9, 32]
            .into_iter()
            .flat_map(|segments| [(segments, 1), (segments, 32)])
        {
            let case = format!("{segments} segments, room for {pages}");
            let all_pages: Script = |_| Answer::Page;
            let cases = scripts()
                .into_iter()
                .map(|(script, message)| (script, false, message));
            for (script, panics, message) in
                cases.chain([(all_pages, true, "the comparison was cut off")])
            {
                let side = side(script, segments, pages);
                let context = context(panics);
                let records = side.read_records(&context, Some(&context.reporter));
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

                    let compared =
                        timeout(DEADLINE, compare(source, target, &context(false))).await;
                    let error = compared
                        .unwrap_or_else(|_| panic!("hangs: {segments} segments, {message}"))
                        .err();
                    assert_eq!(error.expect("a side fails").to_string(), message);
                }
            }
        }
    }
}
