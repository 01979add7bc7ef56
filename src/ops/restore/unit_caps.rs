//! Limits of the units per second that a restore consumes.

use super::{ExistingTable, RestoreRequest};
use crate::error::Result;
use crate::ops::cap::{Cap, Direction};
use crate::ops::scan_segments::read_cap;
use crate::ops::table_location::TableLocation;
use crate::schema::TableSchema;

/// Limits of consumed units per second; `None` for no limit.
pub(crate) struct UnitCaps {
    pub(crate) write: Option<u32>,
    /// Applies while all items are read back.
    pub(crate) read: Option<u32>,
}

impl UnitCaps {
    /// Resolves the requested limits; percentages refer to the existing table, or to the `wanted` schema if it is replaced or created.
    /// Without a requested read limit, an existing table in a protected environment gets a default one, except on local endpoints.
    ///
    /// # Errors
    /// A percentage of a table without a capacity limit.
    pub(crate) fn resolve(
        request: &RestoreRequest,
        target: &TableLocation,
        existing: Option<&TableSchema>,
        wanted: Option<&TableSchema>,
    ) -> Result<Self> {
        let kept = existing.filter(|_| request.existing != ExistingTable::Replace);
        let units = |cap: Option<Cap>, direction| {
            cap.map(|cap| cap.units_per_second(kept.or(wanted), direction))
                .transpose()
        };

        let write = units(request.max_write_units, Direction::Write)?;
        let read = match (units(request.max_read_units, Direction::Read)?, kept) {
            (None, Some(kept)) if !target.local => read_cap(None, target, kept)?,
            (requested, _) => requested,
        };

        Ok(Self { write, read })
    }
}
