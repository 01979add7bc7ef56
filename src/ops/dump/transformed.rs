//! Dump with a transform: pages go through the transform, and its results to the writer.
//!
//! A checkpoint counts a page only if all of its results, rejects included, precede it. Rejected items are listed in a file next to the
//! dump. If values are masked, that file contains only the keys of items, provided that they may be shown.

use std::iter;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::page::{Page, PageCost, PageEnd};
use super::page_writer::{CopyState, PageWriter};
use super::plan::DumpPlan;
use super::rejects::{open_rejects, sync_rejects};
use crate::backup::{SegmentProgress, TransformCounts};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::item::{Items, KeySchema};
use crate::ops::collision_detector::CollisionDetector;
use crate::ops::item_formatter::ItemFormatter;
use crate::ops::transform_stream::{CHUNK_ITEMS, text_bytes, transform_stream, truncate_outcome};
use crate::place::LazyLinesFile;
use crate::transform::{Outcome, RejectReason, Transform, TransformedChunk};

/// Some items of a page, with its cost and position.
type PageChunk = (Vec<Bytes>, ChunkTag);

/// Cost and position of a page: the cost is in its first chunk, the position in its last one.
#[derive(Default)]
pub(crate) struct ChunkTag {
    cost: Option<PageCost>,
    end: Option<PageEnd>,
}

/// Splits pages into chunks, so that all cores work on one page.
pub(crate) fn page_chunks(
    mut pages: mpsc::Receiver<Page>,
) -> impl Iterator<Item = Result<PageChunk>> + Send {
    iter::from_fn(move || pages.blocking_recv())
        .flat_map(split_page)
        .map(Ok)
}

fn split_page(page: Page) -> Vec<PageChunk> {
    let Page {
        items, cost, end, ..
    } = page;
    let all: Vec<Bytes> = (0..items.len()).filter_map(|at| items.get(at)).collect();
    let mut chunks: Vec<PageChunk> = all
        .chunks(CHUNK_ITEMS)
        .map(|chunk| (chunk.to_vec(), ChunkTag::default()))
        .collect();
    // An empty page, as a filter returns it, has a cost and a position too.
    if chunks.is_empty() {
        chunks.push(PageChunk::default());
    }

    let last = chunks.len() - 1;
    chunks[last].1.end = end;
    chunks[0].1.cost = Some(cost);

    chunks
}

/// The transform of a dump, and its rejects and key collisions.
pub(crate) struct TransformStage {
    transform: Transform,
    rejects: LazyLinesFile,
    formatter: ItemFormatter,
    collisions: Option<CollisionDetector>,
    /// Whether the first rejected item is an error.
    strict: bool,
    key: KeySchema,
}

impl TransformStage {
    /// The transform of `plan`, or `None` if it has none. The file of rejects continues after those that `changes` counts.
    pub(crate) fn new(plan: &DumpPlan, changes: &TransformCounts) -> Result<Option<Self>> {
        let transform = plan.request.transform.clone();
        if transform.is_empty() {
            return Ok(None);
        }

        let key = plan.schema.key_schema()?;
        // A filter cannot change keys, so no two items can collide.
        let collisions = if transform.changes_items() {
            Some(CollisionDetector::new(key.clone(), key.clone(), true)?)
        } else {
            None
        };

        let rejects = open_rejects(plan, changes)?;
        let formatter = ItemFormatter::new(transform.clone(), key.clone());
        Ok(Some(Self {
            transform,
            rejects,
            formatter,
            collisions,
            strict: plan.request.strict,
            key,
        }))
    }

    fn reject(&mut self, item: &Bytes, reason: &RejectReason) -> Result<()> {
        if self.strict {
            let label = self.formatter.label(item, &self.key);
            let message = format!("stopped at the first rejected item, {label}: {reason}");
            return Err(Error::new(ErrorKind::Rejected, message).with_hint(
                "fix the transform or the item, or omit --strict: rejected items are then listed in a file",
            ));
        }

        self.formatter
            .append_rejected(&mut self.rejects, &reason.to_string(), item, &[])
    }
}

