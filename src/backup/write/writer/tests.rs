use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};

use proptest::prelude::*;

use super::*;
use crate::backup::ItemCounter;
use crate::backup::folder::{TargetContents, resolve_path};
use crate::backup::testing::{
    TWO, dump, dump_folder, items, metadata_of, names, open, schema, whole_table,
};
use crate::error::ErrorKind;
use crate::place::Access;
use crate::place::digest::hex_sha256;
use crate::place::local::files::test_syncs::synced;
use crate::place::local::files::write_file;

const FOUR_FILES: [&str; 4] = [
    "dump-summary.txt",
    "table-data.json",
    "table-metadata.json",
    "table-schema.json",
];

fn options(kind: DataFile) -> DumpOptions {
    DumpOptions {
        format: kind.format,
        compression: kind.compression,
        ..DumpOptions::default()
    }
}

fn written(kind: DataFile, texts: &[&str]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dump");
    let mut writer = DumpWriter::begin(&DumpTarget::folder(&folder), &options(kind)).unwrap();
    for text in texts {
        writer.append(&items(&[text]), 0).unwrap();
    }

    let finished = writer.finish(None, metadata_of("t")).unwrap();
    let bytes = fs::read(folder.join(kind.name())).unwrap();
    let entry = &finished.metadata.files[kind.name()];
    assert_eq!(
        (entry.bytes, &entry.sha256),
        (bytes.len() as u64, &hex_sha256(&bytes))
    );
    assert_eq!(
        entry.frames.is_some(),
        kind.compression != Compression::None
    );
    assert_eq!(finished.metadata.items, texts.len() as u64);
    assert_eq!(
        finished.metadata.data_bytes,
        texts.iter().map(|text| text.len() as u64).sum::<u64>()
    );

    unpacked(kind.compression, &bytes)
}

fn unpacked(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    match compression {
        Compression::None => content.extend_from_slice(bytes),
        Compression::Gzip => drop(
            flate2::read::MultiGzDecoder::new(bytes)
                .read_to_end(&mut content)
                .unwrap(),
        ),
        Compression::Zstd => drop(
            zstd::Decoder::new(bytes)
                .unwrap()
                .read_to_end(&mut content)
                .unwrap(),
        ),
    }

    content
}

#[test]
fn every_format_to_the_byte() {
    for kind in DataFile::ALL {
        let expected: [&str; 3] = match kind.format {
            DataFormat::Json => [
                "{\"Items\":[\n],\"Count\":0,\"ScannedCount\":0}\n",
                "{\"Items\":[\n{\"pk\":{\"S\":\"a\"}}\n],\"Count\":1,\"ScannedCount\":1}\n",
                "{\"Items\":[\n{\"pk\":{\"S\":\"a\"}},\n{\"pk\": {\"S\":\"b\"}}\n],\"Count\":2,\"ScannedCount\":2}\n",
            ],
            DataFormat::Jsonl => [
                "",
                "{\"pk\":{\"S\":\"a\"}}\n",
                "{\"pk\":{\"S\":\"a\"}}\n{\"pk\": {\"S\":\"b\"}}\n",
            ],
        };

        let texts = ["{\"pk\":{\"S\":\"a\"}}", "{\"pk\": {\"S\":\"b\"}}"];
        for count in 0..=2 {
            assert_eq!(
                String::from_utf8(written(kind, &texts[..count])).unwrap(),
                expected[count],
                "{kind:?}"
            );
        }
    }
}

#[test]
fn even_no_items_compress_to_a_file_that_can_be_unpacked() {
    for kind in DataFile::ALL {
        assert_eq!(
            written(kind, &[]).is_empty(),
            kind.format == DataFormat::Jsonl
        );
    }
}

