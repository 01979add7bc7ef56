//! How fast a restore may go: the units per second that it consumes at most, of the table as it is or as it is created.

use super::{ExistingTable, RestoreRequest};
use crate::error::Result;
use crate::ops::cap::{Cap, Direction};
use crate::ops::scan_segments::read_cap;
use crate::ops::table_location::TableLocation;
use crate::schema::TableSchema;

/// Units per second at most.
pub(crate) struct Caps {
    pub(crate) write: Option<u32>,
    /// Where every item is read back.
    pub(crate) read: Option<u32>,
}

impl Caps {
    /// What was asked for, of the table that stands there or is `wanted`. A protected one that is in use is read gently otherwise, where
    /// reading is not free.
    ///
    /// # Errors
    /// A share of a table that has no bound.
    pub(crate) fn of(
        request: &RestoreRequest,
        target: &TableLocation,
        existing: Option<&TableSchema>,
        wanted: Option<&TableSchema>,
    ) -> Result<Self> {
        let kept = existing.filter(|_| request.existing != ExistingTable::Replace);
        let asked = |cap: Option<Cap>, direction| {
            cap.map(|cap| cap.units_per_second(kept.or(wanted), direction))
                .transpose()
        };
        let write = asked(request.max_write_units, Direction::Write)?;
        let read = match (asked(request.max_read_units, Direction::Read)?, kept) {
            (None, Some(kept)) if !target.local => read_cap(None, target, kept)?,
            (asked, _) => asked,
        };

        Ok(Self { write, read })
    }
}
