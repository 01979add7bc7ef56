//! Lanes: the parts of a data file that are read in parallel, each with its position.

use serde::{Deserialize, Serialize};

use crate::backup::{Lane, LaneText, SegmentProgress, Source};
use crate::error::Result;
use crate::item::KeySchema;
use crate::limits::MemoryShare;

/// Maximum number of lanes of one dump. A partition takes 1,000 write units per second, so the items in flight should come from as
/// many partitions as possible.
const MAX_LANES: u64 = 64;

/// Memory for what is read of all lanes, in bytes, for items of average size. Tables that are restored in parallel share it.
const LANES_MEMORY: usize = 13 * 1024 * 1024;

/// The positions of the lanes of a source. The mark of each range of stored items is the offset below which every item is settled; in a damaged file, it is the number of
/// settled pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LanePositions {
    /// One lane: the items in file order.
    Whole { mark: u64 },
    /// Several lanes, each a range of the text.
    Lanes(Vec<LanePosition>),
    /// The segments of the Scan of a live table.
    Segments(Vec<SegmentProgress>),
}

/// A lane and its mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LanePosition {
    #[serde(flatten)]
    pub(crate) lane: Lane,
    pub(crate) mark: u64,
}

impl LanePositions {
    /// The lanes of `source` at their beginning. There are several only if the order of the items cannot matter: the source is an
    /// unmodified Scan with the same key, so all keys are different, and the transform changes no item (`is_changed`).
    pub(crate) fn at_start(
        source: &Source,
        key: &KeySchema,
        is_changed: bool,
        memory: MemoryShare,
    ) -> Result<Self> {
        let has_key = source
            .schema()
            .and_then(|schema| schema.key_schema().ok())
            .is_some_and(|own| own == *key);
        let may_reorder = is_unmodified_scan(source) && has_key && !is_changed;
        let Some(text) = source.lane_text().filter(|_| may_reorder) else {
            return Ok(Self::Whole { mark: 0 });
        };

        let lanes = text.lanes(max_lanes(source, &text, memory))?;

        Ok(Self::Lanes(
            lanes
                .into_iter()
                .map(|lane| LanePosition {
                    lane,
                    mark: lane.start,
                })
                .collect(),
        ))
    }

    /// The marks of the lanes of stored items.
    pub(crate) fn marks(&self) -> Vec<u64> {
        match self {
            Self::Whole { mark } => vec![*mark],
            Self::Lanes(lanes) => lanes.iter().map(|lane| lane.mark).collect(),
            Self::Segments(_) => Vec::new(),
        }
    }

    /// Sets the marks of the lanes of stored items.
    pub(crate) fn set_marks(&mut self, marks: impl Iterator<Item = u64>) {
        match self {
            Self::Whole { mark } => marks.for_each(|new| *mark = new),
            Self::Lanes(lanes) => {
                lanes
                    .iter_mut()
                    .zip(marks)
                    .for_each(|(lane, new)| lane.mark = new);
            }
            Self::Segments(_) => {}
        }
    }

    /// The segments of the Scan of a live table.
    pub(crate) fn segments(&self) -> &[SegmentProgress] {
        match self {
            Self::Segments(segments) => segments,
            Self::Whole { .. } | Self::Lanes(_) => &[],
        }
    }
}

/// Maximum number of lanes within the memory for them: each holds what its reader reads at a time, and an item that begins in it.
fn max_lanes(source: &Source, text: &LaneText, memory: MemoryShare) -> u64 {
    let item_bytes = source
        .metadata()
        .and_then(|metadata| metadata.data_bytes.checked_div(metadata.items))
        .unwrap_or(0);

    let lane_bytes = item_bytes
        .saturating_mul(2)
        .saturating_add(text.reader_bytes());

    (memory.of(LANES_MEMORY) as u64 / lane_bytes).clamp(1, MAX_LANES)
}

/// Whether `source` was written by a Scan without a transform: its items then have different keys.
pub(crate) fn is_unmodified_scan(source: &Source) -> bool {
    source
        .metadata()
        .is_some_and(|metadata| metadata.route == "scan" && !metadata.transformed)
}
