//! Reads arbitrary bytes as a file of items, or as the files of a dump folder.
//!
//! The first byte selects the input: `d` is a folder, `o` is a folder whose metadata lists its files with correct checksums, anything
//! else is a file. A file must read the same in large blocks and byte by byte, and its items must read the same when they are written
//! one per line. If the check of a folder succeeds, its inspection must have no findings.
#![no_main]

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use dynadump_fuzz::backup::{
    DumpTarget, InspectionDepth, ItemCounter, ItemReader, LocatedItem, METADATA_FILE, SCHEMA_FILE,
    SUMMARY_FILE, Source, SourceSpec, check, inspect,
};
use dynadump_fuzz::error::{Error, ErrorKind, Result};
use dynadump_fuzz::item::has_line_breaks;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Separates the files of a folder in the input.
const SEAM: &[u8] = b"\n--\n";

const NAMES: [&str; 6] = [
    "table-data.json",
    SCHEMA_FILE,
    METADATA_FILE,
    SUMMARY_FILE,
    "table-data.jsonl.gz",
    "table-data.json.zst",
];

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    match first {
        b'd' => folder(rest, false),
        b'o' => folder(rest, true),
        _ => file(rest),
    }
});

fn file(data: &[u8]) {
    let (items, error) = read(data);
    let (slowly, slow_error) = read(ByteByByte(data));
    assert_eq!(items, slowly, "the size of a block changes what is read");
    assert_eq!(
        error.as_ref().map(ToString::to_string),
        slow_error.map(|error| error.to_string())
    );

    for item in &items {
        assert!(!has_line_breaks(&item.text));
        let from = usize::try_from(item.offset).expect("an offset in the data");
        assert_eq!(data[from], b'{', "an item begins where it is said to");
        let line = 1 + data[..from].iter().filter(|byte| **byte == b'\n').count() as u64;
        assert_eq!(item.line, line);
    }

    // The reader of a stream detects compression by content; it must not panic on any input.
    if let Ok(mut stream) =
        Source::from_reader(Box::new(std::io::Cursor::new(data.to_vec()))).items()
    {
        while let Ok(Some(_)) = stream.next_item() {}
    }

    if error.is_none() {
        let lines: Vec<u8> = items
            .iter()
            .flat_map(|item| [&item.text[..], b"\n"].concat())
            .collect();
        let (again, error) = read(&lines[..]);

        // The first object determines the container, so an item that looks like another container may be read as one.
        if error.is_none() && again.len() == items.len() {
            assert!(
                again
                    .iter()
                    .zip(&items)
                    .all(|(again, item)| again.text == item.text
                        || again.text.len() < item.text.len())
            );
        }
    }
}

fn folder(data: &[u8], own: bool) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let put = |name: &str, content: &[u8]| {
        let file = File::create(dir.path().join(name)).and_then(|mut file| file.write_all(content));
        file.expect("a file in a temporary folder");
    };
    let files: Vec<_> = NAMES
        .into_iter()
        .zip(at_seams(data))
        .filter(|(_, content)| !content.is_empty())
        .collect();

    files.iter().for_each(|(name, content)| put(name, content));

    if own {
        put(METADATA_FILE, &metadata_of(&files));
    }

    let _ = DumpTarget::folder(dir.path()).contents();
    let Ok(source) = Source::open(&SourceSpec::path(dir.path())) else {
        return;
    };

    match check(&source, ItemCounter::default(), &mut |_, _| {}) {
        Ok(checked) => {
            let found = inspect(&source, InspectionDepth::Full, &mut |_, _| {})
                .expect("what was checked can be looked at");
            // Only the inspection looks at keys, extra files and the schema.
            let alone = [
                "not an item of this table",
                "the same key",
                "not part of this dump",
                "the schema",
                "key",
            ];

            let others = found
                .findings
                .iter()
                .filter(|finding| !alone.iter().any(|words| finding.contains(words)));
            assert_eq!(others.collect::<Vec<_>>(), [""; 0]);
            assert_eq!(found.items, Some(checked.items));
            assert_eq!(found.text_bytes, Some(checked.text_bytes));
        }
        Err(error) => {
            names_its_place(&error, dir.path());
            let found = inspect(&source, InspectionDepth::Full, &mut |_, _| {});
            assert!(
                found.is_err() || found.is_ok_and(|found| found.findings_total > 0),
                "damage is not listed: {error}"
            );
        }
    }
}

fn names_its_place(error: &Error, folder: &Path) {
    assert_eq!(error.kind(), ErrorKind::Damaged, "{error:?}");
    let folder = folder.display().to_string();
    assert!(
        error.to_string().contains(&folder) || error.to_string().contains("table-"),
        "{error:?}"
    );
}

fn read(source: impl Read) -> (Vec<LocatedItem>, Option<Error>) {
    let mut reader = ItemReader::new(source);
    let mut items = Vec::new();
    loop {
        let next: Result<_> = reader.next_item();
        match next {
            Ok(Some(item)) => items.push(item),
            Ok(None) => {
                assert_eq!(reader.summary().items, items.len() as u64);
                return (items, None);
            }
            Err(error) => return (items, Some(error)),
        }
    }
}

/// A source that returns one byte per read.
struct ByteByByte<'a>(&'a [u8]);

impl Read for ByteByByte<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(1);
        self.0.read(&mut buffer[..most])
    }
}

fn at_seams(mut rest: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    while let Some(at) = rest.windows(SEAM.len()).position(|window| window == SEAM) {
        parts.push(&rest[..at]);
        rest = &rest[at + SEAM.len()..];
    }

    parts.push(rest);

    parts
}

/// Metadata with correct checksums, built from the documented format and not with the code under test.
fn metadata_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let sha256 = |content: &[u8]| {
        Sha256::digest(content)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };

    let entry = |content: &[u8]| json!({ "bytes": content.len(), "sha256": sha256(content) });
    let listed = files.iter().filter(|(name, _)| *name != METADATA_FILE);
    let listed: serde_json::Map<String, Value> = listed
        .map(|(name, content)| ((*name).to_owned(), entry(content)))
        .collect();
    let data = files
        .iter()
        .find(|(name, _)| name.starts_with("table-data"))
        .map_or(&b""[..], |(_, content)| content);
    let (items, _) = read(data);
    let document = json!({
        "format_version": 1, "tool_version": "0", "environment": "fuzz", "table": "t", "route": "scan", "complete": true,
        "started_at": "2026-05-28T20:26:40Z", "finished_at": "2026-05-28T20:26:47Z", "transformed": false,
        "consistent_read": false, "segments": 1, "items": items.len(), "consumed_read_units": 0.5, "files": listed,
        "data_bytes": items.iter().map(|item| item.text.len()).sum::<usize>(),
    });

    let document = document.to_string();
    let head = format!("{},\n", &document[..document.len() - 1]);

    format!("{head}  \"digest\": \"{}\"}}\n", sha256(head.as_bytes())).into_bytes()
}
