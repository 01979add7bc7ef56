//! `dump`: writes the items, schema, metadata and summary of a live table to a folder (or a file, or a stream).
//!
//! ```text
//! plan: describe the table, inspect the target      (nothing is changed)
//! run:  N segment scans ─► raw pages ─► one writer thread: frame, compress, digest, append ─► metadata ─► rename
//!       (each second, the progress is saved, from which an interrupted dump can be resumed)
//! ```
//!
//! The operation receives a read-only store, so it cannot write items.

mod backup;
mod backup_plan;
mod captured_schema;
mod copy;
mod dry_run;
mod interrupted;
mod output;
mod plan;
mod rejects;
mod run;
mod segments;
mod size_probe;

use std::path::PathBuf;

use serde::Serialize;

pub use dry_run::dry_run;
pub use interrupted::{InterruptedDump, items_kept};
pub(crate) use output::file_access;
pub use plan::{DumpPlan, plan};
pub use run::run;

use crate::backup::{Compression, DataFormat, DumpTarget};
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::field::Field;
use crate::ops::route::Route;
use crate::ops::table_location::TableLocation;
use crate::ops::{ContentScope, ScanOptions};
use crate::schema::{TableBackup, TableSchema};
use crate::store::WireBytes;
use crate::transform::Transform;

/// Inputs of a dump: the table, the target and the options.
#[derive(Debug, Clone)]
pub struct DumpRequest {
    /// Name of the table; `None` for that of the environment.
    pub table: Option<String>,
    /// The folder, file or stream to write.
    pub target: DumpTarget,
    /// How the data is transferred.
    pub route: Route,
    /// Format of the data file.
    pub format: DataFormat,
    /// Compression of the data file.
    pub compression: Compression,
    /// Schema, items, or both.
    pub content: ContentScope,
    /// Which items are read, and how.
    pub scan: ScanOptions,
    /// The transform of the items.
    pub transform: Transform,
    /// Fail at the first item that the transform rejects.
    pub strict: bool,
    /// Resume an interrupted dump, if there is one.
    pub resume: bool,
    /// Folder for lock and journal if they cannot be created next to the dump.
    pub state_dir: Option<PathBuf>,
}

impl DumpRequest {
    /// A dump of all of `table` with default options.
    pub fn new(table: impl Into<String>, target: DumpTarget) -> Self {
        Self {
            table: Some(table.into()),
            target,
            route: Route::default(),
            format: DataFormat::default(),
            compression: Compression::default(),
            content: ContentScope::default(),
            scan: ScanOptions::default(),
            transform: Transform::new(),
            strict: false,
            resume: false,
            state_dir: None,
        }
    }

    /// Name of the table: the requested one, or that of the environment.
    ///
    /// # Errors
    /// There is none, or the environment names more than one.
    pub fn table_name(&self, environment: &Environment) -> Result<String> {
        if let Some(table) = &self.table {
            return Ok(table.clone());
        }

        let table = environment.single_table()?.map(ToOwned::to_owned);
        table.ok_or_else(|| match environment.file() {
            Some(file) => {
                Error::environment(format!("{} does not name a table", file.display())).with_hint(
                    format!("add DYNAMODB_TABLE=<name> to it, or pass {}", Field::Table),
                )
            }
            None => Error::usage("no table name").with_hint(format!("pass {} NAME", Field::Table)),
        })
    }

    /// Whether the dump contains the whole table as it is, which a backup could contain, too.
    pub(crate) fn is_whole(&self) -> bool {
        self.content == ContentScope::All
            && matches!(self.target, DumpTarget::Folder(_))
            && self.scan.limit.is_none()
            && self.scan.selection.is_empty()
            && self.transform.is_empty()
    }

    /// Whether a mask changes keys, so that two items could get the same one.
    pub(crate) fn masks_key(&self, schema: &TableSchema) -> bool {
        let key = schema.key_schema();
        key.is_ok_and(|key| self.transform.masks_key(&key))
    }
}

/// Result of a finished dump.
#[derive(Debug, Clone, Serialize)]
pub struct DumpSummary {
    /// The table that was read.
    pub source: TableLocation,
    /// The folder or file that was written; `-` for a stream.
    pub target: String,
    /// The on-demand backup that contains the data, if that is the route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<TableBackup>,
    /// Files, in the order in which they were written.
    pub files: Vec<String>,
    /// Number of items written.
    pub items: u64,
    /// Size of the item text in bytes, before compression.
    pub data_bytes: u64,
    /// Size of the data file in bytes.
    pub file_bytes: u64,
    /// Bytes of the responses that this run received, which may be compressed.
    #[serde(flatten)]
    pub wire: WireBytes,
    /// Read units consumed, as reported by DynamoDB.
    pub consumed_read_units: f64,
    /// Number of scan segments.
    pub segments: u32,
    /// How many times the dump was resumed.
    pub resumed: u32,
    /// Number of `items` that earlier runs read.
    pub items_before: u64,
    /// Part of `data_bytes` that earlier runs read.
    pub data_bytes_before: u64,
    /// Whether the dump contains the whole table.
    pub complete: bool,
    /// Result of the transform, if there was one.
    pub transformed: Option<DumpTransformSummary>,
    /// Number of items that the table had when reading began, by DynamoDB's own count.
    pub reported_items: Option<u64>,
    /// Settings of the table that could not be read.
    pub not_captured: Vec<NotCaptured>,
    /// Start of the scan (RFC 3339, UTC). A Scan is not a point-in-time snapshot: items were read between start and end.
    pub started_at: chrono::DateTime<chrono::Utc>,
    /// End of the scan (RFC 3339, UTC).
    pub finished_at: chrono::DateTime<chrono::Utc>,
    /// Wall time of this run in seconds.
    pub seconds: f64,
}

/// A setting that could not be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotCaptured {
    /// Its name in plans and summaries.
    pub setting: String,
    /// Why it could not be read.
    pub reason: String,
    /// Whether the endpoint does not have the operation that reads it.
    pub is_unsupported: bool,
}

/// Result of the transform of a dump.
#[derive(Debug, Clone, Serialize)]
pub struct DumpTransformSummary {
    /// Number of items read from the table.
    pub items_read: u64,
    /// Number of items read that were replaced by others.
    pub items_changed: u64,
    /// Number of items read that were filtered out.
    pub items_left_out: u64,
    /// Number of items read that were rejected.
    pub items_rejected: u64,
    /// File of the rejected items.
    pub rejects_file: Option<PathBuf>,
    /// The three most frequent reasons in that file, each with its number of items.
    pub reject_reasons: Vec<(String, u64)>,
    /// Number of items that have the same key as another item after the transform: in a restore, one would overwrite the other.
    pub collisions: u64,
    /// First collisions: the numbers of both items among the items of this run, counted from 1.
    #[serde(rename = "collided")]
    pub first_collisions: Vec<(u64, u64)>,
    /// SHA-256 of the mask rules.
    pub mask_rules_sha256: Option<String>,
}

impl DumpSummary {
    /// Whether no item was rejected and no keys collided. `false` means exit code 3.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.transformed
            .as_ref()
            .is_none_or(|changes| changes.items_rejected == 0 && changes.collisions == 0)
    }
}

pub(crate) fn interrupted() -> Error {
    Error::new(
        ErrorKind::Interrupted,
        "interrupted: the dump was not finished",
    )
    .with_hint("run the same command again; an existing dump is unchanged")
}
