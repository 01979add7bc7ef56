//! Caps on capacity consumption: units per second, or a percentage of the table's capacity.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::field::Field;
use crate::schema::{Billing, TableSchema};

/// Maximum capacity units per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// A number of units.
    Units(u32),
    /// A percentage of the table's provisioned capacity, or of its maximum throughput if it is on-demand.
    Percent(u8),
}

/// The kind of capacity that is capped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Direction {
    /// The field of the request that sets a cap.
    fn cap_field(self) -> Field {
        match self {
            Self::Read => Field::MaxReadUnits,
            Self::Write => Field::MaxWriteUnits,
        }
    }
}

impl FromStr for Cap {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let invalid = || Error::usage("write a number of units, or a share such as 25%");
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

impl Cap {
    /// Units per second for this table, at least 1.
    pub(crate) fn units_per_second(
        self,
        table: Option<&TableSchema>,
        direction: Direction,
    ) -> Result<u32> {
        let percent = match self {
            Self::Units(units) => return Ok(units),
            Self::Percent(percent) => u64::from(percent),
        };
        let total = table.and_then(|table| capacity(table, direction)).ok_or_else(|| {
            Error::usage(format!("{percent}% of the table's capacity is not known: it is on-demand and has no maximum"))
                .with_hint(format!("give a number of units: {} N", direction.cap_field()))
        })?;

        // A limit of 0 would block forever.
        Ok(u32::try_from(total.saturating_mul(percent) / 100)
            .unwrap_or(u32::MAX)
            .max(1))
    }
}

/// Units per second of the table, if limited.
fn capacity(table: &TableSchema, direction: Direction) -> Option<u64> {
    let description = table.description();
    match (description.billing(), direction) {
        (Billing::Provisioned(capacity), Direction::Read) => Some(capacity.read),
        (Billing::Provisioned(capacity), Direction::Write) => Some(capacity.write),
        (Billing::OnDemand, direction) => {
            let maximum = description.on_demand_maximum()?;
            let units = match direction {
                Direction::Read => maximum.max_read_request_units,
                Direction::Write => maximum.max_write_request_units,
            };
            // A maximum of -1 means unlimited.
            units.and_then(|units| u64::try_from(units).ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn table(billing: &str) -> TableSchema {
        TableSchema::parse(format!(r#"{{"Table":{{"TableName":"films","KeySchema":[{{"AttributeName":"id","KeyType":"HASH"}}],"AttributeDefinitions":[{{"AttributeName":"id","AttributeType":"S"}}],{billing}}}}}"#).as_bytes()).unwrap()
    }

    #[test]
    fn a_cap_is_a_number_of_units_or_a_percentage() {
        assert_eq!("25".parse::<Cap>().unwrap(), Cap::Units(25));
        assert_eq!("25%".parse::<Cap>().unwrap(), Cap::Percent(25));
        for nonsense in ["", "0", "-1", "%", "0%", "101%", "1.5", "all"] {
            assert!(nonsense.parse::<Cap>().is_err(), "{nonsense}");
        }
    }

    #[test]
    fn a_percentage_refers_to_the_capacity_of_the_table() {
        let provisioned =
            table(r#""ProvisionedThroughput":{"ReadCapacityUnits":400,"WriteCapacityUnits":10}"#);
        assert_eq!(
            Cap::Percent(25)
                .units_per_second(Some(&provisioned), Direction::Read)
                .unwrap(),
            100
        );

        assert_eq!(
            Cap::Percent(1)
                .units_per_second(Some(&provisioned), Direction::Write)
                .unwrap(),
            1
        );

        assert_eq!(
            Cap::Units(7)
                .units_per_second(None, Direction::Write)
                .unwrap(),
            7
        );
        let bounded = table(
            r#""BillingModeSummary":{"BillingMode":"PAY_PER_REQUEST"},
               "OnDemandThroughput":{"MaxReadRequestUnits":1000,"MaxWriteRequestUnits":-1}"#,
        );
        assert_eq!(
            Cap::Percent(50)
                .units_per_second(Some(&bounded), Direction::Read)
                .unwrap(),
            500
        );

        let error = Cap::Percent(50)
            .units_per_second(Some(&bounded), Direction::Write)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(
            error.to_string().contains("on-demand")
                && error.hint().unwrap().contains("`max_write_units` N"),
            "{error:?}"
        );
    }
}
