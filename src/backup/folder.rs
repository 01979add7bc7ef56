//! Inspection of a target folder: whether a dump may be written there, and whether a crashed run
//! left a finished dump.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::format::{METADATA_FILE, is_dump_file};
use super::metadata::{Metadata, MetadataFile, newer_format, parse};
use super::removal::check_set;
use super::set::manifest::{SET_FILE, SetManifest};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::place::local::files::io_error;
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
    /// A set of dumps of several tables, which a dump of one table replaces.
    Set(Box<SetManifest>),
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
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(contents_of_absent(target));
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Err(Error::usage(format!("`{}` is a file, not a folder", target.display())).with_hint(
                format!("choose another {target}; for a single file, choose a name such as *.jsonl, *.jsonl.gz or *.jsonl.zst", target = Field::Target),
            ));
        }
        Err(error) => return Err(io_error("read the folder", target, error)),
    };

    if let Some(manifest) = SetManifest::read(target)? {
        check_set(target, &manifest).map_err(|error| {
            Error::usage(error.to_string()).with_hint(format!(
                "choose another {target}, or move the file; nothing was changed",
                target = Field::Target
            ))
        })?;
        return Ok(TargetContents::Set(Box::new(manifest)));
    }

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
        return Ok(unpublished_dump(target).unwrap_or(TargetContents::Empty));
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
        Some(MetadataFile::Foreign(_)) | None => {
            Ok(unpublished_dump(target).unwrap_or(TargetContents::Dump(None)))
        }
    }
}

/// Contents of a target that does not exist. What was finished before its run ended between two renames counts as being there.
fn contents_of_absent(target: &Path) -> TargetContents {
    if let Some(UnpublishedSet { manifest, .. }) = find_unpublished_set(target) {
        return TargetContents::Set(Box::new(manifest));
    }

    unpublished_dump(target).unwrap_or(TargetContents::Absent)
}

fn unpublished_dump(target: &Path) -> Option<TargetContents> {
    find_unpublished(target).map(|dump| TargetContents::Dump(Some(Box::new(dump.metadata))))
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

/// A finished set that was to replace a dump of one table, and was not published before its run ended.
#[derive(Debug)]
pub(crate) struct UnpublishedSet {
    /// The folder in which it was written.
    pub(crate) partial: PathBuf,
    /// Its manifest, which lists no table as missing.
    pub(crate) manifest: SetManifest,
}

/// Finds a finished set that was not published: the dump that it replaces has been renamed already. `target` is resolved.
pub(crate) fn find_unpublished_set(target: &Path) -> Option<UnpublishedSet> {
    if fs::symlink_metadata(target).is_ok() {
        return None;
    }

    let partial = sibling(target, PARTIAL_SUFFIX)?;
    fs::symlink_metadata(&partial).ok()?;
    let manifest = SetManifest::read(&partial).ok()??;

    (!manifest.is_unfinished()).then_some(UnpublishedSet { partial, manifest })
}

/// Finds a finished dump that was not published. None is searched for if the target has one, or a set.
pub(crate) fn find_unpublished(target: &Path) -> Option<UnpublishedDump> {
    let has = |name: &str| fs::symlink_metadata(target.join(name)).is_ok();
    if has(METADATA_FILE) || has(SET_FILE) {
        return None;
    }

    // Usually there is none, which one call tells.
    let mut partials = partial_folders(target).filter(|path| fs::symlink_metadata(path).is_ok());
    partials.find_map(|partial| {
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::error::ErrorKind;

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
}
