//! Opens sources: decides by content what a path is, and which files belong to it.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::damage::Damage;
use super::errors::{damaged_hint, parse_schema, size_mismatch, verify_document};
use super::source::{Source, SourceData, SourceKind, SourceSpec};
use crate::backup::folder::{find_unpublished, partial_folders, resolve_path};
use crate::backup::format::{
    Compression, DataFile, DataFormat, JSON_HEAD, METADATA_FILE, OLD_SUFFIX, SCHEMA_FILE,
    dump_file_names,
};
use crate::backup::metadata::{
    FileEntry, ForeignMetadata, Metadata, MetadataFile, newer_format, parse,
};
use crate::backup::summary::few_items_warning;
use crate::error::{Error, Result};
use crate::field::Field;
use crate::place::FileLock;
use crate::place::local::files::io_error;
use crate::place::local::folders::entries;
use crate::place::local::names::{LOCK_SUFFIX, sibling};
use crate::place::local::untrusted::{open_within_folder, read_document};
use crate::place::part::{Input, Part};
use crate::schema::TableSchema;

/// Attempts to open a folder that keeps being replaced.
const ATTEMPTS: usize = 5;

/// Table folders listed in an error message.
const LISTED_TABLES: usize = 10;

impl Source {
    /// Opens a source and reads everything but the items.
    ///
    /// # Errors
    /// [`NotFound`](crate::error::ErrorKind::NotFound): the path does not exist or is not a dump;
    /// [`Damaged`](crate::error::ErrorKind::Damaged): files are missing or damaged, or the format
    /// is newer; [`Usage`](crate::error::ErrorKind::Usage): a folder of several dumps.
    pub fn open(spec: &SourceSpec) -> Result<Self> {
        match spec {
            SourceSpec::Stdin => Ok(Self::from_reader(Input::stdin())),
            SourceSpec::Path(path) => match fs::metadata(path) {
                Ok(found) if found.is_dir() => open_folder(path),
                Ok(_) => Self::open_items(path),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) =>
                {
                    open_absent(path)
                }
                Err(error) => Err(io_error("open", path, error)),
            },
        }
    }

    /// Opens a damaged source to read its undamaged part. `failure` is why it cannot be read
    /// normally.
    ///
    /// # Errors
    /// Nothing can be read; the format is newer.
    pub fn salvage(spec: &SourceSpec, failure: &Error) -> Result<Self> {
        let SourceSpec::Path(path) = spec else {
            return Err(Error::usage(
                "a stream cannot be salvaged: it can be read only once",
            ));
        };

        let mut source = match fs::metadata(path) {
            Ok(found) if found.is_file() => {
                let source = Self::open_items(path)?;
                let damage = Damage {
                    findings: Vec::new(),
                    promised: None,
                    lacks_metadata: false,
                    frames: None,
                };

                Self {
                    kind: SourceKind::Damaged,
                    damage: Some(Arc::new(damage)),
                    warnings: Vec::new(),
                    ..source
                }
            }
            _ => open_damaged(path)?,
        };

        source
            .warnings
            .insert(0, format!("the dump is damaged: {failure}"));

        Ok(source)
    }

    fn open_items(path: &Path) -> Result<Self> {
        let source = match Input::open(path)? {
            Input::Part(part) => {
                let warning = "a file of items has no checksums: damage may not be detected";
                Self {
                    warnings: vec![warning.to_owned()],
                    ..Self::items_only(SourceData::Parts(vec![part]))
                }
            }
            Input::Stream(stream) => Self::from_reader(stream),
        };

        Ok(Self {
            path: Some(path.to_owned()),
            ..source
        })
    }
}

/// Opens an existing folder. Retries if it is replaced in the meantime.
fn open_folder(path: &Path) -> Result<Source> {
    let mut opened = Err(Error::failed(format!(
        "`{}` is being replaced repeatedly",
        path.display()
    )));
    for _ in 0..ATTEMPTS {
        let folder = fs::canonicalize(path).map_err(|error| io_error("open", path, error))?;
        let before = identity(&folder);
        opened = DumpFolder::new(&folder).open();

        // Otherwise files of two dumps may have been mixed.
        if identity(&folder) == before {
            break;
        }
    }

    opened
}

/// Identifies the dump in a folder. Exchanging folders changes the first inode, moving files into
/// the folder the second.
fn identity(folder: &Path) -> (Option<u64>, Option<u64>) {
    let inode = |path: &Path| fs::metadata(path).map(|found| found.ino()).ok();
    (inode(folder), inode(&folder.join(METADATA_FILE)))
}

