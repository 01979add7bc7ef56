//! The plan of a dump whose data is an on-demand backup.

use std::path::Path;

use super::DumpRequest;
use crate::backup::{DumpTarget, restart_hint};
use crate::error::{Error, Result};
use crate::ops::journal::{BackupJob, Job};
use crate::ops::on_demand_backup::choose_backup;
use crate::ops::planned_backup::PlannedBackup;
use crate::store::Reader;

/// Plans the backup of a dump.
///
/// # Errors
/// The name is not valid; the backup to use does not exist, or is of another table.
pub(crate) async fn plan_backup(
    store: &Reader,
    request: &DumpRequest,
    table: &str,
) -> Result<Option<PlannedBackup>> {
    let Some(route) = request.route.backup() else {
        return Ok(None);
    };

    let interrupted = interrupted_backup(&request.target, request.state_dir.as_deref(), table)?;
    let choosing = choose_backup(store, route, table, interrupted, request.resume);

    choosing.await.map(Some)
}

/// The record of an interrupted dump by backup of `table` into the same target.
fn interrupted_backup(
    target: &DumpTarget,
    state_dir: Option<&Path>,
    table: &str,
) -> Result<Option<BackupJob>> {
    let Some(journal) = target.journal(state_dir)? else {
        return Ok(None);
    };

    if journal.holder().is_some() {
        return Ok(None);
    }

    let restart = |error: Error| error.with_hint(restart_hint());
    let Some(content) = journal.read().map_err(restart)? else {
        return Ok(None);
    };

    match Job::parse(&content).map_err(restart)? {
        Job::Backup(job) if job.table == table => Ok(Some(*job)),
        _ => Ok(None),
    }
}
