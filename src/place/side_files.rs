//! Side files: what belongs to a command and not to the dump, such as rejected items.
//!
//! They are created next to the dump or in the user's state directory, never inside a dump.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::digest::hex_sha256;
use super::local::files::{
    Access, create_file, create_folders, io_error, open_existing_to_write, remove_file, rename,
    rename_unless_exists, sync_file, sync_folder,
};
use super::local::names::{PARTIAL_SUFFIX, sibling, state_name};
use crate::error::{Error, Result};

/// Bytes of a table name that are kept in a file name. A table name may have 255 bytes, as many as
/// most file systems allow for a file name.
const NAME_BYTES: usize = 80;

/// Maximum number of reasons that a summary lists.
const MAX_REASONS: usize = 3;

/// Maximum number of different reasons that are counted.
const MAX_COUNTED_REASONS: usize = 1000;

/// The path `<dump>.<name>`, next to a dump or a file of items.
#[must_use]
pub fn side_path(dump: &Path, name: &str) -> Option<PathBuf> {
    let dump = std::path::absolute(dump).ok()?;
    sibling(&dump, &format!(".{name}"))
}

/// The path in the state directory for a side file that cannot be created next to the dump. The
/// name is unique to the dump's path.
#[must_use]
pub fn side_path_in_state(state_dir: &Path, dump: &Path, name: &str) -> PathBuf {
    let found = std::fs::canonicalize(dump).or_else(|_| std::path::absolute(dump));
    state_dir.join(state_name(
        &found.unwrap_or_else(|_| dump.to_owned()),
        &format!(".{name}"),
    ))
}

/// A table name shortened for use in a file name. A long name is truncated and made unique with a
/// digest.
#[must_use]
pub fn short_file_name(name: &str) -> Cow<'_, str> {
    match name.get(..NAME_BYTES) {
        Some(start) if start.len() < name.len() => {
            Cow::from(format!("{start}-{}", &hex_sha256(name.as_bytes())[..16]))
        }
        _ => Cow::from(name),
    }
}

/// A file of lines that are appended and synced, such as rejected items. Only the owner can read
/// it.
#[derive(Debug)]
pub struct LinesFile {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

impl LinesFile {
    /// Creates the file at the first of `places` that can be written, replacing an existing file.
    ///
    /// # Errors
    /// None of them can be written: the error of the first.
    pub fn create_at_first(places: &[PathBuf]) -> Result<Self> {
        let mut refusal = None;
        for path in places {
            match Self::create(path) {
                Ok(file) => return Ok(file),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }

        Err(refusal.unwrap_or_else(|| Error::failed("no folder for a file of rejected items")))
    }

    fn create(path: &Path) -> Result<Self> {
        create_folders_above(path, Access::Private)?;

        // Remove first: creating a file must neither follow a link nor keep an old file's
        // permissions.
        remove_file(path)?;
        let file = create_file(path, Access::Private)?;
        sync_folder(path.parent().unwrap_or(path))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            bytes: 0,
        })
    }

    /// Resumes a file after its first `bytes` bytes. The rest is truncated.
    ///
    /// # Errors
    /// The file is missing or shorter; I/O errors.
    pub fn resume(path: &Path, bytes: u64) -> Result<Self> {
        let mut file =
            open_existing_to_write(path).map_err(|error| io_error("open", path, error))?;
        let found = file
            .metadata()
            .map_err(|error| io_error("read", path, error))?
            .len();
        if found < bytes {
            return Err(Error::failed(format!(
                "`{}` has {found} bytes instead of {bytes}",
                path.display()
            )));
        }

        let cut = file
            .set_len(bytes)
            .and_then(|()| file.seek(SeekFrom::End(0)));
        cut.map_err(|error| io_error("write", path, error))?;
        Ok(Self {
            path: path.to_owned(),
            file: BufWriter::new(file),
            bytes,
        })
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size of all lines so far, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Flushes all lines to the operating system and returns a function that syncs them, which may
    /// be called on another thread.
    ///
    /// # Errors
    /// An I/O error.
    pub fn flush_to_sync(&mut self) -> Result<impl FnOnce() -> Result<()> + Send + use<>> {
        let path = self.path.clone();
        let flush_to_sync = self
            .file
            .flush()
            .and_then(|()| self.file.get_ref().try_clone());
        let file = flush_to_sync.map_err(|error| io_error("write", &path, error))?;
        Ok(move || {
            file.sync_data()
                .map_err(|error| io_error("write", &path, error))
        })
    }

    /// Appends one line, given in parts and without its line feed.
    ///
    /// # Errors
    /// An I/O error.
    pub fn append(&mut self, parts: &[&[u8]]) -> Result<()> {
        let mut line = parts.iter().copied().chain([b"\n".as_slice()]);
        let written = line.try_for_each(|part| {
            self.bytes += part.len() as u64;
            self.file.write_all(part)
        });
        written.map_err(|error| io_error("write", &self.path, error))
    }

    /// Syncs all lines and returns the path of the file.
    ///
    /// # Errors
    /// An I/O error.
    pub fn finish(mut self) -> Result<PathBuf> {
        let synced = self
            .file
            .flush()
            .and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|error| io_error("write", &self.path, error))?;
        sync_folder(self.path.parent().unwrap_or(&self.path))?;

        Ok(self.path)
    }
}

