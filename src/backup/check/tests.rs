use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use super::super::testing::{TWO, dump, items, metadata_of, names, open};
use super::super::{DataFile, DumpOptions, DumpTarget, DumpWriter};
use super::*;

fn outcome(folder: &Path) -> Result<CheckSummary> {
    check(&open(folder)?, ItemCounter::default(), &mut |_, _| {})
}

/// Dumps of every kind.
fn dumps() -> impl Iterator<Item = (tempfile::TempDir, PathBuf)> {
    DataFile::ALL.into_iter().map(|kind| {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("dump");
        let options = DumpOptions {
            format: kind.format,
            compression: kind.compression,
            ..DumpOptions::default()
        };

        dump(&DumpTarget::folder(&folder), &options, "t");
        (dir, folder)
    })
}

fn replace(path: &Path, content: &[u8]) {
    File::create(path)
        .and_then(|mut file| file.write_all(content))
        .unwrap();
}

/// The files of a dump that no other kind of dump has in the same form.
fn files_of_interest(folder: &Path) -> Vec<String> {
    let mut files = names(folder);
    files.retain(|name| name.starts_with("table-data") || folder.join("table-data.json").exists());
    files
}

#[test]
fn an_intact_dump_is_counted() {
    for (_dir, folder) in dumps() {
        let expected = TWO.iter().map(|text| text.len() as u64).sum();
        let mut reported = (0, 0);
        let source = open(&folder).unwrap();
        let checked = check(&source, ItemCounter::default(), &mut |items, bytes| {
            reported = (reported.0 + items, reported.1 + bytes);
        });
        let data_sha256 = source.data_sha256().unwrap();
        assert!(data_sha256.is_some());
        assert_eq!(
            checked.unwrap(),
            CheckSummary {
                expired: None,
                index_violations: BTreeMap::new(),
                items: 2,
                text_bytes: expected,
                unreadable: 0,
                data_sha256,
                warnings: Vec::new()
            }
        );

        assert_eq!(reported, (2, expected));
    }
}

#[test]
fn every_changed_byte_of_every_file_is_found() {
    for (_dir, folder) in dumps() {
        for name in files_of_interest(&folder) {
            let path = folder.join(&name);
            let content = std::fs::read(&path).unwrap();
            for at in 0..content.len() {
                for flip in [0x01, 0x20] {
                    let mut changed = content.clone();
                    changed[at] ^= flip;
                    replace(&path, &changed);
                    let error = outcome(&folder)
                        .expect_err(&format!("{name} byte {at} flipped by {flip:#x}"));
                    assert_eq!(
                        error.kind(),
                        ErrorKind::Damaged,
                        "{name} byte {at}: {error}"
                    );
                }
            }

            replace(&path, &content);
        }

        outcome(&folder).unwrap();
    }
}

#[test]
fn every_cut_and_every_appendix_of_every_file_is_found() {
    for (_dir, folder) in dumps() {
        for name in files_of_interest(&folder) {
            let path = folder.join(&name);
            let content = std::fs::read(&path).unwrap();
            for length in 0..content.len() {
                replace(&path, &content[..length]);
                let error = outcome(&folder).expect_err(&format!("{name} cut to {length}"));
                assert_eq!(
                    error.kind(),
                    ErrorKind::Damaged,
                    "{name} cut to {length}: {error}"
                );
            }

            for appendix in ["\n", " ", "x", "{}"] {
                replace(&path, &[&content[..], appendix.as_bytes()].concat());
                assert_eq!(
                    outcome(&folder).unwrap_err().kind(),
                    ErrorKind::Damaged,
                    "{name} and {appendix:?}"
                );
            }

            replace(&path, &content);
        }
    }
}

#[test]
fn truncation_without_checksums_is_found_if_the_format_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.jsonl.gz", "a.jsonl.zst"] {
        let path = dir.path().join(name);
        dump(&DumpTarget::file(&path), &DumpOptions::default(), "t");
        let content = std::fs::read(&path).unwrap();
        replace(&path, &content[..content.len() - 1]);
        let error = outcome(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_line_other_than_an_item_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("items.jsonl");
    replace(
        &path,
        b"{\"pk\":{\"S\":\"a\"}}\n{\"pk\":{\"S\":\"b\"}}\n{\"pk\":{\"S\":7}}\n",
    );
    let error = outcome(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains("items.jsonl` line 3"), "{error}");
}

