//! The options of a Scan, for every command that copies items from a table.

use std::sync::Arc;

use crate::error::Result;
use crate::ops::cap::Cap;
use crate::schema::TableSchema;
use crate::store::{ScanRequest, Selection};

/// Which items of a table are read, and how.
#[derive(Debug, Clone, Default)]
pub struct ScanOptions {
    /// Number of parallel scan segments; `None` chooses it by the size of the table.
    pub segments: Option<u32>,
    /// Maximum number of items; with a transform, of items after it.
    pub limit: Option<u64>,
    /// Use strongly consistent reads, at twice the read units.
    pub consistent_read: bool,
    /// Cap on read units per second.
    pub max_read_units: Option<Cap>,
    /// Filter and projection, which DynamoDB evaluates.
    pub selection: Selection,
}

impl ScanOptions {
    /// The filter and projection for a table. A projection always includes the key.
    ///
    /// # Errors
    /// The schema has no usable key.
    pub(crate) fn selection_of(&self, schema: &TableSchema) -> Result<Arc<Selection>> {
        let selection = self.selection.clone();
        Ok(Arc::new(if selection.is_empty() {
            selection
        } else {
            selection.with_key(&schema.key_schema()?)
        }))
    }

    /// The Scan of a table from the beginning of its first segment.
    ///
    /// # Errors
    /// The schema has no usable key.
    pub(crate) fn first_request(
        &self,
        (table, schema): (&str, &TableSchema),
        segments: u32,
        selection: Arc<Selection>,
    ) -> Result<ScanRequest> {
        Ok(ScanRequest {
            table: table.to_owned(),
            segment: 0,
            total_segments: segments,
            consistent_read: self.consistent_read,
            limit: None,
            start: None,
            selection,
            key: Arc::new(schema.key_schema()?),
            index_keys: Arc::default(),
            previous_keys: Arc::default(),
        })
    }
}
