//! What can be compared: the items of a dump, or of a live table.

use std::collections::{BTreeSet, HashMap};
use std::iter;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::partitions::{PARTITIONS, RECORD, Record};
use super::{COMPARISON, CompareContext};
use crate::backup::Source;
use crate::error::{Error, Result};
use crate::event::{Event, Reporter};
use crate::item::{Items, KeySchema, Sample, item_digest};
use crate::ops::invalid_item::InvalidItem;
use crate::ops::run_blocking;
use crate::ops::scan_segments::{for_each_segment, spread_order};
use crate::ops::transform_stream::{CHUNK_ITEMS, transform_stream};
use crate::place::{ScratchPartitions, read_rejects};
use crate::store::{PageKey, PageMemoryPermit, ReadStore, ScanPage, ScanRequest, WireBytes};
use crate::transform::{Outcome, Transform, TransformedChunk};

/// Memory of one side's records before they go to disk, in bytes.
const SCRATCH_MEMORY: usize = 4 * 1024 * 1024;

/// Items between two reports of progress of a dump.
const PROGRESS_ITEMS: u64 = 1024;

/// A set of items that can be read whole, and of which some can be read again.
pub(crate) trait Side: Send + Sync {
    /// Reads every item into a record. With `tells`, progress is reported.
    fn spill(
        &self,
        comparing: &CompareContext,
        tells: bool,
    ) -> impl Future<Output = Result<Spilled>> + Send;

    /// Reads the items with these hashes of their keys again, each in the page with this number.
    fn texts(
        &self,
        wanted: &HashMap<u128, u32>,
        pages: &[Page],
        comparing: &CompareContext,
    ) -> impl Future<Output = Result<Texts>> + Send;
}

/// Items that were read again, by the hashes of their keys, and what that took.
#[derive(Default)]
pub(crate) struct Texts {
    pub(crate) items: HashMap<u128, Bytes>,
    pub(crate) read_units: f64,
    pub(crate) wire: WireBytes,
}

/// Where a page of a Scan begins, and how many items it held.
pub(crate) struct Page {
    segment: u32,
    start: Option<PageKey>,
    items: usize,
}

/// What becomes a record.
#[derive(Clone)]
struct How {
    keys_only: bool,
    sample: Option<Sample>,
    /// The partition key alone: it decides what is in a sample, so that partitions are compared whole, and a dump that was sampled
    /// is compared with the same ones.
    partition: KeySchema,
}

impl How {
    fn of(comparing: &CompareContext) -> Self {
        let partition = KeySchema {
            partition: comparing.key.partition.clone(),
            sort: None,
        };
        Self {
            keys_only: comparing.keys_only,
            sample: comparing.sample,
            partition,
        }
    }
}

/// A side, read.
pub(crate) struct Spilled {
    pub(crate) records: ScratchPartitions<RECORD>,
    /// Records of items that the other side must not have.
    pub(crate) rejected: Option<ScratchPartitions<RECORD>>,
    pub(crate) items: u64,
    /// Items that have a record.
    pub(crate) held: u64,
    /// Items without a usable key; they have no record.
    pub(crate) without_key: u64,
    /// The pages by number. A dump has none: it is read again from its beginning.
    pub(crate) pages: Vec<Page>,
    pub(crate) read_units: f64,
    pub(crate) wire: WireBytes,
}

impl Spilled {
    fn new() -> Result<Self> {
        let records = ScratchPartitions::new(PARTITIONS, SCRATCH_MEMORY)?;
        Ok(Self {
            records,
            rejected: None,
            items: 0,
            held: 0,
            without_key: 0,
            pages: Vec::new(),
            read_units: 0.0,
            wire: WireBytes::default(),
        })
    }

    /// Makes a record of an item, whose key has the hash `key`.
    fn push(&mut self, key: u128, item: &[u8], page: u32, how: &How) -> Result<()> {
        if let Some(sample) = how.sample
            && how
                .partition
                .hash128(item)
                .is_ok_and(|partition| !sample.contains(partition))
        {
            return Ok(());
        }

        let digest = if how.keys_only {
            Ok(0)
        } else {
            item_digest(item)
        };

        let digest =
            digest.map_err(|error| Error::damaged("an item cannot be read").with_source(error))?;
        let record = Record { key, digest, page };
        self.held += 1;

        self.records.push(record.partition(), &record.to_bytes())
    }
}

