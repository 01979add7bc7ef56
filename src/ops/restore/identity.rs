//! Identities: of a restore, so that only the same restore resumes it, and of a table, to detect that it was recreated.

use serde::{Deserialize, Serialize};

use super::{OnConflict, RestoreRequest};
use crate::backup::Source;
use crate::schema::TableSchema;

/// The source of a restore and the options that decide which items it writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RestoreIdentity {
    /// The source as messages name it.
    pub(crate) source: String,
    pub(crate) data_sha256: String,
    pub(crate) on_conflict: OnConflict,
    pub(crate) salvage: bool,
    /// Identity of the transform; `None` without one.
    pub(crate) transform: Option<String>,
}

impl RestoreIdentity {
    pub(crate) fn new(source: &Source, request: &RestoreRequest, data_sha256: String) -> Self {
        Self {
            source: source.to_string(),
            data_sha256,
            on_conflict: request.on_conflict,
            salvage: source.is_salvaged(),
            transform: request.transform.identity(),
        }
    }

    /// The reason why `self` writes other items than `other`; `None` if both write the same items.
    pub(crate) fn difference_from(&self, other: &Self) -> Option<String> {
        if self.data_sha256 != other.data_sha256 {
            return Some(format!(
                "it was of another dump, or of other contents: {}",
                self.source
            ));
        }

        if self.salvage != other.salvage {
            return Some(format!(
                "it was run {} --salvage",
                if self.salvage { "with" } else { "without" }
            ));
        }

        (self.transform != other.transform).then(|| "it was run with another transform".to_owned())
    }
}

/// The table's id, or its creation time on endpoints without ids. A recreated table has another one.
pub(crate) fn table_id(table: &TableSchema) -> Option<String> {
    let description = table.description();
    description.table_id.clone().or_else(|| {
        description
            .creation_date_time
            .as_ref()
            .map(ToString::to_string)
    })
}
