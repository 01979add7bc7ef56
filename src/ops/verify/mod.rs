//! `verify`: checks a dump, compares a table with a dump, or compares two tables.
//!
//! ```text
//! dump:    every file once ─► checksums, counts, items, keys ─► findings
//! compare: both sides at the same time ─► 36 bytes per item in scratch files ─► partition by partition ─► examples
//! ```
//!
//! Nothing is changed, so there is no plan and no confirmation: the operation receives stores that can only read. Memory does not
//! depend on the number of items; the system's temporary folder needs 36 bytes for each item of each side.

mod dump;
mod live;
mod schemas;
mod set;

use serde::Serialize;

use crate::item::Sample;
use crate::ops::Cap;
pub use crate::ops::compare::{AttributeDifference, DifferenceKind, Example};
use crate::store::WireBytes;
use crate::transform::Transform;
pub use dump::{DumpCheckOptions, DumpVerdict, dump};
pub use live::{LiveTable, table_with_dump, tables};
pub use schemas::schemas;
pub use set::{SetVerdict, set};

/// Options for comparing a table.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct CompareOptions {
    /// Compare keys only: items with the same key are equal.
    pub keys_only: bool,
    /// Count items that only the target has as differences. Always the case between two tables.
    pub exact: bool,
    /// Accept items that are incomplete according to another tool's document around them.
    pub accept_incomplete: bool,
    /// Steps for the items of a dump, as in a restore: a table is compared with their results.
    pub transform: Transform,
    /// Compare only this sample of the keys, the same on both sides. All items are read nevertheless.
    pub sample: Option<Sample>,
    /// Strongly consistent reads, at twice the read units.
    pub consistent_read: bool,
    /// Maximum read units per second, for each table.
    pub max_read_units: Option<Cap>,
}

/// Key schemas of both sides, as lines that can be shown in two columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeySchemas {
    /// Key schema of the source.
    pub source: Vec<String>,
    /// Key schema of the target.
    pub target: Vec<String>,
}

/// Size of the sample in a sampled comparison. The other counts are then of the sample, not of all items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SampleCounts {
    /// Share of the keys, in percent.
    pub percent: f64,
    /// Items of the source in the sample.
    pub source_items: u64,
    /// Items of the target in the sample.
    pub target_items: u64,
}

/// Items of a dump that the steps of a comparison did not pass on. They were not compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TransformCounts {
    /// Items that were filtered out.
    pub items_left_out: u64,
    /// Items that were rejected, including those that the table cannot store.
    pub items_rejected: u64,
}

/// Result of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Location of the dump, or the first table.
    pub source: String,
    /// Table that was compared with the source.
    pub target: String,
    /// Whether the source is a dump, not a table.
    #[serde(skip)]
    pub is_dump: bool,
    /// Both key schemas if they differ; no items were compared then.
    pub key_schemas: Option<KeySchemas>,
    /// Items read from the source.
    pub source_items: u64,
    /// Items read from the target.
    pub target_items: u64,
    /// Outcomes of the steps, if the items of the source were transformed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transformed: Option<TransformCounts>,
    /// Size of the sample, if only a sample was compared.
    pub sample: Option<SampleCounts>,
    /// Items that are equal on both sides.
    pub equal: u64,
    /// Items that the target lacks, including those without a usable key.
    pub missing: u64,
    /// Items with different contents in the target.
    pub different: u64,
    /// Items that only the target has.
    pub extra: u64,
    /// Whether extra items count as differences.
    pub exact: bool,
    /// Items of the source without a usable key.
    pub without_key: u64,
    /// Earlier versions of an item that a later line of the source replaces; they were not compared.
    pub superseded: u64,
    /// The first missing, different and extra items.
    pub examples: Vec<Example>,
    /// Consumed read units, as reported by DynamoDB.
    pub consumed_read_units: f64,
    /// Bytes received for the pages of a table; smaller than their text if they were compressed.
    #[serde(flatten)]
    pub wire: WireBytes,
    /// Warnings, which do not count as differences.
    pub warnings: Vec<String>,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl Comparison {
    /// Whether the target has all items of the source and, with `exact`, no others. `false` means exit code 3, also if the
    /// transform rejected items.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.key_schemas.is_none()
            && self.transformed.unwrap_or_default().items_rejected == 0
            && self.missing + self.different == 0
            && !(self.exact && self.extra > 0)
    }
}
