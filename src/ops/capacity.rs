//! Capacity of a table and its GSIs, as far as it is known.

use std::fmt;

use serde::Serialize;

use crate::schema::{Billing, Description, GlobalIndex, NEW_ON_DEMAND, TableSchema};

/// The kind of capacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Direction {
    /// The value of this direction.
    fn pick<T>(self, read: T, write: T) -> T {
        match self {
            Self::Read => read,
            Self::Write => write,
        }
    }
}

/// Capacity of a table or GSI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownCapacity {
    /// Units per second.
    pub units: u64,
    /// Setting that determines it.
    pub kind: CapacityKind,
    /// Name of the GSI; `None` for the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
}

/// Setting that determines the capacity of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CapacityKind {
    /// Provisioned capacity.
    Provisioned,
    /// Maximum throughput of an on-demand table.
    OnDemandMaximum,
    /// Throughput that an on-demand table without a maximum can serve immediately.
    WarmThroughput,
}

/// The capacity of a table or GSI for one direction, whether it is known or not.
pub(crate) struct PartCapacity {
    /// Name of the GSI; `None` for the table.
    pub(crate) index: Option<String>,
    pub(crate) known: Option<KnownCapacity>,
    direction: Direction,
}

impl PartCapacity {
    fn new(table: &Description, index: Option<&GlobalIndex>, direction: Direction) -> Self {
        let name = index.map(|index| index.index_name.clone());
        let known = known_capacity(table, index, direction);
        Self {
            known: known.map(|(units, kind)| KnownCapacity {
                units,
                kind,
                index: name.clone(),
            }),
            index: name,
            direction,
        }
    }

    /// Units per second that are available at least. Without a maximum, an on-demand table has those of a new one, even if it was
    /// provisioned before.
    pub(crate) fn available_units(&self) -> u64 {
        let new = self.direction.pick(NEW_ON_DEMAND.read, NEW_ON_DEMAND.write);
        match &self.known {
            Some(known) if known.kind != CapacityKind::WarmThroughput => known.units,
            Some(known) => known.units.max(new),
            None => new,
        }
    }
}

/// Capacities that requests consume: a Scan those of the table; a write those of the table and of each GSI.
pub(crate) fn part_capacities(table: &TableSchema, direction: Direction) -> Vec<PartCapacity> {
    let table = table.description();
    let mut parts = vec![PartCapacity::new(table, None, direction)];
    if direction == Direction::Write {
        let indexes = table.global_secondary_indexes.iter();
        parts.extend(indexes.map(|index| PartCapacity::new(table, Some(index), direction)));
    }

    parts
}

fn known_capacity(
    table: &Description,
    index: Option<&GlobalIndex>,
    direction: Direction,
) -> Option<(u64, CapacityKind)> {
    if let Billing::Provisioned(of_table) = table.billing() {
        let capacity = index.map_or(Some(of_table), |index| table.index_capacity(index))?;
        let units = direction.pick(capacity.read, capacity.write);
        return Some((units, CapacityKind::Provisioned));
    }

    let maximum = index.map_or_else(
        || table.on_demand_maximum(),
        |index| table.index_on_demand_maximum(index),
    );
    let maximum = maximum.and_then(|maximum| {
        direction.pick(
            maximum.max_read_request_units,
            maximum.max_write_request_units,
        )
    });

    if let Some(units) = maximum.and_then(|units| u64::try_from(units).ok()) {
        return Some((units, CapacityKind::OnDemandMaximum));
    }

    let warm = index.map_or(table.warm_throughput, |index| index.warm_throughput)?;
    let units = direction.pick(warm.read_units_per_second, warm.write_units_per_second);
    let units = units.filter(|units| *units > 0)?;

    Some((units, CapacityKind::WarmThroughput))
}

impl fmt::Display for KnownCapacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = self.units;
        match self.kind {
            CapacityKind::Provisioned => write!(f, "the provisioned {units}")?,
            CapacityKind::OnDemandMaximum => write!(f, "the on-demand maximum of {units}")?,
            CapacityKind::WarmThroughput => write!(f, "the warm throughput of {units}")?,
        }

        match &self.index {
            Some(index) => write!(f, " of index {index}"),
            None => Ok(()),
        }
    }
}
