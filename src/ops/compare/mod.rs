//! Comparison of two sets of items, each a dump or a live table: equal, missing, different and extra items.
//!
//! Both sides are read once, concurrently. Each item becomes a record of 36 bytes: a hash of its key, a digest of its contents, and
//! the number of its page. The digest is canonical: the order of attributes and sets and the notation of numbers do not matter. The
//! records are partitioned by key into scratch files and compared partition by partition, so memory does not depend on the size of
//! the table. The few items that are shown are read again afterwards; from a table, only their pages are read.

mod attributes;
mod extra;
mod partitions;
mod side;
mod source_side;
mod table_side;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub(crate) use extra::ExtraItems;
pub(crate) use side::Side;
pub(crate) use source_side::SourceSide;
pub(crate) use table_side::TableSide;

use crate::error::Result;
use crate::event::{Reporter, SilentReporter};
use crate::item::{KeySchema, Sample};
use crate::ops::journal::Position;
use crate::ops::run_blocking;
use crate::ops::sink::{DigestOptions, DigestWorker, SourceRecords, WorkerSink};
use crate::ops::source::ChunkStream;
use crate::ops::transfer::{Transfer, interrupted};
use crate::store::WireBytes;
use attributes::attribute_differences;
use partitions::{ExampleRef, compare_records};

/// Names the work in the error if a blocking thread of a comparison ends without a result.
const COMPARISON: &str = "the comparison";

/// Options that apply to both sides of a comparison.
pub(crate) struct CompareContext {
    /// The key schema of both sides.
    pub(crate) key: KeySchema,
    /// Compare keys only: items with the same key are equal.
    pub(crate) keys_only: bool,
    /// Compare only the keys in this sample; all if `None`.
    pub(crate) sample: Option<Sample>,
    /// Receives the progress of reading the target.
    pub(crate) reporter: Arc<dyn Reporter>,
}

impl CompareContext {
    /// The digest of a source; `table` is its name if it is a live table.
    fn digest_options(&self, table: Option<&str>) -> DigestOptions {
        DigestOptions {
            key: self.key.clone(),
            keys_only: self.keys_only,
            sample: self.sample,
            table: table.map(ToOwned::to_owned),
        }
    }
}

/// Reads a whole source into records.
async fn digest<P: Position + Clone + Sync>(
    mut chunks: ChunkStream<P>,
    options: DigestOptions,
    reporter: &Arc<dyn Reporter>,
) -> Result<SourceRecords<P>> {
    let mut sink = WorkerSink::start(COMPARISON, DigestWorker::new(options)?);

    // Who compares waits for an interruption, and drops the comparison.
    let cancel = CancellationToken::new();
    let transfer = Transfer {
        reporter,
        cancel: &cancel,
        interrupted,
        journal: None,
    };
    transfer.run(&mut chunks, &mut sink).await?;

    sink.into_output()
}

/// Kind of difference between the two sides for one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// Only the source has the item.
    Missing,
    /// Both have the item, with different contents.
    Different,
    /// Only the target has the item.
    Extra,
}

/// An attribute that differs. Long values are truncated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AttributeDifference {
    /// Name of the attribute.
    pub name: String,
    /// Value in the source, in DynamoDB JSON; `None` if the source lacks the attribute.
    pub source: Option<String>,
    /// Value in the target, in DynamoDB JSON; `None` if the target lacks the attribute.
    pub target: Option<String>,
}

/// An item that is not equal on both sides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Kind of difference.
    #[serde(rename = "fault")]
    pub kind: DifferenceKind,
    /// Key of the item, in DynamoDB JSON.
    pub key: String,
    /// The first attributes that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<AttributeDifference>,
}

/// Result of a comparison.
#[derive(Debug, Default)]
pub(crate) struct CompareResult {
    /// Keys with equal items.
    pub(crate) equal: u64,
    /// Items that only the source has. Rejected and skipped items are not expected in the target.
    pub(crate) missing: u64,
    /// Items with different contents.
    pub(crate) different: u64,
    /// Items that only the target has.
    pub(crate) extra: u64,
    /// Earlier versions of an item that a later line of the source replaces.
    pub(crate) superseded: u64,
    /// Items of the source without a usable key, which the target cannot have.
    pub(crate) without_key: u64,
    /// Items of the source that the transform filtered out.
    pub(crate) left_out: u64,
    /// Items of the source that the transform rejected, or whose results the target cannot store.
    pub(crate) rejected: u64,
    /// The first items of each kind of difference.
    pub(crate) examples: Vec<Example>,
    /// Items read from the source.
    pub(crate) source_items: u64,
    /// Items read from the target.
    pub(crate) target_items: u64,
    /// Items of the source that were compared: they have a usable key and are in the sample.
    pub(crate) source_compared: u64,
    /// Items of the target that were compared: they are in the sample.
    pub(crate) target_compared: u64,
    /// Read units consumed by both sides.
    pub(crate) read_units: f64,
    /// Bytes received for both sides.
    pub(crate) wire: WireBytes,
}

