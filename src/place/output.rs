//! Outputs: where the bytes of a new data file go.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::local::files::{Access, create_file, io_error, open_partial, truncate};
use super::local::sync::SyncedFile;
use crate::error::Result;

/// Bytes read at a time.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Destination of the bytes of a data file.
pub(crate) enum Output {
    /// A file, synced at the end.
    File(SyncedFile),
    /// Standard output or any other stream, flushed at the end.
    Stream(Box<dyn Write + Send>),
}

impl Output {
    /// Creates a file; fails if it exists.
    ///
    /// # Errors
    /// An I/O error, with the path.
    pub(crate) fn create(path: &Path, access: Access) -> Result<Self> {
        create_file(path, access).map(|file| Self::File(SyncedFile::new(file)))
    }

    /// Standard output.
    pub(crate) fn stdout() -> Box<dyn Write + Send> {
        Box::new(io::stdout())
    }

    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::File(file) => file.write_all(bytes),
            Self::Stream(stream) => stream.write_all(bytes),
        }
    }

    /// Syncs the file, or flushes the stream.
    ///
    /// # Errors
    /// An I/O error, possibly of an earlier write.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.sync(),
            Self::Stream(stream) => stream.flush(),
        }
    }
}

/// A file that an earlier run has partly written.
pub(crate) struct PartialOutput {
    file: File,
    path: PathBuf,
}

impl PartialOutput {
    /// Opens the file; `None` if it does not exist. Does not follow a symbolic link.
    ///
    /// # Errors
    /// An I/O error; something that is not a regular file.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        Ok(open_partial(path)?.map(|file| Self {
            file,
            path: path.to_owned(),
        }))
    }

    /// Hashes the first `length` bytes; `None` if there are fewer. `watch` receives the number of bytes read since its last call.
    ///
    /// # Errors
    /// An I/O error; what `watch` says.
    pub(crate) fn hash_beginning(
        &mut self,
        length: u64,
        watch: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Option<Sha256>> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; BLOCK_BYTES];
        let mut left = length;
        while left > 0 {
            let most = usize::try_from(left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
            match self.file.read(&mut buffer[..most]) {
                Ok(0) => return Ok(None),
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    left -= count as u64;
                    watch(count as u64)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io_error("read", &self.path, error)),
            }
        }

        Ok(Some(hasher))
    }

    /// Truncates the file to `length` bytes, after which writing continues.
    ///
    /// # Errors
    /// An I/O error, with the path.
    pub(crate) fn truncate(mut self, length: u64) -> Result<Output> {
        truncate(&mut self.file, length)
            .map_err(|error| io_error("truncate", &self.path, error))?;

        Ok(Output::File(SyncedFile::new(self.file)))
    }
}
