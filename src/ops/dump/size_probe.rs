//! A first look at a table of which DynamoDB does not know the size yet. It counts about every six hours, and until then a table that
//! was just filled is said to have 0 bytes. One page tells whether it is small: then it is read in one segment, and its dump is the
//! same each time; or not: one segment would take hours where many take minutes. The page is not kept; it is 128 units at most.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::interrupted;
use super::plan::DumpPlan;
use crate::error::Result;
use crate::store::{ReadStore, ScanPage, ScanRequest, WireBytes};

/// Segments of a table of which is only known that it is not small.
const SEGMENTS: u32 = 256;

/// Bytes of text of a page that DynamoDB has cut off because it was full (at 1 MB of items), not because of a cap or a filter.
const FULL: u64 = 512 * 1024;

/// Chooses the segments anew where the size is not known. Returns the read units that it took and the bytes that
/// travelled.
///
/// # Errors
/// The table cannot be read; interrupted.
pub(crate) async fn look(
    store: &impl ReadStore,
    plan: &mut DumpPlan,
    cancel: &CancellationToken,
) -> Result<(f64, WireBytes)> {
    if !is_of_unknown_size(plan) {
        return Ok((0.0, WireBytes::default()));
    }

    let request = ScanRequest {
        table: plan.source.table.clone(),
        segment: 0,
        total_segments: 1,
        consistent_read: plan.consistent_read,
        limit: None,
        start: None,
        selection: Arc::default(),
        key: Arc::new(plan.schema.key_schema()?),
        previous_keys: Arc::default(),
    };

    let page = tokio::select! {
        page = store.scan(&request) => page?,
        () = cancel.cancelled() => return Err(interrupted()),
    };
    plan.segments = segments(&page);

    Ok((page.read_units, page.wire))
}

fn is_of_unknown_size(plan: &DumpPlan) -> bool {
    let is_free = plan.request.segments.is_none() && plan.limit.is_none() && !plan.resumes;
    // An engine on this machine is fast enough in one segment.
    plan.bytes == 0
        && plan.items == 0
        && is_free
        && plan.request.content.includes_items()
        && !plan.source.local
}

fn segments(first: &ScanPage) -> u32 {
    if first.next.is_some() && first.items.text_bytes() >= FULL {
        SEGMENTS
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::item::split_items;
    use crate::store::PageKey;
    use crate::store::PageMemoryPermit;

    fn page(bytes: usize, has_more: bool) -> ScanPage {
        let text = format!(r#"{{"Items":[{{"a":{{"S":"{}"}}}}]}}"#, "x".repeat(bytes));
        let next = has_more.then(|| PageKey::from_json(r#"{"a":{"S":"x"}}"#).unwrap());
        ScanPage {
            items: split_items(Bytes::from(text), &["Items"]).unwrap().items,
            keys: Arc::default(),
            next,
            read_units: 1.0,
            scanned: 1,
            wire: WireBytes::default(),
            memory_permit: PageMemoryPermit::default(),
        }
    }

    #[test]
    fn only_a_full_page_with_more_behind_it_is_of_a_table_that_is_not_small() {
        assert_eq!(segments(&page(1_000_000, true)), SEGMENTS);
        assert_eq!(segments(&page(1_000_000, false)), 1);

        // A cap makes pages small: then one segment is as fast as the cap allows.
        assert_eq!(segments(&page(10_000, true)), 1);
    }
}
