//! `verify`: is this dump whole? Does a table hold what a dump holds? Do two tables agree?
//!
//! ```text
//! dump:    every file once ─► checksums, counts, items, keys ─► findings
//! compare: both sides at the same time ─► 36 bytes per item in scratch files ─► partition by partition ─► examples
//! ```
//!
//! Nothing is changed, so there is no plan and no question: the operation receives stores that can only read. Memory does not
//! depend on the number of items; the system's temporary folder needs room for 36 bytes per item and side.

mod dump;
mod live;
mod schemas;

use serde::Serialize;

use crate::item::Sample;
use crate::ops::Cap;
pub use crate::ops::compare::{AttributeDifference, DifferenceKind, Example};
use crate::store::WireBytes;
pub use dump::{DumpVerdict, dump};
pub use live::{LiveTable, table_with_dump, tables};
pub use schemas::schemas;

/// How a table is compared.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct CompareOptions {
    /// Compare keys alone: items with the same key are equal.
    pub keys_only: bool,
    /// Items that only the target has are a difference, too. Always so between two tables.
    pub exact: bool,
    /// Compare with items that are not all of the table, by what is written around them.
    pub accept_incomplete: bool,
    /// Compare a share of the keys, the same on both sides. Every item is read all the same.
    pub sample: Option<Sample>,
    /// Strongly consistent reads, at twice the read units.
    pub consistent_read: bool,
    /// Upper bound of consumed read units per second, of each table.
    pub max_read_units: Option<Cap>,
}

/// Both keys, in lines that can stand side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeySchemas {
    /// The source's key.
    pub source: Vec<String>,
    /// The target's key.
    pub target: Vec<String>,
}

/// What a sampled comparison looked at. Its counts are of the sample, not of all items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SampleCounts {
    /// The share of the keys, in percent.
    pub percent: f64,
    /// Items of the source in the sample.
    pub source_items: u64,
    /// Items of the target in the sample.
    pub target_items: u64,
}

/// What a comparison has found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The dump, or the first table.
    pub source: String,
    /// The table that was held against it.
    pub target: String,
    /// The keys where they are not the same: then no item was compared.
    pub key_schemas: Option<KeySchemas>,
    /// Items read of the source.
    pub source_items: u64,
    /// Items read of the target.
    pub target_items: u64,
    /// What was looked at where only a sample was.
    pub sample: Option<SampleCounts>,
    /// Items that are equal on both sides.
    pub equal: u64,
    /// Items that the target lacks, those without a usable key included.
    pub missing: u64,
    /// Items that the target has with other contents.
    pub different: u64,
    /// Items that only the target has.
    pub extra: u64,
    /// Whether extra items are a difference.
    pub exact: bool,
    /// Items of the source without a key of the target's types.
    pub without_key: u64,
    /// Earlier versions of an item that a later line of the source replaces; they were not compared.
    pub superseded: u64,
    /// The first items that are missing, different or extra.
    pub examples: Vec<Example>,
    /// Read units that DynamoDB reports as consumed.
    pub consumed_read_units: f64,
    /// Bytes of the pages that were read, as they travelled: fewer than the text where they were compressed.
    #[serde(flatten)]
    pub wire: WireBytes,
    /// What deserves attention.
    pub warnings: Vec<String>,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl Comparison {
    /// Whether the target holds what the source holds; with `exact`, and nothing else. `false` means exit code 3.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.key_schemas.is_none()
            && self.missing + self.different == 0
            && !(self.exact && self.extra > 0)
    }
}
