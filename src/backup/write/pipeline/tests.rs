use std::io::Write;
use std::num::NonZeroUsize;

use super::*;
use crate::backup::index::Frame;
use crate::backup::write::block_writer::SyncedData;
use crate::place::local::sync::SyncedFile;

/// Accepts a number of bytes, then fails like a full disk.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_reaches_the_sender_in_every_mode() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        let mut pipeline = WritePipeline::new(
            Output::Stream(Box::new(Full(100))),
            compression,
            MemoryShare::WHOLE,
            InitialState::default(),
        );

        let failure = (0..10_000).find_map(|_| pipeline.send(vec![b'x'; 1000], 1).err());
        assert_eq!(
            failure.expect("the sender is told").kind(),
            io::ErrorKind::StorageFull
        );
    }
}

#[test]
fn a_failure_of_the_last_block_reaches_the_finish() {
    let mut pipeline = WritePipeline::new(
        Output::Stream(Box::new(Full(0))),
        Compression::None,
        MemoryShare::WHOLE,
        InitialState::default(),
    );

    let sent = pipeline.send(vec![b'x'; 1], 1).map(drop);
    assert_eq!(
        sent.and_then(|()| pipeline.finish().map(drop))
            .unwrap_err()
            .kind(),
        io::ErrorKind::StorageFull
    );
}

#[test]
fn many_cores_do_not_start_more_compressing_threads_than_fit_into_memory() {
    for (cores, expected) in [(1, 1), (3, 3), (4, 4), (5, 4), (64, 4), (1024, 4)] {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let pipeline = WritePipeline::on(
                cores,
                Output::Stream(Box::new(io::sink())),
                compression,
                MemoryShare::WHOLE,
                InitialState::default(),
            );
            assert_eq!(pipeline.compressing_threads, expected, "{cores} cores");
        }
    }
}

#[test]
fn tables_in_parallel_share_the_threads_and_the_blocks() {
    for (tables, threads, block_bytes) in [(1, 4, 512), (2, 2, 256), (8, 1, 64), (100, 1, 5)] {
        let memory = MemoryShare::one_of(NonZeroUsize::new(tables).unwrap());
        let start = |compression| {
            let sink = Output::Stream(Box::new(io::sink()));
            WritePipeline::on(64, sink, compression, memory, InitialState::default())
        };

        assert_eq!(start(Compression::Zstd).compressing_threads, threads);
        let plain = start(Compression::None);
        assert_eq!(plain.block_bytes() / 1024, block_bytes);
    }
}

#[test]
fn threads_are_started_for_the_second_block_and_change_nothing_in_the_file() {
    for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
        for blocks in 1..4_u64 {
            let file = tempfile::NamedTempFile::new().unwrap();
            let output = Output::File(SyncedFile::new(file.reopen().unwrap()));
            let begun = InitialState {
                frames: (compression != Compression::None).then(Vec::new),
                ..InitialState::default()
            };
            let mut pipeline = WritePipeline::new(output, compression, MemoryShare::WHOLE, begun);
            let mut expected = Vec::new();
            for number in 0..blocks {
                let text = format!("block {number}\n").into_bytes();
                expected.extend_from_slice(&text);
                pipeline.send(text, number).unwrap();
            }

            let is_threaded = matches!(pipeline.stage, Stage::Threaded(_));
            assert_eq!(is_threaded, blocks > 1, "{blocks} blocks, {compression:?}");

            let written = pipeline.finish().unwrap();
            let bytes = std::fs::read(file.path()).unwrap();
            assert_eq!(written.bytes, bytes.len() as u64);
            assert_eq!(written.sha256, crate::place::digest::hex_sha256(&bytes));
            let text = match written.frames {
                None => bytes,
                Some(frames) => {
                    assert!(frames.iter().map(|frame| frame.items).eq(0..blocks));
                    decode_all(&bytes, compression, &frames)
                }
            };
            assert_eq!(text, expected, "{blocks} blocks, {compression:?}");
        }
    }
}

#[test]
fn what_was_written_can_be_synced_before_the_first_block_and_after_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let output = Output::File(SyncedFile::new(file.reopen().unwrap()));
    let begun = InitialState::default();
    let mut pipeline = WritePipeline::new(output, Compression::None, MemoryShare::WHOLE, begun);
    let (sender, synced) = mpsc::channel();
    for expected in [0, 5] {
        let sender = sender.clone();
        let report = move |data: &SyncedData<'_>| sender.send(data.bytes).unwrap();
        pipeline.when_synced(Box::new(report)).unwrap();
        assert_eq!(synced.recv().unwrap(), expected);
        pipeline.send(b"block".to_vec(), 1).unwrap();
    }

    assert_eq!(pipeline.finish().unwrap().bytes, 10);
}

#[test]
fn frames_keep_their_order_and_their_counts() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let file = tempfile::NamedTempFile::new().unwrap();
        let begun = InitialState {
            frames: Some(Vec::new()),
            ..InitialState::default()
        };
        let mut pipeline = WritePipeline::new(
            Output::File(SyncedFile::new(file.reopen().unwrap())),
            compression,
            MemoryShare::WHOLE,
            begun,
        );
        let mut expected = Vec::new();
        for number in 0..60_u64 {
            // Blocks of very different sizes finish out of order.
            let block = number
                .to_string()
                .repeat(if number % 7 == 0 { 300_000 } else { 3 })
                .into_bytes();
            expected.extend_from_slice(&block);
            pipeline.send(block, number).unwrap();
        }

        let written = pipeline.finish().unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        assert_eq!(
            (written.bytes, written.sha256),
            (bytes.len() as u64, crate::place::digest::hex_sha256(&bytes))
        );

        let frames = written.frames.unwrap();
        assert!(frames.iter().map(|frame| frame.items).eq(0..60));
        assert_eq!(decode_all(&bytes, compression, &frames), expected);
    }
}

/// The text of all frames, each of which has the length that the index names.
fn decode_all(bytes: &[u8], compression: Compression, frames: &[Frame]) -> Vec<u8> {
    let mut at = 0;
    let mut content = Vec::new();
    for frame in frames {
        let end = at + usize::try_from(frame.compressed).unwrap();
        let before = content.len();
        decode(&bytes[at..end], compression, &mut content);
        assert_eq!(
            content.len() - before,
            usize::try_from(frame.bytes).unwrap()
        );
        at = end;
    }

    assert_eq!(at, bytes.len());
    content
}

fn decode(frame: &[u8], compression: Compression, content: &mut Vec<u8>) {
    use std::io::Read;

    if compression == Compression::Gzip {
        flate2::read::GzDecoder::new(frame)
            .read_to_end(content)
            .unwrap();
    } else {
        zstd::stream::copy_decode(frame, content).unwrap();
    }
}
