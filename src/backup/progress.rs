//! Progress of an unfinished dump: what a later run needs to continue it. The caller stores it.
//!
//! It counts a page only if all its items are in the counted bytes, which are on disk. Bytes after
//! them are truncated on resume. `docs/FORMAT.md` specifies how it is stored.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::index::{Extent, Frame};
use crate::field::Field;

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
    /// For each index, the number of items that violate its key; `None` if they were not counted from the beginning.
    #[serde(default)]
    pub index_key_violations: Option<BTreeMap<String, u64>>,
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
    /// Size of the rejects file in bytes. Its path comes from the plan: a path in a journal
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

/// State of the data file: the synced bytes, and the tail that is to be written after them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFileState {
    /// Length of the data file.
    pub(crate) file_bytes: u64,
    /// SHA-256 of these bytes.
    pub(crate) sha256: String,
    /// Index of its frames, if it is compressed.
    pub(crate) frames: Option<Vec<Frame>>,
    /// Extents of its text, including the tail; `None` if they are not known.
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

impl DataFileState {
    /// Items, including those in the tail.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.items
    }
}

/// Progress of a dump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DumpProgress {
    /// Time of this record.
    pub made_at: DateTime<Utc>,
    /// Progress of the Scan.
    pub scan: ScanProgress,
    /// The data file.
    pub counted: DataFileState,
    /// Encoded items that are not in the data file yet: an incomplete block, before compression.
    pub tail: String,
}

impl DumpProgress {
    /// Items that need not be read again.
    #[must_use]
    pub fn items(&self) -> u64 {
        self.counted.items()
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
}

/// Hint for an interrupted dump that cannot be resumed.
#[must_use]
pub fn restart_hint() -> String {
    format!("omit {} to start over", Field::Resume)
}
