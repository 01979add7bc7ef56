//! The operations: dump, restore, verify. Each first computes a plan, which changes nothing, and then executes it. They report events
//! and print nothing.
//!
//! `dump` and `verify` receive stores that can only read. `restore` receives one that can write, which requires a
//! [`Confirmation`](crate::environment::Confirmation).

mod cap;
mod collision_detector;
mod compare;
mod cost;
mod dry_run;
pub mod dump;
mod identity;
mod invalid_item;
mod item_formatter;
mod recreated;
pub mod restore;
mod scan_segments;
pub mod table_location;
#[cfg(test)]
mod testing;
mod transform_stream;
pub mod verify;

pub use cap::Cap;
pub use cost::{Bottleneck, IndexCost, WriteCost};
pub use dry_run::{DryRunReport, ItemPreview, PreviewOptions};

use tokio_util::sync::CancellationToken;

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::schema::TableSchema;
use crate::store::Reader;

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

/// Runs blocking work on a thread for it. If the thread panics, the error names the work with `name`.
async fn run_blocking<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::failed(format!("{name} was cut off")).with_source(error))?
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

/// Minimum similarity (Jaro-Winkler) of a table name that is suggested for one that does not exist.
const MIN_NAME_SIMILARITY: f64 = 0.7;
const MAX_SUGGESTIONS: usize = 5;

/// Describes a table that must exist.
///
/// # Errors
/// The table does not exist, is being deleted, or cannot be described.
async fn describe_existing(
    store: &Reader,
    environment: &Environment,
    table: &str,
) -> Result<TableSchema> {
    match store.describe(table).await? {
        Some(found) if found.is_being_deleted() => Err(Error::not_found(format!(
            "table \"{table}\" of environment {} is being deleted",
            environment.name()
        ))
        .with_hint("its items can no longer be read; use a dump or a backup of it")),
        Some(found) => Ok(found),
        None => Err(table_not_found(store, environment, table).await),
    }
}

/// The error for a table that does not exist. Its hint suggests similar names.
async fn table_not_found(store: &Reader, environment: &Environment, table: &str) -> Error {
    let error = Error::not_found(format!(
        "table \"{table}\" does not exist in environment {}",
        environment.name()
    ));
    // Listing tables may be forbidden, which must not hide the actual error.
    let names = store.table_names().await.unwrap_or_default();
    let similar = similar_names(table, &names);
    error.with_hint(match (similar.as_slice(), names.is_empty()) {
        ([], true) => "this environment has no tables; check its endpoint, region and credentials".to_owned(),
        ([], false) => {
            "check DYNAMODB_TABLE in the env file, or pass --table; `aws dynamodb list-tables` lists them".to_owned()
        }
        (similar, _) => format!("did you mean {}?", similar.join(", ")),
    })
}

/// The names most similar to `table`, the best first.
fn similar_names<'a>(table: &str, names: &'a [String]) -> Vec<&'a str> {
    let wanted = table.to_lowercase();
    let mut rated: Vec<(f64, &str)> = names
        .iter()
        .map(|name| {
            let lower = name.to_lowercase();
            let is_substring = lower.contains(&wanted) || wanted.contains(&lower);
            (
                if is_substring {
                    1.0
                } else {
                    strsim::jaro_winkler(&wanted, &lower)
                },
                name.as_str(),
            )
        })
        .filter(|(similarity, _)| *similarity >= MIN_NAME_SIMILARITY)
        .collect();

    rated.sort_by(|a, b| b.0.total_cmp(&a.0));
    rated
        .into_iter()
        .take(MAX_SUGGESTIONS)
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_names_are_suggested_best_first() {
        let names = ["orders", "Music", "music-archive", "zebra"].map(ToOwned::to_owned);
        assert_eq!(similar_names("musik", &names), ["Music", "music-archive"]);
        assert_eq!(similar_names("order", &names), ["orders"]);
        assert!(similar_names("quux", &names).is_empty());
    }
}
