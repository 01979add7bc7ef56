//! Writing a dump: data as it comes, then schema, summary and metadata, then all of it into its place at once.
//!
//! Until [`DumpWriter::finish`] has returned, the old dump is untouched and the new one stands under another name. A writer that is
//! dropped before leaves that unfinished folder, which the next run for the same place replaces or, from the last checkpoint, goes on
//! with.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::encoder::{DataFileEncoder, EncodedDataFile};
use super::pipeline::DataOutput;
use super::resume::{PartialDataFile, ProgressFn};
use crate::backup::checkpoint::{
    CheckpointPaths, CheckpointSaver, DumpCheckpoint, DumpOrigin, ScanProgress,
};
use crate::backup::folder::remove_dump;
use crate::backup::folder::{TargetContents, inspect_target, resolve_path};
use crate::backup::format::{
    Compression, DataFile, DataFormat, FORMAT_VERSION, METADATA_FILE, SCHEMA_FILE, SUMMARY_FILE,
};
use crate::backup::lock::DumpLock;
use crate::backup::metadata::{FileEntry, Metadata, MetadataDraft};
use crate::backup::publish::{create_partial_folder, publish, recover};
use crate::backup::summary;
use crate::error::{Error, Result};
use crate::item::Items;
use crate::place::Access;
use crate::place::digest::hex_sha256;
use crate::place::local::files::{
    create_file, create_folders, io_error, remove_file, rename, sync_folder, write_file,
};
use crate::place::local::names::{PARTIAL_SUFFIX, sibling};
use crate::schema::TableSchema;

/// Where a dump goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpTarget {
    /// A folder with the four files.
    Folder(PathBuf),
    /// One file of items: `*.jsonl`, `*.jsonl.gz` or `*.jsonl.zst`.
    File(PathBuf),
    /// JSON Lines on standard output.
    Stdout,
}

impl DumpTarget {
    /// A dump folder.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self::Folder(path.into())
    }

    /// A file of items; see [`DataFile::for_item_file`] for the names it may have.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(path.into())
    }

    /// Standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self::Stdout
    }

    /// What stands there now. Nothing is changed.
    ///
    /// # Errors
    /// A target that [`DumpWriter::begin`] would refuse.
    pub fn contents(&self) -> Result<TargetContents> {
        match self {
            Self::Folder(path) => inspect_target(&resolve_path(path)?),
            Self::File(path) => inspect_file_target(&resolve_path(path)?),
            Self::Stdout => Ok(TargetContents::Absent),
        }
    }
}

/// How a dump is written.
#[derive(Debug, Clone, Default)]
pub struct DumpOptions {
    /// How items are laid out. Files and streams of items are always JSON Lines.
    pub format: DataFormat,
    /// How the data is compressed. A file's name decides for itself.
    pub compression: Compression,
    /// Write no data file: the dump is of the schema alone.
    pub schema_only: bool,
    /// Who may read it.
    pub access: Access,
    /// The program's folder in the user's state directory, for lock and checkpoint where they cannot stand beside the dump.
    pub state_dir: Option<PathBuf>,
    /// What is dumped, so that the run can be gone on with after an interruption; without it no checkpoint is made.
    pub origin: Option<DumpOrigin>,
}

/// A dump that stands.
#[derive(Debug)]
pub struct FinishedDump {
    /// Its files in the order of writing; none for a stream.
    pub paths: Vec<PathBuf>,
    /// What a folder's metadata file says; for a file or a stream, what it would say.
    pub metadata: Metadata,
    /// What went wrong after the dump stood, such as remains of the old one.
    pub warnings: Vec<String>,
}

/// Writes one dump. Calls block while the disk is slower than the caller.
pub struct DumpWriter {
    // Fields are dropped in this order: no thread writes any more when the lock is released.
    encoder: Option<DataFileEncoder>,
    kind: DataFile,
    checkpoints: Option<Arc<CheckpointSaver>>,
    place: OutputTarget,
}