impl PageWriter {
    /// Writes the results of the transform until the channel is closed. `None` if that happens before the end of the table.
    pub(crate) fn run_transformed(
        mut self,
        pages: mpsc::Receiver<Page>,
        mut is_checkpoint_due: impl FnMut() -> bool,
        mut stage: TransformStage,
    ) -> Result<Option<CopyState>> {
        let chunks = page_chunks(pages);
        for chunk in transform_stream(&stage.transform.clone(), &self.reporter, chunks)? {
            let is_page_end = self.write_transformed(chunk?, &mut stage)?;

            // A checkpoint in the middle of a page would count items that the next run reads again.
            if is_page_end && self.masked_positions.is_empty() && is_checkpoint_due() {
                // The checkpoint contains the size of the rejects, so they must be on disk before it.
                sync_rejects(&mut stage.rejects, &mut self.state.progress.changes)?;
                self.checkpoint()?;
            }

            if self.remaining == Some(0) {
                break;
            }
        }

        sync_rejects(&mut stage.rejects, &mut self.state.progress.changes)?;
        if let Some(collisions) = &stage.collisions {
            self.state.collisions = collisions.find()?;
            collisions
                .warning()
                .into_iter()
                .for_each(|warning| self.reporter.report(Event::Warning(warning)));
        }

        self.finish()
    }

    /// Writes the results of one chunk. Returns whether it is the last one of its page.
    fn write_transformed(
        &mut self,
        chunk: TransformedChunk<ChunkTag>,
        stage: &mut TransformStage,
    ) -> Result<bool> {
        let TransformedChunk {
            tag: ChunkTag { cost, end },
            items,
            outcomes,
        } = chunk;

        let (outputs, is_truncated) = self.take_outputs(&items, outcomes, stage)?;
        self.remaining = self.remaining.map(|left| left - outputs.len() as u64);
        let outputs = Items::concat(&outputs).map_err(|error| {
            Error::failed("what the transform made cannot be written").with_source(error)
        })?;
        self.state.writer.append(&outputs)?;

        if let Some(cost) = &cost {
            self.state.add_cost(cost);
        }

        // Items after the limit are not in the dump: no position may count them as read.
        let end = end.filter(|_| !is_truncated);
        let is_page_end = end.is_some();
        if let Some(end) = end {
            self.end_page(end, items.last(), stage);
        }

        self.reporter.report(Event::Progress {
            items: items.len() as u64,
            bytes: text_bytes(&items),
        });

        Ok(is_page_end)
    }

    /// Counts the outcomes of a chunk and lists its rejects. Returns the items to write, and whether the limit dropped any.
    fn take_outputs(
        &mut self,
        items: &[Bytes],
        outcomes: impl IntoIterator<Item = Outcome>,
        stage: &mut TransformStage,
    ) -> Result<(Vec<Bytes>, bool)> {
        let mut outputs = Vec::with_capacity(items.len());
        let mut is_truncated = false;

        for (item, mut outcome) in items.iter().zip(outcomes) {
            let remaining = self
                .remaining
                .map_or(u64::MAX, |remaining| remaining - outputs.len() as u64);
            if remaining == 0 {
                is_truncated = true;
                break;
            }

            is_truncated |= truncate_outcome(&mut outcome, remaining);

            if let Some(collisions) = &mut stage.collisions {
                collisions.add(item, &outcome)?;
            }

            let changes = &mut self.state.progress.changes;
            changes.read += 1;

            match &outcome {
                Outcome::Unchanged => {}
                Outcome::Changed(_) | Outcome::Several(_) => changes.changed += 1,
                Outcome::Skipped => changes.left_out += 1,
                Outcome::Rejected(reason) => {
                    changes.rejected += 1;
                    stage.reject(item, reason)?;
                }
            }

            outputs.extend_from_slice(outcome.items(item));
        }

        Ok((outputs, is_truncated))
    }

    /// Records the position after a page, whose last item is `last`.
    fn end_page(&mut self, end: PageEnd, last: Option<&Bytes>, stage: &TransformStage) {
        // The position after a page is the key of its last item.
        let has_key = matches!(end.position, SegmentProgress::Next(_));
        let is_masked = has_key && last.is_some_and(|item| stage.formatter.is_key_masked(item));
        if is_masked {
            self.masked_positions.insert(end.segment);
        } else {
            self.masked_positions.remove(&end.segment);
        }

        self.state.set_position(end);
    }
}
