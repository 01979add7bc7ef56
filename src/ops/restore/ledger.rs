//! The ledger: the outcome of every item that was read, and the mark of each lane, below which every item is settled.
//!
//! Items are read in lanes and settled in any order. Each lane keeps the items between its mark and its reader. When everything up to
//! an item is settled, the mark advances past it, and only then is the item counted. Counts and marks are therefore always consistent,
//! and a run that resumes at the marks counts every item once. A rejected or skipped item is kept until the mark has passed it and is
//! then returned for its file, so the files, too, contain exactly what is below the marks.

use std::collections::VecDeque;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use super::counts::RestoreCounts;
use crate::store::RejectedItem;

/// Maximum number of items between the marks and the readers of all lanes, of about 100 bytes each.
const MAX_OPEN_ITEMS: usize = 65_536;

/// Maximum bytes of items that wait until they can be listed in a file.
const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;

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
    Rejected(Box<RejectedItem>),
    /// To be listed in the conflicts file.
    Skipped(Box<RejectedItem>),
}

/// Reference to an item that was read and is not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    lane: usize,
    number: u64,
}

/// The items to write in place of an item of the dump.
#[derive(Debug, Clone)]
pub(crate) enum ItemOutput {
    /// The item itself.
    Unchanged,
    /// The output of a transform: `count` items, 0 if the item was filtered out. If one is rejected, `original` is listed.
    Replaced { count: u32, original: Bytes },
    /// None: the transform rejected the item.
    Rejected(Box<RejectedItem>),
}

/// The file in which an item is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RejectFileKind {
    Rejects,
    Conflicts,
}

/// An entry for a file: one per item of the dump, even if several of its outputs were rejected.
#[derive(Debug)]
pub(crate) struct RejectEntry {
    pub(crate) file: RejectFileKind,
    /// The item of the dump, and the first reason.
    pub(crate) refused: RejectedItem,
    /// The items to write that were rejected or skipped.
    pub(crate) outputs: SmallVec<[Bytes; 1]>,
}

/// An item of the dump above the mark of its lane.
#[derive(Debug)]
struct OpenItem {
    /// The offset after the item.
    end: u64,
    /// Number of its items to write that are not settled.
    unsettled: u32,
    /// The item of the dump, if a transform replaced it.
    original: Option<Bytes>,
    /// Whether the transform rejected it.
    is_rejected_by_transform: bool,
    outcomes: SmallVec<[ItemOutcome; 1]>,
}

/// The open items of one lane.
#[derive(Debug)]
struct LedgerLane {
    /// Everything below this offset is settled.
    mark: u64,
    /// Ticket number of the first open item.
    first_number: u64,
    open: VecDeque<OpenItem>,
}

/// The open items of all lanes, and the counts of the others.
#[derive(Debug)]
pub(crate) struct Ledger {
    lanes: Vec<LedgerLane>,
    counts: RestoreCounts,
    open: usize,
    waiting_bytes: usize,
    /// Entries that the marks have passed and that are not in a file yet.
    entries: VecDeque<RejectEntry>,
}

impl Ledger {
    /// A ledger without open items; `counts` are the counts of the items below `marks`.
    pub(crate) fn new(marks: impl IntoIterator<Item = u64>, counts: RestoreCounts) -> Self {
        let lanes = marks
            .into_iter()
            .map(|mark| LedgerLane {
                mark,
                first_number: 0,
                open: VecDeque::new(),
            })
            .collect();

        Self {
            lanes,
            counts,
            open: 0,
            waiting_bytes: 0,
            entries: VecDeque::new(),
        }
    }

    /// Counts of the items below the marks.
    pub(crate) fn counts(&self) -> RestoreCounts {
        self.counts
    }

    /// The marks of all lanes.
    pub(crate) fn marks(&self) -> impl Iterator<Item = u64> {
        self.lanes.iter().map(|lane| lane.mark)
    }

    /// Number of items that were read and are above the marks.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Whether the limits are reached: items must be settled before the next one is registered.
    pub(crate) fn is_full(&self) -> bool {
        self.open >= MAX_OPEN_ITEMS || self.waiting_bytes >= MAX_WAITING_BYTES
    }

    /// Registers an item that was read in a lane; `end` is the offset after it. Each of its items to write is settled with the ticket.
    pub(crate) fn register(&mut self, lane: usize, end: u64, output: ItemOutput) -> Ticket {
        let (unsettled, original, outcomes) = match output {
            ItemOutput::Unchanged => (1, None, SmallVec::new()),
            ItemOutput::Replaced { count, original } => (count, Some(original), SmallVec::new()),
            ItemOutput::Rejected(refused) => (0, None, smallvec![ItemOutcome::Rejected(refused)]),
        };

        let item = OpenItem {
            end,
            unsettled,
            original,
            is_rejected_by_transform: !outcomes.is_empty(),
            outcomes,
        };

        self.waiting_bytes += item.kept_bytes();
        let LedgerLane {
            first_number, open, ..
        } = &mut self.lanes[lane];
        let ticket = Ticket {
            lane,
            number: *first_number + open.len() as u64,
        };
        open.push_back(item);
        self.open += 1;
        // An item without anything to write is settled already.
        self.advance_mark(lane);

        ticket
    }