/// Opens an unpublished or old dump for a path that does not exist.
fn open_absent(path: &Path) -> Result<Source> {
    let nothing = || {
        Error::not_found(format!("`{}` does not exist", path.display()))
            .with_hint("name the folder of the dump: by default backups/dynamodb/<env>")
    };

    let target = resolve_path(path).map_err(|_| nothing())?;
    if find_unpublished(&target).is_some() {
        return DumpFolder::new(&target).open();
    }

    if let Some(old) = sibling(&target, OLD_SUFFIX).filter(|old| old.is_dir()) {
        let mut source = open_folder(&old)?;
        source.warnings.push(format!(
            "`{}` does not exist; reading `{}`",
            path.display(),
            old.display()
        ));

        return Ok(source);
    }

    match partial_folders(&target).find(|partial| fs::symlink_metadata(partial).is_ok()) {
        Some(partial) => Err(unfinished(&target, &partial)),
        None => Err(nothing()),
    }
}

/// Opens a damaged or unfinished dump.
fn open_damaged(path: &Path) -> Result<Source> {
    let folder = match fs::canonicalize(path) {
        Ok(folder) => folder,
        Err(_) => resolve_path(path)
            .ok()
            .and_then(|target| partial_folders(&target).find(|partial| partial.is_dir()))
            .ok_or_else(|| Error::not_found(format!("`{}` does not exist", path.display())))?,
    };

    DumpFolder::new(&folder).open_damaged()
}

/// The folders of one dump, in search order.
struct DumpFolder {
    folder: PathBuf,
    search: Vec<PathBuf>,
    warnings: Vec<String>,
}

impl DumpFolder {
    fn new(folder: &Path) -> Self {
        let mut found = Self {
            folder: folder.to_owned(),
            search: vec![folder.to_owned()],
            warnings: Vec::new(),
        };

        if let Some(unpublished) = find_unpublished(folder) {
            let partial = unpublished.partial;
            found.warnings.push(format!(
                "the dump was finished but not moved to its final location; reading it from `{}`",
                partial.display()
            ));
            found.search.insert(0, partial);
        }

        found
    }

