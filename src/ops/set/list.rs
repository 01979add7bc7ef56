//! Lists the tables of a selection. Reads and changes none of them.

use std::path::Path;

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::selection::{MAX_LOOKUPS, TableSelection, select};
use crate::backup::last_dumps;
use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::ops::run_blocking;
use crate::schema::TableSchema;
use crate::store::Reader;

/// The tables of a selection.
#[derive(Debug, Clone, Serialize)]
pub struct TableList {
    /// Name of the environment.
    pub environment: String,
    /// The tables, by name.
    pub tables: Vec<ListedTable>,
}

/// A table, as far as it is known.
#[derive(Debug, Clone, Serialize)]
pub struct ListedTable {
    /// Name of the table.
    pub table: String,
    /// Its status, such as `ACTIVE`; `None` if it could not be described.
    pub status: Option<String>,
    /// Number of items, by DynamoDB's own count, which is updated about every six hours.
    pub items: Option<u64>,
    /// Size in bytes, by the same count.
    pub bytes: Option<u64>,
    /// Billing mode with capacity.
    pub billing: Option<String>,
    /// Whether the table refuses to be deleted.
    pub deletion_protection: Option<bool>,
    /// When the last dump of the table was finished.
    pub last_dump: Option<DateTime<Utc>>,
    /// Why the table could not be described.
    pub error: Option<NotDescribed>,
}

/// Why a table could not be described.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(into = "String")]
pub enum NotDescribed {
    /// It does not exist: a list names it, or it was deleted after it was selected.
    Absent,
    /// The call failed for this reason.
    Failed(String),
}

impl From<NotDescribed> for String {
    fn from(reason: NotDescribed) -> Self {
        match reason {
            NotDescribed::Absent => "does not exist".to_owned(),
            NotDescribed::Failed(reason) => reason,
        }
    }
}

/// Lists the selected tables. `dumps` is the folder of the environment's dumps.
///
/// # Errors
/// See [`select`]; none of the tables can be described.
pub async fn list(
    store: &Reader,
    environment: &Environment,
    selection: &TableSelection,
    dumps: &Path,
) -> Result<TableList> {
    let names = select(store, environment, selection).await?;
    let lookups = names.into_iter().map(|table| async move {
        let described = store.describe(&table).await;
        store.forget(&table);

        ListedTable::from_lookup(table, described)
    });
    let mut described: Vec<(ListedTable, Option<Error>)> =
        stream::iter(lookups).buffered(MAX_LOOKUPS).collect().await;

    // If all fail, the reason is not one of the tables.
    if described.iter().all(|(_, error)| error.is_some())
        && let Some(error) = described.iter_mut().find_map(|(_, error)| error.take())
    {
        return Err(error);
    }

    let (folder, name) = (dumps.to_owned(), environment.name().to_owned());
    let search = move || Ok(last_dumps(&folder, &name));
    let last_dumps = run_blocking("the search for dumps", search).await?;

    let tables = described.into_iter().map(|(table, _)| ListedTable {
        last_dump: last_dumps.get(&table.table).copied(),
        ..table
    });

    Ok(TableList {
        environment: environment.name().to_owned(),
        tables: tables.collect(),
    })
}

impl TableList {
    /// The tables that could not be described although they may exist, with the reason.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.tables.iter().filter_map(|table| match &table.error {
            Some(NotDescribed::Failed(reason)) => Some((table.table.as_str(), reason.as_str())),
            Some(NotDescribed::Absent) | None => None,
        })
    }
}

impl ListedTable {
    /// A table without its last dump, and the error if it could not be described.
    fn from_lookup(table: String, described: Result<Option<TableSchema>>) -> (Self, Option<Error>) {
        let listed = Self {
            table,
            status: None,
            items: None,
            bytes: None,
            billing: None,
            deletion_protection: None,
            last_dump: None,
            error: None,
        };

        match described {
            Ok(Some(found)) => {
                let description = found.description();
                let listed = Self {
                    status: description.table_status.clone(),
                    items: description.item_count,
                    bytes: description.table_size_bytes,
                    billing: Some(found.billing_in_words()),
                    deletion_protection: Some(description.is_deletion_protected()),
                    ..listed
                };
                (listed, None)
            }
            Ok(None) => {
                let error = Some(NotDescribed::Absent);
                (Self { error, ..listed }, None)
            }
            Err(error) => {
                let listed = Self {
                    error: Some(NotDescribed::Failed(error.to_string())),
                    ..listed
                };
                (listed, Some(error))
            }
        }
    }
}