/// The items of a dump, or what a transform makes of them.
pub(crate) struct DumpSide {
    pub(crate) source: Arc<Source>,
    pub(crate) transform: Transform,
    /// Files of the items that a restore rejected or skipped: the table does not have them.
    pub(crate) rejected: Vec<PathBuf>,
}

impl DumpSide {
    /// The items as they are.
    pub(crate) fn of(source: Arc<Source>) -> Self {
        Self {
            source,
            transform: Transform::new(),
            rejected: Vec::new(),
        }
    }
}

/// Records of the items in files of rejected items. Those without a usable key have no record in the source either.
fn rejected_in(
    files: &[PathBuf],
    is_transformed: bool,
    key: &KeySchema,
) -> Result<Option<ScratchPartitions<RECORD>>> {
    if files.is_empty() {
        return Ok(None);
    }

    let mut rejected = ScratchPartitions::new(PARTITIONS, SCRATCH_MEMORY)?;
    let mut take = |item: &[u8]| {
        let Some((key, digest)) = key.hash128(item).ok().zip(item_digest(item).ok()) else {
            return Ok(());
        };

        let record = Record {
            key,
            digest,
            page: 0,
        };

        rejected.push(record.partition(), &record.to_bytes())
    };

    files
        .iter()
        .try_for_each(|file| read_rejects(file, is_transformed, &mut take))?;

    Ok(Some(rejected))
}

/// The items of a dump that a table with this key is to have.
fn items_of(
    source: &Source,
    transform: &Transform,
    key: &KeySchema,
    reporter: &Arc<dyn Reporter>,
) -> Result<Box<dyn Iterator<Item = Result<Bytes>>>> {
    let mut items = source.items()?;
    let mut items = iter::from_fn(move || {
        items
            .next_item()
            .map(|item| item.map(|item| item.text))
            .transpose()
    });

    if transform.is_empty() {
        return Ok(Box::new(items));
    }

    let chunks = iter::from_fn(move || {
        let chunk: Result<Vec<Bytes>> = items.by_ref().take(CHUNK_ITEMS).collect();
        chunk
            .map(|chunk| (!chunk.is_empty()).then_some((chunk, ())))
            .transpose()
    });

    let key = key.clone();
    let made = transform_stream(transform, reporter, chunks)?.flat_map(move |chunk| match chunk {
        Err(error) => vec![Err(error)],
        Ok(TransformedChunk {
            items, outcomes, ..
        }) => {
            let of = |(item, outcome): (&Bytes, &Outcome)| match InvalidItem::check_outputs(
                outcome, &key,
            ) {
                Some(_) => Vec::new(),
                None => outcome.items(item).to_vec(),
            };
            items.iter().zip(&outcomes).flat_map(of).map(Ok).collect()
        }
    });

    Ok(Box::new(made))
}

impl Side for DumpSide {
    async fn spill(&self, comparing: &CompareContext, tells: bool) -> Result<Spilled> {
        let (source, transform) = (Arc::clone(&self.source), self.transform.clone());
        let (key, how, reporter) = (
            comparing.key.clone(),
            How::of(comparing),
            Arc::clone(&comparing.reporter),
        );

        let files = self.rejected.clone();
        run_blocking(COMPARISON, move || {
            if !source.has_items() {
                return Spilled::new();
            }

            let rejected = rejected_in(&files, !transform.is_empty(), &key)?;
            let items = items_of(&source, &transform, &key, &reporter)?;
            let spilled = spill_dump(items, &key, &how, tells.then_some(reporter.as_ref()))?;
            Ok(Spilled {
                rejected,
                ..spilled
            })
        })
        .await
    }

    async fn texts(
        &self,
        wanted: &HashMap<u128, u32>,
        _pages: &[Page],
        comparing: &CompareContext,
    ) -> Result<Texts> {
        if wanted.is_empty() {
            return Ok(Texts::default());
        }

        let (source, transform) = (Arc::clone(&self.source), self.transform.clone());
        let (key, wanted, reporter) = (
            comparing.key.clone(),
            wanted.clone(),
            Arc::clone(&comparing.reporter),
        );

        run_blocking(COMPARISON, move || {
            let mut texts = HashMap::new();
            for item in items_of(&source, &transform, &key, &reporter)? {
                let item = item?;
                let Ok(key) = key.hash128(&item) else {
                    continue;
                };

                if wanted.contains_key(&key) {
                    texts.insert(key, item);
                }
            }

            Ok(Texts {
                items: texts,
                ..Texts::default()
            })
        })
        .await
    }
}

