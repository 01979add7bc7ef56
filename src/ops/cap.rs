//! Caps on consumed capacity: units per second, or a percentage of the table's capacity. Tables in a protected environment have a default
//! cap.
//!
//! A write consumes units of the table and of each GSI, and a cap limits their sum. A percentage therefore refers to the smallest capacity
//! of all of them, which no write can exceed.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::capacity::{Direction, KnownCapacity, PartCapacity, part_capacities};
use crate::error::{Error, Result};
use crate::field::Field;
use crate::ops::table_location::TableLocation;
use crate::schema::TableSchema;

/// Percentage of a protected table's capacity that is used by default.
const DEFAULT_PERCENT: u8 = 50;

/// Maximum capacity units per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// A number of units.
    Units(u32),
    /// A percentage of the table's capacity: the provisioned one, otherwise the on-demand maximum, otherwise the warm throughput.
    Percent(u8),
    /// No cap, not even the default one.
    Unlimited,
}

/// The cap in force and its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppliedCap {
    /// Maximum units per second; `None` for no limit.
    pub units_per_second: Option<u32>,
    /// Maximum units per second during a temporary boost of the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub while_boosted: Option<u32>,
    /// Reason of the cap, or of its absence.
    #[serde(flatten)]
    pub reason: CapReason,
}

/// Reason of a cap, or of its absence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum CapReason {
    /// A number of units was requested.
    Requested,
    /// A percentage of this capacity was requested.
    RequestedPercentage {
        /// Percentage.
        percent: u8,
        /// Capacity to which it refers.
        capacity: KnownCapacity,
    },
    /// Default for a protected environment: half of this capacity.
    Protected {
        /// Capacity to which it refers.
        capacity: KnownCapacity,
    },
    /// A protected environment has a default, but the capacity of the table is not known.
    UnknownCapacity,
    /// The default for a protected environment was lifted.
    Lifted,
}

impl FromStr for Cap {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::usage("write a number of units, a percentage such as 25%, or none");
        if text == "none" {
            return Ok(Self::Unlimited);
        }

        match text.strip_suffix('%') {
            Some(percent) => match percent.parse() {
                Ok(percent @ 1..=100) => Ok(Self::Percent(percent)),
                _ => Err(invalid()),
            },
            None => text
                .parse()
                .ok()
                .filter(|units| *units > 0)
                .map(Self::Units)
                .ok_or_else(invalid),
        }
    }
}

impl AppliedCap {
    /// The requested cap, otherwise the default if the table `is_protected`; `None` without either.
    ///
    /// # Errors
    /// A percentage of a capacity that is not known.
    pub(crate) fn new(
        requested: Option<Cap>,
        is_protected: bool,
        table: Option<&TableSchema>,
        direction: Direction,
    ) -> Result<Option<Self>> {
        let smallest = || {
            let known = part_capacities(table?, direction).into_iter();
            known
                .filter_map(|part| part.known)
                .min_by_key(|known| known.units)
        };

        let (units, reason) = match requested {
            None | Some(Cap::Unlimited) if !is_protected => return Ok(None),
            Some(Cap::Unlimited) => (None, CapReason::Lifted),
            Some(Cap::Units(units)) => (Some(units), CapReason::Requested),
            Some(Cap::Percent(percent)) => {
                let capacity = smallest().ok_or_else(|| unknown_capacity(percent, direction))?;
                let units = percentage(capacity.units, percent);
                let reason = CapReason::RequestedPercentage { percent, capacity };
                (Some(units), reason)
            }
            None => match smallest() {
                Some(capacity) => {
                    let units = percentage(capacity.units, DEFAULT_PERCENT);
                    (Some(units), CapReason::Protected { capacity })
                }
                None => (None, CapReason::UnknownCapacity),
            },
        };

        Ok(Some(Self {
            units_per_second: units,
            while_boosted: None,
            reason,
        }))
    }

    /// The cap on reads of an existing table.
    ///
    /// # Errors
    /// A percentage of a capacity that is not known.
    pub(crate) fn for_reads(
        requested: Option<Cap>,
        location: &TableLocation,
        table: &TableSchema,
    ) -> Result<Option<Self>> {
        Self::new(requested, location.protected, Some(table), Direction::Read)
    }

    /// Adds the cap on writes during a boost: a percentage is raised by what the boost adds to the capacity.
    pub(crate) fn with_boost(self, table: &TableSchema, boosted: &TableSchema) -> Self {
        let percent = match self.reason {
            CapReason::RequestedPercentage { percent, .. } => percent,
            CapReason::Protected { .. } => DEFAULT_PERCENT,
            CapReason::Requested | CapReason::UnknownCapacity | CapReason::Lifted => return self,
        };

        let boosted = part_capacities(boosted, Direction::Write);
        let raised = |part: PartCapacity| {
            let before = part.known?.units;
            let during = boosted.iter().find(|other| other.index == part.index);
            let during = during.map_or(before, PartCapacity::available_units);
            let added = u32::try_from(during.saturating_sub(before)).unwrap_or(u32::MAX);
            Some(percentage(before, percent).saturating_add(added))
        };

        let parts = part_capacities(table, Direction::Write).into_iter();
        Self {
            while_boosted: parts.filter_map(raised).min(),
            ..self
        }
    }

    /// Maximum units per second while the table is boosted, or not.
    pub(crate) fn units(&self, is_boosted: bool) -> Option<u32> {
        self.while_boosted
            .filter(|_| is_boosted)
            .or(self.units_per_second)
    }
}

impl fmt::Display for CapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested | Self::Lifted => f.write_str("as requested"),
            Self::RequestedPercentage { percent, capacity } => {
                write!(f, "{percent}% of {capacity}")
            }
            Self::Protected { capacity } => {
                write!(f, "half of {capacity}: the environment is protected")
            }
            Self::UnknownCapacity => f.write_str("the capacity of the table is unknown"),
        }
    }
}

/// Units per second, at least 1: a cap of 0 would block forever.
fn percentage(capacity: u64, percent: u8) -> u32 {
    u32::try_from(capacity.saturating_mul(percent.into()) / 100)
        .unwrap_or(u32::MAX)
        .max(1)
}

fn unknown_capacity(percent: u8, direction: Direction) -> Error {
    let field = match direction {
        Direction::Read => Field::MaxReadUnits,
        Direction::Write => Field::MaxWriteUnits,
    };

    Error::usage(format!(
        "{percent}% of the table's capacity is not known: it is on-demand, has no maximum, and its warm throughput is not known"
    ))
    .with_hint(format!("give a number of units: {field} N"))
}

#[cfg(test)]
mod tests;
