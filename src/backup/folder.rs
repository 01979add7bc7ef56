//! Inspection of a target folder: whether a dump may be written there, and whether a crashed run
//! left a finished dump.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::format::{METADATA_FILE, dump_file_names, is_dump_file};
use super::metadata::{Metadata, MetadataFile, newer_format, parse};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::place::local::files::{io_error, remove_empty_folder, remove_file};
use crate::place::local::folders::{entries, is_mount_point};
use crate::place::local::names::{PARTIAL_SUFFIX, sibling};
use crate::place::local::untrusted::read_document;

/// Contents of a target before a dump is written.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetContents {
    /// It does not exist.
    Absent,
    /// An empty folder, or remains of an unfinished run.
    Empty,
    /// A dump, which will be replaced. Without metadata if it is an older tool's, unfinished or
    /// damaged.
    Dump(Option<Box<Metadata>>),
}

/// Resolves a path to its canonical form: symbolic links, `.`, `..` and trailing slashes. The last
/// component need not exist.
pub(crate) fn resolve_path(path: &Path) -> Result<PathBuf> {
    let absolute: PathBuf = std::path::absolute(path)
        .map_err(|error| io_error("find", path, error))?
        .components()
        .collect();
    match fs::canonicalize(&absolute) {
        Ok(found) => return Ok(found),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error("open", path, error));
        }
        Err(_) => {}
    }

    // The path exists but cannot be resolved: a dangling link. Creating its target could surprise
    // the user.
    if fs::symlink_metadata(&absolute).is_ok() {
        return Err(
            Error::usage(format!("`{}` is a broken symbolic link", path.display())).with_hint(
                format!(
                    "create the folder that it refers to, or choose another {target}",
                    target = Field::Target
                ),
            ),
        );
    }

    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return Err(Error::usage(format!(
            "`{}` does not exist and cannot be created",
            path.display()
        )));
    };

    Ok(fs::canonicalize(parent)
        .unwrap_or_else(|_| parent.to_owned())
        .join(name))
}

/// Inspects the target of a new dump without changing it. `target` is resolved.
///
/// # Errors
/// [`Usage`](crate::error::ErrorKind::Usage) for a file, or a folder that holds anything that is
/// not part of a dump; [`Damaged`](crate::error::ErrorKind::Damaged) for a dump of a newer format,
/// which is not replaced either.
pub(crate) fn inspect_target(target: &Path) -> Result<TargetContents> {
    let entries = match entries(target) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(TargetContents::Absent),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(Error::usage(format!("`{}` is a file, not a folder", target.display())).with_hint(
                format!("choose another {target}; for a single file, choose a name such as *.jsonl, *.jsonl.gz or *.jsonl.zst", target = Field::Target),
            ));
        }
        Err(error) => return Err(io_error("read the folder", target, error)),
    };

    let mut holds_dump = false;
    for entry in entries {
        let entry = entry.map_err(|error| io_error("read the folder", target, error))?;
        let name = entry.name;
        match (entry.is_folder, is_dump_file(&name)) {
            (false, true) => holds_dump = true,
            (true, _)
                if name == PARTIAL_SUFFIX || (name == "lost+found" && is_mount_point(target)) => {}
            _ => return Err(not_a_dump(target, &entry.path)),
        }
    }

    if !holds_dump {
        return Ok(TargetContents::Empty);
    }

    let path = target.join(METADATA_FILE);
    let metadata = read_document(&path)
        .ok()
        .flatten()
        .and_then(|document| parse(&document, &path.display().to_string()).ok());
    match metadata {
        Some(MetadataFile::Own(metadata)) => Ok(TargetContents::Dump(Some(metadata))),
        Some(MetadataFile::Newer(version)) => {
            Err(newer_format(&path.display().to_string(), version))
        }
        Some(MetadataFile::Foreign(_)) | None => Ok(TargetContents::Dump(None)),
    }
}

fn not_a_dump(target: &Path, entry: &Path) -> Error {
    Error::usage(format!(
        "`{}` is neither empty nor a dump: it contains `{}`",
        target.display(),
        entry.file_name().unwrap_or_default().to_string_lossy()
    ))
    .with_hint(format!(
        "choose another {target}, or move the file; nothing was changed",
        target = Field::Target
    ))
}

/// A finished dump that was not published before its run ended.
#[derive(Debug)]
pub(crate) struct UnpublishedDump {
    /// The folder in which it was written.
    pub(crate) partial: PathBuf,
    /// Its metadata. Some of its files may have been moved to the dump's folder already.
    pub(crate) metadata: Metadata,
}

/// The folders in which a dump for `target` may have been written: next to it and inside.
pub(crate) fn partial_folders(target: &Path) -> impl Iterator<Item = PathBuf> {
    sibling(target, PARTIAL_SUFFIX)
        .into_iter()
        .chain([target.join(PARTIAL_SUFFIX)])
}