/// Where the bytes go until they are finished, and where then.
enum OutputTarget {
    Folder {
        target: PathBuf,
        partial: PathBuf,
        access: Access,
        _lock: DumpLock,
    },
    File {
        target: PathBuf,
        partial: PathBuf,
        _lock: DumpLock,
    },
    Stream,
}

impl DumpWriter {
    /// Prepares the target: locks it, clears what an unfinished run left, makes the folders above it.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage) for a target that is something else, which is left as it is; another run holds the
    /// lock; the system's refusals.
    pub fn begin(target: &DumpTarget, options: &DumpOptions) -> Result<Self> {
        match target {
            DumpTarget::Folder(path) => Self::begin_folder(path, options),
            DumpTarget::File(path) => Self::begin_file(path, options),
            DumpTarget::Stdout => Self::stream(Box::new(io::stdout()), options.compression),
        }
    }

    /// Writes items to a stream as JSON Lines.
    ///
    /// # Errors
    /// The system's refusal to start a thread.
    pub fn stream(stream: Box<dyn Write + Send>, compression: Compression) -> Result<Self> {
        let kind = DataFile {
            format: DataFormat::Jsonl,
            compression,
        };
        let encoder = DataFileEncoder::new(DataOutput::Stream(stream), kind)
            .map_err(|error| OutputTarget::Stream.write_error(kind, error))?;
        Ok(Self {
            encoder: Some(encoder),
            kind,
            checkpoints: None,
            place: OutputTarget::Stream,
        })
    }

    /// Goes on where an interrupted run has made a checkpoint. Its bytes on disk are read first; `watch` hears of that.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged): they are not what the checkpoint counts, and nothing is changed; what `watch`
    /// says; those of [`begin`](Self::begin).
    pub fn resume(
        target: &DumpTarget,
        options: &DumpOptions,
        from: DumpCheckpoint,
        watch: ProgressFn<'_>,
    ) -> Result<Self> {
        let (DumpTarget::Folder(path) | DumpTarget::File(path)) = target else {
            return Err(Error::usage("a stream cannot be resumed"));
        };

        let allowed = if matches!(target, DumpTarget::Folder(_)) {
            inspect_target
        } else {
            inspect_file_target
        };

        let path = prepare_target(path, allowed)?;
        let lock = DumpLock::acquire(&path, options.state_dir.as_deref())?;
        allowed(&path)?;
        let places = CheckpointPaths::for_dump(&path, options.state_dir.as_deref());
        let part = PartialDataFile::reopen(target, &path, &places, &from, watch)?;
        let DumpCheckpoint {
            origin,
            counted,
            tail,
            ..
        } = from;

        let kind = DataFile {
            format: origin.format,
            compression: origin.compression,
        };
        let place = match target {
            DumpTarget::Folder(_) => {
                let partial = part.path.parent().unwrap_or(&path).to_owned();
                OutputTarget::Folder {
                    target: path,
                    partial,
                    access: options.access,
                    _lock: lock,
                }
            }
            _ => OutputTarget::File {
                target: path,
                partial: part.path,
                _lock: lock,
            },
        };

        let encoder = DataFileEncoder::resume(
            DataOutput::from_file(part.file),
            kind,
            part.hasher,
            counted,
            tail,
        );
        let encoder = Some(encoder.map_err(|error| place.write_error(kind, error))?);
        Ok(Self {
            encoder,
            kind,
            checkpoints: Some(Arc::new(CheckpointSaver::new(places, origin))),
            place,
        })
    }

    fn begin_folder(path: &Path, options: &DumpOptions) -> Result<Self> {
        let target = prepare_target(path, inspect_target)?;
        let lock = DumpLock::acquire(&target, options.state_dir.as_deref())?;
        inspect_target(&target)?;
        let checkpoints = checkpoints(&target, options)?;
        recover(&target)?;
        let partial = create_partial_folder(&target, options.access)?;
        let kind = DataFile {
            format: options.format,
            compression: options.compression,
        };
        let data = if options.schema_only {
            None
        } else {
            Some((
                create_file(&partial.join(kind.name()), options.access)?,
                kind,
            ))
        };

        // A checkpoint speaks of the data file by its name.
        sync_folder(&partial)?;
        sync_folder(partial.parent().unwrap_or(&partial))?;
        let place = OutputTarget::Folder {
            target,
            partial,
            access: options.access,
            _lock: lock,
        };

        let encoder = data
            .map(|(file, kind)| DataFileEncoder::new(DataOutput::from_file(file), kind))
            .transpose();
        Ok(Self {
            encoder: encoder.map_err(|error| place.write_error(kind, error))?,
            kind,
            checkpoints,
            place,
        })
    }

