use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn refused(number: usize) -> RejectedItem {
    RejectedItem {
        item: Bytes::from(number.to_string()),
        reason: String::new(),
    }
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
    let text = |listed: Listed| String::from_utf8_lossy(&listed.refused.item).into_owned();
    std::iter::from_fn(|| ledger.next_listed())
        .map(text)
        .collect()
}

/// What goes on in place of the item with this number.
fn going(kind: u8, number: usize) -> Going {
    match kind {
        0 => Going::Itself,
        1 => Going::Nothing(Box::new(refused(number))),
        count => Going::Others {
            count: u32::from(count) - 2,
            item: Bytes::from(number.to_string()),
        },
    }
}

fn parts(going: &Going) -> usize {
    match going {
        Going::Itself => 1,
        Going::Others { count, .. } => usize::try_from(*count).unwrap(),
        Going::Nothing(_) => 0,
    }
}

/// What the counts and files are to say of one settled item.
fn expect(
    counts: &mut Counts,
    files: &mut Vec<String>,
    going: &Going,
    outcomes: &[u8],
    number: usize,
) {
    counts.read += 1;
    match going {
        Going::Nothing(_) => {
            counts.rejected += 1;
            files.push(number.to_string());
        }
        Going::Others { count: 0, .. } => counts.filtered += 1,
        Going::Others { .. } => counts.changed += 1,
        Going::Itself => {}
    }

    counts.out += parts(going) as u64;
    let kinds = &outcomes[..parts(going)];
    for (kind, of_the_dump) in [(3, &mut counts.rejected), (4, &mut counts.skipped)] {
        // Listed once, however many of its parts were refused.
        if kinds.contains(&kind) {
            *of_the_dump += 1;
            files.push(number.to_string());
        }
    }

    for kind in &outcomes[..parts(going)] {
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
    fn marks_counts_and_files_have_exactly_what_lies_below_the_lowest_open_item(
        lanes in prop::collection::vec((0..3_usize, 0..6_u8), 1..60),
        kinds in prop::collection::vec(prop::array::uniform3(0..5_u8), 60),
        order in Just((0..180_usize).collect::<Vec<_>>()).prop_shuffle(),
        stop in 0..180_usize,
    ) {
        let mut ledger = Ledger::new([0, 1000, 2000], Counts::default());
        let (mut tickets, mut files) = (Vec::new(), Vec::new());
        let mut ends = [0, 1000, 2000];
        for (number, (lane, kind)) in lanes.iter().enumerate() {
            ends[*lane] += 7;
            let going = going(*kind, number);
            tickets.push((*lane, ledger.read(*lane, ends[*lane], going.clone()), ends[*lane], going));
            files.extend(listed(&mut ledger));
        }
        // A part of an item is a third of a number.
        let has = |part: &usize| tickets.get(part / 3).is_some_and(|ticket| part % 3 < parts(&ticket.3));
        let order: Vec<usize> = order.into_iter().filter(has).collect();
        let settled = &order[..stop.min(order.len())];
        // Which of its outcomes comes first does not matter: they are settled in the order of their parts.
        let mut done = vec![0; tickets.len()];
        for part in settled {
            let number = part / 3;
            ledger.settle(tickets[number].1, outcome(kinds[number][done[number]], 1000));
            done[number] += 1;
            files.extend(listed(&mut ledger));
        }
        let marks: Vec<u64> = ledger.marks().collect();
        let (mut expected, mut expected_files) = (Counts::default(), Vec::new());
        for (lane, mark) in marks.iter().enumerate() {
            let mut below = true;
            let mut expected_mark = 1000 * lane as u64;
            for (number, (_, _, end, going)) in tickets.iter().enumerate().filter(|(_, ticket)| ticket.0 == lane) {
                below &= done[number] == parts(going);
                if below {
                    expected_mark = *end;
                    expect(&mut expected, &mut expected_files, going, &kinds[number], number);
                }
            }
            prop_assert_eq!(*mark, expected_mark);
        }
        prop_assert_eq!(ledger.counts(), expected);
        prop_assert_eq!(expected.accounted(), expected.out);
        prop_assert_eq!(ledger.open() as u64, tickets.len() as u64 - expected.read);
        // What DynamoDB refuses of an item that was not changed is listed as DynamoDB saw it.
        let itself = |number: &String| matches!(tickets[number.parse::<usize>().unwrap()].3, Going::Itself);
        let seen = |number: String| if itself(&number) { "1000".to_owned() } else { number };
        let mut expected_files: Vec<String> = expected_files.into_iter().map(seen).collect();
        files.sort();
        expected_files.sort();
        prop_assert_eq!(files, expected_files);
    }
}

#[test]
fn what_is_kept_is_bounded() {
    let mut ledger = Ledger::new([0], Counts::default());
    let first = ledger.read(0, 1, Going::Itself);
    let mut end = 1;
    while !ledger.is_full() {
        end += 1;
        let item = Bytes::from(vec![b'x'; 400_000]);
        if end % 2 == 0 {
            let ticket = ledger.read(0, end, Going::Itself);
            ledger.settle(
                ticket,
                Outcome::Rejected(Box::new(RejectedItem {
                    item,
                    reason: String::new(),
                })),
            );
        } else {
            let ticket = ledger.read(0, end, Going::Others { count: 1, item });
            ledger.settle(ticket, Outcome::Written { bytes: 5 });
        }
    }

    assert!(ledger.waiting_bytes < WAITING_BYTES + 400_001 && ledger.open() < 50);
    assert_eq!(ledger.counts().read, 0);
    ledger.settle(first, Outcome::Superseded);
    assert!(!ledger.is_full() && ledger.waiting_bytes == 0);
    assert_eq!(
        (ledger.counts().read, ledger.marks().next()),
        (end, Some(end))
    );
}
