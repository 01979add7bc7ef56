//! Checkpoints of a dump, stored next to it, from which an interrupted dump is resumed.
//!
//! A checkpoint counts a page only if all its items are in the counted bytes, and these are synced
//! before the checkpoint is written. Bytes after them are truncated on resume. It contains keys of
//! items, so its mode is 0600. `docs/FORMAT.md` specifies the file.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::format::{CHECKPOINT_SUFFIX, Compression, DataFormat};
use super::index::{Extent, Frame};
use crate::error::{Error, Result};
use crate::limits::CHECKPOINT_BYTES;
use crate::place::Access;
use crate::place::digest::hex_sha256;
use crate::place::local::files::{
    create_folders, io_error, open_partial, remove_file, replace_file, sync_folder,
};
use crate::place::local::names::state_name;
use crate::place::local::names::{PARTIAL_SUFFIX, sibling};

/// Prefix of checkpoints of any version.
const KIND: &[u8] = b"dynadump checkpoint ";

/// Prefix of checkpoints of the version that this program writes and reads.
const HEAD: &str = "dynadump checkpoint 1 ";

/// Table and options of a dump. A checkpoint is used only by a run with the same ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DumpOrigin {
    /// Name of the environment.
    pub environment: String,
    /// Name of the table.
    pub table: String,
    /// The table's ARN.
    pub table_arn: Option<String>,
    /// The table's ID.
    pub table_id: Option<String>,
    /// Creation time of the table, as the endpoint reports it.
    pub table_created: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The endpoint, if it is not the region's default.
    pub endpoint: Option<String>,
    /// Whether the schema is dumped.
    pub schema: bool,
    /// Whether items are dumped.
    pub items: bool,
    /// Layout of the items.
    pub format: DataFormat,
    /// Compression of the data file.
    pub compression: Compression,
    /// Number of scan segments.
    pub segments: u32,
    /// Whether reads are strongly consistent.
    pub consistent_read: bool,
    /// Maximum number of items.
    pub limit: Option<u64>,
    /// Identifies the transform; `None` without one.
    #[serde(default)]
    pub transform: Option<String>,
    /// The filter expression sent to the table; `None` for none.
    #[serde(default)]
    pub filter: Option<String>,
    /// The projected attributes; `None` for all.
    #[serde(default)]
    pub projection: Option<String>,
}

/// Progress of the Scan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanProgress {
    /// Start time of the first run.
    pub started_at: DateTime<Utc>,
    /// Number of times the dump was resumed.
    pub resumed: u32,
    /// Read units consumed so far.
    pub consumed_read_units: f64,
    /// Progress of each segment.
    pub segments: Vec<SegmentProgress>,
    /// Counts of transformed items.
    #[serde(default)]
    pub changes: TransformCounts,
}

/// Counts of items by what the transform did with them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformCounts {
    /// Items read from the table.
    pub read: u64,
    /// Items that were replaced by others.
    pub changed: u64,
    /// Items that were left out intentionally.
    pub left_out: u64,
    /// Items that were rejected.
    pub rejected: u64,
    /// Size of the rejects file in bytes. Its path comes from the plan: a path in a checkpoint
    /// could be forged.
    pub rejects_bytes: u64,
}

/// Progress of one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentProgress {
    /// Not started.
    NotBegun,
    /// Start key of the next page: the key in DynamoDB JSON, as received.
    Next(String),
    /// Read completely.
    Done,
}

/// State of the data file at a checkpoint: the synced bytes, and the tail that is to be written
/// after them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DataFileState {
    /// Length of the data file.
    pub(crate) file_bytes: u64,
    /// SHA-256 of these bytes.
    pub(crate) sha256: String,
    /// Index of its frames, if it is compressed.
    pub(crate) frames: Option<Vec<Frame>>,
    /// Extents of its text, including the tail; `None` in checkpoints of earlier versions.
    #[serde(default)]
    pub(crate) extents: Option<Vec<Extent>>,
    /// Items, including those in the tail.
    pub(crate) items: u64,
    /// Bytes of item text.
    pub(crate) text_bytes: u64,
    /// Length of the tail.
    pub(crate) tail_bytes: u64,
    /// Items that end in the tail.
    pub(crate) tail_items: u64,
}

