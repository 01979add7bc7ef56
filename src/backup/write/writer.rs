//! Writes a dump: data first, then schema, summary and metadata; then the dump is published
//! atomically.
//!
//! Until [`DumpWriter::finish`] returns, the old dump is unchanged and the new one has a temporary
//! name. A dropped writer leaves an unfinished folder, which the next run discards or resumes from
//! the progress in the journal. Whoever uses the writer saves that progress; the writer removes the
//! journal at the moment when it would no longer describe the folder.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::documents::{FolderDocuments, complete_metadata};
use super::encoder::{DataFileEncoder, EncodedDataFile};
use super::lock::lock_dump;
use super::partial_file::PartialFile;
use super::resume::{PartialDataFile, ProgressFn};
use super::target::{DumpOptions, DumpTarget, inspect_file_target, item_file_kind, prepare_target};
use crate::backup::folder::{TargetContents, inspect_target};
use crate::backup::format::{
    Compression, DataFile, DataFormat, METADATA_FILE, SCHEMA_FILE, SUMMARY_FILE,
};
use crate::backup::metadata::Metadata;
use crate::backup::progress::{DataFileState, DumpProgress};
use crate::backup::publish::{cannot_replace, create_partial_folder, publish, recover};
use crate::backup::removal::remove_dump;
use crate::error::{Error, Result};
use crate::item::Items;
use crate::limits::MemoryShare;
use crate::place::local::files::{io_error, remove_file, rename, sync_folder};
use crate::place::local::folders::is_mount_point;
use crate::place::output::Output;
use crate::place::{Access, JournalFile, JournalStamp, LockedJournal};
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
    place: OutputTarget,
    /// Whether the name of the data file is on disk. A journal may refer to it only then.
    is_name_synced: bool,
}

