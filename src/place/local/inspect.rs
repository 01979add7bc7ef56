//! Whether files can be created in a folder, and how much space it has. Changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};

/// A folder that exists or will be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FolderState {
    /// The folder, or the nearest one above it that exists.
    pub(crate) nearest: PathBuf,
    /// Whether the folder itself exists.
    pub(crate) exists: bool,
    /// The permissions of `nearest`.
    pub(crate) mode: u32,
    /// Why files cannot be created in `nearest`; `None` if they can.
    pub(crate) refusal: Option<String>,
    /// Space that this user may fill, in bytes, if the file system tells it.
    pub(crate) free_bytes: Option<u64>,
}

/// The state of `folder`, which need not exist. `None` if nothing above it can be read.
pub(crate) fn folder_state(folder: &Path) -> Option<FolderState> {
    let absolute = std::path::absolute(folder).ok()?;
    let (nearest, found) = absolute
        .ancestors()
        .find_map(|path| Some((path, fs::metadata(path).ok()?)))?;
    let free_bytes = statvfs(nearest)
        .ok()
        .map(|found| found.f_bavail.saturating_mul(found.f_frsize));

    Some(FolderState {
        nearest: nearest.to_owned(),
        exists: nearest == absolute,
        mode: found.permissions().mode() & 0o7777,
        refusal: if found.is_dir() {
            refusal(nearest)
        } else {
            Some("it is not a folder".to_owned())
        },
        free_bytes,
    })
}

/// Why this process cannot create files in a folder.
fn refusal(folder: &Path) -> Option<String> {
    let needed = Access::WRITE_OK | Access::EXEC_OK;
    let answer = accessat(CWD, folder, needed, AtFlags::EACCESS);

    answer
        .err()
        .map(|errno| std::io::Error::from(errno).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_folder_has_the_state_of_the_one_above_it() {
        let dir = tempfile::tempdir().unwrap();
        let existing = folder_state(dir.path()).unwrap();
        assert!(existing.exists && existing.refusal.is_none());
        let missing = folder_state(&dir.path().join("a/b")).unwrap();
        assert_eq!(
            missing,
            FolderState {
                exists: false,
                free_bytes: missing.free_bytes,
                ..existing
            }
        );
    }

    #[test]
    fn nothing_can_be_created_below_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        super::super::files::create_file(&file, super::super::files::Access::Shared).unwrap();

        let state = folder_state(&dir.path().join("file/below")).unwrap();
        assert_eq!(state.refusal.as_deref(), Some("it is not a folder"));
    }
}
