//! Locks of a database file: `servedb` has it alone, and other commands use the URL instead, because the engine caches what it knows of
//! its tables.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::place::{FileLock, LockFailure, SharedFileLock};

/// Name of the lock file: that of the database with this suffix. Git ignores it like `SQLite`'s own files.
const LOCK_SUFFIX: &str = "-lock";

/// Precedes the URL in a lock file.
const URL_PREFIX: &str = " at http://";

/// A database file that this process serves, until it is dropped.
#[derive(Debug)]
pub struct ServedFile(#[expect(dead_code, reason = "released on drop")] FileLock);

impl ServedFile {
    /// Locks a database file that will be served at `url`.
    ///
    /// # Errors
    /// Another process serves it; the lock file cannot be created.
    pub fn lock(file: &Path, url: &str) -> Result<Self> {
        let path = lock_path(file);
        crate::place::create_parent_folders(&path)?;

        FileLock::acquire(&path, &format!("at {url}"))
            .map(Self)
            .map_err(|failure| match failure {
                LockFailure::Held(holder) => is_served(file, &holder),
                LockFailure::Shared => is_open(file),
                LockFailure::Io(error) => {
                    Error::failed(format!("cannot lock `{}`: {error}", path.display()))
                        .with_source(error)
                }
            })
    }
}

/// A database file that this process has opened without serving it, until it is dropped. Other processes may do the same.
#[derive(Debug)]
pub(super) struct OpenFile(
    #[expect(dead_code, reason = "released on drop")] Option<SharedFileLock>,
);

impl OpenFile {
    /// Keeps `servedb` from serving a database file.
    ///
    /// # Errors
    /// Another process serves it.
    pub(super) fn lock(file: &Path) -> Result<Self> {
        let path = lock_path(file);
        crate::place::create_parent_folders(&path)?;

        match SharedFileLock::acquire(&path) {
            Ok(lock) => Ok(Self(Some(lock))),
            Err(LockFailure::Held(holder)) => Err(is_served(file, &holder)),
            // Opening the database fails as well, if its folder is not writable.
            Err(LockFailure::Io(_) | LockFailure::Shared) => Ok(Self(None)),
        }
    }
}

fn lock_path(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(LOCK_SUFFIX);
    path.into()
}

fn is_served(file: &Path, holder: &str) -> Error {
    let error = Error::failed(format!(
        "the embedded database {} is served by servedb, {holder}",
        file.display()
    ));

    match holder.split_once(URL_PREFIX) {
        Some((_, rest)) => error.with_hint(format!(
            "use http://{rest} as the endpoint, or stop that process"
        )),
        None => error.with_hint("stop that process"),
    }
}

fn is_open(file: &Path) -> Error {
    Error::failed(format!(
        "the embedded database {} is open in another process: dumpdb, restoredb, copydb or verifydb",
        file.display()
    ))
    .with_hint("start servedb when that command has ended")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_other_commands_have_opened_is_not_served() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("local.db");
        let open = [OpenFile::lock(&file), OpenFile::lock(&file)];
        let error = ServedFile::lock(&file, "http://localhost:4566").unwrap_err();
        assert!(error.to_string().contains("local.db is open"), "{error}");

        drop(open);
        ServedFile::lock(&file, "http://localhost:4566").unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_served_file_is_refused_with_the_url_to_use_until_it_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("local.db");
        OpenFile::lock(&file).unwrap();

        let served = ServedFile::lock(&file, "http://localhost:4566").unwrap();
        for error in [
            OpenFile::lock(&file).unwrap_err(),
            ServedFile::lock(&file, "http://localhost:8000").unwrap_err(),
        ] {
            assert_eq!(
                error.hint(),
                Some("use http://localhost:4566 as the endpoint, or stop that process")
            );
        }

        drop(served);
        OpenFile::lock(&file).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
