use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::transform::RejectReason;

fn text(number: usize) -> Bytes {
    Bytes::from(format!(r#"{{"id":{{"N":"{number}"}}}}"#))
}

fn refused(item: Bytes) -> RejectedItem {
    RejectedItem {
        item,
        reason: String::new(),
    }
}

fn outcome(kind: u8, item: Bytes) -> ItemOutcome {
    match kind {
        0 => ItemOutcome::Written { bytes: 10 },
        1 => ItemOutcome::AlreadyThere { bytes: 1 },
        2 => ItemOutcome::Superseded,
        3 => ItemOutcome::Rejected(refused(item)),
        _ => ItemOutcome::Skipped(refused(item)),
    }
}

/// The result of a transform for the item with this number.
fn transformed(kind: u8, number: usize) -> Outcome {
    match kind {
        0 => Outcome::Unchanged,
        1 => Outcome::Rejected(RejectReason::internal("no")),
        2 => Outcome::Skipped,
        3 => Outcome::Changed(text(number)),
        count => Outcome::Several(vec![text(number); usize::from(count) - 2]),
    }
}

fn listed_items(ledger: &mut Ledger<u64>) -> Vec<Bytes> {
    std::iter::from_fn(|| ledger.next_entry())
        .map(|entry| match entry {
            RejectEntry::Item(entry) => entry.refused.item,
            RejectEntry::Unreadable(unreadable) => unreadable.bytes,
        })
        .collect()
}

/// A chunk of a lane, as a test takes and settles it.
#[derive(Debug, Clone)]
struct TestChunk {
    lane: usize,
    /// Kinds of what the transform makes of each item; without a transform if `is_transformed` is not set.
    items: Vec<u8>,
    is_transformed: bool,
    /// Whether it ends a page.
    has_position: bool,
    /// Whether the source is damaged after its items.
    is_damaged: bool,
}

fn test_chunk() -> impl Strategy<Value = TestChunk> {
    let items = prop::collection::vec(0..6_u8, 0..5);
    let is_damaged = prop::bool::weighted(0.3);
    (
        0..3_usize,
        items,
        any::<bool>(),
        prop::bool::weighted(0.7),
        is_damaged,
    )
        .prop_map(
            |(lane, items, is_transformed, has_position, is_damaged)| TestChunk {
                lane,
                items,
                is_transformed,
                has_position,
                is_damaged,
            },
        )
}

/// A chunk that was taken, and what is expected of it.
struct Taken {
    lane: usize,
    position: Option<u64>,
    ticket: ChunkTicket,
    outcomes: Vec<Outcome>,
    originals: Vec<Bytes>,
    unreadable: Option<Unreadable>,
}

impl Taken {
    fn new(
        ledger: &mut Ledger<u64>,
        chunk: &TestChunk,
        first_number: usize,
        position: u64,
    ) -> Self {
        let numbers = first_number..first_number + chunk.items.len();
        let originals: Vec<Bytes> = numbers.clone().map(text).collect();
        let outcomes: Vec<Outcome> = numbers
            .zip(&chunk.items)
            .map(|(number, kind)| {
                if chunk.is_transformed {
                    transformed(*kind, number + 1000)
                } else {
                    Outcome::Unchanged
                }
            })
            .collect();

        let items = Items::concat(&originals).expect("items");
        let position = chunk.has_position.then_some(position);
        let unreadable = chunk.is_damaged.then(|| Unreadable {
            bytes: Bytes::from(format!("damage before {first_number}")),
            reason: String::new(),
        });
        let registered = Chunk {
            outcomes: chunk.is_transformed.then(|| outcomes.clone()),
            unreadable: unreadable.clone(),
            position,
            ..Chunk::new(chunk.lane, items, 0)
        };

        Self {
            lane: chunk.lane,
            position,
            ticket: ledger.register(&registered),
            outcomes,
            originals,
            unreadable,
        }
    }

    /// The items to write: the index of their item of the source, and their text.
    fn outputs(&self) -> Vec<(usize, Bytes)> {
        let mut outputs = Vec::new();
        for (index, outcome) in self.outcomes.iter().enumerate() {
            for output in outcome.items(&self.originals[index]) {
                outputs.push((index, output.clone()));
            }
        }

        outputs
    }

    /// Adds what is expected of the chunk when all of its items are settled with these kinds.
    fn expect(&self, kinds: &[u8], counts: &mut RestoreCounts, files: &mut Vec<Bytes>) {
        let outputs = self.outputs();
        counts.read += self.originals.len() as u64;
        counts.out += outputs.len() as u64;
        if let Some(unreadable) = &self.unreadable {
            counts.read += 1;
            counts.rejected += 1;
            counts.unreadable += 1;
            files.push(unreadable.bytes.clone());
        }

        for (index, outcome) in self.outcomes.iter().enumerate() {
            match outcome {
                Outcome::Unchanged => {}
                Outcome::Changed(_) | Outcome::Several(_) => counts.changed += 1,
                Outcome::Skipped => counts.filtered += 1,
                Outcome::Rejected(_) => {
                    counts.rejected += 1;
                    files.push(self.originals[index].clone());
                }
            }

            // Listed once for each file, even if several of its outputs were refused.
            let own: Vec<u8> = outputs
                .iter()
                .zip(kinds)
                .filter(|((item, _), _)| *item == index)
                .map(|(_, kind)| *kind)
                .collect();
            for (kind, count) in [(3, &mut counts.rejected), (4, &mut counts.skipped)] {
                if own.contains(&kind) {
                    *count += 1;
                    files.push(self.originals[index].clone());
                }
            }
        }

        for kind in &kinds[..outputs.len()] {
            match kind {
                0 => (counts.written, counts.bytes) = (counts.written + 1, counts.bytes + 10),
                1 => {
                    (counts.written, counts.bytes) = (counts.written + 1, counts.bytes + 1);
                    counts.already_there += 1;
                }
                2 => counts.superseded += 1,
                _ => counts.unwritten += 1,
            }
        }
    }
}

proptest! {
    #[test]
    fn positions_counts_and_files_contain_exactly_the_chunks_before_the_first_open_one(
        chunks in prop::collection::vec(test_chunk(), 1..30),
        kinds in prop::collection::vec(0..5_u8, 20),
        order in Just((0..600_usize).collect::<Vec<_>>()).prop_shuffle(),
        stop in 0..600_usize,
    ) {
        let mut ledger = Ledger::new(vec![0, 1000, 2000], RestoreCounts::default());
        let mut files = Vec::new();
        let mut taken = Vec::new();
        let mut first_number = 0;
        for (number, chunk) in chunks.iter().enumerate() {
            let position = 1000 * chunk.lane as u64 + number as u64 + 1;
            taken.push(Taken::new(&mut ledger, chunk, first_number, position));
            first_number += chunk.items.len();
            files.extend(listed_items(&mut ledger));
        }

        // Each chunk has at most twenty items to write, which are settled in any order.
        let mut settled = vec![0; taken.len()];
        for part in order.into_iter().take(stop) {
            let (number, index) = (part / 20, part % 20);
            let Some(chunk) = taken.get(number) else { continue };
            let outputs = chunk.outputs();
            let Some((item, output)) = outputs.get(index) else { continue };
            let ticket = Ticket { chunk: chunk.ticket, item: *item };
            ledger.settle(ticket, outcome(kinds[index], output.clone()));
            settled[number] += 1;
            files.extend(listed_items(&mut ledger));
        }

        let mut expected = RestoreCounts::default();
        let mut expected_files = Vec::new();
        for (lane, position) in ledger.positions().enumerate() {
            let own: Vec<usize> = (0..taken.len()).filter(|number| taken[*number].lane == lane).collect();
            let is_open = |number: &&usize| settled[**number] < taken[**number].outputs().len();
            let first_open = own.iter().position(|number| is_open(&number)).unwrap_or(own.len());
            let has_position = |number: &usize| taken[*number].position.is_some();
            let end = own[..first_open].iter().rposition(has_position).map_or(0, |last| last + 1);
            let expected_position = end.checked_sub(1).and_then(|last| taken[own[last]].position);
            prop_assert_eq!(position, expected_position.unwrap_or(1000 * lane as u64));
            for number in &own[..end] {
                taken[*number].expect(&kinds, &mut expected, &mut expected_files);
            }
        }

        prop_assert_eq!(ledger.counts(), expected);
        prop_assert_eq!(expected.accounted(), expected.out);
        let damaged = chunks.iter().filter(|chunk| chunk.is_damaged).count();
        prop_assert_eq!(ledger.open_items() as u64, (first_number + damaged) as u64 - expected.read);
        files.sort();
        expected_files.sort();
        prop_assert_eq!(files, expected_files);
    }
}

#[test]
fn entries_of_a_chunk_are_listed_in_the_order_of_its_items() {
    let originals: Vec<Bytes> = (0..3).map(text).collect();
    let items = Items::concat(&originals).expect("items");
    let mut ledger = Ledger::new(vec![0], RestoreCounts::default());
    let chunk = ledger.register(&Chunk::new(0, items, 1));
    for item in [2, 0, 1] {
        let rejected = ItemOutcome::Rejected(refused(originals[item].clone()));
        ledger.settle(Ticket { chunk, item }, rejected);
    }

    assert_eq!(listed_items(&mut ledger), originals);
}

#[test]
fn memory_is_bounded() {
    let mut ledger = Ledger::new(vec![0], RestoreCounts::default());
    let first = ledger.register(&Chunk::new(
        0,
        Items::concat(&[text(0)]).expect("an item"),
        1,
    ));
    let mut position = 1;
    while !ledger.is_full() {
        position += 1;
        let padding = "x".repeat(400_000);
        let item = Bytes::from(format!(r#"{{"id":{{"S":"{padding}"}}}}"#));
        let items = Items::concat([&item]).expect("an item");
        let is_transformed = position % 2 == 0;
        let chunk = ledger.register(&Chunk {
            outcomes: is_transformed.then(|| vec![Outcome::Changed(text(1))]),
            ..Chunk::new(0, items, position)
        });

        let outcome = if is_transformed {
            ItemOutcome::Written { bytes: 5 }
        } else {
            ItemOutcome::Rejected(refused(item))
        };
        ledger.settle(Ticket { chunk, item: 0 }, outcome);
    }

    assert!(ledger.kept_bytes < MAX_KEPT_BYTES + 1_000_000 && ledger.open_items() < 50);
    assert_eq!(ledger.counts().read, 0);
    let ticket = Ticket {
        chunk: first,
        item: 0,
    };
    ledger.settle(ticket, ItemOutcome::Superseded);
    assert!(!ledger.is_full() && ledger.kept_bytes == 0);
    assert_eq!(
        (ledger.counts().read, ledger.positions().next()),
        (position, Some(position))
    );
}
