//! The ledger: what became of every item that was read, and the lowest offset below which nothing is open.
//!
//! Items are read in lanes (one for each stripe of the file) and settled in any order. Each lane keeps the items between its
//! mark and the reader; the mark moves when everything below it is settled, and only then is an item counted. So counts and
//! marks always belong together, and a run that goes on from the marks counts every item once. An item that is refused or left
//! out is kept until the mark has passed it; then it is handed out for its file, so that the file, too, has what lies below the
//! marks and nothing else.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use super::acknowledged::Repeated;
use crate::store::RejectedItem;

/// Items that may lie between the marks and the readers, in all lanes together: about a hundred bytes each.
const OPEN_ITEMS: usize = 65_536;

/// Bytes of items that wait for their file.
const WAITING_BYTES: usize = 16 * 1024 * 1024;

/// How many items, and what became of them. All are below the marks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    /// Items read.
    pub(crate) read: u64,
    /// Items that DynamoDB acknowledged, or that the table had already.
    pub(crate) written: u64,
    /// Of those, items that were there already and did not have to be written.
    pub(crate) already_there: u64,
    /// Items that another item with the same key replaced.
    pub(crate) superseded: u64,
    /// Items of the dump that were rejected, whole or in part.
    pub(crate) rejected: u64,
    /// Items of the dump that were skipped, whole or in part, because the table has others with their keys.
    pub(crate) skipped: u64,
    /// Items that went on to the table: those of the dump, or what the transform made of them.
    pub(crate) out: u64,
    /// Items of the dump in whose place others went on.
    pub(crate) changed: u64,
    /// Items of the dump that the transform left out on purpose.
    pub(crate) filtered: u64,
    /// Items that went on to the table and were rejected or skipped there.
    pub(crate) unwritten: u64,
    /// Bytes of text of the items written.
    pub(crate) bytes: u64,
}

impl Counts {
    /// Items that went on to the table and whose outcome is known. At the end this is all of them.
    pub(crate) fn accounted(&self) -> u64 {
        self.written + self.superseded + self.unwritten
    }

    /// Counts items that share a key once: the last one replaced the others.
    pub(crate) fn without_repeated(self, repeated: Repeated) -> Self {
        Self {
            written: self.written - repeated.items,
            already_there: self.already_there - repeated.already_there,
            superseded: self.superseded + repeated.items,
            ..self
        }
    }

    /// Pieces of a dump that are rejected without being read as items.
    pub(crate) fn add_unreadable(&mut self, pieces: u64) {
        self.read += pieces;
        self.rejected += pieces;
    }
}

/// What became of an item.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// DynamoDB acknowledged it.
    Written { bytes: u32 },
    /// The table had it, as it is.
    AlreadyThere { bytes: u32 },
    /// A later version took its place before it was written.
    Superseded,
    /// It is for the file of rejects.
    Rejected(Box<RejectedItem>),
    /// It is for the file of conflicts.
    Skipped(Box<RejectedItem>),
}

/// An item on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    lane: usize,
    number: u64,
}

/// What goes on to the table in place of an item.
#[derive(Debug, Clone)]
pub(crate) enum Going {
    /// The item itself.
    Itself,
    /// So many others; none if it was left out on purpose. If one is refused, the item as the dump has it goes into the file.
    Others { count: u32, item: Bytes },
    /// Nothing, for a reason.
    Nothing(Box<RejectedItem>),
}

/// The file that an item is listed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum File {
    Rejects,
    Conflicts,
}

/// An item of the dump that must be listed in a file now: once, however many items were to take its place.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) file: File,
    /// The item as the dump has it, and the first reason.
    pub(crate) refused: RejectedItem,
    /// The items that went on to the table for it and were rejected or skipped there.
    pub(crate) outputs: SmallVec<[Bytes; 1]>,
}

#[derive(Debug)]
struct Slot {
    /// The offset behind the item.
    end: u64,
    /// Items of its that are still on their way.
    open: u32,
    /// Whether others went on in its place.
    others: Option<Bytes>,
    /// Whether nothing went on, for a reason.
    is_withheld: bool,
    outcomes: SmallVec<[Outcome; 1]>,
}

#[derive(Debug)]
struct Lane {
    mark: u64,
    /// Number of the first open item.
    first: u64,
    open: VecDeque<Slot>,
}

/// The items of one restore.
#[derive(Debug)]
pub(crate) struct Ledger {
    lanes: Vec<Lane>,
    counts: Counts,
    open: usize,
    waiting_bytes: usize,
    listed: VecDeque<Listed>,
}

impl Ledger {
    /// Nothing open; `marks` are where the lanes begin, and `counts` what lies below them.
    pub(crate) fn new(marks: impl IntoIterator<Item = u64>, counts: Counts) -> Self {
        let lanes = marks
            .into_iter()
            .map(|mark| Lane {
                mark,
                first: 0,
                open: VecDeque::new(),
            })
            .collect();

        Self {
            lanes,
            counts,
            open: 0,
            waiting_bytes: 0,
            listed: VecDeque::new(),
        }
    }

