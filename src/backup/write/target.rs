//! Targets of a dump: a folder, a file of items or standard output, and how it is written there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::backup::folder::{TargetContents, inspect_target, resolve_path};
use crate::backup::format::{Compression, DataFile, DataFormat};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::limits::MemoryShare;
use crate::place::Access;
use crate::place::local::files::{create_folders, io_error};

/// Target of a dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpTarget {
    /// A folder of four files.
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

    /// Inspects the target without changing it.
    ///
    /// # Errors
    /// A target that [`DumpWriter::begin`](crate::backup::DumpWriter::begin) would refuse.
    pub fn contents(&self) -> Result<TargetContents> {
        match self {
            Self::Folder(path) => inspect_target(&resolve_path(path)?),
            Self::File(path) => inspect_file_target(&resolve_path(path)?),
            Self::Stdout => Ok(TargetContents::Absent),
        }
    }
}

/// Options for writing a dump.
#[derive(Debug, Clone, Default)]
pub struct DumpOptions {
    /// Layout of the items. Files and streams of items are always JSON Lines.
    pub format: DataFormat,
    /// Compression of the data. For a file, its name decides.
    pub compression: Compression,
    /// Write no data file.
    pub schema_only: bool,
    /// Permissions of the files.
    pub access: Access,
    /// The program's state directory, for the lock and the journal if they cannot be created next to
    /// the dump.
    pub state_dir: Option<PathBuf>,
    /// The memory that the writer may use.
    pub memory: MemoryShare,
}

impl DumpOptions {
    /// The data file of a dump folder.
    pub(crate) fn data_file(&self) -> DataFile {
        DataFile {
            format: self.format,
            compression: self.compression,
        }
    }
}

/// Resolves a target's path, inspects it, and creates its parent folders.
pub(crate) fn prepare_target(
    path: &Path,
    look: fn(&Path) -> Result<TargetContents>,
) -> Result<PathBuf> {
    let target = resolve_path(path)?;
    look(&target)?;
    if let Some(parent) = target.parent() {
        create_folders(parent, Access::Shared)?;
    }

    // Again, because the parent folders exist only now.
    resolve_path(&target)
}

pub(crate) fn inspect_file_target(target: &Path) -> Result<TargetContents> {
    match fs::metadata(target) {
        Ok(found) if found.is_file() => Ok(TargetContents::Dump(None)),
        Ok(_) => Err(
            Error::usage(format!("`{}` is not a regular file", target.display())).with_hint(
                format!(
                    "choose another {target}; `{target} -` writes to standard output",
                    target = Field::Target
                ),
            ),
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
        Error::usage(format!(
            "`{}` does not have a name that fits its format",
            path.display()
        ))
        .with_hint("name a file *.jsonl, *.jsonl.gz or *.jsonl.zst, or a folder for a dump")
    })
}
