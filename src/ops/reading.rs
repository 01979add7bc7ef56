//! How a live table is read: in how many segments, and how gently.

use crate::error::Result;
use crate::ops::cap::{Cap, Direction};
use crate::ops::place::Place;
use crate::schema::{Billing, TableSchema};

/// Bytes of table per segment, and the size up to which one segment is used: an unchanged small table then gives the same
/// bytes again, so that a dump kept in git shows a true diff.
const BYTES_PER_SEGMENT: u64 = 64 * 1024 * 1024;

/// Segments chosen without being asked for. Each holds about one page of 1 MB in memory.
const MOST_SEGMENTS: u64 = 8;

/// Segments of a Scan of a table with so many bytes.
pub(super) fn segments_for(bytes: u64) -> u32 {
    let chosen = bytes.div_ceil(BYTES_PER_SEGMENT).clamp(1, MOST_SEGMENTS);
    u32::try_from(chosen).unwrap_or(1)
}

/// Read units per second at most: what was asked for, else what a protected table's users do not notice.
pub(super) fn read_cap(asked: Option<Cap>, place: &Place, schema: &TableSchema) -> Result<Option<u32>> {
    match asked {
        Some(cap) => cap.units(Some(schema), Direction::Read).map(Some),
        None => Ok(gentle_cap(place, schema)),
    }
}

/// A protected provisioned table is read at half its capacity at most.
fn gentle_cap(place: &Place, schema: &TableSchema) -> Option<u32> {
    match schema.description().billing() {
        Billing::Provisioned(capacity) if place.protected => {
            Some(u32::try_from(capacity.read / 2).unwrap_or(u32::MAX).max(1))
        }
        _ => None,
    }
}
