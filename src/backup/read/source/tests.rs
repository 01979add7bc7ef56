use std::fs;
use std::io::Cursor;
use std::os::unix::fs::symlink;

use super::*;
use crate::backup::testing::{TWO, dump, dump_folder, names, open, whole_table};
use crate::backup::{DataFile, DumpOptions, DumpTarget, ItemCounter, check, read_schema};
use crate::error::ErrorKind;
use crate::place::Access;
use crate::place::local::files::write_file;

const SCAN: &str = "{\n    \"Items\": [\n        {\"pk\": {\"S\": \"a\"}}\n    ],\n    \"Count\": 1,\n    \"ScannedCount\": 1\n}\n";

fn put(folder: &Path, files: &[(&str, &str)]) {
    for (name, content) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_file(&path, content.as_bytes(), Access::Shared).unwrap();
    }
}

fn refusal(path: &Path) -> Error {
    open(path).err().expect("the source is refused")
}

fn remove(path: &Path) {
    fs::remove_file(path).unwrap();
}

#[test]
fn a_dump_is_read_through_any_spelling_of_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dump");
    dump_folder(&folder, "music");
    symlink(&folder, dir.path().join("link")).unwrap();

    for spelling in ["dump", "dump/", "link", "link/.", "dump/../dump"] {
        let source = open(&dir.path().join(spelling)).unwrap();
        assert_eq!(
            (source.kind(), source.table_name()),
            (SourceKind::OwnDump, Some("music"))
        );
        assert!(
            source.warnings().is_empty()
                && source.schema().is_some()
                && source.metadata().is_some()
        );
    }
}

#[test]
fn items_can_be_read_again_and_stay_those_of_the_open_dump() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dump");
    dump_folder(&folder, "old");
    let source = open(&folder).unwrap();
    let first = |source: &Source| source.items().unwrap().next_item().unwrap().unwrap().text;
    assert_eq!(first(&source), TWO[0]);
    let gzip = DumpOptions {
        compression: crate::backup::Compression::Gzip,
        ..DumpOptions::default()
    };
    dump(&DumpTarget::folder(&folder), &gzip, "new");
    assert_eq!(first(&source), TWO[0]);
}

#[test]
fn a_stream_is_read_once() {
    let source = Source::from_reader(Box::new(Cursor::new(b"{\"pk\":{\"S\":\"a\"}}\n")));
    assert!(source.is_stream() && source.path().is_none());
    assert!(check(&source, ItemCounter::default(), &mut |_, _| {}).is_err());
    assert!(source.items().unwrap().next_item().unwrap().is_some());
    assert!(source.items().is_err());
}

#[test]
fn files_of_items_are_read_compressed_or_not() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"] {
        let path = dir.path().join(name);
        dump(&DumpTarget::file(&path), &DumpOptions::default(), "t");
        let renamed = dir.path().join("items");
        fs::rename(&path, &renamed).unwrap();
        let source = open(&renamed).unwrap();
        assert_eq!(source.kind(), SourceKind::Items);
        assert_eq!(
            check(&source, ItemCounter::default(), &mut |_, _| {})
                .unwrap()
                .items,
            2
        );
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    let dir = tempfile::tempdir().unwrap();
    symlink(dir.path().join("nowhere"), dir.path().join("dangling")).unwrap();
    put(dir.path(), &[("other/notes.txt", "")]);
    fs::create_dir(dir.path().join("empty")).unwrap();

    for path in [
        "none",
        "none/deep",
        "dangling",
        "empty",
        "other",
        "other/notes.txt/x",
    ] {
        let error = refusal(&dir.path().join(path));
        assert_eq!(error.kind(), ErrorKind::NotFound, "{path}: {error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn part_of_a_dump_is_damaged() {
    for missing in [
        "table-data.json",
        "table-schema.json",
        "table-metadata.json",
    ] {
        let dir = tempfile::tempdir().unwrap();
        dump_folder(&dir.path().join("dump"), "t");
        remove(&dir.path().join("dump").join(missing));
        let error = refusal(&dir.path().join("dump"));
        assert_eq!(error.kind(), ErrorKind::Damaged, "{error}");
        assert!(
            missing == "table-metadata.json" || error.to_string().contains(missing),
            "{error}"
        );
    }

    let dir = tempfile::tempdir().unwrap();
    dump_folder(&dir.path().join("dump"), "t");
    remove(&dir.path().join("dump/dump-summary.txt"));
    assert_eq!(
        check(
            &open(&dir.path().join("dump")).unwrap(),
            ItemCounter::default(),
            &mut |_, _| {}
        )
        .unwrap_err()
        .kind(),
        ErrorKind::Damaged
    );

    put(
        dir.path(),
        &[
            ("lone/table-schema.json", "{}"),
            ("partial.partial/table-data.json", "{"),
        ],
    );

    for unfinished in ["lone", "partial", "partial.partial"] {
        assert_eq!(
            refusal(&dir.path().join(unfinished)).kind(),
            ErrorKind::Damaged,
            "{unfinished}"
        );
    }
}

#[test]
fn an_unfinished_dump_of_every_kind_is_damaged() {
    for kind in DataFile::ALL {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("dump");
        let options = DumpOptions {
            format: kind.format,
            compression: kind.compression,
            ..DumpOptions::default()
        };

        dump(&DumpTarget::folder(&folder), &options, "t");
        remove(&folder.join("table-metadata.json"));
        assert_eq!(refusal(&folder).kind(), ErrorKind::Damaged, "{kind:?}");
    }
}

#[test]
fn older_tools_folders_are_read_with_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let metadata =
        r#"{"environment":"prod","table_name":"music","dump_date":"2024-05-01","item_count":1}"#;
    put(
        dir.path(),
        &[
            ("a/table-data.json", SCAN),
            ("a/table-metadata.json", metadata),
            ("b/table-data.json", SCAN),
        ],
    );

    for (folder, table) in [("a", Some("music")), ("b", None)] {
        let source = open(&dir.path().join(folder)).unwrap();
        assert_eq!(
            (source.kind(), source.table_name()),
            (SourceKind::OlderTool, table)
        );
        assert_eq!(source.warnings().len(), 1);
    }

    let source = open(&dir.path().join("a")).unwrap();
    assert_eq!(
        (
            source.environment(),
            source.foreign_metadata().unwrap().items
        ),
        (Some("prod"), Some(1))
    );
}

