//! The two files of a job that writes a dump or a table: `.lock`, an operating system lock that ends
//! with the process, and `.journal`, which a later run reads to continue or to clean up.
//!
//! The journal is replaced atomically and contains its own digest. It may contain keys of items, so
//! its mode is 0600. Its content is opaque here.
//!
//! The files are in the user's state directory. Those of a dump are next to the dump, or in the state
//! directory if nothing can be created there. Next to a dump, a file that does not begin like a
//! journal belongs to the user: it is neither read nor replaced.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::digest::hex_sha256;
use super::local::files::{
    Access, create_folders, io_error, open_partial, remove_file, replace_file, sync_folder,
};
use super::local::folders::entries;
use super::local::lock::{FileLock, LeftoverMeaning, LockFailure, acquire_at, is_lock_file};
use super::local::names::{JOURNAL_SUFFIX, LOCK_SUFFIX, PARTIAL_SUFFIX, sibling, state_name};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::limits::JOURNAL_BYTES;

/// Beginning of journals of any version.
const KIND: &[u8] = b"dynadump journal ";

/// Beginning of journals of the version that this program writes and reads.
const HEAD: &str = "dynadump journal 1 ";

/// Length of a digest in hexadecimal digits.
pub(super) const DIGEST_LEN: usize = 64;

/// The lock and the journal of one job. There may be several places for them, in order of
/// preference.
#[derive(Debug, Clone)]
pub struct JournalFile {
    places: Vec<JournalPlace>,
}

#[derive(Debug, Clone)]
struct JournalPlace {
    lock: PathBuf,
    journal: PathBuf,
    /// Whether it is in the state directory, where no other program creates files.
    is_in_state_dir: bool,
    leftover: LeftoverMeaning,
}

/// Reasons why the lock could not be taken.
#[derive(Debug)]
pub enum LockRefusal {
    /// Another process holds it.
    Held {
        /// The lock file.
        lock: PathBuf,
        /// A description of the process.
        holder: String,
    },
    /// The lock file cannot be created: there is no folder for it.
    NoPlace(Error),
    /// The lock file exists and cannot be locked.
    Failed(Error),
}

/// Distinguishes a journal from one that replaced it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalStamp(Option<Vec<u8>>);

impl JournalFile {
    /// The journal of a dump, or of a file of items, at `target`, which is resolved.
    #[must_use]
    pub fn of_dump(target: &Path, state_dir: Option<&Path>) -> Self {
        let next_to = sibling(target, LOCK_SUFFIX).zip(sibling(target, JOURNAL_SUFFIX));
        let next_to = next_to.map(|(lock, journal)| JournalPlace {
            lock,
            journal,
            is_in_state_dir: false,
            leftover: LeftoverMeaning::WasKilled,
        });
        let in_state = state_dir.map(|dir| JournalPlace {
            lock: dir.join(state_name(target, LOCK_SUFFIX)),
            journal: dir.join(state_name(target, JOURNAL_SUFFIX)),
            is_in_state_dir: true,
            leftover: LeftoverMeaning::WasKilled,
        });

        Self {
            places: next_to.into_iter().chain(in_state).collect(),
        }
    }

    /// The journal `<name>.journal` in the state directory.
    #[must_use]
    pub fn in_state_dir(state_dir: &Path, name: &str) -> Self {
        let path = |suffix: &str| state_dir.join(format!("{name}{suffix}"));
        Self {
            places: vec![JournalPlace {
                lock: path(LOCK_SUFFIX),
                journal: path(JOURNAL_SUFFIX),
                is_in_state_dir: true,
                leftover: LeftoverMeaning::Nothing,
            }],
        }
    }

    /// The journals and locks in the state directory, by name.
    ///
    /// # Errors
    /// It exists and cannot be read.
    pub(crate) fn all_in(state_dir: &Path) -> Result<Vec<Self>> {
        let found = match entries(state_dir) {
            Err(error) if is_missing(&error) => return Ok(Vec::new()),
            found => found.map_err(|error| io_error("read the folder", state_dir, error))?,
        };

        let mut names = BTreeSet::new();
        for entry in found {
            let name = entry
                .map_err(|error| io_error("read the folder", state_dir, error))?
                .name;
            // The names of state files are text.
            let name = name.to_str().and_then(|name| {
                name.strip_suffix(JOURNAL_SUFFIX)
                    .or_else(|| name.strip_suffix(LOCK_SUFFIX))
            });
            names.extend(name.map(ToOwned::to_owned));
        }

        Ok(names
            .iter()
            .map(|name| Self::in_state_dir(state_dir, name))
            .collect())
    }

