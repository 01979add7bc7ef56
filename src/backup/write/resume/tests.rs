use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use chrono::DateTime;
use sha2::Digest;

use super::*;
use crate::backup::checkpoint::DataFileState;
use crate::backup::format::{Compression, DataFormat, METADATA_FILE};
use crate::backup::testing::{draft_of, items, names, schema};
use crate::backup::write::encoder::DataFileEncoder;
use crate::backup::{
    DumpOptions, DumpOrigin, DumpWriter, FinishedDump, ScanProgress, SegmentProgress, Source,
    SourceSpec, TransformCounts, check,
};
use crate::error::ErrorKind;

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

fn origin(kind: DataFile) -> DumpOrigin {
    DumpOrigin {
        environment: "prod".into(),
        table: "t".into(),
        table_arn: None,
        table_id: Some("id".into()),
        table_created: Some("1500000000.5".into()),
        region: None,
        endpoint: None,
        schema: true,
        items: true,
        format: kind.format,
        compression: kind.compression,
        segments: 1,
        consistent_read: false,
        limit: None,
        transform: None,
        filter: None,
        projection: None,
    }
}

fn options(kind: DataFile) -> DumpOptions {
    let origin = Some(origin(kind));
    DumpOptions {
        format: kind.format,
        compression: kind.compression,
        origin,
        ..DumpOptions::default()
    }
}

/// Progress after so many pages.
fn after(pages: usize) -> ScanProgress {
    ScanProgress {
        started_at: DateTime::UNIX_EPOCH,
        resumed: 0,
        consumed_read_units: 0.5,
        segments: vec![SegmentProgress::Next(format!(
            "{{\"pk\": {{\"S\":\"{pages}\"}}}}"
        ))],
        changes: TransformCounts::default(),
    }
}

fn pages_of(checkpoint: &DumpCheckpoint) -> usize {
    let [SegmentProgress::Next(key)] = &checkpoint.progress.segments[..] else {
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
    writer.finish(Some(&schema("t")), draft_of("t")).unwrap()
}

fn resume(target: &DumpTarget, kind: DataFile) -> Result<(DumpWriter, usize)> {
    let checkpoint = target.unfinished(None)?.expect("a checkpoint is there");
    let pages = pages_of(&checkpoint);
    DumpWriter::resume(target, &options(kind), checkpoint, &mut |_| Ok(()))
        .map(|writer| (writer, pages))
}

/// Begins a dump and stops it after `stop` pages.
fn stopped(target: &DumpTarget, kind: DataFile, pages: &[Vec<String>], stop: usize) {
    let mut writer = DumpWriter::begin(target, &options(kind)).unwrap();
    add_all(&mut writer, &pages[..stop]);
    writer.stop(&after(stop)).unwrap();
    assert!(writer.take_checkpoint_error().is_none());
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

            // Bytes that a killed run wrote after its last checkpoint.
            writer.checkpoint(&after(stop)).unwrap();
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
        check(&source, &mut |_, _| {}).unwrap();
    }
}

#[test]
fn a_file_of_items_goes_on_too() {
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

        let checkpoint = dir.path().join(format!("{name}.checkpoint"));
        assert_eq!(
            fs::metadata(checkpoint).unwrap().permissions().mode() & 0o777,
            0o600
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
            (ErrorKind::Damaged, Some(RESTART_HINT))
        );
        assert!(error.to_string().contains(part), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bad);
    }

    put(&path, &[&good[..], b"more"].concat());
    finish(resume(&target, PLAIN).unwrap().0);
    assert_eq!(names(dir.path()), ["dump"]);
}

#[test]
fn a_checkpoint_that_is_damaged_or_newer_is_said_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let target = DumpTarget::folder(dir.path().join("dump"));
    stopped(&target, PLAIN, &pages(3, 100), 2);
    let path = dir.path().join("dump.checkpoint");
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let newer = String::from_utf8(good.clone())
        .unwrap()
        .replacen("checkpoint 1", "checkpoint 2", 1)
        .into_bytes();
    for bad in [&flipped[..], &good[..good.len() / 2], &newer[..]] {
        put(&path, bad);
        assert_eq!(
            target.unfinished(None).unwrap_err().kind(),
            ErrorKind::Damaged
        );
    }

    // A checkpoint without data is ignored.
    put(&path, &good);
    fs::remove_dir_all(dir.path().join("dump.partial")).unwrap();
    assert_eq!(target.unfinished(None).unwrap(), None);
}

#[test]
fn a_new_run_gives_the_old_one_up_and_a_run_under_way_is_not_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let target = DumpTarget::folder(dir.path().join("dump"));
    stopped(&target, PLAIN, &pages(3, 100), 2);
    let old = target.unfinished(None).unwrap().unwrap();
    let mut writer = DumpWriter::begin(&target, &options(PLAIN)).unwrap();
    assert_eq!(names(dir.path()), ["dump.lock", "dump.partial"]);
    add(&mut writer, &pages(1, 100)[0]);
    writer.stop(&after(1)).unwrap();
    assert_eq!(target.unfinished(None).unwrap(), None, "the lock is held");
    drop(writer);
    let error = DumpWriter::resume(&target, &options(PLAIN), old, &mut |_| Ok(()))
        .err()
        .unwrap();
    assert!(error.to_string().contains("meanwhile"), "{error}");
    finish(resume(&target, PLAIN).unwrap().0);
    assert_eq!(
        (names(dir.path()), whole(&dir.path().join("dump"))),
        (vec!["dump".to_owned()], 3)
    );
}

