//! Write access to the tables that a confirmation covers.

use std::sync::Arc;

use bytes::Bytes;

use super::WriteOutcome;
use super::client::Client;
#[cfg(feature = "embedded")]
use super::embedded::BULK_BATCHES;
use super::limiter::write_ranges::KeyRange;
use super::reader::Reader;
use super::tables::CreatedTable;
use super::write::BatchAction;
use crate::environment::Confirmation;
use crate::error::{Error, Result};
use crate::item::KeySchema;
use crate::schema::{CreateTable, RestoreTable, SettingCall, TableSchema};

/// Write access to the tables that a [`Confirmation`] covers. Each method fails for another table.
#[derive(Clone)]
pub struct Writer {
    reader: Reader,
    confirmation: Arc<Confirmation>,
    /// The keys that are written, if they are a range.
    key_range: Option<KeyRange>,
}

impl Writer {
    /// Adds write access to the tables that `confirmation` covers.
    #[must_use]
    pub fn new(reader: Reader, confirmation: Confirmation) -> Self {
        Self {
            reader,
            confirmation: Arc::new(confirmation),
            key_range: None,
        }
    }

    /// Write access for items in a range of the table's keys, which has a rate limit of its own.
    #[must_use]
    pub fn in_key_range(self, key_range: Option<KeyRange>) -> Self {
        Self { key_range, ..self }
    }

    /// Read access to the same environment.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The confirmation.
    #[must_use]
    pub fn confirmation(&self) -> &Confirmation {
        &self.confirmation
    }

    fn client(&self) -> &Client {
        self.reader.client()
    }

    /// Fails if the confirmation does not cover the table.
    fn check_confirmed(&self, table: &str) -> Result<()> {
        if self.confirmation.covers(table) {
            return Ok(());
        }

        Err(Error::not_confirmed(format!(
            "writing to {table} was not confirmed"
        )))
    }

    /// Requests the creation of a table, which may not be `ACTIVE` yet on return. Returns what it was
    /// created without.
    ///
    /// # Errors
    /// Not confirmed; the endpoint rejects the request.
    pub async fn create(&self, table: &str, request: &CreateTable) -> Result<CreatedTable> {
        self.check_confirmed(table)?;
        self.client().create(table, request).await
    }

    /// Requests that DynamoDB restores a table with its items. It is `CREATING` until DynamoDB has finished.
    ///
    /// # Errors
    /// Not confirmed; the endpoint rejects the request.
    pub async fn restore_table(&self, table: &str, request: &RestoreTable) -> Result<()> {
        self.check_confirmed(table)?;
        self.client().restore_table(table, request).await
    }

    /// Deletes the on-demand backup from which a table was restored, or does nothing if it does not exist.
    ///
    /// # Errors
    /// Not confirmed; the endpoint rejects the request.
    pub async fn delete_backup(&self, table: &str, arn: &str) -> Result<()> {
        self.check_confirmed(table)?;
        self.client().delete_backup(arn).await
    }

    /// Applies one setting. `known` is an earlier description of the table, which saves another. The
    /// table may still be `UPDATING` on return. Returns the table as the response describes it, if it
    /// does.
    ///
    /// # Errors
    /// Not confirmed; the endpoint rejects the request.
    pub async fn apply(
        &self,
        table: &str,
        call: &SettingCall,
        known: Option<&TableSchema>,
    ) -> Result<Option<TableSchema>> {
        self.check_confirmed(table)?;
        self.client().apply(table, call, known).await
    }

    /// Caps the consumption of the table's write units from now on. The lowest of several caps
    /// applies.
    pub fn cap_writes(&self, table: &str, units_per_second: u32) {
        self.client().write_limiters().cap(table, units_per_second);
    }

    /// Number of write requests that may be in flight for a table, at least 1. It grows while more
    /// requests increase the throughput.
    #[must_use]
    pub fn max_in_flight(&self, table: &str) -> usize {
        #[cfg(feature = "embedded")]
        if self.client().bulk_writer(table).is_some() {
            return BULK_BATCHES;
        }

        self.client()
            .write_limiters()
            .for_table(table)
            .limiter
            .useful_in_flight()
    }

    /// Requests the deletion of a table, which may still exist on return.
    ///
    /// # Errors
    /// Not confirmed; the endpoint rejects the request.
    pub async fn delete(&self, table: &str) -> Result<()> {
        if !self.confirmation.covers_replacing(table) {
            return Err(Error::not_confirmed(format!(
                "deleting {table} was not confirmed"
            )));
        }

        self.client().delete(table).await
    }

    /// Writes up to 25 items with different keys, until each is acknowledged or rejected. `key` is
    /// the table's.
    ///
    /// # Errors
    /// Not confirmed; there was no progress for [`Reader::give_up_after`].
    pub async fn write(
        &self,
        table: &str,
        key: &KeySchema,
        items: Vec<Bytes>,
    ) -> Result<WriteOutcome> {
        self.check_confirmed(table)?;
        self.client()
            .write(BatchAction::Put, (table, key), items, self.key_range)
            .await
    }

    /// Deletes up to 25 items with different keys, until each is acknowledged or rejected. Only their keys are sent. `key` is the
    /// table's.
    ///
    /// # Errors
    /// Not confirmed; there was no progress for [`Reader::give_up_after`].
    pub async fn delete_items(
        &self,
        table: &str,
        key: &KeySchema,
        items: Vec<Bytes>,
    ) -> Result<WriteOutcome> {
        if !self.confirmation.covers_deleting_items(table) {
            return Err(Error::not_confirmed(format!(
                "deleting items of {table} was not confirmed"
            )));
        }

        self.client()
            .write(BatchAction::Delete, (table, key), items, self.key_range)
            .await
    }

    /// Writes one item unless the table has an item with its key. `key` is the table's.
    ///
    /// # Errors
    /// Not confirmed; there was no progress for [`Reader::give_up_after`].
    pub async fn put_if_absent(
        &self,
        table: &str,
        key: &KeySchema,
        item: Bytes,
    ) -> Result<WriteOutcome> {
        self.check_confirmed(table)?;
        self.client()
            .put_if_absent(table, key, item, self.key_range)
            .await
    }
}
