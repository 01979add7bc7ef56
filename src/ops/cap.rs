//! Caps of consumption: so many units per second, or a share of what a table has.

use std::str::FromStr;

use crate::error::{Error, Result};
use crate::schema::{Billing, TableSchema};

/// An upper bound of consumed units per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    /// So many.
    Units(u32),
    /// So many of a hundred of the table's provisioned capacity, or of its maximum when it is on-demand.
    Percent(u8),
}

/// What is capped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl FromStr for Cap {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || Error::usage("write a number of units, or a share such as 25%");
        match text.strip_suffix('%') {
            Some(percent) => match percent.parse() {
                Ok(percent @ 1..=100) => Ok(Self::Percent(percent)),
                _ => Err(wrong()),
            },
            None => text
                .parse()
                .ok()
                .filter(|units| *units > 0)
                .map(Self::Units)
                .ok_or_else(wrong),
        }
    }
}

impl Cap {
    /// Units per second on this table; at least one.
    pub(crate) fn units(self, table: Option<&TableSchema>, direction: Direction) -> Result<u32> {
        let percent = match self {
            Self::Units(units) => return Ok(units),
            Self::Percent(percent) => u64::from(percent),
        };
        let whole = table.and_then(|table| whole(table, direction)).ok_or_else(|| {
            Error::usage(format!("{percent}% of the table's capacity is not known: it is on-demand and has no maximum"))
                .with_hint(match direction {
                    Direction::Read => "give a number of units: --max-rcu N",
                    Direction::Write => "give a number of units: --max-wcu N",
                })
        })?;

        Ok(u32::try_from(whole.saturating_mul(percent) / 100)
            .unwrap_or(u32::MAX)
            .max(1))
    }
}

/// What the table has per second, as far as that is bounded.
fn whole(table: &TableSchema, direction: Direction) -> Option<u64> {
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
    fn caps_are_units_or_shares() {
        assert_eq!("25".parse::<Cap>().unwrap(), Cap::Units(25));
        assert_eq!("25%".parse::<Cap>().unwrap(), Cap::Percent(25));
        for nonsense in ["", "0", "-1", "%", "0%", "101%", "1.5", "all"] {
            assert!(nonsense.parse::<Cap>().is_err(), "{nonsense}");
        }
    }

    #[test]
    fn a_share_is_of_what_the_table_has() {
        let provisioned =
            table(r#""ProvisionedThroughput":{"ReadCapacityUnits":400,"WriteCapacityUnits":10}"#);
        assert_eq!(
            Cap::Percent(25)
                .units(Some(&provisioned), Direction::Read)
                .unwrap(),
            100
        );

        assert_eq!(
            Cap::Percent(1)
                .units(Some(&provisioned), Direction::Write)
                .unwrap(),
            1
        );

        assert_eq!(Cap::Units(7).units(None, Direction::Write).unwrap(), 7);
        let bounded = table(
            r#""BillingModeSummary":{"BillingMode":"PAY_PER_REQUEST"},
               "OnDemandThroughput":{"MaxReadRequestUnits":1000,"MaxWriteRequestUnits":-1}"#,
        );
        assert_eq!(
            Cap::Percent(50)
                .units(Some(&bounded), Direction::Read)
                .unwrap(),
            500
        );

        let error = Cap::Percent(50)
            .units(Some(&bounded), Direction::Write)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(
            error.to_string().contains("on-demand")
                && error.hint().unwrap().contains("--max-wcu N"),
            "{error:?}"
        );
    }
}