fn whole(folder: &Path) -> u64 {
    check(
        &Source::open(&SourceSpec::path(folder)).unwrap(),
        &mut |_, _| {},
    )
    .unwrap()
    .items
}

#[test]
fn a_dump_killed_when_all_but_its_place_was_written_goes_on() {
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
fn what_is_somebodys_own_is_neither_read_nor_removed() {
    let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = DumpTarget::folder(dir.path().join("dump"));
    put(&dir.path().join("dump.checkpoint"), b"weights");
    let options = DumpOptions {
        state_dir: Some(state.path().to_owned()),
        ..options(PLAIN)
    };
    let mut writer = DumpWriter::begin(&target, &options).unwrap();
    add(&mut writer, &pages(1, 100)[0]);
    writer.stop(&after(1)).unwrap();
    drop(writer);
    assert_eq!(
        names(state.path()).len(),
        1,
        "it lies in the state directory"
    );

    let checkpoint = target.unfinished(Some(state.path())).unwrap().unwrap();
    finish(DumpWriter::resume(&target, &options, checkpoint, &mut |_| Ok(())).unwrap());
    assert!(names(state.path()).is_empty());
    assert_eq!(
        fs::read(dir.path().join("dump.checkpoint")).unwrap(),
        b"weights"
    );
}

#[test]
fn a_partial_checkpoint_of_somebody_is_not_removed_and_one_of_a_killed_run_is() {
    for (content, is_ours) in [
        (&b"weights"[..], false),
        (b"", true),
        (b"dynadump che", true),
        (b"dynadump checkpoint 1 ", true),
    ] {
        let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let partial = dir.path().join("dump.checkpoint.partial");
        put(&partial, content);
        let options = DumpOptions {
            state_dir: Some(state.path().to_owned()),
            ..options(PLAIN)
        };
        let target = DumpTarget::folder(dir.path().join("dump"));
        let mut writer = DumpWriter::begin(&target, &options).unwrap();
        writer.stop(&after(0)).unwrap();
        drop(writer);

        let found = target.unfinished(Some(state.path())).unwrap();
        assert!(found.is_some(), "{content:?}");
        assert_eq!(names(state.path()).is_empty(), is_ours, "{content:?}");
        assert_eq!(partial.exists(), !is_ours, "{content:?}");
        if !is_ours {
            assert_eq!(fs::read(&partial).unwrap(), content);
        }
    }
}

#[test]
fn a_checkpoint_that_cannot_be_left_is_told_and_the_dump_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let target = DumpTarget::folder(dir.path().join("dump"));
    fs::create_dir(dir.path().join("dump.checkpoint")).unwrap();
    let mut writer = DumpWriter::begin(&target, &options(PLAIN)).unwrap();
    add(&mut writer, &pages(1, 100)[0]);
    writer.checkpoint(&after(1)).unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while writer.take_checkpoint_error().is_none() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }

    finish(writer);
    assert_eq!(whole(&dir.path().join("dump")), 3);
}

#[test]
fn whoever_watches_may_stop_the_look_at_what_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let target = DumpTarget::folder(dir.path().join("dump"));
    stopped(&target, PLAIN, &pages(3, 100), 2);
    let checkpoint = target.unfinished(None).unwrap().unwrap();
    let mut watch = |_| Err(Error::new(ErrorKind::Interrupted, "enough"));
    let stopped = DumpWriter::resume(&target, &options(PLAIN), checkpoint, &mut watch)
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
fn on_a_full_disk_the_last_checkpoint_counts_what_is_there_and_goes_on_from_it() {
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
        let mut clean = DataFileEncoder::new(sink(&roomy), kind).unwrap();
        (0..pages.len()).for_each(|number| clean.append(&page(number), number % 3).unwrap());
        let expected = clean.finish().unwrap();

        let small = disk(roomy.0.lock().unwrap().len() / 2);
        let last = Arc::new(Mutex::new(None::<(usize, DataFileState, Vec<u8>)>));
        let mut encoder = DataFileEncoder::new(sink(&small), kind).unwrap();
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
        let mut encoder =
            DataFileEncoder::resume(sink(&grown), kind, hasher, counted, tail).unwrap();
        (begun..pages.len()).for_each(|number| encoder.append(&page(number), number % 3).unwrap());
        let finished = encoder.finish().unwrap();
        assert_eq!(finished.extents, expected.extents);
        assert!(
            *grown.0.lock().unwrap() == *roomy.0.lock().unwrap(),
            "{kind:?}"
        );
    }
}
