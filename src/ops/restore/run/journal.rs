//! The journal of a running restore: written before the first change, updated, and removed at the end.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use tokio_util::sync::CancellationToken;

use super::table::wait_interrupted;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Reporter;
use crate::ops::identity::table_id;
use crate::ops::journal::{Job, Journal, RestoreJob, RestoreProgress, WrittenItems};
use crate::ops::restore::TableAction;
use crate::ops::restore::plan::boost::TemporaryBoost;
use crate::ops::restore::plan::{RestorePlan, RunState};
use crate::ops::restore::resume::table_journal::TableLocks;
use crate::ops::restore::summary::TableOutcome;
use crate::ops::source::ItemSource;
use crate::ops::{recreated, until_cancelled};
use crate::place::local::lock::host_name;
use crate::schema::TableSchema;
use crate::store::Writer;

/// Minimum time between two saves of the progress.
const SAVE_INTERVAL: Duration = Duration::from_millis(100);

impl RestorePlan {
    /// Locks the table against other restores, if this restore touches it. Writes nothing to the journal.
    pub(crate) fn open_journal(&mut self, reporter: &Arc<dyn Reporter>) -> Result<Journal> {
        let used = self.prepared.journal.as_ref();
        let locks = match used.filter(|_| !self.action.keeps()) {
            Some(journal) => journal.lock(reporter.as_ref())?,
            None => TableLocks::default(),
        };

        self.prepared.run_state.id_lock = locks.id;
        let job = Job::Restore(Box::new(self.restore_job()));
        let reporter = Arc::clone(reporter);

        Ok(Journal::new(job, locks.journal, SAVE_INTERVAL, reporter))
    }

    /// Locks the table that this restore has created: another restore may reach it through another endpoint.
    pub(crate) fn lock_created(&mut self, created: &TableSchema, journal: &Journal) -> Result<()> {
        if let Some(used) = &self.prepared.journal
            && journal.has_file()
        {
            self.prepared.run_state.id_lock = used.lock_created(created)?;
        }

        Ok(())
    }

    /// Records that the table is partly restored, and the boost that must be reverted. From now on, no later run resumes an earlier
    /// restore, unless this one does.
    pub(crate) async fn commit_start(
        &self,
        journal: &mut Journal,
        boost: Option<&TemporaryBoost>,
    ) -> Result<()> {
        let boost = boost
            .map(|boost| boost.record(&self.target.table))
            .transpose()?;
        let job = RestoreJob {
            boost,
            progress: self.progress_of_existing_table(),
            ..self.restore_job()
        };

        journal.commit(|current| *current = job).await
    }

    fn restore_job(&self) -> RestoreJob {
        let RunState {
            created,
            was_empty,
            table_id,
            previous,
            ..
        } = &self.prepared.run_state;

        let writes = match &self.prepared.identity {
            _ if !self.prepared.request.content.includes_items() => WrittenItems::Nothing,
            Some(identity) => WrittenItems::ItemsOf(Box::new(identity.clone())),
            None => WrittenItems::Unknown,
        };

        // The items of an unfinished restore remain, unless the table is replaced.
        let wrote = match previous {
            Some(previous) if !self.action.creates() => previous.wrote.clone().merged_with(writes),
            _ => writes,
        };

        RestoreJob {
            table: self.target.table.clone(),
            environment: self.target.environment.clone(),
            endpoint: self.target.endpoint.clone(),
            since: Utc::now(),
            source: self.source.path.clone(),
            created: *created,
            backup_arn: self.restored_from.as_ref().map(|it| it.arn().to_owned()),
            schema: self.recorded_schema(),
            was_empty: *was_empty,
            wrote,
            table_id: table_id.clone(),
            boost: None,
            progress: None,
        }
    }

    /// The schema of a table that no dump has.
    fn recorded_schema(&self) -> Option<String> {
        match &self.prepared.source {
            ItemSource::Backup(backup) => String::from_utf8(backup.schema.to_document()).ok(),
            ItemSource::Dump(_) | ItemSource::Table(_) => None,
        }
    }

