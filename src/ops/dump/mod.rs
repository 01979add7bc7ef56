//! `dump`: a live table becomes one folder (or one file, or a stream) of items, schema, metadata and summary.
//!
//! ```text
//! plan: describe the table, look at the target      (nothing is changed)
//! run:  N segment scans ─► raw pages ─► one writer thread: frame, compress, digest, append ─► metadata ─► rename
//!       (each second: a checkpoint, from which an interrupted run can be gone on with)
//! ```
//!
//! The operation receives a store that reads; it cannot write an item.

mod copy;
mod dry_run;
mod plan;
mod run;
mod size_probe;
mod transformed;
mod unfinished;

use std::path::PathBuf;

use serde::Serialize;

pub use dry_run::trial;
pub use plan::{DumpPlan, plan};
pub use run::run;
pub use unfinished::InterruptedDump;

use crate::backup::{Compression, DataFormat, DumpTarget};
use crate::error::{Error, ErrorKind};
use crate::ops::table_location::TableLocation;
use crate::ops::{Cap, ContentScope};
use crate::store::{Selection, WireBytes};
use crate::transform::Transform;

/// What to dump, and into what.
#[derive(Debug, Clone)]
pub struct DumpRequest {
    /// The table.
    pub table: String,
    /// Where the dump goes.
    pub target: DumpTarget,
    /// How items are laid out.
    pub format: DataFormat,
    /// How the data file is compressed.
    pub compression: Compression,
    /// Segments of the parallel Scan; chosen from the table's size when `None`.
    pub segments: Option<u32>,
    /// Stop after exactly so many items (or all, if there are fewer); with a transform, items that came out of it.
    pub limit: Option<u64>,
    /// Strongly consistent reads: the latest of each item, at twice the read units.
    pub consistent_read: bool,
    /// Schema, items, or both.
    pub content: ContentScope,
    /// Upper bound of consumed read units per second.
    pub max_read_units: Option<Cap>,
    /// What the table is to leave out.
    pub selection: Selection,
    /// What happens to items on the way.
    pub transform: Transform,
    /// Whether the first item that the transform rejects ends the run.
    pub strict: bool,
    /// Go on with an interrupted run, if there is one.
    pub resume: bool,
    /// Folder for lock and checkpoint where they cannot be made beside the dump.
    pub state_dir: Option<PathBuf>,
}

impl DumpRequest {
    /// The whole of `table` into `target`, with nothing out of the ordinary.
    pub fn new(table: impl Into<String>, target: DumpTarget) -> Self {
        Self {
            table: table.into(),
            target,
            format: DataFormat::default(),
            compression: Compression::default(),
            segments: None,
            limit: None,
            consistent_read: false,
            content: ContentScope::default(),
            max_read_units: None,
            selection: Selection::default(),
            transform: Transform::new(),
            strict: false,
            resume: false,
            state_dir: None,
        }
    }
}

/// What a finished dump did.
#[derive(Debug, Clone, Serialize)]
pub struct DumpSummary {
    /// The table that was read.
    pub source: TableLocation,
    /// The folder or file that now stands; `-` for a stream.
    pub target: String,
    /// Files written, in the order of writing.
    pub files: Vec<String>,
    /// Items written.
    pub items: u64,
    /// Bytes of item text written, before compression.
    pub data_bytes: u64,
    /// Bytes of the data file on disk.
    pub file_bytes: u64,
    /// Bytes of the pages that this run has read, as they travelled: fewer than the text where they were compressed.
    #[serde(flatten)]
    pub wire: WireBytes,
    /// Read units DynamoDB reports as consumed.
    pub consumed_read_units: f64,
    /// Segments of the Scan.
    pub segments: u32,
    /// How often the run was interrupted and gone on with.
    pub resumed: u32,
    /// Of `items`, those that earlier runs had read.
    pub items_before: u64,
    /// Of `data_bytes`, those that earlier runs had read.
    pub data_bytes_before: u64,
    /// Whether the dump holds the whole table.
    pub complete: bool,
    /// What became of items on the way; nothing where no transform was asked for.
    pub transformed: Option<DumpTransformSummary>,
    /// Settings of the table that could not be read, each with the reason.
    pub not_captured: Vec<String>,
    /// When reading began and ended, RFC 3339 UTC. A Scan is not a moment in time: items are from between the two.
    pub started_at: chrono::DateTime<chrono::Utc>,
    /// See `started_at`.
    pub finished_at: chrono::DateTime<chrono::Utc>,
    /// Wall time of this run in seconds.
    pub seconds: f64,
}

/// What a transform did with the items of a dump.
#[derive(Debug, Clone, Serialize)]
pub struct DumpTransformSummary {
    /// Items read from the table.
    pub items_read: u64,
    /// Of those, items in whose place others were written.
    pub items_changed: u64,
    /// Of those, items left out on purpose.
    pub items_left_out: u64,
    /// Of those, items that could not go on.
    pub items_rejected: u64,
    /// Where they are listed.
    pub rejects_file: Option<PathBuf>,
    /// Items with the table's key of another item, though they had different ones or stand for one: in a restore one overwrites the
    /// other.
    pub collisions: u64,
    /// The first of them, by their place among the items of this run, counted from 1.
    pub collided: Vec<(u64, u64)>,
    /// SHA-256 of the mask rules.
    pub mask_rules_sha256: Option<String>,
}

impl DumpSummary {
    /// Whether every item went on its way, with a key of its own. `false` means exit code 3.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.transformed
            .as_ref()
            .is_none_or(|changes| changes.items_rejected == 0 && changes.collisions == 0)
    }
}

fn interrupted() -> Error {
    Error::new(
        ErrorKind::Interrupted,
        "interrupted: the dump was not finished",
    )
    .with_hint("run the same command again; a dump that stood there before is untouched")
}
