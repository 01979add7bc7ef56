use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn refused(number: usize) -> RejectedItem {
    RejectedItem {
        item: Bytes::from(number.to_string()),
        reason: String::new(),
    }
}

fn outcome(kind: u8, number: usize) -> ItemOutcome {
    match kind {
        0 => ItemOutcome::Written { bytes: 10 },
        1 => ItemOutcome::AlreadyThere { bytes: 1 },
        2 => ItemOutcome::Superseded,
        3 => ItemOutcome::Rejected(Box::new(refused(number))),
        _ => ItemOutcome::Skipped(Box::new(refused(number))),
    }
}

fn listed_items(ledger: &mut Ledger) -> Vec<String> {
    let text = |entry: RejectEntry| String::from_utf8_lossy(&entry.refused.item).into_owned();
    std::iter::from_fn(|| ledger.next_entry())
        .map(text)
        .collect()
}

/// The output for the item with this number.
fn item_output(kind: u8, number: usize) -> ItemOutput {
    match kind {
        0 => ItemOutput::Unchanged,
        1 => ItemOutput::Rejected(Box::new(refused(number))),
        count => ItemOutput::Replaced {
            count: u32::from(count) - 2,
            original: Bytes::from(number.to_string()),
        },
    }
}

/// Number of items to write.
fn parts(output: &ItemOutput) -> usize {
    match output {
        ItemOutput::Unchanged => 1,
        ItemOutput::Replaced { count, .. } => usize::try_from(*count).unwrap(),
        ItemOutput::Rejected(_) => 0,
    }
}

/// Adds the expected counts and file entries of one settled item.
fn expect(
    counts: &mut RestoreCounts,
    files: &mut Vec<String>,
    output: &ItemOutput,
    outcomes: &[u8],
    number: usize,
) {
    counts.read += 1;
    match output {
        ItemOutput::Rejected(_) => {
            counts.rejected += 1;
            files.push(number.to_string());
        }
        ItemOutput::Replaced { count: 0, .. } => counts.filtered += 1,
        ItemOutput::Replaced { .. } => counts.changed += 1,
        ItemOutput::Unchanged => {}
    }

    counts.out += parts(output) as u64;
    let kinds = &outcomes[..parts(output)];
    for (kind, of_the_dump) in [(3, &mut counts.rejected), (4, &mut counts.skipped)] {
        // Listed once, even if several of its parts were rejected.
        if kinds.contains(&kind) {
            *of_the_dump += 1;
            files.push(number.to_string());
        }
    }

    for kind in &outcomes[..parts(output)] {
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

proptest! {
    #[test]
    fn marks_counts_and_files_contain_exactly_the_items_below_the_lowest_open_item(
        lanes in prop::collection::vec((0..3_usize, 0..6_u8), 1..60),
        kinds in prop::collection::vec(prop::array::uniform3(0..5_u8), 60),
        order in Just((0..180_usize).collect::<Vec<_>>()).prop_shuffle(),
        stop in 0..180_usize,
    ) {
        let mut ledger = Ledger::new([0, 1000, 2000], RestoreCounts::default());
        let (mut tickets, mut files) = (Vec::new(), Vec::new());
        let mut ends = [0, 1000, 2000];
        for (number, (lane, kind)) in lanes.iter().enumerate() {
            ends[*lane] += 7;
            let output = item_output(*kind, number);
            tickets.push((*lane, ledger.register(*lane, ends[*lane], output.clone()), ends[*lane], output));
            files.extend(listed_items(&mut ledger));
        }
        // Each item has three part numbers.
        let has = |part: &usize| tickets.get(part / 3).is_some_and(|ticket| part % 3 < parts(&ticket.3));
        let order: Vec<usize> = order.into_iter().filter(has).collect();
        let settled = &order[..stop.min(order.len())];
        // The order of the outcomes of one item does not matter: they are settled in the order of its parts.
        let mut done = vec![0; tickets.len()];
        for part in settled {
            let number = part / 3;
            ledger.settle(tickets[number].1, outcome(kinds[number][done[number]], 1000));
            done[number] += 1;
            files.extend(listed_items(&mut ledger));
        }
        let marks: Vec<u64> = ledger.marks().collect();
        let (mut expected, mut expected_files) = (RestoreCounts::default(), Vec::new());
        for (lane, mark) in marks.iter().enumerate() {
            let mut below = true;
            let mut expected_mark = 1000 * lane as u64;
            for (number, (_, _, end, output)) in tickets.iter().enumerate().filter(|(_, ticket)| ticket.0 == lane) {
                below &= done[number] == parts(output);
                if below {
                    expected_mark = *end;
                    expect(&mut expected, &mut expected_files, output, &kinds[number], number);
                }
            }
            prop_assert_eq!(*mark, expected_mark);
        }
        prop_assert_eq!(ledger.counts(), expected);
        prop_assert_eq!(expected.accounted(), expected.out);
        prop_assert_eq!(ledger.open() as u64, tickets.len() as u64 - expected.read);
        // A rejected item that was not changed is listed as it was written.
        let is_unchanged = |number: &String| matches!(tickets[number.parse::<usize>().unwrap()].3, ItemOutput::Unchanged);
        let seen = |number: String| if is_unchanged(&number) { "1000".to_owned() } else { number };
        let mut expected_files: Vec<String> = expected_files.into_iter().map(seen).collect();
        files.sort();
        expected_files.sort();
        prop_assert_eq!(files, expected_files);
    }
}

#[test]
fn memory_is_bounded() {
    let mut ledger = Ledger::new([0], RestoreCounts::default());
    let first = ledger.register(0, 1, ItemOutput::Unchanged);
    let mut end = 1;
    while !ledger.is_full() {
        end += 1;
        let item = Bytes::from(vec![b'x'; 400_000]);
        if end % 2 == 0 {
            let ticket = ledger.register(0, end, ItemOutput::Unchanged);
            ledger.settle(
                ticket,
                ItemOutcome::Rejected(Box::new(RejectedItem {
                    item,
                    reason: String::new(),
                })),
            );
        } else {
            let ticket = ledger.register(
                0,
                end,
                ItemOutput::Replaced {
                    count: 1,
                    original: item,
                },
            );
            ledger.settle(ticket, ItemOutcome::Written { bytes: 5 });
        }
    }

    assert!(ledger.waiting_bytes < MAX_WAITING_BYTES + 400_001 && ledger.open() < 50);
    assert_eq!(ledger.counts().read, 0);
    ledger.settle(first, ItemOutcome::Superseded);
    assert!(!ledger.is_full() && ledger.waiting_bytes == 0);
    assert_eq!(
        (ledger.counts().read, ledger.marks().next()),
        (end, Some(end))
    );
}
