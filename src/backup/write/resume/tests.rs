use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use sha2::Digest;

use super::*;
use crate::backup::ItemCounter;
use crate::backup::format::{Compression, DataFormat, METADATA_FILE};
use crate::backup::progress::{DataFileState, DumpProgress};
use crate::backup::testing::{items, metadata_of, names, schema};
use crate::backup::write::encoder::DataFileEncoder;
use crate::backup::{
    DumpOptions, DumpWriter, FinishedDump, ScanProgress, SegmentProgress, Source, SourceSpec,
    TransformCounts, check,
};
use crate::error::{Error, ErrorKind};
use crate::limits::MemoryShare;
use crate::place::JournalStamp;

/// Pages of items of about this many bytes each; some are empty.
fn pages(count: usize, bytes: usize) -> Vec<Vec<String>> {
    let item = |page: usize, number: usize| {
        format!(
            "{{\"pk\":{{\"S\":\"{page}-{number}\"}},\"x\":{{\"S\":\"{}\"}}}}",
            "abc".repeat(bytes / 9)
        )
    };

    (0..count)
        .map(|page| {
            (0..if page % 5 == 3 { 0 } else { 3 })
                .map(|number| item(page, number))
                .collect()
        })
        .collect()
}

fn options(kind: DataFile) -> DumpOptions {
    DumpOptions {
        format: kind.format,
        compression: kind.compression,
        ..DumpOptions::default()
    }
}

/// Progress after `pages` pages.
fn after(pages: usize) -> ScanProgress {
    ScanProgress {
        started_at: DateTime::UNIX_EPOCH,
        resumed: 0,
        consumed_read_units: 0.5,
        segments: vec![SegmentProgress::Next(format!(
            "{{\"pk\": {{\"S\":\"{pages}\"}}}}"
        ))],
        changes: TransformCounts::default(),
        index_key_violations: None,
    }
}

fn pages_of(progress: &DumpProgress) -> usize {
    let [SegmentProgress::Next(key)] = &progress.scan.segments[..] else {
        panic!("one segment")
    };

    key.chars()
        .filter(char::is_ascii_digit)
        .collect::<String>()
        .parse()
        .unwrap()
}

/// Adds a page of a segment that depends only on its content.
fn add(writer: &mut DumpWriter, page: &[String]) {
    let bytes = page.first().map_or(&[][..], |item| item.as_bytes());
    let segment = bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>() % 3;
    writer
        .append(
            &items(&page.iter().map(String::as_str).collect::<Vec<_>>()),
            segment,
        )
        .unwrap();
}

fn add_all(writer: &mut DumpWriter, pages: &[Vec<String>]) {
    for page in pages {
        add(writer, page);
    }
}

fn finish(writer: DumpWriter) -> FinishedDump {
    writer.finish(Some(&schema("t")), metadata_of("t")).unwrap()
}

/// Saves the progress in the journal once everything added so far is synced.
fn save(writer: &mut DumpWriter, scan: ScanProgress) {
    let journal = Arc::clone(writer.journal().expect("not a stream"));
    let saved = writer.when_synced(move |counted, tail| {
        let progress = DumpProgress {
            made_at: Utc::now(),
            scan,
            counted,
            tail: String::from_utf8(tail).unwrap(),
        };
        journal
            .write(&serde_json::to_vec(&progress).unwrap())
            .unwrap();
    });
    saved.unwrap();
}

/// The progress that an interrupted dump has saved, and the stamp of its journal.
fn saved(target: &DumpTarget) -> (DumpProgress, JournalStamp) {
    let journal = target.journal(None).unwrap().expect("not a stream");
    let content = journal.read().unwrap().expect("there is a journal");

    (serde_json::from_slice(&content).unwrap(), journal.stamp())
}

fn resume(target: &DumpTarget, kind: DataFile) -> Result<(DumpWriter, usize)> {
    let (progress, stamp) = saved(target);
    let pages = pages_of(&progress);
    DumpWriter::resume(target, &options(kind), progress, &stamp, &mut |_| Ok(()))
        .map(|writer| (writer, pages))
}

/// Begins a dump and stops it after `stop` pages.
fn stopped(target: &DumpTarget, kind: DataFile, pages: &[Vec<String>], stop: usize) {
    let mut writer = DumpWriter::begin(target, &options(kind)).unwrap();
    add_all(&mut writer, &pages[..stop]);
    save(&mut writer, after(stop));
    writer.stop().unwrap();
}

fn put(path: &Path, content: &[u8]) {
    File::create(path)
        .and_then(|mut file| file.write_all(content))
        .unwrap();
}

/// The content of the data file.
fn data(finished: &FinishedDump) -> Vec<u8> {
    fs::read(&finished.paths[0]).unwrap()
}