    fn path_of(&self, name: &str) -> Option<PathBuf> {
        self.search
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| fs::symlink_metadata(path).is_ok())
    }

    fn open(mut self) -> Result<Source> {
        let Some(path) = self.path_of(METADATA_FILE) else {
            return self.open_without_metadata();
        };

        let shown = path.display().to_string();
        let document = read_document(&path)?.unwrap_or_default();
        match parse(&document, &shown)? {
            MetadataFile::Own(metadata) => self.open_own(*metadata),
            MetadataFile::Newer(version) => Err(newer_format(&shown, version)),
            MetadataFile::Foreign(foreign) => {
                self.warnings.push(
                    "made by another tool: no checksums, so damage may not be detected".to_owned(),
                );
                self.open_older(Some(foreign))
            }
        }
    }

    fn open_own(mut self, metadata: Metadata) -> Result<Source> {
        let listed: Vec<DataFile> = DataFile::ALL
            .into_iter()
            .filter(|kind| metadata.files.contains_key(kind.name()))
            .collect();
        let parts = match listed[..] {
            [] => Vec::new(),
            [kind] => vec![self.open_data(kind, Some(&metadata.files[kind.name()]))?],
            _ => return Err(self.damaged("its metadata lists more than one data file")),
        };

        let schema = match metadata.files.get(SCHEMA_FILE) {
            Some(entry) => Some(self.read_schema(Some(entry))?),
            None => None,
        };
        self.warnings.extend(few_items_warning(&metadata));
        self.warnings
            .extend(extra_files(&self.search, &metadata).map(|extra| extra_file_warning(&extra)));
        Ok(Source {
            schema,
            metadata: Some(metadata),
            ..self.source(SourceKind::OwnDump, parts)
        })
    }

    fn open_older(self, foreign: Option<ForeignMetadata>) -> Result<Source> {
        let present: Vec<DataFile> = DataFile::ALL
            .into_iter()
            .filter(|kind| self.path_of(kind.name()).is_some())
            .collect();
        let part = match present[..] {
            [] => return Err(self.damaged("it has no data file")),
            [kind] => self.open_data(kind, None)?,
            [one, other, ..] => {
                let what = format!(
                    "it has both {} and {}, and no metadata that says which one is valid",
                    one.name(),
                    other.name()
                );

                return Err(self.damaged(&what));
            }
        };

        let schema = if self.path_of(SCHEMA_FILE).is_some() {
            Some(self.read_schema(None)?)
        } else {
            None
        };

        Ok(Source {
            schema,
            foreign,
            ..self.source(SourceKind::OlderTool, vec![part])
        })
    }

    /// Without metadata, a dump of this format is unfinished. Only what an older tool may have
    /// written is read.
    fn open_without_metadata(mut self) -> Result<Source> {
        let plain = DataFile {
            format: DataFormat::Json,
            compression: Compression::None,
        };
        if self.path_of(plain.name()).is_some()
            && !begins_like_this_format(&self.folder.join(plain.name()))?
        {
            self.warnings
                .push("made by another tool: neither metadata nor checksums".to_owned());
            return self.open_older(None);
        }

        if dump_file_names().any(|name| self.path_of(name).is_some()) {
            return Err(unfinished(&self.folder, &self.folder));
        }

        if let Some(partial) =
            partial_folders(&self.folder).find(|partial| fs::symlink_metadata(partial).is_ok())
        {
            return Err(unfinished(&self.folder, &partial));
        }

        Err(no_dump(&self.folder))
    }

    /// Opens what can be opened, and records everything else as findings.
    fn open_damaged(mut self) -> Result<Source> {
        let mut findings = Vec::new();
        let (metadata, foreign) = self.damaged_metadata()?;
        let present = DataFile::ALL
            .into_iter()
            .filter(|kind| self.path_of(kind.name()).is_some());
        let is_listed = |kind: &DataFile| {
            metadata
                .as_ref()
                .is_some_and(|known| known.files.contains_key(kind.name()))
        };

        // If there are several data files, prefer one that the metadata lists.
        let Some(kind) = present.max_by_key(is_listed) else {
            let what = format!(
                "there is no data file in `{}`: nothing can be salvaged",
                self.folder.display()
            );
            return Err(Error::damaged(what)
                .with_hint("use another copy of the dump or dump the table again"));
        };

        let part = self.open_data(kind, None)?;
        let entry = metadata
            .as_ref()
            .and_then(|metadata| metadata.files.get(kind.name()));
        let listed = metadata
            .as_ref()
            .and_then(|metadata| metadata.files.get(SCHEMA_FILE));
        let schema = self.damaged_schema(listed, &mut findings);
        let damage = Damage {
            findings,
            promised: metadata.as_ref().map(|metadata| metadata.items),
            lacks_metadata: metadata.is_none(),
            frames: entry.and_then(|entry| entry.frames.clone()),
        };

        self.warnings.clear();
        Ok(Source {
            schema,
            metadata,
            foreign,
            damage: Some(Arc::new(damage)),
            ..self.source(SourceKind::Damaged, vec![part])
        })
    }

    /// The metadata if it is intact; otherwise as much as can be parsed.
    fn damaged_metadata(&self) -> Result<(Option<Metadata>, Option<ForeignMetadata>)> {
        let Some(path) = self.path_of(METADATA_FILE) else {
            return Ok((None, None));
        };

        let shown = path.display().to_string();
        let document = read_document(&path)?.unwrap_or_default();
        Ok(match parse(&document, &shown) {
            Ok(MetadataFile::Own(metadata)) => (Some(*metadata), None),
            Ok(MetadataFile::Newer(version)) => return Err(newer_format(&shown, version)),
            Ok(MetadataFile::Foreign(foreign)) => (None, Some(foreign)),
            Err(_) => (
                None,
                serde_json::from_slice(&document)
                    .ok()
                    .map(|fields| ForeignMetadata::read(&fields)),
            ),
        })
    }

    fn damaged_schema(
        &self,
        entry: Option<&FileEntry>,
        findings: &mut Vec<String>,
    ) -> Option<TableSchema> {
        match self.read_schema(None) {
            Ok(schema) => {
                if let (Some(_), Err(error)) = (entry, self.read_schema(entry)) {
                    findings.push(format!("{error}; it is used anyway"));
                }

                Some(schema)
            }
            Err(error) => {
                findings.push(format!("the schema cannot be read: {error}"));
                None
            }
        }
    }

    fn open_data(&self, kind: DataFile, entry: Option<&FileEntry>) -> Result<Part> {
        let missing = || self.damaged(&format!("{} is missing", kind.name()));
        let path = self.path_of(kind.name()).ok_or_else(missing)?;
        let part = Part::open(&path)?.ok_or_else(missing)?;

        match entry {
            Some(entry) if entry.bytes != part.bytes() => {
                Err(size_mismatch(&path, part.bytes(), entry.bytes))
            }
            Some(entry) => Ok(part.with_sha256(&entry.sha256)),
            None => Ok(part),
        }
    }

    fn read_schema(&self, entry: Option<&FileEntry>) -> Result<TableSchema> {
        let path = self
            .path_of(SCHEMA_FILE)
            .ok_or_else(|| self.damaged(&format!("{SCHEMA_FILE} is missing")))?;
        let document = read_document(&path)?.unwrap_or_default();
        if let Some(entry) = entry {
            verify_document(&path, &document, entry)?;
        }

        parse_schema(&path, &document)
    }

    fn source(self, kind: SourceKind, parts: Vec<Part>) -> Source {
        let Self {
            folder,
            search,
            warnings,
        } = self;

        let (schema, metadata, foreign) = (None, None, None);
        let (path, container_summary) = (Some(folder), Arc::default());
        Source {
            kind,
            path,
            schema,
            metadata,
            foreign,
            data: SourceData::Parts(parts),
            folders: search,
            warnings,
            container_summary,
            damage: None,
        }
    }

    fn damaged(&self, what: &str) -> Error {
        Error::damaged(format!(
            "the dump in `{}` is incomplete: {what}",
            self.folder.display()
        ))
        .with_hint(damaged_hint())
    }
}

