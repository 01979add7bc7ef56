//! Resuming an interrupted dump: find its data file, verify it against the saved progress, truncate
//! it.
//!
//! Nothing is changed before the bytes on disk are verified.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::Sha256;

use super::target::DumpTarget;
use crate::backup::folder::{partial_folders, resolve_path};
use crate::backup::format::{DataFile, dump_file_names};
use crate::backup::progress::{DataFileState, restart_hint};
use crate::backup::removal::remove_dump;
use crate::error::{Error, Result};
use crate::place::JournalFile;
use crate::place::digest::finalize_hex;
use crate::place::local::files::{remove_file, sync_folder};
use crate::place::local::names::{PARTIAL_SUFFIX, sibling};
use crate::place::output::{Output, PartialOutput};

/// Receives the number of bytes verified since the last call. An error stops the verification.
pub type ProgressFn<'a> = &'a mut dyn FnMut(u64) -> Result<()>;

impl DumpTarget {
    /// The lock and the journal of a dump to this target. `None` for a stream.
    ///
    /// # Errors
    /// The path cannot be resolved.
    pub fn journal(&self, state_dir: Option<&Path>) -> Result<Option<JournalFile>> {
        match self {
            Self::Folder(path) | Self::File(path) => {
                resolve_path(path).map(|target| Some(JournalFile::of_dump(&target, state_dir)))
            }
            Self::Stdout => Ok(None),
        }
    }

    /// Whether an interrupted dump to this target has left this data file, or a file of items.
    #[must_use]
    pub fn has_partial_data(&self, data: DataFile) -> bool {
        let (Self::Folder(path) | Self::File(path)) = self else {
            return false;
        };

        resolve_path(path).is_ok_and(|target| partial_data_path(self, &target, data).is_some())
    }
}

/// The data file of an interrupted dump to this target.
fn partial_data_path(kind: &DumpTarget, target: &Path, data: DataFile) -> Option<PathBuf> {
    let is_there = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
    match kind {
        DumpTarget::Folder(_) => partial_folders(target)
            .map(|folder| folder.join(data.name()))
            .find(is_there),
        DumpTarget::File(_) => sibling(target, PARTIAL_SUFFIX).filter(is_there),
        DumpTarget::Stdout => None,
    }
}

/// A data file truncated to the bytes that the progress of its dump counts.
pub(crate) struct PartialDataFile {
    pub(crate) path: PathBuf,
    /// Writes after these bytes.
    pub(crate) output: Output,
    /// Has hashed all of the file.
    pub(crate) hasher: Sha256,
}

impl PartialDataFile {
    /// Opens the data file of an interrupted dump. The caller holds the lock.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged): the data does not match `counted`; what
    /// `watch` says; I/O errors.
    pub(crate) fn reopen(
        kind: &DumpTarget,
        target: &Path,
        data: DataFile,
        counted: &DataFileState,
        watch: ProgressFn<'_>,
    ) -> Result<Self> {
        let gone = || damaged(target, "its data file is missing");
        let path = partial_data_path(kind, target, data).ok_or_else(gone)?;
        let mut partial = PartialOutput::open(&path)?.ok_or_else(gone)?;
        let hasher = hash_existing(&mut partial, &path, counted, watch)?;
        if let DumpTarget::Folder(_) = kind {
            remove_documents(target, &path)?;
        }

        let output = partial.truncate(counted.file_bytes)?;

        Ok(Self {
            path,
            output,
            hasher,
        })
    }
}

/// Hashes the counted bytes and compares the digest with the saved one.
fn hash_existing(
    output: &mut PartialOutput,
    path: &Path,
    counted: &DataFileState,
    watch: ProgressFn<'_>,
) -> Result<Sha256> {
    let hasher = output
        .hash_beginning(counted.file_bytes, watch)?
        .ok_or_else(|| damaged(path, "its data file is shorter than the journal says"))?;

    if finalize_hex(hasher.clone()) == counted.sha256 {
        Ok(hasher)
    } else {
        Err(damaged(
            path,
            "its data file was changed since the journal was written",
        ))
    }
}

/// Removes everything but the data file, so that a crash from here on leaves nothing that looks
/// finished.
fn remove_documents(target: &Path, data: &Path) -> Result<()> {
    let folder = data.parent().unwrap_or(target);
    let others = dump_file_names()
        .map(|name| folder.join(name))
        .filter(|path| path != data);
    others.into_iter().try_for_each(|path| remove_file(&path))?;
    sync_folder(folder)?;
    // A data file exists in one of the two folders only; remove the other one.
    partial_folders(target)
        .filter(|other| other != folder && other.is_dir())
        .try_for_each(|other| remove_dump(&other))
}

fn damaged(place: &Path, what: &str) -> Error {
    Error::damaged(format!(
        "the interrupted dump `{}` cannot be resumed: {what}",
        place.display()
    ))
    .with_hint(restart_hint())
}

#[cfg(test)]
mod tests;
