//! Durable changes to the file system. The only file that creates, renames or removes files.
//!
//! It makes no decisions. A change is durable when its function has returned, and [`sync_folder`]
//! for names. New files never follow a symbolic link and never overwrite.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::names::{PARTIAL_SUFFIX, sibling};
use crate::error::{Error, Result};

/// Permissions of new files and folders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// As the process's umask allows.
    #[default]
    Shared,
    /// The owner only: files 0600, folders 0700.
    Private,
}

impl Access {
    fn file_mode(self) -> u32 {
        match self {
            Self::Shared => 0o666,
            Self::Private => 0o600,
        }
    }

    fn folder_mode(self) -> u32 {
        match self {
            Self::Shared => 0o777,
            Self::Private => 0o700,
        }
    }
}

/// Creates a file; fails if it exists.
///
/// # Errors
/// An I/O error, with the path.
pub(crate) fn create_file(path: &Path, access: Access) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(access.file_mode())
        .open(path)
        .map_err(|error| io_error("create", path, error))
}

/// Creates a file with this content and syncs it; fails if it exists.
///
/// # Errors
/// An I/O error, with the path.
pub(crate) fn write_file(path: &Path, content: &[u8], access: Access) -> Result<()> {
    let mut file = create_file(path, access)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(|error| io_error("write", path, error))
}

/// Opens a lock file for reading and writing, creating it with mode 0600. Does not follow a
/// symbolic link.
pub(crate) fn open_lock_file(path: &Path) -> io::Result<File> {
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).expect("the flag is a small constant");
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(no_follow)
        .open(path)
}

/// Opens a file for reading. Does not follow a symbolic link.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    // Without `NONBLOCK`, opening a pipe would wait for its other end.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits())
        .expect("the flags are small constants");
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Opens an existing file for writing. Does not follow a symbolic link.
pub(crate) fn open_existing_to_write(path: &Path) -> io::Result<File> {
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).expect("the flag is a small constant");
    OpenOptions::new()
        .write(true)
        .custom_flags(no_follow)
        .open(path)
}

/// Opens an existing file for writing at its end. Does not follow a symbolic link.
pub(crate) fn open_to_append(path: &Path) -> io::Result<File> {
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).expect("the flag is a small constant");
    OpenOptions::new()
        .append(true)
        .custom_flags(no_follow)
        .open(path)
}

/// Creates a folder; fails if it exists.
pub(crate) fn create_folder(path: &Path, access: Access) -> io::Result<()> {
    DirBuilder::new().mode(access.folder_mode()).create(path)
}

/// Creates a folder and the missing folders above it, with these permissions, and syncs their
/// names.
///
/// # Errors
/// An I/O error, with the path.
pub(crate) fn create_folders(path: &Path, access: Access) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }

    let missing = path
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .count();
    let made = DirBuilder::new()
        .recursive(true)
        .mode(access.folder_mode())
        .create(path);
    made.map_err(|error| io_error("create the folder", path, error))?;
    let above = path.ancestors().skip(1).take(missing);
    above
        .filter(|folder| !folder.as_os_str().is_empty())
        .try_for_each(sync_folder)
}

/// Opens a partly written file for reading and writing. Does not follow a symbolic link. `None` if
/// there is no such file.
///
/// # Errors
/// An I/O error; something that is not a regular file.
pub(crate) fn open_partial(path: &Path) -> Result<Option<File>> {
    // Without `NONBLOCK`, opening a pipe would wait for its other end.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits())
        .expect("the flags are small constants");
    let file = match OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags)
        .open(path)
    {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| io_error("open", path, error))?,
    };

    let found = file
        .metadata()
        .map_err(|error| io_error("open", path, error))?;
    if !found.is_file() {
        return Err(Error::failed(format!(
            "`{}` is not a regular file",
            path.display()
        )));
    }

    Ok(Some(file))
}

/// Truncates a file to this length, syncs it and seeks to its end.
///
/// # Errors
/// An I/O error.
pub(crate) fn truncate(file: &mut File, length: u64) -> io::Result<()> {
    file.set_len(length)?;
    file.sync_all()?;
    file.seek(SeekFrom::Start(length)).map(drop)
}

/// Replaces a file atomically: mode 0600, synced when this returns. The temporary name is fixed, so
/// only one process may do this at a time.
///
/// # Errors
/// An I/O error. The old file then still exists.
pub fn replace_file(path: &Path, content: &[u8]) -> Result<()> {
    let partial = sibling(path, PARTIAL_SUFFIX)
        .ok_or_else(|| io_error("write", path, io::ErrorKind::InvalidInput.into()))?;
    replace_with(&partial, path, |partial| {
        write_file(partial, content, Access::Private)
    })
}

/// Lets `make` create a file named `partial`, then renames it to `path`, replacing an existing
/// file. The name is synced when this returns; `make` syncs the content.
///
/// # Errors
/// Errors of `make`; I/O errors. The old file then still exists.
pub(crate) fn replace_with(
    partial: &Path,
    path: &Path,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    remove_file(partial)?;
    let put = make(partial).and_then(|()| rename(partial, path));
    if put.is_err() {
        // Free the space: the disk may be full. The first error is the one to report.
        let _ = remove_file(partial);
    }

    put?;

    sync_folder(path.parent().unwrap_or(path))
}