/// The temporary and final path of the output.
enum OutputTarget {
    Folder {
        target: PathBuf,
        partial: PathBuf,
        access: Access,
        journal: Arc<LockedJournal>,
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
            DumpTarget::Stdout => Ok(Self::stream(Output::stdout(), options.compression)),
        }
    }

    /// Writes items to a stream as JSON Lines.
    #[must_use]
    pub fn stream(stream: Box<dyn Write + Send>, compression: Compression) -> Self {
        let kind = DataFile {
            format: DataFormat::Jsonl,
            compression,
        };
        let output = Output::Stream(stream);

        Self {
            encoder: Some(DataFileEncoder::new(output, kind, MemoryShare::WHOLE)),
            kind,
            place: OutputTarget::Stream,
            is_name_synced: true,
        }
    }

    /// Resumes an interrupted dump. The existing bytes are verified first; `watch` receives progress.
    /// `planned` is the journal from which `from` was read.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged): the data does not match the progress, and
    /// nothing is changed; another process has written to the target in the meantime; what `watch` says; those
    /// of [`begin`](Self::begin).
    pub fn resume(
        target: &DumpTarget,
        options: &DumpOptions,
        from: DumpProgress,
        planned: &JournalStamp,
        watch: ProgressFn<'_>,
    ) -> Result<Self> {
        let (path, allowed, kind): (_, fn(&Path) -> _, _) = match target {
            DumpTarget::Folder(path) => (path, inspect_target, options.data_file()),
            DumpTarget::File(path) => (path, inspect_file_target, item_file_kind(path, options)?),
            DumpTarget::Stdout => return Err(Error::usage("a stream cannot be resumed")),
        };

        let path = prepare_target(path, allowed)?;
        let journal = lock_dump(
            &path,
            JournalFile::of_dump(&path, options.state_dir.as_deref()),
        )?;

        // Inspect again under the lock: another process may have written there in the meantime.
        allowed(&path)?;
        if journal.file().stamp() != *planned {
            return Err(Error::failed(format!(
                "another dump was written to `{}` in the meantime",
                path.display()
            ))
            .with_hint("run the same command again"));
        }

        let journal = Arc::new(journal);
        let part = PartialDataFile::reopen(target, &path, kind, &from.counted, watch)?;
        let place = match target {
            DumpTarget::Folder(_) => OutputTarget::Folder {
                partial: part.path.parent().unwrap_or(&path).to_owned(),
                target: path,
                access: options.access,
                journal,
            },
            _ => OutputTarget::File {
                target: path,
                partial: PartialFile::resumed(part.path, journal),
            },
        };

        let encoder = DataFileEncoder::resume(
            part.output,
            (kind, options.memory),
            part.hasher,
            from.counted,
            from.tail.into_bytes(),
        );

        Ok(Self {
            encoder: Some(encoder),
            kind,
            place,
            is_name_synced: true,
        })
    }

    fn begin_folder(path: &Path, options: &DumpOptions) -> Result<Self> {
        let target = prepare_target(path, inspect_target)?;
        let file = JournalFile::of_dump(&target, options.state_dir.as_deref());
        let journal = lock_dump(&target, file)?;

        // Inspect again under the lock: another process may have written there in the meantime.
        let contents = inspect_target(&target)?;
        if matches!(contents, TargetContents::Set(_)) && is_mount_point(&target) {
            return Err(cannot_replace("set", &target));
        }

        journal.remove()?;
        recover(&target)?;
        let partial = create_partial_folder(&target, options.access)?;
        let kind = options.data_file();
        let data = if options.schema_only {
            None
        } else {
            let path = partial.join(kind.name());
            Some(Output::create(&path, options.access)?)
        };

        let place = OutputTarget::Folder {
            target,
            partial,
            access: options.access,
            journal: Arc::new(journal),
        };

        Ok(Self {
            encoder: data.map(|output| DataFileEncoder::new(output, kind, options.memory)),
            kind,
            place,
            is_name_synced: false,
        })
    }

    fn begin_file(path: &Path, options: &DumpOptions) -> Result<Self> {
        let kind = item_file_kind(path, options)?;
        let target = prepare_target(path, inspect_file_target)?;
        let partial = PartialFile::begin(&target, options.state_dir.as_deref())?;

        // Inspect again under the lock: another process may have written there in the meantime.
        inspect_file_target(&target)?;
        partial.journal().remove()?;
        let output = Output::create(partial.path(), options.access)?;

        Ok(Self {
            encoder: Some(DataFileEncoder::new(output, kind, options.memory)),
            kind,
            place: OutputTarget::File { target, partial },
            is_name_synced: false,
        })
    }

    /// The journal of this dump, in which its progress can be saved. `None` for a stream.
    #[must_use]
    pub fn journal(&self) -> Option<&Arc<LockedJournal>> {
        match &self.place {
            OutputTarget::Folder { journal, .. } => Some(journal),
            OutputTarget::File { partial, .. } => Some(partial.journal()),
            OutputTarget::Stream => None,
        }
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
            None => Err(Error::failed(
                "a dump of the schema alone contains no items",
            )),
        }
    }

    /// Calls `then` with the state of the data file and its tail once all items added so far are
    /// synced or in the tail. Does not wait for them.
    ///
    /// # Errors
    /// A failure of the disk while earlier items were written.
    pub fn when_synced(
        &mut self,
        then: impl FnOnce(DataFileState, Vec<u8>) + Send + 'static,
    ) -> Result<()> {
        let Some(encoder) = &mut self.encoder else {
            return Ok(());
        };

        if !self.is_name_synced {
            self.place.sync_name()?;
            self.is_name_synced = true;
        }

        let sent = encoder.when_synced(then);
        sent.map_err(|error| self.place.write_error(self.kind, error))
    }

    /// Ends the run without finishing the dump: waits until everything added is synced. Nothing can
    /// be added afterwards.
    ///
    /// # Errors
    /// A failure of the disk.
    pub fn stop(&mut self) -> Result<()> {
        let stopped = self.encoder.take().map_or(Ok(()), DataFileEncoder::stop);
        stopped.map_err(|error| self.place.write_error(self.kind, error))
    }

    /// Discards the dump: its journal first, then its files.
    ///
    /// # Errors
    /// I/O errors.
    pub fn discard(mut self) -> Result<()> {
        self.stop()?;
        self.journal().map_or(Ok(()), |journal| journal.remove())?;
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

    /// Writes the rest, waits until everything is on disk, and publishes the dump. `metadata` is that of the table; this adds
    /// that of the files.
    ///
    /// # Errors
    /// I/O errors. The old dump is then untouched.
    pub fn finish(
        mut self,
        schema: Option<&TableSchema>,
        metadata: Metadata,
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
                journal,
            } => {
                let documents = FolderDocuments {
                    partial,
                    access: *access,
                    metadata: complete_metadata(metadata, encoded, self.kind.name()),
                };

                self.finish_folder(target, journal, documents, schema)
            }
            OutputTarget::File { target, partial } => {
                finish_file(target, partial, encoded, metadata)
            }
            OutputTarget::Stream => Ok(FinishedDump {
                paths: Vec::new(),
                metadata: complete_metadata(metadata, encoded, "-"),
                warnings: Vec::new(),
            }),
        }
    }

    fn finish_folder(
        &self,
        target: &Path,
        journal: &LockedJournal,
        mut documents: FolderDocuments<'_>,
        schema: Option<&TableSchema>,
    ) -> Result<FinishedDump> {
        documents.write(schema)?;
        let FolderDocuments {
            partial, metadata, ..
        } = documents;

        // After an exchange, `.partial` holds the old dump. No journal may refer to it, so the
        // journal is removed before.
        journal.remove()?;

        // An old dump must not disappear before the name of the new one is on disk.
        if !self.is_name_synced && target.exists() {
            sync_folder(partial.parent().unwrap_or(partial))?;
        }

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
}

fn finish_file(
    target: &Path,
    partial: &PartialFile,
    encoded: Option<EncodedDataFile>,
    metadata: Metadata,
) -> Result<FinishedDump> {
    rename(partial.path(), target)?;
    sync_folder(target.parent().unwrap_or(target))?;

    // The items are in place already: a journal that cannot be removed is worth a warning only.
    let left = partial.journal().remove().err();
    let warnings = left
        .map(|error| format!("the items are in place, but {error}"))
        .into_iter()
        .collect();
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    Ok(FinishedDump {
        paths: vec![target.to_owned()],
        metadata: complete_metadata(metadata, encoded, &name),
        warnings,
    })
}

impl OutputTarget {
    /// Makes the name of the data file durable.
    fn sync_name(&self) -> Result<()> {
        match self {
            Self::Folder { partial, .. } => {
                sync_folder(partial)?;
                sync_folder(partial.parent().unwrap_or(partial))
            }
            Self::File { target, .. } => sync_folder(target.parent().unwrap_or(target)),
            Self::Stream => Ok(()),
        }
    }

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

#[cfg(test)]
mod tests;
