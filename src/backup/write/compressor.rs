//! Compresses the frames of a data file.

use std::io::{self, Write};

use flate2::write::GzEncoder;

use crate::backup::format::Compression;

/// The default level of zstd.
const ZSTD_LEVEL: i32 = 3;

/// Compresses frames: gzip without a timestamp, zstd with a checksum. Equal items give equal bytes, and damage is detected.
pub(super) enum Compressor {
    Gzip,
    /// Its state is reused: it is larger than a frame.
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    /// `None` without compression.
    pub(super) fn new(compression: Compression) -> io::Result<Option<Self>> {
        Ok(match compression {
            Compression::None => None,
            Compression::Gzip => Some(Self::Gzip),
            Compression::Zstd => {
                let mut zstd = zstd::bulk::Compressor::new(ZSTD_LEVEL)?;
                zstd.include_checksum(true)?;
                Some(Self::Zstd(zstd))
            }
        })
    }

    pub(super) fn compress(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        let mut frame = match self {
            Self::Gzip => {
                let packed = Vec::with_capacity(block.len() / 4);
                let mut gzip = GzEncoder::new(packed, flate2::Compression::default());
                gzip.write_all(block)?;
                gzip.finish()?
            }
            Self::Zstd(zstd) => zstd.compress(block)?,
        };

        frame.shrink_to_fit();

        Ok(frame)
    }
}
