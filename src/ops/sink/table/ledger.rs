//! The ledger: the outcome of every item that was taken, and the position of each lane, before which every item is settled.
//!
//! Chunks are taken in the order of their lane and settled in any order. When everything up to the end of a chunk is settled, the
//! position of its lane moves there, and only then are its items counted. Counts and positions are therefore always consistent, and a
//! run that resumes at the positions counts every item once. A rejected or skipped item is kept until then and is returned for its
//! file, so the files, too, contain exactly what is before the positions.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use smallvec::SmallVec;

use super::counts::RestoreCounts;
use crate::backup::Unreadable;
use crate::item::Items;
use crate::ops::chunk::Chunk;
use crate::store::RejectedItem;
use crate::transform::Outcome;

/// Maximum number of items between the positions and the readers of all lanes.
const MAX_OPEN_ITEMS: usize = 65_536;

/// Maximum bytes of items that are kept until they can be listed in a file.
const MAX_KEPT_BYTES: usize = 16 * 1024 * 1024;

/// Outcome of an item to write.
#[derive(Debug)]
pub(crate) enum ItemOutcome {
    /// DynamoDB acknowledged it.
    Written { bytes: u32 },
    /// The table already had an equal item.
    AlreadyThere { bytes: u32 },
    /// A later version replaced it before it was written.
    Superseded,
    /// To be listed in the rejects file.
    Rejected(RejectedItem),
    /// To be listed in the conflicts file.
    Skipped(RejectedItem),
}

/// Reference to a chunk that is not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkTicket {
    lane: usize,
    number: u64,
}

/// Reference to an item of a chunk that is not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) chunk: ChunkTicket,
    /// Index of the item of the source.
    pub(crate) item: usize,
}

/// The file in which an item is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RejectFileKind {
    Rejects,
    Conflicts,
}

/// An entry for a file.
#[derive(Debug)]
pub(crate) enum RejectEntry {
    Item(RejectedEntry),
    Unreadable(Unreadable),
}

/// An entry for an item of the source: one, even if several of its outputs were rejected.
#[derive(Debug)]
pub(crate) struct RejectedEntry {
    pub(crate) file: RejectFileKind,
    /// The item of the source, and the first reason.
    pub(crate) refused: RejectedItem,
    /// The items to write that were rejected or skipped.
    pub(crate) outputs: SmallVec<[Bytes; 1]>,
}

/// A chunk after the position of its lane.
#[derive(Debug)]
struct OpenChunk<P> {
    position: Option<P>,
    /// Number of its items to write that are not settled.
    unsettled: u64,
    /// Counts of its items. They count when the position has moved.
    counts: RestoreCounts,
    /// The items of the source, if a transform may have changed them.
    originals: Option<Items>,
    /// Entries for the files, by the index of the item.
    entries: BTreeMap<usize, SmallVec<[RejectedEntry; 1]>>,
    /// The unreadable part after the items.
    unreadable: Option<Unreadable>,
    /// Bytes of item text that are kept in memory.
    kept_bytes: usize,
}

/// The open chunks of one lane.
#[derive(Debug)]
struct LedgerLane<P> {
    /// Everything before this position is settled.
    position: P,
    /// Number of the first open chunk.
    first_number: u64,
    open: VecDeque<OpenChunk<P>>,
    /// Settled chunks after the position: parts of a page whose last part is open.
    settled_parts: VecDeque<OpenChunk<P>>,
}

/// The open chunks of all lanes, and the counts of the others.
#[derive(Debug)]
pub(crate) struct Ledger<P> {
    lanes: Vec<LedgerLane<P>>,
    counts: RestoreCounts,
    open_items: usize,
    kept_bytes: usize,
    /// Entries that the positions have passed and that are not in a file yet.
    entries: VecDeque<RejectEntry>,
}

impl<P: Clone> Ledger<P> {
    /// A ledger without open chunks; `counts` are the counts of the items before `positions`.
    pub(crate) fn new(positions: Vec<P>, counts: RestoreCounts) -> Self {
        let mut lanes = Vec::with_capacity(positions.len());
        for position in positions {
            lanes.push(LedgerLane {
                position,
                first_number: 0,
                open: VecDeque::new(),
                settled_parts: VecDeque::new(),
            });
        }

        Self {
            lanes,
            counts,
            open_items: 0,
            kept_bytes: 0,
            entries: VecDeque::new(),
        }
    }

    /// Counts of the items before the positions.
    pub(crate) fn counts(&self) -> RestoreCounts {
        self.counts
    }

    /// The positions of all lanes.
    pub(crate) fn positions(&self) -> impl Iterator<Item = P> {
        self.lanes.iter().map(|lane| lane.position.clone())
    }

    /// Number of items that were taken and are after the positions.
    pub(crate) fn open_items(&self) -> usize {
        self.open_items
    }

    /// Whether the limits are reached: items must be settled before the next chunk is registered.
    pub(crate) fn is_full(&self) -> bool {
        self.open_items >= MAX_OPEN_ITEMS || self.kept_bytes >= MAX_KEPT_BYTES
    }

    /// Registers a chunk. Each of its items to write is settled with its ticket; what the transform rejected is settled now.
    pub(crate) fn register(&mut self, chunk: &Chunk<P>) -> ChunkTicket {
        let open = OpenChunk::new(chunk);
        self.open_items += usize::try_from(open.counts.read).unwrap_or(usize::MAX);
        self.kept_bytes += open.kept_bytes;

        let lane = &mut self.lanes[chunk.lane];
        let ticket = ChunkTicket {
            lane: chunk.lane,
            number: lane.first_number + lane.open.len() as u64,
        };
        lane.open.push_back(open);

        // A chunk without anything to write is settled already.
        self.move_position(chunk.lane);

        ticket
    }

