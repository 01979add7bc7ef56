//! Parts: the files that hold the items of a dump or of another source.
//!
//! A part is opened once and always read through that handle. What was checked is therefore what is restored, even if the file is
//! replaced meanwhile.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compression::{ByteStream, Compression, decompress};
use super::hashing::{HashingReader, StreamHash};
use super::local::files::io_error;
use super::local::untrusted::open_within_folder;
use crate::error::Result;

/// An open file that can be read from any offset, by several readers at a time.
#[derive(Clone)]
pub(crate) struct Part {
    file: Arc<File>,
    path: PathBuf,
    /// Size when it was opened.
    bytes: u64,
    /// SHA-256 that it must have, in hex.
    sha256: Option<String>,
}

/// An input that the user named.
pub(crate) enum Input {
    /// A regular file.
    Part(Part),
    /// A pipe or a device, which can be read only once.
    Stream(ByteStream),
}

impl Input {
    /// Opens a file, a pipe or a device. Symbolic links are followed.
    ///
    /// # Errors
    /// An I/O error, with the path.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| io_error("open", path, error))?;
        let found = file
            .metadata()
            .map_err(|error| io_error("read", path, error))?;

        Ok(if found.is_file() {
            Self::Part(Part::new(file, path, found.len()))
        } else {
            Self::Stream(Box::new(file))
        })
    }

    /// Standard input.
    pub(crate) fn stdin() -> ByteStream {
        Box::new(io::stdin())
    }
}

impl Part {
    /// Opens a file of a dump; `None` if it does not exist. A symbolic link is followed only within its folder.
    ///
    /// # Errors
    /// An I/O error; [`Damaged`](crate::error::ErrorKind::Damaged): it is not a regular file, or a link out of the folder.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        let Some(file) = open_within_folder(path)? else {
            return Ok(None);
        };

        let found = file
            .metadata()
            .map_err(|error| io_error("read", path, error))?;

        Ok(Some(Self::new(file, path, found.len())))
    }

    fn new(file: File, path: &Path, bytes: u64) -> Self {
        Self {
            file: Arc::new(file),
            path: path.to_owned(),
            bytes,
            sha256: None,
        }
    }

    /// Sets the SHA-256 that the part must have, in hex.
    pub(crate) fn with_sha256(self, sha256: &str) -> Self {
        Self {
            sha256: Some(sha256.to_owned()),
            ..self
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file name; empty if it is not UTF-8.
    pub(crate) fn name(&self) -> &str {
        let name = self.path.file_name();
        name.and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Size in bytes when it was opened.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The compression that its name states. [`text`](Self::text) recognizes compression by content.
    pub(crate) fn compression(&self) -> Compression {
        Compression::of_name(&self.path)
    }

    /// SHA-256 that it must have, in hex; `None` if nothing says so.
    pub(crate) fn expected_sha256(&self) -> Option<&str> {
        self.sha256.as_deref()
    }

    /// Reads its bytes from an offset.
    pub(crate) fn read_from(&self, offset: u64) -> PartReader {
        PartReader {
            file: Arc::clone(&self.file),
            at: offset,
        }
    }

    /// Reads its bytes from the beginning, decompressed.
    ///
    /// # Errors
    /// An I/O error.
    pub(crate) fn text(&self) -> io::Result<ByteStream> {
        decompress(Box::new(self.read_from(0)))
    }

    /// [`text`](Self::text), hashing the bytes as they are in the file.
    ///
    /// # Errors
    /// An I/O error.
    pub(crate) fn hashed_text(&self, seen: &StreamHash) -> io::Result<ByteStream> {
        decompress(Box::new(HashingReader::new(
            self.read_from(0),
            seen.clone(),
        )))
    }

    /// Hashes what `seen` has not seen yet, and returns the SHA-256 of the whole part in hex.
    ///
    /// # Errors
    /// An I/O error.
    pub(crate) fn finish_sha256(&self, seen: &StreamHash) -> Result<String> {
        let rest = HashingReader::new(self.read_from(seen.bytes()), seen.clone());

        // A file that grows all the time has an end, too.
        io::copy(&mut rest.take(self.bytes), &mut io::sink())
            .and_then(|_| seen.sha256())
            .map_err(|error| io_error("read", &self.path, error))
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Part").field(&self.path).finish()
    }
}

/// Reads a part from an offset, independently of other readers.
pub(crate) struct PartReader {
    file: Arc<File>,
    at: u64,
}

impl Read for PartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::Access;
    use crate::place::local::files::{remove_file, write_file};

    #[test]
    fn a_part_stays_the_file_that_was_opened() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("items.jsonl");
        write_file(&path, b"first", Access::Shared).unwrap();
        let part = Part::open(&path).unwrap().unwrap();
        remove_file(&path).unwrap();
        write_file(&path, b"second", Access::Shared).unwrap();

        let mut text = String::new();
        part.read_from(1).read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), part.bytes()), ("irst", 5));
    }

    #[test]
    fn the_sha256_covers_what_was_and_what_was_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("items.jsonl");
        write_file(&path, b"abc", Access::Shared).unwrap();
        let part = Part::open(&path).unwrap().unwrap();

        for read in 0..=3 {
            let seen = StreamHash::default();
            let mut reader = HashingReader::new(part.read_from(0), seen.clone()).take(read);
            io::copy(&mut reader, &mut io::sink()).unwrap();
            assert_eq!(
                part.finish_sha256(&seen).unwrap(),
                crate::place::digest::hex_sha256(b"abc")
            );
        }
    }

    #[test]
    fn a_pipe_is_not_a_part() {
        assert!(matches!(
            Input::open(Path::new("/dev/null")).unwrap(),
            Input::Stream(_)
        ));
    }
}
