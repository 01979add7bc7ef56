use proptest::prelude::*;

use super::*;
use crate::backup::testing::{TWO, dump_folder, open};
use crate::backup::{SourceSpec, check};
use crate::place::Access;
use crate::place::local::files::{remove_file, write_file};

/// The readable items, and the reasons for the rest, of a dump whose data file holds `bytes`.
fn salvaged(bytes: &[u8]) -> (Vec<Bytes>, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dump");
    dump_folder(&folder, "music");
    remove_file(&folder.join("table-data.json")).unwrap();
    write_file(&folder.join("table-data.json"), bytes, Access::Shared).unwrap();
    let source = Source::salvage(&SourceSpec::path(&folder), &Error::damaged("x")).unwrap();
    let mut reader = source.pieces().unwrap().unwrap();
    let (mut items, mut reasons) = (Vec::new(), Vec::new());
    while let Some(piece) = reader.next_piece().unwrap() {
        match piece {
            SalvagePiece::Item(text) => items.push(text),
            SalvagePiece::Unreadable(unreadable) => reasons.push(unreadable.reason),
        }
    }

    let checked = check(&source, ItemCounter::default(), &mut |_, _| {}).unwrap();
    assert_eq!(
        (checked.items, checked.unreadable),
        (items.len() as u64, reasons.len() as u64)
    );
    assert_eq!(source.damage().unwrap().promised, Some(2));

    (items, reasons)
}

fn whole() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dump");
    dump_folder(&folder, "music");
    assert!(!open(&folder).unwrap().is_salvaged());

    std::fs::read(folder.join("table-data.json")).unwrap()
}

#[test]
fn complete_lines_are_read_from_a_file_truncated_anywhere() {
    let whole = whole();
    for length in 0..whole.len() {
        let (items, reasons) = salvaged(&whole[..length]);
        let expected = TWO.iter().filter(|item| {
            let at = whole
                .windows(item.len())
                .position(|window| window == item.as_bytes())
                .unwrap();
            at + item.len() <= length
        });

        assert_eq!(
            items.iter().map(Bytes::as_ref).collect::<Vec<_>>(),
            expected.map(|item| item.as_bytes()).collect::<Vec<_>>()
        );
        assert!(reasons.len() <= 1, "{length}: {reasons:?}");
    }
}

proptest! {
    #[test]
    fn each_line_of_any_file_is_an_item_or_reported(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let text = [JSON_HEAD, &bytes].concat();
        let (items, reasons) = salvaged(&text);
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
        prop_assert!(items.len() + reasons.len() <= lines);
    }
}
