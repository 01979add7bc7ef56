//! Reads untrusted files: symbolic links out of the dump, oversized documents, damaged compression.

use std::fs::{self, File};
use std::io::{self, BufReader, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use crate::error::{Error, Result};
use crate::limits::DOCUMENT_BYTES;
pub(crate) use crate::place::hashing::{HashingReader, StreamHash};
use crate::place::local::files::{io_error, open_to_read};

/// A stream of bytes that can be sent to another thread.
pub(crate) type ByteStream = Box<dyn Read + Send>;

/// Bytes read from a compressed file at a time.
const COMPRESSED_BUFFER: usize = 128 * 1024;

/// Maximum window of a zstd frame, as a power of two: 128 MiB, as `zstd --ultra -22` needs. RFC
/// 8878 (3.1.1.1.2) recommends to support at least 8 MiB.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Opens a file of a dump; `None` if it does not exist. A symbolic link is followed only within its
/// folder.
pub(crate) fn open_file(path: &Path) -> Result<Option<File>> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(io_error("open", path, error)),
    };

    let real = if found.is_symlink() {
        within_folder(path)?
    } else {
        path.to_owned()
    };

    if !fs::symlink_metadata(&real).is_ok_and(|found| found.is_file()) {
        return Err(Error::damaged(format!(
            "`{}` is not a regular file",
            path.display()
        )));
    }

    open_to_read(&real)
        .map(Some)
        .map_err(|error| io_error("open", path, error))
}

fn within_folder(link: &Path) -> Result<std::path::PathBuf> {
    let folder = link
        .parent()
        .and_then(|folder| fs::canonicalize(folder).ok());
    match (fs::canonicalize(link), folder) {
        (Ok(real), Some(folder)) if real.starts_with(&folder) => Ok(real),
        _ => Err(Error::damaged(format!(
            "`{}` is a symbolic link that leads out of the dump",
            link.display()
        ))
        .with_hint("replace the link by the file itself if you trust it")),
    }
}

/// Reads a schema, metadata or summary file; `None` if it does not exist.
pub(crate) fn read_document(path: &Path) -> Result<Option<Vec<u8>>> {
    let Some(file) = open_file(path)? else {
        return Ok(None);
    };

    let mut document = Vec::new();
    // One byte more than allowed shows that the file is too large.
    file.take(DOCUMENT_BYTES + 1)
        .read_to_end(&mut document)
        .map_err(|error| io_error("read", path, error))?;

    if document.len() as u64 > DOCUMENT_BYTES {
        return Err(Error::damaged(format!(
            "`{}` is larger than {DOCUMENT_BYTES} bytes",
            path.display()
        )));
    }

    Ok(Some(document))
}

/// Reads an open file from an offset, independently of other readers of the same file.
pub(crate) struct FileReader {
    file: Arc<File>,
    at: u64,
}

impl FileReader {
    pub(crate) fn new(file: Arc<File>, at: u64) -> Self {
        Self { file, at }
    }
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
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
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::error::ErrorKind;

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
    fn compression_is_told_by_content_and_frames_are_joined() {
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

    #[test]
    fn links_are_followed_only_within_the_dump() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("dump")).unwrap();
        File::create(at("secret"))
            .unwrap()
            .write_all(b"secret")
            .unwrap();
        File::create(at("dump/inside"))
            .unwrap()
            .write_all(b"text")
            .unwrap();
        symlink("inside", at("dump/good")).unwrap();
        symlink("../secret", at("dump/bad")).unwrap();
        symlink("/dev/zero", at("dump/device")).unwrap();
        fs::create_dir(at("dump/folder")).unwrap();
        assert_eq!(read_document(&at("dump/good")).unwrap().unwrap(), b"text");
        assert!(read_document(&at("dump/none")).unwrap().is_none());

        for refused in ["bad", "device", "folder"] {
            assert_eq!(
                read_document(&at("dump").join(refused)).unwrap_err().kind(),
                ErrorKind::Damaged
            );
        }
    }
}
