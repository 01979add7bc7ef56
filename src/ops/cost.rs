//! Estimated cost of writing items: write units of the table and its indexes, and the time that these take at the available capacity.
//!
//! A new item costs the units of its size, plus, for each index whose key attributes it has, the units of its entry in the index: the
//! keys of table and index, and the projected attributes. A GSI uses its own capacity, an LSI that of the table. See "Provisioned
//! throughput considerations" in the AWS developer guide for
//! [GSIs](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html#GSI.ThroughputConsiderations) and
//! [LSIs](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LSI.html#LSI.ThroughputConsiderations). Overwriting an item
//! costs more: the larger of both sizes counts, and an index whose key changes is written twice. Vector indexes are not counted.
//! Each replica of a global table consumes the same units again, as [replicated
//! writes](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/global-tables-billing.html).

use std::collections::BTreeSet;

use serde::Serialize;

use super::prices::{Price, Prices};
use crate::item::{WRITE_UNIT, for_each_attribute_size, write_units};
use crate::limits::ITEM_BYTES;
use crate::schema::{Billing, Description, GlobalIndex, KeyElement, Projection, TableSchema};

/// Estimated cost of writing items.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct WriteCost {
    /// Total write units, indexes included.
    pub write_units: u64,
    /// Write units of the table itself.
    pub table_write_units: u64,
    /// Write units of each index.
    pub indexes: Vec<IndexCost>,
    /// Write units that the replicas consume in other regions, in addition to the total.
    pub replicated_write_units: u64,
    /// The limit that determines the duration; `None` if there is no known limit.
    #[serde(rename = "slowest")]
    pub bottleneck: Option<Bottleneck>,
    /// Write units per second of the bottleneck.
    pub write_units_per_second: Option<u64>,
    /// Estimated duration in seconds.
    pub seconds: Option<f64>,
    /// Whether the table may already contain some of the items. The figures are those of new items.
    pub may_overwrite: bool,
    /// Price of the units, without those in other regions; `None` for provisioned capacity, which is paid by the hour, and for local
    /// engines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Whether the endpoint is on this machine: local engines seldom enforce a capacity.
    pub local: bool,
}

/// Write units of one index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IndexCost {
    /// Name of the index.
    pub name: String,
    /// Write units.
    pub write_units: u64,
}

/// The limit that determines how long writes take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "part")]
pub enum Bottleneck {
    /// Capacity of the table, which its LSIs share.
    Table,
    /// Capacity of a GSI.
    Index {
        /// Name of the index.
        name: String,
    },
    /// The cap on all write units.
    Cap,
}

/// How many write units a table and its indexes use for an item, and how many they have per second.
#[derive(Debug, Clone, Default)]
pub(crate) struct WriteCostModel {
    /// Write units per second of the table, if limited.
    per_second: Option<u64>,
    /// Cap on the write units per second of table and indexes together.
    cap: Option<u64>,
    indexes: Vec<IndexCostModel>,
    /// Number of replicas in other regions.
    replicas: u64,
    may_overwrite: bool,
    /// `None` for provisioned capacity.
    prices: Option<Prices>,
    local: bool,
}

/// How many write units an index uses for an item, and how many it has per second.
#[derive(Debug, Clone)]
struct IndexCostModel {
    name: String,
    key: BTreeSet<String>,
    /// Names of the projected attributes, keys included; `None` means all.
    projected: Option<BTreeSet<String>>,
    /// Whether this is an LSI, which uses the table's capacity.
    is_local: bool,
    /// Write units per second of the index, if limited.
    per_second: Option<u64>,
}

impl IndexCostModel {
    fn new(
        name: &str,
        key: &[KeyElement],
        projection: &Projection,
        table_key: &[KeyElement],
    ) -> Self {
        let names = |key: &[KeyElement]| {
            key.iter()
                .map(|element| element.attribute_name.clone())
                .collect::<Vec<_>>()
        };

        let projected = (projection.projection_type != "ALL").then(|| {
            let keys = names(key).into_iter().chain(names(table_key));
            keys.chain(projection.non_key_attributes.iter().cloned())
                .collect()
        });

        let key = names(key).into_iter().collect();
        Self {
            name: name.to_owned(),
            key,
            projected,
            is_local: true,
            per_second: None,
        }
    }

