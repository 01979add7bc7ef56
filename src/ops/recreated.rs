//! Check that a table was not deleted or recreated while a command worked with it. Items from before and after are not the contents
//! of one table, so the command must not report a result.

use std::time::Duration;

use tokio::time::sleep;

use crate::error::{Error, Result};
use crate::schema::TableSchema;
use crate::store::Reader;

/// `DescribeTable` is eventually consistent: a table counts as deleted after this number of answers that say so.
const DESCRIBE_ATTEMPTS: u32 = 4;
const DESCRIBE_INTERVAL: Duration = Duration::from_millis(500);

/// Checks that `table` is still the one that `before` describes.
///
/// # Errors
/// The table was deleted, is being deleted, was recreated, or cannot be described.
pub(crate) async fn check_not_recreated(
    store: &Reader,
    table: &str,
    before: &TableSchema,
) -> Result<()> {
    match describe_with_retries(store, table).await? {
        None => Err(Error::failed(format!(
            "table {table} was deleted in the meantime"
        ))),
        // This comes before the status: a recreated table may already be being deleted again.
        Some(now) if now.is_different_table(before) => Err(recreated_error(table)),
        Some(now) if now.is_being_deleted() => {
            Err(Error::failed(format!("table {table} is being deleted")))
        }
        Some(_) => Ok(()),
    }
}

/// The error for a table that was recreated while the command ran.
pub(crate) fn recreated_error(table: &str) -> Error {
    Error::failed(format!(
        "table {table} was deleted and recreated in the meantime"
    ))
    .with_hint("find out who deleted it, then run the same command again")
}

async fn describe_with_retries(store: &Reader, table: &str) -> Result<Option<TableSchema>> {
    for _ in 1..DESCRIBE_ATTEMPTS {
        if let Some(schema) = store.describe(table).await? {
            return Ok(Some(schema));
        }

        sleep(DESCRIBE_INTERVAL).await;
    }

    store.describe(table).await
}
