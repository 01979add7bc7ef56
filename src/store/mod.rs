//! The only module that talks to DynamoDB: client, Scan pages, batches, retries, rate limits and
//! the embedded engine.
//!
//! Items pass through this module as the bytes that DynamoDB sent or will receive. The layers above
//! use a [`Reader`], which can change nothing, or a [`Writer`], which holds a
//! [`Confirmation`](crate::environment::Confirmation).

mod account;
mod apply;
mod backups;
mod capture;
mod client;
mod clock;
mod compression;
mod control;
pub(crate) mod diagnosis;
#[cfg(feature = "embedded")]
mod embedded;
mod endpoint_kind;
mod environment;
mod json;
mod limiter;
mod open;
mod options;
mod page_memory;
mod pagination;
mod probe;
mod put_if_absent;
mod read;
mod reader;
mod recovery;
mod retry;
mod selection;
mod tables;
mod tags;
mod write;
mod writer;

use std::sync::Arc;

use bytes::Bytes;

pub use compression::{WireBytes, WireCompression};
#[cfg(feature = "embedded")]
pub use embedded::{EmbeddedDatabase, ListenAddress, Listeners, ServedFile, Upkeep, serve};
pub use environment::resolve_environment;
pub use limiter::write_ranges::KeyRange;
pub use options::{MissingDatabase, StoreOptions};
pub use page_memory::PageMemoryPermit;
pub use pagination::PageKey;
pub use reader::{MemoryDivision, Reader};
pub use selection::{Expressions, Selection};
pub use tables::CreatedTable;
pub use writer::Writer;

use crate::item::{IndexKeys, Items, KeySchema, PageKeys};

/// Parameters of one Scan request, which may be one of several parallel segments.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// Table name.
    pub table: String,
    /// Index of the segment, starting at 0.
    pub segment: u32,
    /// Number of segments.
    pub total_segments: u32,
    /// Whether the reads are strongly consistent.
    pub consistent_read: bool,
    /// Maximum number of items in the page.
    pub limit: Option<u32>,
    /// The key after which the page starts (`ExclusiveStartKey`); `None` at the start of the
    /// segment.
    pub start: Option<PageKey>,
    /// Filter and projection that the table applies.
    pub selection: Arc<Selection>,
    /// The table's key. Every item of the page must have it.
    pub key: Arc<KeySchema>,
    /// The keys of indexes for which violations are counted.
    pub index_keys: Arc<IndexKeys>,
    /// Keys of the previous page, which must not be repeated. Empty if there is no previous page,
    /// or if its keys are unknown.
    pub previous_keys: Arc<PageKeys>,
}

/// The response to one Scan request.
#[derive(Debug)]
pub struct ScanPage {
    /// The items, byte for byte.
    pub items: Items,
    /// Keys of the items, to be passed on with the next request.
    pub keys: Arc<PageKeys>,
    /// For each index, the number of items that violate its key.
    pub index_key_violations: Vec<u64>,
    /// The key after which the next page starts (`LastEvaluatedKey`); `None` at the end of the
    /// segment.
    pub next: Option<PageKey>,
    /// Consumed read units.
    pub read_units: f64,
    /// Number of items scanned, including those that a filter removed (`ScannedCount`).
    pub scanned: u64,
    /// Size of the response.
    pub wire: WireBytes,
    /// Memory permit of the page, to be held for as long as its items.
    pub memory_permit: PageMemoryPermit,
}

/// The outcome of writing one or more items.
#[derive(Debug, Default)]
pub struct WriteOutcome {
    /// Number of items that DynamoDB acknowledged.
    pub items: u64,
    /// Size of the acknowledged items as JSON.
    pub bytes: u64,
    /// Number of acknowledged items that [`Writer::put_if_absent`] found in the table
    /// unchanged.
    pub already_present: u64,
    /// Items that DynamoDB rejected.
    pub rejected: Vec<RejectedItem>,
    /// Items that [`Writer::put_if_absent`] did not write because the table has different items
    /// with their keys.
    pub conflicts: Vec<RejectedItem>,
    /// Consumed write units.
    pub write_units: f64,
    /// Number of calls that were throttled or returned unprocessed items.
    pub throttled_calls: u64,
}

/// An item that was not written, with the reason.
#[derive(Debug, Clone)]
pub struct RejectedItem {
    /// The item, byte for byte.
    pub item: Bytes,
    /// DynamoDB's error code and message.
    pub reason: String,
}

impl RejectedItem {
    /// The index that refused the item, as DynamoDB's message names it.
    #[must_use]
    pub fn index(&self) -> Option<&str> {
        let (_, name) = self.reason.split_once("IndexName: ")?;
        name.split([',', ' ', ')'])
            .next()
            .filter(|name| !name.is_empty())
    }
}
