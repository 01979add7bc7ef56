//! Text of costs: write units counted by a dry run, or an upper bound in a plan; time and price of reads.

use super::format;
use crate::layout::RowGroup;
use crate::ops::{Bottleneck, Price, ScanCost, ScanLimit, WriteCost};

/// Maximum number of indexes that are listed one by one.
const MAX_LISTED_INDEXES: usize = 4;

/// Time from which a Scan is worth a row without details, in seconds.
const SHOWN_SECONDS: f64 = 1.0;

/// Rows for units, price and time. `bound` is a prefix of each figure: empty, or `up to `.
pub(crate) fn rows(group: &mut RowGroup, cost: &WriteCost, bound: &str) {
    let total = format::counted(cost.write_units, "write unit");
    // DynamoDB charges for the larger of the old and the new item, and the old one is not known.
    let condition = if cost.may_overwrite {
        ", if the table contains none of the items"
    } else {
        ""
    };

    group.short("cost", format!("{bound}{total}{condition}"));
    group.detail(
        "cost",
        format!(
            "{bound}{total}{}{}{condition}",
            units_breakdown(cost),
            replicated_units(cost)
        ),
    );
    if let Some(price) = &cost.price {
        let without = match cost.replicated_write_units {
            0 => "",
            _ => ", without the writes in other regions",
        };
        group.row(
            "price",
            format!("{}{without}", price_in_words(price, bound)),
        );
    }

    // Without a known capacity, there is no estimate of the time.
    let (Some(slowest), Some(units), Some(seconds)) =
        (&cost.bottleneck, cost.write_units_per_second, cost.seconds)
    else {
        return;
    };

    let limit = match slowest {
        Bottleneck::Table => "the capacity of the table",
        Bottleneck::Index { name } => &format!("the capacity of index {name}"),
        Bottleneck::Cap => "the cap",
    };
    let (seconds, units) = (format::seconds(seconds), format::count(units));
    let time = format!("{bound}{seconds}, limited by {limit}: {units} per second");

    // Local engines accept capacity settings, but few enforce them.
    if cost.local && *slowest != Bottleneck::Cap {
        group.detail("time", format!("{time}, if the engine enforces it"));
    } else {
        group.row("time", time);
    }
}

/// A price with its region and date. `bound` is a prefix of the amount: `up to `, or empty for an estimate.
pub(super) fn price_in_words(price: &Price, bound: &str) -> String {
    match price {
        Price::Listed {
            usd, region, date, ..
        } => {
            let amount = format::dollars(*usd);
            let about = match bound {
                "" if !amount.starts_with("less") => "about ",
                "up to " if amount.starts_with("less") => "",
                bound => bound,
            };
            format!("{about}{amount} ({region}, list price of {date})")
        }
        Price::NotAvailable { not_available } => format!("n/a ({not_available})"),
    }
}

/// Rows for the time and price of a Scan. Local engines accept capacity settings, but few enforce them.
pub(super) fn read_rows(group: &mut RowGroup, cost: &ScanCost, is_local: bool) {
    if let Some(price) = &cost.price {
        group.row("price", price_in_words(price, ""));
    }

    let limit = cost.limited_by.zip(cost.read_units_per_second);
    let Some((seconds, (limit, units))) = cost.seconds.zip(limit) else {
        return;
    };

    let limited_by = match limit {
        ScanLimit::Cap => "the cap",
        ScanLimit::Provisioned => "the provisioned capacity",
        ScanLimit::OnDemandMaximum => "the on-demand maximum",
        ScanLimit::WarmThroughput => "the warm throughput",
    };
    let time = format!(
        "~{}, limited by {limited_by}: {} per second",
        format::seconds(seconds),
        format::count(units)
    );
    if is_local && limit != ScanLimit::Cap {
        group.detail("time", format!("{time}, if the engine enforces it"));
    } else if seconds < SHOWN_SECONDS {
        group.detail("time", time);
    } else {
        group.row("time", time);
    }
}

/// The units that the replicas of a global table consume, if there are any.
fn replicated_units(cost: &WriteCost) -> String {
    match cost.replicated_write_units {
        0 => String::new(),
        units => {
            let units = format::counted(units, "replicated write unit");
            format!(", and {units} in other regions")
        }
    }
}

