//! Read access to the tables of one environment. Nothing here can change a table.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::account::Account;
use super::client::Client;
#[cfg(feature = "embedded")]
use super::embedded::Engine;
use super::read::MAX_SUGGESTED_NAMES;
use super::{ScanPage, ScanRequest};
use super::{capture, probe};
use crate::aws::ApiOperation;
use crate::error::Result;
use crate::limits::MemoryShare;
use crate::schema::{BackedUpTable, Captured, Section, Setting, TableBackup, TableSchema};

/// Read access to the tables of one environment. Clones share one client.
#[derive(Clone)]
pub struct Reader {
    client: Arc<Client>,
    account: Arc<Account>,
    /// Stopped when the last clone is dropped.
    #[cfg(feature = "embedded")]
    engine: Arc<Option<Engine>>,
}

/// The division of the memory among several tables. On drop, one table may use all of it again.
#[must_use = "dropping it ends the division"]
pub struct MemoryDivision(Arc<Client>);

impl Drop for MemoryDivision {
    fn drop(&mut self) {
        self.0.share_memory(NonZeroUsize::MIN);
    }
}

impl fmt::Debug for MemoryDivision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryDivision")
            .field(&self.0.memory_share())
            .finish()
    }
}

impl Reader {
    pub(super) fn new(
        client: Client,
        account: Account,
        #[cfg(feature = "embedded")] engine: Option<Engine>,
    ) -> Self {
        Self {
            client: Arc::new(client),
            account: Arc::new(account),
            #[cfg(feature = "embedded")]
            engine: Arc::new(engine),
        }
    }

    /// The same tables with limits, memory for pages and progress of their own. Reads and writes that must not wait for each other, such
    /// as those of the two sides of a copy, use one each.
    #[must_use]
    pub fn with_own_limits(&self) -> Self {
        Self {
            client: Arc::new(self.client.with_own_limits()),
            ..self.clone()
        }
    }

    pub(super) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Whether this is a temporary database in memory because the environment's database file does
    /// not exist.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        #[cfg(feature = "embedded")]
        return self
            .engine
            .as_ref()
            .as_ref()
            .is_some_and(|engine| engine.is_temporary);

