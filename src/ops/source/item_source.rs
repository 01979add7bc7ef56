//! The source of the items that are written to a table: a dump, a live table, or a backup that DynamoDB restores itself.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::lanes::is_unmodified_scan;
use super::managed_backup::{ManagedBackup, SettingsOrigin};
use super::scanned_table::ScannedTable;
use crate::backup::Source;
use crate::error::{Error, Result};
use crate::ops::planned_backup::PlannedBackup;
use crate::schema::{TableOrigin, TableSchema};

/// Where items come from. Its `Display` is the path of the dump, or names the table.
#[derive(Clone)]
pub(crate) enum ItemSource {
    Dump(Arc<Source>),
    Table(Arc<ScannedTable>),
    Backup(Arc<ManagedBackup>),
}

impl ItemSource {
    /// The schema of the items' table, if it is known.
    pub(crate) fn schema(&self) -> Option<&TableSchema> {
        match self {
            Self::Dump(dump) => dump.schema(),
            Self::Table(table) => Some(&table.schema),
            Self::Backup(backup) => Some(&backup.schema),
        }
    }

    /// The name of the items' table, if it is known.
    pub(crate) fn table_name(&self) -> Option<&str> {
        match self {
            Self::Dump(dump) => dump.table_name(),
            Self::Table(table) => Some(&table.location.table),
            Self::Backup(backup) => Some(&backup.table),
        }
    }

    /// What DynamoDB restores the table from, together with its items: a dump of a backup has none itself.
    pub(crate) fn origin(&self) -> Option<TableOrigin> {
        match self {
            Self::Dump(dump) => {
                let backup = dump.metadata()?.backup.as_ref()?;
                let arn = backup.arn.clone();
                Some(TableOrigin::Backup { arn })
            }
            Self::Table(_) => None,
            Self::Backup(backup) => Some(backup.origin.clone()),
        }
    }

    /// The backup from which DynamoDB restores the items of a live table, if they are not read.
    pub(crate) fn planned_backup(&self) -> Option<&PlannedBackup> {
        match self {
            Self::Table(table) => table.backup.as_ref(),
            Self::Dump(_) | Self::Backup(_) => None,
        }
    }

    /// Whether the types of key attributes are not known before the table is restored.
    pub(crate) fn has_guessed_key_types(&self) -> bool {
        match self {
            Self::Dump(_) | Self::Table(_) => false,
            Self::Backup(backup) => backup.settings_origin == SettingsOrigin::Backup,
        }
    }

    /// The error of whoever reads the items of a backup: only DynamoDB can.
    pub(crate) fn unreadable_items() -> Error {
        Error::failed("the items of a backup cannot be read: DynamoDB restores them")
    }

    /// The path of a dump or file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Dump(dump) => dump.path(),
            Self::Table(_) | Self::Backup(_) => None,
        }
    }

    /// Whether the items can be read only once.
    pub(crate) fn is_stream(&self) -> bool {
        match self {
            Self::Dump(dump) => dump.is_stream(),
            Self::Table(_) | Self::Backup(_) => false,
        }
    }

    /// Whether reading it again costs nothing.
    pub(crate) fn is_free_to_read(&self) -> bool {
        match self {
            Self::Dump(dump) => !dump.is_stream(),
            Self::Table(table) => table.location.local,
            Self::Backup(_) => false,
        }
    }

    /// Whether it is known to be a complete dump of an empty table. A live table is known to be empty only after it was read.
    pub(crate) fn is_of_empty_table(&self) -> bool {
        match self {
            Self::Dump(dump) => dump.is_of_empty_table(),
            Self::Table(_) | Self::Backup(_) => false,
        }
    }

    /// Whether it was empty, after this number of items was read to its end. A filter of the server may hide items.
    pub(crate) fn was_empty(&self, items_read: u64) -> bool {
        match self {
            Self::Dump(_) | Self::Backup(_) => false,
            Self::Table(table) => {
                items_read == 0 && table.scan.options.selection.filter().is_none()
            }
        }
    }

    /// Whether the items are those of a Scan without a transform: they have different keys.
    pub(crate) fn is_unmodified_scan(&self) -> bool {
        match self {
            Self::Dump(dump) => is_unmodified_scan(dump),
            Self::Table(_) | Self::Backup(_) => true,
        }
    }

    /// Whether only the undamaged part of a dump is read.
    pub(crate) fn is_salvaged(&self) -> bool {
        match self {
            Self::Dump(dump) => dump.is_salvaged(),
            Self::Table(_) | Self::Backup(_) => false,
        }
    }

    /// SHA-256 of what identifies the items: the data file of a dump, or the table and the items that are read of it. `None` for a stream.
    ///
    /// # Errors
    /// An I/O error.
    pub(crate) fn content_sha256(&self) -> Result<Option<String>> {
        match self {
            Self::Dump(dump) => dump.data_sha256(),
            Self::Table(table) => Ok(Some(table.content_sha256())),
            Self::Backup(_) => Ok(None),
        }
    }

    /// Refuses a dump without items.
    ///
    /// # Errors
    /// See [`Source::check_has_items`].
    pub(crate) fn check_has_items(&self) -> Result<()> {
        match self {
            Self::Dump(dump) => dump.check_has_items(),
            Self::Table(_) | Self::Backup(_) => Ok(()),
        }
    }

    /// Refuses incomplete items of another tool unless `accepted`, which makes it a warning.
    ///
    /// # Errors
    /// See [`Source::accept_incomplete`].
    pub(crate) fn accept_incomplete(&self, accepted: bool) -> Result<Option<String>> {
        match self {
            Self::Dump(dump) => dump.accept_incomplete(accepted),
            Self::Table(_) | Self::Backup(_) => Ok(None),
        }
    }

    /// Why the items of another tool are incomplete, if they are.
    pub(crate) fn incompleteness(&self) -> Option<String> {
        match self {
            Self::Dump(dump) => dump.incompleteness(),
            Self::Table(_) | Self::Backup(_) => None,
        }
    }

    /// Whether it is a dump that is damaged so that its metadata is lost.
    pub(crate) fn lacks_metadata(&self) -> bool {
        match self {
            Self::Dump(dump) => dump.damage().is_some_and(|damage| damage.lacks_metadata),
            Self::Table(_) | Self::Backup(_) => false,
        }
    }

    /// Warnings about a readable source.
    pub(crate) fn warnings(&self) -> &[String] {
        match self {
            Self::Dump(dump) => dump.warnings(),
            Self::Table(table) => &table.warnings,
            Self::Backup(backup) => &backup.warnings,
        }
    }

    /// For each index, the number of items that violate its key, if a dump has recorded them.
    pub(crate) fn index_key_violations(&self) -> Option<BTreeMap<String, u64>> {
        match self {
            Self::Dump(dump) => dump.metadata()?.index_key_violations.clone(),
            Self::Table(_) | Self::Backup(_) => None,
        }
    }

    /// Checks that a live table was not recreated while it was read.
    ///
    /// # Errors
    /// It was deleted or recreated.
    pub(crate) async fn check_not_recreated(&self) -> Result<()> {
        match self {
            Self::Dump(_) | Self::Backup(_) => Ok(()),
            Self::Table(table) => table.check_not_recreated().await,
        }
    }
}

impl fmt::Display for ItemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dump(dump) => dump.fmt(f),
            Self::Table(table) => table.fmt(f),
            Self::Backup(backup) => backup.fmt(f),
        }
    }
}
