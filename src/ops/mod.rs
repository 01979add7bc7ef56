//! The operations: each computes a plan without changing anything, then acts on it, silent but for events.
//!
//! `dump` and `verify` receive stores that can only read. `restore` receives one that can write, which cannot be had without a
//! [`Confirmation`](crate::environment::Confirmation).

mod cap;
mod compare;
mod cost;
mod dry_run;
pub mod dump;
mod identity;
mod recreated;
pub mod restore;
mod scan_segments;
pub mod table_location;
#[cfg(test)]
mod testing;
mod through;
pub mod verify;

pub use cap::Cap;
pub use cost::{IndexCost, Slowest, WriteCost};
pub use dry_run::{Show, Shown, Trial};

use tokio_util::sync::CancellationToken;

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::schema::TableSchema;
use crate::store::ReadStore;

/// What of a table an operation handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Content {
    /// Schema and items.
    #[default]
    All,
    /// The schema alone: no item is read or written.
    SchemaOnly,
    /// The items alone: no schema file is written, no table is created.
    DataOnly,
}

impl Content {
    /// Whether the schema is handled.
    #[must_use]
    pub fn schema(self) -> bool {
        self != Self::DataOnly
    }

    /// Whether the items are handled.
    #[must_use]
    pub fn data(self) -> bool {
        self != Self::SchemaOnly
    }
}

/// Does work that blocks on a thread that may. `what` is said to have been cut off when the thread does not return.
async fn blocking<T: Send + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::failed(format!("{what} was cut off")).with_source(error))?
}

/// The result of `work`, or the failure `interrupted` as soon as `cancel` fires: no call that is retried is waited for.
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

/// Names this alike are offered to somebody who may have mistyped one.
const LIKENESS: f64 = 0.7;
const NAMES_OFFERED: usize = 5;

/// The description of a table that must exist.
///
/// # Errors
/// It does not exist, is being deleted, or cannot be described.
async fn described(
    store: &impl ReadStore,
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
        None => Err(table_absent(store, environment, table).await),
    }
}

/// The failure when a table that must exist does not, with the names that come close.
async fn table_absent(store: &impl ReadStore, environment: &Environment, table: &str) -> Error {
    let error = Error::not_found(format!(
        "table \"{table}\" does not exist in environment {}",
        environment.name()
    ));
    let names = store.table_names().await.unwrap_or_default();
    let near = near_names(table, &names);
    error.with_hint(match (near.as_slice(), names.is_empty()) {
        ([], true) => "this environment has no tables; check its endpoint, region and credentials".to_owned(),
        ([], false) => {
            "check DYNAMODB_TABLE in the env file, or pass --table; `aws dynamodb list-tables` lists them".to_owned()
        }
        (near, _) => format!("did you mean {}?", near.join(", ")),
    })
}

fn near_names<'a>(table: &str, names: &'a [String]) -> Vec<&'a str> {
    let wanted = table.to_lowercase();
    let mut rated: Vec<(f64, &str)> = names
        .iter()
        .map(|name| {
            let lower = name.to_lowercase();
            let part = lower.contains(&wanted) || wanted.contains(&lower);
            (
                if part {
                    1.0
                } else {
                    strsim::jaro_winkler(&wanted, &lower)
                },
                name.as_str(),
            )
        })
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .collect();

    rated.sort_by(|a, b| b.0.total_cmp(&a.0));
    rated
        .into_iter()
        .take(NAMES_OFFERED)
        .map(|(_, name)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_offered_best_first_and_strangers_are_not() {
        let names = ["orders", "Music", "music-archive", "zebra"].map(ToOwned::to_owned);
        assert_eq!(near_names("musik", &names), ["Music", "music-archive"]);
        assert_eq!(near_names("order", &names), ["orders"]);
        assert!(near_names("quux", &names).is_empty());
    }
}
