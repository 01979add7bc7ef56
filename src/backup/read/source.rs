//! An open source: a dump of this format, a folder of an older tool, a file of items, or a stream.
//!
//! Its items are in parts, which can be read repeatedly, or in a stream, which can be read once.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::damage::Damage;
use super::errors::damaged_hint;
use super::item_reader::{ContainerSummary, ItemReader};
use crate::backup::format::METADATA_FILE;
use crate::backup::metadata::{ForeignMetadata, Metadata};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::place::compression::{ByteStream, decompress};
use crate::place::digest::hex_sha256;
use crate::place::hashing::StreamHash;
use crate::place::part::Part;
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
            Self::OlderTool => "dump of another tool",
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
    /// Summary of the items' container, set when the data was read to the end. After a check, it is set only if the items are
    /// incomplete.
    pub(crate) container_summary: Arc<OnceLock<ContainerSummary>>,
    /// Known damage, if the source is salvaged.
    pub(crate) damage: Option<Arc<Damage>>,
}

/// The items of a source.
pub(crate) enum SourceData {
    /// In files, in this order; there is none in a dump of the schema only.
    Parts(Vec<Part>),
    /// In a stream; `None` after it was read.
    Stream(Mutex<Option<ByteStream>>),
}

impl Source {
    /// A source of items from a stream, which can be read only once.
    #[must_use]
    pub fn from_reader(read: Box<dyn Read + Send>) -> Self {
        let warning = "a stream is not checked before the first write".to_owned();
        Self {
            warnings: vec![warning],
            ..Self::items_only(SourceData::Stream(Mutex::new(Some(read))))
        }
    }

    pub(crate) fn items_only(data: SourceData) -> Self {
        let kind = SourceKind::Items;
        let (schema, metadata, foreign) = (None, None, None);
        let (folders, warnings, container_summary) = (Vec::new(), Vec::new(), Arc::default());
        Self {
            kind,
            path: None,
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
        self.is_stream() || !self.parts().is_empty()
    }

    /// The files with the items, in order. A stream has none.
    pub(crate) fn parts(&self) -> &[Part] {
        match &self.data {
            SourceData::Parts(parts) => parts,
            SourceData::Stream(_) => &[],
        }
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
                "{} contains 0 items, but {METADATA_FILE} says {}",
                self.display_name(),
                metadata.items
            );

            return Err(Error::damaged(what).with_hint(damaged_hint()));
        }

        Err(Error::usage(format!(
            "{} contains a schema but no items",
            self.display_name()
        ))
        .with_hint(format!(
            "pass {schema_only} to create the table without items",
            schema_only = Field::SchemaOnly
        )))
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
        self.parts()
            .iter()
            .map(Part::bytes)
            .reduce(|all, bytes| all + bytes)
    }

    /// SHA-256 of the data file in hex, from the metadata or computed. `None` without a file.
    ///
    /// # Errors
    /// An I/O error.
    pub fn data_sha256(&self) -> Result<Option<String>> {
        let mut sha256 = Vec::new();
        for part in self.parts() {
            sha256.push(match part.expected_sha256() {
                Some(expected) => expected.to_owned(),
                None => part.finish_sha256(&StreamHash::default())?,
            });
        }

        Ok(sha256_of_parts(&sha256))
    }

    /// Warnings about a readable source.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Reads the items from the beginning. A damaged source is read in [`pieces`](Self::pieces)
    /// instead.
    ///
    /// # Errors
    /// A stream that was read before; a damaged source; a dump of the schema alone; I/O errors.
    pub fn items(&self) -> Result<ItemReader<Box<dyn Read + Send>>> {
        self.check_has_items()?;
        if self.is_salvaged() {
            return Err(
                Error::damaged(format!("{} is damaged", self.display_name()))
                    .with_hint(damaged_hint()),
            );
        }

        let text = match &self.data {
            SourceData::Parts(parts) => {
                PartsText::open(parts).map(|text| Box::new(text) as ByteStream)
            }
            SourceData::Stream(stream) => {
                let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
                decompress(stream.ok_or_else(|| Error::failed("a stream can be read only once"))?)
            }
        };

        let text = text.map_err(|error| self.cannot_read(error))?;

        Ok(ItemReader::new(text).with_summary_slot(Arc::clone(&self.container_summary)))
    }

    /// The error for data that cannot be read.
    pub(crate) fn cannot_read(&self, error: io::Error) -> Error {
        Error::failed(format!("cannot read {}: {error}", self.display_name())).with_source(error)
    }

    /// Keeps the summary of a part if it says that the items are incomplete.
    pub(crate) fn note_container(&self, summary: &ContainerSummary) {
        if summary.incompleteness("").is_some() {
            // The first one is enough.
            let _ = self.container_summary.set(*summary);
        }
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
                format!("read the whole table again, or restore the existing items with {accept_incomplete}", accept_incomplete = Field::AcceptIncomplete),
            )),
            what => Ok(what.map(|what| format!("the source is incomplete: {what}"))),
        }
    }

    /// The source's name in messages.
    pub(crate) fn display_name(&self) -> String {
        match (self.parts(), &self.path) {
            ([part], _) => format!("`{}`", part.path().display()),
            (_, Some(path)) => format!("`{}`", path.display()),
            (_, None) => "standard input".to_owned(),
        }
    }
}

/// The text of several parts, one after the other.
struct PartsText {
    current: ByteStream,
    rest: VecDeque<Part>,
}

impl PartsText {
    fn open(parts: &[Part]) -> io::Result<Self> {
        let mut rest: VecDeque<Part> = parts.iter().cloned().collect();
        let current = match rest.pop_front() {
            Some(first) => first.text()?,
            None => Box::new(io::empty()),
        };

        Ok(Self { current, rest })
    }
}

impl Read for PartsText {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.current.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }

            match self.rest.pop_front() {
                Some(part) => self.current = part.text()?,
                None => return Ok(0),
            }
        }
    }
}

/// SHA-256 of all parts in hex: that of the only part, or of the list of theirs.
pub(crate) fn sha256_of_parts(sha256: &[String]) -> Option<String> {
    match sha256 {
        [] => None,
        [only] => Some(only.clone()),
        several => Some(hex_sha256(several.join("\n").as_bytes())),
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
