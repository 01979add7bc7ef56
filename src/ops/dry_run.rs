//! Dry run of a transform: it is applied to every item, and nothing is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::chunk::Chunk;
use super::collision_detector::CollisionDetector;
use super::cost::{WriteCost, WriteCostCounter, WriteCostModel};
use super::invalid_item::InvalidItem;
use super::journal::Position;
use super::sink::{ChunkWorker, WorkerSink};
use super::source::ChunkStream;
use super::transfer::Transfer;
use super::transform_stage::TransformStage;
use crate::error::{Error, ErrorKind, Result};
use crate::event::{Event, Reporter};
use crate::item::KeySchema;
use crate::transform::{Outcome, RejectReason, Transform};

/// Maximum number of different reject reasons in a report.
const MAX_REASONS: usize = 10;

/// Result of a dry run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DryRunReport {
    /// Number of items read.
    pub items_in: u64,
    /// Number of items read that were replaced by others.
    pub changed: u64,
    /// Number of items read that were filtered out.
    pub left_out: u64,
    /// Number of items read that were rejected.
    pub rejected: u64,
    /// Number of items after the transform.
    pub items_out: u64,
    /// Size of their text in bytes.
    pub bytes_out: u64,
    /// Reject reasons, the most frequent first, each with the number of items.
    pub reasons: Vec<(String, u64)>,
    /// Number of items after the transform that lack the target table's key.
    pub without_key: u64,
    /// Number of items after the transform that are larger than DynamoDB's limit.
    pub too_large: u64,
    /// Number of items that have the same key as another item with a different original key: one would overwrite the other.
    pub collisions: u64,
    /// First collisions: the numbers of both items among all items after the transform, counted from 1.
    #[serde(rename = "collided")]
    pub first_collisions: Vec<(u64, u64)>,
    /// Cost of writing the items after the transform.
    #[serde(flatten)]
    pub cost: WriteCost,
    /// Items to show before and after the transform.
    #[serde(skip)]
    pub previews: Vec<ItemPreview>,
}

/// Which items a dry run keeps to show them before and after the transform.
#[derive(Debug, Clone, Copy, Default)]
pub struct PreviewOptions {
    /// Maximum number of changed items.
    pub items: usize,
    /// Show the original values of masked attributes.
    pub originals: bool,
}

/// An item before and after a transform.
#[derive(Debug, Clone)]
pub struct ItemPreview {
    /// The original item in DynamoDB JSON, with placeholders for masked values.
    pub before: Bytes,
    /// The items that replace it.
    pub after: Vec<Bytes>,
    /// The reject reason, if the item was rejected.
    pub rejected: Option<String>,
}

/// The error for a dry run that was interrupted.
fn interrupted() -> Error {
    Error::new(ErrorKind::Interrupted, "interrupted: nothing was written")
}

/// Handling of items that the target table would refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidItems {
    /// Reject them, as a restore does.
    Reject,
    /// Count them, and let them through: a dump contains them.
    Count,
}

/// A dry run in progress.
pub(crate) struct DryRun {
    report: DryRunReport,
    /// Key of the target table.
    key: KeySchema,
    cost: WriteCostCounter,
    invalid_items: InvalidItems,
    collisions: Option<CollisionDetector>,
    reasons: BTreeMap<String, u64>,
    preview: PreviewOptions,
    transform: Transform,
}

impl DryRun {
    /// A dry run for a target table with this key and cost model.
    pub(crate) fn new(
        key: KeySchema,
        cost_model: WriteCostModel,
        transform: &Transform,
        collisions: Option<CollisionDetector>,
        invalid_items: InvalidItems,
        preview: PreviewOptions,
    ) -> Self {
        Self {
            report: DryRunReport::default(),
            key,
            cost: WriteCostCounter::new(cost_model),
            invalid_items,
            collisions,
            reasons: BTreeMap::new(),
            preview,
            transform: transform.clone(),
        }
    }

    fn add_item(&mut self, item: &Bytes, outcome: Outcome) -> Result<()> {
        let outcome = self.validate(item, outcome);
        if let Some(collisions) = &mut self.collisions {
            collisions.add(item, &outcome)?;
        }

        self.count(item, &outcome);
        self.keep_preview(item, outcome);

        Ok(())
    }