/// Files with names of a dump's files that the metadata does not list. Only the metadata's own
/// folder is searched: the other folder of an unpublished dump holds the rest of the old dump.
pub(crate) fn extra_files(
    folders: &[PathBuf],
    metadata: &Metadata,
) -> impl Iterator<Item = PathBuf> {
    let names = dump_file_names()
        .filter(|name| *name != METADATA_FILE && !metadata.files.contains_key(*name));
    let paths = names.filter_map(|name| folders.first().map(|folder| folder.join(name)));
    paths.filter(|path| fs::symlink_metadata(path).is_ok())
}

/// The warning about an extra file.
pub(crate) fn extra_file_warning(extra: &Path) -> String {
    format!(
        "`{}` is not part of this dump and is not read",
        extra.display()
    )
}

fn begins_like_this_format(path: &Path) -> Result<bool> {
    let mut head = Vec::new();
    if let Some(file) = open_within_folder(path)? {
        file.take(JSON_HEAD.len() as u64)
            .read_to_end(&mut head)
            .map_err(|error| io_error("read", path, error))?;
    }

    Ok(JSON_HEAD.starts_with(&head))
}

/// The error for an unfinished dump in `place`.
fn unfinished(dump: &Path, place: &Path) -> Error {
    // A lock in a state directory is not known here.
    if let Some(holder) = sibling(dump, LOCK_SUFFIX).and_then(|lock| FileLock::holder(&lock)) {
        return Error::damaged(format!(
            "the dump in `{}` is still being written by {holder}",
            place.display()
        ))
        .with_hint("wait until it has finished");
    }

    Error::damaged(format!("the dump in `{}` is unfinished: it was interrupted", place.display()))
        .with_hint(
            format!("run dumpdb again with the same {target} and {resume}; restoredb {salvage} restores the readable items", target = Field::Target, resume = Field::Resume, salvage = Field::Salvage),
        )
}

fn no_dump(folder: &Path) -> Error {
    let mut tables: Vec<String> = entries(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| dump_file_names().any(|name| entry.path.join(name).is_file()))
        .map(|entry| entry.name.to_string_lossy().into_owned())
        .collect();

    if tables.is_empty() {
        return Error::not_found(format!("there is no dump in `{}`", folder.display()))
            .with_hint("name the folder that contains table-data.json, or a file of items");
    }

    tables.sort();
    let more = if tables.len() > LISTED_TABLES {
        ", …"
    } else {
        ""
    };

    tables.truncate(LISTED_TABLES);
    Error::usage(format!(
        "`{}` contains several tables: {}{more}",
        folder.display(),
        tables.join(", ")
    ))
    .with_hint(format!(
        "choose one with {source} {}",
        folder.join(&tables[0]).display(),
        source = Field::Source
    ))
}
