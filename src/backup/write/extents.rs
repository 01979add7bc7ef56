//! Records which parts of a data file contain items of which segment.

use crate::backup::index::{BoundedIndex, Extent};

/// Minimum size of an extent and of a frame that is ended for one: smaller ones would make the index long and the compression poor.
const MIN_BYTES: u64 = 32 * 1024;

/// The extents of a data file that is being written.
#[derive(Debug)]
pub(crate) struct ExtentRecorder {
    closed: BoundedIndex<Extent>,
    open: Option<OpenExtent>,
}

/// The extent that is being written.
#[derive(Debug, Clone, Copy)]
struct OpenExtent {
    segment: u64,
    start: u64,
}

impl ExtentRecorder {
    pub(crate) fn new() -> Self {
        Self {
            closed: BoundedIndex::new(Vec::new()),
            open: None,
        }
    }

    /// Continues the extents of an interrupted dump with this length. `None` if they do not cover exactly this length.
    pub(crate) fn resume(extents: Vec<Extent>, length: u64) -> Option<Self> {
        if extents.is_empty() {
            return Some(Self::new());
        }

        let covered = extents
            .iter()
            .try_fold(0_u64, |sum, extent| sum.checked_add(extent.bytes));
        if covered != Some(length) {
            return None;
        }

        let mut closed = BoundedIndex::new(extents);
        let open = closed.pop().map(|last| OpenExtent {
            segment: last.segment,
            start: length - last.bytes,
        });

        Some(Self { closed, open })
    }

    /// Whether an item of this segment at `offset` should begin an extent.
    pub(crate) fn needs_extent(&self, segment: u64, offset: u64) -> bool {
        self.open.is_none_or(|open| {
            open.segment != segment && offset.saturating_sub(open.start) >= MIN_BYTES
        })
    }

    /// Whether a frame of this size may be ended because an extent begins.
    pub(crate) fn may_end_frame(bytes: usize) -> bool {
        bytes as u64 >= MIN_BYTES
    }

    /// Begins an extent at `offset`.
    pub(crate) fn begin(&mut self, segment: u64, offset: u64) {
        let start = match self.open {
            // The first one includes what precedes the items.
            None => 0,
            Some(_) => offset,
        };

        if let Some(extent) = self.open_until(offset) {
            self.closed.push(extent);
        }

        self.open = Some(OpenExtent { segment, start });
    }

    /// The extents of a file that ends at `end`.
    pub(crate) fn until(&self, end: u64) -> Vec<Extent> {
        let mut extents = self.closed.entries().to_vec();
        extents.extend(self.open_until(end));

        extents
    }

    fn open_until(&self, end: u64) -> Option<Extent> {
        self.open.map(|OpenExtent { segment, start }| Extent {
            segment,
            bytes: end - start,
        })
    }
}