#[test]
fn equal_items_give_equal_bytes_and_frames_begin_with_an_item() {
    let text = |number: usize| {
        format!(
            "{{\"pk\":{{\"N\":\"{number}\"}},\"b\":{{\"S\":\"{}\"}}}}",
            "x".repeat(number * 3)
        )
    };

    let texts: Vec<String> = (0..3000).map(text).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let dir = tempfile::tempdir().unwrap();
    let target = DumpTarget::folder(dir.path().join("dump"));
    let kinds = [
        (DataFormat::Json, Compression::Gzip),
        (DataFormat::Jsonl, Compression::Zstd),
    ];
    for kind in kinds.map(|(format, compression)| DataFile {
        format,
        compression,
    }) {
        let write = || {
            let mut writer = DumpWriter::begin(&target, &options(kind)).unwrap();
            texts
                .chunks(100)
                .for_each(|page| writer.append(&items(page), 0).unwrap());
            let finished = writer.finish(None, metadata_of("t")).unwrap();
            (
                fs::read(&finished.paths[0]).unwrap(),
                finished.metadata.files[kind.name()].frames.clone().unwrap(),
            )
        };

        let (bytes, frames) = write();
        assert_eq!((&bytes, &frames), (&write().0, &write().1));
        assert!(frames.len() > 2);
        assert_eq!(frames.iter().map(|frame| frame.items).sum::<u64>(), 3000);
        assert_eq!(
            frames.iter().map(|frame| frame.compressed).sum::<u64>(),
            bytes.len() as u64
        );
        let mut at = 0;
        for (number, frame) in frames.iter().enumerate() {
            let end = at + usize::try_from(frame.compressed).unwrap();
            let content = unpacked(kind.compression, &bytes[at..end]);
            assert_eq!(content.len() as u64, frame.bytes);
            assert!(
                number == 0 || content.starts_with(b"{\"pk\""),
                "frame {number}"
            );
            at = end;
        }
    }
}

#[test]
fn a_folder_gets_its_four_files_and_no_others_remain() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a/b/dump");
    let finished = dump(
        &DumpTarget::folder(&folder),
        &DumpOptions::default(),
        "music",
    );

    assert_eq!(names(&folder), FOUR_FILES);
    assert_eq!(names(folder.parent().unwrap()), ["dump"]);
    let order: Vec<_> = finished
        .paths
        .iter()
        .map(|path| path.file_name().unwrap().to_str().unwrap())
        .collect();

    assert_eq!(
        order,
        [
            "table-data.json",
            "table-schema.json",
            "dump-summary.txt",
            "table-metadata.json"
        ]
    );

    assert!(finished.metadata.complete && finished.warnings.is_empty());
    assert_eq!(whole_table(&folder), "music");
}

#[test]
fn the_name_of_the_data_file_is_on_disk_before_its_progress_is_saved() {
    let dir = tempfile::tempdir().unwrap();
    let parent = fs::canonicalize(dir.path()).unwrap();
    let partial = parent.join("dump.partial");
    for (target, names, finished) in [
        (
            DumpTarget::folder(parent.join("dump")),
            vec![&partial, &parent],
            // Before the metadata, after it, and after the rename.
            vec![&partial, &partial, &parent],
        ),
        (
            DumpTarget::file(parent.join("items.jsonl")),
            vec![&parent],
            vec![&parent],
        ),
    ] {
        let mut writer = DumpWriter::begin(&target, &DumpOptions::default()).unwrap();
        writer.append(&items(&TWO), 0).unwrap();
        synced();
        writer.when_synced(|_, _| {}).unwrap();
        assert!(synced().iter().eq(names), "{target:?}");

        writer.append(&items(&TWO), 0).unwrap();
        writer.when_synced(|_, _| {}).unwrap();
        assert!(synced().is_empty(), "{target:?}");

        writer.finish(None, metadata_of("t")).unwrap();
        assert_eq!(synced().iter().collect::<Vec<_>>(), finished, "{target:?}");
    }
}

#[test]
fn the_name_of_a_dump_is_on_disk_before_it_replaces_another() {
    let dir = tempfile::tempdir().unwrap();
    let parent = fs::canonicalize(dir.path()).unwrap();
    let (target, partial) = (parent.join("dump"), parent.join("dump.partial"));
    let write = || {
        let writer = DumpWriter::begin(&DumpTarget::folder(&target), &DumpOptions::default());
        synced();
        writer.unwrap().finish(None, metadata_of("t")).unwrap();
        synced()
    };

    // Before the metadata, after it, and after the rename.
    assert_eq!(write(), [&partial, &partial, &parent].map(Clone::clone));

    // Also before the exchange, and after the removal of the old dump.
    let replaced = write();
    assert_eq!(
        replaced[..4],
        [&partial, &partial, &parent, &parent].map(Clone::clone)
    );
    assert_eq!(replaced.last(), Some(&parent));
}

#[test]
fn a_dump_replaces_a_dump_of_another_kind() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dump");
    for (kind, table) in DataFile::ALL
        .into_iter()
        .zip(["a", "b", "c", "d", "e", "f"])
    {
        dump(&DumpTarget::folder(&folder), &options(kind), table);
        assert_eq!(
            names(&folder),
            [
                "dump-summary.txt",
                kind.name(),
                "table-metadata.json",
                "table-schema.json"
            ]
        );

        assert_eq!(whole_table(&folder), table);
        assert_eq!(names(dir.path()), ["dump"]);
    }
}