        #[cfg(not(feature = "embedded"))]
        false
    }

    /// Returns the `DescribeTable` response, verbatim; `None` if the table does not exist.
    ///
    /// # Errors
    /// The endpoint cannot be reached, or rejects the request; the table is not in the account that the environment requires, or
    /// nothing tells the account.
    pub async fn describe(&self, table: &str) -> Result<Option<TableSchema>> {
        let found = self.client.describe(table).await?;
        self.account.check_table(table, found.as_ref())?;

        Ok(found)
    }

    /// Reads `sections` of the described table concurrently, within seconds. A section that could
    /// not be read in that time is returned as [`Captured::NotCaptured`] with the reason.
    pub async fn capture(
        &self,
        schema: &TableSchema,
        sections: &[Section],
    ) -> Vec<(Section, Captured)> {
        capture::capture(&self.client, schema, sections).await
    }

    /// Returns those of `settings` that the endpoint does not support, each with the endpoint's
    /// error message. Changes nothing. A setting that is not in the result may still be rejected
    /// later.
    pub async fn unsupported_settings(
        &self,
        table: &str,
        settings: &[Setting],
    ) -> BTreeMap<Setting, String> {
        probe::unsupported_settings(&self.client, table, settings).await
    }

    /// Whether the endpoint may accept a setting without an error and ignore it, as some engines
    /// do. AWS does not.
    #[must_use]
    pub fn may_ignore_settings(&self) -> bool {
        self.client.endpoint_kind().may_ignore_settings()
    }

    /// Number of the table's on-demand backups, at most 100; `None` if the endpoint does not report
    /// it.
    pub async fn backup_count(&self, table: &str) -> Option<usize> {
        probe::backup_count(&self.client, table).await
    }

    /// Requests an on-demand backup of a table. It changes nothing in the table, and may still be `CREATING` on return.
    ///
    /// # Errors
    /// The endpoint cannot be reached, rejects the request, or has no backups.
    pub async fn create_backup(&self, table: &str, name: &str) -> Result<TableBackup> {
        self.client.create_backup(table, name).await
    }

    /// Whether the endpoint has on-demand backups, as far as it says so.
    pub(crate) async fn has_backups(&self, table: &str) -> bool {
        self.client.has_backups(table).await
    }

    /// Describes an on-demand backup; `None` if it does not exist.
    ///
    /// # Errors
    /// The endpoint cannot be reached, rejects the request, or has no backups.
    pub async fn describe_backup(&self, arn: &str) -> Result<Option<TableBackup>> {
        self.client.describe_backup(arn).await
    }

    /// Describes an on-demand backup and the table that it contains; `None` if it does not exist.
    ///
    /// # Errors
    /// The endpoint cannot be reached, rejects the request, or has no backups.
    pub(crate) async fn describe_backed_up_table(
        &self,
        arn: &str,
    ) -> Result<Option<(TableBackup, BackedUpTable)>> {
        self.client.describe_backed_up_table(arn).await
    }

    /// Lists the on-demand backups of a table, or of all tables, in DynamoDB's order.
    ///
    /// # Errors
    /// The endpoint cannot be reached, rejects the request, or has no backups.
    pub async fn list_backups(&self, table: Option<&str>) -> Result<Vec<TableBackup>> {
        self.client.list_backups(table).await
    }

    /// The account ID of the credentials, `000000000000` for engines on this machine; `None` if neither the
    /// credentials nor STS name it.
    pub async fn account(&self) -> Option<String> {
        if let Some(account) = self.client.endpoint_kind().only_account() {
            return Some(account.to_owned());
        }

        let found = self.account.find(&self.client).await;
        found.ok().map(ToOwned::to_owned)
    }

    /// A one-line description of the credentials and where they come from.
    #[must_use]
    pub fn credentials(&self) -> &str {
        self.client.credentials()
    }

    /// The proxy between this machine and DynamoDB, and the variable that names it.
    #[must_use]
    pub fn proxy(&self) -> Option<&str> {
        self.client.proxy()
    }

    /// Names of all tables of this account and region.
    ///
    /// # Errors
    /// The endpoint cannot be reached, or rejects the request.
    pub async fn table_names(&self) -> Result<Vec<String>> {
        self.client.table_names(usize::MAX).await
    }

    /// Names of tables, to suggest one of them. The list may be truncated.
    ///
    /// # Errors
    /// The endpoint cannot be reached, or rejects the request.
    pub(crate) async fn suggested_names(&self) -> Result<Vec<String>> {
        self.client.table_names(MAX_SUGGESTED_NAMES).await
    }

    /// The tags of a table; none if it does not exist.
    ///
    /// # Errors
    /// The endpoint cannot be reached, or rejects the request; the table is not in the account that the environment requires.
    pub async fn tags(&self, table: &str) -> Result<BTreeMap<String, String>> {
        match self.describe(table).await? {
            Some(found) => self.client.tags(table, &found).await,
            None => Ok(BTreeMap::new()),
        }
    }

    /// The cap on the read units per second of all tables together.
    #[must_use]
    pub fn max_total_read_units(&self) -> Option<u32> {
        self.client.read_limiters().total_cap()
    }

    /// The cap on the write units per second of all tables together.
    #[must_use]
    pub fn max_total_write_units(&self) -> Option<u32> {
        self.client.write_limiters().total_cap()
    }

    /// Divides the memory for items in transit among this number of tables, which are processed in parallel, until the result is
    /// dropped. Call before their operations start; without a call, one table uses all of it.
    pub fn share_memory(&self, tables: NonZeroUsize) -> MemoryDivision {
        self.client.share_memory(tables);

        MemoryDivision(Arc::clone(&self.client))
    }

    /// The memory that the operation on one table may use.
    pub(crate) fn memory_share(&self) -> MemoryShare {
        self.client.memory_share()
    }

    /// Discards what was learned about a table, and its caps. An operation on many tables calls this at the end of each, so that
    /// their number does not matter for memory.
    pub fn forget(&self, table: &str) {
        self.client.forget(table);
    }

    /// How long it takes to read the settings or the tags of this number of tables: AWS limits some of these calls per second
    /// and account. Zero if the endpoint has shown no limit.
    #[must_use]
    pub fn lookup_time(&self, tables: usize) -> Duration {
        let slowest = ApiOperation::LIST_TAGS_OF_RESOURCE;
        self.client.control_plane().time_for(slowest, tables)
    }

    /// Reports a message.
    pub(crate) fn inform(&self, text: String) {
        self.client.retry().inform(text);
    }

    /// How long to wait for a table or an index that does not become `ACTIVE`.
    #[must_use]
    pub fn give_up_after(&self) -> Duration {
        self.client.retry().give_up_after()
    }

    /// Caps the consumption of the table's read units from now on. The lowest of several caps
    /// applies.
    pub fn cap_reads(&self, table: &str, units_per_second: u32) {
        self.client.read_limiters().cap(table, units_per_second);
    }

    /// Reads one page of a Scan, with retries.
    ///
    /// # Errors
    /// The page cannot be read; there was no progress for [`give_up_after`](Self::give_up_after).
    pub async fn scan(&self, request: &ScanRequest) -> Result<ScanPage> {
        self.client.scan(request).await
    }
}