/// A checkpoint of a dump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DumpCheckpoint {
    /// Time of the checkpoint.
    pub made_at: DateTime<Utc>,
    /// Table and options of the dump.
    pub origin: DumpOrigin,
    /// Progress of the Scan.
    pub progress: ScanProgress,
    pub(crate) counted: DataFileState,
    /// Encoded items that are not in the data file yet: an incomplete block, before compression.
    #[serde(skip)]
    pub(crate) tail: Vec<u8>,
}

impl DumpCheckpoint {
    /// Items that need not be read again.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.counted.items
    }

    /// Bytes of item text.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        self.counted.text_bytes
    }

    /// Length of the data file, which is reread and verified on resume.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.counted.file_bytes
    }

    fn to_document(&self) -> Result<Vec<u8>> {
        let mut content = serde_json::to_vec(self).map_err(|error| {
            Error::failed("a checkpoint cannot be written as JSON").with_source(error)
        })?;
        content.push(b'\n');
        content.extend_from_slice(&self.tail);
        let mut document = format!("{HEAD}{}\n", hex_sha256(&content)).into_bytes();
        document.append(&mut content);

        Ok(document)
    }

    fn parse(document: &[u8]) -> Option<Self> {
        let (head, content) = document.split_at_checked(HEAD.len() + 64)?;
        let (line_end, content) = content.split_at_checked(1)?;
        if head != format!("{HEAD}{}", hex_sha256(content)).as_bytes() || line_end != b"\n" {
            return None;
        }

        let end = memchr::memchr(b'\n', content)?;
        let mut checkpoint: Self = serde_json::from_slice(&content[..end]).ok()?;
        content[end + 1..].clone_into(&mut checkpoint.tail);
        // The digest proves only that the file is unchanged; resuming relies on these lengths.
        let is_sound = checkpoint.tail.len() as u64 == checkpoint.counted.tail_bytes
            && usize::try_from(checkpoint.origin.segments)
                == Ok(checkpoint.progress.segments.len());

        is_sound.then_some(checkpoint)
    }
}

/// Possible paths of a dump's checkpoint: next to the dump, or in the state directory.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointPaths(Vec<PathBuf>);

impl CheckpointPaths {
    /// The paths for the dump at `target`, which is resolved.
    pub(crate) fn for_dump(target: &Path, state_dir: Option<&Path>) -> Self {
        let stated = state_dir.map(|dir| dir.join(state_name(target, CHECKPOINT_SUFFIX)));
        Self(
            sibling(target, CHECKPOINT_SUFFIX)
                .into_iter()
                .chain(stated)
                .collect(),
        )
    }

    /// Whether there is a checkpoint, of any version.
    pub(crate) fn exist(&self) -> bool {
        self.0
            .iter()
            .any(|path| existing_file(path) == ExistingFile::Checkpoint)
    }

    /// Reads the checkpoint, if there is one.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged) for one that is damaged or of another version;
    /// an I/O error.
    pub(crate) fn read(&self) -> Result<Option<DumpCheckpoint>> {
        let Some(path) = self
            .0
            .iter()
            .find(|path| existing_file(path) == ExistingFile::Checkpoint)
        else {
            return Ok(None);
        };

        let mut document = Vec::new();
        if let Some(file) = open_partial(path)? {
            // A longer file is not read whole: without its end, its digest does not match.
            let bound = CHECKPOINT_BYTES as u64 + 1;
            file.take(bound)
                .read_to_end(&mut document)
                .map_err(|error| io_error("read", path, error))?;
        }

        DumpCheckpoint::parse(&document).map(Some).ok_or_else(|| {
            Error::damaged(format!(
                "the checkpoint `{}` is damaged or of another version",
                path.display()
            ))
            .with_hint(RESTART_HINT)
        })
    }

