//! An open source: a dump of this format, a folder of an older tool, a file of items, or a stream.
//!
//! A file is opened once and always read through that handle. What was checked is therefore what is
//! restored, even if the dump is replaced meanwhile.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::damage::Damage;
use super::errors::DAMAGED_HINT;
use super::input::{ByteStream, FileReader, HashingReader, StreamHash, decompress};
use super::item_reader::{ContainerSummary, ItemReader};
use crate::backup::format::METADATA_FILE;
use crate::backup::metadata::{ForeignMetadata, Metadata};
use crate::error::{Error, Result};
use crate::place::local::files::io_error;
use crate::schema::TableSchema;

/// A source named by the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceSpec {
    /// A folder or a file.
    Path(PathBuf),
    /// Items on standard input.
    Stdin,
}

impl SourceSpec {
    /// A folder or a file.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        Self::Path(path.into())
    }
}

/// Kind of a source, determined by content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceKind {
    /// A dump of this format.
    OwnDump,
    /// A folder with the files of a dump and no checksums.
    OlderTool,
    /// A file or stream of items.
    Items,
    /// A damaged dump or file of items, of which the undamaged part is read.
    Damaged,
}

impl SourceKind {
    /// The label used in plans.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::OwnDump => "dump",
            Self::OlderTool => "dump of an older tool",
            Self::Items => "items",
            Self::Damaged => "damaged: salvage",
        }
    }
}

/// An open source. Its `Display` is its path.
pub struct Source {
    pub(crate) kind: SourceKind,
    pub(crate) path: Option<PathBuf>,
    pub(crate) schema: Option<TableSchema>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) foreign: Option<ForeignMetadata>,
    pub(crate) data: SourceData,
    /// Folders with the dump's files; more than one if a run crashed while it moved them.
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) warnings: Vec<String>,
    /// Summary of the items' container, set when the data was read to the end.
    pub(crate) container_summary: Arc<OnceLock<ContainerSummary>>,
    /// Known damage, if the source is salvaged.
    pub(crate) damage: Option<Arc<Damage>>,
}

/// The items of a source.
pub(crate) enum SourceData {
    /// In a file.
    File { file: Arc<File>, path: PathBuf },
    /// In a stream; `None` after it was read.
    Stream(Mutex<Option<ByteStream>>),
    /// No items: a dump of the schema only.
    None,
}

impl Source {
    /// A source of items from a stream, which can be read only once.
    #[must_use]
    pub fn from_reader(read: Box<dyn Read + Send>) -> Self {
        let warning = "items from a stream are not checked before the first write".to_owned();
        Self {
            warnings: vec![warning],
            ..Self::items_only(None, SourceData::Stream(Mutex::new(Some(read))))
        }
    }

    pub(crate) fn items_only(path: Option<PathBuf>, data: SourceData) -> Self {
        let kind = SourceKind::Items;
        let (schema, metadata, foreign) = (None, None, None);
        let (folders, warnings, container_summary) = (Vec::new(), Vec::new(), Arc::default());
        Self {
            kind,
            path,
            schema,
            metadata,
            foreign,
            data,
            folders,
            warnings,
            container_summary,
            damage: None,
        }
    }

    /// The kind of the source.
    #[must_use]
    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    /// The path of the source; `None` for a stream.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The schema of the table, if the source has one.
    #[must_use]
    pub fn schema(&self) -> Option<&TableSchema> {
        self.schema.as_ref()
    }

    /// The metadata of a dump of this format.
    #[must_use]
    pub fn metadata(&self) -> Option<&Metadata> {
        self.metadata.as_ref()
    }

    /// Metadata of an older tool.
    #[must_use]
    pub fn foreign_metadata(&self) -> Option<&ForeignMetadata> {
        self.foreign.as_ref()
    }

    /// The name of the dumped table, if the source contains it.
    #[must_use]
    pub fn table_name(&self) -> Option<&str> {
        let foreign = || self.foreign.as_ref()?.table.as_deref();
        let schema = || self.schema.as_ref()?.table_name();
        self.metadata
            .as_ref()
            .map(|metadata| metadata.table.as_str())
            .or_else(foreign)
            .or_else(schema)
    }

    /// The name of the dumped environment, if the source contains it.
    #[must_use]
    pub fn environment(&self) -> Option<&str> {
        let foreign = || self.foreign.as_ref()?.environment.as_deref();
        self.metadata
            .as_ref()
            .map(|metadata| metadata.environment.as_str())
            .or_else(foreign)
    }

    /// Whether it contains item data; `false` for a dump of the schema only.
    #[must_use]
    pub fn has_items(&self) -> bool {
        !matches!(self.data, SourceData::None)
    }

    /// Rejects a dump without items.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage): it is a dump of the schema alone;
    /// [`Damaged`](crate::error::ErrorKind::Damaged): its metadata says that it has items.
    pub fn check_has_items(&self) -> Result<()> {
        if self.has_items() {
            return Ok(());
        }

        if let Some(metadata) = self.metadata.as_ref().filter(|metadata| metadata.items > 0) {
            let what = format!(
                "{} holds 0 items, and its {METADATA_FILE} says {}",
                self.display_name(),
                metadata.items
            );

            return Err(Error::damaged(what).with_hint(DAMAGED_HINT));
        }

        Err(Error::usage(format!(
            "{} holds a schema and no items",
            self.display_name()
        ))
        .with_hint("pass --schema-only to create the table without items"))
    }

