//! What DynamoDB restores a table from.

use crate::ops::journal::RestoreJob;
use crate::ops::planned_backup::PlannedBackup;
use crate::ops::restore::RestoreRequest;
use crate::schema::{TableBackup, TableOrigin, TableSchema};

/// What DynamoDB restores a table from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    /// A backup or point in time that exists.
    Known(TableOrigin),
    /// The backup of a copy, which may not exist yet.
    Planned(Box<PlannedBackup>),
}

impl Origin {
    /// The origin, if it exists.
    pub(crate) fn known(&self) -> Option<TableOrigin> {
        match self {
            Self::Known(origin) => Some(origin.clone()),
            Self::Planned(planned) => planned.existing.as_ref().map(TableBackup::origin),
        }
    }

    /// The backup of a copy.
    pub(crate) fn planned(&self) -> Option<&PlannedBackup> {
        match self {
            Self::Known(_) => None,
            Self::Planned(planned) => Some(planned),
        }
    }

    /// Whether DynamoDB has restored this table from the origin, or is restoring it, for an interrupted run, perhaps on another machine.
    /// There, nothing tells that a restored table lacks settings, except for the backup that a resumed copy names.
    pub(crate) fn is_continued(
        &self,
        request: &RestoreRequest,
        existing: &TableSchema,
        unfinished: Option<&RestoreJob>,
    ) -> bool {
        let Some(origin) = self.known() else {
            return false;
        };

        let is_recorded = unfinished
            .is_some_and(|job| job.created && job.backup_arn.as_deref() == Some(origin.arn()));
        let is_unfinished =
            is_recorded || existing.is_being_restored() || (request.is_copy() && request.resume);

        is_unfinished
            && existing.is_restored_from(origin.arn())
            && !existing.is_restored_from_other(&origin)
    }
}
