//! The only module that speaks to DynamoDB: client, raw pages, raw batches, retries, read caps, the embedded engine.
//!
//! Items cross this module as the bytes DynamoDB sent or is going to receive; see `seam` for how that is done with the
//! SDK's public API. Everything above works against the two traits here: [`ReadStore`] for operations that may only look,
//! [`WriteStore`] for those that hold a [`Confirmation`](crate::environment::Confirmation).

mod apply;
mod auto_scaling;
mod buffers;
mod capture;
mod client;
mod clock;
mod compression;
mod config;
mod connect;
mod control;
mod credentials;
#[cfg(feature = "embedded")]
mod embedded;
mod error;
mod limiter;
mod pagination;
mod probe;
mod put_if_absent;
mod read;
mod recovery;
mod redact;
mod retry;
mod seam;
mod selection;
mod shortcut;
mod signature;
mod tables;
mod write;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

pub use compression::{WireBytes, WireCompression};
pub use connect::{MissingDatabase, Store, StoreOptions, WritableStore};
pub use pagination::PageKey;
pub use selection::Selection;

use crate::error::Result;
use crate::item::{Items, KeySchema, PageKeys};
use crate::schema::{Captured, CreateTable, Section, Setting, SettingCall, TableSchema};

/// One call of a (parallel) Scan.
#[derive(Debug, Clone)]
pub struct ScanRequest {
    /// Table name.
    pub table: String,
    /// This segment, from 0.
    pub segment: u32,
    /// Number of segments.
    pub total_segments: u32,
    /// Strongly consistent reads.
    pub consistent_read: bool,
    /// At most so many items in the page.
    pub limit: Option<u32>,
    /// Where the page before this one ended.
    pub start: Option<PageKey>,
    /// What the table is to leave out.
    pub selection: Arc<Selection>,
    /// The table's key. Every item of the page must have it.
    pub key: Arc<KeySchema>,
    /// The keys of the page before this one, which must not occur in it; none if there is no such page or it is not known.
    pub before: Arc<PageKeys>,
}

/// What one Scan call returned.
#[derive(Debug)]
pub struct ScanPage {
    /// The items, byte for byte.
    pub items: Items,
    /// Their keys, for the request for the next page.
    pub keys: Arc<PageKeys>,
    /// Where the next page starts; `None` at the end of the segment.
    pub next: Option<PageKey>,
    /// Read units consumed.
    pub read_units: f64,
    /// Items that the table looked at: those that a filter left out, too.
    pub looked_at: u64,
    /// Bytes of the answer.
    pub wire: WireBytes,
    /// To be kept as long as the items.
    pub room: Room,
}

/// Room in memory for one page. Pages for which there is none wait on their connections, so that many calls may be in flight and
/// memory stays flat.
#[derive(Debug, Default)]
pub struct Room(
    #[expect(dead_code, reason = "what it does it does when it is dropped")]
    Option<OwnedSemaphorePermit>,
);

#[cfg(test)]
impl Room {
    pub(crate) fn of(permit: OwnedSemaphorePermit) -> Self {
        Self(Some(permit))
    }
}

/// What became of a batch of items.
#[derive(Debug, Default)]
pub struct Written {
    /// Items DynamoDB acknowledged.
    pub items: u64,
    /// Bytes of text of the acknowledged items.
    pub bytes: u64,
    /// Of those, items that [`WriteStore::write_new`] found there already, as they are.
    pub already_there: u64,
    /// Items DynamoDB refused.
    pub refused: Vec<Refused>,
    /// Items that [`WriteStore::write_new`] left out because the table has others with their keys.
    pub conflicts: Vec<Refused>,
    /// Write units consumed.
    pub write_units: f64,
    /// Calls that were throttled or came back with unprocessed items.
    pub throttled_calls: u64,
}

/// An item that DynamoDB refused, with its reason.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The item, byte for byte.
    pub item: Bytes,
    /// DynamoDB's words.
    pub reason: String,
}

/// A store that can be looked at.
pub trait ReadStore: Send + Sync {
    /// Everything `DescribeTable` says, verbatim; `None` when there is no such table.
    fn describe(&self, table: &str) -> impl Future<Output = Result<Option<TableSchema>>> + Send;

    /// Reads `sections` of the described table, all at the same time and within seconds: what cannot be had by then, or at all,
    /// comes as [`Captured::NotCaptured`] with its reason.
    fn capture(
        &self,
        schema: &TableSchema,
        sections: &[Section],
    ) -> impl Future<Output = Vec<(Section, Captured)>> + Send;

    /// Which of `settings` this endpoint cannot have, each with the endpoint's words. Changes nothing. A setting that is not
    /// named may still be refused.
    fn lacking(
        &self,
        table: &str,
        settings: &[Setting],
    ) -> impl Future<Output = BTreeMap<Setting, String>> + Send;

    /// Number of the table's on-demand backups, up to a hundred; `None` where the endpoint does not tell.
    fn backups(&self, table: &str) -> impl Future<Output = Option<usize>> + Send;

    /// The account of the credentials, `000000000000` for engines on this machine; `None` where the endpoint does not tell.
    fn account(&self) -> impl Future<Output = Option<String>> + Send;

    /// Whose credentials are used and where they come from, on one line.
    fn credentials(&self) -> &str;

    /// Names of the tables of this account and region, up to a bound that is enough for a hint.
    fn table_names(&self) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// How long to wait for a table or an index that does not become ready.
    fn give_up_after(&self) -> Duration;

    /// Keeps the consumption of read units at a cap from now on. Of several the lowest holds.
    fn cap_reads(&self, units_per_second: u32);

    /// One page of a Scan. Retries until it has the page or gives up.
    fn scan(&self, request: &ScanRequest) -> impl Future<Output = Result<ScanPage>> + Send;
}

/// A store that can be changed.
pub trait WriteStore: ReadStore {
    /// Asks for a new table; it may not be `ACTIVE` yet when this returns. Returns the optional settings of the request that an
    /// engine other than AWS refused, each with its words: the table is made without them.
    fn create(
        &self,
        table: &str,
        request: &CreateTable,
    ) -> impl Future<Output = Result<Vec<(Setting, String)>>> + Send;

    /// Brings one setting back. The table may be busy with it when this returns.
    fn apply(&self, table: &str, call: &SettingCall) -> impl Future<Output = Result<()>> + Send;

    /// Keeps the consumption of write units at a cap from now on. Of several the lowest holds.
    fn cap_writes(&self, units_per_second: u32);

    /// Calls with items that may be on their way to a table at once, at least 1: grows as long as the table takes more.
    fn calls_at_once(&self, table: &str) -> usize;

    /// Asks for the deletion of a table; it may still be there when this returns.
    fn delete(&self, table: &str) -> impl Future<Output = Result<()>> + Send;

    /// Writes up to 25 items with different keys, until each is acknowledged or refused. `key` is the table's.
    fn write(
        &self,
        table: &str,
        key: &KeySchema,
        items: Vec<Bytes>,
    ) -> impl Future<Output = Result<Written>> + Send;

    /// Writes one item unless the table has one with its key. `key` is the table's.
    fn write_new(
        &self,
        table: &str,
        key: &KeySchema,
        item: Bytes,
    ) -> impl Future<Output = Result<Written>> + Send;
}