/// Finds a finished dump that was not published. None is searched for if the target has one.
pub(crate) fn find_unpublished(target: &Path) -> Option<UnpublishedDump> {
    if fs::symlink_metadata(target.join(METADATA_FILE)).is_ok() {
        return None;
    }

    partial_folders(target).find_map(|partial| {
        let document = read_document(&partial.join(METADATA_FILE)).ok()??;
        let Ok(MetadataFile::Own(metadata)) = parse(&document, "") else {
            return None;
        };

        // A crash may have moved some files to the target already, so each may be in either folder.
        let whole = metadata
            .files
            .iter()
            .filter(|(name, _)| is_dump_file(name.as_ref()))
            .all(|(name, entry)| {
                let size = |folder: &Path| {
                    fs::symlink_metadata(folder.join(name)).map(|found| found.len())
                };
                size(&partial)
                    .or_else(|_| size(target))
                    .is_ok_and(|bytes| bytes == entry.bytes)
            });

        whole.then_some(UnpublishedDump {
            partial,
            metadata: *metadata,
        })
    })
}

/// Removes a folder with a dump or a part of one. Other files in it are an error, and then nothing
/// is removed.
///
/// # Errors
/// An I/O error; a file that does not belong to a dump.
pub(crate) fn remove_dump(folder: &Path) -> Result<()> {
    let unreadable = |error| io_error("read the folder", folder, error);
    for entry in entries(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if !is_dump_file(&entry.name) {
            return Err(Error::failed(format!(
                "`{}` blocks the dump: it does not belong to one",
                entry.path.display()
            ))
            .with_hint("move it elsewhere, then run the command again"));
        }
    }

    // Only after all entries were checked, so that an unknown file leaves the folder untouched.
    for name in dump_file_names() {
        remove_file(&folder.join(name))?;
    }

    remove_empty_folder(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::error::ErrorKind;
    use crate::place::Access;
    use crate::place::local::files::{create_folder, write_file};

    #[test]
    fn every_spelling_resolves_to_one_path() {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(root.join("real")).unwrap();
        symlink(root.join("real"), root.join("link")).unwrap();

        for spelling in [
            "real",
            "real/",
            "real/.",
            "./real//",
            "link",
            "link/",
            "real/../real",
        ] {
            assert_eq!(
                resolve_path(&root.join(spelling)).unwrap(),
                root.join("real"),
                "{spelling}"
            );
        }

        assert_eq!(
            resolve_path(&root.join("link/new/")).unwrap(),
            root.join("real/new")
        );
        assert_eq!(
            resolve_path(&root.join("a/b/c")).unwrap(),
            root.join("a/b/c")
        );
        assert_eq!(resolve_path(Path::new("/")).unwrap(), Path::new("/"));
        symlink(root.join("nowhere"), root.join("dangling")).unwrap();
        assert_eq!(
            resolve_path(&root.join("dangling/")).unwrap_err().kind(),
            ErrorKind::Usage
        );
        assert_eq!(
            resolve_path(&root.join("none/..")).unwrap_err().kind(),
            ErrorKind::Usage
        );
    }

    #[test]
    fn only_nothing_and_dumps_may_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert_eq!(inspect_target(&at("none")).unwrap(), TargetContents::Absent);
        fs::create_dir_all(at("empty/.partial")).unwrap();
        assert_eq!(inspect_target(&at("empty")).unwrap(), TargetContents::Empty);
        fs::create_dir(at("dump")).unwrap();
        fs::File::create(at("dump/table-data.json")).unwrap();
        assert_eq!(
            inspect_target(&at("dump")).unwrap(),
            TargetContents::Dump(None)
        );

        for (folder, entry) in [
            ("a", "notes.txt"),
            ("b", "table-data.json.bak"),
            ("c", ".git"),
        ] {
            fs::create_dir(at(folder)).unwrap();
            fs::File::create(at(folder).join("table-data.json")).unwrap();
            fs::File::create(at(folder).join(entry)).unwrap();
            let refusal = inspect_target(&at(folder)).unwrap_err();
            assert_eq!(refusal.kind(), ErrorKind::Usage);
            assert!(refusal.to_string().contains(entry), "{refusal}");
        }

        fs::create_dir_all(at("d/table-data.json")).unwrap();
        assert_eq!(
            inspect_target(&at("d")).unwrap_err().kind(),
            ErrorKind::Usage
        );
        assert_eq!(
            inspect_target(&at("a/notes.txt")).unwrap_err().kind(),
            ErrorKind::Usage
        );
    }

    #[test]
    fn only_a_dump_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("dump");
        create_folder(&folder, Access::Shared).unwrap();
        write_file(&folder.join("table-data.json"), b"", Access::Shared).unwrap();
        write_file(&folder.join("notes.txt"), b"", Access::Shared).unwrap();
        assert!(remove_dump(&folder).is_err());
        assert!(folder.join("table-data.json").exists());
        remove_file(&folder.join("notes.txt")).unwrap();
        remove_dump(&folder).unwrap();
        assert!(!folder.exists());
    }
}
