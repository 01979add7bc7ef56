//! The only module that speaks to DynamoDB: client, raw pages, raw batches, retries, read caps, the embedded engine.
//!
//! Items cross this module as the bytes DynamoDB sent or is going to receive; see `seam` for how that is done with the
//! SDK's public API. Everything above works against the two traits here: [`ReadStore`] for operations that may only look,
//! [`WriteStore`] for those that hold a [`Confirmation`](crate::environment::Confirmation).

mod client;
mod config;
mod connect;
#[cfg(feature = "embedded")]
mod embedded;
mod fault;
mod gate;
mod pace;
mod read;
mod retry;
mod seam;
mod write;

use std::future::Future;

use bytes::Bytes;

pub use connect::{MissingDatabase, Store, StoreOptions, WritableStore};

use crate::error::Result;
use crate::item::Items;
use crate::schema::{CreateTable, TableSchema};

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
}

/// Where a Scan page ended (`LastEvaluatedKey`), as the JSON DynamoDB sent; goes back unchanged as `ExclusiveStartKey`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageKey(Box<str>);

/// What one Scan call returned.
#[derive(Debug)]
pub struct ScanPage {
    /// The items, byte for byte.
    pub items: Items,
    /// Where the next page starts; `None` at the end of the segment.
    pub next: Option<PageKey>,
    /// Read units consumed.
    pub read_units: f64,
}

/// What became of a batch of items.
#[derive(Debug, Default)]
pub struct Written {
    /// Items DynamoDB acknowledged.
    pub items: u64,
    /// Bytes of text of the acknowledged items.
    pub bytes: u64,
    /// Items DynamoDB refused.
    pub refused: Vec<Refused>,
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

    /// Names of the tables of this account and region, up to a bound that is enough for a hint.
    fn table_names(&self) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// Keeps the consumption of read units below a cap from now on; the first cap holds.
    fn cap_reads(&self, units_per_second: u32);

    /// One page of a Scan. Retries until it has the page or gives up.
    fn scan(&self, request: &ScanRequest) -> impl Future<Output = Result<ScanPage>> + Send;
}

/// A store that can be changed.
pub trait WriteStore: ReadStore {
    /// Asks for a new table; it may not be `ACTIVE` yet when this returns.
    fn create(&self, table: &str, request: &CreateTable) -> impl Future<Output = Result<()>> + Send;

    /// Asks for the deletion of a table; it may still be there when this returns.
    fn delete(&self, table: &str) -> impl Future<Output = Result<()>> + Send;

    /// Writes up to 25 items with different keys, until each is acknowledged or refused.
    fn write(&self, table: &str, items: Vec<Bytes>) -> impl Future<Output = Result<Written>> + Send;
}
