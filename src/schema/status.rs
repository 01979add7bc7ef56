//! Readiness and current activity of a described table, for waits after its creation.
//!
//! There are no timeouts here: the caller decides how long to wait.

use super::TableSchema;
use super::description::GlobalIndex;

const ACTIVE: &str = "ACTIVE";

impl TableSchema {
    /// Whether the table and every GSI are `ACTIVE` and no GSI is being filled. A GSI without a status counts as active:
    /// engines that build indexes immediately do not report one.
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

        table
            .into_iter()
            .chain(
                self.description
                    .global_secondary_indexes
                    .iter()
                    .filter_map(index_activity),
            )
            .collect()
    }
}

fn index_activity(index: &GlobalIndex) -> Option<String> {
    let status = index.index_status.as_deref().unwrap_or(ACTIVE);
    let name = &index.index_name;
    // A GSI that is being filled is not ready, whatever its status.
    match index.backfilling {
        Some(true) => Some(format!("index {name} is {status} (backfilling)")),
        _ => (status != ACTIVE).then(|| format!("index {name} is {status}")),
    }
}