    /// Records the outcome of one item to write.
    pub(crate) fn settle(&mut self, ticket: Ticket, outcome: ItemOutcome) {
        let lane = &mut self.lanes[ticket.lane];
        let index = usize::try_from(ticket.number - lane.first_number).expect("open items are few");
        let item = &mut lane.open[index];
        self.waiting_bytes -= item.kept_bytes();
        item.unsettled -= 1;
        item.outcomes.push(outcome);
        self.waiting_bytes += item.kept_bytes();
        self.advance_mark(ticket.lane);
    }

    /// Advances the mark of a lane past all settled items at its front.
    fn advance_mark(&mut self, lane: usize) {
        let lane = &mut self.lanes[lane];
        while let Some(item) = lane.open.pop_front_if(|item| item.unsettled == 0) {
            lane.first_number += 1;
            lane.mark = item.end;
            self.open -= 1;
            self.waiting_bytes -= item.kept_bytes();
            self.counts.add_item(item, &mut self.entries);
        }
    }

    /// The next entry to append to a file.
    pub(crate) fn next_entry(&mut self) -> Option<RejectEntry> {
        self.entries.pop_front()
    }
}

impl RestoreCounts {
    /// Counts a settled item, and adds its entries for the files.
    fn add_item(&mut self, item: OpenItem, entries: &mut VecDeque<RejectEntry>) {
        let OpenItem {
            original,
            is_rejected_by_transform,
            outcomes,
            ..
        } = item;

        self.read += 1;
        // The outcome of an item that the transform rejected is not that of an item to write.
        if !is_rejected_by_transform {
            self.out += outcomes.len() as u64;
        }

        match original {
            Some(_) if outcomes.is_empty() => self.filtered += 1,
            Some(_) => self.changed += 1,
            None => {}
        }

        let mut item_entries: SmallVec<[RejectEntry; 1]> = SmallVec::new();
        for outcome in outcomes {
            if let Some((file, refused)) = self.add_outcome(outcome) {
                let output = (!is_rejected_by_transform).then(|| refused.item.clone());
                add_to_entries(&mut item_entries, file, refused, original.as_ref(), output);
            }
        }

        for entry in &item_entries {
            match entry.file {
                RejectFileKind::Rejects => self.rejected += 1,
                RejectFileKind::Conflicts => self.skipped += 1,
            }

            self.unwritten += entry.outputs.len() as u64;
        }

        entries.extend(item_entries);
    }

    /// Counts an outcome; returns the item and its file if it must be listed.
    fn add_outcome(&mut self, outcome: ItemOutcome) -> Option<(RejectFileKind, RejectedItem)> {
        match outcome {
            ItemOutcome::Written { bytes } => {
                self.written += 1;
                self.bytes += u64::from(bytes);
            }
            ItemOutcome::AlreadyThere { bytes } => {
                self.written += 1;
                self.already_there += 1;
                self.bytes += u64::from(bytes);
            }
            ItemOutcome::Superseded => self.superseded += 1,
            ItemOutcome::Rejected(refused) => return Some((RejectFileKind::Rejects, *refused)),
            ItemOutcome::Skipped(refused) => return Some((RejectFileKind::Conflicts, *refused)),
        }

        None
    }
}

/// Adds a rejected item to the entry that its item of the dump already has in this file, or to a new entry. An entry contains the
/// item of the dump (`original`, or the rejected item if it was not transformed), because a later restore reads and transforms it.
fn add_to_entries(
    entries: &mut SmallVec<[RejectEntry; 1]>,
    file: RejectFileKind,
    refused: RejectedItem,
    original: Option<&Bytes>,
    output: Option<Bytes>,
) {
    if let Some(entry) = entries.iter_mut().find(|entry| entry.file == file) {
        entry.outputs.extend(output);
        return;
    }

    let refused = RejectedItem {
        item: original.cloned().unwrap_or(refused.item),
        reason: refused.reason,
    };
    entries.push(RejectEntry {
        file,
        refused,
        outputs: output.into_iter().collect(),
    });
}

impl OpenItem {
    /// Bytes of item text that are kept in memory.
    fn kept_bytes(&self) -> usize {
        self.original.as_ref().map_or(0, Bytes::len)
            + self
                .outcomes
                .iter()
                .map(ItemOutcome::kept_bytes)
                .sum::<usize>()
    }
}

impl ItemOutcome {
    fn kept_bytes(&self) -> usize {
        match self {
            Self::Rejected(refused) | Self::Skipped(refused) => {
                refused.item.len() + refused.reason.len()
            }
            Self::Written { .. } | Self::AlreadyThere { .. } | Self::Superseded => 0,
        }
    }
}

#[cfg(test)]
mod tests;
