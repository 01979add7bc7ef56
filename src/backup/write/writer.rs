//! Writing a dump: data as it comes, then schema, summary and metadata, then all of it into its place at once.
//!
//! Until [`DumpWriter::finish`] has returned, the old dump is untouched and the new one stands under another name. A writer that is
//! dropped before leaves that unfinished folder, which the next run for the same place replaces or, from the last checkpoint, goes on
//! with.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::documents::{FolderDocuments, complete_metadata};
use super::encoder::{DataFileEncoder, EncodedDataFile};
use super::pipeline::DataOutput;
use super::resume::{PartialDataFile, ProgressFn};
use super::target::{DumpOptions, DumpTarget, inspect_file_target, item_file_kind, prepare_target};
use crate::backup::checkpoint::{CheckpointPaths, CheckpointSaver, DumpCheckpoint, ScanProgress};
use crate::backup::folder::{inspect_target, remove_dump};
use crate::backup::format::{
    Compression, DataFile, DataFormat, METADATA_FILE, SCHEMA_FILE, SUMMARY_FILE,
};
use crate::backup::lock::DumpLock;
use crate::backup::metadata::{Metadata, MetadataDraft};
use crate::backup::publish::{create_partial_folder, publish, recover};
use crate::error::{Error, Result};
use crate::item::Items;
use crate::place::Access;
use crate::place::local::files::{create_file, io_error, remove_file, rename, sync_folder};
use crate::place::local::names::{PARTIAL_SUFFIX, sibling};
use crate::schema::TableSchema;

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

    /// Writes the rest, waits until everything is on disk, and publishes the dump.
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
                let documents = FolderDocuments {
                    partial,
                    access: *access,
                    metadata: complete_metadata(draft, encoded, self.kind.name()),
                };

                self.finish_folder(target, documents, schema)
            }
            OutputTarget::File {
                target, partial, ..
            } => self.finish_file(target, partial, encoded, draft),
            OutputTarget::Stream => Ok(FinishedDump {
                paths: Vec::new(),
                metadata: complete_metadata(draft, encoded, "-"),
                warnings: Vec::new(),
            }),
        }
    }

    fn finish_folder(
        &self,
        target: &Path,
        mut documents: FolderDocuments<'_>,
        schema: Option<&TableSchema>,
    ) -> Result<FinishedDump> {
        documents.write(schema)?;
        let FolderDocuments {
            partial, metadata, ..
        } = documents;

        // After an exchange, `.partial` holds the old dump. No checkpoint may refer to it, so the checkpoint is removed before.
        self.checkpoints
            .as_ref()
            .map_or(Ok(()), |checkpoints| checkpoints.clear())?;
        let names: Vec<&str> = metadata.files.keys().map(String::as_str).collect();
        let warnings = publish(target, partial, &names)?;

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

    fn finish_file(
        &self,
        target: &Path,
        partial: &Path,
        encoded: Option<EncodedDataFile>,
        draft: MetadataDraft,
    ) -> Result<FinishedDump> {
        rename(partial, target)?;
        sync_folder(target.parent().unwrap_or(target))?;

        // The items are in place already: a checkpoint that cannot be removed is worth a warning only.
        let left = self
            .checkpoints
            .as_ref()
            .and_then(|checkpoints| checkpoints.clear().err());
        let warnings = left
            .map(|error| format!("the items are in place, but {error}"))
            .into_iter()
            .collect();
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        Ok(FinishedDump {
            paths: vec![target.to_owned()],
            metadata: complete_metadata(draft, encoded, &name),
            warnings,
        })
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

#[cfg(test)]
mod tests;
