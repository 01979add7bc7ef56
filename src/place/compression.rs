//! Compression of files, which is recognized by their first bytes when they are read.

use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};

/// A stream of bytes that can be sent to another thread.
pub(crate) type ByteStream = Box<dyn Read + Send>;

/// Bytes read from a compressed file at a time.
const COMPRESSED_BUFFER: usize = 128 * 1024;

/// Maximum window of a zstd frame, as a power of two: 128 MiB, as `zstd --ultra -22` needs. RFC
/// 8878 (3.1.1.1.2) recommends to support at least 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Compression of a data file: independent frames, concatenated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Compression {
    /// No compression
    #[default]
    None,
    /// Gzip members (RFC 1952), `.gz`
    Gzip,
    /// Zstandard frames (RFC 8878), `.zst`
    Zstd,
}

impl Compression {
    /// The compression that a file's name states.
    pub(crate) fn of_name(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Decompresses gzip and zstd, recognized by their first bytes; passes on everything else.
pub(crate) fn decompress(mut read: ByteStream) -> io::Result<ByteStream> {
    let mut head = Vec::with_capacity(4);
    read.by_ref().take(4).read_to_end(&mut head)?;
    let magic = <[u8; 4]>::try_from(head.as_slice()).map_or(0, u32::from_le_bytes);
    let is_gzip = head.starts_with(&[0x1f, 0x8b]);
    let whole = Cursor::new(head).chain(read);
    let buffered = |whole| BufReader::with_capacity(COMPRESSED_BUFFER, whole);
    if is_gzip {
        Ok(Box::new(Decompressor(MultiGzDecoder::new(buffered(whole)))))
    } else if magic == zstd::zstd_safe::MAGICNUMBER
        || magic & 0xffff_fff0 == zstd::zstd_safe::MAGIC_SKIPPABLE_START
    {
        let mut zstd = zstd::stream::read::Decoder::with_buffer(buffered(whole))?;
        // Bounds memory: a frame header may request any window.
        zstd.window_log_max(ZSTD_WINDOW_LOG)?;
        Ok(Box::new(Decompressor(zstd)))
    } else {
        Ok(Box::new(whole))
    }
}

/// A decompressor that reports damaged input as `InvalidData`. I/O errors of the system are passed
/// on.
struct Decompressor<R>(R);

impl<R: Read> Read for Decompressor<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0
            .read(buffer)
            .map_err(|error| match error.raw_os_error() {
                Some(_) => error,
                None => io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("the compressed data is damaged: {error}"),
                ),
            })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn unpack(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        decompress(Box::new(Cursor::new(bytes)))?
            .read_to_end(&mut content)
            .map(|_| content)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn compression_is_detected_by_content_and_frames_are_joined() {
        let zstd = |text: &[u8]| zstd::bulk::compress(text, 1).unwrap();
        let skippable = [
            &0x184d_2a51_u32.to_le_bytes()[..],
            &3_u32.to_le_bytes(),
            b"abc",
        ]
        .concat();

        assert_eq!(
            unpack([gzip(b"one "), gzip(b""), gzip(b"two")].concat()).unwrap(),
            b"one two"
        );
        assert_eq!(
            unpack([zstd(b"one "), zstd(b""), zstd(b"two")].concat()).unwrap(),
            b"one two"
        );
        assert_eq!(
            unpack([skippable, zstd(b"text")].concat()).unwrap(),
            b"text"
        );

        for plain in ["", "{", "{}\n", "[1, 2]"] {
            assert_eq!(unpack(plain.into()).unwrap(), plain.as_bytes());
        }
    }

    #[test]
    fn damage_is_invalid_data_wherever_the_file_is_cut() {
        for packed in [
            gzip(b"some text"),
            zstd::bulk::compress(b"some text", 1).unwrap(),
        ] {
            for length in 4..packed.len() {
                assert_eq!(
                    unpack(packed[..length].to_vec()).unwrap_err().kind(),
                    io::ErrorKind::InvalidData,
                    "{length}"
                );
            }

            let trailing = [packed.as_slice(), b"garbage after the last frame"].concat();
            assert_eq!(
                unpack(trailing).unwrap_err().kind(),
                io::ErrorKind::InvalidData
            );
        }
    }
}
