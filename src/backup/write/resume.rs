//! What an interrupted run left, and how to go on with it: found, held against its checkpoint, cut where that ends.
//!
//! Nothing is changed before the bytes on disk have proved to be those that the checkpoint counts.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::target::DumpTarget;
use crate::backup::checkpoint::{CheckpointPaths, DumpCheckpoint, RESTART_HINT};
use crate::backup::folder::remove_dump;
use crate::backup::folder::{partial_folders, resolve_path};
use crate::backup::format::{DataFile, dump_file_names};
use crate::backup::lock::is_held;
use crate::error::{Error, Result};
use crate::place::digest::finalize_hex;
use crate::place::local::files::{io_error, open_partial, remove_file, sync_folder, truncate};
use crate::place::local::names::{PARTIAL_SUFFIX, sibling};

/// Bytes that are read at once.
const CHUNK: usize = 1024 * 1024;

/// Hears how many more bytes were looked at, and may stop that.
pub type ProgressFn<'a> = &'a mut dyn FnMut(u64) -> Result<()>;

impl DumpTarget {
    /// The checkpoint of an interrupted run into this target. Nothing is changed. A run that is under way is not interrupted.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged): the checkpoint is damaged or of another version; the system's refusals.
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

/// The data file that an interrupted run into the resolved target has begun.
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

/// A data file that can be gone on with: it ends where the checkpoint's count ends.
pub(crate) struct PartialDataFile {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    /// Has seen all of it.
    pub(crate) hasher: Sha256,
}

impl PartialDataFile {
    /// Opens what an interrupted run into the resolved target left. The lock is held.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged): it is not what the checkpoint counts; another run has been there meanwhile; what
    /// `watch` says; the system's refusals.
    pub(crate) fn reopen(
        kind: &DumpTarget,
        target: &Path,
        places: &CheckpointPaths,
        checkpoint: &DumpCheckpoint,
        watch: ProgressFn<'_>,
    ) -> Result<Self> {
        if places.read()?.as_ref() != Some(checkpoint) {
            return Err(Error::failed(format!(
                "another run has written to `{}` meanwhile",
                target.display()
            ))
            .with_hint("run the same command again"));
        }

        let gone = || damaged(target, "its data file is missing");
        let path = partial_data_path(kind, target, checkpoint).ok_or_else(gone)?;
        let mut file = open_partial(&path)?.ok_or_else(gone)?;
        let hasher = hash_existing(&mut file, &path, checkpoint, watch)?;
        if let DumpTarget::Folder(_) = kind {
            remove_documents(target, &path)?;
        }

        truncate(&mut file, checkpoint.file_bytes())
            .map_err(|error| io_error("cut", &path, error))?;

        Ok(Self { path, file, hasher })
    }
}

/// Reads the counted bytes, and sees that they are what they were.
fn hash_existing(
    file: &mut File,
    path: &Path,
    checkpoint: &DumpCheckpoint,
    watch: ProgressFn<'_>,
) -> Result<Sha256> {
    let (mut hasher, mut buffer, mut left) =
        (Sha256::new(), vec![0; CHUNK], checkpoint.file_bytes());
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        match file.read(&mut buffer[..most]) {
            Ok(0) => {
                return Err(damaged(
                    path,
                    "its data file is shorter than the checkpoint says",
                ));
            }
            Ok(read) => {
                hasher.update(&buffer[..read]);
                left -= read as u64;
                watch(read as u64)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(io_error("read", path, error)),
        }
    }

    if finalize_hex(hasher.clone()) == checkpoint.counted.sha256 {
        Ok(hasher)
    } else {
        Err(damaged(
            path,
            "its data file was changed since the checkpoint was made",
        ))
    }
}

/// Leaves nothing but the data file, so that no crash from here on leaves what looks finished.
fn remove_documents(target: &Path, data: &Path) -> Result<()> {
    let folder = data.parent().unwrap_or(target);
    let others = dump_file_names()
        .map(|name| folder.join(name))
        .filter(|path| path != data);
    others.into_iter().try_for_each(|path| remove_file(&path))?;
    sync_folder(folder)?;
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
