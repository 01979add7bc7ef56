//! A dump whose items are changed on the way: pages go through the transform, and what comes out goes to the writer.
//!
//! A page counts as read when all that came out in its place is in front of the checkpoint, its rejects included. Rejected items are
//! listed in a file next to the dump. Where values are masked, that file names an item by its key alone, if the key may be shown.

use std::iter;
use std::path::PathBuf;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::copy::{Copied, Output, Page, PageCost, PageEnd};
use super::plan::DumpPlan;
use crate::backup::{DumpTarget, SegmentProgress, TransformCounts};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::item::{Items, KeySchema};
use crate::ops::collision_detector::CollisionDetector;
use crate::ops::item_formatter::ItemFormatter;
use crate::ops::transform_stream::{CHUNK_ITEMS, text_bytes, transform_stream, truncate_outcome};
use crate::place::{
    LazyLinesFile, partial_path, publish_lines_file, remove_marker, short_file_name, side_path,
    side_path_in_state,
};
use crate::transform::{Outcome, RejectReason, Transform, TransformedChunk};

/// Some items of a page.
type Chunk = (Vec<Bytes>, Part);

/// What else a page has: its first chunk carries the cost, its last one the position.
#[derive(Default)]
pub(crate) struct Part {
    cost: Option<PageCost>,
    end: Option<PageEnd>,
}

/// Cuts pages into chunks, so that all cores work on one page.
pub(crate) fn chunks(
    mut waiting: mpsc::Receiver<Page>,
) -> impl Iterator<Item = Result<Chunk>> + Send {
    iter::from_fn(move || waiting.blocking_recv())
        .flat_map(cut)
        .map(Ok)
}

fn cut(page: Page) -> Vec<Chunk> {
    let Page {
        items, cost, end, ..
    } = page;
    let all: Vec<Bytes> = (0..items.len()).filter_map(|at| items.get(at)).collect();
    let mut chunks: Vec<Chunk> = all
        .chunks(CHUNK_ITEMS)
        .map(|chunk| (chunk.to_vec(), Part::default()))
        .collect();
    if chunks.is_empty() {
        chunks.push(Chunk::default());
    }

    let last = chunks.len() - 1;
    chunks[last].1.end = end;
    chunks[0].1.cost = Some(cost);

    chunks
}

/// What changes items, and what is kept of those that cannot go on.
pub(crate) struct Changing {
    transform: Transform,
    rejects: LazyLinesFile,
    naming: ItemFormatter,
    meetings: Option<CollisionDetector>,
    strict: bool,
    key: KeySchema,
}

impl Changing {
    /// As planned; `None` where nothing is to be changed. Goes on with the rejects that `changes` knows of.
    pub(crate) fn of(plan: &DumpPlan, changes: &TransformCounts) -> Result<Option<Self>> {
        let transform = plan.request.transform.clone();
        if transform.is_empty() {
            return Ok(None);
        }

        let key = plan.schema.key_schema()?;
        let meetings = if transform.changes_items() {
            Some(CollisionDetector::new(key.clone(), key.clone(), true)?)
        } else {
            None
        };

        let rejects = rejects(plan, changes)?;
        let naming = ItemFormatter::new(transform.clone(), key.clone());
        Ok(Some(Self {
            transform,
            rejects,
            naming,
            meetings,
            strict: plan.request.strict,
            key,
        }))
    }

    fn reject(&mut self, item: &Bytes, reason: &RejectReason) -> Result<()> {
        if self.strict {
            let name = self.naming.label(item, &self.key);
            let what = format!("stopped at the first rejected item, {name}: {reason}");
            return Err(Error::new(ErrorKind::Rejected, what).with_hint(
                "fix the transform or the item, or omit --strict: rejected items are then listed in a file",
            ));
        }

        self.naming
            .append_rejected(&mut self.rejects, &reason.to_string(), item, &[])
    }
}

impl Output {
    /// Writes what comes out of the transform until nothing comes any more. `None` when the pages end before the table does.
    pub(crate) fn run_changed(
        mut self,
        waiting: mpsc::Receiver<Page>,
        mut is_due: impl FnMut() -> bool,
        mut changing: Changing,
    ) -> Result<Option<Copied>> {
        for chunk in transform_stream(&changing.transform.clone(), &self.reporter, chunks(waiting))?
        {
            let is_page_end = self.take_changed(chunk?, &mut changing)?;
            // A checkpoint in the middle of a page would count items that the next run reads again.
            if is_page_end && self.hidden.is_empty() && is_due() {
                sync(&mut changing.rejects, &mut self.copied.progress.changes)?;
                self.checkpoint()?;
            }

            if self.left == Some(0) {
                break;
            }
        }

        sync(&mut changing.rejects, &mut self.copied.progress.changes)?;
        if let Some(meetings) = &changing.meetings {
            self.copied.collisions = meetings.find()?;
            meetings
                .warning()
                .into_iter()
                .for_each(|words| self.reporter.report(Event::Warning(words)));
        }

        self.end()
    }