/// Syncs the content of a file that another library has written.
///
/// # Errors
/// An I/O error, with the path.
pub(crate) fn sync_file(path: &Path) -> Result<()> {
    #[cfg(test)]
    test_syncs::record(path);

    open_existing_to_write(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| io_error("sync", path, error))
}

/// Syncs the names in a folder.
///
/// # Errors
/// An I/O error, with the path. File systems that cannot sync a folder are not an error: there is
/// nothing to wait for.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    #[cfg(test)]
    test_syncs::record(path);

    match File::open(path).and_then(|folder| folder.sync_all()) {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            Ok(())
        }
        other => other.map_err(|error| io_error("sync the folder", path, error)),
    }
}

/// Renames a file or folder, replacing an existing file.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to)
        .map_err(|error| io_error(&format!("rename to `{}`:", to.display()), from, error))
}

/// Renames a file unless `to` exists. Returns whether it was renamed.
///
/// # Errors
/// An I/O error, with the path.
pub(crate) fn rename_unless_exists(from: &Path, to: &Path) -> Result<bool> {
    let renamed = match rename_no_replace(from, to) {
        // Such as NFS. A second name can be created there, which never replaces a file either.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
            ) =>
        {
            link_unless_exists(from, to)
        }
        other => other,
    };

    match renamed {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(io_error(
            &format!("rename to `{}`:", to.display()),
            from,
            error,
        )),
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_no_replace(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn link_unless_exists(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// Exchanges two paths atomically.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(crate) fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// Not supported by this operating system.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Removes a file. A missing file is not an error.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        // A file with an invalid name cannot exist.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidFilename
            ) =>
        {
            Ok(())
        }
        other => other.map_err(|error| io_error("remove", path, error)),
    }
}

/// Removes an empty folder.
pub(crate) fn remove_empty_folder(path: &Path) -> Result<()> {
    fs::remove_dir(path).map_err(|error| io_error("remove the folder", path, error))
}

/// An error for a failed I/O operation on a path, with a hint for common causes.
pub(crate) fn io_error(action: &str, path: &Path, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free some space, or choose another folder")
        }
        io::ErrorKind::FileTooLarge => Some(
            "the size of files is limited there (`ulimit -f`, or the file system); choose another folder",
        ),
        io::ErrorKind::PermissionDenied if matches!(action, "open" | "read") => {
            Some("check its permissions")
        }
        io::ErrorKind::PermissionDenied => {
            Some("check the permissions of the folder, or choose another one")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("the file system is read-only; choose another folder")
        }
        _ => None,
    };

    let refusal =
        Error::failed(format!("cannot {action} `{}`: {error}", path.display())).with_source(error);
    match hint {
        Some(hint) => refusal.with_hint(hint),
        None => refusal,
    }
}

/// Records what a test's thread syncs by its path: whether a change is durable cannot be observed
/// without cutting the power.
#[cfg(test)]
pub(crate) mod test_syncs {
    use std::cell::RefCell;
    use std::path::{Path, PathBuf};

    thread_local! {
        static SYNCED: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn record(path: &Path) {
        SYNCED.with_borrow_mut(|synced| synced.push(path.to_owned()));
    }

    /// The paths synced since the last call.
    pub(crate) fn synced() -> Vec<PathBuf> {
        SYNCED.take()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_new_file_neither_overwrites_nor_follows_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("link"));
        write_file(&file, b"first", Access::Private).unwrap();
        assert!(write_file(&file, b"second", Access::Private).is_err());
        symlink(dir.path().join("elsewhere"), &link).unwrap();
        assert!(write_file(&link, b"x", Access::Private).is_err());
        assert!(open_lock_file(&link).is_err());
        assert_eq!(fs::read(&file).unwrap(), b"first");
        assert!(!dir.path().join("elsewhere").exists());
    }

    #[test]
    fn a_rename_that_must_not_replace_does_not_on_any_file_system() {
        for rename in [rename_no_replace, link_unless_exists] {
            let dir = tempfile::tempdir().unwrap();
            let (from, to) = (dir.path().join("from"), dir.path().join("to"));
            write_file(&from, b"first", Access::Shared).unwrap();
            rename(&from, &to).unwrap();
            assert!(!from.exists());
            write_file(&from, b"second", Access::Shared).unwrap();
            let refusal = rename(&from, &to).unwrap_err();
            assert_eq!(refusal.kind(), io::ErrorKind::AlreadyExists);
            assert!(!rename_unless_exists(&from, &to).unwrap());
            assert_eq!(fs::read(&to).unwrap(), b"first");
        }
    }

    #[test]
    fn private_files_are_readable_only_by_their_owner() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("file"), dir.path().join("folder"));
        write_file(&file, b"", Access::Private).unwrap();
        create_folder(&folder, Access::Private).unwrap();
        assert_eq!(
            fs::metadata(file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(
            fs::metadata(folder).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}
