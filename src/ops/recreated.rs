//! Whether a table was deleted, and perhaps created again under its name, while a command worked with it. Items from before and after
//! are not the contents of one table, so no result is claimed.

use std::time::Duration;

use tokio::time::sleep;

use crate::error::{Error, Result};
use crate::schema::TableSchema;
use crate::store::ReadStore;

/// `DescribeTable` is eventually consistent: a table does not exist if it says so this often, at these intervals.
const ABSENCES: u32 = 4;
const BETWEEN_ABSENCES: Duration = Duration::from_millis(500);

/// Refuses a result if `table` is no longer the one that `before` describes.
///
/// # Errors
/// It was deleted, is being deleted, or was created again; it cannot be described.
pub(crate) async fn refuse(
    store: &impl ReadStore,
    table: &str,
    before: &TableSchema,
) -> Result<()> {
    match described(store, table).await? {
        None => Err(Error::failed(format!(
            "table {table} was deleted meanwhile"
        ))),
        Some(now) if now.is_another_than(before) => Err(created_again(table)),
        Some(now) if now.is_being_deleted() => {
            Err(Error::failed(format!("table {table} is being deleted")))
        }
        Some(_) => Ok(()),
    }
}

/// The failure of a command whose table is another one by now.
pub(crate) fn created_again(table: &str) -> Error {
    Error::failed(format!(
        "table {table} was deleted and created again meanwhile"
    ))
    .with_hint("find out who did so, then run the same command again")
}

async fn described(store: &impl ReadStore, table: &str) -> Result<Option<TableSchema>> {
    for _ in 1..ABSENCES {
        if let Some(found) = store.describe(table).await? {
            return Ok(Some(found));
        }

        sleep(BETWEEN_ABSENCES).await;
    }

    store.describe(table).await
}