    /// Writes what came out of one chunk; whether a page ends with it.
    fn take_changed(
        &mut self,
        chunk: TransformedChunk<Part>,
        changing: &mut Changing,
    ) -> Result<bool> {
        let TransformedChunk {
            tag: Part { cost, end },
            items,
            outcomes,
        } = chunk;

        let bytes = text_bytes(&items);
        let mut made = Vec::with_capacity(items.len());
        let mut is_cut = false;

        for (item, mut outcome) in items.iter().zip(outcomes) {
            let left = self.left.map_or(u64::MAX, |left| left - made.len() as u64);
            if left == 0 {
                is_cut = true;
                break;
            }

            is_cut |= truncate_outcome(&mut outcome, left);

            if let Some(meetings) = &mut changing.meetings {
                meetings.add(item, &outcome)?;
            }

            let changes = &mut self.copied.progress.changes;
            changes.read += 1;

            match &outcome {
                Outcome::Unchanged => {}
                Outcome::Changed(_) | Outcome::Several(_) => changes.changed += 1,
                Outcome::Skipped => changes.left_out += 1,
                Outcome::Rejected(reason) => {
                    changes.rejected += 1;
                    changing.reject(item, reason)?;
                }
            }

            made.extend_from_slice(outcome.items(item));
        }

        self.left = self.left.map(|left| left - made.len() as u64);
        let written = Items::concat(&made).map_err(|error| {
            Error::failed("what the transform made cannot be written").with_source(error)
        })?;
        self.copied.writer.append(&written)?;

        if let Some(cost) = &cost {
            self.copied.pay(cost);
        }

        // Items after the limit are not in the dump: no position may count them as read.
        let end = end.filter(|_| !is_cut);
        let is_page_end = end.is_some();
        if let Some(end) = end {
            // The position after a page is the key of its last item.
            let has_key = matches!(end.position, SegmentProgress::Next(_));
            let is_hidden = has_key
                && items
                    .last()
                    .is_some_and(|item| changing.naming.is_key_masked(item));
            if is_hidden {
                self.hidden.insert(end.segment);
            } else {
                self.hidden.remove(&end.segment);
            }

            self.copied.pass(end);
        }

        self.reporter.report(Event::Progress {
            items: items.len() as u64,
            bytes,
        });

        Ok(is_page_end)
    }
}

/// The file of rejected items: continues after the lines that `changes` counts, and gets its name with the dump.
fn rejects(plan: &DumpPlan, changes: &TransformCounts) -> Result<LazyLinesFile> {
    let places = places(plan).iter().map(|path| partial_path(path)).collect();
    LazyLinesFile::open(places, changes.rejects_bytes).map_err(|error| {
        Error::failed("the interrupted dump cannot be resumed")
            .with_source(error)
            .with_hint("leave out --resume to start a new dump")
    })
}

/// Puts all lines on disk, and counts their bytes.
fn sync(rejects: &mut LazyLinesFile, changes: &mut TransformCounts) -> Result<()> {
    let Some(file) = rejects
        .file_mut()
        .filter(|file| file.bytes() > changes.rejects_bytes)
    else {
        return Ok(());
    };

    file.flush_to_sync()?()?;
    changes.rejects_bytes = file.bytes();

    Ok(())
}

/// Removes what a run that is given up had rejected.
pub(crate) fn forget_rejects(plan: &DumpPlan) -> Result<()> {
    places(plan)
        .iter()
        .try_for_each(|path| remove_marker(&partial_path(path)))
}

/// Puts the list of rejected items beside the dump that stands now. What an earlier dump of this name had rejected is not of it.
pub(crate) fn publish_rejects(plan: &DumpPlan) -> Result<Option<PathBuf>> {
    let published = places(plan)
        .iter()
        .map(|path| publish_lines_file(path))
        .collect::<Result<Vec<_>>>()?;
    Ok(published.into_iter().flatten().next())
}

/// Beside the dump, and in the state directory for where nothing can be written there.
fn places(plan: &DumpPlan) -> Vec<PathBuf> {
    const NAME: &str = "rejects.jsonl";

    let state_dir = plan.request.state_dir.as_deref();
    let (next_to, stated) = match &plan.request.target {
        DumpTarget::Folder(path) | DumpTarget::File(path) => (
            side_path(path, NAME),
            state_dir.map(|dir| side_path_in_state(dir, path, NAME)),
        ),
        // Two runs may write to standard output at once, even of one table.
        DumpTarget::Stdout => {
            let (table, environment, run) = (
                short_file_name(&plan.source.table),
                &plan.source.environment,
                std::process::id(),
            );

            (
                None,
                state_dir.map(|dir| dir.join(format!("dump-{table}.{environment}.{run}.{NAME}"))),
            )
        }
    };

    next_to.into_iter().chain(stated).collect()
}
