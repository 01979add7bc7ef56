//! The sample of an environment.

use std::path::PathBuf;

/// Dump from which the embedded engine creates a missing database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sample {
    /// A dump folder.
    Folder(PathBuf),
    /// The dump that this program contains.
    BuiltIn,
}
