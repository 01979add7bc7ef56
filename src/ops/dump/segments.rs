//! The segments of the table that a dump has to read.

use std::sync::Arc;

use super::plan::DumpPlan;
use crate::backup::{ScanProgress, SegmentProgress};
use crate::error::{Error, Result};
use crate::store::{PageKey, ScanRequest};

/// The scans of all unfinished segments, each from the position in `progress`.
///
/// # Errors
/// The journal contains an invalid key; the schema has no usable key.
pub(crate) fn remaining_scans(
    plan: &DumpPlan,
    progress: &ScanProgress,
) -> Result<Vec<ScanRequest>> {
    let mut requests = Vec::new();
    let key = Arc::new(plan.schema.key_schema()?);
    let index_keys = Arc::new(plan.schema.index_key_schemas());
    for segment in 0..plan.segments {
        let start = match progress.segments.get(segment as usize) {
            Some(SegmentProgress::Done) => continue,
            Some(SegmentProgress::Next(key)) => {
                let key = PageKey::from_json(key);
                Some(key.ok_or_else(|| Error::damaged("the journal contains an invalid key"))?)
            }
            Some(SegmentProgress::NotBegun) | None => None,
        };

        requests.push(ScanRequest {
            table: plan.source.table.clone(),
            segment,
            total_segments: plan.segments,
            consistent_read: plan.consistent_read,
            limit: None,
            start,
            selection: Arc::clone(&plan.selection),
            key: Arc::clone(&key),
            index_keys: Arc::clone(&index_keys),
            previous_keys: Arc::default(),
        });
    }

    Ok(requests)
}
