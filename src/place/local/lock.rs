//! Lock files, held through a lock of the operating system: it ends with the process that holds it, however that ends.
//!
//! The text in the file (who holds it, since when) is for the message of the second run only.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use chrono::{SecondsFormat, Utc};

use super::files::{Access, create_folders, io_error, open_lock_file, remove_file};
use crate::error::{Error, Result};

/// How often a lock file may vanish under us because its holder releases it, before we give up.
const ATTEMPTS: usize = 100;

/// Bytes of a lock file that are read for a message.
const HOLDER_BYTES: u64 = 200;

/// Holds a lock file until it is dropped.
#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    _file: File,
}

impl FileLock {
    /// Locks the file `path`, which is made with the folders above it if need be, all for the owner alone. `held` is the failure where
    /// another run has the lock: it is told who.
    ///
    /// # Errors
    /// Another run holds the lock; the file cannot be made.
    pub fn acquire(path: &Path, held: impl FnOnce(&str) -> Error) -> Result<Self> {
        create_folders(path.parent().unwrap_or(path), Access::Private)?;
        acquire_at(path).map_err(|refused| refused.into_error(path, held))
    }

    /// Who holds the lock of the file `path`, if anybody does. Nothing is made.
    #[must_use]
    pub fn holder(path: &Path) -> Option<String> {
        let file = File::open(path).ok()?;
        matches!(file.try_lock(), Err(TryLockError::WouldBlock)).then(|| holder(&file))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Removed while it is held: whoever opened it before will lock a file without a name, notice, and make a new one.
        // A file that stays is no harm either.
        let _ = remove_file(&self.path);
    }
}

/// Why a lock was not had.
pub(crate) enum LockFailure {
    /// The file cannot be made, opened or locked here.
    Io(io::Error),
    /// This run has it.
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

/// Whether the file that was locked is still the one of that name.
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

/// What the file says of who holds it.
fn holder(file: &File) -> String {
    let mut holder = Vec::new();
    // Without the text the message is only shorter.
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
