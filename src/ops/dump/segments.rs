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
    let table = (plan.source.table.as_str(), &plan.schema);
    let options = &plan.request.scan;
    let whole = ScanRequest {
        index_keys: Arc::new(plan.schema.index_key_schemas()),
        ..options.first_request(table, plan.segments, Arc::clone(&plan.selection))?
    };

    let mut positions = progress.segments.clone();
    positions.resize(plan.segments as usize, SegmentProgress::NotBegun);

    scan_segments::remaining_scans(&whole, &positions)
}
