//! Resuming an interrupted dump: find its data file, verify it against the checkpoint, truncate it.
//!
//! Nothing is changed before the bytes on disk are verified.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::Sha256;

use super::target::DumpTarget;
use crate::backup::checkpoint::{CheckpointPaths, DumpCheckpoint, RESTART_HINT};
use crate::backup::folder::{partial_folders, remove_dump, resolve_path};
use crate::backup::format::{DataFile, dump_file_names};
use crate::backup::lock::is_held;
use crate::error::{Error, Result};
use crate::place::digest::finalize_hex;
use crate::place::local::files::{remove_file, sync_folder};
use crate::place::local::names::{PARTIAL_SUFFIX, sibling};
use crate::place::output::{Output, PartialOutput};

/// Receives the number of bytes verified since the last call. An error stops the verification.
pub type ProgressFn<'a> = &'a mut dyn FnMut(u64) -> Result<()>;

impl DumpTarget {
    /// Finds the checkpoint of an interrupted dump to this target. Changes nothing. `None` if a run
    /// is writing the target.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged): the checkpoint is damaged or of another
    /// version; I/O errors.
    pub fn unfinished(&self, state_dir: Option<&Path>) -> Result<Option<DumpCheckpoint>> {
        let (Self::Folder(path) | Self::File(path)) = self else {
            return Ok(None);
        };

        let target = resolve_path(path)?;
        if is_held(&target, state_dir) {
            return Ok(None);
        }

        let Some(checkpoint) = CheckpointPaths::for_dump(&target, state_dir).read()? else {
            return Ok(None);
        };

        Ok(partial_data_path(self, &target, &checkpoint).map(|_| checkpoint))
    }
}

/// The data file of an interrupted dump to this target.
fn partial_data_path(
    kind: &DumpTarget,
    target: &Path,
    checkpoint: &DumpCheckpoint,
) -> Option<PathBuf> {
    let is_there = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
    let data = DataFile {
        format: checkpoint.origin.format,
        compression: checkpoint.origin.compression,
    };
    match kind {
        DumpTarget::Folder(_) => partial_folders(target)
            .map(|folder| folder.join(data.name()))
            .find(is_there),
        DumpTarget::File(_) => sibling(target, PARTIAL_SUFFIX).filter(is_there),
        DumpTarget::Stdout => None,
    }
}

/// A data file truncated to the bytes that its checkpoint counts.
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
    /// [`Damaged`](crate::error::ErrorKind::Damaged): the data does not match the checkpoint;
    /// another run has written to it meanwhile; what `watch` says; I/O errors.
    pub(crate) fn reopen(
        kind: &DumpTarget,
        target: &Path,
        places: &CheckpointPaths,
        checkpoint: &DumpCheckpoint,
        watch: ProgressFn<'_>,
    ) -> Result<Self> {
        // The plan read the checkpoint without the lock: compare again under the lock.
        if places.read()?.as_ref() != Some(checkpoint) {
            return Err(Error::failed(format!(
                "another run has written to `{}` meanwhile",
                target.display()
            ))
            .with_hint("run the same command again"));
        }

        let gone = || damaged(target, "its data file is missing");
        let path = partial_data_path(kind, target, checkpoint).ok_or_else(gone)?;
        let mut partial = PartialOutput::open(&path)?.ok_or_else(gone)?;
        let hasher = hash_existing(&mut partial, &path, checkpoint, watch)?;
        if let DumpTarget::Folder(_) = kind {
            remove_documents(target, &path)?;
        }

        let output = partial.truncate(checkpoint.file_bytes())?;

        Ok(Self {
            path,
            output,
            hasher,
        })
    }
}

/// Hashes the counted bytes and compares them with the checkpoint.
fn hash_existing(
    output: &mut PartialOutput,
    path: &Path,
    checkpoint: &DumpCheckpoint,
    watch: ProgressFn<'_>,
) -> Result<Sha256> {
    let hasher = output
        .hash_beginning(checkpoint.file_bytes(), watch)?
        .ok_or_else(|| damaged(path, "its data file is shorter than the checkpoint says"))?;

    if finalize_hex(hasher.clone()) == checkpoint.counted.sha256 {
        Ok(hasher)
    } else {
        Err(damaged(
            path,
            "its data file was changed since the checkpoint was made",
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
    .with_hint(RESTART_HINT)
}

#[cfg(test)]
mod tests;