    fn begin_file(path: &Path, options: &DumpOptions) -> Result<Self> {
        let kind = item_file_kind(path, options)?;
        let target = prepare_target(path, inspect_file_target)?;
        let lock = DumpLock::acquire(&target, options.state_dir.as_deref())?;
        inspect_file_target(&target)?;
        let checkpoints = checkpoints(&target, options)?;
        let partial = sibling(&target, PARTIAL_SUFFIX).expect("a file's path ends in its name");
        remove_file(&partial)?;
        let file = create_file(&partial, options.access)?;
        sync_folder(partial.parent().unwrap_or(&partial))?;
        let place = OutputTarget::File {
            target,
            partial,
            _lock: lock,
        };

        let encoder = DataFileEncoder::new(DataOutput::from_file(file), kind)
            .map_err(|error| place.write_error(kind, error))?;
        Ok(Self {
            encoder: Some(encoder),
            kind,
            checkpoints,
            place,
        })
    }

    /// Adds items in their order.
    ///
    /// # Errors
    /// A failure of the disk or the stream, possibly while earlier items were written.
    pub fn append(&mut self, items: &Items) -> Result<()> {
        match &mut self.encoder {
            Some(encoder) => encoder
                .append(items)
                .map_err(|error| self.place.write_error(self.kind, error)),
            None => Err(Error::failed("a dump of the schema alone takes no items")),
        }
    }

    /// Leaves a checkpoint once all items added so far are on disk; nobody waits for that. Nothing happens where none are made, or
    /// while the one before is on its way.
    ///
    /// # Errors
    /// A failure of the disk while earlier items were written. That the checkpoint itself cannot be left is no failure of the dump:
    /// see [`trouble`](Self::take_checkpoint_error).
    pub fn checkpoint(&mut self, progress: &ScanProgress) -> Result<()> {
        let (Some(encoder), Some(checkpoints)) = (&mut self.encoder, &self.checkpoints) else {
            return Ok(());
        };

        if !checkpoints.try_begin() {
            return Ok(());
        }

        let (checkpoints, progress) = (Arc::clone(checkpoints), progress.clone());
        let sent =
            encoder.when_synced(move |counted, tail| checkpoints.save(progress, counted, tail));

        sent.map_err(|error| self.place.write_error(self.kind, error))
    }

    /// Why a checkpoint could not be left, if one failed since this was asked before.
    #[must_use]
    pub fn take_checkpoint_error(&self) -> Option<Error> {
        self.checkpoints.as_ref()?.take_error()
    }

    /// Leaves the dump unfinished, with a last checkpoint that is on disk when this returns. Nothing can be added any more.
    ///
    /// # Errors
    /// A failure of the disk; the checkpoint before then holds. For one of the checkpoint itself see [`trouble`](Self::take_checkpoint_error).
    pub fn stop(&mut self, progress: &ScanProgress) -> Result<()> {
        let (Some(mut encoder), Some(checkpoints)) = (self.encoder.take(), &self.checkpoints)
        else {
            return Ok(());
        };

        let (checkpoints, progress) = (Arc::clone(checkpoints), progress.clone());
        let stopped =
            encoder.when_synced(move |counted, tail| checkpoints.save(progress, counted, tail));
        stopped
            .and_then(|()| encoder.stop())
            .map_err(|error| self.place.write_error(self.kind, error))
    }