/// Units of the table and of each index; empty if the table has no index.
fn units_breakdown(cost: &WriteCost) -> String {
    let table = format::count(cost.table_write_units);
    let of_indexes = cost.write_units.saturating_sub(cost.table_write_units);
    match cost.indexes.len() {
        0 => String::new(),
        1..=MAX_LISTED_INDEXES => {
            let indexes = cost.indexes.iter().map(|index| {
                format!(
                    ", {} for index {}",
                    format::count(index.write_units),
                    index.name
                )
            });

            format!(": {table} for the table{}", indexes.collect::<String>())
        }
        count => format!(
            ": {table} for the table, {} for its {count} indexes",
            format::count(of_indexes)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Line, Rows};
    use crate::ops::IndexCost;

    /// The rows with details.
    fn lines(cost: &WriteCost, bound: &str) -> Vec<String> {
        let lines = Rows::plain(|group| rows(group, cost, bound)).lines(true, usize::MAX);
        let lines = lines.into_iter().map(|line| match line {
            Line::Row(text) => text,
            Line::Heading(text) => text.to_owned(),
        });
        lines.collect()
    }

    fn cost(indexes: usize) -> WriteCost {
        let index = |number| IndexCost {
            name: format!("by-{number}"),
            write_units: 1000,
        };
        let indexes: Vec<_> = (0..indexes).map(index).collect();
        let write_units = 500 + indexes.iter().map(|index| index.write_units).sum::<u64>();
        WriteCost {
            write_units,
            table_write_units: 500,
            indexes,
            ..WriteCost::default()
        }
    }

    #[test]
    fn units_are_listed_by_table_and_index() {
        let words = |cost: &WriteCost| lines(cost, "up to ").swap_remove(0);
        assert_eq!(words(&cost(0)), "  Cost  up to 500 write units");
        assert_eq!(
            words(&cost(2)),
            "  Cost  up to 2,500 write units: 500 for the table, 1,000 for index by-0, 1,000 for index by-1"
        );
        assert_eq!(
            words(&cost(5)),
            "  Cost  up to 5,500 write units: 500 for the table, 5,000 for its 5 indexes"
        );
        let replicated = WriteCost {
            replicated_write_units: 1000,
            ..cost(0)
        };
        assert_eq!(
            words(&replicated),
            "  Cost  up to 500 write units, and 1,000 replicated write units in other regions"
        );
        let overwriting = WriteCost {
            may_overwrite: true,
            ..cost(0)
        };
        assert_eq!(
            words(&overwriting),
            "  Cost  up to 500 write units, if the table contains none of the items"
        );
    }

    fn listed(usd: f64) -> Price {
        Price::Listed {
            usd,
            region: "eu-west-1",
            date: "2026-09-11",
            source: "https://pricing.example/",
        }
    }

    #[test]
    fn prices_have_a_region_and_a_date() {
        let price = listed(0.15);
        assert_eq!(
            price_in_words(&price, ""),
            "about $0.15 (eu-west-1, list price of 2026-09-11)"
        );
        assert_eq!(
            price_in_words(&price, "up to "),
            "up to $0.15 (eu-west-1, list price of 2026-09-11)"
        );
        for bound in ["", "up to "] {
            assert_eq!(
                price_in_words(&listed(0.0001), bound),
                "less than $0.01 (eu-west-1, list price of 2026-09-11)"
            );
        }

        let unknown = Price::NotAvailable {
            not_available: "no list price for region eu-south-2 is known".to_owned(),
        };
        assert_eq!(
            price_in_words(&unknown, "up to "),
            "n/a (no list price for region eu-south-2 is known)"
        );
        let replicated = WriteCost {
            replicated_write_units: 500,
            price: Some(price),
            ..cost(0)
        };
        assert_eq!(
            lines(&replicated, "up to ")[1],
            "  Price  up to $0.15 (eu-west-1, list price of 2026-09-11), without the writes in other regions"
        );
    }

    #[test]
    fn reads_have_a_time_and_a_price() {
        let rows = |cost: &ScanCost, is_local, details| -> Vec<String> {
            let rows = Rows::plain(|group| read_rows(group, cost, is_local));
            let lines = rows.lines(details, usize::MAX).into_iter();
            lines
                .map(|line| match line {
                    Line::Row(text) => text,
                    Line::Heading(text) => text.to_owned(),
                })
                .collect()
        };
        let cost = ScanCost {
            read_units_per_second: Some(12_000),
            limited_by: Some(ScanLimit::WarmThroughput),
            seconds: Some(1092.0),
            price: Some(listed(1.85)),
        };
        let time = "  Time   ~18m 12s, limited by the warm throughput: 12,000 per second";
        assert_eq!(
            rows(&cost, false, false),
            [
                "  Price  about $1.85 (eu-west-1, list price of 2026-09-11)",
                time
            ]
        );
        let free = ScanCost {
            price: None,
            ..cost.clone()
        };
        assert!(rows(&free, true, false).is_empty());
        assert_eq!(
            rows(&free, true, true),
            [format!(
                "{}, if the engine enforces it",
                time.replace("Time   ", "Time  ")
            )]
        );
        let short = ScanCost {
            seconds: Some(0.5),
            ..free
        };
        assert!(rows(&short, false, false).is_empty());
        assert!(rows(&ScanCost::default(), false, true).is_empty());
    }

    #[test]
    fn time_names_the_bottleneck() {
        let timed = |slowest| WriteCost {
            bottleneck: Some(slowest),
            write_units_per_second: Some(5),
            seconds: Some(100.0),
            ..cost(1)
        };

        let words = |slowest| lines(&timed(slowest), "").swap_remove(1);
        assert_eq!(
            words(Bottleneck::Table),
            "  Time  1m 40s, limited by the capacity of the table: 5 per second"
        );
        assert_eq!(
            words(Bottleneck::Index {
                name: "by-0".into()
            }),
            "  Time  1m 40s, limited by the capacity of index by-0: 5 per second"
        );

        assert_eq!(
            words(Bottleneck::Cap),
            "  Time  1m 40s, limited by the cap: 5 per second"
        );
        assert_eq!(lines(&cost(1), "").len(), 1);
        let local = WriteCost {
            local: true,
            ..timed(Bottleneck::Table)
        };
        assert_eq!(
            lines(&local, "")[1],
            "  Time  1m 40s, limited by the capacity of the table: 5 per second, if the engine enforces it"
        );
    }
}
