//! Checkpoints: how far a dump under construction has come, kept beside it, so that an interrupted run can be gone on with.
//!
//! A checkpoint counts a page as read only when all its items are in the bytes it counts, and those are on disk before it is. What
//! has been written since is cut off by whoever goes on. It holds keys of items and so has mode 0600. `docs/FORMAT.md` describes the
//! file.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::format::{CHECKPOINT_SUFFIX, Compression, DataFormat};
use super::metadata::Frame;
use crate::error::{Error, Result};
use crate::limits::CHECKPOINT_BYTES;
use crate::place::Access;
use crate::place::digest::hex_sha256;
use crate::place::local::files::{
    create_folders, io_error, open_partial, remove_file, replace_file, sync_folder,
};
use crate::place::local::names::state_name;
use crate::place::local::names::{PARTIAL_SUFFIX, sibling};

/// The first words of a checkpoint of any version.
const KIND: &[u8] = b"dynadump checkpoint ";

/// The first words of a checkpoint of the version that this program writes and reads.
const HEAD: &str = "dynadump checkpoint 1 ";

/// What was dumped, and how. A run goes on with another one only if all of it is the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DumpOrigin {
    /// Name of the environment.
    pub environment: String,
    /// Name of the table.
    pub table: String,
    /// The table's ARN.
    pub table_arn: Option<String>,
    /// The table's id.
    pub table_id: Option<String>,
    /// When the table was made, as the endpoint writes it.
    pub table_created: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The endpoint, where it is not the region's own.
    pub endpoint: Option<String>,
    /// Whether the schema is dumped.
    pub schema: bool,
    /// Whether items are dumped.
    pub items: bool,
    /// How items are laid out.
    pub format: DataFormat,
    /// How they are compressed.
    pub compression: Compression,
    /// Segments of the Scan.
    pub segments: u32,
    /// Whether reads are strongly consistent.
    pub consistent_read: bool,
    /// Stop after so many items.
    pub limit: Option<u64>,
    /// What tells the transform from others; `None` without one.
    #[serde(default)]
    pub transform: Option<String>,
    /// What the table was asked to leave out, as it was asked; `None` for nothing.
    #[serde(default)]
    pub filter: Option<String>,
    /// The attributes that the table was asked for; `None` for all.
    #[serde(default)]
    pub projection: Option<String>,
}

/// How far reading has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScanProgress {
    /// When the first run began to read.
    pub started_at: DateTime<Utc>,
    /// How often the run was gone on with.
    pub resumed: u32,
    /// Read units consumed so far.
    pub consumed_read_units: f64,
    /// Each segment of the Scan.
    pub segments: Vec<SegmentProgress>,
    /// What became of items on the way.
    #[serde(default)]
    pub changes: TransformCounts,
}

/// What became of items between the table and the data file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransformCounts {
    /// Items that came from the table.
    pub read: u64,
    /// Items in whose place others were written.
    pub changed: u64,
    /// Items that were left out on purpose.
    pub left_out: u64,
    /// Items that could not go on.
    pub rejected: u64,
    /// Bytes of the file that lists them. Where it is, the plan says: a path in this file could be anybody's.
    pub rejects_bytes: u64,
}

/// How far one segment has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentProgress {
    /// Nothing of it is read.
    NotBegun,
    /// Where the next page starts: the key as DynamoDB sent it, in JSON.
    Next(String),
    /// All of it is read.
    Done,
}

/// What of the items is in the data file, and what is to come behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DataFileState {
    /// Bytes of the data file.
    pub(crate) file_bytes: u64,
    /// Their SHA-256.
    pub(crate) sha256: String,
    /// Their frames, where they are compressed and not too many.
    pub(crate) frames: Option<Vec<Frame>>,
    /// Items, with those of the tail.
    pub(crate) items: u64,
    /// Bytes of their text.
    pub(crate) text_bytes: u64,
    /// Bytes of the tail.
    pub(crate) tail_bytes: u64,
    /// Items that end in it.
    pub(crate) tail_items: u64,
}

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DumpCheckpoint {
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// What is dumped.
    pub origin: DumpOrigin,
    /// How far reading has come.
    pub progress: ScanProgress,
    pub(crate) counted: DataFileState,
    /// What is not compressed yet.
    #[serde(skip)]
    pub(crate) tail: Vec<u8>,
}

impl DumpCheckpoint {
    /// Items that need not be read again.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.counted.items
    }

    /// Bytes of their text.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        self.counted.text_bytes
    }

    /// Bytes of the data file that hold them, and that are read again before the run goes on.
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
        let is_sound = checkpoint.tail.len() as u64 == checkpoint.counted.tail_bytes
            && usize::try_from(checkpoint.origin.segments)
                == Ok(checkpoint.progress.segments.len());

        is_sound.then_some(checkpoint)
    }
}

/// Where the checkpoint of one dump may lie: beside it, or in the state directory.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointPaths(Vec<PathBuf>);

impl CheckpointPaths {
    /// Those of the dump at `target`, which is resolved.
    pub(crate) fn for_dump(target: &Path, state_dir: Option<&Path>) -> Self {
        let stated = state_dir.map(|dir| dir.join(state_name(target, CHECKPOINT_SUFFIX)));
        Self(
            sibling(target, CHECKPOINT_SUFFIX)
                .into_iter()
                .chain(stated)
                .collect(),
        )
    }

    /// The checkpoint, if one is there.
    ///
    /// # Errors
    /// [`Damaged`](crate::error::ErrorKind::Damaged) for one that is damaged or of another version; the system's refusal.
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

    /// Removes the checkpoint, so that it stays removed.
    pub(crate) fn clear(&self) -> Result<()> {
        for path in &self.0 {
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
            .filter(|path| existing_file(path) != ExistingFile::Other)
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

/// What is at the place of a checkpoint. A file of that name may be somebody's own.
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

    let mut head = Vec::new();
    let read = open_partial(path)
        .ok()
        .flatten()
        .map(|file| file.take(KIND.len() as u64).read_to_end(&mut head));
    if matches!(read, Some(Ok(_))) && head == KIND {
        ExistingFile::Checkpoint
    } else {
        ExistingFile::Other
    }
}

/// What to do about an interrupted run that cannot be gone on with.
pub(crate) const RESTART_HINT: &str = "leave out --resume to start afresh";

/// Leaves the checkpoints of one run, one in place of the other.
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

    /// Announces a checkpoint; `false` while the one before is on its way.
    pub(crate) fn try_begin(&self) -> bool {
        !self.is_busy.swap(true, Ordering::AcqRel)
    }

    /// Leaves a checkpoint. The bytes it counts are on disk. A failure does not concern the dump: the former checkpoint stands.
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

    /// The first failure since the last time this was asked.
    pub(crate) fn take_error(&self) -> Option<Error> {
        self.last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Removes the last checkpoint: what it counts is finished.
    pub(crate) fn clear(&self) -> Result<()> {
        self.places.clear()
    }
}