/// Compares the source with the target.
///
/// # Errors
/// A side cannot be read completely; the scratch files cannot be written.
pub(crate) async fn compare(
    source: impl Side,
    target: impl Side,
    context: &CompareContext,
) -> Result<CompareResult> {
    // Only the target reports progress: the expected number of items is that of one side, and the items of both would exceed it.
    let silent: Arc<dyn Reporter> = Arc::new(SilentReporter);
    let (source_records, target_records) = tokio::try_join!(
        source.read_records(context, &silent),
        target.read_records(context, &context.reporter)
    )?;

    let mut result = CompareResult::of_sides(&source_records.source, &target_records.source);

    // The thread returns the records of both sides, because their chunks are needed to read the examples again.
    let (differences, source_records, target_records) = run_blocking(COMPARISON, move || {
        let differences = compare_records(
            &source_records.source.records,
            source_records.rejected.as_ref(),
            &target_records.source.records,
        )?;
        Ok((differences, source_records, target_records))
    })
    .await?;

    // An extra item has no text in the source, and a missing item has none in the target.
    let source_chunks = chunks_by_key(&differences.examples, DifferenceKind::Extra, |example| {
        example.source_chunk
    });
    let target_chunks = chunks_by_key(&differences.examples, DifferenceKind::Missing, |example| {
        example.target_chunk
    });
    let (source_reread, target_reread) = tokio::try_join!(
        source.reread_items(&source_chunks, &source_records.source.chunks, context),
        target.reread_items(&target_chunks, &target_records.source.chunks, context)
    )?;

    for reread in [&source_reread, &target_reread] {
        result.read_units += reread.read_units;
        result.wire += reread.wire;
    }

    let examples = build_examples(
        &differences.examples,
        &source_reread.items,
        &target_reread.items,
        &context.key,
    );

    Ok(CompareResult {
        equal: differences.equal,
        missing: differences.missing,
        different: differences.different,
        extra: differences.extra,
        // Of all versions of an item in the source, only the last one was compared.
        superseded: result
            .source_compared
            .saturating_sub(differences.source_keys),
        examples,
        ..result
    })
}

impl CompareResult {
    /// The totals of both sides.
    fn of_sides<P, Q>(source: &SourceRecords<P>, target: &SourceRecords<Q>) -> Self {
        let mut result = Self {
            without_key: source.without_key,
            left_out: source.left_out,
            rejected: source.rejected,
            source_items: source.items,
            target_items: target.items,
            source_compared: source.compared,
            target_compared: target.compared,
            read_units: source.read_units + target.read_units,
            wire: source.wire,
            ..Self::default()
        };
        result.wire += target.wire;

        result
    }
}

/// Chunk numbers by key hash, of all examples except those of the kind `absent`, which this side does not have.
fn chunks_by_key(
    examples: &[ExampleRef],
    absent: DifferenceKind,
    chunk: fn(&ExampleRef) -> u32,
) -> HashMap<u128, u32> {
    examples
        .iter()
        .filter(|example| example.kind != absent)
        .map(|example| (example.key, chunk(example)))
        .collect()
}

/// The examples for the items that were read again, sorted by kind and key.
fn build_examples(
    examples: &[ExampleRef],
    source_items: &HashMap<u128, Bytes>,
    target_items: &HashMap<u128, Bytes>,
    key: &KeySchema,
) -> Vec<Example> {
    let mut built: Vec<Example> = examples
        .iter()
        .filter_map(|example| {
            let source_item = source_items.get(&example.key);
            let target_item = target_items.get(&example.key);
            build_example(example, source_item, target_item, key)
        })
        .collect();

    // They were found in the order of hashes, which tells a reader nothing.
    built.sort_by(|one, other| (one.kind, &one.key).cmp(&(other.kind, &other.key)));

    built
}

/// The example for an item that was read again. `None` if the item is gone since then.
fn build_example(
    example: &ExampleRef,
    source: Option<&Bytes>,
    target: Option<&Bytes>,
    key: &KeySchema,
) -> Option<Example> {
    let item = source.or(target)?;
    let attributes = match (source, target) {
        (Some(source), Some(target)) => attribute_differences(source, target),
        // All attributes of a missing or extra item differ; a list would only repeat the item.
        _ => Vec::new(),
    };

    Some(Example {
        kind: example.kind,
        key: key.extract(item).ok()?.to_json(),
        attributes,
    })
}
