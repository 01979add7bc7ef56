//! Estimated time and price of a Scan.

use serde::Serialize;

use super::cap::AppliedCap;
use super::capacity::{CapacityKind, Direction, part_capacities};
use super::prices::{Price, Prices};
use super::table_location::TableLocation;
use crate::schema::TableSchema;

/// Estimated time and price of a Scan.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ScanCost {
    /// Read units per second that limit the Scan; `None` if no limit is known.
    pub read_units_per_second: Option<u64>,
    /// What limits it.
    pub limited_by: Option<ScanLimit>,
    /// Estimated duration in seconds.
    pub seconds: Option<f64>,
    /// Price; `None` for provisioned capacity, which is paid by the hour, and for local engines.
    pub price: Option<Price>,
}

/// The limit that determines how long a Scan takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScanLimit {
    /// The cap on read units.
    Cap,
    /// Provisioned capacity of the table.
    Provisioned,
    /// Maximum throughput of an on-demand table.
    OnDemandMaximum,
    /// Throughput that the table can serve immediately.
    WarmThroughput,
}

impl From<CapacityKind> for ScanLimit {
    fn from(kind: CapacityKind) -> Self {
        match kind {
            CapacityKind::Provisioned => Self::Provisioned,
            CapacityKind::OnDemandMaximum => Self::OnDemandMaximum,
            CapacityKind::WarmThroughput => Self::WarmThroughput,
        }
    }
}

impl ScanCost {
    /// The estimate for a Scan of `table` that consumes this number of read units within `cap`.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn new(
        location: &TableLocation,
        table: &TableSchema,
        cap: Option<&AppliedCap>,
        read_units: f64,
    ) -> Self {
        let cap = cap.and_then(|cap| cap.units_per_second);
        let cap = cap.map(|units| (units.into(), ScanLimit::Cap));
        let parts = part_capacities(table, Direction::Read).into_iter();
        let capacity = parts
            .filter_map(|part| part.known)
            .map(|known| (known.units, known.kind.into()));
        // The first one wins a tie. Without a capacity, there is no duration, and no division by zero.
        let limit = cap
            .into_iter()
            .chain(capacity)
            .min_by_key(|(units, _)| *units);
        let limit = limit.filter(|(units, _)| *units > 0);

        let is_on_demand = !table.description().is_provisioned();
        let prices = is_on_demand.then(|| Prices::of(location, table));

        Self {
            read_units_per_second: limit.map(|(units, _)| units),
            limited_by: limit.map(|(_, limit)| limit),
            seconds: limit.map(|(units, _)| read_units / units as f64),
            price: prices.and_then(|prices| prices.reads(read_units)),
        }
    }

    /// The estimate for a part of the Scan.
    pub(crate) fn of_part(self, part: f64) -> Self {
        Self {
            seconds: self.seconds.map(|seconds| seconds * part),
            price: self.price.map(|price| price.of_part(part)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::ops::cap::Cap;
    use crate::ops::testing::aws_location;

    fn table(settings: &Value) -> TableSchema {
        let mut document = json!({
            "TableName": "films",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        });
        let fields = settings.as_object().unwrap().clone();
        document.as_object_mut().unwrap().extend(fields);
        TableSchema::parse(document.to_string().as_bytes()).expect("a table")
    }

    fn cost(settings: &Value, cap: Option<u32>, units: f64) -> ScanCost {
        let (location, table) = (aws_location("us-east-1"), table(settings));
        let cap = AppliedCap::for_reads(cap.map(Cap::Units), &location, &table).unwrap();
        ScanCost::new(&location, &table, cap.as_ref(), units)
    }

    #[test]
    fn the_smallest_limit_determines_the_time() {
        let provisioned =
            json!({"ProvisionedThroughput": {"ReadCapacityUnits": 100, "WriteCapacityUnits": 1}});
        let on_demand = |more: Value| {
            let mut settings = json!({"BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}});
            let fields = more.as_object().unwrap().clone();
            settings.as_object_mut().unwrap().extend(fields);
            settings
        };
        let maximum = on_demand(json!({"OnDemandThroughput": {"MaxReadRequestUnits": 500}}));
        let warm = on_demand(json!({"WarmThroughput": {"ReadUnitsPerSecond": 12_000}}));

        for (settings, cap, limit, seconds) in [
            (
                &provisioned,
                None,
                Some((100, ScanLimit::Provisioned)),
                Some(60.0),
            ),
            (
                &provisioned,
                Some(50),
                Some((50, ScanLimit::Cap)),
                Some(120.0),
            ),
            (
                &provisioned,
                Some(200),
                Some((100, ScanLimit::Provisioned)),
                Some(60.0),
            ),
            (
                &maximum,
                None,
                Some((500, ScanLimit::OnDemandMaximum)),
                Some(12.0),
            ),
            (
                &warm,
                None,
                Some((12_000, ScanLimit::WarmThroughput)),
                Some(0.5),
            ),
            (&on_demand(json!({})), None, None, None),
        ] {
            let cost = cost(settings, cap, 6000.0);
            assert_eq!(cost.read_units_per_second.zip(cost.limited_by), limit);
            assert_eq!(cost.seconds, seconds);
        }
    }

    #[test]
    fn requests_have_a_price_and_provisioned_capacity_has_none() {
        let on_demand = json!({"BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"}});
        let provisioned =
            json!({"ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}});
        let price = cost(&on_demand, None, 1_200_000.0).price;
        assert!(
            matches!(price, Some(Price::Listed { usd, .. }) if (usd - 0.15).abs() < 1e-9),
            "{price:?}"
        );
        assert_eq!(cost(&provisioned, None, 1_200_000.0).price, None);
    }

    #[test]
    fn the_rest_of_an_interrupted_scan_costs_less() {
        let warm = json!({
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "WarmThroughput": {"ReadUnitsPerSecond": 1000},
        });
        let whole = cost(&warm, None, 8e6);
        let rest = whole.of_part(0.25);
        assert_eq!(rest, cost(&warm, None, 2e6));
    }
}
