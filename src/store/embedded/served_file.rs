//! The lock of a database file while `servedb` serves it: other commands use the URL instead, because the engine caches what it
//! knows of its tables.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::place::{FileLock, LockFailure};

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
                LockFailure::Io(error) => {
                    Error::failed(format!("cannot lock `{}`: {error}", path.display()))
                        .with_source(error)
                }
            })
    }

    /// Checks that no process serves a database file.
    ///
    /// # Errors
    /// Another process serves it.
    pub(crate) fn check(file: &Path) -> Result<()> {
        FileLock::holder(&lock_path(file)).map_or(Ok(()), |holder| Err(is_served(file, &holder)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_served_file_is_refused_with_the_url_to_use_until_it_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("local.db");
        ServedFile::check(&file).unwrap();

        let served = ServedFile::lock(&file, "http://localhost:4566").unwrap();
        for error in [
            ServedFile::check(&file).unwrap_err(),
            ServedFile::lock(&file, "http://localhost:8000").unwrap_err(),
        ] {
            assert_eq!(
                error.hint(),
                Some("use http://localhost:4566 as the endpoint, or stop that process")
            );
        }

        drop(served);
        ServedFile::check(&file).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
