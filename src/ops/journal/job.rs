//! The content of a journal.

use serde::{Deserialize, Serialize};

use super::backup_job::BackupJob;
use super::dump_job::DumpJob;
use super::restore_job::RestoreJob;
use crate::error::{Error, Result};

/// The job that a journal describes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Job {
    Dump(Box<DumpJob>),
    Restore(Box<RestoreJob>),
    Backup(Box<BackupJob>),
}

impl Job {
    /// The content of the file.
    pub(crate) fn to_content(&self) -> Result<Vec<u8>> {
        let mut content = serde_json::to_vec(self).map_err(|error| {
            Error::failed("the journal cannot be written as JSON").with_source(error)
        })?;
        content.push(b'\n');

        Ok(content)
    }

    /// Parses the content of the file.
    ///
    /// # Errors
    /// It is not a job of this version.
    pub(crate) fn parse(content: &[u8]) -> Result<Self> {
        let parsed = serde_json::from_slice(content);
        parsed.map_err(|error| Error::damaged("the journal is not valid").with_source(error))
    }
}
