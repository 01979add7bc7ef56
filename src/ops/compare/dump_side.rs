//! The dump side of a comparison.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::{iter, mem};

use bytes::Bytes;

use super::partitions::{PARTITIONS, RECORD_BYTES, Record};
use super::side::{PageLocation, RecordOptions, RereadItems, SCRATCH_MEMORY, Side, SideRecords};
use super::{COMPARISON, CompareContext};
use crate::backup::Source;
use crate::error::Result;
use crate::event::{Event, Reporter};
use crate::item::{KeySchema, item_digest};
use crate::ops::invalid_item::InvalidItem;
use crate::ops::run_blocking;
use crate::ops::transform_stream::{CHUNK_ITEMS, transform_stream};
use crate::place::{ScratchPartitions, read_rejects};
use crate::transform::{Transform, TransformedChunk};

/// Number of items between two progress reports.
const PROGRESS_ITEMS: u64 = 1024;

/// The items of a dump, after a transform if there is one.
pub(crate) struct DumpSide {
    pub(crate) source: Arc<Source>,
    pub(crate) transform: Transform,
    /// Files of the items that a restore rejected or skipped, which the table does not have.
    pub(crate) rejected: Vec<PathBuf>,
}

impl DumpSide {
    /// All items, without a transform.
    pub(crate) fn new(source: Arc<Source>) -> Self {
        Self {
            source,
            transform: Transform::new(),
            rejected: Vec::new(),
        }
    }
}

impl Side for DumpSide {
    async fn read_records(
        &self,
        context: &CompareContext,
        reporter: Option<&Arc<dyn Reporter>>,
    ) -> Result<SideRecords> {
        let source = Arc::clone(&self.source);
        let transform = self.transform.clone();
        let rejected_files = self.rejected.clone();
        let key = context.key.clone();
        let options = RecordOptions::new(context);
        let transform_reporter = Arc::clone(&context.reporter);
        let progress_reporter = reporter.map(Arc::clone);

        run_blocking(COMPARISON, move || {
            // A dump of the schema alone has no data file to open.
            if !source.has_items() {
                return SideRecords::new();
            }

            let rejected = read_rejected_records(&rejected_files, !transform.is_empty(), &key)?;
            let items = expected_items(&source, &transform, &key, &transform_reporter)?;
            let records = make_records(items, &key, &options, progress_reporter.as_deref())?;

            Ok(SideRecords {
                rejected,
                ..records
            })
        })
        .await
    }

    async fn reread_items(
        &self,
        wanted: &HashMap<u128, u32>,
        _pages: &[PageLocation],
        context: &CompareContext,
    ) -> Result<RereadItems> {
        // Without differences, do not read the whole dump a second time.
        if wanted.is_empty() {
            return Ok(RereadItems::default());
        }

        let source = Arc::clone(&self.source);
        let transform = self.transform.clone();
        let key_schema = context.key.clone();
        let wanted = wanted.clone();
        let reporter = Arc::clone(&context.reporter);

        run_blocking(COMPARISON, move || {
            let mut found = HashMap::new();
            for item in expected_items(&source, &transform, &key_schema, &reporter)? {
                let item = item?;
                let Ok(key) = key_schema.hash128(&item) else {
                    continue;
                };

                // A later item with the same key replaces an earlier one, as it does in a restore.
                if wanted.contains_key(&key) {
                    found.insert(key, item);
                }
            }

            Ok(RereadItems {
                items: found,
                ..RereadItems::default()
            })
        })
        .await
    }
}

/// Records of the items in files of rejected items; `None` if there are no files. Items without a usable key are left out, because
/// they have no record in the source either.
fn read_rejected_records(
    files: &[PathBuf],
    is_transformed: bool,
    key: &KeySchema,
) -> Result<Option<ScratchPartitions<RECORD_BYTES>>> {
    if files.is_empty() {
        return Ok(None);
    }

    let mut rejected = ScratchPartitions::new(PARTITIONS, SCRATCH_MEMORY)?;
    let mut push_record = |item: &[u8]| {
        let Some((key, digest)) = key.hash128(item).ok().zip(item_digest(item).ok()) else {
            return Ok(());
        };

        // The page is never used: rejected items are not examples.
        let record = Record {
            key,
            digest,
            page: 0,
        };

        rejected.push(record.partition(), &record.to_bytes())
    };

    files
        .iter()
        .try_for_each(|file| read_rejects(file, is_transformed, &mut push_record))?;

    Ok(Some(rejected))
}

/// The items of a dump that a table with this key is expected to have. With a transform, these are the valid outputs.
fn expected_items(
    source: &Source,
    transform: &Transform,
    key: &KeySchema,
    reporter: &Arc<dyn Reporter>,
) -> Result<Box<dyn Iterator<Item = Result<Bytes>>>> {
    let mut reader = source.items()?;
    let mut items = iter::from_fn(move || {
        reader
            .next_item()
            .map(|item| item.map(|item| item.text))
            .transpose()
    });

    if transform.is_empty() {
        return Ok(Box::new(items));
    }

    // A transform takes items in chunks, which share the cost of passing them to another thread and back.
    let chunks = iter::from_fn(move || {
        let chunk: Result<Vec<Bytes>> = items.by_ref().take(CHUNK_ITEMS).collect();
        chunk
            .map(|chunk| (!chunk.is_empty()).then_some((chunk, ())))
            .transpose()
    });

    let key = key.clone();
    let outputs =
        transform_stream(transform, reporter, chunks)?.flat_map(move |chunk| match chunk {
            Err(error) => vec![Err(error)],
            Ok(chunk) => valid_outputs(&chunk, &key).map(Ok).collect(),
        });

    Ok(Box::new(outputs))
}

/// The outputs of a transform that a restore writes. If one output of an item is invalid, the restore writes none of them.
fn valid_outputs(chunk: &TransformedChunk<()>, key: &KeySchema) -> impl Iterator<Item = Bytes> {
    let TransformedChunk {
        items, outcomes, ..
    } = chunk;

    items.iter().zip(outcomes).flat_map(|(item, outcome)| {
        match InvalidItem::check_outputs(outcome, key) {
            Some(_) => Vec::new(),
            None => outcome.items(item).to_vec(),
        }
    })
}

/// Makes records of the items of a dump.
fn make_records(
    items: impl Iterator<Item = Result<Bytes>>,
    key_schema: &KeySchema,
    options: &RecordOptions,
    reporter: Option<&dyn Reporter>,
) -> Result<SideRecords> {
    let mut records = SideRecords::new()?;
    let mut reported_items = 0;
    let mut unreported_bytes = 0;

    for item in items {
        let item = item?;
        records.items += 1;
        unreported_bytes += item.len() as u64;

        match key_schema.hash128(&item) {
            // A dump is read again from its beginning, so its items need no page.
            Ok(key) => records.push(key, &item, 0, options)?,
            Err(_) => records.without_key += 1,
        }

        // A report for each item would slow reading down.
        if let Some(reporter) = reporter
            && records.items - reported_items == PROGRESS_ITEMS
        {
            reporter.report(Event::Progress {
                items: PROGRESS_ITEMS,
                bytes: mem::take(&mut unreported_bytes),
            });
            reported_items = records.items;
        }
    }

    if let Some(reporter) = reporter {
        reporter.report(Event::Progress {
            items: records.items - reported_items,
            bytes: unreported_bytes,
        });
    }

    Ok(records)
}