#[test]
fn wrong_counts_of_other_tools_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let data =
        "{\n  \"Count\": 5,\n  \"Items\": [\n{\"pk\":{\"S\":\"a\"}}\n],\n \"ScannedCount\": 5}\n";
    replace(&folder.join("table-data.json"), data.as_bytes());
    replace(
        &folder.join("table-metadata.json"),
        b"{\"table_name\":\"t\",\"item_count\":7}",
    );
    let source = open(folder).unwrap();
    let warnings = check(&source, ItemCounter::default(), &mut |_, _| {})
        .unwrap()
        .warnings
        .join("\n");
    assert!(
        warnings.contains("no checksums") && warnings.contains("says 7"),
        "{warnings}"
    );
    let error = source.accept_incomplete(false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(
        error
            .to_string()
            .contains("contains 1 items, but its `Count` is 5"),
        "{error}"
    );

    assert!(
        source
            .accept_incomplete(true)
            .unwrap()
            .is_some_and(|warning| warning.contains("is 5"))
    );
}

#[test]
fn progress_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let target = DumpTarget::folder(dir.path().join("dump"));
    let mut writer = DumpWriter::begin(&target, &DumpOptions::default()).unwrap();
    (0..3000).for_each(|_| {
        writer
            .append(&items(&["{\"pk\":{\"S\":\"a\"}}"]), 0)
            .unwrap();
    });
    writer.finish(None, metadata_of("t")).unwrap();
    let mut reports = Vec::new();
    check(
        &open(&dir.path().join("dump")).unwrap(),
        ItemCounter::default(),
        &mut |items, _| {
            reports.push(items);
        },
    )
    .unwrap();
    assert_eq!(reports, [1024, 1024, 952]);
}

fn inspected(source: &Source) -> Inspection {
    inspect(source, InspectionDepth::Full, &mut |_, _| {}).unwrap()
}

#[test]
fn an_inspection_finds_what_a_check_finds() {
    for (_dir, folder) in dumps() {
        let found = inspected(&open(&folder).unwrap());
        assert_eq!(
            (found.items, found.duplicates, found.findings_total),
            (Some(2), Some(0), 0)
        );
        for name in files_of_interest(&folder) {
            let path = folder.join(&name);
            let content = std::fs::read(&path).unwrap();
            for at in 0..content.len() {
                let mut changed = content.clone();
                changed[at] ^= 0x01;
                replace(&path, &changed);

                for how in [InspectionDepth::Checksums, InspectionDepth::Full] {
                    match open(&folder).and_then(|source| inspect(&source, how, &mut |_, _| {})) {
                        Ok(found) => assert!(found.findings_total > 0, "{name} byte {at}"),
                        Err(error) => assert_eq!(
                            error.kind(),
                            ErrorKind::Damaged,
                            "{name} byte {at}: {error}"
                        ),
                    }
                }
            }

            replace(&path, &content);
        }
    }
}

#[test]
fn damage_in_several_places_is_listed() {
    let (_dir, folder) = dumps().next().unwrap();
    std::fs::remove_file(folder.join(SUMMARY_FILE)).unwrap();
    let data = std::fs::read_to_string(folder.join("table-data.json")).unwrap();
    replace(
        &folder.join("table-data.json"),
        data.replace("1.50", "1.5x").as_bytes(),
    );
    let found = inspected(&open(&folder).unwrap());
    for part in [SUMMARY_FILE, "line 2: not an item", "SHA-256"] {
        assert!(
            found.findings.iter().any(|finding| finding.contains(part)),
            "{part}: {:?}",
            found.findings
        );
    }

    assert_eq!(found.findings_total, 3);
}

proptest::proptest! {
    #[test]
    fn every_duplicate_is_counted_and_the_first_are_listed(keys in proptest::collection::vec(0..40_u8, 0..80)) {
        let dir = tempfile::tempdir().unwrap();
        let lines: Vec<String> = keys.iter().map(|key| format!("{{\"pk\":{{\"S\":\"{key}\"}}}}\n")).collect();
        replace(&dir.path().join("items.jsonl"), lines.concat().as_bytes());
        let mut source = open(&dir.path().join("items.jsonl")).unwrap();
        source.schema = Some(super::super::testing::schema("t"));
        let found = inspected(&source);
        let repeated = (0..keys.len()).filter(|at| keys[..*at].contains(&keys[*at]));
        let expected: Vec<String> = repeated
            .map(|at| {
                let first = keys.iter().position(|key| *key == keys[at]).unwrap();
                format!("line {}: the same key as in line {}: {{\"pk\":{{\"S\":\"{}\"}}}}", at + 1, first + 1, keys[at])
            })
            .collect();
        proptest::prop_assert_eq!(found.duplicates, Some(expected.len() as u64));
        proptest::prop_assert_eq!(found.findings_total, expected.len() as u64);
        proptest::prop_assert_eq!(found.findings.len(), expected.len().min(Inspection::LISTED));
        for (finding, expected) in found.findings.iter().zip(&expected) {
            proptest::prop_assert!(finding.ends_with(expected), "{} {}", finding, expected);
        }
    }
}