fn spill_dump(
    items: impl Iterator<Item = Result<Bytes>>,
    key: &KeySchema,
    how: &How,
    reporter: Option<&dyn Reporter>,
) -> Result<Spilled> {
    let mut spilled = Spilled::new()?;
    let (mut told, mut bytes) = (0, 0);
    for item in items {
        let item = item?;
        spilled.items += 1;
        bytes += item.len() as u64;

        match key.hash128(&item) {
            Ok(key) => spilled.push(key, &item, 0, how)?,
            Err(_) => spilled.without_key += 1,
        }

        if let Some(reporter) = reporter.filter(|_| spilled.items - told == PROGRESS_ITEMS) {
            reporter.report(Event::Progress {
                items: PROGRESS_ITEMS,
                bytes: std::mem::take(&mut bytes),
            });
            told = spilled.items;
        }
    }

    if let Some(reporter) = reporter {
        reporter.report(Event::Progress {
            items: spilled.items - told,
            bytes,
        });
    }

    Ok(spilled)
}

/// The items of a live table, read in parallel.
pub(crate) struct TableSide<S> {
    pub(crate) store: S,
    pub(crate) table: String,
    pub(crate) segments: u32,
    /// Pages on their way at most, from the call that asks for one until it is digested. Those that have arrived are bounded by [`PageMemoryPermit`].
    pub(crate) pages: usize,
    pub(crate) consistent_read: bool,
}

/// What one Scan call returned.
struct Scanned {
    page: Page,
    items: Items,
    read_units: f64,
    wire: WireBytes,
    memory_permit: PageMemoryPermit,
}

impl<S: ReadStore + Clone + 'static> TableSide<S> {
    fn request(&self, segment: u32, start: Option<PageKey>, key: &Arc<KeySchema>) -> ScanRequest {
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

/// The hash of an item's key.
fn key_of(key: &KeySchema, item: &[u8], table: &str) -> Result<u128> {
    key.hash128(item).map_err(|error| {
        Error::failed(format!("table {table} returned an item without its key")).with_source(error)
    })
}

impl<S: ReadStore + Clone + 'static> Side for TableSide<S> {
    async fn spill(&self, comparing: &CompareContext, tells: bool) -> Result<Spilled> {
        let (pages, waiting) = mpsc::channel::<Scanned>(self.pages);
        let reporter = tells.then(|| Arc::clone(&comparing.reporter));
        let (key, how, table) = (
            comparing.key.clone(),
            How::of(comparing),
            self.table.clone(),
        );

        let output = run_blocking(COMPARISON, move || {
            spill_pages(waiting, &table, &key, &how, reporter.as_deref())
        });
        let table_key = Arc::new(comparing.key.clone());
        let one = move |segment| {
            scan(
                self.store.clone(),
                self.request(segment, None, &table_key),
                pages.clone(),
            )
        };

        let reading = for_each_segment(spread_order(self.segments), one);

        // Both end in any case: a reader that failed closes the channel, and so do the scans.
        let (spilled, ()) = tokio::try_join!(output, reading)?;

        Ok(spilled)
    }

    async fn texts(
        &self,
        wanted: &HashMap<u128, u32>,
        pages: &[Page],
        comparing: &CompareContext,
    ) -> Result<Texts> {
        let mut texts = Texts::default();
        let table_key = Arc::new(comparing.key.clone());
        let numbers: BTreeSet<u32> = wanted.values().copied().collect();
        for page in numbers
            .into_iter()
            .filter_map(|number| pages.get(usize::try_from(number).ok()?))
        {
            let mut request = self.request(page.segment, page.start.clone(), &table_key);
            let mut left = page.items;

            // Where units are limited, what was one page may come as several now.
            loop {
                let found = self.store.scan(&request).await?;
                texts.read_units += found.read_units;
                texts.wire += found.wire;

                for item in found.items.iter() {
                    let key = key_of(&comparing.key, item, &self.table)?;
                    if wanted.contains_key(&key) {
                        texts.items.insert(key, Bytes::copy_from_slice(item));
                    }
                }

                left = left.saturating_sub(found.items.len());

                match found.next {
                    Some(next) if left > 0 => {
                        (request.start, request.previous_keys) = (Some(next), found.keys);
                    }
                    _ => break,
                }
            }
        }

        Ok(texts)
    }
}