/// A [`LinesFile`] that is created when the first line is appended.
#[derive(Debug)]
pub struct LazyLinesFile {
    places: Vec<PathBuf>,
    file: Option<LinesFile>,
}

impl LazyLinesFile {
    /// Opens a file at the first of `places` that can be written. If an earlier run wrote `kept`
    /// bytes of lines to one of them, new lines are appended to those. The places must not come
    /// from file content: existing files there are truncated and overwritten.
    ///
    /// # Errors
    /// The earlier run's lines are missing or shorter; I/O errors.
    pub fn open(places: Vec<PathBuf>, kept: u64) -> Result<Self> {
        if kept == 0 {
            return Ok(Self { places, file: None });
        }

        let path = find_lines_file(&places, kept).ok_or_else(|| lines_file_missing(&places))?;
        let file = Some(LinesFile::resume(path, kept)?);

        Ok(Self { places, file })
    }

    /// The file, if a line was appended.
    #[must_use]
    pub fn file(&self) -> Option<&LinesFile> {
        self.file.as_ref()
    }

    /// The file, if a line was appended.
    pub fn file_mut(&mut self) -> Option<&mut LinesFile> {
        self.file.as_mut()
    }

    /// Appends a line with a reason and a JSON value of the given name:
    /// `{"reason":"…","item":{…}}`. Items that a transform created from it follow as
    /// `"output":[…]`.
    ///
    /// # Errors
    /// None of the places can be written; I/O errors.
    pub fn append_with_reason(
        &mut self,
        reason: &str,
        name: &str,
        value: &[u8],
        outputs: Option<&[Bytes]>,
    ) -> Result<()> {
        let reason = serde_json::Value::from(reason).to_string();
        let mut parts = vec![
            br#"{"reason":"#,
            reason.as_bytes(),
            b",\"",
            name.as_bytes(),
            b"\":",
            value,
        ];

        if let Some(outputs) = outputs {
            parts.push(br#","output":["#);
            for (at, output) in outputs.iter().enumerate() {
                parts.extend([if at > 0 { b",".as_slice() } else { b"" }, output]);
            }

            parts.push(b"]");
        }

        parts.push(b"}");

        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(LinesFile::create_at_first(&self.places)?),
        };

        file.append(&parts)
    }

    /// Like [`LinesFile::finish`]; `None` if no line was appended.
    ///
    /// # Errors
    /// An I/O error.
    pub fn finish(self) -> Result<Option<PathBuf>> {
        self.file.map(LinesFile::finish).transpose()
    }
}

/// Reads a file of rejected items and calls `take` with each item that the table lacks. For
/// transformed items these are the outputs; a line without outputs is an item that was not to be
/// written.
///
/// # Errors
/// The file cannot be read, or was changed; errors of `take`.
pub fn read_rejects(
    path: &Path,
    is_transformed: bool,
    mut take: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    for_each_rejected(path, |rejected| {
        let items = if is_transformed {
            rejected.output
        } else {
            rejected.item.into_iter().collect()
        };

        items
            .into_iter()
            .try_for_each(|item| take(item.get().as_bytes()))
    })
}

/// The most frequent reasons in a file of rejected items, each with its number of lines. Of many different reasons, the first ones
/// are counted.
///
/// # Errors
/// The file cannot be read, or was changed.
pub fn frequent_reasons(path: &Path) -> Result<Vec<(String, u64)>> {
    let mut counts = BTreeMap::new();
    for_each_rejected(path, |rejected| {
        let reason = rejected.reason.into_owned();
        // A reason may quote a value, so each item could have another one: the limit bounds memory.
        if counts.len() < MAX_COUNTED_REASONS || counts.contains_key(&reason) {
            *counts.entry(reason).or_default() += 1;
        }

        Ok(())
    })?;

    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_by(|(one, count), (other, more)| more.cmp(count).then_with(|| one.cmp(other)));
    counts.truncate(MAX_REASONS);

    Ok(counts)
}

