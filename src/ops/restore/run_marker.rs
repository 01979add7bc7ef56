//! The marker of a running restore: written before the first change, updated, and removed at the end.

use tokio_util::sync::CancellationToken;

use super::boost::TemporaryBoost;
use super::identity::table_id;
use super::marker::{MarkerContents, MarkerFile, WrittenItems};
use super::plan::{MarkerState, RestorePlan};
use super::summary::TableOutcome;
use super::table::wait_interrupted;
use super::table_action::TableAction;
use crate::error::{Error, ErrorKind, Result};
use crate::ops::{recreated, until_cancelled};
use crate::place::FileLock;
use crate::schema::TableSchema;
use crate::store::Writer;

impl RestorePlan {
    /// Locks the table against other restores, if there is a marker.
    pub(crate) fn lock(&self) -> Result<Option<FileLock>> {
        self.used_marker().map(MarkerFile::lock).transpose()
    }

    /// Marks the table as partly restored. From now on, no later run resumes at a previous checkpoint, unless this one does.
    pub(crate) fn start_marker(&mut self, boost: Option<&TemporaryBoost>) -> Result<()> {
        // The checkpoint first: with the new marker, it would describe another restore.
        self.remove_old_checkpoint()?;
        self.write_marker(boost)?;
        self.prepared.marker_state.is_written = true;

        Ok(())
    }

    /// Writes the marker, with the boost that must be reverted.
    pub(crate) fn write_marker(&self, boost: Option<&TemporaryBoost>) -> Result<()> {
        let Some(marker) = self.used_marker() else {
            return Ok(());
        };

        let boost = boost
            .map(|boost| boost.record(&self.target.table))
            .transpose()?;
        let MarkerState {
            created,
            table_id,
            previous,
            ..
        } = &self.prepared.marker_state;

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

        marker.write(
            &self.target,
            &MarkerContents {
                source: self.source.path.clone(),
                created: *created,
                wrote,
                table_id: table_id.clone(),
                boost,
            },
        )
    }

    /// Restores the previous marker after an error of a run that has not changed anything. Returns the error.
    pub(crate) fn restore_previous_marker(&self, error: Error) -> Error {
        let Some(marker) = self.written_marker() else {
            return error;
        };

        let restored = match &self.prepared.marker_state.previous {
            Some(previous) => marker
                .remove_checkpoint()
                .and_then(|()| marker.write(&self.target, previous)),
            None => marker.remove(),
        };

        with_marker_error(error, restored)
    }

    /// Restores the previous marker if creating or replacing the table failed: a table that appears later is not ours. If it is unknown
    /// whether the request took effect, the marker stays. Returns the error.
    pub(crate) async fn creation_failed(
        &self,
        store: &Writer,
        error: Error,
        cancel: &CancellationToken,
    ) -> Error {
        if error.kind() == ErrorKind::Interrupted {
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
            Ok(Some(_)) => self.restore_previous_marker(error),
            // Without a table, the previous marker is meaningless.
            Ok(None) => match self.written_marker() {
                Some(marker) => with_marker_error(error, marker.remove()),
                None => error,
            },
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
                    .with_hint("run the same command again: it looks anew at what is there"))
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

        let planned = self.prepared.marker_state.table_id.as_ref();
        planned
            .zip(table_id(table))
            .is_some_and(|(planned, found)| *planned != found)
    }

    /// Removes the checkpoint of another restore, unless this run resumes at it or writes no items.
    fn remove_old_checkpoint(&self) -> Result<()> {
        match self.used_marker() {
            Some(marker)
                if self.prepared.request.content.includes_items() && self.resumes.is_none() =>
            {
                marker.remove_checkpoint()
            }
            _ => Ok(()),
        }
    }

    /// Removes the marker at the end. If the table lacks items (`is_incomplete`), the marker stays and the checkpoint is removed, so that
    /// the next run writes all items.
    pub(crate) fn end_marker(&self, outcome: TableOutcome, is_incomplete: bool) -> Result<()> {
        match &self.prepared.marker {
            Some(marker) if outcome != TableOutcome::Kept => {
                if is_incomplete {
                    marker.remove_checkpoint()
                } else if self.prepared.keeps_marker {
                    Ok(())
                } else {
                    marker.remove()
                }
            }
            _ => Ok(()),
        }
    }

    /// The marker, if this restore touches the table.
    fn used_marker(&self) -> Option<&MarkerFile> {
        self.prepared
            .marker
            .as_ref()
            .filter(|_| self.action != TableAction::Keep)
    }

    /// The marker, if this run has written it.
    fn written_marker(&self) -> Option<&MarkerFile> {
        self.prepared
            .marker
            .as_ref()
            .filter(|_| self.prepared.marker_state.is_written)
    }
}

/// Adds a failure to update the marker to an error.
fn with_marker_error(error: Error, updated: Result<()>) -> Error {
    match updated {
        Ok(()) => error,
        Err(other) => error.with_details(vec![other.to_string()]),
    }
}
