//! The operations: dump, restore, copy, verify. Each first computes a plan, which changes nothing, and then executes it. They report events
//! and print nothing. `sample` fills a new embedded database, before any of them.
//!
//! `dump` and `verify` receive stores that can only read, and so does `copy` for its source. `restore` receives one that can write, which requires a
//! [`Confirmation`](crate::environment::Confirmation).

mod account_region;
mod backup_wait;
mod cap;
mod capacity;
mod chunk;
mod collision_detector;
mod compare;
pub mod copy;
mod cost;
pub mod doctor;
mod dry_run;
pub mod dump;
#[cfg_attr(
    not(feature = "cli"),
    allow(
        dead_code,
        unused_imports,
        reason = "only the command line asks whether to resume"
    )
)]
pub(crate) mod guard;
mod identity;
mod invalid_item;
mod item_formatter;
mod journal;
mod lane_permit;
pub mod managed_backups;
mod missing_table;
mod on_demand_backup;
pub mod permissions;
mod planned_backup;
mod prices;
mod recreated;
pub mod restore;
pub mod route;
mod route_advice;
#[cfg(feature = "embedded")]
pub mod sample;
mod scan_cost;
mod scan_segments;
pub mod set;
mod sink;
mod source;
pub mod table_location;
#[cfg(test)]
mod ten_terabytes;
#[cfg(test)]
mod testing;
mod transfer;
mod transform_stage;
pub mod verify;

pub use cap::{AppliedCap, Cap, CapReason};
pub use capacity::{CapacityKind, KnownCapacity};
pub use cost::{Bottleneck, IndexCost, WriteCost};
pub use dry_run::{DryRunReport, ItemPreview, PreviewOptions};
pub use planned_backup::PlannedBackup;
pub use prices::Price;
pub use route_advice::{AdviceReason, RouteAdvice};
pub use scan_cost::{ScanCost, ScanLimit};
pub use source::ScanOptions;

use tokio_util::sync::CancellationToken;

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::schema::TableSchema;
use crate::store::{Reader, StoreOptions};

/// The parts of a table that an operation transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContentScope {
    /// Schema and items.
    #[default]
    All,
    /// The schema only: no items are read or written.
    SchemaOnly,
    /// The items only: no schema file is written, no table is created.
    DataOnly,
}

impl ContentScope {
    /// Whether the schema is transferred.
    #[must_use]
    pub fn includes_schema(self) -> bool {
        self != Self::DataOnly
    }

    /// Whether the items are transferred.
    #[must_use]
    pub fn includes_items(self) -> bool {
        self != Self::SchemaOnly
    }
}

/// Opens the environment's DynamoDB. A new database of the embedded engine is filled from the environment's sample.
///
/// # Errors
/// See [`Reader::open`]; the sample cannot be loaded.
pub async fn open(environment: &Environment, options: StoreOptions) -> Result<Reader> {
    #[cfg(feature = "embedded")]
    let options = StoreOptions {
        database: sample::load(environment, options.missing_database).await?,
        ..options
    };

    Box::pin(Reader::open(environment, options)).await
}

/// Runs blocking work on a thread for it. If the thread panics, the error names the work with `name`.
async fn run_blocking<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::failed(format!("{name} stopped unexpectedly")).with_source(error))?
}

/// Waits for `work`, or fails with `interrupted` as soon as `cancel` fires, so that Ctrl-C does not wait for retries.
async fn until_cancelled<T>(
    cancel: &CancellationToken,
    interrupted: impl FnOnce() -> Error,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(interrupted()),
        done = work => done,
    }
}

/// Describes a table that must exist.
///
/// # Errors
/// The table does not exist, is being deleted, or cannot be described.
async fn describe_existing(
    store: &Reader,
    environment: &Environment,
    table: &str,
) -> Result<TableSchema> {
    let described = store.describe(table).await;
    let described =
        described.map_err(|error| missing_table::or_environment(error, environment, table));
    match described? {
        Some(found) if found.is_being_deleted() => Err(Error::not_found(format!(
            "table \"{table}\" of environment {} is being deleted",
            environment.name()
        ))
        .with_hint("its items can no longer be read; use a dump or a backup of it")),
        Some(found) => Ok(found),
        None => Err(missing_table::not_found(store, environment, table).await),
    }
}
