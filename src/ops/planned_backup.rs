//! The on-demand backup of a planned dump or copy.

use serde::Serialize;

use super::prices::Price;
use crate::place::JournalFile;
use crate::schema::TableBackup;

/// The backup of a planned dump or copy.
#[derive(Debug, Clone, Serialize)]
pub struct PlannedBackup {
    /// Its name.
    pub name: String,
    /// The backup, if it exists already.
    pub existing: Option<TableBackup>,
    /// Price of its storage for a month.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_per_month: Option<Price>,
    /// A backup that an interrupted run with the same target requested, and that this one does not use.
    pub interrupted: Option<String>,
    /// Whether it is deleted once the copy is complete.
    pub deleted_afterwards: bool,
    /// The journal of a copy. A dump has its own.
    #[serde(skip)]
    pub(crate) journal: Option<JournalFile>,
}

impl PlannedBackup {
    /// A backup that exists.
    pub(crate) fn existing(backup: TableBackup) -> Self {
        Self {
            name: backup.name.clone(),
            existing: Some(backup),
            storage_per_month: None,
            interrupted: None,
            deleted_afterwards: false,
            journal: None,
        }
    }
}