    /// Counts invalid outputs. The result is what would be written of the item.
    fn validate(&mut self, item: &Bytes, outcome: Outcome) -> Outcome {
        let invalid = outcome
            .items(item)
            .iter()
            .find_map(|output| InvalidItem::check(output, &self.key));
        let Some(invalid) = invalid else {
            return outcome;
        };

        match &invalid {
            InvalidItem::Key(_) => self.report.without_key += 1,
            InvalidItem::TooLarge(_) => self.report.too_large += 1,
        }

        match (self.invalid_items, &outcome) {
            (InvalidItems::Count, _) => outcome,
            (InvalidItems::Reject, Outcome::Unchanged) => {
                Outcome::Rejected(RejectReason::internal(invalid.message()))
            }
            (InvalidItems::Reject, _) => Outcome::Rejected(invalid.reject_reason()),
        }
    }

    fn count(&mut self, item: &Bytes, outcome: &Outcome) {
        let report = &mut self.report;
        report.items_in += 1;

        match outcome {
            Outcome::Unchanged => {}
            Outcome::Changed(_) | Outcome::Several(_) => report.changed += 1,
            Outcome::Skipped => report.left_out += 1,
            Outcome::Rejected(reason) => self.count_rejected(reason.to_string()),
        }

        for output in outcome.items(item) {
            self.report.items_out += 1;
            self.report.bytes_out += output.len() as u64;
            self.cost.add(output);
        }
    }

    fn count_rejected(&mut self, reason: String) {
        self.report.rejected += 1;

        // A reason may quote a value, so each item could have another one: the limit bounds memory.
        if self.reasons.len() < MAX_REASONS || self.reasons.contains_key(&reason) {
            *self.reasons.entry(reason).or_default() += 1;
        }
    }

    fn keep_preview(&mut self, item: &Bytes, outcome: Outcome) {
        let after = match &outcome {
            Outcome::Unchanged => return,
            // A small sample would leave no room for the items that are changed.
            Outcome::Skipped if self.transform.is_sampled() => return,
            _ if self.report.previews.len() >= self.preview.items => return,
            changed => changed.items(item).to_vec(),
        };

        let rejected = if let Outcome::Rejected(reason) = outcome {
            Some(reason.to_string())
        } else {
            None
        };

        let before = if self.preview.originals {
            item.clone()
        } else {
            self.transform.displayable_item(item)
        };

        self.report.previews.push(ItemPreview {
            before,
            after,
            rejected,
        });
    }
}

impl<P: Send + 'static> ChunkWorker<P> for DryRun {
    type Output = DryRunReport;

    fn add(&mut self, chunk: Chunk<P>) -> Result<()> {
        for (item, outcome) in chunk.entries() {
            self.add_item(&item, outcome.clone())?;
        }

        if let Some(unreadable) = chunk.unreadable {
            self.report.items_in += 1;
            self.count_rejected(unreadable.reason);
        }

        Ok(())
    }

    /// Completes the report. Collisions are found here, because every item must be known.
    fn finish(self) -> Result<DryRunReport> {
        let mut report = self.report;
        report.cost = self.cost.finish();

        if let Some(collisions) = &self.collisions {
            let found = collisions.find()?;
            (report.collisions, report.first_collisions) = (found.count, found.first);
        }

        report.reasons = self.reasons.into_iter().collect();
        report
            .reasons
            .sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));

        Ok(report)
    }
}

/// Transforms and counts the chunks of a source.
///
/// # Errors
/// The source cannot be read; a program fails; interrupted.
pub(crate) async fn dry_run<P: Position>(
    source: ChunkStream<P>,
    limit: Option<u64>,
    dry_run: DryRun,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<DryRunReport> {
    let transform = dry_run.transform.clone();
    let mut chunks = TransformStage::new(transform.clone())
        .with_limit(limit)
        .connect(source, reporter)?;

    let mut sink = WorkerSink::start("the dry run", dry_run);
    let transfer = Transfer {
        reporter,
        cancel,
        interrupted,
        journal: None,
    };
    transfer.run(&mut chunks, &mut sink).await?;

    // Some warnings, such as a mask rule that matched nothing, are known only at the end.
    for warning in transform.warnings() {
        reporter.report(Event::Warning(warning));
    }

    sink.into_output()
}
