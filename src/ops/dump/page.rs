//! A page on its way from a Scan to the writer.

use crate::backup::SegmentProgress;
use crate::item::Items;
use crate::store::{PageMemoryPermit, WireBytes};

/// A page of items, its cost, and the position after it.
pub(crate) struct Page {
    pub(crate) items: Items,
    pub(crate) cost: PageCost,
    /// `None` if the limit dropped items of the page: no position may then count them as read.
    pub(crate) end: Option<PageEnd>,
    /// Memory of the page, which is freed with it.
    pub(crate) _memory_permit: PageMemoryPermit,
}

/// Cost of reading a page.
#[derive(Default)]
pub(crate) struct PageCost {
    pub(crate) read_units: f64,
    pub(crate) wire: WireBytes,
}

/// Position of a segment after a page.
pub(crate) struct PageEnd {
    pub(crate) segment: usize,
    pub(crate) position: SegmentProgress,
}
