use std::fs::File;
use std::io::{self, Write};

use super::*;
use crate::backup::testing::{items, metadata_of, open, schema};
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
            .append(
                &items(&[&format!(
                    r#"{{"pk":{{"S":"{number}"}},"t":{{"S":"{text}"}}}}"#
                )]),
                0,
            )
            .unwrap();
    }

    writer
        .finish(Some(&schema("music")), metadata_of("music"))
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

fn lanes(source: &Source, most: u64) -> Vec<Lane> {
    source.lane_text().unwrap().lanes(most).unwrap()
}

fn read(source: &Source, lane: Lane, from: u64) -> Vec<LaneItem> {
    let mut reader = source.lane_text().unwrap().read(lane, from, None);
    std::iter::from_fn(|| reader.next_item().unwrap()).collect()
}

#[test]
fn key_hashes_are_those_of_the_items() {
    let (_dir, source) = dumped(3, DataFormat::Json, Compression::None);
    let text = source.lane_text().unwrap();
    let whole = text.lanes(1).unwrap()[0];
    let attribute = |name: &str, kind| KeyAttribute {
        name: name.to_owned(),
        kind,
    };
    let hashes = |key: &KeySchema| {
        let mut reader = text.read(whole, 0, Some(key));
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

    // An attribute that is missing or has another type is not a key.
    for (name, kind) in [("pk", KeyType::N), ("absent", KeyType::S)] {
        let key = KeySchema {
            partition: attribute(name, kind),
            sort: None,
        };
        assert_eq!(hashes(&key), [(None, None); 3]);
    }
}

#[test]
fn lanes_hold_every_item_once_and_in_order_and_can_be_left_anywhere() {
    for (format, compression) in all_kinds() {
        let count = 800;
        let (_dir, source) = dumped(count, format, compression);
        for most in [1, 3] {
            let lanes = lanes(&source, most);
            assert_eq!(lanes.len() as u64, most, "{format:?} {compression:?}");
            assert!(
                lanes
                    .windows(2)
                    .all(|pair| pair[0].end == pair[1].start && pair[0].start < pair[0].end)
            );

            let mut number = 0;
            for lane in lanes {
                let all = read(&source, lane, lane.start);
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
                    read(&source, lane, all[done].end) == all[done + 1..],
                    "{format:?} {compression:?}"
                );
                assert!(
                    read(&source, lane, all[all.len() - 1].end).is_empty(),
                    "{format:?} {compression:?}"
                );
            }

            assert_eq!(number, count);
        }
    }
}

