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
                Ok(lock) => return Ok(LockedJournal { file: self, lock }),
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
        self.remove_unsynced()?;
        self.sync_removals()
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
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::{Command, Stdio};

    use super::super::local::files::test_syncs::synced;
    use super::super::local::files::{open_lock_file, write_file};
    use super::*;

    fn of_dump(dump: &Path) -> JournalFile {
        JournalFile::of_dump(dump, None)
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_held_lock_names_its_holder_and_a_released_one_is_available() {
        let dir = tempfile::tempdir().unwrap();
        let dump = dir.path().join("dump");
        let first = of_dump(&dump).lock().unwrap();
        assert_eq!(mode(&dir.path().join("dump.lock")), 0o600);
        let Err(LockRefusal::Held { lock, holder }) = of_dump(&dump).lock() else {
            panic!("the lock is held");
        };
        assert_eq!(lock, dir.path().join("dump.lock"));
        assert!(holder.starts_with(&format!("process {} on ", std::process::id())));
        assert!(of_dump(&dump).holder().is_some());

        drop(first);
        assert!(names(dir.path()).is_empty());
        assert!(of_dump(&dump).holder().is_none());
        of_dump(&dump).lock().unwrap();
    }

    #[test]
    fn a_lock_file_left_by_a_killed_run_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("dump.lock");
        open_lock_file(&lock)
            .unwrap()
            .write_all(&[b'x'; 5000])
            .unwrap();
        let _locked = of_dump(&dir.path().join("dump")).lock().unwrap();
        let text = fs::read_to_string(&lock).unwrap();
        assert!(text.starts_with("process ") && text.len() < 200, "{text}");
    }

    #[test]
    fn a_lock_of_another_process_holds_until_that_process_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let dump = dir.path().join("dump");
        let script = "exec 9>\"$1\"; flock 9; echo held; exec sleep 600";
        let spawned = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(dir.path().join("dump.lock"))
            .stdout(Stdio::piped())
            .spawn();

        let Ok(mut child) = spawned else { return };
        let mut output = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut output)
            .unwrap();

        let while_held = of_dump(&dump).lock().map(drop);
        child.kill().unwrap();
        child.wait().unwrap();

        if output == "held\n" {
            assert!(while_held.is_err());
        }

        of_dump(&dump).lock().unwrap();
    }

    #[test]
    fn where_nothing_can_be_created_next_to_the_dump_the_state_directory_is_used() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path().join("deep/dynadump");
        let journal = || JournalFile::of_dump(Path::new("/"), Some(&state));
        let locked = journal().lock().unwrap();
        assert!(matches!(journal().lock(), Err(LockRefusal::Held { .. })));
        locked.write(b"content").unwrap();
        assert_eq!(journal().read().unwrap().unwrap(), b"content");
        assert_eq!(mode(&state), 0o700);
        assert_eq!(mode(state.parent().unwrap()), 0o700);

        assert!(matches!(
            of_dump(Path::new("/")).lock(),
            Err(LockRefusal::NoPlace(_))
        ));
    }

    #[test]
    fn a_lock_is_never_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let precious = dir.path().join("precious");
        write_file(&precious, b"text", Access::Shared).unwrap();
        symlink(&precious, dir.path().join("dump.lock")).unwrap();
        let refusal = of_dump(&dir.path().join("dump")).lock();
        assert!(matches!(refusal, Err(LockRefusal::Failed(_))));
        assert_eq!(fs::read(precious).unwrap(), b"text");
    }

    #[test]
    fn a_journal_replaces_the_former_one_and_its_removal_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        let file = JournalFile::in_state_dir(dir.path(), "one");
        let locked = file.clone().lock().unwrap();
        assert_eq!(file.read().unwrap(), None);
        let before = file.stamp();
        locked.write(b"old").unwrap();
        let old = file.stamp();
        locked.write(b"new").unwrap();
        assert_eq!(file.read().unwrap().unwrap(), b"new");
        assert!(before != old && old != file.stamp());
        assert_eq!(mode(&dir.path().join("one.journal")), 0o600);

        // A killed run has left a temporary file.
        write_file(&dir.path().join("one.journal.partial"), b"", Access::Shared).unwrap();
        synced();

        // The second time, it was removed by a process that was killed before it synced.
        for _ in 0..2 {
            locked.remove().unwrap();
            assert_eq!(synced(), [dir.path()]);
            assert_eq!(names(dir.path()), ["one.lock"]);
        }

        assert_eq!(file.stamp(), before);
    }

    #[test]
    fn a_journal_that_was_changed_or_is_of_another_version_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = JournalFile::in_state_dir(dir.path(), "one");
        let path = dir.path().join("one.journal");
        file.clone().lock().unwrap().write(b"content").unwrap();
        let good = fs::read(&path).unwrap();
        let mut flipped = good.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let newer = [b"dynadump journal 2 ", &good[HEAD.len()..]].concat();
        let longer = [&good[..], b"x"].concat();

        for bad in [&flipped[..], &good[..30], &newer, &longer, b"", b"\xff"] {
            fs::remove_file(&path).unwrap();
            write_file(&path, bad, Access::Private).unwrap();
            let error = file.read().unwrap_err().to_string();
            assert!(error.contains("one.journal"), "{error}");
        }
    }

    #[test]
    fn next_to_a_dump_the_files_of_others_are_neither_read_nor_changed() {
        for (name, content, is_ours) in [
            ("dump.journal", &b"my diary"[..], false),
            ("dump.journal.partial", b"my diary", false),
            ("dump.journal.partial", b"", true),
            ("dump.journal.partial", b"dynadump jou", true),
            ("dump.journal.partial", b"dynadump journal 1 ", true),
        ] {
            let (dir, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let other = dir.path().join(name);
            write_file(&other, content, Access::Shared).unwrap();
            let file = JournalFile::of_dump(&dir.path().join("dump"), Some(state.path()));
            let locked = file.clone().lock().unwrap();
            assert_eq!(file.read().unwrap(), None);
            locked.write(b"content").unwrap();
            assert_eq!(file.read().unwrap().unwrap(), b"content");
            assert_eq!(names(state.path()).is_empty(), is_ours, "{name}");

            locked.remove().unwrap();
            assert_eq!(file.read().unwrap(), None);
            assert_eq!(other.exists(), !is_ours, "{name}");
            assert!(is_ours || fs::read(&other).unwrap() == content, "{name}");
        }
    }
}
