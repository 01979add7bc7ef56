//! List prices of DynamoDB, by region.
//!
//! They are those of the [AWS Price List](https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/price-changes.html) for table
//! class Standard, in US dollars, before free tiers, savings plans and taxes. On-demand requests cost half of what they did before
//! [November 2024](https://aws.amazon.com/blogs/database/new-amazon-dynamodb-lowers-pricing-for-on-demand-throughput-and-global-tables/).
//! The figures were taken from public copies and quotations of these lists, not from the lists themselves.
//! A price that is not in this file is not estimated. To update a region, take its prices and date from its `index.json`.

use serde::Serialize;

use super::table_location::TableLocation;
use crate::schema::TableSchema;

/// Number of bytes in the GB by which AWS charges.
const GB: f64 = 1_073_741_824.0;

/// List prices of one region in US dollars.
#[derive(Debug, Clone, Copy, PartialEq)]
struct RegionPrices {
    region: &'static str,
    /// A million read request units.
    reads: Option<f64>,
    /// A million write request units.
    writes: Option<f64>,
    /// A GB of on-demand backups for a month.
    backup_storage: Option<f64>,
    /// A GB restored from a backup or to a point in time.
    restore: Option<f64>,
    /// Date of the price list.
    date: &'static str,
    source: &'static str,
}

impl RegionPrices {
    /// Prices of requests only.
    const fn requests(
        (region, date): (&'static str, &'static str),
        reads: Option<f64>,
        writes: f64,
        source: &'static str,
    ) -> Self {
        Self {
            region,
            reads,
            writes: Some(writes),
            backup_storage: None,
            restore: None,
            date,
            source,
        }
    }
}

/// Where the dated price list of a region is not archived under its own address.
const PRICE_PAGE: &str = "https://aws.amazon.com/dynamodb/pricing/on-demand/";

const PRICES: &[RegionPrices] = &[
    RegionPrices {
        // Backups: <https://aws.amazon.com/dynamodb/pricing/on-demand/>.
        backup_storage: Some(0.10),
        restore: Some(0.15),
        ..RegionPrices::requests(
            ("us-east-1", "2026-09-11"),
            Some(0.125),
            0.625,
            "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonDynamoDB/20260911124422/us-east-1/index.json",
        )
    },
    RegionPrices::requests(
        ("us-east-2", "2026-09-11"),
        Some(0.125),
        0.625,
        "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonDynamoDB/20260911124422/us-east-2/index.json",
    ),
    RegionPrices::requests(
        ("us-west-2", "2026-08-31"),
        Some(0.125),
        0.625,
        "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonDynamoDB/20260831092153/us-west-2/index.json",
    ),
    RegionPrices::requests(
        ("eu-west-1", "2026-09-11"),
        Some(0.1415),
        0.705,
        "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonDynamoDB/20260911124422/eu-west-1/index.json",
    ),
    RegionPrices::requests(
        ("eu-central-1", "2026-07-24"),
        Some(0.1525),
        0.7625,
        PRICE_PAGE,
    ),
    RegionPrices::requests(
        ("ap-northeast-1", "2026-07-22"),
        None,
        0.715,
        "https://pricing.us-east-1.amazonaws.com/offers/v1.0/aws/AmazonDynamoDB/20260722003827/ap-northeast-1/index.json",
    ),
    RegionPrices::requests(
        ("ap-northeast-2", "2026-06-12"),
        Some(0.1355),
        0.68,
        PRICE_PAGE,
    ),
];

/// Price of an estimated amount.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Price {
    /// By the list price of a region.
    Listed {
        /// US dollars.
        usd: f64,
        /// The region.
        region: &'static str,
        /// Date of the price list.
        date: &'static str,
        /// Address of the price list.
        source: &'static str,
    },
    /// There is no list price for it.
    NotAvailable {
        /// Why not.
        not_available: String,
    },
}

impl Price {
    /// The price of a part.
    pub(crate) fn of_part(mut self, part: f64) -> Self {
        if let Self::Listed { usd, .. } = &mut self {
            *usd *= part;
        }

        self
    }

    /// The price of everything together; `None` without any.
    pub fn sum<'a>(prices: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        prices.into_iter().cloned().reduce(|mut sum, price| {
            match (&mut sum, &price) {
                (Self::Listed { usd, .. }, Self::Listed { usd: more, .. }) => *usd += more,
                (Self::Listed { .. }, Self::NotAvailable { .. }) => return price,
                (Self::NotAvailable { .. }, _) => {}
            }

            sum
        })
    }
}

/// The list prices that apply to a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Prices {
    /// `None` if the table is not on AWS: local engines cost nothing.
    region: Option<String>,
    /// Requests of table class Standard-IA cost more.
    is_infrequent_access: bool,
}

impl Prices {
    /// The prices for a table at `location`.
    pub(crate) fn of(location: &TableLocation, table: &TableSchema) -> Self {
        let region = location.region.as_deref().unwrap_or("unknown");
        let region = location.is_aws().then(|| region.to_owned());

        Self {
            region,
            is_infrequent_access: table.description().class() == "STANDARD_INFREQUENT_ACCESS",
        }
    }

