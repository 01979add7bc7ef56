//! The only module that talks to DynamoDB: client, Scan pages, batches, retries, rate limits and
//! the embedded engine.
//!
//! Items pass through this module as the bytes that DynamoDB sent or will receive. The layers above use the two traits defined here:
//! [`ReadStore`] for operations that only read, [`WriteStore`] for operations that hold a
//! [`Confirmation`](crate::environment::Confirmation).

mod apply;
mod capture;
mod client;
mod clock;
mod compression;
mod connect;
mod control;
#[cfg(feature = "embedded")]
mod embedded;
mod endpoint_kind;
mod json;
mod limiter;
mod options;
mod pagination;
mod probe;
mod put_if_absent;
mod read;
mod recovery;
mod retry;
mod selection;
mod tables;
mod write;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

pub use compression::{WireBytes, WireCompression};
pub use connect::{Store, WritableStore};
pub use options::{MissingDatabase, StoreOptions};
pub use pagination::PageKey;
pub use selection::Selection;

use crate::error::Result;
use crate::item::{Items, KeySchema, PageKeys};
use crate::schema::{Captured, CreateTable, Section, Setting, SettingCall, TableSchema};

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

/// Permission to hold one page in memory; released on drop. Responses without a permit wait on
/// their connections, so many requests can be in flight while memory use stays constant.
#[derive(Debug, Default)]
pub struct PageMemoryPermit(
    #[expect(dead_code, reason = "released on drop")] Option<OwnedSemaphorePermit>,
);

#[cfg(test)]
impl PageMemoryPermit {
    pub(crate) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Some(permit))
    }
}

/// The outcome of writing one or more items.
#[derive(Debug, Default)]
pub struct WriteOutcome {
    /// Number of items that DynamoDB acknowledged.
    pub items: u64,
    /// Size of the acknowledged items as JSON.
    pub bytes: u64,
    /// Number of acknowledged items that [`WriteStore::put_if_absent`] found in the table
    /// unchanged.
    pub already_present: u64,
    /// Items that DynamoDB rejected.
    pub rejected: Vec<RejectedItem>,
    /// Items that [`WriteStore::put_if_absent`] did not write because the table has different items
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

/// Read access to the tables of one environment.
pub trait ReadStore: Send + Sync {
    /// Returns the `DescribeTable` response, verbatim; `None` if the table does not exist.
    fn describe(&self, table: &str) -> impl Future<Output = Result<Option<TableSchema>>> + Send;

    /// Reads `sections` of the described table concurrently, within seconds. A section that could
    /// not be read in that time is returned as [`Captured::NotCaptured`] with the reason.
    fn capture(
        &self,
        schema: &TableSchema,
        sections: &[Section],
    ) -> impl Future<Output = Vec<(Section, Captured)>> + Send;

    /// Returns those of `settings` that the endpoint does not support, each with the endpoint's
    /// error message. Changes nothing. A setting that is not in the result may still be rejected
    /// later.
    fn unsupported_settings(
        &self,
        table: &str,
        settings: &[Setting],
    ) -> impl Future<Output = BTreeMap<Setting, String>> + Send;

    /// Number of the table's on-demand backups, at most 100; `None` if the endpoint does not report
    /// it.
    fn backup_count(&self, table: &str) -> impl Future<Output = Option<usize>> + Send;

    /// The account ID of the credentials, `000000000000` for engines on this machine; `None` if the
    /// endpoint does not report it.
    fn account(&self) -> impl Future<Output = Option<String>> + Send;

    /// A one-line description of the credentials and where they come from.
    fn credentials(&self) -> &str;

    /// Names of the tables of this account and region. The list may be truncated: it only serves
    /// hints.
    fn table_names(&self) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// How long to wait for a table or an index that does not become `ACTIVE`.
    fn give_up_after(&self) -> Duration;

    /// Caps the consumption of the table's read units from now on. The lowest of several caps applies.
    fn cap_reads(&self, table: &str, units_per_second: u32);

    /// Reads one page of a Scan, with retries.
    fn scan(&self, request: &ScanRequest) -> impl Future<Output = Result<ScanPage>> + Send;
}

/// Write access to the tables that a confirmation covers.
pub trait WriteStore: ReadStore {
    /// Requests the creation of a table, which may not be `ACTIVE` yet on return. Returns the
    /// optional settings that an engine other than AWS rejected, each with its error message; the
    /// table is created without them.
    fn create(
        &self,
        table: &str,
        request: &CreateTable,
    ) -> impl Future<Output = Result<Vec<(Setting, String)>>> + Send;

    /// Applies one setting. The table may still be `UPDATING` on return.
    fn apply(&self, table: &str, call: &SettingCall) -> impl Future<Output = Result<()>> + Send;

    /// Caps the consumption of the table's write units from now on. The lowest of several caps applies.
    fn cap_writes(&self, table: &str, units_per_second: u32);

    /// Number of write requests that may be in flight for a table, at least 1. It grows while more
    /// requests increase the throughput.
    fn max_in_flight(&self, table: &str) -> usize;

    /// Requests the deletion of a table, which may still exist on return.
    fn delete(&self, table: &str) -> impl Future<Output = Result<()>> + Send;

    /// Writes up to 25 items with different keys, until each is acknowledged or rejected. `key` is
    /// the table's.
    fn write(
        &self,
        table: &str,
        key: &KeySchema,
        items: Vec<Bytes>,
    ) -> impl Future<Output = Result<WriteOutcome>> + Send;

    /// Writes one item unless the table has an item with its key. `key` is the table's.
    fn put_if_absent(
        &self,
        table: &str,
        key: &KeySchema,
        item: Bytes,
    ) -> impl Future<Output = Result<WriteOutcome>> + Send;
}
