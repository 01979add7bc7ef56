use std::num::NonZeroUsize;

use super::*;
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
        let mut pipeline = WritePipeline::start(
            Output::Stream(Box::new(Full(100))),
            compression,
            MemoryShare::WHOLE,
            InitialState::default(),
        )
        .unwrap();

        let failure = (0..10_000).find_map(|_| pipeline.send(vec![b'x'; 1000], 1).err());
        assert_eq!(
            failure.expect("the sender is told").kind(),
            io::ErrorKind::StorageFull
        );
    }
}

#[test]
fn a_failure_of_the_last_block_reaches_the_finish() {
    let mut pipeline = WritePipeline::start(
        Output::Stream(Box::new(Full(0))),
        Compression::None,
        MemoryShare::WHOLE,
        InitialState::default(),
    )
    .unwrap();

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
            let pipeline = WritePipeline::start_on(
                cores,
                Output::Stream(Box::new(io::sink())),
                compression,
                MemoryShare::WHOLE,
                InitialState::default(),
            )
            .unwrap();
            assert_eq!(pipeline.pool.len(), expected, "{cores} cores");
        }
    }
}

#[test]
fn tables_in_parallel_share_the_threads_and_the_blocks() {
    for (tables, threads, block_bytes) in [(1, 4, 512), (2, 2, 256), (8, 1, 64), (100, 1, 5)] {
        let memory = MemoryShare::one_of(NonZeroUsize::new(tables).unwrap());
        let start = |compression| {
            let sink = Output::Stream(Box::new(io::sink()));
            WritePipeline::start_on(64, sink, compression, memory, InitialState::default())
        };

        assert_eq!(start(Compression::Zstd).unwrap().pool.len(), threads);
        let plain = start(Compression::None).unwrap();
        assert_eq!(plain.block_bytes() / 1024, block_bytes);
    }
}

#[test]
fn frames_keep_their_order_and_their_counts() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let file = tempfile::NamedTempFile::new().unwrap();
        let begun = InitialState {
            frames: Some(Vec::new()),
            ..InitialState::default()
        };
        let mut pipeline = WritePipeline::start(
            Output::File(SyncedFile::new(file.reopen().unwrap())),
            compression,
            MemoryShare::WHOLE,
            begun,
        )
        .unwrap();
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

        assert_eq!((at, content), (bytes.len(), expected));
    }
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