    /// Removes the checkpoint durably.
    pub(crate) fn clear(&self) -> Result<()> {
        for path in &self.0 {
            // A crash may have left a temporary file of the same kind.
            if let Some(partial) = sibling(path, PARTIAL_SUFFIX)
                .filter(|path| existing_file(path) == ExistingFile::Checkpoint)
            {
                remove_file(&partial)?;
            }

            if existing_file(path) == ExistingFile::Checkpoint {
                remove_file(path)?;
                sync_folder(path.parent().unwrap_or(path))?;
            }
        }

        Ok(())
    }

    fn write(&self, document: &[u8]) -> Result<()> {
        if document.len() > CHECKPOINT_BYTES {
            return Err(Error::failed("it would be too long").with_hint("choose fewer --segments"));
        }

        let mut refusal = None;
        for path in self
            .0
            .iter()
            .filter(|path| existing_file(path) != ExistingFile::Other && has_own_partial(path))
        {
            let made = path
                .parent()
                .map_or(Ok(()), |folder| create_folders(folder, Access::Private))
                .and_then(|()| replace_file(path, document));
            match made {
                Ok(()) => return Ok(()),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }

        Err(refusal.unwrap_or_else(|| Error::failed("there is no place for it")))
    }
}

/// What exists at the path of a checkpoint. A foreign file must not be overwritten.
#[derive(Debug, PartialEq, Eq)]
enum ExistingFile {
    Absent,
    Checkpoint,
    Other,
}

fn existing_file(path: &Path) -> ExistingFile {
    if fs::symlink_metadata(path).is_err() {
        return ExistingFile::Absent;
    }

    if read_head(path).is_some_and(|head| head == KIND) {
        ExistingFile::Checkpoint
    } else {
        ExistingFile::Other
    }
}

/// The first bytes of a regular file, as many as [`KIND`] has.
fn read_head(path: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let file = open_partial(path).ok()??;
    file.take(KIND.len() as u64).read_to_end(&mut head).ok()?;

    Some(head)
}

/// Whether the temporary file of the checkpoint at `path` may be replaced: there is none, or a
/// killed run has written it, possibly only its beginning.
fn has_own_partial(path: &Path) -> bool {
    sibling(path, PARTIAL_SUFFIX).is_some_and(|partial| {
        fs::symlink_metadata(&partial).is_err()
            || read_head(&partial).is_some_and(|head| KIND.starts_with(&head))
    })
}

/// Hint for an interrupted dump that cannot be resumed.
pub(crate) const RESTART_HINT: &str = "leave out --resume to start afresh";

/// Writes the checkpoints of one run, each replacing the one before.
#[derive(Debug)]
pub(crate) struct CheckpointSaver {
    places: CheckpointPaths,
    origin: DumpOrigin,
    is_busy: AtomicBool,
    last_error: Mutex<Option<Error>>,
}

impl CheckpointSaver {
    pub(crate) fn new(places: CheckpointPaths, origin: DumpOrigin) -> Self {
        Self {
            places,
            origin,
            is_busy: AtomicBool::new(false),
            last_error: Mutex::default(),
        }
    }

    /// Starts a checkpoint; `false` if the one before is still being written.
    pub(crate) fn try_begin(&self) -> bool {
        !self.is_busy.swap(true, Ordering::AcqRel)
    }

    /// Writes a checkpoint, whose bytes are synced already. An error does not fail the dump: the
    /// last checkpoint stays valid.
    pub(crate) fn save(&self, progress: ScanProgress, counted: DataFileState, tail: Vec<u8>) {
        let checkpoint = DumpCheckpoint {
            made_at: Utc::now(),
            origin: self.origin.clone(),
            progress,
            counted,
            tail,
        };

        if let Err(error) = checkpoint
            .to_document()
            .and_then(|document| self.places.write(&document))
        {
            self.last_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
        }

        self.is_busy.store(false, Ordering::Release);
    }

    /// The first error since the last call.
    pub(crate) fn take_error(&self) -> Option<Error> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Removes the checkpoint of a finished dump.
    pub(crate) fn clear(&self) -> Result<()> {
        self.places.clear()
    }
}