    /// The price of read request units.
    pub(crate) fn reads(&self, units: f64) -> Option<Price> {
        self.requests(units, |prices| prices.reads)
    }

    /// The price of write request units.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn writes(&self, units: u64) -> Option<Price> {
        self.requests(units as f64, |prices| prices.writes)
    }

    /// The price of an on-demand backup of this size for a month.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn backup_storage(&self, bytes: u64) -> Option<Price> {
        self.price(bytes as f64 / GB, |prices| prices.backup_storage)
    }

    /// The price of a restore of this size by DynamoDB.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    pub(crate) fn restore(&self, bytes: u64) -> Option<Price> {
        self.price(bytes as f64 / GB, |prices| prices.restore)
    }

    fn requests(
        &self,
        units: f64,
        million: impl Fn(&RegionPrices) -> Option<f64>,
    ) -> Option<Price> {
        if self.region.is_some() && self.is_infrequent_access {
            return Some(Price::NotAvailable {
                not_available: "no list price of table class Standard-IA is known".to_owned(),
            });
        }

        self.price(units / 1e6, million)
    }

    fn price(
        &self,
        amount: f64,
        unit_price: impl Fn(&RegionPrices) -> Option<f64>,
    ) -> Option<Price> {
        let region = self.region.as_deref()?;
        let listed = PRICES.iter().find(|prices| prices.region == region);
        let price = listed.and_then(|prices| Some((prices, unit_price(prices)?)));

        Some(match price {
            Some((prices, unit_price)) => Price::Listed {
                usd: amount * unit_price,
                region: prices.region,
                date: prices.date,
                source: prices.source,
            },
            None => Price::NotAvailable {
                not_available: format!("no list price for region {region} is known"),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::NaiveDate;
    use serde_json::json;

    use super::*;

    fn prices(region: &str) -> Prices {
        Prices {
            region: Some(region.to_owned()),
            is_infrequent_access: false,
        }
    }

    fn usd(price: Option<Price>) -> Option<f64> {
        match price? {
            Price::Listed { usd, .. } => Some((usd * 1e4).round() / 1e4),
            Price::NotAvailable { .. } => None,
        }
    }

    #[test]
    fn each_region_is_listed_once_with_a_date_and_a_source() {
        let regions: BTreeSet<_> = PRICES.iter().map(|prices| prices.region).collect();
        assert_eq!(regions.len(), PRICES.len());
        for prices in PRICES {
            let date: NaiveDate = prices.date.parse().expect(prices.region);
            // On-demand requests cost twice as much before.
            assert!(date > NaiveDate::from_ymd_opt(2024, 11, 1).unwrap());
            assert!(prices.source.starts_with("https://"), "{}", prices.region);
            assert!(prices.reads < prices.writes, "{}", prices.region);
        }
    }

    #[test]
    fn requests_are_charged_by_the_million_and_storage_by_the_gb() {
        let us = prices("us-east-1");
        assert_eq!(usd(us.reads(1_200_000.0)), Some(0.15));
        assert_eq!(usd(us.writes(2_000_000)), Some(1.25));
        assert_eq!(usd(us.backup_storage(100 << 30)), Some(10.0));
        assert_eq!(usd(us.restore(100 << 30)), Some(15.0));
        assert_eq!(usd(prices("eu-west-1").reads(1_000_000.0)), Some(0.1415));
    }

    #[test]
    fn a_price_that_is_not_listed_is_not_available() {
        let not_available = |price: Option<Price>| match price {
            Some(Price::NotAvailable { not_available }) => not_available,
            other => panic!("{other:?}"),
        };

        let region = |region| format!("no list price for region {region} is known");
        assert_eq!(
            not_available(prices("eu-south-2").reads(1.0)),
            region("eu-south-2")
        );
        assert_eq!(
            not_available(prices("eu-west-1").backup_storage(1)),
            region("eu-west-1")
        );
        let infrequent = Prices {
            is_infrequent_access: true,
            ..prices("us-east-1")
        };
        assert_eq!(
            not_available(infrequent.writes(1)),
            "no list price of table class Standard-IA is known"
        );
        assert_eq!(Prices::default().writes(1), None, "a local engine");
    }

    #[test]
    fn a_sum_is_available_only_if_all_prices_are() {
        let us = prices("us-east-1");
        let million = us.reads(1e6).unwrap();
        let unknown = prices("eu-south-2").reads(1e6).unwrap();
        assert_eq!(Price::sum([]), None);
        assert_eq!(usd(Price::sum([&million, &million])), Some(0.25));
        assert_eq!(Price::sum([&million, &unknown]), Some(unknown.clone()));
        assert_eq!(Price::sum([&unknown, &million]), Some(unknown));
    }

    #[test]
    fn reports_contain_the_price_as_a_number() {
        let price = serde_json::to_value(prices("us-east-2").reads(8e6)).unwrap();
        assert_eq!(price["usd"], json!(1.0));
        assert_eq!(price["region"], json!("us-east-2"));
        assert_eq!(price["date"], json!("2026-09-11"));
    }
}
