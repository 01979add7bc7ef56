//! A file for both sides of a copy: `SRC_AWS_…`, `DEST_AWS_…`, and which tables are copied to which names.

use std::path::{Path, PathBuf};

use super::file::EnvFile;
use super::keys::{self, KeySet};
use crate::error::{Error, Result};

/// A side of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopySide {
    /// The table that is read.
    Source,
    /// The table that is written.
    Target,
}

/// One side in a file for both sides of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideInFile {
    /// The file, relative to the working directory.
    pub path: PathBuf,
    /// The side.
    pub side: CopySide,
}

/// The values in a file for both sides of a copy that belong to neither.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyFile {
    /// The tables to copy, as the file lists them.
    pub tables: Option<String>,
    /// The prefix that is removed from the names of tables.
    pub source_prefix: Option<String>,
    /// The prefix that is added to the names of tables.
    pub target_prefix: Option<String>,
}

impl CopySide {
    /// The name of the environment.
    pub(crate) fn environment_name(self) -> &'static str {
        match self {
            Self::Source => "src",
            Self::Target => "dest",
        }
    }

    pub(crate) fn keys(self) -> KeySet {
        match self {
            Self::Source => KeySet::Source,
            Self::Target => KeySet::Target,
        }
    }
}

impl CopyFile {
    /// Reads a file, relative to `working_dir`.
    ///
    /// # Errors
    /// It cannot be read, or does not parse.
    pub fn read(path: &Path, working_dir: &Path) -> Result<Self> {
        let file = EnvFile::read_keys(&working_dir.join(path), path, KeySet::Tables)?;
        let value = |key| file.get(key).map(|found| found.value);

        Ok(Self {
            tables: value(keys::TABLES_TO_MIGRATE),
            source_prefix: value(keys::SOURCE_PREFIX),
            target_prefix: value(keys::TARGET_PREFIX),
        })
    }
}

impl SideInFile {
    /// Checks that the file has credentials for this side.
    ///
    /// # Errors
    /// It cannot be read, or has no credentials for the side, or only half of them.
    pub fn check(&self, working_dir: &Path) -> Result<()> {
        let keys = self.side.keys();
        let file = EnvFile::read_keys(&working_dir.join(&self.path), &self.path, keys)?;
        if file.has(keys::PROFILE) {
            return Ok(());
        }

        let wanted = [keys::ACCESS_KEY_ID, keys::SECRET_ACCESS_KEY];
        let missing: Vec<_> = wanted
            .into_iter()
            .filter(|key| !file.has(key))
            .map(|key| keys.name_of(key))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }

        Err(Error::usage(format!(
            "{} does not set {}",
            self.path.display(),
            missing.join(" and ")
        ))
        .with_hint(format!(
            "add the access key, or {}",
            keys.name_of(keys::PROFILE)
        )))
    }
}
