//! The lock of a dump: one writer at a time. Readers take no lock: they see the old dump or the new
//! one.

use std::path::Path;

use crate::error::{Error, Result};
use crate::field::Field;
use crate::place::{JournalFile, LockRefusal, LockedJournal};

/// Locks the dump at `target`, which is resolved and need not exist; its parent folder must.
///
/// # Errors
/// Another run holds the lock; no place for the lock file can be written. Without a lock, two runs
/// could destroy each other's files.
pub(crate) fn lock_dump(target: &Path, file: JournalFile) -> Result<LockedJournal> {
    file.lock().map_err(|refusal| match refusal {
        LockRefusal::NoPlace(error) | LockRefusal::Failed(error) => error,
        LockRefusal::Held { lock, holder } => Error::failed(format!(
            "`{}` is being written by {holder} (lock `{}`)",
            target.display(),
            lock.display()
        ))
        .with_hint(format!(
            "wait until it has finished, or choose another {target}",
            target = Field::Target
        )),
    })
}