/// A dump of 800 items of about 2 kB each, whose pages of 40 items belong to three segments in turn. The numbers of a segment's items
/// are consecutive, and those of a later segment are greater.
fn dumped_in_three_segments(
    format: DataFormat,
    compression: Compression,
) -> (tempfile::TempDir, Source) {
    const SEGMENT_ITEMS: usize = 280;

    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dump");
    let options = DumpOptions {
        format,
        compression,
        ..DumpOptions::default()
    };

    let mut writer = DumpWriter::begin(&DumpTarget::folder(&folder), &options).unwrap();
    let text = "x".repeat(2000);
    let mut next = [0, SEGMENT_ITEMS, 2 * SEGMENT_ITEMS];
    for page in 0..21 {
        let segment = page % 3;
        let page: Vec<String> = (next[segment]..next[segment] + 40)
            .map(|number| format!(r#"{{"pk":{{"S":"{number}"}},"t":{{"S":"{text}"}}}}"#))
            .collect();
        next[segment] += 40;
        let page: Vec<&str> = page.iter().map(String::as_str).collect();
        writer.append(&items(&page), segment).unwrap();
    }

    let draft = crate::backup::Metadata {
        segments: 3,
        ..metadata_of("music")
    };
    writer.finish(Some(&schema("music")), draft).unwrap();
    let source = open(&folder).unwrap();

    (dir, source)
}

#[test]
fn lanes_follow_the_segments_of_the_scan_and_can_be_left_anywhere() {
    for (format, compression) in all_kinds() {
        let (_dir, source) = dumped_in_three_segments(format, compression);
        let text = source.lane_text().unwrap();
        assert!(text.is_in_hash_order());

        for most in [1, 4] {
            let lanes = text.lanes(most).unwrap();
            assert_eq!(lanes.len() as u64, most, "{format:?} {compression:?}");

            let mut found = Vec::new();
            for lane in lanes {
                let all = read(&source, lane, lane.start);
                for done in [0, all.len() / 2, all.len() - 1] {
                    assert!(read(&source, lane, all[done].end) == all[done + 1..]);
                }

                found.extend(all.iter().map(|item| {
                    let item = std::str::from_utf8(&item.text).unwrap();
                    item.split('"').nth(5).unwrap().parse::<usize>().unwrap()
                }));
            }

            // A frame may begin with a few items of the segment before.
            let descents = found.windows(2).filter(|pair| pair[0] > pair[1]).count();
            assert!(descents <= 4, "{format:?} {compression:?}: {descents}");
            found.sort_unstable();
            assert!(found.into_iter().eq(0..840), "{format:?} {compression:?}");
        }
    }
}

/// An ordered text of a file, with the items "a" to "d" on its lines, and these extents.
fn with_extents(extents: &[[u64; 2]]) -> (tempfile::NamedTempFile, Option<OrderedText>) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"{a}\n{b}\n{c}\n{d}\n").unwrap();
    let entry = crate::backup::FileEntry {
        bytes: 16,
        sha256: String::new(),
        frames: None,
        extents: Some(extents.iter().map(|extent| (*extent).into()).collect()),
    };
    let part = crate::place::part::Part::open(file.path())
        .unwrap()
        .unwrap();
    let text = OrderedText::new(&part, &entry, 2);

    (file, text)
}

#[test]
fn extents_that_do_not_cover_the_file_exactly_are_ignored() {
    for extents in [
        &[][..],
        &[[0, 15]],
        &[[0, 17]],
        &[[0, u64::MAX], [1, 17]],
        &[[0, 16], [1, 4]],
    ] {
        assert!(with_extents(extents).1.is_none(), "{extents:?}");
    }
}

#[test]
fn extents_that_end_within_a_line_are_an_error() {
    let read = |extents: &[[u64; 2]]| {
        let (_file, text) = with_extents(extents);
        let mut found = String::new();
        let mut reader = Arc::new(text.unwrap()).read(0, 16);
        io::Read::read_to_string(&mut reader, &mut found).map(|_| found)
    };

    assert_eq!(read(&[[1, 8], [0, 8]]).unwrap(), "{c}\n{d}\n{a}\n{b}\n");
    assert_eq!(
        read(&[[5, 4], [1, 0], [9, 4], [1, 8]]).unwrap(),
        "{c}\n{d}\n{a}\n{b}\n"
    );

    let error = read(&[[1, 6], [0, 10]]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(error.to_string().contains("within a line"), "{error}");
}

#[test]
fn what_is_not_known_to_have_an_item_on_each_line_is_not_cut() {
    let (dir, source) = dumped(3, DataFormat::Json, Compression::None);
    assert_eq!(lanes(&source, 8).len(), 1, "it is too small to be cut");

    let file = open(&dir.path().join("dump/table-data.json")).unwrap();
    assert!(file.lane_text().is_none());
    let stream = Source::from_reader(Box::new(io::empty()));
    assert!(stream.lane_text().is_none());

    let (_dir, empty) = dumped(0, DataFormat::Json, Compression::Gzip);
    let lanes = lanes(&empty, 8);
    assert!(lanes.len() == 1 && read(&empty, lanes[0], 0).is_empty());
}

#[test]
fn only_single_objects_are_returned_independently_of_earlier_checks() {
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
        let padding = "\n".repeat(3000);
        write!(file, "{{\"Items\":[\n{line}\n{padding}]}}\n").unwrap();
        let lane = lanes(&source, 1)[0];
        let text = source.lane_text().unwrap();
        let error = text.read(lane, 0, None).next_item().expect_err(line);

        assert!(error.to_string().contains("is not an item"), "{error}");
    }
}