    fn global(table: &Description, index: &GlobalIndex) -> Self {
        let maximum = table
            .index_on_demand_maximum(index)
            .and_then(|maximum| maximum.max_write_request_units);
        let capacity = table.index_capacity(index).map(|capacity| capacity.write);
        let per_second = capacity.or(maximum.and_then(|units| u64::try_from(units).ok()));
        let index = Self::new(
            &index.index_name,
            &index.key_schema,
            &index.projection,
            &table.key_schema,
        );

        Self {
            is_local: false,
            per_second,
            ..index
        }
    }

    /// The write units of an item with these attributes (name and size).
    fn units(&self, attributes: &[(String, u64)]) -> u64 {
        let has = |name: &String| attributes.iter().any(|(found, _)| found == name);
        // An index is sparse: it contains only items with all of its key attributes.
        if !self.key.iter().all(has) {
            return 0;
        }

        let entry = attributes.iter().filter(|(name, _)| {
            self.projected
                .as_ref()
                .is_none_or(|projected| projected.contains(name))
        });

        write_units(entry.map(|(_, size)| size).sum::<u64>().min(ITEM_BYTES))
    }
}

impl WriteCostModel {
    /// The cost model of a table with the capacity that it has while items are written.
    pub(crate) fn new(table: &TableSchema) -> Self {
        let table = table.description();
        let maximum = table
            .on_demand_maximum()
            .and_then(|maximum| maximum.max_write_request_units);
        let per_second = match table.billing() {
            Billing::Provisioned(capacity) => Some(capacity.write),
            Billing::OnDemand => maximum.and_then(|units| u64::try_from(units).ok()),
        };
        let globals = table
            .global_secondary_indexes
            .iter()
            .map(|index| IndexCostModel::global(table, index));
        let locals = table.local_secondary_indexes.iter();
        let locals = locals.map(|index| {
            IndexCostModel::new(
                &index.index_name,
                &index.key_schema,
                &index.projection,
                &table.key_schema,
            )
        });

        Self {
            per_second,
            indexes: globals.chain(locals).collect(),
            ..Self::default()
        }
    }

    /// A cost model without capacities: only write units are estimated, not the duration.
    pub(crate) fn without_capacity(table: &TableSchema) -> Self {
        let indexes = Self::new(table)
            .indexes
            .into_iter()
            .map(|index| IndexCostModel {
                per_second: None,
                ..index
            });
        Self {
            indexes: indexes.collect(),
            ..Self::default()
        }
    }

    /// Sets the cap on the write units per second of table and indexes together.
    pub(crate) fn with_cap(self, cap: Option<u32>) -> Self {
        Self {
            cap: cap.map(u64::from),
            ..self
        }
    }

    /// Sets whether the table may already contain some of the items.
    pub(crate) fn with_may_overwrite(self, may_overwrite: bool) -> Self {
        Self {
            may_overwrite,
            ..self
        }
    }

    /// Sets the number of replicas in other regions.
    pub(crate) fn with_replicas(self, replicas: usize) -> Self {
        Self {
            replicas: replicas as u64,
            ..self
        }
    }

    /// Sets the prices of write requests.
    pub(crate) fn with_prices(self, prices: Option<Prices>) -> Self {
        Self { prices, ..self }
    }

    /// Sets whether the table's endpoint is on this machine.
    pub(crate) fn with_local(self, local: bool) -> Self {
        Self { local, ..self }
    }

    /// The maximum cost of this number of items whose texts have this total size. By DynamoDB's count, no item is larger than its text,
    /// rounding adds less than a unit to each, and an index entry is not larger than its item.
    pub(crate) fn upper_bound(&self, items: u64, bytes: u64) -> WriteCost {
        let units = items
            .saturating_add(bytes / WRITE_UNIT)
            .min(items.saturating_mul(write_units(ITEM_BYTES)));
        WriteCostCounter {
            table_units: units,
            index_units: vec![units; self.indexes.len()],
            model: self.clone(),
        }
        .finish()
    }
}

