//! Removal of dumps and sets: only folders that contain nothing else, so that no other file is ever lost.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::format::{dump_file_names, is_dump_file};
use super::set::manifest::{SET_FILE, SIDE_SUFFIXES, SetManifest};
use crate::error::{Error, Result};
use crate::place::local::files::{io_error, remove_empty_folder, remove_file};
use crate::place::local::folders::{FolderEntry, entries};
use crate::place::local::names::PARTIAL_SUFFIX;

/// Removes a folder with a dump, a part of one, or a set. Other files in it are an error, and then nothing
/// is removed.
///
/// # Errors
/// An I/O error; a file that does not belong to a dump.
pub(crate) fn remove_dump(folder: &Path) -> Result<()> {
    let Some(manifest) = SetManifest::read(folder)? else {
        check_dump_files(folder)?;
        return remove_dump_files(folder);
    };

    // Only after all entries were checked, so that an unknown file leaves the folder untouched.
    let contents = set_contents(folder, &manifest)?;
    contents
        .folders
        .iter()
        .try_for_each(|path| remove_dump_files(path))?;
    contents
        .files
        .iter()
        .try_for_each(|path| remove_file(path))?;
    remove_file(&folder.join(SET_FILE))?;

    remove_empty_folder(folder)
}

/// The files and folders of a set, without its manifest.
#[derive(Debug, Default)]
struct SetContents {
    /// Folders with a dump or a part of one.
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
}

/// Checks that a folder contains nothing but this set.
///
/// # Errors
/// An I/O error; a file that does not belong to the set.
pub(crate) fn check_set(folder: &Path, manifest: &SetManifest) -> Result<()> {
    set_contents(folder, manifest).map(drop)
}

fn set_contents(folder: &Path, manifest: &SetManifest) -> Result<SetContents> {
    let members: Vec<&str> = manifest.folders().collect();
    let mut contents = SetContents::default();
    for_each_entry(folder, |entry| {
        let is_manifest = entry.name == SET_FILE || entry.name == "dump-set.json.partial";
        if is_manifest && !entry.is_folder {
            contents.files.push(entry.path);
        } else if !belongs_to_member(&entry.name, &members) {
            return Err(does_not_belong(&entry.path));
        } else if entry.is_folder {
            check_dump_files(&entry.path)?;
            contents.folders.push(entry.path);
        } else {
            contents.files.push(entry.path);
        }

        Ok(())
    })?;

    Ok(contents)
}

/// Whether this is the folder of a member, or the name of a file or folder next to it.
fn belongs_to_member(name: &OsStr, members: &[&str]) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };

    let name = name.strip_suffix(PARTIAL_SUFFIX).unwrap_or(name);
    let stripped = SIDE_SUFFIXES
        .iter()
        .find_map(|suffix| name.strip_suffix(suffix));

    members.contains(&name) || stripped.is_some_and(|name| members.contains(&name))
}

fn check_dump_files(folder: &Path) -> Result<()> {
    for_each_entry(folder, |entry| {
        if is_dump_file(&entry.name) {
            Ok(())
        } else {
            Err(does_not_belong(&entry.path))
        }
    })
}

fn for_each_entry(folder: &Path, mut take: impl FnMut(FolderEntry) -> Result<()>) -> Result<()> {
    let unreadable = |error| io_error("read the folder", folder, error);
    for entry in entries(folder).map_err(unreadable)? {
        take(entry.map_err(unreadable)?)?;
    }

    Ok(())
}

fn does_not_belong(path: &Path) -> Error {
    Error::failed(format!(
        "`{}` blocks the dump: it does not belong to one",
        path.display()
    ))
    .with_hint("move it elsewhere, then run the command again")
}

fn remove_dump_files(folder: &Path) -> Result<()> {
    for name in dump_file_names() {
        remove_file(&folder.join(name))?;
    }

    remove_empty_folder(folder)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::backup::set::manifest::testing::manifest;
    use crate::place::Access;
    use crate::place::local::files::{create_folder, write_file};

    fn write(path: &Path, content: &[u8]) {
        write_file(path, content, Access::Shared).unwrap();
    }

    #[test]
    fn only_a_dump_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("dump");
        create_folder(&folder, Access::Shared).unwrap();
        write(&folder.join("table-data.json"), b"");
        write(&folder.join("notes.txt"), b"");
        assert!(remove_dump(&folder).is_err());
        assert!(folder.join("table-data.json").exists());
        remove_file(&folder.join("notes.txt")).unwrap();
        remove_dump(&folder).unwrap();
        assert!(!folder.exists());
    }

    #[test]
    fn a_set_is_removed_only_if_nothing_else_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let set = dir.path().join("set");
        for folder in ["films", "films.partial", "actors"] {
            fs::create_dir_all(set.join(folder)).unwrap();
        }

        let document = manifest(&["films", "actors"]).to_document().unwrap();
        write(&set.join(SET_FILE), &document);
        write(&set.join("films/table-data.json"), b"{}");
        write(&set.join("films.journal"), b"");
        write(&set.join("films.rejects.jsonl.partial"), b"");

        for other in ["notes.txt", "actors/notes.txt", "actress.journal"] {
            write(&set.join(other), b"");
            let error = remove_dump(&set).unwrap_err().to_string();
            assert!(error.contains(other), "{error}");
            assert!(set.join("films/table-data.json").exists());
            remove_file(&set.join(other)).unwrap();
        }

        remove_dump(&set).unwrap();
        assert!(!set.exists());
    }

    #[test]
    fn a_link_in_a_set_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (set, elsewhere) = (dir.path().join("set"), dir.path().join("elsewhere"));
        fs::create_dir(&set).unwrap();
        fs::create_dir(&elsewhere).unwrap();
        write(&elsewhere.join("table-data.json"), b"{}");
        write(
            &set.join(SET_FILE),
            &manifest(&["films"]).to_document().unwrap(),
        );
        std::os::unix::fs::symlink(&elsewhere, set.join("films")).unwrap();

        remove_dump(&set).unwrap();
        assert!(elsewhere.join("table-data.json").exists());
    }
}
