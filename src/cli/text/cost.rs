//! Text of write costs: counted by a dry run, or an upper bound in a plan.

use super::format;
use crate::layout::RowGroup;
use crate::ops::{Bottleneck, WriteCost};

/// Maximum number of indexes that are listed one by one.
const MAX_LISTED_INDEXES: usize = 4;

/// Rows for units and time. `bound` is a prefix of each figure: empty, or `up to `.
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