#[test]
fn the_metadata_decides_between_two_data_files() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dump");
    dump_folder(&folder, "t");
    put(&folder, &[("table-data.jsonl.zst", "x")]);
    let source = open(&folder).unwrap();
    assert!(source.warnings()[0].contains("table-data.jsonl.zst"));
    assert_eq!(
        source.items().unwrap().next_item().unwrap().unwrap().line,
        2
    );
    let error = check(&source, ItemCounter::default(), &mut |_, _| {}).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Damaged && error.to_string().contains("table-data.jsonl.zst"),
        "{error}"
    );
    put(
        dir.path(),
        &[("b/table-data.json", SCAN), ("b/table-data.jsonl", "")],
    );
    assert_eq!(refusal(&dir.path().join("b")).kind(), ErrorKind::Damaged);
}

#[test]
fn several_tables_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    dump_folder(&dir.path().join("music"), "music");
    dump_folder(&dir.path().join("films"), "films");
    let error = refusal(dir.path());
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert!(error.to_string().contains("films, music"), "{error}");
    assert!(error.hint().unwrap().contains("`source`"));
}

#[test]
fn links_out_of_a_dump_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "table-data.json",
        "table-schema.json",
        "table-metadata.json",
    ] {
        let folder = dir.path().join(name);
        dump_folder(&folder, "t");
        let outside = dir.path().join(format!("outside-{name}"));
        fs::rename(folder.join(name), &outside).unwrap();
        symlink(&outside, folder.join(name)).unwrap();
        let error = refusal(&folder);
        assert_eq!(error.kind(), ErrorKind::Damaged);
        assert!(
            error
                .to_string()
                .contains("is a symbolic link to a file outside the dump"),
            "{error}"
        );
    }
}

#[test]
fn the_old_dump_is_read_when_the_new_one_never_came() {
    let dir = tempfile::tempdir().unwrap();
    dump_folder(&dir.path().join("dump.old"), "old");
    assert_eq!(whole_table(&dir.path().join("dump")), "old");
    assert!(open(&dir.path().join("dump")).unwrap().warnings()[0].contains("dump.old"));
    assert_eq!(names(dir.path()), ["dump.old"]);
}

#[test]
fn a_newer_format_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    put(
        dir.path(),
        &[
            ("table-metadata.json", "{\"format_version\": 2}"),
            ("table-data.json", SCAN),
        ],
    );

    let error = refusal(dir.path());
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains("newer format"), "{error}");
}

#[test]
fn a_schema_is_read_from_a_file_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    dump_folder(&dir.path().join("dump"), "t");
    assert_eq!(
        read_schema(&dir.path().join("dump/table-schema.json"))
            .unwrap()
            .table_name(),
        Some("t")
    );

    assert_eq!(
        read_schema(&dir.path().join("none")).unwrap_err().kind(),
        ErrorKind::NotFound
    );
    let error = read_schema(&dir.path().join("dump/dump-summary.txt")).unwrap_err();
    assert!(error.to_string().contains("dump-summary.txt"), "{error}");
}

#[test]
fn items_in_several_files_are_read_and_checked_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let gzip = DumpOptions::default();
    dump(&DumpTarget::file(dir.path().join("b.jsonl.gz")), &gzip, "t");
    put(dir.path(), &[("a.jsonl", r#"{"pk":{"S":"first"}}"#)]);

    let part = |name: &str| Part::open(&dir.path().join(name)).unwrap().unwrap();
    let of = |parts: Vec<Part>| Source::items_only(SourceData::Parts(parts));
    let source = of(vec![part("a.jsonl"), part("b.jsonl.gz")]);

    let mut reader = source.items().unwrap();
    let read: Vec<_> =
        std::iter::from_fn(|| reader.next_item().unwrap().map(|item| item.text)).collect();
    assert_eq!(read, [r#"{"pk":{"S":"first"}}"#, TWO[0], TWO[1]]);

    let checked = check(&source, ItemCounter::default(), &mut |_, _| {}).unwrap();
    assert_eq!(checked.items, 3);
    assert_eq!(checked.data_sha256, source.data_sha256().unwrap());
    let reversed = of(vec![part("b.jsonl.gz"), part("a.jsonl")]);
    assert_ne!(checked.data_sha256, reversed.data_sha256().unwrap());

    let sizes = part("a.jsonl").bytes() + part("b.jsonl.gz").bytes();
    assert_eq!(source.data_file_bytes(), Some(sizes));

    // An incomplete file is noticed, whichever it is.
    put(dir.path(), &[("c.json", r#"{"Items":[],"NextToken":"x"}"#)]);
    let source = of(vec![part("a.jsonl"), part("c.json"), part("b.jsonl.gz")]);
    check(&source, ItemCounter::default(), &mut |_, _| {}).unwrap();
    assert!(source.incompleteness().unwrap().contains("NextToken"));
}