    /// The value of the tag of an unfinished restore: when and where it started, and of which dump.
    pub(crate) fn restoring_tag(&self) -> String {
        let now = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut value = format!("{now} on {} from {}", host_name(), self.source.path);
        // The path of a live table names it.
        if let (Some(table), None) = (&self.source.table, &self.source.scan) {
            let _ = write!(value, " of {table}");
        }

        if let Some(finished) = self.source.finished_at {
            let finished = finished.to_rfc3339_opts(SecondsFormat::Secs, true);
            let _ = write!(value, " dumped {finished}");
        }

        value
    }

    /// The progress at the start, unless the table is yet to be created. If this run writes no items, that of an earlier one remains
    /// valid.
    fn progress_of_existing_table(&self) -> Option<RestoreProgress> {
        let state = &self.prepared.run_state;
        if self.action.creates() {
            None
        } else if self.prepared.request.content.includes_items() {
            state.start_progress.clone()
        } else {
            state.previous.as_ref()?.progress.clone()
        }
    }

    /// Restores the previous journal after an error of a run that has not changed anything. Returns the error.
    pub(crate) async fn restore_previous_journal(
        &self,
        journal: &mut Journal,
        error: Error,
    ) -> Error {
        if !journal.is_committed() {
            return error;
        }

        let restored = match &self.prepared.run_state.previous {
            // This run may have replaced the rejects files that the progress counts.
            Some(previous) => {
                let previous = RestoreJob {
                    progress: None,
                    ..previous.clone()
                };
                journal.commit(|job| *job = previous).await
            }
            None => journal.remove().await,
        };

        with_journal_error(error, restored)
    }

    /// Restores the previous journal if creating or replacing the table failed: a table that appears later is not ours. If it is unknown
    /// whether the request took effect, the journal stays. Returns the error.
    pub(crate) async fn creation_failed(
        &self,
        store: &Writer,
        journal: &mut Journal,
        error: Error,
        cancel: &CancellationToken,
    ) -> Error {
        if error.kind() == ErrorKind::Interrupted || !journal.is_committed() {
            return error;
        }

        let found = until_cancelled(
            cancel,
            || wait_interrupted(&self.target.table, "described"),
            store.reader().describe(&self.target.table),
        )
        .await;

        match found {
            Err(_) => error,
            Ok(Some(_)) => self.restore_previous_journal(journal, error).await,
            // The settings of the deleted table are only in the journal.
            Ok(None)
                if matches!(self.action, TableAction::Replace { .. })
                    && self.recorded_schema().is_some() =>
            {
                error
            }
            // Without a table, the previous journal is meaningless.
            Ok(None) => with_journal_error(error, journal.remove().await),
        }
    }

    /// Refuses a table that was recreated between the plan and the first write. With another key, items would overwrite each other.
    pub(crate) fn refuse_other_table(&self, table: &TableSchema) -> Result<()> {
        let found = table.key_schema()?;
        match &self.prepared.destination.key {
            Some(key) if *key != found => {
                let message = format!(
                    "table {} has another key now than when this restore was planned",
                    self.target.table
                );
                Err(Error::schema_mismatch(message)
                    .with_hint("run the same command again: it plans with the current state"))
            }
            _ if self.is_recreated(table) => Err(recreated::recreated_error(&self.target.table)),
            _ => Ok(()),
        }
    }

    /// Whether `table` has another id than when the restore was planned. A table that this run creates has a new id.
    fn is_recreated(&self, table: &TableSchema) -> bool {
        if self.action.creates() {
            return false;
        }

        let planned = self.prepared.run_state.table_id.as_ref();
        planned
            .zip(table_id(table))
            .is_some_and(|(planned, found)| *planned != found)
    }

    /// Removes the journal at the end. If the table lacks items (`is_incomplete`), the journal stays without the progress, so that the
    /// next run writes all items.
    pub(crate) async fn end_journal(
        &self,
        journal: &mut Journal,
        outcome: TableOutcome,
        is_incomplete: bool,
    ) -> Result<()> {
        if outcome == TableOutcome::Kept {
            Ok(())
        } else if is_incomplete {
            journal.commit(|job| job.progress = None).await
        } else if self.prepared.keeps_journal {
            Ok(())
        } else if self.prepared.run_state.is_of_set {
            journal.remove_unsynced().await
        } else {
            journal.remove().await
        }
    }
}

/// Adds a failure to update the journal to an error.
fn with_journal_error(error: Error, updated: Result<()>) -> Error {
    match updated {
        Ok(()) => error,
        Err(other) => error.with_details(vec![other.to_string()]),
    }
}