    /// Discards the dump: its checkpoint first, then what was written.
    ///
    /// # Errors
    /// The system's refusals.
    pub fn discard(mut self) -> Result<()> {
        if let Some(encoder) = self.encoder.take() {
            encoder
                .stop()
                .map_err(|error| self.place.write_error(self.kind, error))?;
        }

        self.checkpoints
            .as_ref()
            .map_or(Ok(()), |checkpoints| checkpoints.clear())?;
        match &self.place {
            OutputTarget::Folder { partial, .. } => remove_dump(partial),
            OutputTarget::File { partial, .. } => remove_file(partial),
            OutputTarget::Stream => Ok(()),
        }
    }

    /// Writes the rest, waits until all is on disk, and puts the dump into its place.
    ///
    /// # Errors
    /// The system's refusals. The old dump is then untouched.
    pub fn finish(
        mut self,
        schema: Option<&TableSchema>,
        draft: MetadataDraft,
    ) -> Result<FinishedDump> {
        let encoded = self
            .encoder
            .take()
            .map(DataFileEncoder::finish)
            .transpose()
            .map_err(|error| self.place.write_error(self.kind, error))?;

        match &self.place {
            OutputTarget::Folder {
                target,
                partial,
                access,
                ..
            } => {
                let mut content = FolderDocuments {
                    partial,
                    access: *access,
                    metadata: metadata(draft, encoded, self.kind.name()),
                };

                content.write(schema)?;
                let metadata = content.metadata;

                // What stands in `.partial` after an exchange is the old dump: no checkpoint may speak of it.
                self.checkpoints
                    .as_ref()
                    .map_or(Ok(()), |checkpoints| checkpoints.clear())?;
                let warnings = publish(
                    target,
                    partial,
                    &metadata
                        .files
                        .keys()
                        .map(String::as_str)
                        .collect::<Vec<_>>(),
                )?;

                let order = [self.kind.name(), SCHEMA_FILE, SUMMARY_FILE];
                let written = order
                    .into_iter()
                    .filter(|name| metadata.files.contains_key(*name))
                    .chain([METADATA_FILE]);
                Ok(FinishedDump {
                    paths: written.map(|name| target.join(name)).collect(),
                    metadata,
                    warnings,
                })
            }
            OutputTarget::File {
                target, partial, ..
            } => {
                rename(partial, target)?;
                sync_folder(target.parent().unwrap_or(target))?;
                let left = self
                    .checkpoints
                    .as_ref()
                    .and_then(|checkpoints| checkpoints.clear().err());
                let warnings = left
                    .map(|error| format!("the items are in place, but {error}"))
                    .into_iter()
                    .collect();
                let name = target.file_name().unwrap_or_default().to_string_lossy();
                let metadata = metadata(draft, encoded, &name);
                Ok(FinishedDump {
                    paths: vec![target.clone()],
                    metadata,
                    warnings,
                })
            }
            OutputTarget::Stream => Ok(FinishedDump {
                paths: Vec::new(),
                metadata: metadata(draft, encoded, "-"),
                warnings: Vec::new(),
            }),
        }
    }
}

impl OutputTarget {
    /// What to say when the data cannot be written.
    fn write_error(&self, kind: DataFile, error: io::Error) -> Error {
        match self {
            Self::Folder { partial, .. } => io_error("write", &partial.join(kind.name()), error),
            Self::File { partial, .. } => io_error("write", partial, error),
            Self::Stream => Error::failed(format!("cannot write to the output stream: {error}"))
                .with_source(error),
        }
    }
}

/// Removes what speaks of an earlier run, and makes ready to speak of this one.
fn checkpoints(target: &Path, options: &DumpOptions) -> Result<Option<Arc<CheckpointSaver>>> {
    let places = CheckpointPaths::for_dump(target, options.state_dir.as_deref());
    places.clear()?;
    let origin = options.origin.clone().filter(|_| !options.schema_only);

    Ok(origin.map(|origin| Arc::new(CheckpointSaver::new(places, origin))))
}

