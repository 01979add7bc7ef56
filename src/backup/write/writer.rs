//! Writes a dump: data first, then schema, summary and metadata; then the dump is published
//! atomically.
//!
//! Until [`DumpWriter::finish`] returns, the old dump is unchanged and the new one has a temporary
//! name. A dropped writer leaves an unfinished folder, which the next run discards or resumes from
//! the last checkpoint.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::documents::{FolderDocuments, complete_metadata};
use super::encoder::{DataFileEncoder, EncodedDataFile};
use super::partial_file::PartialFile;
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
use crate::place::local::files::{io_error, remove_file, rename, sync_folder};
use crate::place::output::Output;
use crate::schema::TableSchema;

/// A finished dump.
#[derive(Debug)]
pub struct FinishedDump {
    /// Its files in writing order; empty for a stream.
    pub paths: Vec<PathBuf>,
    /// The metadata; for a file or stream it is not written.
    pub metadata: Metadata,
    /// Problems after the dump was in place, such as remains of the old one.
    pub warnings: Vec<String>,
}

/// Writes one dump. Calls block while the disk is slower than the caller.
pub struct DumpWriter {
    // Fields are dropped in this order: all threads must have ended when the lock is released.
    encoder: Option<DataFileEncoder>,
    kind: DataFile,
    checkpoints: Option<Arc<CheckpointSaver>>,
    place: OutputTarget,
}

/// The temporary and final path of the output.
enum OutputTarget {
    Folder {
        target: PathBuf,
        partial: PathBuf,
        access: Access,
        _lock: DumpLock,
    },
    File {
        target: PathBuf,
        partial: PartialFile,
    },
    Stream,
}

impl DumpWriter {
    /// Prepares the target: locks it, removes an unfinished dump, creates parent folders.
    ///
    /// # Errors
    /// [`Usage`](crate::error::ErrorKind::Usage) for a target that is not a dump, which is not
    /// changed; another run holds the lock; I/O errors.
    pub fn begin(target: &DumpTarget, options: &DumpOptions) -> Result<Self> {
        match target {
            DumpTarget::Folder(path) => Self::begin_folder(path, options),
            DumpTarget::File(path) => Self::begin_file(path, options),
            DumpTarget::Stdout => Self::stream(Output::stdout(), options.compression),
        }
    }

    /// Writes items to a stream as JSON Lines.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn stream(stream: Box<dyn Write + Send>, compression: Compression) -> Result<Self> {
        let kind = DataFile {
            format: DataFormat::Jsonl,
            compression,
        };
        let encoder = DataFileEncoder::new(Output::Stream(stream), kind)
            .map_err(|error| OutputTarget::Stream.write_error(kind, error))?;
        Ok(Self {
            encoder: Some(encoder),
            kind,
            checkpoints: None,
            place: OutputTarget::Stream,
        })
    }

    /// Resumes from the checkpoint of an interrupted dump. The existing bytes are verified first;
    /// `watch` receives progress.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged): the data does not match the checkpoint;
    /// nothing is changed; what `watch` says; those of [`begin`](Self::begin).
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

        // Inspect again under the lock: another run may have written there meanwhile.
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
                partial: PartialFile::resumed(part.path, places.clone(), lock),
            },
        };

        let encoder = DataFileEncoder::resume(part.output, kind, part.hasher, counted, tail);
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

        // Inspect again under the lock: another run may have written there meanwhile.
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
            let path = partial.join(kind.name());
            Some((Output::create(&path, options.access)?, kind))
        };

        // A checkpoint refers to the data file by its name, so the name must be durable first.
        sync_folder(&partial)?;
        sync_folder(partial.parent().unwrap_or(&partial))?;
        let place = OutputTarget::Folder {
            target,
            partial,
            access: options.access,
            _lock: lock,
        };

        let encoder = data
            .map(|(output, kind)| DataFileEncoder::new(output, kind))
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
        let partial = PartialFile::begin(&target, options.state_dir.as_deref())?;

        // Inspect again under the lock: another run may have written there meanwhile.
        inspect_file_target(&target)?;
        let checkpoints = checkpoints(&target, options)?;
        let output = Output::create(partial.path(), options.access)?;
        sync_folder(target.parent().unwrap_or(&target))?;
        let place = OutputTarget::File { target, partial };

        let encoder =
            DataFileEncoder::new(output, kind).map_err(|error| place.write_error(kind, error))?;
        Ok(Self {
            encoder: Some(encoder),
            kind,
            checkpoints,
            place,
        })
    }

    /// Adds items of a segment of the Scan in order.
    ///
    /// # Errors
    /// A failure of the disk or the stream, possibly while earlier items were written.
    pub fn append(&mut self, items: &Items, segment: usize) -> Result<()> {
        match &mut self.encoder {
            Some(encoder) => encoder
                .append(items, segment)
                .map_err(|error| self.place.write_error(self.kind, error)),
            None => Err(Error::failed("a dump of the schema alone takes no items")),
        }
    }

    /// Requests a checkpoint once all items added so far are synced. Does not wait. Does nothing
    /// without checkpoints, or while the previous one is being written.
    ///
    /// # Errors
    /// A failure of the disk while earlier items were written. An error of the checkpoint itself
    /// does not fail the dump: see [`take_checkpoint_error`](Self::take_checkpoint_error).
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

    /// The error of a checkpoint that failed since the last call.
    #[must_use]
    pub fn take_checkpoint_error(&self) -> Option<Error> {
        self.checkpoints.as_ref()?.take_error()
    }

    /// Ends the run without finishing the dump: writes a last checkpoint and waits for it. Nothing
    /// can be added afterwards.
    ///
    /// # Errors
    /// A failure of the disk; the previous checkpoint then stays valid. For an error of the
    /// checkpoint itself see [`take_checkpoint_error`](Self::take_checkpoint_error).
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

    /// Discards the dump: its checkpoint first, then its files.
    ///
    /// # Errors
    /// I/O errors.
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
            OutputTarget::File { target, partial } => {
                // Durably: without the lock file, nothing would prove that the file is ours.
                remove_file(partial.path())?;
                sync_folder(target.parent().unwrap_or(target))
            }
            OutputTarget::Stream => Ok(()),
        }
    }

    /// Writes the rest, waits until everything is on disk, and publishes the dump.
    ///
    /// # Errors
    /// I/O errors. The old dump is then untouched.
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
            OutputTarget::File { target, partial } => {
                self.finish_file(target, partial.path(), encoded, draft)
            }
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

        // After an exchange, `.partial` holds the old dump. No checkpoint may refer to it, so the
        // checkpoint is removed before.
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

        // The items are in place already: a checkpoint that cannot be removed is worth a warning
        // only.
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
    /// The error for data that cannot be written.
    fn write_error(&self, kind: DataFile, error: io::Error) -> Error {
        match self {
            Self::Folder { partial, .. } => io_error("write", &partial.join(kind.name()), error),
            Self::File { partial, .. } => io_error("write", partial.path(), error),
            Self::Stream => Error::failed(format!("cannot write to the output stream: {error}"))
                .with_source(error),
        }
    }
}

/// Removes the checkpoint of an earlier run and prepares those of this one.
fn checkpoints(target: &Path, options: &DumpOptions) -> Result<Option<Arc<CheckpointSaver>>> {
    let places = CheckpointPaths::for_dump(target, options.state_dir.as_deref());
    places.clear()?;
    let origin = options.origin.clone().filter(|_| !options.schema_only);

    Ok(origin.map(|origin| Arc::new(CheckpointSaver::new(places, origin))))
}

#[cfg(test)]
mod tests;
