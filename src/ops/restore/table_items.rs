//! Whether a table contains items. `ItemCount` does not tell: AWS updates it about every six hours.

use std::sync::Arc;

use crate::error::Result;
use crate::schema::TableSchema;
use crate::store::{Reader, ScanRequest};

/// Whether the table contains an item: consistent Scans of one item each, until an item or the end of the table. A table that is being
/// created cannot be scanned, and is empty.
pub(crate) async fn has_items(store: &Reader, existing: &TableSchema, table: &str) -> Result<bool> {
    if existing.description().table_status.as_deref() == Some("CREATING") {
        return Ok(false);
    }

    let mut request = ScanRequest {
        table: table.to_owned(),
        segment: 0,
        total_segments: 1,
        consistent_read: true,
        limit: Some(1),
        start: None,
        selection: Arc::default(),
        key: Arc::new(existing.key_schema()?),
        index_keys: Arc::default(),
        previous_keys: Arc::default(),
    };

    loop {
        let page = store.scan(&request).await?;
        if !page.items.is_empty() {
            return Ok(true);
        }

        // A page may be empty before the end.
        match page.next {
            Some(next) => request.start = Some(next),
            None => return Ok(false),
        }
    }
}
