//! Contents of folders, and folders that cannot be replaced.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A name in a folder.
pub(crate) struct FolderEntry {
    pub(crate) name: OsString,
    pub(crate) path: PathBuf,
    /// Whether it is a folder. A symbolic link to one is not.
    pub(crate) is_folder: bool,
}

/// The names in a folder, in any order.
///
/// # Errors
/// The folder cannot be read. So does the iterator if reading fails later.
pub(crate) fn entries(
    folder: &Path,
) -> io::Result<impl Iterator<Item = io::Result<FolderEntry>> + use<>> {
    let entries = fs::read_dir(folder)?;

    Ok(entries.map(|entry| {
        entry.map(|entry| FolderEntry {
            name: entry.file_name(),
            path: entry.path(),
            is_folder: entry.file_type().is_ok_and(|kind| kind.is_dir()),
        })
    }))
}

/// Whether a file system is mounted at this folder: it then cannot be renamed or replaced.
pub(crate) fn is_mount_point(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
    let Some(parent) = folder.parent() else {
        return true;
    };

    device(folder).is_some_and(|device_of_folder| {
        Some(device_of_folder) != device(parent) || is_mount_root(folder)
    })
}

#[cfg(target_os = "linux")]
fn is_mount_root(folder: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

    statx(CWD, folder, AtFlags::empty(), StatxFlags::BASIC_STATS)
        .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(not(target_os = "linux"))]
fn is_mount_root(_folder: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_and_mounted_file_systems_are_mount_points() {
        assert!(is_mount_point(Path::new("/")));
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_mount_point(dir.path()));

        if Path::new("/proc/self").exists() {
            assert!(is_mount_point(Path::new("/proc")));
        }
    }
}
