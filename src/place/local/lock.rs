//! Lock files, held through an operating system lock, which ends with the process.
//!
//! The text in the file (who holds it, since when) is for the error message of another process, and
//! tells the next holder that this one was killed.
//!
//! A holder has an exclusive lock. Whoever only asks tries a shared one, which does not keep
//! others from asking. A process that wants the lock tells the two apart by trying a shared lock
//! as well: if it gets that one, no process holds the file, and it tries again.
//!
//! Processes that do not exclude each other hold shared locks, as long as no process has an
//! exclusive one. They are not described in the file, so it is empty.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};

use super::files::{open_lock_file, open_to_read, remove_file};

/// Attempts to lock a file that its holder removes, or that others ask about, at the same moment.
const ATTEMPTS: usize = 100;

/// Pause before the next attempt. Asking takes microseconds.
const PAUSE: Duration = Duration::from_millis(1);

/// Bytes of a lock file that are read for the error message.
const HOLDER_BYTES: u64 = 500;

/// Stands for a holder without a description.
const UNKNOWN_HOLDER: &str = "another process";

/// Start of the text in a lock file.
const HOLDER_PREFIX: &str = "process ";

/// Holds a lock file until it is dropped.
#[derive(Debug)]
pub struct FileLock {
    path: PathBuf,
    _file: File,
    was_left: bool,
    keeps_file: AtomicBool,
}

impl FileLock {
    /// Whether an earlier holder left its lock file, because it was killed or because it
    /// [kept](Self::keep_file) it.
    pub(crate) fn was_left(&self) -> bool {
        self.was_left
    }

    /// Keeps the file when the lock is dropped, to tell the next holder that something was left.
    pub(crate) fn keep_file(&self) {
        self.keeps_file.store(true, Ordering::Relaxed);
    }

    /// Locks the file `path`, creating it for the owner only. `note` follows the description of this process.
    ///
    /// # Errors
    /// Another process holds the lock; the file cannot be created or locked.
    pub fn acquire(path: &Path, note: &str) -> Result<Self, LockFailure> {
        acquire_with_note(path, note, LeftoverMeaning::Nothing)
    }

    /// A description of the process that holds the lock, if any. Creates nothing, and does not
    /// keep another process from taking the lock.
    #[must_use]
    pub fn holder(path: &Path) -> Option<String> {
        let file = File::open(path).ok()?;
        matches!(is_held(&file), Ok(true)).then(|| holder(&file))
    }

    /// A description of the process that left the lock file when it was killed; `None` if there is no such file, or if the lock
    /// is held.
    pub(crate) fn left_by(path: &Path) -> Option<String> {
        let mut file = open_to_read(path).ok()?;
        let is_left = matches!(is_held(&file), Ok(false)) && begins_like_a_lock(&mut file);

        (is_left && file.rewind().is_ok()).then(|| holder(&file))
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        if self.keeps_file.load(Ordering::Relaxed) {
            return;
        }

        // Remove the file while the lock is held: a process that opened it before locks a file
        // without a name, notices, and creates a new one. If removing fails, the leftover file does
        // no harm.
        let _ = remove_file(&self.path);
    }
}

/// Holds a shared lock of a file until it is dropped. The last holder removes the file.
#[derive(Debug)]
pub struct SharedFileLock {
    path: PathBuf,
    file: File,
}

impl SharedFileLock {
    /// Locks the file `path`, creating it for the owner only.
    ///
    /// # Errors
    /// Another process has an exclusive lock; the file cannot be created or locked.
    pub fn acquire(path: &Path) -> Result<Self, LockFailure> {
        let mut holder = None;
        for _ in 0..ATTEMPTS {
            let file = open_lock_file(path).map_err(LockFailure::Io)?;
            match file.try_lock_shared() {
                Ok(()) if is_still_linked(&file, path) => {
                    // The description of a killed holder does not apply to this one.
                    file.set_len(0).map_err(LockFailure::Io)?;
                    let path = path.to_owned();
                    return Ok(Self { path, file });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    holder = described_holder(&file);
                    if holder.is_some() {
                        break;
                    }
                    thread::sleep(PAUSE);
                }
                Err(TryLockError::Error(error)) => return Err(LockFailure::Io(error)),
            }
        }

        Err(LockFailure::Held(
            holder.unwrap_or_else(|| UNKNOWN_HOLDER.to_owned()),
        ))
    }
}

