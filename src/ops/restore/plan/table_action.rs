//! The planned action on the target table.

use serde::Serialize;

/// The planned action on the target table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum TableAction {
    /// It does not exist and will be created.
    Create,
    /// It is being deleted, and will be created after that.
    CreateWhenDeleted,
    /// It exists, and items will be written into it.
    Add {
        /// Its approximate item count, from `DescribeTable`.
        items: u64,
    },
    /// It will be deleted and created from the schema.
    Replace {
        /// Its approximate item count, from `DescribeTable`.
        items: u64,
    },
    /// It exists and will not be touched.
    Keep {
        /// Why.
        reason: KeepReason,
    },
}

/// Reason for not touching a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeepReason {
    /// It exists.
    Exists,
    /// It contains items.
    HasItems,
}

impl TableAction {
    /// Whether the table will not be touched.
    #[must_use]
    pub fn keeps(&self) -> bool {
        matches!(self, Self::Keep { .. })
    }

    pub(crate) fn keep_reason(&self) -> Option<KeepReason> {
        match self {
            Self::Keep { reason } => Some(*reason),
            _ => None,
        }
    }

    /// Whether the restore creates the table.
    pub(crate) fn creates(&self) -> bool {
        matches!(
            self,
            Self::Create | Self::CreateWhenDeleted | Self::Replace { .. }
        )
    }
}