#[test]
fn private_dumps_are_readable_only_by_their_owner() {
    let dir = tempfile::tempdir().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let private = DumpOptions {
        access: Access::Private,
        ..DumpOptions::default()
    };
    let folder = dir.path().join("dump");
    fs::create_dir(&folder).unwrap();
    let finished = dump(&DumpTarget::folder(&folder), &private, "t");
    assert_eq!(mode(&folder), 0o700);
    assert!(finished.paths.iter().all(|path| mode(path) == 0o600));
    let file = dir.path().join("items.jsonl");
    dump(&DumpTarget::file(&file), &private, "t");
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn a_folder_other_than_a_dump_is_refused_and_unchanged() {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in [("music/table-data.json", "x"), ("notes.txt", "precious")] {
        let folder = dir.path().join(name.replace('/', "-"));
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        write_file(&folder.join(name), content.as_bytes(), Access::Shared).unwrap();
        let target = DumpTarget::folder(&folder);
        assert_eq!(target.contents().unwrap_err().kind(), ErrorKind::Usage);
        assert_eq!(
            DumpWriter::begin(&target, &DumpOptions::default())
                .err()
                .unwrap()
                .kind(),
            ErrorKind::Usage
        );

        assert_eq!(fs::read_to_string(folder.join(name)).unwrap(), content);
    }

    assert_eq!(names(dir.path()), ["music-table-data.json", "notes.txt"]);
}

#[test]
fn a_newer_dump_is_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    write_file(
        &dir.path().join(METADATA_FILE),
        b"{\"format_version\": 9}",
        Access::Shared,
    )
    .unwrap();

    let target = DumpTarget::folder(dir.path());
    assert_eq!(
        DumpWriter::begin(&target, &DumpOptions::default())
            .err()
            .unwrap()
            .kind(),
        ErrorKind::Damaged
    );
}

#[test]
fn a_dropped_writer_leaves_the_old_dump_and_the_next_one_replaces_its_remains() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dump");
    dump_folder(&folder, "old");
    let mut writer =
        DumpWriter::begin(&DumpTarget::folder(&folder), &DumpOptions::default()).unwrap();
    writer.append(&items(&TWO), 0).unwrap();
    drop(writer);
    assert_eq!(names(dir.path()), ["dump", "dump.partial"]);
    assert_eq!(whole_table(&folder), "old");
    dump_folder(&folder, "new");
    assert_eq!(names(dir.path()), ["dump"]);
    assert_eq!(whole_table(&folder), "new");
}

#[test]
fn remains_that_hold_something_else_are_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("dump.partial")).unwrap();
    write_file(
        &dir.path().join("dump.partial/notes.txt"),
        b"",
        Access::Shared,
    )
    .unwrap();

    let begun = DumpWriter::begin(
        &DumpTarget::folder(dir.path().join("dump")),
        &DumpOptions::default(),
    );
    assert!(begun.err().unwrap().to_string().contains("notes.txt"));
    assert!(dir.path().join("dump.partial/notes.txt").exists());
}

#[test]
fn one_writer_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    for target in [
        DumpTarget::folder(dir.path().join("dump")),
        DumpTarget::file(dir.path().join("a.jsonl")),
    ] {
        let first = DumpWriter::begin(&target, &DumpOptions::default()).unwrap();
        let refusal = DumpWriter::begin(&target, &DumpOptions::default())
            .err()
            .unwrap();
        assert!(
            refusal.to_string().contains("is being written by process"),
            "{refusal}"
        );
        first.finish(None, metadata_of("t")).unwrap();
        dump(&target, &DumpOptions::default(), "t");
    }
}

#[test]
fn a_link_to_a_folder_stays_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();

    for (spelling, table) in [
        ("link", "a"),
        ("link/", "b"),
        ("link/.", "c"),
        ("real/../link//", "d"),
    ] {
        dump_folder(&dir.path().join(spelling), table);
        assert!(link.is_symlink());
        assert_eq!(whole_table(&real), table);
    }

    assert_eq!(
        resolve_path(Path::new(".")).unwrap(),
        fs::canonicalize(".").unwrap()
    );
}

#[test]
fn a_file_of_items_is_replaced_atomically() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"] {
        let path = dir.path().join(name);
        write_file(&path, b"old", Access::Shared).unwrap();
        for _ in 0..2 {
            let mut unfinished =
                DumpWriter::begin(&DumpTarget::file(&path), &DumpOptions::default()).unwrap();
            unfinished.append(&items(&TWO), 0).unwrap();
        }

        assert_eq!(fs::read(&path).unwrap(), b"old");
        let finished = dump(&DumpTarget::file(&path), &DumpOptions::default(), "t");
        let kind = DataFile::for_item_file(&path).unwrap();
        let content = unpacked(kind.compression, &fs::read(&path).unwrap());
        assert_eq!(content, format!("{}\n{}\n", TWO[0], TWO[1]).as_bytes());
        assert_eq!(finished.paths, [fs::canonicalize(&path).unwrap()]);
    }

    assert_eq!(names(dir.path()), ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"]);
}

