//! `FILE.partial`: the file in which a dump to a single file is written.
//!
//! Other programs use this name too, and their files must not be removed. A file is ours if an
//! earlier run has left proof of it: its journal, or its lock file, which a killed run could not
//! remove and which a failed run without a journal keeps. An empty file contains nothing to lose.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lock::lock_dump;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::place::local::files::{io_error, remove_file};
use crate::place::local::names::{PARTIAL_SUFFIX, sibling};
use crate::place::{JournalFile, LockedJournal};

/// The path of the partial file and the lock under which it is written. If it remains when this is
/// dropped, the next run recognizes it.
pub(crate) struct PartialFile {
    path: PathBuf,
    journal: Arc<LockedJournal>,
}

impl PartialFile {
    /// Locks the file of items at `target`, which is resolved, and removes the partial file of an
    /// earlier run.
    ///
    /// # Errors
    /// Another run holds the lock; the partial file is not ours; I/O errors.
    pub(crate) fn begin(target: &Path, state_dir: Option<&Path>) -> Result<Self> {
        let path = sibling(target, PARTIAL_SUFFIX).expect("a file's path ends in its name");
        let file = JournalFile::of_dump(target, state_dir);

        // Before the lock: if this run were killed now, its lock file would prove that the file of
        // another program is ours.
        check_removable(&path, || file.exists())?;

        let journal = lock_dump(target, file)?;
        check_removable(&path, || {
            journal.file().existing_path().is_some() || journal.was_left()
        })?;
        remove_file(&path)?;

        Ok(Self::resumed(path, Arc::new(journal)))
    }

    /// The partial file of an earlier run that is resumed.
    pub(crate) fn resumed(path: PathBuf, journal: Arc<LockedJournal>) -> Self {
        Self { path, journal }
    }

    pub(crate) fn journal(&self) -> &Arc<LockedJournal> {
        &self.journal
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        let has_journal = self.journal.file().existing_path().is_some();
        if fs::symlink_metadata(&self.path).is_ok() && !has_journal {
            self.journal.keep_lock_file();
        }
    }
}

/// Fails if there is a file at `path` that is not ours, or anything but a regular file.
fn check_removable(path: &Path, is_ours: impl FnOnce() -> bool) -> Result<()> {
    let is_absent = |error: &io::Error| {
        matches!(
            error.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename
        )
    };

    match fs::symlink_metadata(path) {
        Err(error) if is_absent(&error) => return Ok(()),
        Err(error) => return Err(io_error("open", path, error)),
        Ok(found) if found.is_file() && (found.len() == 0 || is_ours()) => return Ok(()),
        Ok(_) => {}
    }

    // The run that wrote it may have finished since, and removed its lock file.
    if fs::symlink_metadata(path).is_err_and(|error| is_absent(&error)) {
        return Ok(());
    }

    Err(Error::failed(format!(
        "`{}` was not written by an interrupted dump and is not replaced",
        path.display()
    ))
    .with_hint(format!(
        "move it elsewhere, or choose another {target}",
        target = Field::Target
    )))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    fn begin(target: &Path) -> Result<PartialFile> {
        PartialFile::begin(target, None)
    }

    fn put(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
        let mut file = fs::File::create(path).unwrap();
        file.write_all(content.as_ref()).unwrap();
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_partial_file_of_another_program_is_refused_every_time_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.jsonl");
        let partial = dir.path().join("a.jsonl.partial");
        put(&partial, b"precious");

        for lock in [None, Some("notes of somebody"), Some("")] {
            if let Some(lock) = lock {
                put(dir.path().join("a.jsonl.lock"), lock);
            }

            for _ in 0..2 {
                let refusal = begin(&target).err().unwrap().to_string();
                assert!(
                    refusal.contains("a.jsonl.partial` was not written by an interrupted dump"),
                    "{refusal}"
                );
                assert_eq!(fs::read(&partial).unwrap(), b"precious");
            }
        }
    }

    #[test]
    fn the_partial_file_of_a_run_that_failed_or_was_killed_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.jsonl");
        let failed = begin(&target).unwrap();
        put(failed.path(), b"{");
        drop(failed);
        assert_eq!(names(dir.path()), ["a.jsonl.lock", "a.jsonl.partial"]);

        let next = begin(&target).unwrap();
        assert!(!next.path().exists());
        drop(next);
        assert!(names(dir.path()).is_empty());

        put(dir.path().join("a.jsonl.partial"), b"{");
        put(
            dir.path().join("a.jsonl.lock"),
            "process 1 on host since 2026-01-01T00:00:00Z\n",
        );
        drop(begin(&target).unwrap());
        assert!(names(dir.path()).is_empty());
    }

    #[test]
    fn a_journal_proves_a_partial_file_and_an_empty_one_needs_no_proof() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.jsonl");
        put(dir.path().join("a.jsonl.partial"), b"");
        drop(begin(&target).unwrap());

        put(dir.path().join("a.jsonl.partial"), b"{");
        put(dir.path().join("a.jsonl.journal"), b"dynadump journal 0");
        drop(begin(&target).unwrap());
        assert_eq!(names(dir.path()), ["a.jsonl.journal"]);
    }

    #[test]
    fn links_and_folders_are_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a.jsonl");
        let partial = dir.path().join("a.jsonl.partial");
        put(dir.path().join("a.jsonl.journal"), b"dynadump journal 0");

        symlink(dir.path().join("elsewhere"), &partial).unwrap();
        assert!(begin(&target).is_err());
        fs::remove_file(&partial).unwrap();
        fs::create_dir(&partial).unwrap();
        assert!(begin(&target).is_err());
        assert_eq!(names(dir.path()), ["a.jsonl.journal", "a.jsonl.partial"]);
    }
}
