//! Size probe for a table whose size DynamoDB does not know yet.
//!
//! DynamoDB updates the size about every six hours. Until then, a new table has 0 bytes. One page shows whether the table is small: then
//! it is scanned in one segment, which produces identical dumps. In a large table, one segment would take hours where many take minutes.
//! The page is discarded. It costs at most 128 read units.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::interrupted;
use super::plan::DumpPlan;
use crate::error::Result;
use crate::ops::chunk::ReadCost;
use crate::store::{Reader, ScanPage};

/// Number of segments for a table that is not small, but whose size is unknown.
const SEGMENTS_OF_LARGE_TABLE: u32 = 256;

/// Minimum text of a page that DynamoDB ended because it was full (1 MB of items), not because of a cap or filter.
const FULL_PAGE_BYTES: u64 = 512 * 1024;

/// Sets the number of segments of a plan if the size of the table is not known. Returns the cost of the probe.
///
/// # Errors
/// The table cannot be read; interrupted.
pub(crate) async fn probe_size(
    store: &Reader,
    plan: &mut DumpPlan,
    cancel: &CancellationToken,
) -> Result<ReadCost> {
    if !needs_probe(plan) {
        return Ok(ReadCost::default());
    }

    let table = (plan.source.table.as_str(), &plan.schema);
    let request = plan.request.scan.first_request(table, 1, Arc::default())?;

    let page = tokio::select! {
        page = store.scan(&request) => page?,
        () = cancel.cancelled() => return Err(interrupted()),
    };
    plan.segments = segments_for_page(&page);

    Ok(ReadCost {
        read_units: page.read_units,
        wire: page.wire,
    })
}

fn needs_probe(plan: &DumpPlan) -> bool {
    let is_segment_count_open =
        plan.request.scan.segments.is_none() && plan.limit.is_none() && !plan.resumes;

    // A local engine is fast enough with one segment.
    plan.bytes == 0
        && plan.items == 0
        && is_segment_count_open
        && plan.request.content.includes_items()
        && !plan.source.local
}

fn segments_for_page(first: &ScanPage) -> u32 {
    if first.next.is_some() && first.items.text_bytes() >= FULL_PAGE_BYTES {
        SEGMENTS_OF_LARGE_TABLE
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::item::split_items;
    use crate::store::PageMemoryPermit;
    use crate::store::{PageKey, WireBytes};

    fn page(bytes: usize, has_more: bool) -> ScanPage {
        let text = format!(r#"{{"Items":[{{"a":{{"S":"{}"}}}}]}}"#, "x".repeat(bytes));
        let next = has_more.then(|| PageKey::from_json(r#"{"a":{"S":"x"}}"#).unwrap());
        ScanPage {
            items: split_items(Bytes::from(text), &["Items"]).unwrap().items,
            keys: Arc::default(),
            index_key_violations: Vec::new(),
            next,
            read_units: 1.0,
            scanned: 1,
            wire: WireBytes::default(),
            memory_permit: PageMemoryPermit::default(),
        }
    }

    #[test]
    fn a_table_is_large_if_its_first_page_is_full_and_not_the_last() {
        assert_eq!(
            segments_for_page(&page(1_000_000, true)),
            SEGMENTS_OF_LARGE_TABLE
        );
        assert_eq!(segments_for_page(&page(1_000_000, false)), 1);

        // A cap makes pages small: then one segment is as fast as the cap allows.
        assert_eq!(segments_for_page(&page(10_000, true)), 1);
    }
}