#[test]
fn a_partial_file_that_is_not_ours_is_refused_and_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let partial = dir.path().join("a.jsonl.partial");
    write_file(&partial, b"precious", Access::Shared).unwrap();
    let target = DumpTarget::file(dir.path().join("a.jsonl"));
    for _ in 0..2 {
        let refusal = DumpWriter::begin(&target, &DumpOptions::default())
            .err()
            .unwrap();
        assert!(refusal.to_string().contains("a.jsonl.partial"), "{refusal}");
        assert_eq!(fs::read(&partial).unwrap(), b"precious");
        assert_eq!(names(dir.path()), ["a.jsonl.partial"]);
    }
}

#[test]
fn a_file_with_an_unsuitable_name_or_type_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("folder.jsonl")).unwrap();
    let gzip = DumpOptions {
        compression: Compression::Gzip,
        ..DumpOptions::default()
    };
    let schema_only = DumpOptions {
        schema_only: true,
        ..DumpOptions::default()
    };
    let cases = [
        ("a.json", DumpOptions::default()),
        ("a.jsonl.zst", gzip),
        ("a.jsonl", schema_only),
    ];

    for (name, options) in cases
        .into_iter()
        .chain([("folder.jsonl", DumpOptions::default())])
    {
        let begun = DumpWriter::begin(&DumpTarget::file(dir.path().join(name)), &options);
        assert_eq!(begun.err().unwrap().kind(), ErrorKind::Usage, "{name}");
    }

    assert_eq!(names(dir.path()), ["folder.jsonl"]);
}

#[test]
fn a_stream_gets_lines_of_items() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let stream = fs::File::create(file.path()).unwrap();
        let mut writer = DumpWriter::stream(Box::new(stream), compression);
        writer.append(&items(&TWO), 0).unwrap();
        let finished = writer.finish(None, metadata_of("t")).unwrap();
        assert!(finished.paths.is_empty());
        let content = unpacked(compression, &fs::read(file.path()).unwrap());
        assert_eq!(content, format!("{}\n{}\n", TWO[0], TWO[1]).as_bytes());
    }
}

#[test]
fn a_schema_only_dump_is_a_dump() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dump");
    let options = DumpOptions {
        schema_only: true,
        ..DumpOptions::default()
    };
    let writer = DumpWriter::begin(&DumpTarget::folder(&folder), &options).unwrap();
    let finished = writer.finish(Some(&schema("t")), metadata_of("t")).unwrap();
    assert!(!finished.metadata.complete);
    assert_eq!(
        names(&folder),
        [
            "dump-summary.txt",
            "table-metadata.json",
            "table-schema.json"
        ]
    );

    let source = open(&folder).unwrap();
    assert!(!source.has_items() && source.items().is_err() && source.schema().is_some());
    assert_eq!(
        crate::backup::check(&source, ItemCounter::default(), &mut |_, _| {})
            .unwrap()
            .items,
        0
    );
}

#[test]
fn the_existing_target_is_reported_before_any_change() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("dump");
    let target = DumpTarget::folder(&folder);
    assert_eq!(target.contents().unwrap(), TargetContents::Absent);
    dump_folder(&folder, "music");
    let TargetContents::Dump(Some(metadata)) = target.contents().unwrap() else {
        panic!("a dump stands there")
    };

    assert_eq!(metadata.table, "music");
    assert_eq!(names(dir.path()), ["dump"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn items_come_back_byte_for_byte(texts in prop::collection::vec("[ -~]{0,40}", 0..50), kind in 0..6_usize) {
        let kind = DataFile::ALL[kind];
        let texts: Vec<String> =
            texts.iter().map(|text| format!("{{\"pk\":{{\"S\":{}}}}}", serde_json::Value::from(text.as_str()))).collect();
        let dir = tempfile::tempdir().unwrap();
        let target = DumpTarget::folder(dir.path().join("dump"));
        let mut writer = DumpWriter::begin(&target, &options(kind)).unwrap();
        writer.append(&items(&texts.iter().map(String::as_str).collect::<Vec<_>>()), 0).unwrap();
        writer.finish(None, metadata_of("t")).unwrap();
        let mut reader = open(&dir.path().join("dump")).unwrap().items().unwrap();
        let mut found = Vec::new();
        while let Some(item) = reader.next_item().unwrap() {
            found.push(String::from_utf8(item.text.to_vec()).unwrap());
        }
        prop_assert_eq!(found, texts);
    }
}
