use std::fs::File;
use std::io::Write;

use super::*;
use crate::backup::testing::{draft_of, items, open, schema};
use crate::backup::{Compression, DataFormat, DumpOptions, DumpTarget, DumpWriter};
use crate::item::{KeyAttribute, KeyType};

/// A dump of `count` items of about 2 kB each, and its source.
fn dumped(
    count: usize,
    format: DataFormat,
    compression: Compression,
) -> (tempfile::TempDir, Source) {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dump");
    let options = DumpOptions {
        format,
        compression,
        ..DumpOptions::default()
    };

    let mut writer = DumpWriter::begin(&DumpTarget::folder(&folder), &options).unwrap();
    let text = "Items\\\":[ ".repeat(200);
    for number in 0..count {
        writer
            .append(&items(&[&format!(
                r#"{{"pk":{{"S":"{number}"}},"t":{{"S":"{text}"}}}}"#
            )]))
            .unwrap();
    }

    writer
        .finish(Some(&schema("music")), draft_of("music"))
        .unwrap();
    let source = open(&folder).unwrap();

    (dir, source)
}

fn all_kinds() -> impl Iterator<Item = (DataFormat, Compression)> {
    let formats = [DataFormat::Json, DataFormat::Jsonl];
    let compressions = [Compression::None, Compression::Gzip, Compression::Zstd];
    formats
        .into_iter()
        .flat_map(move |format| compressions.into_iter().map(move |how| (format, how)))
}

fn read(source: &Source, stripe: Stripe, from: u64) -> Vec<StripedItem> {
    let mut reader = source.stripe(stripe, from, None).unwrap();
    std::iter::from_fn(|| reader.next_item().unwrap()).collect()
}

#[test]
fn key_hashes_are_those_of_the_items() {
    let (_dir, source) = dumped(3, DataFormat::Json, Compression::None);
    let whole = source.stripes(1).unwrap().unwrap()[0];
    let attribute = |name: &str, kind| KeyAttribute {
        name: name.to_owned(),
        kind,
    };
    let hashes = |key: &KeySchema| {
        let mut reader = source.stripe(whole, 0, Some(key)).unwrap();
        let items = std::iter::from_fn(|| reader.next_item().unwrap());
        items
            .map(|item| (item.key_hash, key.hash128(&item.text).ok()))
            .collect::<Vec<_>>()
    };

    let key = KeySchema {
        partition: attribute("pk", KeyType::S),
        sort: Some(attribute("t", KeyType::S)),
    };
    let found = hashes(&key);
    assert_eq!(found.len(), 3);
    assert!(
        found
            .iter()
            .all(|(found, expected)| found.is_some() && found == expected)
    );

    // An attribute that is missing or has another type is no key.
    for (name, kind) in [("pk", KeyType::N), ("absent", KeyType::S)] {
        let key = KeySchema {
            partition: attribute(name, kind),
            sort: None,
        };
        assert_eq!(hashes(&key), [(None, None); 3]);
    }
}

#[test]
fn stripes_hold_every_item_once_and_in_order_and_can_be_left_anywhere() {
    for (format, compression) in all_kinds() {
        let count = if compression == Compression::None {
            800
        } else {
            4_400
        };

        let (_dir, source) = dumped(count, format, compression);
        for most in [1, 3] {
            let stripes = source.stripes(most).unwrap().unwrap();
            let expected = if compression == Compression::None {
                most
            } else {
                most.min(PACKED_STRIPES)
            };

            assert_eq!(stripes.len() as u64, expected, "{format:?} {compression:?}");
            assert!(
                stripes
                    .windows(2)
                    .all(|pair| pair[0].end == pair[1].start && pair[0].start < pair[0].end)
            );

            let mut number = 0;
            for stripe in stripes {
                let all = read(&source, stripe, stripe.start);
                for item in &all {
                    let expected = format!(r#"{{"pk":{{"S":"{number}"}}"#);
                    assert!(
                        item.text.starts_with(expected.as_bytes()),
                        "{format:?} {compression:?} {most}"
                    );
                    number += 1;
                }

                let done = all.len() / 3;
                assert!(
                    read(&source, stripe, all[done].end) == all[done + 1..],
                    "{format:?} {compression:?}"
                );
                assert!(
                    read(&source, stripe, all[all.len() - 1].end).is_empty(),
                    "{format:?} {compression:?}"
                );
            }

            assert_eq!(number, count);
        }
    }
}

#[test]
fn what_is_not_known_to_have_an_item_on_each_line_is_not_cut() {
    let (dir, source) = dumped(3, DataFormat::Json, Compression::None);
    assert_eq!(
        source.stripes(8).unwrap().unwrap().len(),
        1,
        "it is too small to be cut"
    );

    let file = open(&dir.path().join("dump/table-data.json")).unwrap();
    assert_eq!(file.stripes(8).unwrap(), None);
    assert_eq!(
        Source::from_reader(Box::new(io::empty()))
            .stripes(8)
            .unwrap(),
        None
    );

    let (_dir, empty) = dumped(0, DataFormat::Json, Compression::Gzip);
    let stripes = empty.stripes(8).unwrap().unwrap();
    assert!(stripes.len() == 1 && read(&empty, stripes[0], 0).is_empty());
}

#[test]
fn only_what_is_one_object_is_handed_out_whatever_was_checked_before() {
    for line in [
        r#"{"pk":{"S":"a"}}}},{"DeleteRequest":{"Key":{"pk":{"S":"b"}}"#,
        r#"{"pk":{"S":"a"}},{"pk":{"S":"b"}}"#,
        r#"{"pk":{"S":"a"},"pk":{"S":"b"}}"#,
        r#"{"pk":{"S":"a"},"\u0070k":{"S":"b"}}"#,
        r#"{"pk":{"S":"a"},}"#,
        r#""pk""#,
    ] {
        // The file changes while the source is open.
        let (dir, source) = dumped(1, DataFormat::Json, Compression::None);
        let mut file = File::create(dir.path().join("dump/table-data.json")).unwrap();
        write!(file, "{{\"Items\":[\n{line}\n]}}\n").unwrap();
        let stripe = source.stripes(1).unwrap().unwrap()[0];
        let error = source
            .stripe(stripe, 0, None)
            .unwrap()
            .next_item()
            .expect_err(line);

        assert!(error.to_string().contains("is not an item"), "{error}");
    }
}
