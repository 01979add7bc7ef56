//! What belongs to a restore and not to a dump: rejected items, markers, the embedded engine's database. Kept beside the dump or
//! in the user's state directory, never inside a dump.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::atomic::{Access, create_file, create_folders, refused, remove_file, rename, sync_folder, write_file};
use super::format::{PARTIAL_SUFFIX, sibling};
use crate::error::{Error, Result};

/// The path beside a dump (or a file of items) that is named after it: `<dump>.<name>`.
#[must_use]
pub fn beside(dump: &Path, name: &str) -> Option<PathBuf> {
    let dump = std::path::absolute(dump).ok()?;
    sibling(&dump, &format!(".{name}"))
}

/// Lines that are appended and must not be lost, such as rejected items. Only the owner can read them.
#[derive(Debug)]
pub struct LinesFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl LinesFile {
    /// Makes the file anew at the first of `places` that can be written.
    ///
    /// # Errors
    /// None of them can be written: the refusal of the first.
    pub fn create_first(places: &[PathBuf]) -> Result<Self> {
        let mut refusal = None;
        for path in places {
            match Self::create(path) {
                Ok(file) => return Ok(file),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        Err(refusal.unwrap_or_else(|| Error::failed("there is no place for a file of rejected items")))
    }

    fn create(path: &Path) -> Result<Self> {
        create_parent(path)?;
        remove_file(path)?;
        let file = create_file(path, Access::Private)?;
        Ok(Self { path: path.to_owned(), file: BufWriter::new(file) })
    }

    /// Appends one line, given in parts and without its line break.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn append(&mut self, parts: &[&[u8]]) -> Result<()> {
        let line = parts.iter().copied().chain([b"\n".as_slice()]);
        line.into_iter()
            .try_for_each(|part| self.file.write_all(part))
            .map_err(|error| refused("write", &self.path, error))
    }

    /// Waits until all lines are on disk and says where they are.
    ///
    /// # Errors
    /// The system's refusal.
    pub fn finish(mut self) -> Result<PathBuf> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|error| refused("write", &self.path, error))?;
        sync_folder(self.path.parent().unwrap_or(&self.path))?;
        Ok(self.path)
    }
}

/// Leaves a small file that only the owner can read, in place of any former one, whole and on disk.
///
/// # Errors
/// The system's refusal.
pub fn leave_mark(path: &Path, content: &[u8]) -> Result<()> {
    create_whole(path, |partial| write_file(partial, content, Access::Private))
}

/// Removes a mark; one that is not there is as good as removed.
///
/// # Errors
/// The system's refusal.
pub fn remove_mark(path: &Path) -> Result<()> {
    remove_file(path)
}

/// Makes the folders above a file.
///
/// # Errors
/// The system's refusal.
pub fn create_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => create_folders(parent),
        _ => Ok(()),
    }
}

/// Makes a file that appears under its name whole: `make` builds it under another name beside it. The name is this process's
/// own, so that two that build the same file do not meet.
///
/// # Errors
/// What `make` returns; the system's refusal.
pub fn create_whole(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    create_parent(path)?;
    let suffix = format!(".{}{PARTIAL_SUFFIX}", std::process::id());
    let partial = sibling(path, &suffix).ok_or_else(|| Error::failed(format!("`{}` names no file", path.display())))?;
    remove_file(&partial)?;
    make(&partial)?;
    rename(&partial, path)?;
    sync_folder(path.parent().unwrap_or(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_to_the_first_place_that_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("file").join("rejects.jsonl");
        write_file(&dir.path().join("file"), b"", Access::Shared).unwrap();
        let good = dir.path().join("new").join("rejects.jsonl");
        let mut lines = LinesFile::create_first(&[blocked, good.clone()]).unwrap();
        lines.append(&[b"a", b"b"]).unwrap();
        lines.append(&[b"c"]).unwrap();
        assert_eq!(lines.finish().unwrap(), good);
        assert_eq!(std::fs::read(&good).unwrap(), b"ab\nc\n");
    }

    #[test]
    fn a_mark_replaces_the_former_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("marks").join("one");
        leave_mark(&path, b"old").unwrap();
        leave_mark(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        remove_mark(&path).unwrap();
        remove_mark(&path).unwrap();
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 0);
    }

    #[test]
    fn what_belongs_to_a_restore_is_named_after_the_dump() {
        assert_eq!(beside(Path::new("/a/dump/"), "rejects").unwrap(), Path::new("/a/dump.rejects"));
        assert_eq!(beside(Path::new("/"), "rejects"), None);
    }
}