    /// The lock file that a process holds, and a description of the process. Creates nothing.
    #[must_use]
    pub fn holder(&self) -> Option<(&Path, String)> {
        self.places
            .iter()
            .find_map(|place| Some((place.lock.as_path(), FileLock::holder(&place.lock)?)))
    }

    /// A description of the process that left a lock file when it was killed.
    pub(crate) fn left_by(&self) -> Option<String> {
        self.places
            .iter()
            .find_map(|place| FileLock::left_by(&place.lock))
    }

    /// Whether there is a journal of any version, or a lock file, held or not.
    #[must_use]
    pub fn exists(&self) -> bool {
        let has_lock_file = |place: &JournalPlace| is_lock_file(&place.lock);
        self.existing_path().is_some() || self.places.iter().any(has_lock_file)
    }

    /// The path of the journal, if there is one, of any version.
    #[must_use]
    pub fn existing_path(&self) -> Option<&Path> {
        let mut existing = self
            .places
            .iter()
            .filter(|place| place.found() == FoundFile::Journal);

        existing.next().map(|place| place.journal.as_path())
    }

    /// Distinguishes the journal that exists now from later ones.
    #[must_use]
    pub fn stamp(&self) -> JournalStamp {
        let path = self.existing_path();
        JournalStamp(path.map(|path| read_start(path, HEAD.len() + DIGEST_LEN).unwrap_or_default()))
    }

    /// Reads the content of the journal, if there is one.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged) for one that is damaged or of another version;
    /// an I/O error.
    pub fn read(&self) -> Result<Option<Vec<u8>>> {
        let Some((path, mut document)) = self.read_document()? else {
            return Ok(None);
        };

        let content = document.split_off((HEAD.len() + DIGEST_LEN + 1).min(document.len()));
        if document != head(&content).as_bytes() {
            return Err(Error::damaged(format!(
                "the journal `{}` is damaged or of another version",
                path.display()
            )));
        }

        Ok(Some(content))
    }

    /// Reads the journal without checking it, if there is one.
    pub(super) fn read_document(&self) -> Result<Option<(&Path, Vec<u8>)>> {
        let Some(path) = self.existing_path() else {
            return Ok(None);
        };

        // A longer file is not read whole: without its end, its digest does not match.
        let document = read_start(path, JOURNAL_BYTES + 1)?;

        Ok(Some((path, document)))
    }

    /// Takes the lock at the first place where its file can be created.
    ///
    /// # Errors
    /// Another process holds it; it cannot be locked; there is no place for it.
    pub fn lock(self) -> Result<LockedJournal, LockRefusal> {
        let mut refusal = None;
        for place in &self.places {
            match place.lock() {
                Ok(lock) => {
                    return Ok(LockedJournal {
                        file: self,
                        lock,
                        is_removed: AtomicBool::new(false),
                    });
                }
                Err(LockRefusal::NoPlace(error)) => refusal = refusal.or(Some(error)),
                Err(refused) => return Err(refused),
            }
        }

        let none = || Error::failed("no folder for a lock file");
        Err(LockRefusal::NoPlace(refusal.unwrap_or_else(none)))
    }
}

/// A journal whose lock this process holds, until it is dropped.
#[derive(Debug)]
pub struct LockedJournal {
    file: JournalFile,
    lock: FileLock,
    /// Whether this process has removed it durably, and has not written it since.
    is_removed: AtomicBool,
}

impl LockedJournal {
    /// The files.
    #[must_use]
    pub fn file(&self) -> &JournalFile {
        &self.file
    }

    /// Replaces the journal atomically. It is on disk when this returns.
    ///
    /// # Errors
    /// It is too long, or no place for it can be written: the error of the first.
    pub fn write(&self, content: &[u8]) -> Result<()> {
        let document = [head(content).as_bytes(), content].concat();

        self.write_document(&document).map(drop)
    }

