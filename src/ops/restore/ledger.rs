//! The ledger: what became of every item that was read, and the lowest offset below which nothing is open.
//!
//! Items are read in lanes (one for each stripe of the file) and settled in any order. Each lane keeps the items between its
//! mark and the reader; the mark moves when everything below it is settled, and only then is an item counted. So counts and
//! marks always belong together, and a run that goes on from the marks counts every item once. An item that is refused or left
//! out is kept until the mark has passed it; then it is handed out for its file, so that the file, too, has what lies below the
//! marks and nothing else.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::store::Refused;

/// Items that may lie between the marks and the readers, in all lanes together: 32 bytes each.
const OPEN_ITEMS: usize = 65_536;

/// Bytes of items that wait for their file.
const WAITING_BYTES: usize = 16 * 1024 * 1024;

/// How many items, and what became of them. All are below the marks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Items read.
    pub(super) read: u64,
    /// Items the table has as the dump has them.
    pub(super) written: u64,
    /// Of those, items that were there already and did not have to be written.
    pub(super) already_there: u64,
    /// Earlier versions of an item that a later one replaced before they were written.
    pub(super) superseded: u64,
    /// Items that cannot be written, or must not.
    pub(super) rejected: u64,
    /// Items left out because the table has others with their keys.
    pub(super) skipped: u64,
    /// Bytes of text of the items written.
    pub(super) bytes: u64,
}

impl Counts {
    /// Items of which it is known what became of them.
    pub(super) fn accounted(&self) -> u64 {
        self.written + self.superseded + self.rejected + self.skipped
    }
}

/// What became of an item.
#[derive(Debug)]
pub(super) enum Outcome {
    /// DynamoDB acknowledged it.
    Written { bytes: u32 },
    /// The table had it, as it is.
    AlreadyThere { bytes: u32 },
    /// A later version took its place before it was written.
    Superseded,
    /// It is for the file of rejects.
    Rejected(Box<Refused>),
    /// It is for the file of conflicts.
    Skipped(Box<Refused>),
}

/// An item on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    lane: usize,
    number: u64,
}

/// Something that belongs into a file now.
#[derive(Debug)]
pub(super) enum Listed {
    Rejected(Box<Refused>),
    Skipped(Box<Refused>),
}

#[derive(Debug)]
struct Slot {
    /// The offset behind the item.
    end: u64,
    outcome: Option<Outcome>,
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
pub(super) struct Ledger {
    lanes: Vec<Lane>,
    counts: Counts,
    open: usize,
    waiting_bytes: usize,
    listed: VecDeque<Listed>,
}

impl Ledger {
    /// Nothing open; `marks` are where the lanes begin, and `counts` what lies below them.
    pub(super) fn new(marks: impl IntoIterator<Item = u64>, counts: Counts) -> Self {
        let lanes = marks.into_iter().map(|mark| Lane { mark, first: 0, open: VecDeque::new() }).collect();
        Self { lanes, counts, open: 0, waiting_bytes: 0, listed: VecDeque::new() }
    }

    /// What lies below the marks.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// The marks of the lanes: everything below them is settled.
    pub(super) fn marks(&self) -> impl Iterator<Item = u64> {
        self.lanes.iter().map(|lane| lane.mark)
    }

    /// Items read and not counted yet.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Whether something should be settled before the next item is read: this bounds what is kept.
    pub(super) fn is_full(&self) -> bool {
        self.open >= OPEN_ITEMS || self.waiting_bytes >= WAITING_BYTES
    }

    /// An item was read in a lane; `end` is the offset behind it.
    pub(super) fn read(&mut self, lane: usize, end: u64) -> Ticket {
        let Lane { first, open, .. } = &mut self.lanes[lane];
        let ticket = Ticket { lane, number: *first + open.len() as u64 };
        open.push_back(Slot { end, outcome: None });
        self.open += 1;
        ticket
    }

    /// It is known what became of an item.
    pub(super) fn settle(&mut self, ticket: Ticket, outcome: Outcome) {
        let lane = &mut self.lanes[ticket.lane];
        let at = usize::try_from(ticket.number - lane.first).expect("open items are few");
        self.waiting_bytes += outcome.kept_bytes();
        lane.open[at].outcome = Some(outcome);
        while lane.open.front().is_some_and(|slot| slot.outcome.is_some()) {
            let Some(Slot { end, outcome: Some(outcome) }) = lane.open.pop_front() else { break };
            lane.first += 1;
            lane.mark = end;
            self.open -= 1;
            self.waiting_bytes -= outcome.kept_bytes();
            self.counts.add(outcome, &mut self.listed);
        }
    }

