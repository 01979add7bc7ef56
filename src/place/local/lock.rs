//! Lock files, held through an operating system lock, which ends with the process.
//!
//! The text in the file (who holds it, since when) is only for the error message of another
//! process.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chrono::{SecondsFormat, Utc};

use super::files::{Access, create_folders, io_error, open_lock_file, remove_file};
use crate::error::{Error, Result};

/// Attempts to lock a file that its holder keeps removing at the same moment.
const ATTEMPTS: usize = 100;

/// Bytes of a lock file that are read for the error message.
const HOLDER_BYTES: u64 = 200;

/// Holds a lock file until it is dropped.
#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    _file: File,
}

impl FileLock {
    /// Locks the file `path`, creating it and the folders above it for the owner only. If another
    /// process holds the lock, `held` makes the error from its description.
    ///
    /// # Errors
    /// Another run holds the lock; the file cannot be created.
    pub fn acquire(path: &Path, held: impl FnOnce(&str) -> Error) -> Result<Self> {
        create_folders(path.parent().unwrap_or(path), Access::Private)?;
        acquire_at(path).map_err(|refused| refused.into_error(path, held))
    }

    /// A description of the process that holds the lock, if any. Creates nothing.
    #[must_use]
    pub fn holder(path: &Path) -> Option<String> {
        let file = File::open(path).ok()?;
        matches!(file.try_lock(), Err(TryLockError::WouldBlock)).then(|| holder(&file))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Remove the file while the lock is held: a process that opened it before locks a file
        // without a name, notices, and creates a new one. If removing fails, the leftover file does
        // no harm.
        let _ = remove_file(&self.path);
    }
}

/// Reasons why a lock could not be acquired.
pub(crate) enum LockFailure {
    /// The file cannot be created, opened or locked.
    Io(io::Error),
    /// Another process holds it; its description.
    Held(String),
}

impl LockFailure {
    pub(crate) fn into_error(self, path: &Path, held: impl FnOnce(&str) -> Error) -> Error {
        match self {
            Self::Io(error) => io_error("lock", path, error),
            Self::Held(holder) => held(&holder),
        }
    }
}

pub(crate) fn acquire_at(path: &Path) -> Result<FileLock, LockFailure> {
    for _ in 0..ATTEMPTS {
        let mut file = open_lock_file(path).map_err(LockFailure::Io)?;
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(LockFailure::Held(holder(&file))),
            Err(TryLockError::Error(error)) => return Err(LockFailure::Io(error)),
            Ok(()) => {}
        }

        if is_still_linked(&file, path) {
            write_holder(&mut file).map_err(LockFailure::Io)?;
            return Ok(FileLock {
                path: path.to_owned(),
                _file: file,
            });
        }
    }

    Err(LockFailure::Io(io::ErrorKind::ResourceBusy.into()))
}

/// Whether `path` still names the file that was locked.
fn is_still_linked(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(locked), Ok(named)) => identity(locked) == identity(named),
        _ => false,
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    let since = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let holder = format!(
        "process {} on {} since {since}\n",
        std::process::id(),
        host_name()
    );

    file.set_len(0)?;
    file.rewind()?;

    file.write_all(holder.as_bytes())
}

fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| fs::read_to_string("/etc/hostname"));
    name.map_or_else(|_| "this host".to_owned(), |name| name.trim().to_owned())
}

/// The description in a lock file of the process that holds it.
fn holder(file: &File) -> String {
    let mut holder = Vec::new();
    // If it cannot be read, the error message is only less specific.
    let _ = Read::take(file, HOLDER_BYTES).read_to_end(&mut holder);
    let holder: String = String::from_utf8_lossy(&holder)
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .collect();

    if holder.is_empty() {
        "another run".to_owned()
    } else {
        holder
    }
}