impl Drop for SharedFileLock {
    fn drop(&mut self) {
        // With an exclusive lock, this is the last holder.
        if self.file.try_lock().is_ok() && is_still_linked(&self.file, &self.path) {
            let _ = remove_file(&self.path);
        }
    }
}

/// Reasons why a lock could not be acquired.
#[derive(Debug)]
pub enum LockFailure {
    /// The file cannot be created, opened or locked.
    Io(io::Error),
    /// Another process holds it; its description.
    Held(String),
    /// Other processes have [shared locks](SharedFileLock).
    Shared,
}

/// What a lock file without a holder tells the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeftoverMeaning {
    /// Nothing.
    Nothing,
    /// Its holder was killed: see [`FileLock::was_left`]. The file must tell that after a power failure, too.
    WasKilled,
}

/// Locks the file `path`, creating it for the owner only.
pub(crate) fn acquire_at(path: &Path, leftover: LeftoverMeaning) -> Result<FileLock, LockFailure> {
    acquire_with_note(path, "", leftover)
}

fn acquire_with_note(
    path: &Path,
    note: &str,
    leftover: LeftoverMeaning,
) -> Result<FileLock, LockFailure> {
    let mut failure = LockFailure::Shared;
    for _ in 0..ATTEMPTS {
        let mut file = open_lock_file(path).map_err(LockFailure::Io)?;
        match try_lock(&file).map_err(LockFailure::Io)? {
            Attempt::Held => {
                if let Some(holder) = described_holder(&file) {
                    return Err(LockFailure::Held(holder));
                }
                failure = LockFailure::Held(UNKNOWN_HOLDER.to_owned());
                thread::sleep(PAUSE);
            }
            Attempt::Shared => {
                failure = LockFailure::Shared;
                thread::sleep(PAUSE);
            }
            Attempt::Locked if is_still_linked(&file, path) => {
                let was_left = begins_like_a_lock(&mut file);
                write_holder(&mut file, note, leftover).map_err(LockFailure::Io)?;
                return Ok(FileLock {
                    path: path.to_owned(),
                    _file: file,
                    was_left,
                    keeps_file: AtomicBool::new(false),
                });
            }
            Attempt::Locked => {}
        }
    }

    Err(failure)
}

/// The outcome of one attempt to lock a file.
#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    Locked,
    /// Another process holds the lock.
    Held,
    /// Other processes have shared locks, or asked who holds it, at the same moment.
    Shared,
}