#[test]
fn any_number_of_interruptions_ends_with_the_bytes_frames_and_extents_of_a_clean_run() {
    let dir = tempfile::tempdir().unwrap();
    let clean = DumpTarget::folder(dir.path().join("clean"));

    // Two kinds have frames that end within pages.
    for (kind, bytes) in DataFile::ALL
        .into_iter()
        .zip([1_500_000, 1_500_000, 300, 300, 300, 1_500_000])
    {
        let pages = pages(11, bytes);
        let mut writer = DumpWriter::begin(&clean, &options(kind)).unwrap();
        add_all(&mut writer, &pages);
        let expected = finish(writer);
        let target = DumpTarget::folder(dir.path().join("dump"));
        stopped(&target, kind, &pages, 1);

        for stop in [2, 5, 6, 9] {
            let (mut writer, begun) = resume(&target, kind).unwrap();
            add_all(&mut writer, &pages[begun..stop]);

            // Bytes that a killed run wrote after it saved its progress.
            save(&mut writer, after(stop));
            add(&mut writer, &pages[stop]);
            drop(writer);
        }

        let (mut writer, begun) = resume(&target, kind).unwrap();
        assert_eq!(begun, 9);
        add_all(&mut writer, &pages[begun..]);
        let finished = finish(writer);
        assert!(data(&finished) == data(&expected), "{kind:?}");
        let entries = (
            &finished.metadata.files[kind.name()],
            &expected.metadata.files[kind.name()],
        );
        assert_eq!(entries.0, entries.1);
        let frames = entries.0.frames.as_ref().map_or(0, Vec::len);
        assert!(bytes < 1_500_000 || kind.compression == Compression::None || frames > 2);
        assert!(bytes < 1_500_000 || entries.0.extents.as_ref().unwrap().len() > 2);
        assert_eq!(finished.metadata.items, expected.metadata.items);
        assert_eq!(names(dir.path()), ["clean", "dump"]);
        let source = Source::open(&SourceSpec::path(dir.path().join("dump"))).unwrap();
        check(&source, ItemCounter::default(), &mut |_, _| {}).unwrap();
    }
}

#[test]
fn a_file_of_items_can_be_resumed() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"] {
        let target = DumpTarget::file(dir.path().join(name));
        let kind = DataFile::for_item_file(Path::new(name)).unwrap();
        let pages = pages(4, 100);
        let mut writer = DumpWriter::begin(&target, &options(kind)).unwrap();
        add_all(&mut writer, &pages);
        let expected = data(&finish(writer));
        stopped(&target, kind, &pages, 2);
        assert_eq!(
            fs::read(dir.path().join(name)).unwrap(),
            expected,
            "the former one stands"
        );

        let (mut writer, begun) = resume(&target, kind).unwrap();
        add_all(&mut writer, &pages[begun..]);
        assert_eq!(data(&finish(writer)), expected);
    }

    assert_eq!(names(dir.path()), ["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"]);
}

const PLAIN: DataFile = DataFile {
    format: DataFormat::Json,
    compression: Compression::None,
};

#[test]
fn other_bytes_than_those_that_were_counted_are_not_gone_on_with_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let target = DumpTarget::folder(dir.path().join("dump"));
    stopped(&target, PLAIN, &pages(3, 100), 2);
    let path = dir.path().join("dump.partial/table-data.json");
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[20] ^= 1;

    for (bad, part) in [
        (&flipped[..], "was changed"),
        (&good[..good.len() - 1], "is shorter"),
        (&[][..], "is shorter"),
    ] {
        put(&path, bad);
        let error = resume(&target, PLAIN).err().unwrap();
        assert_eq!(
            (error.kind(), error.hint()),
            (ErrorKind::Damaged, Some(restart_hint().as_str()))
        );
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bad);
    }

    put(&path, &[&good[..], b"more"].concat());
    finish(resume(&target, PLAIN).unwrap().0);
    assert_eq!(names(dir.path()), ["dump"]);
}

#[test]
fn a_new_dump_discards_the_interrupted_one_but_not_a_running_one() {
    let dir = tempfile::tempdir().unwrap();
    let target = DumpTarget::folder(dir.path().join("dump"));
    stopped(&target, PLAIN, &pages(3, 100), 2);
    let (old, stamp) = saved(&target);
    let mut writer = DumpWriter::begin(&target, &options(PLAIN)).unwrap();
    assert_eq!(names(dir.path()), ["dump.lock", "dump.partial"]);
    add(&mut writer, &pages(1, 100)[0]);
    save(&mut writer, after(1));
    writer.stop().unwrap();
    let resume_old = || {
        let resumed =
            DumpWriter::resume(&target, &options(PLAIN), old.clone(), &stamp, &mut |_| {
                Ok(())
            });
        resumed.err().unwrap()
    };
    let error = resume_old();
    assert!(error.to_string().contains("is being written"), "{error}");
    drop(writer);
    let error = resume_old();
    assert!(error.to_string().contains("in the meantime"), "{error}");
    finish(resume(&target, PLAIN).unwrap().0);
    assert_eq!(
        (names(dir.path()), whole(&dir.path().join("dump"))),
        (vec!["dump".to_owned()], 3)
    );
}

