//! The source of the items that are written to a table: a dump, or a live table.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::lanes::is_unmodified_scan;
use super::scanned_table::ScannedTable;
use crate::backup::Source;
use crate::error::Result;
use crate::schema::{TableBackup, TableSchema};

/// Where items come from. Its `Display` is the path of the dump, or names the table.
#[derive(Clone)]
pub(crate) enum ItemSource {
    Dump(Arc<Source>),
    Table(Arc<ScannedTable>),
}

impl ItemSource {
    /// The schema of the items' table, if it is known.
    pub(crate) fn schema(&self) -> Option<&TableSchema> {
        match self {
            Self::Dump(dump) => dump.schema(),
            Self::Table(table) => Some(&table.schema),
        }
    }

    /// The name of the items' table, if it is known.
    pub(crate) fn table_name(&self) -> Option<&str> {
        match self {
            Self::Dump(dump) => dump.table_name(),
            Self::Table(table) => Some(&table.location.table),
        }
    }

    /// The on-demand backup that contains the items of a dump, which has none itself.
    pub(crate) fn backup(&self) -> Option<&TableBackup> {
        match self {
            Self::Dump(dump) => dump.metadata()?.backup.as_ref(),
            Self::Table(_) => None,
        }
    }

    /// The path of a dump or file.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Dump(dump) => dump.path(),
            Self::Table(_) => None,
        }
    }

    /// Whether the items can be read only once.
    pub(crate) fn is_stream(&self) -> bool {
        match self {
            Self::Dump(dump) => dump.is_stream(),
            Self::Table(_) => false,
        }
    }

    /// Whether reading it again costs nothing.
    pub(crate) fn is_free_to_read(&self) -> bool {
        match self {
            Self::Dump(dump) => !dump.is_stream(),
            Self::Table(table) => table.location.local,
        }
    }

    /// Whether it is known to be a complete dump of an empty table. A live table is known to be empty only after it was read.
    pub(crate) fn is_of_empty_table(&self) -> bool {
        match self {
            Self::Dump(dump) => dump.is_of_empty_table(),
            Self::Table(_) => false,
        }
    }

    /// Whether it was empty, after this number of items was read to its end. A filter of the server may hide items.
    pub(crate) fn was_empty(&self, items_read: u64) -> bool {
        match self {
            Self::Dump(_) => false,
            Self::Table(table) => items_read == 0 && table.scan.selection.filter().is_none(),
        }
    }

    /// Whether the items are those of a Scan without a transform: they have different keys.
    pub(crate) fn is_unmodified_scan(&self) -> bool {
        match self {
            Self::Dump(dump) => is_unmodified_scan(dump),
            Self::Table(_) => true,
        }
    }

    /// Whether only the undamaged part of a dump is read.
    pub(crate) fn is_salvaged(&self) -> bool {
        match self {
            Self::Dump(dump) => dump.is_salvaged(),
            Self::Table(_) => false,
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
        }
    }

    /// Refuses a dump without items.
    ///
    /// # Errors
    /// See [`Source::check_has_items`].
    pub(crate) fn check_has_items(&self) -> Result<()> {
        match self {
            Self::Dump(dump) => dump.check_has_items(),
            Self::Table(_) => Ok(()),
        }
    }

    /// Refuses incomplete items of another tool unless `accepted`, which makes it a warning.
    ///
    /// # Errors
    /// See [`Source::accept_incomplete`].
    pub(crate) fn accept_incomplete(&self, accepted: bool) -> Result<Option<String>> {
        match self {
            Self::Dump(dump) => dump.accept_incomplete(accepted),
            Self::Table(_) => Ok(None),
        }
    }

    /// Why the items of another tool are incomplete, if they are.
    pub(crate) fn incompleteness(&self) -> Option<String> {
        match self {
            Self::Dump(dump) => dump.incompleteness(),
            Self::Table(_) => None,
        }
    }

    /// Whether it is a dump that is damaged so that its metadata is lost.
    pub(crate) fn lacks_metadata(&self) -> bool {
        match self {
            Self::Dump(dump) => dump.damage().is_some_and(|damage| damage.lacks_metadata),
            Self::Table(_) => false,
        }
    }

    /// Warnings about a readable source.
    pub(crate) fn warnings(&self) -> &[String] {
        match self {
            Self::Dump(dump) => dump.warnings(),
            Self::Table(table) => &table.warnings,
        }
    }

    /// For each index, the number of items that violate its key, if a dump has recorded them.
    pub(crate) fn index_key_violations(&self) -> Option<BTreeMap<String, u64>> {
        match self {
            Self::Dump(dump) => dump.metadata()?.index_key_violations.clone(),
            Self::Table(_) => None,
        }
    }

    /// Checks that a live table was not recreated while it was read.
    ///
    /// # Errors
    /// It was deleted or recreated.
    pub(crate) async fn check_not_recreated(&self) -> Result<()> {
        match self {
            Self::Dump(_) => Ok(()),
            Self::Table(table) => table.check_not_recreated().await,
        }
    }
}

impl fmt::Display for ItemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dump(dump) => dump.fmt(f),
            Self::Table(table) => table.fmt(f),
        }
    }
}
