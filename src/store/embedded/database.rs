//! A database of the embedded engine: opened from its file, or built in memory and then used as it is or published as a
//! file.

use std::path::Path;

use bytes::Bytes;
use dynoxide::Database;

use crate::error::{Error, Result};
use crate::place;
use crate::schema::CreateTable;
use crate::store::write::batch_body;

/// An open database of the embedded engine. Clones share it.
#[derive(Clone)]
pub struct EmbeddedDatabase(pub(super) Database);

impl EmbeddedDatabase {
    /// Creates an empty database.
    ///
    /// # Errors
    /// The engine fails.
    pub fn in_memory() -> Result<Self> {
        Database::memory()
            .map(Self)
            .map_err(|error| unusable_database("in memory", error))
    }

    /// Opens a database file, and creates it if it does not exist.
    ///
    /// # Errors
    /// The file cannot be created, or is not a database of this engine.
    pub fn open(file: &Path) -> Result<Self> {
        if !file.exists() {
            Self::in_memory()?.publish(file)?;
        }

        let path = path_str(file)?;
        Database::new(path)
            .map(Self)
            .map_err(|error| unusable_database(path, error))
    }

    /// Creates a table.
    ///
    /// # Errors
    /// The engine rejects the request.
    pub fn create_table(&self, request: &CreateTable) -> Result<()> {
        let request = serde_json::from_slice(&request.body).map_err(rejected)?;
        self.0.create_table(request).map(drop).map_err(rejected)
    }

    /// Writes items into a table, at most 25.
    ///
    /// # Errors
    /// The engine rejects the request.
    pub fn write(&self, table: &str, items: &[Bytes]) -> Result<()> {
        let request = serde_json::from_slice(&batch_body(table, items)).map_err(rejected)?;
        self.0.batch_write_item(request).map(drop).map_err(rejected)
    }

    /// Creates a database file with this content, atomically and durably, unless the file exists.
    /// Returns whether it was created.
    ///
    /// The file is in `SQLite`'s WAL mode before it has its name. The engine sets this mode whenever
    /// it opens a file, but of two processes that change the mode at the same moment, one fails with
    /// "database is locked" without waiting.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn publish(&self, file: &Path) -> Result<bool> {
        place::create_unless_exists(file, |partial| {
            let path = path_str(partial)?;
            self.0
                .vacuum_into(path)
                .and_then(|()| Database::new(path))
                .map(drop)
                .map_err(|error| unusable_database(path, error))
        })
    }
}

fn rejected(error: impl std::fmt::Display) -> Error {
    Error::failed(error.to_string())
}

pub(super) fn path_str(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| {
        Error::environment(format!(
            "the path of the embedded database is not UTF-8: {}",
            path.display()
        ))
    })
}

pub(super) fn unusable_database(what: &str, error: impl std::fmt::Display) -> Error {
    Error::failed(format!(
        "the embedded database {what} cannot be used: {error}"
    ))
    .with_hint("check that it is a database of this engine and that the folder is writable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_file_is_in_wal_mode_and_has_no_files_next_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new.db");
        assert!(
            EmbeddedDatabase::in_memory()
                .unwrap()
                .publish(&file)
                .unwrap()
        );

        // Bytes 18 and 19 of a database are its write and read versions: 2 is WAL.
        let content = std::fs::read(&file).unwrap();
        assert_eq!(content[18..20], [2, 2]);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