/// Reads one segment to its end.
async fn scan<S: ReadStore>(
    store: S,
    mut request: ScanRequest,
    pages: mpsc::Sender<Scanned>,
) -> Result<()> {
    loop {
        // Whoever does not listen any more has failed, and says why.
        let Ok(place) = pages.reserve().await else {
            return Ok(());
        };

        let found = store.scan(&request).await?;
        let page = Page {
            segment: request.segment,
            start: request.start.clone(),
            items: found.items.len(),
        };

        let ScanPage {
            items,
            keys,
            next,
            read_units,
            wire,
            memory_permit,
            scanned: _,
        } = found;

        place.send(Scanned {
            page,
            items,
            read_units,
            wire,
            memory_permit,
        });

        match next {
            Some(next) => (request.start, request.previous_keys) = (Some(next), keys),
            None => return Ok(()),
        }
    }
}

fn spill_pages(
    mut waiting: mpsc::Receiver<Scanned>,
    table: &str,
    key: &KeySchema,
    how: &How,
    reporter: Option<&dyn Reporter>,
) -> Result<Spilled> {
    let mut spilled = Spilled::new()?;
    while let Some(Scanned {
        page,
        items,
        read_units,
        wire,
        memory_permit: _room,
    }) = waiting.blocking_recv()
    {
        let number = u32::try_from(spilled.pages.len()).map_err(|error| {
            Error::failed("the table has more pages than can be counted").with_source(error)
        })?;
        for item in items.iter() {
            spilled.push(key_of(key, item, table)?, item, number, how)?;
        }

        spilled.items += items.len() as u64;
        spilled.read_units += read_units;
        spilled.wire += wire;
        spilled.pages.push(page);

        if let Some(reporter) = reporter {
            reporter.report(Event::Progress {
                items: items.len() as u64,
                bytes: items.text_bytes(),
            });
        }
    }

    Ok(spilled)
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::ops::compare::compare;
    use crate::ops::testing::{Answer, DEADLINE, Scripted, key};

    type Script = fn(&ScanRequest) -> Answer;

    /// Hears of the pages of a side, and panics at one if that is wanted.
    struct Listener {
        panics: bool,
    }

    impl Reporter for Listener {
        fn report(&self, _event: Event) {
            assert!(!self.panics, "provoked");
        }
    }

    fn comparing(panics: bool) -> CompareContext {
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

    /// The second page of the first segment ends in this way.
    fn scripts() -> [(Script, &'static str); 3] {
        fn second(request: &ScanRequest) -> bool {
            request.segment == 0 && request.start.is_some()
        }

        [
            (
                |request| {
                    if second(request) {
                        Answer::Fails
                    } else {
                        Answer::Page
                    }
                },
                "the scan fails",
            ),
            (
                |request| {
                    if second(request) {
                        Answer::Panics
                    } else {
                        Answer::Page
                    }
                },
                "a scan was cut off",
            ),
            (
                |request| {
                    if second(request) {
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
    async fn of_scans_and_digests_whichever_fails_first_ends_the_other() {
        for (segments, pages) in [1, 8, 9, 32]
            .into_iter()
            .flat_map(|segments| [(segments, 1), (segments, 32)])
        {
            let case = format!("{segments} segments, room for {pages}");
            let all: Script = |_| Answer::Page;
            let cases = scripts()
                .into_iter()
                .map(|(script, words)| (script, false, words));
            for (script, panics, words) in cases.chain([(all, true, "the comparison was cut off")])
            {
                let side = side(script, segments, pages);
                let spilled = timeout(DEADLINE, side.spill(&comparing(panics), true)).await;
                let error = spilled
                    .unwrap_or_else(|_| panic!("hangs: {case}, {words}"))
                    .err();
                assert_eq!(error.expect(&case).to_string(), words, "{case}");
                side.store.all_rooms_return();
            }
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_side_that_fails_ends_the_other_side() {
        for segments in [1, 8, 9, 32] {
            for (script, words) in scripts() {
                let silent: Script = |request| {
                    if request.start.is_some() {
                        Answer::Never
                    } else {
                        Answer::Page
                    }
                };

                for (left, right) in [(script, silent), (silent, script)] {
                    let (left, right) = (side(left, segments, 1), side(right, segments, 1));
                    let compared = timeout(DEADLINE, compare(left, right, &comparing(false))).await;
                    let error = compared
                        .unwrap_or_else(|_| panic!("hangs: {segments} segments, {words}"))
                        .err();
                    assert_eq!(error.expect("a side fails").to_string(), words);
                }
            }
        }
    }
}