    /// Records the outcome of one item to write.
    pub(crate) fn settle(&mut self, ticket: Ticket, outcome: ItemOutcome) {
        let lane = &mut self.lanes[ticket.chunk.lane];
        let index = usize::try_from(ticket.chunk.number - lane.first_number);
        let chunk = &mut lane.open[index.expect("open chunks are few")];
        self.kept_bytes -= chunk.kept_bytes;
        chunk.settle(ticket.item, outcome);
        self.kept_bytes += chunk.kept_bytes;

        if chunk.unsettled == 0 {
            self.move_position(ticket.chunk.lane);
        }
    }

    /// Moves the position of a lane past all settled chunks at its front.
    fn move_position(&mut self, lane: usize) {
        let lane = &mut self.lanes[lane];
        while let Some(mut chunk) = lane.open.pop_front_if(|chunk| chunk.unsettled == 0) {
            lane.first_number += 1;
            let position = chunk.position.take();
            lane.settled_parts.push_back(chunk);
            let Some(position) = position else {
                continue;
            };

            lane.position = position;
            for settled in lane.settled_parts.drain(..) {
                self.open_items -= usize::try_from(settled.counts.read).unwrap_or(usize::MAX);
                self.kept_bytes -= settled.kept_bytes;
                self.counts += settled.counts;
                let items = settled.entries.into_values().flatten();
                self.entries.extend(items.map(RejectEntry::Item));
                self.entries
                    .extend(settled.unreadable.map(RejectEntry::Unreadable));
            }
        }
    }

    /// The next entry to append to a file.
    pub(crate) fn next_entry(&mut self) -> Option<RejectEntry> {
        self.entries.pop_front()
    }
}

impl<P: Clone> OpenChunk<P> {
    fn new(chunk: &Chunk<P>) -> Self {
        let mut open = Self {
            position: chunk.position.clone(),
            unsettled: chunk.output_count(),
            counts: RestoreCounts {
                read: chunk.items.len() as u64,
                out: chunk.output_count(),
                ..RestoreCounts::default()
            },
            originals: None,
            entries: BTreeMap::new(),
            unreadable: chunk.unreadable.clone(),
            kept_bytes: 0,
        };

        if let Some(unreadable) = &open.unreadable {
            open.counts.read += 1;
            open.counts.rejected += 1;
            open.counts.unreadable += 1;
            open.kept_bytes += unreadable.bytes.len() + unreadable.reason.len();
        }

        let Some(outcomes) = &chunk.outcomes else {
            return open;
        };

        open.originals = Some(chunk.items.clone());
        open.kept_bytes += usize::try_from(chunk.items.text_bytes()).unwrap_or(usize::MAX);
        for (index, outcome) in outcomes.iter().enumerate() {
            match outcome {
                Outcome::Unchanged => {}
                Outcome::Changed(_) | Outcome::Several(_) => open.counts.changed += 1,
                Outcome::Skipped => open.counts.filtered += 1,
                Outcome::Rejected(reason) => {
                    let refused = RejectedItem {
                        item: chunk.items.get(index).unwrap_or_default(),
                        reason: reason.to_string(),
                    };
                    open.add_entry(index, RejectFileKind::Rejects, refused, None);
                }
            }
        }

        open
    }

    /// Counts an outcome. An item that must be listed is kept.
    fn settle(&mut self, item: usize, outcome: ItemOutcome) {
        self.unsettled -= 1;
        match outcome {
            ItemOutcome::Written { bytes } => {
                self.counts.written += 1;
                self.counts.bytes += u64::from(bytes);
            }
            ItemOutcome::AlreadyThere { bytes } => {
                self.counts.written += 1;
                self.counts.already_there += 1;
                self.counts.bytes += u64::from(bytes);
            }
            ItemOutcome::Superseded => self.counts.superseded += 1,
            ItemOutcome::Rejected(refused) => self.refuse(item, RejectFileKind::Rejects, refused),
            ItemOutcome::Skipped(refused) => self.refuse(item, RejectFileKind::Conflicts, refused),
        }
    }

    /// Keeps an item to write that was not written. The entry contains the item of the source, because a later restore reads and
    /// transforms it.
    fn refuse(&mut self, item: usize, file: RejectFileKind, refused: RejectedItem) {
        self.counts.unwritten += 1;
        let output = refused.item.clone();
        let original = self.originals.as_ref().and_then(|items| items.get(item));
        let refused = RejectedItem {
            item: original.unwrap_or(refused.item),
            reason: refused.reason,
        };

        self.add_entry(item, file, refused, Some(output));
    }

    /// Adds to the entry that the item already has for this file, or to a new one.
    fn add_entry(
        &mut self,
        item: usize,
        file: RejectFileKind,
        refused: RejectedItem,
        output: Option<Bytes>,
    ) {
        self.kept_bytes += output.as_ref().map_or(0, Bytes::len);
        let entries = self.entries.entry(item).or_default();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.file == file) {
            entry.outputs.extend(output);
            return;
        }

        match file {
            RejectFileKind::Rejects => self.counts.rejected += 1,
            RejectFileKind::Conflicts => self.counts.skipped += 1,
        }

        self.kept_bytes += refused.item.len() + refused.reason.len();
        entries.push(RejectedEntry {
            file,
            refused,
            outputs: output.into_iter().collect(),
        });
    }
}

#[cfg(test)]
mod tests;