    /// Whether it is a complete dump of an empty table.
    #[must_use]
    pub fn is_of_empty_table(&self) -> bool {
        let is_empty = |metadata: &Metadata| metadata.complete && metadata.items == 0;
        self.has_items() && !self.is_salvaged() && self.metadata.as_ref().is_some_and(is_empty)
    }

    /// Whether the items can be read only once, so that they cannot be checked before use.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        matches!(self.data, SourceData::Stream(_))
    }

    /// Whether only the undamaged part is read.
    #[must_use]
    pub fn is_salvaged(&self) -> bool {
        self.damage.is_some()
    }

    /// Size of the data file in bytes; `None` without one.
    #[must_use]
    pub fn data_file_bytes(&self) -> Option<u64> {
        match &self.data {
            SourceData::File { file, .. } => file.metadata().ok().map(|found| found.len()),
            SourceData::Stream(_) | SourceData::None => None,
        }
    }

    /// SHA-256 of the data file in hex, from the metadata or computed. `None` without a file.
    ///
    /// # Errors
    /// An I/O error.
    pub fn data_sha256(&self) -> Result<Option<String>> {
        let SourceData::File { file, path } = &self.data else {
            return Ok(None);
        };

        let known = path
            .file_name()
            .and_then(|name| self.metadata.as_ref()?.files.get(name.to_str()?));
        if let (Some(entry), false) = (known, self.is_salvaged()) {
            return Ok(Some(entry.sha256.clone()));
        }

        let seen = StreamHash::default();
        let mut read = HashingReader::new(FileReader::new(Arc::clone(file), 0), seen.clone());
        let sha256 = io::copy(&mut read, &mut io::sink()).and_then(|_| seen.sha256());

        sha256
            .map(Some)
            .map_err(|error| io_error("read", path, error))
    }

    /// Warnings about a readable source.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Reads the items from the beginning.
    ///
    /// # Errors
    /// A stream that was read before; a dump of the schema alone; I/O errors.
    pub fn items(&self) -> Result<ItemReader<Box<dyn Read + Send>>> {
        if let Some(readable) = self.salvaged()? {
            return Ok(ItemReader::new(readable));
        }

        let bytes = match &self.data {
            SourceData::File { file, .. } => Box::new(FileReader::new(Arc::clone(file), 0)),
            SourceData::Stream(stream) => stream
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
                .ok_or_else(|| Error::failed("the items of a stream can be read only once"))?,
            SourceData::None => {
                self.check_has_items()?;
                Box::new(io::empty())
            }
        };

        self.reader(bytes)
    }

    /// Reads the items of a data file, hashing all bytes read.
    pub(crate) fn hashed_items(
        &self,
        file: &Arc<File>,
        seen: &StreamHash,
    ) -> Result<ItemReader<Box<dyn Read + Send>>> {
        let plain = self.hashed_bytes(file, seen)?;
        Ok(ItemReader::new(plain).with_summary_slot(Arc::clone(&self.container_summary)))
    }

    /// Reads the decompressed bytes of a data file, hashing the compressed bytes.
    pub(crate) fn hashed_bytes(&self, file: &Arc<File>, seen: &StreamHash) -> Result<ByteStream> {
        self.plain(Box::new(HashingReader::new(
            FileReader::new(Arc::clone(file), 0),
            seen.clone(),
        )))
    }

    fn plain(&self, bytes: ByteStream) -> Result<ByteStream> {
        decompress(bytes).map_err(|error| {
            Error::failed(format!("cannot read {}: {error}", self.display_name()))
                .with_source(error)
        })
    }

    fn reader(&self, bytes: ByteStream) -> Result<ItemReader<Box<dyn Read + Send>>> {
        let plain = self.plain(bytes)?;
        Ok(ItemReader::new(plain).with_summary_slot(Arc::clone(&self.container_summary)))
    }

    /// Why the items are incomplete, according to another tool's document. Known after reading to
    /// the end. Dumps of this format record it in their metadata.
    #[must_use]
    pub fn incompleteness(&self) -> Option<String> {
        let summary = self
            .container_summary
            .get()
            .filter(|_| self.kind != SourceKind::OwnDump)?;
        summary.incompleteness(&self.display_name())
    }

    /// Rejects incomplete items unless `accepted`, which makes it a warning. Call after
    /// [`check`](fn@crate::backup::check), which reads the items to the end.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged): they are incomplete.
    pub fn accept_incomplete(&self, accepted: bool) -> Result<Option<String>> {
        match self.incompleteness() {
            Some(what) if !accepted => Err(Error::damaged(format!(
                "the source is incomplete: {what}"
            ))
            .with_hint(
                "read the whole table again, or accept what is there with --accept-incomplete",
            )),
            what => Ok(what.map(|what| format!("the source is incomplete: {what}"))),
        }
    }

    /// The source's name in messages.
    pub(crate) fn display_name(&self) -> String {
        match (&self.data, &self.path) {
            (SourceData::File { path, .. }, _) | (_, Some(path)) => format!("`{}`", path.display()),
            (_, None) => "standard input".to_owned(),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => path.display().fmt(f),
            None => f.write_str("standard input"),
        }
    }
}

#[cfg(test)]
mod tests;
