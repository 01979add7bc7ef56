//! The segments of the table that a dump has to read.

use std::sync::Arc;

use super::plan::DumpPlan;
use crate::backup::{ScanProgress, SegmentProgress};
use crate::error::Result;
use crate::ops::scan_segments;
use crate::store::ScanRequest;

/// The scans of all unfinished segments, each from the position in `progress`.
///
/// # Errors
/// The journal contains an invalid key; the schema has no usable key.
pub(crate) fn remaining_scans(
    plan: &DumpPlan,
    progress: &ScanProgress,
) -> Result<Vec<ScanRequest>> {
    let whole = ScanRequest {
        table: plan.source.table.clone(),
        segment: 0,
        total_segments: plan.segments,
        consistent_read: plan.consistent_read,
        limit: None,
        start: None,
        selection: Arc::clone(&plan.selection),
        key: Arc::new(plan.schema.key_schema()?),
        index_keys: Arc::new(plan.schema.index_key_schemas()),
        previous_keys: Arc::default(),
    };

    let mut positions = progress.segments.clone();
    positions.resize(plan.segments as usize, SegmentProgress::NotBegun);

    scan_segments::remaining_scans(&whole, &positions)
}