    /// What lies below the marks.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// The marks of the lanes: everything below them is settled.
    pub(crate) fn marks(&self) -> impl Iterator<Item = u64> {
        self.lanes.iter().map(|lane| lane.mark)
    }

    /// Items read and not counted yet.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    /// Whether something should be settled before the next item is read: this bounds what is kept.
    pub(crate) fn is_full(&self) -> bool {
        self.open >= OPEN_ITEMS || self.waiting_bytes >= WAITING_BYTES
    }

    /// An item was read in a lane; `end` is the offset behind it. What goes on in its place is settled with the ticket, each by itself.
    pub(crate) fn read(&mut self, lane: usize, end: u64, going: Going) -> Ticket {
        let (open, others, outcomes) = match going {
            Going::Itself => (1, None, SmallVec::new()),
            Going::Others { count, item } => (count, Some(item), SmallVec::new()),
            Going::Nothing(refused) => (0, None, smallvec![Outcome::Rejected(refused)]),
        };

        let slot = Slot {
            end,
            open,
            others,
            is_withheld: !outcomes.is_empty(),
            outcomes,
        };

        self.waiting_bytes += slot.kept_bytes();
        let Lane { first, open, .. } = &mut self.lanes[lane];
        let ticket = Ticket {
            lane,
            number: *first + open.len() as u64,
        };
        open.push_back(slot);
        self.open += 1;
        self.pass(lane);

        ticket
    }

    /// It is known what became of an item, or of one of those that went on in its place.
    pub(crate) fn settle(&mut self, ticket: Ticket, outcome: Outcome) {
        let lane = &mut self.lanes[ticket.lane];
        let at = usize::try_from(ticket.number - lane.first).expect("open items are few");
        let slot = &mut lane.open[at];
        self.waiting_bytes -= slot.kept_bytes();
        slot.open -= 1;
        slot.outcomes.push(outcome);
        self.waiting_bytes += slot.kept_bytes();
        self.pass(ticket.lane);
    }

    /// Moves the mark of a lane as far as everything is settled.
    fn pass(&mut self, lane: usize) {
        let lane = &mut self.lanes[lane];
        while let Some(slot) = lane.open.pop_front_if(|slot| slot.open == 0) {
            lane.first += 1;
            lane.mark = slot.end;
            self.open -= 1;
            self.waiting_bytes -= slot.kept_bytes();
            self.counts.add(slot, &mut self.listed);
        }
    }

    /// The next item that the marks have passed and that belongs into a file.
    pub(crate) fn next_listed(&mut self) -> Option<Listed> {
        self.listed.pop_front()
    }
}

impl Counts {
    fn add(&mut self, slot: Slot, listed: &mut VecDeque<Listed>) {
        let Slot {
            others,
            is_withheld,
            outcomes,
            ..
        } = slot;

        self.read += 1;
        if !is_withheld {
            self.out += outcomes.len() as u64;
        }

        match others {
            Some(_) if outcomes.is_empty() => self.filtered += 1,
            Some(_) => self.changed += 1,
            None => {}
        }

        let mut of_item: SmallVec<[Listed; 1]> = SmallVec::new();
        for outcome in outcomes {
            if let Some((file, refused)) = self.count(outcome) {
                list(&mut of_item, file, refused, others.as_ref(), is_withheld);
            }
        }

        for one in &of_item {
            match one.file {
                File::Rejects => self.rejected += 1,
                File::Conflicts => self.skipped += 1,
            }

            self.unwritten += one.outputs.len() as u64;
        }

        listed.extend(of_item);
    }

    /// Counts an outcome, and returns an item that must be listed.
    fn count(&mut self, outcome: Outcome) -> Option<(File, RejectedItem)> {
        match outcome {
            Outcome::Written { bytes } => {
                self.written += 1;
                self.bytes += u64::from(bytes);
            }
            Outcome::AlreadyThere { bytes } => {
                self.written += 1;
                self.already_there += 1;
                self.bytes += u64::from(bytes);
            }
            Outcome::Superseded => self.superseded += 1,
            Outcome::Rejected(refused) => return Some((File::Rejects, *refused)),
            Outcome::Skipped(refused) => return Some((File::Conflicts, *refused)),
        }

        None
    }
}

/// Lists a refused item, or adds it to the entry that the item of the dump already has. A later restore reads the item as the dump
/// has it, so that is what the entry contains.
fn list(
    listed: &mut SmallVec<[Listed; 1]>,
    file: File,
    refused: RejectedItem,
    others: Option<&Bytes>,
    is_withheld: bool,
) {
    let output = (!is_withheld).then(|| refused.item.clone());
    if let Some(one) = listed.iter_mut().find(|one| one.file == file) {
        one.outputs.extend(output);
    } else {
        let item = others.cloned().unwrap_or(refused.item);
        let refused = RejectedItem {
            item,
            reason: refused.reason,
        };
        listed.push(Listed {
            file,
            refused,
            outputs: output.into_iter().collect(),
        });
    }
}

impl Slot {
    fn kept_bytes(&self) -> usize {
        self.others.as_ref().map_or(0, Bytes::len)
            + self.outcomes.iter().map(Outcome::kept_bytes).sum::<usize>()
    }
}

impl Outcome {
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
