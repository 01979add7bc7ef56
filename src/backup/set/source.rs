//! Reads a set: the manifest and the folders of its tables.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::manifest::{MemberDump, SET_FILE, SetManifest, SetMember};
use crate::backup::format::METADATA_FILE;
use crate::error::{Error, Result};
use crate::place::local::files::io_error;

/// A set on disk.
#[derive(Debug, Clone)]
pub struct DumpSet {
    path: PathBuf,
    manifest: SetManifest,
}

impl DumpSet {
    /// Opens a set; `None` if `path` is not a folder with a manifest.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged): the manifest was changed after it was written, or is of a newer format; I/O errors.
    pub fn find(path: &Path) -> Result<Option<Self>> {
        let manifest = SetManifest::read(path)?;

        Ok(manifest.map(|manifest| Self {
            path: path.to_owned(),
            manifest,
        }))
    }

    /// The folder of the set.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &SetManifest {
        &self.manifest
    }

    /// The folder with the dump of a table, which can be opened as a source. It is checked that the dump is the one in the manifest;
    /// while a run has not finished, it may also be a newer one.
    ///
    /// # Errors
    /// [`NotFound`](crate::error::ErrorKind::NotFound): the table is not in the set;
    /// [`Damaged`](crate::error::ErrorKind::Damaged): the folder is missing or is a link, or has another dump.
    pub fn member(&self, table: &str) -> Result<PathBuf> {
        let Some(member) = self.manifest.tables.get(table) else {
            return Err(Error::not_found(format!(
                "the set in `{}` has no table {table:?}",
                self.path.display()
            )));
        };

        let folder = self.path.join(&member.folder);
        match fs::symlink_metadata(&folder) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => {
                return Err(damaged(format!(
                    "`{}` is not a folder, or a symbolic link to one",
                    folder.display()
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(missing(table, member, &folder));
            }
            Err(error) => return Err(io_error("open", &folder, error)),
        }

        let found = MemberDump::read(&folder, table).map(|(dump, _)| dump);
        match (&member.dump, found) {
            (_, None) => Err(damaged(format!(
                "`{}` has no intact {METADATA_FILE} of table {table:?}",
                folder.display()
            ))),
            (Some(listed), Some(found)) if *listed == found => Ok(folder),
            (_, Some(_)) if self.manifest.finished_at.is_none() && member.is_pending() => Ok(folder),
            _ => Err(damaged(format!(
                "`{}` contains another dump of table {table:?} than {SET_FILE} lists",
                folder.display()
            ))
            .with_hint("the dump may have been replaced on its own: check and restore it from its folder, or dump the set again")),
        }
    }
}

fn missing(table: &str, member: &SetMember, folder: &Path) -> Error {
    match (&member.dump, &member.error) {
        (None, Some(error)) => damaged(format!("table {table:?} was not dumped: {error}")),
        (None, None) => damaged(format!(
            "table {table:?} was not dumped: dumpdb was interrupted"
        )),
        (Some(_), _) => Error::damaged(format!("`{}` is missing", folder.display()))
            .with_hint("use another copy of the set"),
    }
}

fn damaged(what: String) -> Error {
    Error::damaged(what).with_hint("dump the table again, or use another copy of the set")
}