    /// Replaces the journal, its head included. Returns its path.
    pub(super) fn write_document(&self, document: &[u8]) -> Result<PathBuf> {
        if document.len() > JOURNAL_BYTES {
            return Err(Error::failed("the journal is too long").with_hint(format!(
                "choose fewer {segments}",
                segments = Field::Segments
            )));
        }

        self.is_removed.store(false, Ordering::Relaxed);
        let mut refusal = None;
        for place in self.file.places.iter().filter(|place| place.is_usable()) {
            match place.write(document) {
                Ok(()) => return Ok(place.journal.clone()),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }

        Err(refusal.unwrap_or_else(|| Error::failed("no folder for a journal")))
    }

    /// Removes the journal. The removal is durable when this returns. A missing journal is not an
    /// error.
    ///
    /// # Errors
    /// An I/O error.
    pub fn remove(&self) -> Result<()> {
        if self.is_removed.load(Ordering::Relaxed) {
            return Ok(());
        }

        self.remove_unsynced()?;
        self.sync_removals()?;
        self.is_removed.store(true, Ordering::Relaxed);

        Ok(())
    }

    /// Removes the journal. The removal is durable after [`sync_removals`](Self::sync_removals) of any
    /// journal in the same folder, or when the next one is written there.
    ///
    /// # Errors
    /// An I/O error.
    pub fn remove_unsynced(&self) -> Result<()> {
        self.file.places.iter().try_for_each(JournalPlace::remove)
    }

    /// Makes the removal of journals durable.
    ///
    /// # Errors
    /// An I/O error.
    pub fn sync_removals(&self) -> Result<()> {
        // Even if there was none: a process that removed it may have been killed before it synced.
        let folders = self.file.places.iter().map(JournalPlace::folder);
        folders
            .filter(|folder| folder.is_dir())
            .try_for_each(sync_folder)
    }

    /// Whether an earlier holder left its lock file; see [`FileLock::was_left`].
    pub(crate) fn was_left(&self) -> bool {
        self.lock.was_left()
    }

    /// Keeps the lock file when the lock is dropped.
    pub(crate) fn keep_lock_file(&self) {
        self.lock.keep_file();
    }
}

/// The content found at the path of a journal.
#[derive(Debug, PartialEq, Eq)]
enum FoundFile {
    Nothing,
    Journal,
    /// A file of the user, which must not be changed.
    Other,
}

impl JournalPlace {
    fn lock(&self) -> Result<FileLock, LockRefusal> {
        if self.is_in_state_dir {
            create_folders(self.folder(), Access::Private).map_err(LockRefusal::NoPlace)?;
        }

        acquire_at(&self.lock, self.leftover).map_err(|failure| {
            let error = match failure {
                LockFailure::Held(holder) => {
                    let lock = self.lock.clone();
                    return LockRefusal::Held { lock, holder };
                }
                LockFailure::Shared => std::io::ErrorKind::ResourceBusy.into(),
                LockFailure::Io(error) => error,
            };

            let error = io_error("lock", &self.lock, error);
            if fs::symlink_metadata(&self.lock).is_ok() {
                LockRefusal::Failed(error)
            } else {
                LockRefusal::NoPlace(error)
            }
        })
    }

    fn found(&self) -> FoundFile {
        if fs::symlink_metadata(&self.journal).is_err() {
            FoundFile::Nothing
        } else if self.is_in_state_dir || begins_like_a_journal(&self.journal) {
            FoundFile::Journal
        } else {
            FoundFile::Other
        }
    }

    /// Whether the journal and its temporary file may be replaced: there are none, or they are ours.
    /// A killed run may have written only the beginning of the temporary file.
    fn is_usable(&self) -> bool {
        let has_own_partial = |partial: PathBuf| {
            fs::symlink_metadata(&partial).is_err()
                || read_start(&partial, KIND.len()).is_ok_and(|start| KIND.starts_with(&start))
        };

        self.is_in_state_dir
            || (self.found() != FoundFile::Other && self.partial().is_some_and(has_own_partial))
    }

    fn write(&self, document: &[u8]) -> Result<()> {
        if self.is_in_state_dir {
            create_folders(self.folder(), Access::Private)?;
        }

        replace_file(&self.journal, document)
    }

    fn remove(&self) -> Result<()> {
        if !self.folder().is_dir() {
            return Ok(());
        }

        // A killed run may have left a temporary file of the same kind.
        let is_left = |partial: &PathBuf| self.is_in_state_dir || begins_like_a_journal(partial);
        if let Some(partial) = self.partial().filter(is_left) {
            remove_file(&partial)?;
        }

        if self.found() == FoundFile::Journal {
            remove_file(&self.journal)?;
        }

        Ok(())
    }

    fn partial(&self) -> Option<PathBuf> {
        sibling(&self.journal, PARTIAL_SUFFIX)
    }

    fn folder(&self) -> &Path {
        self.journal.parent().unwrap_or(&self.journal)
    }
}

/// Whether a folder does not exist, or cannot exist because a file has the name of one above it.
fn is_missing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound};

    matches!(error.kind(), NotFound | NotADirectory)
}

/// The first line of a journal with this content.
pub(super) fn head(content: &[u8]) -> String {
    format!("{HEAD}{}\n", hex_sha256(content))
}

fn begins_like_a_journal(path: &Path) -> bool {
    read_start(path, KIND.len()).is_ok_and(|start| start == KIND)
}

/// The first `bytes` bytes of a regular file, or all if it is shorter.
fn read_start(path: &Path, bytes: usize) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    if let Some(file) = open_partial(path)? {
        file.take(bytes as u64)
            .read_to_end(&mut start)
            .map_err(|error| io_error("read", path, error))?;
    }

    Ok(start)
}

#[cfg(test)]
mod tests;