fn try_lock(file: &File) -> io::Result<Attempt> {
    match file.try_lock() {
        Ok(()) => Ok(Attempt::Locked),
        Err(TryLockError::WouldBlock) if is_held(file)? => Ok(Attempt::Held),
        Err(TryLockError::WouldBlock) => Ok(Attempt::Shared),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether another process holds the lock of this file.
fn is_held(file: &File) -> io::Result<bool> {
    match file.try_lock_shared() {
        // Explicitly: closing the file would not release it if a process that is being started has
        // inherited it.
        Ok(()) => file.unlock().map(|()| false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether `path` still names the file that was locked.
fn is_still_linked(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(locked), Ok(named)) => identity(locked) == identity(named),
        _ => false,
    }
}

/// Whether there is a lock file that a holder has written, whether or not it still holds it.
pub(crate) fn is_lock_file(path: &Path) -> bool {
    open_to_read(path).is_ok_and(|mut file| begins_like_a_lock(&mut file))
}

fn begins_like_a_lock(file: &mut File) -> bool {
    let mut head = [0; HOLDER_PREFIX.len()];
    let read = file.rewind().and_then(|()| file.read_exact(&mut head));

    read.is_ok() && head == HOLDER_PREFIX.as_bytes()
}

fn write_holder(file: &mut File, note: &str, leftover: LeftoverMeaning) -> io::Result<()> {
    let since = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
    let holder = format!(
        "{HOLDER_PREFIX}{} on {} since {since}{}{note}\n",
        std::process::id(),
        host_name(),
        if note.is_empty() { "" } else { " " }
    );

    // Overwrite, then truncate: the file must begin like a lock file even if the process is killed
    // in between.
    file.rewind()?;
    file.write_all(holder.as_bytes())?;
    file.set_len(holder.len() as u64)?;

    match leftover {
        LeftoverMeaning::Nothing => Ok(()),
        LeftoverMeaning::WasKilled => file.sync_all(),
    }
}

/// The name of this host.
pub(crate) fn host_name() -> &'static str {
    static NAME: LazyLock<String> = LazyLock::new(|| {
        let name = fs::read_to_string("/proc/sys/kernel/hostname")
            .or_else(|_| fs::read_to_string("/etc/hostname"));
        name.map_or_else(|_| "this host".to_owned(), |name| name.trim().to_owned())
    });

    &NAME
}

/// The description in a lock file of the process that holds it, or a substitute.
fn holder(file: &File) -> String {
    described_holder(file).unwrap_or_else(|| UNKNOWN_HOLDER.to_owned())
}

/// The description in a lock file of the process that holds it. `None`: it has not written it yet, or is the last
/// one with a shared lock and removes the file.
fn described_holder(file: &File) -> Option<String> {
    let mut holder = Vec::new();
    // If it cannot be read, the error message is only less specific.
    let _ = Read::take(file, HOLDER_BYTES).read_to_end(&mut holder);
    let holder: String = String::from_utf8_lossy(&holder)
        .trim()
        .chars()
        .filter(|c| !c.is_control())
        .collect();

    (!holder.is_empty()).then_some(holder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_for_the_holder_of_a_lock_does_not_take_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let (asker, taker) = (
            open_lock_file(&path).unwrap(),
            open_lock_file(&path).unwrap(),
        );

        // In the middle of the question of another process.
        asker.try_lock_shared().unwrap();
        assert_eq!(FileLock::holder(&path), None);
        assert_eq!(try_lock(&taker).unwrap(), Attempt::Shared);
        asker.unlock().unwrap();
        assert_eq!(try_lock(&taker).unwrap(), Attempt::Locked);
        assert_eq!(try_lock(&asker).unwrap(), Attempt::Held);
        assert!(FileLock::holder(&path).is_some());
    }

    #[test]
    fn the_next_holder_learns_of_a_leftover_lock_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let acquire = || acquire_at(&path, LeftoverMeaning::WasKilled).ok().unwrap();
        assert!(!acquire().was_left());
        assert!(!path.exists());

        acquire().keep_file();
        assert!(is_lock_file(&path));
        assert!(acquire().was_left());
        assert!(!acquire().was_left());

        open_lock_file(&path).unwrap().write_all(b"notes").unwrap();
        assert!(!is_lock_file(&path));
        assert!(!acquire().was_left());
    }

    #[test]
    fn a_question_delays_who_wants_the_lock_and_does_not_refuse_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let asker = open_lock_file(&path).unwrap();
        asker.try_lock_shared().unwrap();

        // A question that never ends, such as that of a stopped process, is not a holder either.
        assert!(matches!(
            acquire_at(&path, LeftoverMeaning::Nothing),
            Err(LockFailure::Shared)
        ));
        asker.unlock().unwrap();
        assert!(acquire_at(&path, LeftoverMeaning::Nothing).is_ok());
    }

    #[test]
    fn shared_locks_exclude_only_an_exclusive_one_and_the_last_removes_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        // Of a holder that was killed.
        let mut killed = open_lock_file(&path).unwrap();
        killed.write_all(b"process 1 on laptop").unwrap();

        let first = SharedFileLock::acquire(&path).unwrap();
        let second = SharedFileLock::acquire(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
        assert_eq!(FileLock::holder(&path), None);
        assert!(matches!(
            acquire_at(&path, LeftoverMeaning::Nothing),
            Err(LockFailure::Shared)
        ));

        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());

        let exclusive = FileLock::acquire(&path, "").unwrap();
        let refusal = SharedFileLock::acquire(&path).unwrap_err();
        assert!(matches!(refusal, LockFailure::Held(holder) if holder.starts_with(HOLDER_PREFIX)));
        drop(exclusive);
        SharedFileLock::acquire(&path).unwrap();
        assert!(!path.exists());
    }
}
