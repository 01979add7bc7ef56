//! Readiness and current activity of a described table, for waits after its creation.
//!
//! There are no timeouts here: the caller decides how long to wait.

use super::{TableSchema, vector_indexes};

const ACTIVE: &str = "ACTIVE";

impl TableSchema {
    /// Whether the table, every GSI and every vector index are `ACTIVE` and no index is being filled. An index without a status
    /// counts as active: engines that build indexes immediately do not report one.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.unfinished().is_empty()
    }

    /// Whether the table cannot become ready by itself: its KMS key must be made accessible again, or it must be unarchived.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        let status = self.description.table_status.as_deref();
        matches!(
            status,
            Some("ARCHIVED" | "ARCHIVING" | "INACCESSIBLE_ENCRYPTION_CREDENTIALS")
        )
    }

    /// Whether a GSI is being added to the table.
    #[must_use]
    pub(crate) fn is_filling_index(&self) -> bool {
        let table = self.description.table_status.as_deref();
        let mut indexes = self.description.global_secondary_indexes.iter();
        matches!(table, Some(ACTIVE | "UPDATING"))
            && indexes.any(|index| {
                index.index_status.as_deref() == Some("CREATING") || index.backfilling == Some(true)
            })
    }

    /// The current activity of the table, in one line: `index by-director is CREATING (backfilling)`; `table is ACTIVE` when ready.
    #[must_use]
    pub fn activity(&self) -> String {
        let unfinished = self.unfinished();
        if unfinished.is_empty() {
            format!("table is {ACTIVE}")
        } else {
            unfinished.join(", ")
        }
    }

    fn unfinished(&self) -> Vec<String> {
        let table = match self.description.table_status.as_deref() {
            Some(ACTIVE) => None,
            Some(status) => Some(format!("table is {status}")),
            // Unlike for a GSI, a missing status is not taken for `ACTIVE`.
            None => Some("table has no status".to_owned()),
        };

        let global = &self.description.global_secondary_indexes;
        let global = global.iter().filter_map(|index| {
            let status = index.index_status.as_deref();
            index_activity(&index.index_name, status, index.backfilling)
        });
        let vector = vector_indexes::states(self).into_iter();
        let vector = vector.filter_map(|index| {
            let status = index.index_status.as_deref();
            index_activity(&index.index_name, status, index.backfilling)
        });

        table.into_iter().chain(global).chain(vector).collect()
    }
}

fn index_activity(name: &str, status: Option<&str>, backfilling: Option<bool>) -> Option<String> {
    let status = status.unwrap_or(ACTIVE);
    // An index that is backfilling is not ready, even if its status is `ACTIVE`.
    match backfilling {
        Some(true) => Some(format!("index {name} is {status} (backfilling)")),
        _ => (status != ACTIVE).then(|| format!("index {name} is {status}")),
    }
}