/// Adds up the cost of items.
#[derive(Debug)]
pub(crate) struct WriteCostCounter {
    model: WriteCostModel,
    table_units: u64,
    /// In the order of the model's indexes.
    index_units: Vec<u64>,
}

impl WriteCostCounter {
    /// A counter at zero.
    pub(crate) fn new(model: WriteCostModel) -> Self {
        Self {
            table_units: 0,
            index_units: vec![0; model.indexes.len()],
            model,
        }
    }

    /// Adds an item. One that cannot be parsed counts with the size of its text, and without indexes.
    pub(crate) fn add(&mut self, item: &[u8]) {
        let mut attributes = Vec::new();
        if for_each_attribute_size(item, |name, size| attributes.push((name.to_owned(), size)))
            .is_err()
        {
            self.table_units += write_units((item.len() as u64).min(ITEM_BYTES));
            return;
        }

        self.table_units += write_units(
            attributes
                .iter()
                .map(|(_, size)| size)
                .sum::<u64>()
                .min(ITEM_BYTES),
        );

        for (index, units) in self.model.indexes.iter().zip(&mut self.index_units) {
            *units += index.units(&attributes);
        }
    }

    /// The cost of all items.
    pub(crate) fn finish(self) -> WriteCost {
        let total = self
            .index_units
            .iter()
            .fold(self.table_units, |sum, units| sum.saturating_add(*units));
        let slowest = self.slowest(total);
        let indexes = self.units_by_index().map(|(index, units)| IndexCost {
            name: index.name.clone(),
            write_units: units,
        });

        WriteCost {
            write_units: total,
            table_write_units: self.table_units,
            indexes: indexes.collect(),
            replicated_write_units: total.saturating_mul(self.model.replicas),
            write_units_per_second: slowest.as_ref().map(|limit| limit.per_second),
            seconds: slowest.as_ref().map(|limit| limit.seconds),
            bottleneck: slowest.map(|limit| limit.bottleneck),
            may_overwrite: self.model.may_overwrite,
            price: self
                .model
                .prices
                .as_ref()
                .and_then(|prices| prices.writes(total)),
            local: self.model.local,
        }
    }

    fn units_by_index(&self) -> impl Iterator<Item = (&IndexCostModel, u64)> {
        self.model
            .indexes
            .iter()
            .zip(self.index_units.iter().copied())
    }

    /// The limit at which the writes take longest.
    fn slowest(&self, total: u64) -> Option<Limit> {
        // LSIs use the table's capacity, so their units are added to those of the table.
        let local_units = self
            .units_by_index()
            .filter(|(index, _)| index.is_local)
            .map(|(_, units)| units)
            .sum::<u64>();
        let table = Limit::new(
            Bottleneck::Table,
            self.table_units.saturating_add(local_units),
            self.model.per_second,
        );
        let cap = Limit::new(Bottleneck::Cap, total, self.model.cap);

        // Each GSI has a capacity of its own.
        let global_indexes = self.units_by_index().filter(|(index, _)| !index.is_local);
        let globals = global_indexes.filter_map(|(index, units)| {
            let name = index.name.clone();
            Limit::new(Bottleneck::Index { name }, units, index.per_second)
        });

        // The first one wins a tie.
        table
            .into_iter()
            .chain(cap)
            .chain(globals)
            .reduce(|slowest, limit| {
                if limit.seconds > slowest.seconds {
                    limit
                } else {
                    slowest
                }
            })
    }
}

/// The duration of the writes if only one limit applied.
struct Limit {
    bottleneck: Bottleneck,
    per_second: u64,
    seconds: f64,
}

impl Limit {
    /// `None` if the rate is not limited.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    fn new(bottleneck: Bottleneck, units: u64, per_second: Option<u64>) -> Option<Self> {
        // Without a capacity, there is no duration, and no division by zero.
        let per_second = per_second.filter(|units| *units > 0)?;
        Some(Self {
            bottleneck,
            per_second,
            seconds: units as f64 / per_second as f64,
        })
    }
}

#[cfg(test)]
mod tests;
