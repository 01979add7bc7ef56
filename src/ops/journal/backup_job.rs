//! The journal of a dump whose data is an on-demand backup.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// A backup that was requested for a dump.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BackupJob {
    /// Name of the table.
    pub(crate) table: String,
    /// Name of the backup.
    pub(crate) name: String,
    /// When it was requested, before the request.
    pub(crate) requested_at: DateTime<Utc>,
    /// Its ARN; `None` until the response.
    pub(crate) arn: Option<String>,
}