    /// The next item that the marks have passed and that belongs into a file.
    pub(super) fn next_listed(&mut self) -> Option<Listed> {
        self.listed.pop_front()
    }
}

impl Counts {
    fn add(&mut self, outcome: Outcome, listed: &mut VecDeque<Listed>) {
        self.read += 1;
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
            Outcome::Rejected(refused) => {
                self.rejected += 1;
                listed.push_back(Listed::Rejected(refused));
            }
            Outcome::Skipped(refused) => {
                self.skipped += 1;
                listed.push_back(Listed::Skipped(refused));
            }
        }
    }
}

impl Outcome {
    fn kept_bytes(&self) -> usize {
        match self {
            Self::Rejected(refused) | Self::Skipped(refused) => refused.item.len() + refused.reason.len(),
            Self::Written { .. } | Self::AlreadyThere { .. } | Self::Superseded => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn refused(number: usize) -> Refused {
        Refused { item: Bytes::from(number.to_string()), reason: String::new() }
    }

    fn outcome(kind: u8, number: usize) -> Outcome {
        match kind {
            0 => Outcome::Written { bytes: 10 },
            1 => Outcome::AlreadyThere { bytes: 1 },
            2 => Outcome::Superseded,
            3 => Outcome::Rejected(Box::new(refused(number))),
            _ => Outcome::Skipped(Box::new(refused(number))),
        }
    }

    fn listed(ledger: &mut Ledger) -> Vec<String> {
        let text = |listed| match listed {
            Listed::Rejected(one) | Listed::Skipped(one) => String::from_utf8_lossy(&one.item).into_owned(),
        };
        std::iter::from_fn(|| ledger.next_listed()).map(text).collect()
    }

    proptest! {
        #[test]
        fn marks_counts_and_files_have_exactly_what_lies_below_the_lowest_open_item(
            lanes in prop::collection::vec(0..3_usize, 1..60),
            kinds in prop::collection::vec(0..5_u8, 60),
            order in Just((0..60_usize).collect::<Vec<_>>()).prop_shuffle(),
            stop in 0..60_usize,
        ) {
            let mut ledger = Ledger::new([0, 1000, 2000], Counts::default());
            let mut tickets = Vec::new();
            let mut ends = [0, 1000, 2000];
            for lane in &lanes {
                ends[*lane] += 7;
                tickets.push((*lane, ledger.read(*lane, ends[*lane]), ends[*lane]));
            }
            let order: Vec<usize> = order.into_iter().filter(|number| *number < tickets.len()).collect();
            let settled = &order[..stop.min(order.len())];
            let mut files = Vec::new();
            for number in settled {
                ledger.settle(tickets[*number].1, outcome(kinds[*number], *number));
                files.extend(listed(&mut ledger));
            }
            let marks: Vec<u64> = ledger.marks().collect();
            let mut expected = Counts::default();
            let mut expected_files = Vec::new();
            for (lane, mark) in marks.iter().enumerate() {
                let mut below = true;
                let mut expected_mark = 1000 * lane as u64;
                for (number, (of, _, end)) in tickets.iter().enumerate().filter(|(_, ticket)| ticket.0 == lane) {
                    prop_assert_eq!(*of, lane);
                    below &= settled.contains(&number);
                    if below {
                        expected_mark = *end;
                        let mut all = VecDeque::new();
                        expected.add(outcome(kinds[number], number), &mut all);
                        expected_files.extend(all.iter().map(|_| number.to_string()));
                    }
                }
                prop_assert_eq!(*mark, expected_mark);
            }
            prop_assert_eq!(ledger.counts(), expected);
            prop_assert_eq!(expected.accounted(), expected.read);
            prop_assert_eq!(ledger.open() as u64, tickets.len() as u64 - expected.read);
            files.sort();
            expected_files.sort();
            prop_assert_eq!(files, expected_files);
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut ledger = Ledger::new([0], Counts::default());
        let first = ledger.read(0, 1);
        let mut end = 1;
        while !ledger.is_full() {
            end += 1;
            let ticket = ledger.read(0, end);
            let item = Bytes::from(vec![b'x'; 400_000]);
            ledger.settle(ticket, Outcome::Rejected(Box::new(Refused { item, reason: String::new() })));
        }
        assert!(ledger.waiting_bytes < WAITING_BYTES + 400_001 && ledger.open() < 50);
        assert_eq!(ledger.counts().read, 0);
        ledger.settle(first, Outcome::Superseded);
        assert!(!ledger.is_full() && ledger.waiting_bytes == 0);
        assert_eq!((ledger.counts().read, ledger.marks().next()), (end, Some(end)));
    }
}
