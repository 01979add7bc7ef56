//! The TTL of the table after the restore, which may delete restored items.

use chrono::Utc;

use crate::item::Expiry;
use crate::ops::restore::RestoreRequest;

/// TTL of the target table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableTtl {
    /// The attribute that contains the time.
    pub(crate) attribute: String,
    /// Whether the restore enables it.
    pub(crate) is_new: bool,
}

impl TableTtl {
    /// The rule by which items expire. A transform may change the attribute, so that the items of the dump do not tell.
    pub(crate) fn expiry(&self, request: &RestoreRequest) -> Option<Expiry> {
        let now = Utc::now();
        let is_unchanged = request.transform.is_empty();
        is_unchanged.then(|| Expiry::new(self.attribute.clone(), now.timestamp()))
    }
}