/// Calls `take` with each line of a file of rejected items.
fn for_each_rejected(path: &Path, mut take: impl FnMut(Rejected<'_>) -> Result<()>) -> Result<()> {
    let file = File::open(path).map_err(|error| io_error("read", path, error))?;
    for line in BufReader::new(file).split(b'\n') {
        let line = line.map_err(|error| io_error("read", path, error))?;
        let rejected = serde_json::from_slice(&line).map_err(|error| {
            Error::failed(format!(
                "`{}` was changed while it was written",
                path.display()
            ))
            .with_source(error)
        })?;

        take(rejected)?;
    }

    Ok(())
}

/// A line of a file of rejected items.
#[derive(Deserialize)]
struct Rejected<'a> {
    #[serde(borrow, default)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    output: Vec<&'a RawValue>,
}

/// The first of these files that has at least this many bytes.
fn find_lines_file(places: &[PathBuf], bytes: u64) -> Option<&PathBuf> {
    places
        .iter()
        .find(|path| file_size(path).is_some_and(|found| found >= bytes))
}

/// Checks that `kept` bytes of lines of an earlier run still exist at one of these places.
///
/// # Errors
/// They are missing or shorter.
pub fn check_lines_file(places: &[PathBuf], kept: u64) -> Result<()> {
    if kept == 0 || find_lines_file(places, kept).is_some() {
        Ok(())
    } else {
        Err(lines_file_missing(places))
    }
}

fn lines_file_missing(places: &[PathBuf]) -> Error {
    let path = places
        .first()
        .map_or_else(String::new, |path| format!(" `{}`", path.display()));
    Error::failed(format!("its file{path} is missing or was truncated"))
}

/// The temporary path of a side file, used until the dump it belongs to is complete. Until then an
/// older file keeps its name.
#[must_use]
pub fn partial_path(path: &Path) -> PathBuf {
    sibling(path, PARTIAL_SUFFIX).unwrap_or_else(|| path.to_owned())
}

/// Renames a side file from its temporary path to `path`. If there is none, an older file at `path`
/// is removed.
///
/// # Errors
/// An I/O error.
pub fn publish_lines_file(path: &Path) -> Result<Option<PathBuf>> {
    let partial = partial_path(path);
    let found = file_size(&partial).is_some();
    if found {
        rename(&partial, path)?;
    } else if file_size(path).is_some() {
        remove_file(path)?;
    } else {
        return Ok(None);
    }

    sync_folder(path.parent().unwrap_or(path))?;

    Ok(found.then(|| path.to_owned()))
}

/// Removes a side file, if there is one. Its removal is durable when this returns.
///
/// # Errors
/// An I/O error.
pub fn remove_side_file(path: &Path) -> Result<()> {
    if std::fs::symlink_metadata(path).is_err() {
        return Ok(());
    }

    remove_file(path)?;
    match path.parent() {
        Some(folder) if folder.is_dir() => sync_folder(folder),
        _ => Ok(()),
    }
}

/// Size of a regular file in bytes; `None` if there is none.
#[must_use]
pub fn file_size(path: &Path) -> Option<u64> {
    std::fs::metadata(path)
        .ok()
        .filter(std::fs::Metadata::is_file)
        .map(|found| found.len())
}

/// Creates the folders above a file, with the default permissions.
///
/// # Errors
/// An I/O error.
pub fn create_parent_folders(path: &Path) -> Result<()> {
    create_folders_above(path, Access::Shared)
}

fn create_folders_above(path: &Path, access: Access) -> Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => create_folders(parent, access),
        _ => Ok(()),
    }
}

/// Creates a file atomically, unless there is one: `make` writes it under a temporary name. The file
/// and its name are synced when this returns. Returns whether the file was created; an existing one
/// is never replaced, even if another process creates it at the same moment.
///
/// # Errors
/// Errors of `make`; I/O errors.
pub fn create_unless_exists(path: &Path, make: impl FnOnce(&Path) -> Result<()>) -> Result<bool> {
    create_parent_folders(path)?;
    let partial = partial_of_process(path)?;
    remove_file(&partial)?;
    let created = make(&partial)
        .and_then(|()| sync_file(&partial))
        .and_then(|()| rename_unless_exists(&partial, path));

    // It is of no use to anyone. The first error is the one to report.
    let _ = remove_file(&partial);
    if created? {
        sync_folder(path.parent().unwrap_or(path))?;
        return Ok(true);
    }

    Ok(false)
}

/// The temporary path of a file. It contains the process ID, so that two processes do not use the
/// same one.
fn partial_of_process(path: &Path) -> Result<PathBuf> {
    let suffix = format!(".{}{PARTIAL_SUFFIX}", std::process::id());
    sibling(path, &suffix)
        .ok_or_else(|| Error::failed(format!("`{}` names no file", path.display())))
}

#[cfg(test)]
mod tests;