/// Resolves a target's path, looks at what is there, and makes the folders above it.
fn prepare_target(path: &Path, look: fn(&Path) -> Result<TargetContents>) -> Result<PathBuf> {
    let target = resolve_path(path)?;
    look(&target)?;
    if let Some(parent) = target.parent() {
        create_folders(parent, Access::Shared)?;
    }

    resolve_path(&target)
}

fn inspect_file_target(target: &Path) -> Result<TargetContents> {
    match fs::metadata(target) {
        Ok(found) if found.is_file() => Ok(TargetContents::Dump(None)),
        Ok(_) => Err(
            Error::usage(format!("`{}` is not a regular file", target.display()))
                .with_hint("choose another --output; `--output -` writes to standard output"),
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(TargetContents::Absent),
        Err(error) => Err(io_error("open", target, error)),
    }
}

fn item_file_kind(path: &Path, options: &DumpOptions) -> Result<DataFile> {
    let kind = DataFile::for_item_file(path).filter(|kind| {
        !options.schema_only
            && (options.compression == Compression::None || options.compression == kind.compression)
    });
    kind.ok_or_else(|| {
        Error::usage(format!("`{}` cannot be written as asked: its name decides what it holds", path.display()))
            .with_hint("a file of items is named *.jsonl, *.jsonl.gz or *.jsonl.zst; name a folder for a whole dump")
    })
}

/// The documents around the data of a folder.
struct FolderDocuments<'a> {
    partial: &'a Path,
    access: Access,
    metadata: Metadata,
}

impl FolderDocuments<'_> {
    fn write(&mut self, schema: Option<&TableSchema>) -> Result<()> {
        if let Some(schema) = schema {
            self.add(SCHEMA_FILE, &schema.to_document())?;
        }

        let summary = summary::render(&self.metadata);
        self.add(SUMMARY_FILE, summary.as_bytes())?;

        // The data and the documents before are on disk, under their names, before the metadata vouches for them.
        sync_folder(self.partial)?;
        write_file(
            &self.partial.join(METADATA_FILE),
            &self.metadata.to_document()?,
            self.access,
        )?;

        sync_folder(self.partial)
    }

    fn add(&mut self, name: &str, document: &[u8]) -> Result<()> {
        write_file(&self.partial.join(name), document, self.access)?;
        let entry = FileEntry {
            bytes: document.len() as u64,
            sha256: hex_sha256(document),
            frames: None,
        };

        self.metadata.files.insert(name.to_owned(), entry);

        Ok(())
    }
}

fn metadata(
    mut draft: MetadataDraft,
    encoded: Option<EncodedDataFile>,
    data_name: &str,
) -> Metadata {
    if encoded.is_none() {
        draft.partial.insert("schema_only".to_owned(), true.into());
    }

    let (items, data_bytes) = encoded
        .as_ref()
        .map_or((0, 0), |encoded| (encoded.items, encoded.text_bytes));
    let entry = encoded.map(|EncodedDataFile { file, .. }| {
        (
            data_name.to_owned(),
            FileEntry {
                bytes: file.bytes,
                sha256: file.sha256,
                frames: file.frames,
            },
        )
    });

    Metadata {
        format_version: FORMAT_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        environment: draft.environment,
        table: draft.table,
        table_arn: draft.table_arn,
        table_id: draft.table_id,
        region: draft.region,
        endpoint: draft.endpoint,
        route: draft.route,
        started_at: draft.started_at,
        finished_at: draft.finished_at,
        resumed: draft.resumed,
        complete: draft.partial.is_empty(),
        partial: draft.partial,
        transformed: draft.transformed,
        mask_rules_sha256: draft.mask_rules_sha256,
        consistent_read: draft.consistent_read,
        segments: draft.segments,
        items,
        data_bytes,
        // JSON has no other numbers.
        consumed_read_units: if draft.consumed_read_units.is_finite() {
            draft.consumed_read_units
        } else {
            0.0
        },
        set_digest: draft.set_digest,
        not_captured: draft.not_captured,
        files: entry.into_iter().collect::<BTreeMap<_, _>>(),
    }
}

#[cfg(test)]
mod tests;