fn whole(folder: &Path) -> u64 {
    check(
        &Source::open(&SourceSpec::path(folder)).unwrap(),
        ItemCounter::default(),
        &mut |_, _| {},
    )
    .unwrap()
    .items
}

#[test]
fn a_dump_killed_before_it_was_published_can_be_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let target = DumpTarget::folder(dir.path().join("dump"));
    for documents in [
        vec!["table-schema.json"],
        vec!["table-schema.json", "dump-summary.txt", METADATA_FILE],
    ] {
        stopped(&target, PLAIN, &pages(3, 100), 2);
        for name in documents {
            put(&dir.path().join("dump.partial").join(name), b"{}");
        }

        finish(resume(&target, PLAIN).unwrap().0);
        assert_eq!(
            (names(dir.path()), whole(&dir.path().join("dump"))),
            (vec!["dump".to_owned()], 6)
        );
    }
}

#[test]
fn whoever_watches_may_stop_the_look_at_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let target = DumpTarget::folder(dir.path().join("dump"));
    stopped(&target, PLAIN, &pages(3, 100), 2);
    let (progress, stamp) = saved(&target);
    let mut watch = |_| Err(Error::new(ErrorKind::Interrupted, "enough"));
    let stopped = DumpWriter::resume(&target, &options(PLAIN), progress, &stamp, &mut watch)
        .err()
        .unwrap();
    assert_eq!(stopped.kind(), ErrorKind::Interrupted);
    finish(resume(&target, PLAIN).unwrap().0);
}

/// A disk with space for this many bytes.
#[derive(Clone)]
struct Disk(Arc<Mutex<Vec<u8>>>, usize);

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.lock().unwrap();
        let room = self.1 - disk.len();
        if room == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }

        disk.extend_from_slice(&bytes[..bytes.len().min(room)]);

        Ok(bytes.len().min(room))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn after_a_full_disk_the_dump_resumes_from_the_last_saved_progress() {
    for kind in DataFile::ALL {
        let pages: Vec<_> = pages(40, 400)
            .into_iter()
            .filter(|page| !page.is_empty())
            .collect();
        let page =
            |number: usize| items(&pages[number].iter().map(String::as_str).collect::<Vec<_>>());
        let disk = |room| Disk(Arc::default(), room);
        let sink = |disk: &Disk| Output::Stream(Box::new(disk.clone()));
        let roomy = disk(usize::MAX);
        let mut clean = DataFileEncoder::new(sink(&roomy), kind, MemoryShare::WHOLE);
        (0..pages.len()).for_each(|number| clean.append(&page(number), number % 3).unwrap());
        let expected = clean.finish().unwrap();

        let small = disk(roomy.0.lock().unwrap().len() / 2);
        let last = Arc::new(Mutex::new(None::<(usize, DataFileState, Vec<u8>)>));
        let mut encoder = DataFileEncoder::new(sink(&small), kind, MemoryShare::WHOLE);
        let mut until_full = || -> io::Result<()> {
            for number in 0..pages.len() {
                encoder.append(&page(number), number % 3)?;
                let last = Arc::clone(&last);
                encoder.when_synced(move |counted, tail| {
                    *last.lock().unwrap() = Some((number + 1, counted, tail));
                })?;
            }

            Ok(())
        };

        let filled = until_full().and_then(|()| encoder.finish().map(drop));
        assert_eq!(
            filled.unwrap_err().kind(),
            io::ErrorKind::StorageFull,
            "{kind:?}"
        );

        let (begun, counted, tail) = last.lock().unwrap().take().expect("some pages found room");
        let mut kept = small.0.lock().unwrap().clone();
        kept.truncate(usize::try_from(counted.file_bytes).unwrap());
        let hasher = Sha256::new_with_prefix(&kept);
        assert_eq!(finalize_hex(hasher.clone()), counted.sha256);
        let grown = Disk(Arc::new(Mutex::new(kept)), usize::MAX);
        let mut encoder = DataFileEncoder::resume(
            sink(&grown),
            (kind, MemoryShare::WHOLE),
            hasher,
            counted,
            tail,
        );
        (begun..pages.len()).for_each(|number| encoder.append(&page(number), number % 3).unwrap());
        let finished = encoder.finish().unwrap();
        assert_eq!(finished.extents, expected.extents);
        assert!(
            *grown.0.lock().unwrap() == *roomy.0.lock().unwrap(),
            "{kind:?}"
        );
    }
}
