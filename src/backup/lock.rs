//! The lock of a dump: one writer at a time.
//!
//! The lock file is next to the dump, or in the user's state directory if that folder is not
//! writable. Readers take no lock: they see the old dump or the new one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::place::FileLock;
use crate::place::local::files::io_error;
use crate::place::local::lock::{LockFailure, acquire_at, is_lock_file};
use crate::place::local::names::{LOCK_SUFFIX, sibling, state_name};

/// Holds the lock of one dump until it is dropped.
#[derive(Debug)]
pub struct DumpLock {
    lock: FileLock,
}

impl DumpLock {
    /// Locks the dump at `dump`, which need not exist; its parent folder must. `state_dir` is the
    /// program's state directory, created if needed.
    ///
    /// # Errors
    /// Another run holds the lock; no place for the lock file can be written.
    pub fn acquire(dump: &Path, state_dir: Option<&Path>) -> Result<Self> {
        let dump = fs::canonicalize(dump).or_else(|_| std::path::absolute(dump));
        let dump = dump.map_err(|error| io_error("find", Path::new("."), error))?;
        let mut refusal = None;
        if let Some(lock_path) = sibling(&dump, LOCK_SUFFIX) {
            match acquire_at(&lock_path) {
                Err(LockFailure::Io(error)) if fs::symlink_metadata(&lock_path).is_err() => {
                    refusal = Some((lock_path, error));
                }
                Ok(lock) => return Ok(Self { lock }),
                Err(refused) => {
                    return Err(
                        refused.into_error(&lock_path, |holder| held(&dump, &lock_path, holder))
                    );
                }
            }
        }

        // The parent folder is not writable: use the state directory.
        let Some(state_dir) = state_dir else {
            let (path, error) =
                refusal.unwrap_or_else(|| (dump, io::ErrorKind::PermissionDenied.into()));
            return Err(io_error("lock", &path, error));
        };

        let path = state_dir.join(state_name(&dump, LOCK_SUFFIX));
        FileLock::acquire(&path, |holder| held(&dump, &path, holder)).map(|lock| Self { lock })
    }

    /// Whether an earlier run left its lock file; see [`FileLock::was_left`].
    pub(crate) fn was_left(&self) -> bool {
        self.lock.was_left()
    }

    /// Keeps the lock file when the lock is dropped.
    pub(crate) fn keep_file(&mut self) {
        self.lock.keep_file();
    }
}

/// Whether a process holds the lock of the dump at `dump`, which is resolved. Creates nothing.
pub(crate) fn is_held(dump: &Path, state_dir: Option<&Path>) -> bool {
    lock_paths(dump, state_dir).any(|path| FileLock::holder(&path).is_some())
}

/// Whether there is a lock file of the dump at `dump`, which is resolved, held or not.
pub(crate) fn has_lock_file(dump: &Path, state_dir: Option<&Path>) -> bool {
    lock_paths(dump, state_dir).any(|path| is_lock_file(&path))
}

fn lock_paths(dump: &Path, state_dir: Option<&Path>) -> impl Iterator<Item = PathBuf> {
    sibling(dump, LOCK_SUFFIX)
        .into_iter()
        .chain(state_dir.map(|dir| dir.join(state_name(dump, LOCK_SUFFIX))))
}

fn held(dump: &Path, path: &Path, holder: &str) -> Error {
    Error::failed(format!(
        "`{}` is being written by {holder} (lock `{}`)",
        dump.display(),
        path.display()
    ))
    .with_hint("wait until that run has ended, or choose another --output")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::place::local::files::open_lock_file;

    #[test]
    fn the_second_run_is_told_who_holds_the_lock_and_the_third_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let dump = dir.path().join("dump");
        let first = DumpLock::acquire(&dump, None).unwrap();
        let mode = fs::metadata(dir.path().join("dump.lock"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let refusal = DumpLock::acquire(&dump, None).unwrap_err().to_string();
        assert!(
            refusal.contains(&format!("process {} on ", std::process::id())),
            "{refusal}"
        );
        assert!(is_held(&dump, None));
        drop(first);
        assert!(!dir.path().join("dump.lock").exists() && !is_held(&dump, None));
        DumpLock::acquire(&dump, None).unwrap();
    }

    #[test]
    fn two_spellings_of_a_path_are_one_dump() {
        let dir = tempfile::tempdir().unwrap();
        let dump = dir.path().join("dump");
        fs::create_dir(&dump).unwrap();
        symlink(&dump, dir.path().join("link")).unwrap();
        let _held = DumpLock::acquire(&dump, None).unwrap();
        assert!(DumpLock::acquire(&dir.path().join("link"), None).is_err());
        assert!(DumpLock::acquire(&dir.path().join("dump/../dump/."), None).is_err());
    }

    #[test]
    fn a_lock_file_left_by_a_killed_run_does_not_block() {
        let dir = tempfile::tempdir().unwrap();
        let dump = dir.path().join("dump");
        open_lock_file(&dir.path().join("dump.lock"))
            .unwrap()
            .write_all(&[b'x'; 5000])
            .unwrap();
        let _lock = DumpLock::acquire(&dump, None).unwrap();
        let text = fs::read_to_string(dir.path().join("dump.lock")).unwrap();
        assert!(text.starts_with("process ") && text.len() < 200, "{text}");
    }

    #[test]
    fn a_lock_of_another_process_holds_until_that_process_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let lock = dir.path().join("dump.lock");
        let script = "exec 9>\"$1\"; flock 9; echo held; exec sleep 600";
        let spawned = std::process::Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&lock)
            .stdout(std::process::Stdio::piped())
            .spawn();

        let Ok(mut child) = spawned else { return };
        let mut output = String::new();
        io::BufRead::read_line(
            &mut io::BufReader::new(child.stdout.take().unwrap()),
            &mut output,
        )
        .unwrap();

        let while_held = DumpLock::acquire(&dir.path().join("dump"), None).map(drop);
        child.kill().unwrap();
        child.wait().unwrap();

        if output == "held\n" {
            assert!(while_held.is_err());
        }

        DumpLock::acquire(&dir.path().join("dump"), None).unwrap();
    }

    #[test]
    fn where_nothing_can_stand_beside_the_state_directory_is_used() {
        let state = tempfile::tempdir().unwrap();
        let state = state.path().join("deep/dynadump");
        let lock = DumpLock::acquire(Path::new("/"), Some(&state)).unwrap();
        assert!(DumpLock::acquire(Path::new("/"), Some(&state)).is_err());
        drop(lock);
        assert!(DumpLock::acquire(Path::new("/"), None).is_err());
    }

    #[test]
    fn a_lock_is_never_written_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        fs::File::create(dir.path().join("precious"))
            .unwrap()
            .write_all(b"text")
            .unwrap();
        symlink(dir.path().join("precious"), dir.path().join("dump.lock")).unwrap();
        assert!(DumpLock::acquire(&dir.path().join("dump"), None).is_err());
        assert_eq!(fs::read(dir.path().join("precious")).unwrap(), b"text");
    }
}
