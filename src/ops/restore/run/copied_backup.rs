//! The on-demand backup of a copy while its target is restored: obtained before, kept or deleted afterwards.

use std::sync::Arc;

use super::table::{TargetTable, wait_interrupted};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::field::Field;
use crate::ops::on_demand_backup::BackupJournal;
use crate::ops::planned_backup::PlannedBackup;
use crate::ops::restore::table_items::has_items;
use crate::ops::restore::{BackupOutcome, RestoreSummary, SourceFacts};
use crate::ops::until_cancelled;
use crate::place::{JournalFile, LockRefusal};
use crate::schema::TableBackup;

/// The backup of a running copy.
pub(crate) struct CopiedBackup {
    pub(crate) backup: TableBackup,
    journal: BackupJournal,
    deleted_afterwards: bool,
}

impl CopiedBackup {
    /// The planned backup, which is requested unless it exists. It may not be available on return.
    ///
    /// # Errors
    /// Another copy of the same tables is running; the journal cannot be written; DynamoDB refuses the request.
    pub(crate) async fn obtain(
        table: &TargetTable<'_>,
        source: &SourceFacts,
        planned: &PlannedBackup,
    ) -> Result<Self> {
        let file = match planned.journal.clone().map(JournalFile::lock) {
            Some(Ok(locked)) => Some(Arc::new(locked)),
            // The journal of the target has the same folder, and warns.
            None | Some(Err(LockRefusal::NoPlace(_))) => None,
            Some(Err(LockRefusal::Failed(error))) => return Err(error),
            Some(Err(LockRefusal::Held { lock, holder })) => {
                return Err(Error::failed(format!(
                    "{holder} is copying the same tables (lock `{}`)",
                    lock.display()
                ))
                .with_hint("wait until it has finished"));
            }
        };

        let source_table = source.table.as_deref().unwrap_or_default();
        let mut journal = BackupJournal::new(file, source_table, &planned.name);
        let backup = journal.request(table.store.reader(), planned).await?;
        if planned.existing.is_none() {
            table.reporter.report(Event::Info(format!(
                "DynamoDB makes backup {} of {source_table}: {}",
                backup.name, backup.arn
            )));
        }

        Ok(Self {
            backup,
            journal,
            deleted_afterwards: planned.deleted_afterwards,
        })
    }

    /// Adds how to resume on another machine to the error of an interruption.
    pub(crate) fn with_resume_hint(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::Interrupted {
            return error;
        }

        error.with_hint(format!(
            "DynamoDB continues. On another machine, resume with {} {} {}",
            Field::Resume,
            Field::BackupArn,
            self.backup.arn
        ))
    }

    /// Deletes the backup if that was requested and the table is complete. Otherwise, it is kept.
    ///
    /// # Errors
    /// The journal cannot be removed; interrupted.
    pub(crate) async fn finish(
        self,
        table: &TargetTable<'_>,
        summary: &RestoreSummary,
        expects_items: bool,
    ) -> Result<BackupOutcome> {
        let deletion = async {
            if self.deleted_afterwards {
                self.delete(table, summary, expects_items).await.err()
            } else {
                None
            }
        };
        let interrupted = || {
            let error = wait_interrupted(table.name, "checked before its backup is deleted");
            self.with_resume_hint(error)
        };
        let deleting = async { Ok(Box::pin(deletion).await) };
        let refused = until_cancelled(table.cancel, interrupted, deleting).await?;

        // With the journal, a resumed copy can delete it.
        if refused.is_none() {
            self.journal.remove().await?;
        }

        Ok(BackupOutcome {
            deleted: self.deleted_afterwards && refused.is_none(),
            not_deleted: refused.map(|error| error.to_string()),
            name: self.backup.name,
            arn: self.backup.arn,
        })
    }

    /// Deletes the backup once the table is complete.
    async fn delete(
        &self,
        table: &TargetTable<'_>,
        summary: &RestoreSummary,
        expects_items: bool,
    ) -> Result<()> {
        if !summary.is_whole() {
            return Err(Error::failed("settings of the table could not be applied"));
        }

        let reader = table.store.reader();
        let found = reader.describe(table.name).await?;
        let found = found.filter(|found| found.is_active() && !found.is_being_restored());
        let Some(found) = found else {
            return Err(Error::failed("the table is not ACTIVE"));
        };

        if expects_items && !has_items(reader, &found, table.name).await? {
            return Err(Error::failed("the restored table contains no items"));
        }

        table
            .store
            .delete_backup(table.name, &self.backup.arn)
            .await
    }
}
