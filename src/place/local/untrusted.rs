//! Opens and reads files that anybody may have written: symbolic links out of a dump, special files, oversized documents.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::files::{io_error, open_to_read};
use crate::error::{Error, Result};
use crate::limits::DOCUMENT_BYTES;

/// Most documents are smaller than this.
const USUAL_DOCUMENT_BYTES: usize = 8 * 1024;

/// Opens a file of a dump; `None` if it does not exist. A symbolic link is followed only within its
/// folder.
pub(crate) fn open_within_folder(path: &Path) -> Result<Option<File>> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(io_error("open", path, error)),
    };

    let real = if found.is_symlink() {
        link_target(path)?
    } else {
        path.to_owned()
    };

    if !fs::symlink_metadata(&real).is_ok_and(|found| found.is_file()) {
        return Err(Error::damaged(format!(
            "`{}` is not a regular file",
            path.display()
        )));
    }

    open_to_read(&real)
        .map(Some)
        .map_err(|error| io_error("open", path, error))
}

/// The file that a symbolic link leads to.
fn link_target(link: &Path) -> Result<PathBuf> {
    let folder = link
        .parent()
        .and_then(|folder| fs::canonicalize(folder).ok());
    match (fs::canonicalize(link), folder) {
        (Ok(real), Some(folder)) if real.starts_with(&folder) => Ok(real),
        _ => Err(Error::damaged(format!(
            "`{}` is a symbolic link to a file outside the dump",
            link.display()
        ))
        .with_hint("replace the link with the file itself if you trust it")),
    }
}

/// Reads a schema, metadata or summary file; `None` if it does not exist.
pub(crate) fn read_document(path: &Path) -> Result<Option<Vec<u8>>> {
    let Some(file) = open_within_folder(path)? else {
        return Ok(None);
    };

    // Most documents are read with one call. Without a capacity, it would take a dozen.
    let mut document = Vec::with_capacity(USUAL_DOCUMENT_BYTES);
    // One byte more than allowed shows that the file is too large.
    file.take(DOCUMENT_BYTES + 1)
        .read_to_end(&mut document)
        .map_err(|error| io_error("read", path, error))?;

    if document.len() as u64 > DOCUMENT_BYTES {
        return Err(Error::damaged(format!(
            "`{}` is larger than {DOCUMENT_BYTES} bytes",
            path.display()
        )));
    }

    Ok(Some(document))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn links_are_followed_only_within_the_dump() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("dump")).unwrap();
        File::create(at("secret"))
            .unwrap()
            .write_all(b"secret")
            .unwrap();
        File::create(at("dump/inside"))
            .unwrap()
            .write_all(b"text")
            .unwrap();
        symlink("inside", at("dump/good")).unwrap();
        symlink("../secret", at("dump/bad")).unwrap();
        symlink("/dev/zero", at("dump/device")).unwrap();
        fs::create_dir(at("dump/folder")).unwrap();
        assert_eq!(read_document(&at("dump/good")).unwrap().unwrap(), b"text");
        assert!(read_document(&at("dump/none")).unwrap().is_none());

        for refused in ["bad", "device", "folder"] {
            assert_eq!(
                read_document(&at("dump").join(refused)).unwrap_err().kind(),
                ErrorKind::Damaged
            );
        }
    }
}
