//! Reads a set: the manifest and the folders of its tables.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::manifest::{MemberDump, SET_FILE, SetManifest, SetMember};
use crate::backup::folder::{UnpublishedSet, find_unpublished_set, resolve_path};
use crate::backup::format::METADATA_FILE;
use crate::error::{Error, Result};
use crate::place::digest::hex_sha256;
use crate::place::local::files::io_error;
use crate::place::local::untrusted::read_document;

/// A set on disk.
#[derive(Debug, Clone)]
pub struct DumpSet {
    path: PathBuf,
    manifest: SetManifest,
    warning: Option<String>,
}

impl DumpSet {
    /// Opens a set; `None` if `path` is not a folder with a manifest. A set that was finished and not moved to `path` before its run
    /// ended is opened where it is.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged): the manifest was changed after it was written, or is of a newer format; I/O errors.
    pub fn find(path: &Path) -> Result<Option<Self>> {
        if let Some(manifest) = SetManifest::read(path)? {
            return Ok(Some(Self {
                path: path.to_owned(),
                manifest,
                warning: None,
            }));
        }

        let target = resolve_path(path).ok();
        let unpublished = target.and_then(|target| find_unpublished_set(&target));

        Ok(unpublished.map(|UnpublishedSet { partial, manifest }| Self {
            warning: Some(format!(
                "the set was finished but not moved to its final location; reading it from `{}`",
                partial.display()
            )),
            path: partial,
            manifest,
        }))
    }

    /// Where the set is, if it is not in its folder.
    #[must_use]
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
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

        // The usual case, in which the metadata need not be parsed here.
        if let Some(listed) = &member.dump
            && has_metadata(&folder, &listed.metadata_sha256)
        {
            return Ok(folder);
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

/// Whether the metadata in a folder has this digest.
fn has_metadata(folder: &Path, sha256: &str) -> bool {
    let document = read_document(&folder.join(METADATA_FILE)).ok().flatten();

    document.is_some_and(|document| hex_sha256(&document) == sha256)
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
