//! Targets of a dump: a folder, a file of items or standard output, and how it is written there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::backup::checkpoint::DumpOrigin;
use crate::backup::folder::{TargetContents, inspect_target, resolve_path};
use crate::backup::format::{Compression, DataFile, DataFormat};
use crate::error::{Error, Result};
use crate::place::Access;
use crate::place::local::files::{create_folders, io_error};

/// Where a dump goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpTarget {
    /// A folder with the four files.
    Folder(PathBuf),
    /// One file of items: `*.jsonl`, `*.jsonl.gz` or `*.jsonl.zst`.
    File(PathBuf),
    /// JSON Lines on standard output.
    Stdout,
}

impl DumpTarget {
    /// A dump folder.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self::Folder(path.into())
    }

    /// A file of items; see [`DataFile::for_item_file`] for the names it may have.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }

    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::Stdout
    }

    /// What stands there now. Nothing is changed.
    ///
    /// # Errors
    /// A target that [`DumpWriter::begin`] would refuse.
    pub fn contents(&self) -> Result<TargetContents> {
        match self {
            Self::Folder(path) => inspect_target(&resolve_path(path)?),
            Self::File(path) => inspect_file_target(&resolve_path(path)?),
            Self::Stdout => Ok(TargetContents::Absent),
        }
    }
}

/// How a dump is written.
#[derive(Debug, Clone, Default)]
pub struct DumpOptions {
    /// How items are laid out. Files and streams of items are always JSON Lines.
    pub format: DataFormat,
    /// How the data is compressed. A file's name decides for itself.
    pub compression: Compression,
    /// Write no data file: the dump is of the schema alone.
    pub schema_only: bool,
    /// Who may read it.
    pub access: Access,
    /// The program's folder in the user's state directory, for lock and checkpoint where they cannot stand beside the dump.
    pub state_dir: Option<PathBuf>,
    /// What is dumped, so that the run can be gone on with after an interruption; without it no checkpoint is made.
    pub origin: Option<DumpOrigin>,
}

/// Resolves a target's path, looks at what is there, and makes the folders above it.
pub(crate) fn prepare_target(
    path: &Path,
    look: fn(&Path) -> Result<TargetContents>,
) -> Result<PathBuf> {
    let target = resolve_path(path)?;
    look(&target)?;
    if let Some(parent) = target.parent() {
        create_folders(parent, Access::Shared)?;
    }

    resolve_path(&target)
}

pub(crate) fn inspect_file_target(target: &Path) -> Result<TargetContents> {
    match fs::metadata(target) {
        Ok(found) if found.is_file() => Ok(TargetContents::Dump(None)),
        Ok(_) => Err(
            Error::usage(format!("`{}` is not a regular file", target.display()))
                .with_hint("choose another --output; `--output -` writes to standard output"),
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(TargetContents::Absent),
        Err(error) => Err(io_error("open", target, error)),
    }
}

pub(crate) fn item_file_kind(path: &Path, options: &DumpOptions) -> Result<DataFile> {
    let kind = DataFile::for_item_file(path).filter(|kind| {
        !options.schema_only
            && (options.compression == Compression::None || options.compression == kind.compression)
    });
    kind.ok_or_else(|| {
        Error::usage(format!("`{}` cannot be written as asked: its name decides what it holds", path.display()))
            .with_hint("a file of items is named *.jsonl, *.jsonl.gz or *.jsonl.zst; name a folder for a whole dump")
    })
}
