//! Durable changes to the file system: the only place where files are made, renamed and removed.
//!
//! Nothing here decides anything. A change is durable when its function, and [`sync_folder`] for names, has returned. New files
//! never follow a symbolic link and never overwrite.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::names::{PARTIAL_SUFFIX, sibling};
use crate::error::{Error, Result};

/// Who may read what is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Access {
    /// What the process's umask leaves.
    #[default]
    Shared,
    /// The owner alone: files 0600, folders 0700.
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

/// Makes a file that must not exist.
///
/// # Errors
/// The system's refusal, with the path.
pub(crate) fn create_file(path: &Path, access: Access) -> Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(access.file_mode())
        .open(path)
        .map_err(|error| io_error("create", path, error))
}

/// Makes a file that must not exist, with this content, on disk when this returns.
///
/// # Errors
/// The system's refusal, with the path.
pub(crate) fn write_file(path: &Path, content: &[u8], access: Access) -> Result<()> {
    let mut file = create_file(path, access)?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(|error| io_error("write", path, error))
}

/// Opens a file for the lock: made if need be with mode 0600, read and written, never through a symbolic link.
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

/// Opens a file to be read, never through a symbolic link.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    // Without `NONBLOCK` opening a pipe would wait for its other end.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits())
        .expect("the flags are small constants");
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Opens a file that is there, to write on: never through a symbolic link.
pub(crate) fn open_existing_to_write(path: &Path) -> io::Result<File> {
    let no_follow = i32::try_from(OFlags::NOFOLLOW.bits()).expect("the flag is a small constant");
    OpenOptions::new()
        .write(true)
        .custom_flags(no_follow)
        .open(path)
}

/// Makes a folder that must not exist.
pub(crate) fn create_folder(path: &Path, access: Access) -> io::Result<()> {
    DirBuilder::new().mode(access.folder_mode()).create(path)
}

/// Makes a folder and the folders above it, where they are missing: those that are made are for whom `access` says. Their names
/// are on disk when this returns.
///
/// # Errors
/// The system's refusal, with the path.
pub(crate) fn create_folders(path: &Path, access: Access) -> Result<()> {
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

/// Opens a file that an earlier run wrote part of, to be read and written, never through a symbolic link. `None` where there is
/// none.
///
/// # Errors
/// The system's refusal; something that is not a regular file.
pub(crate) fn open_partial(path: &Path) -> Result<Option<File>> {
    // Without `NONBLOCK` opening a pipe would wait for its other end.
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

/// Cuts a file behind so many bytes, and goes there. On disk when this returns.
///
/// # Errors
/// The system's refusal.
pub(crate) fn truncate(file: &mut File, length: u64) -> io::Result<()> {
    file.set_len(length)?;
    file.sync_all()?;
    file.seek(SeekFrom::Start(length)).map(drop)
}

/// Puts a file with this content in place of the one there, if any, for the owner alone, whole and on disk when this returns. It is
/// built under a name of its own, so only one run at a time may do this.
///
/// # Errors
/// The system's refusal. The former file is then there still.
pub(crate) fn replace_file(path: &Path, content: &[u8]) -> Result<()> {
    let partial = sibling(path, PARTIAL_SUFFIX)
        .ok_or_else(|| io_error("write", path, io::ErrorKind::InvalidInput.into()))?;
    replace_with(&partial, path, |partial| {
        write_file(partial, content, Access::Private)
    })
}

/// Has a file made under the name `partial` and gives it the name `path`, in place of the one there, if any. On disk when this
/// returns, as far as `make` has put it there.
///
/// # Errors
/// What `make` returns; the system's refusal. The former file is then there still.
pub(crate) fn replace_with(
    partial: &Path,
    path: &Path,
    make: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    remove_file(partial)?;
    let put = make(partial).and_then(|()| rename(partial, path));
    if put.is_err() {
        // On a full disk its room is wanted. The failure is what counts.
        let _ = remove_file(partial);
    }

    put?;

    sync_folder(path.parent().unwrap_or(path))
}

/// Waits until the names in a folder are on disk.
///
/// # Errors
/// The system's refusal, with the path. File systems that cannot sync a folder are no error: they keep no promise to wait for.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
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

/// Renames, replacing a file of the new name.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to)
        .map_err(|error| io_error(&format!("rename to `{}`:", to.display()), from, error))
}

/// Exchanges two names in one step; whoever looks sees either the one state or the other.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub(crate) fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    Ok(renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE)?)
}

/// This system has no such call.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(crate) fn exchange(_one: &Path, _other: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Removes a file; one that is not there is as good as removed.
pub(crate) fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        // No file has a name that none can have.
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

/// An error of the system about a path, with what can be done about it.
pub(crate) fn io_error(action: &str, path: &Path, error: io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free some space or choose another place")
        }
        io::ErrorKind::FileTooLarge => Some(
            "no file may grow longer there (`ulimit -f`, or the file system); choose another place",
        ),
        io::ErrorKind::PermissionDenied if matches!(action, "open" | "read") => {
            Some("check who may read it")
        }
        io::ErrorKind::PermissionDenied => {
            Some("check who may write there, or choose another place")
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            Some("the file system is read-only; choose another place")
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
    fn private_means_the_owner_alone() {
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
